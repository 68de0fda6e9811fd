"""What if: a changed configuration against the recorded calls of a period."""

from api.http.errors import Problem
from api.http.route import Call, Reply, route
from api.whatif.jobs import Runner
from api.whatif.shapes import DifferingCalls, Page, Question, WhatIf, WhatIfs

_BASE = "/v1/tenants/{tenant}/what-if"


def _runner(call: Call) -> Runner:
    found: Runner = call.parts.what_ifs
    return found


@route("POST", _BASE, "what-if:write", body=Question, answer=WhatIf, status=202,
       errors=("not_now",))
async def ask(call: Call) -> Reply:
    """Ask what would have been. The recorded calls of the period are decided again, and its queues
    simulated, with the configuration of now and with the changed one; nothing is changed. The
    answer is made in the background: see the Location."""
    runner = _runner(call)
    runner.check(call.tenant, call.body)
    if call.body.revision is not None and not call.who.grants.get("revisions:read"):
        raise Problem(403, "forbidden", "earlier configurations need revisions:read", "revision")
    job = await call.keep(lambda: runner.add(call.tenant, call.who, call.body))
    runner.wake()
    return Reply(runner.shown(job), 202, {"Location": f"{_BASE.format(tenant=call.tenant)}/{job.id}"
                                          })


@route("GET", _BASE, "what-if:read", query=Page, answer=WhatIfs)
async def questions(call: Call) -> WhatIfs:
    """The questions of the last 7 days, without their results."""
    page: Page = call.query
    found = call.store.jobs(call.tenant, after=page.after, limit=page.limit)
    return WhatIfs(items=[_runner(call).shown(job) for job in found],
                   next=found[-1].id if len(found) == page.limit else None)


@route("GET", _BASE + "/{question}", "what-if:read", answer=WhatIf)
async def question(call: Call) -> WhatIf:
    """A question: how far it is, and the result when it is done."""
    return _runner(call).shown(call.store.job(call.tenant, call.id("question")), whole=True)


@route("GET", _BASE + "/{question}/calls", "what-if:read", query=Page, answer=DifferingCalls,
       errors=("not_now",))
async def differing_calls(call: Call) -> DifferingCalls:
    """Calls that would have ended otherwise, the first 1000, each explained with both
    configurations."""
    page: Page = call.query
    found = _runner(call).calls(call.store.job(call.tenant, call.id("question")), page.after,
                                page.limit)
    return DifferingCalls(items=found,
                          next=found[-1].position if len(found) == page.limit else None)


@route("DELETE", _BASE + "/{question}", "what-if:write", status=204)
async def forget(call: Call) -> None:
    """Forget a question and its answer; one that is being answered is cancelled."""
    id_ = call.id("question")
    await call.keep(lambda: call.store.remove_job(call.tenant, id_))
    _runner(call).cancel(id_)
