"""What call control asks the API to change for a person: presence, forwarding, a prompt's audio.

The API is the one writer of the configuration and of presence; so a code that is dialled is checked
by the same rules as a click.
"""

import asyncio
from pathlib import Path
from typing import Final

import httpx
import structlog

from store.model import Target

log = structlog.get_logger()

TIMEOUT_S: Final = 5.0
UPLOAD_S: Final = 60.0


class House:
    """base: of the API; key: the operator's."""

    def __init__(self, base: str, key: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT_S)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def set_presence(self, tenant: int, user: int, activity: int | None, until: int,
                           source: str) -> bool:
        """Whether it was taken. source: "menu" or "code"."""
        return await self._did("PUT", f"/v1/tenants/{tenant}/users/{user}/presence",
                               {"activity": activity, "until": until, "source": source})

    async def set_forward(self, tenant: int, user: int, target: Target | None) -> bool:
        """The forwarding of all calls, or none."""
        base = f"/v1/tenants/{tenant}/forwards"
        try:
            found = (await self._client.get(base, params={"user": user})).json()["items"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            log.error("api", error=type(error).__name__)
            return False
        old = [row["id"] for row in found if row["event"] == "always"]
        plain = [row["id"] for row in found
                 if row["event"] == "always" and row["called"] == "any"][:1]
        if target is not None:
            body: dict[str, object] = {"kind": target.kind} | (
                {"user": target.user} if target.user else {"text": target.text})
            taken = await self._did("PATCH", f"{base}/{plain[0]}", {"target": body}) if plain else \
                await self._did("POST", base, {"user": user, "event": "always", "target": body})
            if not taken:
                return False  # and the old one stays
            old = [id_ for id_ in old if id_ not in plain]
        results = [await self._did("DELETE", f"{base}/{id_}") for id_ in old]
        return all(results)

    async def keep_prompt(self, tenant: int, prompt: int, audio: Path) -> bool:
        """The prompt's audio from now on."""
        try:
            answer = await self._client.put(
                f"/v1/tenants/{tenant}/prompts/{prompt}/audio",
                content=await asyncio.to_thread(audio.read_bytes),
                timeout=UPLOAD_S)
        except (httpx.HTTPError, OSError) as error:
            log.error("api", error=type(error).__name__)
            return False
        return answer.is_success

    async def _did(self, method: str, path: str, body: object = None) -> bool:
        try:
            answer = await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            log.error("api", error=type(error).__name__)
            return False
        if not answer.is_success:
            log.info("api refused", path=path, status=answer.status_code)
        return answer.is_success
