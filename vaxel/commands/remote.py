"""The exchange's API as the commands use it: with the operator's key of the state directory, or
elsewhere with --url and a key from VAXEL_KEY or --key-file."""

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from vaxel import settings as settings_file
from vaxel.commands.common import UNREACHABLE, USAGE, CommandError

PAGE = 1000


class Remote:
    """One exchange. tenant_wanted: as --tenant says it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        url, key = _where(arguments)
        self.url = url
        self._wanted: str = getattr(arguments, "tenant", "")
        self._tenant = 0
        self._http = httpx.Client(base_url=url + "/v1", timeout=30, headers={
            "Authorization": f"Bearer {key}"})

    def request(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The answer's body, None when it has none; CommandError."""
        answer = self.answer(method, path, json=body, params=query)
        return answer.json() if answer.content else None

    def answer(self, method: str, path: str, good: tuple[int, ...] = (),
               **options: Any) -> httpx.Response:
        """The answer itself; CommandError when it is a refusal that is not in `good`."""
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise CommandError(
                f"the exchange at {self.url} does not answer ({error or type(error).__name__}); "
                "is `vaxel run` up?", UNREACHABLE) from error
        if answer.status_code >= 400 and answer.status_code not in good:
            raise CommandError(_refusal(answer))
        return answer

    @contextlib.contextmanager
    def stream(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """An answer that is read bit by bit."""
        try:
            with self._http.stream(method, path, **options) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise CommandError(_refusal(answer))
                yield answer
        except httpx.HTTPError as error:
            raise CommandError(f"the exchange at {self.url} does not answer ({error})",
                               UNREACHABLE) from error

    def pages(self, path: str, limit: int = 0, **query: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page; limit: at most so many."""
        given, after = 0, None
        while True:
            size = min(PAGE, limit - given) if limit else PAGE
            page = self.request("GET", path, limit=size, **query,
                                **({} if after is None else {"after": after}))
            yield from page["items"]
            given += len(page["items"])
            after = page.get("next")
            if not after or not page["items"] or (limit and given >= limit):
                return

    def tenant(self) -> int:
        """The id of the company that is meant."""
        if not self._tenant:
            self._tenant = int(self._wanted) if self._wanted.isdecimal() else self._find_tenant()
        return self._tenant

    def _find_tenant(self) -> int:
        found: dict[int, str] = {row["id"]: row["name"] for row in self.pages("/tenants")}
        if not self._wanted and len(found) == 1:
            return next(iter(found))
        named = [id_ for id_, name in found.items() if name.casefold() == self._wanted.casefold()]
        if len(named) == 1:
            return named[0]
        if not found:
            raise CommandError("there is no company yet: vaxel add tenants name=...")
        some = ", ".join(f"{id_} {name}" for id_, name in list(found.items())[:10])
        raise CommandError(
            f"there is no company {self._wanted!r}; there are: {some}" if self._wanted else
            f"say which company with --tenant: {some}", USAGE)

    def under(self, path: str) -> str:
        """A path under the company."""
        return f"/tenants/{self.tenant()}/{path}"


def _where(arguments: argparse.Namespace) -> tuple[str, str]:
    if not arguments.url:
        try:
            settings = settings_file.in_force(arguments.state.resolve())
        except settings_file.SettingsError as error:
            raise CommandError(str(error), UNREACHABLE) from error
        key = _key(arguments) or settings.api_key
        return f"http://{settings.address}:{settings.api_port}", key
    key = _key(arguments)
    if not key:
        raise CommandError("--url needs a key: set VAXEL_KEY, or name a file with --key-file",
                           USAGE)
    return arguments.url.rstrip("/").removesuffix("/v1"), key


def _key(arguments: argparse.Namespace) -> str:
    if arguments.key_file:
        try:
            return Path(arguments.key_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{arguments.key_file}: {error}", USAGE) from error
    return os.environ.get("VAXEL_KEY", "").strip()


def _refusal(answer: httpx.Response) -> str:
    """A problem as a sentence."""
    try:
        body = answer.json()
        field = f"{body['field']}: " if body.get("field") else ""
        return f"{field}{body['detail']} ({body['code']}, {answer.status_code})"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:200]}"
