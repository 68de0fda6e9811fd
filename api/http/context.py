"""What a request handler works with: who asks, and the parts of this process."""

import hashlib
import hmac
import time
from pathlib import Path
from typing import Any, NamedTuple

from sanic import Request

from api.events.watch import Watch
from api.http.errors import Problem
from api.publish.publisher import Publisher
from routing_core import Kernel, handover
from store import SqliteStore
from store.model import ApiKey


class Who(NamedTuple):
    """An authenticated caller of the API. tenant None: the operator."""

    name: str
    tenant: int | None


class Parts:
    """Composed once, in api/app.py."""

    def __init__(self, store: SqliteStore, publisher: Publisher, kernel: Kernel, state: Path,
                 operator_key: str, control_processes: int = 1) -> None:
        self.store = store
        self.publisher = publisher
        self.kernel = kernel
        self.state = state
        self.control_processes = control_processes
        self.events = Watch(store.last_event)
        self._operator_digest = key_digest(operator_key)

    def control_order(self, tenant: int) -> list[int]:
        """The processes of call control, the one that a company's calls go to first."""
        owner = self.publisher.live.owner(tenant, self.now_ms())
        order = handover.preferred(tenant, list(range(self.control_processes)))
        return sorted(order, key=lambda index: index != owner)

    def who(self, request: Request) -> Who:
        """The caller, by the key in Authorization: Bearer; Problem 401."""
        token = request.token or ""
        digest = key_digest(token)
        if hmac.compare_digest(digest, self._operator_digest):
            return Who("operator", None)
        found = self.store.find("api_key", limit=1, digest=digest) if token else []
        if not found or not isinstance(found[0], ApiKey):
            raise Problem(401, "unauthenticated",
                          "send a valid key as Authorization: Bearer <key>")
        return Who(found[0].name, found[0].tenant)

    @staticmethod
    def now_ms() -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000


def key_digest(key: str) -> str:
    """What is kept of an API key. The key is 256 random bits: it needs no slow hash."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def operator_only(who: Who) -> None:
    """Raise unless the operator asks."""
    if who.tenant is not None:
        raise Problem(403, "forbidden", "only the operator may do this")


def check_tenant(who: Who, tenant: int) -> None:
    """Another tenant's things are not there."""
    if who.tenant is not None and who.tenant != tenant:
        raise Problem(404, "not_found", "there is no such tenant")


def parts_of(request: Request) -> Parts:
    """The parts of this process."""
    parts: Parts = request.app.ctx.parts
    return parts


def whole(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query string within its bounds; Problem 422."""
    text: Any = request.args.get(name)
    if text is None:
        return default
    if not (len(text) <= 19 and text.isascii() and text.isdecimal() and low <= int(text) <= high):
        raise Problem(422, "invalid", f"{name} is a number from {low} to {high}", name)
    return int(text)


def flag(request: Request, name: str) -> bool:
    """A query parameter that is true or false; Problem 422."""
    value = request.args.get(name, "false")
    if value not in ("true", "false"):
        raise Problem(422, "invalid", f"{name} is true or false", name)
    return bool(value == "true")
