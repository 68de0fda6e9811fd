"""Makes planned changes when their time has come: with the rights that who planned them has then,
each in one commit with the note that it is done."""

import asyncio
from typing import Any, Final

import msgspec
import structlog

from api.http.errors import as_problem, invalid
from api.http.later import Operation, run
from api.http.parts import Parts
from api.http.route import Call
from api.http.who import of_author
from store.planned import Planned
from store.sqlite import SqliteWriter

log = structlog.get_logger()

#: A change acts so much later at most.
LOOK_S: Final = 0.5


class Clockwork:
    """await Clockwork(parts).run()"""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                for planned in self._parts.store.due_planned(self._parts.now_ms()):
                    await self.make(planned)
            except Exception:
                log.exception("planned changes")
            await asyncio.sleep(LOOK_S)

    async def make(self, planned: Planned) -> None:
        """One change, or the reason why it cannot be made."""
        parts, now_ms = self._parts, self._parts.now_ms()
        try:
            who = of_author(parts.store, planned.by, now_ms / 1000)
            operation = Operation(method=planned.method, path=planned.path, body=_body(planned),
                                  if_match=planned.if_match)

            def work(writer: SqliteWriter) -> Any:
                call = Call(None, None, parts, who, {}, now_ms)  # type: ignore[arg-type]
                run(call, operation, writer)
                parts.store.end_planned(planned.id, "done", now_ms)

            await parts.publisher.change(
                who.name, now_ms, f"planned {planned.id}: {planned.method} {planned.path}", work,
                who.by)
        except Exception as error:
            problem = as_problem(error)
            if problem.status == 500:
                log.exception("planned change failed", planned=planned.id)
            elif problem.code == "busy":
                return  # it is tried again
            await parts.publisher.commits.run(lambda: parts.store.end_planned(
                planned.id, "failed", now_ms, f"{problem.code}: {problem.detail}"))


def _body(planned: Planned) -> Any:
    if not planned.body:
        return None
    try:
        return msgspec.json.decode(planned.body)
    except msgspec.DecodeError as error:
        raise invalid("body", "not JSON") from error


