"""Attendants at work (A3, Q9): a licence is one person's while their page asks for it now and
then, and somebody else's after that."""

from typing import Any, Final

from api.attendants.shapes import Attendant, Attendants
from api.http.errors import Problem
from api.http.route import Call, route

PATH: Final = "/v1/tenants/{tenant}/attendants"
#: A page that is closed without a word holds its licence so much longer.
LEASE_MS: Final = 60_000


class Places:
    """Who is at work, by company. It is this process's memory: after its end everybody asks
    again."""

    def __init__(self) -> None:
        self._by_tenant: dict[int, dict[int, tuple[int, int]]] = {}

    def at_work(self, tenant: int, now_ms: int) -> dict[int, tuple[int, int]]:
        """{user: (since, until)}"""
        found = self._by_tenant.get(tenant, {})
        for user in [user for user, (_, until_ms) in found.items() if until_ms <= now_ms]:
            del found[user]
        return found

    def take(self, tenant: int, user: int, now_ms: int, total: int | None) -> None:
        """A licence for another while; Problem 409 when there is none."""
        found = self.at_work(tenant, now_ms)
        if user not in found and total is not None and len(found) >= total:
            raise Problem(409, "not_now", f"all {total} licences of attendants are in use")
        since_ms = found.get(user, (now_ms, 0))[0]
        self._by_tenant.setdefault(tenant, {})[user] = since_ms, now_ms + LEASE_MS

    def give_back(self, tenant: int, user: int) -> None:
        """Somebody stops."""
        self._by_tenant.get(tenant, {}).pop(user, None)


def _shown(call: Call) -> Attendants:
    places: Places = call.parts.places
    found = places.at_work(call.tenant, call.now_ms)
    names: dict[int, Any] = dict(call.store.select("user", ("id", "name"), tenant=call.tenant))
    items = [Attendant(user=user, name=names.get(user, ""), since_ms=since_ms, until_ms=until_ms)
             for user, (since_ms, until_ms) in sorted(found.items())]
    return Attendants(items, len(items), call.store.get("tenant", call.tenant).attendant_licences)


@route("GET", PATH, "attendants:read", own="rows", answer=Attendants)
async def at_work(call: Call) -> Attendants:
    """Who is at work as an attendant, and how many may be."""
    return _shown(call)


@route("PUT", PATH + "/{user}", "attendants:write", own="user", answer=Attendants,
       errors=("not_now",))
async def work(call: Call) -> Attendants:
    """Be at work as an attendant for the next minute. Ask again before it ends."""
    user = call.visible("user", call.id("user"))
    if user.plan is not None and "attendant" not in user.profiles:
        raise Problem(409, "not_now", "the user's plan needs the add-on \"attendant\" in profiles")
    total = call.store.get("tenant", call.tenant).attendant_licences
    call.parts.places.take(call.tenant, user.id, call.now_ms, total)
    return _shown(call)


@route("DELETE", PATH + "/{user}", "attendants:write", own="user", answer=Attendants)
async def stop(call: Call) -> Attendants:
    """Stop being at work; the licence is free."""
    call.parts.places.give_back(call.tenant, call.visible("user", call.id("user")).id)
    return _shown(call)
