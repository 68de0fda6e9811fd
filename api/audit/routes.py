"""Who signed in, was refused, listened or did anything else, besides changing the configuration:
that is in the revisions (A1)."""

from api.audit.shapes import Audit, AuditList
from api.http.route import Call, route


def _page(call: Call, tenant: int | None) -> Audit:
    query: AuditList = call.query
    found = call.store.audit(tenant, by=query.by, before=query.after or 1 << 62,
                             limit=query.limit)
    return Audit(found, found[-1].id if len(found) == query.limit else None)


@route("GET", "/v1/tenants/{tenant}/audit", "audit:read", query=AuditList, answer=Audit)
async def of_company(call: Call) -> Audit:
    """What was done in a company."""
    return _page(call, call.tenant)


@route("GET", "/v1/audit", "audit:read", own="operator", query=AuditList, answer=Audit)
async def of_everybody(call: Call) -> Audit:
    """What was done anywhere."""
    return _page(call, None)
