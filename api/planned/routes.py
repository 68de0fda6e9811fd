"""Changes that were sent with Effective-From (beyond 6)."""

from typing import Any

import msgspec

from api.http.errors import no_such
from api.http.route import Call, route
from api.planned.shapes import PlannedList, PlannedPage
from store.planned import Planned

PATH = "/v1/tenants/{tenant}/planned"
#: Members of a body that nobody is shown.
SECRETS = ("secret", "pin")


def _shown(planned: Planned) -> Planned:
    """Without secrets."""
    if not planned.body:
        return planned
    body = _hidden(msgspec.json.decode(planned.body))
    return msgspec.structs.replace(planned, body=msgspec.json.encode(body).decode())


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "hidden" if name in SECRETS and one else _hidden(one)
                for name, one in value.items()}
    return [_hidden(one) for one in value] if isinstance(value, list) else value


def _page(call: Call, tenant: int | None) -> PlannedPage:
    query: PlannedList = call.query
    found = call.store.all_planned(tenant, state=query.state, after=query.after,
                                   limit=query.limit)
    return PlannedPage([_shown(one) for one in found],
                       found[-1].id if len(found) == query.limit else None)


@route("GET", PATH, "planned:read", query=PlannedList, answer=PlannedPage)
async def planned_changes(call: Call) -> PlannedPage:
    """Changes that are to be made at a later time, and what became of them."""
    return _page(call, call.tenant)


@route("GET", "/v1/planned", "planned:read", own="operator", query=PlannedList, answer=PlannedPage)
async def all_planned(call: Call) -> PlannedPage:
    """Every company's planned changes, and the operator's."""
    return _page(call, None)


def _one(call: Call) -> Planned:
    found: Planned = call.store.planned(call.id("planned"))
    if call.tenant and found.tenant != call.tenant:
        raise no_such("planned change")
    return found


@route("GET", PATH + "/{planned}", "planned:read", answer=Planned)
async def one_planned(call: Call) -> Planned:
    """One planned change."""
    return _shown(_one(call))


@route("DELETE", PATH + "/{planned}", "planned:write", answer=Planned, errors=("conflict",))
async def cancel(call: Call) -> Any:
    """Cancel a planned change."""
    id_ = _one(call).id
    return await call.keep(
        lambda: _shown(call.store.end_planned(id_, "cancelled", call.now_ms)))
