"""A company's queues: the engine, fed with what is configured, scheduled and seen of people, and
obeyed. Whatever the engine is told goes into the journal before anything follows from it.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, Final

import structlog

from callcontrol.call import Call
from callcontrol.parts import Queued, Side
from callcontrol.planning import History, first_slot
from callcontrol.queues.journal import Journal
from callcontrol.queues.settings import (
    kinds_of,
    mask_of,
    number_of_reason,
    settings_of,
)
from callcontrol.queues.surroundings import Surroundings
from callcontrol.sofia.ua import Party, State
from routing_core.codes import Reason
from routing_core.queue_words import (
    AgentState,
    By,
    CallerView,
    Cause,
    Closed,
    Leave,
    Login,
    What,
)
from routing_core.queues import Engine
from store.model import Event, Queue, QueueEntry, QueueMember

log = structlog.get_logger()

#: How often people and schedules are looked at.
LOOK_S: Final = 0.1
SCHEDULES_S: Final = 1.0
SYNC_S: Final = 1.0
#: An agent without evidence is set free when this many looks at it (one a second) found none.
HEAL_LOOKS: Final = 2
#: So many agents' lines are looked at when a call comes in, besides every LOOK_S.
MAX_GLANCE: Final = 100
#: In a menu, with the place kept.
AWAY_S: Final = 900
#: A telephone that answers no CANCEL is not waited for for longer than this, so often looked at.
QUIET_S, QUIET_LOOKS = 0.01, 50
#: Calls that can be asked about by their uid after they have left.
MAX_KNOWN: Final = 10_000
_OUTSIDE, _INSIDE = 1 << 60, 1 << 61
STATES: Final = ("", "waiting", "offered", "away", "later", "talking")


def tag_of(side: Side) -> int:
    """Who a caller is, as a number; 0 for a caller who hides it."""
    if side.user:
        return _INSIDE | side.user
    digits = side.number.removeprefix("+")
    return _OUTSIDE | int(digits) if side.number.startswith("+") and digits.isdecimal() \
        and len(digits) <= 15 else 0


def caller_of_tag(tag: int) -> tuple[int, str]:
    """Whose tag it is: (user, "") or (0, "+46..."); (0, "") when nobody knows."""
    if tag & _INSIDE:
        return tag ^ _INSIDE, ""
    return 0, f"+{tag ^ _OUTSIDE}" if tag & _OUTSIDE else ""


def order_of_tag(tag: int) -> str:
    """How that caller is called; "" when nobody knows."""
    user, number = caller_of_tag(tag)
    return f"user:{user}" if user else f"callback:{number}" if number else ""


class Spot:
    """A caller's place in the queues, and what its call may say about it."""

    def __init__(self, floor: "Floor", call: Call, queue: int, caller: int) -> None:
        self.floor = floor
        self.call = call
        self.queue = queue
        self.caller = caller
        self.away = False
        self.left: int | None = None  # why the queue let go

    def give_up(self, why: int = Leave.ABANDONED) -> None:
        """Whoever still has the place has it no more."""
        caller, self.caller = self.caller, 0
        if caller:
            self.floor.leave(caller, why)

    def position(self) -> int:
        """1 for the first."""
        return self.floor.engine.position(self.caller)

    def estimate(self) -> tuple[int, int]:
        """(at least, at most) seconds, or (0, 0)."""
        found = self.floor.engine.estimate(self.floor.now_ms(), self.caller)
        if found[1]:
            self.floor.said[self.caller] = found
        self.floor.obey()
        return found

    def step_out(self) -> None:
        """To a menu, with the place kept."""
        self.away = True
        floor = self.floor
        floor.engine.step_out(floor.now_ms(), self.caller, floor.now_ms() + AWAY_S * 1000)
        floor.obey()

    def step_in(self) -> bool:
        """Back; False when it took too long."""
        self.away = False
        found = self.floor.engine.step_in(self.floor.now_ms(), self.caller)
        self.floor.obey()
        return found


class Floor:
    """Of one company. around: what is known of the people and the configuration."""

    def __init__(self, tenant: int, around: Surroundings, journal: Journal) -> None:
        self.tenant = tenant
        self.around = around
        self.journal = journal
        self.queues: dict[int, Queue] = {}
        self.titles: dict[int, str] = {}
        self.members: dict[tuple[int, int], QueueMember] = {}
        self.spots: dict[int, Spot] = {}
        self.callers: dict[str, int] = {}  # by the uid of their call, the newest last
        self.planned = journal.names.planned
        self._attempts: dict[int, tuple[int, Call]] = {}  # (agent, whose call rings it)
        self._refused = 0
        self._closed = False
        self._talking: dict[int, tuple[Call, Side]] = {}
        self._returning = journal.names.returning
        self._settings: dict[int, dict[str, int]] = {}
        self._busy: dict[int, int] = {}  # agents in a call or offered one: looks without evidence
        self._logged_in: set[tuple[int, int]] = set()
        #: Who was logged out of which queue ("": paused) for missed calls, and not told yet.
        self.missed_out: dict[int, str] = {}
        self._rung: dict[int, Party] = {}
        self._last: dict[int, str] = {}  # uid of an agent's latest call
        self._present: dict[int, bool] = {}
        self._comes_and_goes: set[int] = set()  # who is logged in by presence
        self.revision = -1
        self.said: dict[int, tuple[int, int]] = {}  # estimates, as last told
        self._looked_s = self._synced_s = 0.0
        self._wake = asyncio.Event()
        self.engine: Engine = journal.restore(around.seed())
        self.history: History = around.history(tenant, journal.history())
        self._begin()

    # -- beginning ----------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return int(self.around.now() * 1000)

    def _begin(self) -> None:
        """What the engine remembers of an earlier process: its calls are gone, and may come back
        (beyond 9); log-ins, pauses and callbacks are as before."""
        engine, now = self.engine, self.now_ms()
        self.configure()
        for caller in engine.everybody():
            view = engine.view_caller(caller, now)
            if view is None:
                continue
            if view.live:
                self._may_return(view, now)
                engine.leave(now, caller, Leave.LOST)
            elif view.state == STATES.index("talking"):
                engine.callback_done(now, caller, False)
        for caller in set(self.planned) - set(engine.everybody()):
            del self.planned[caller]
        for key in [key for key, (*_, until) in self._returning.items() if until < now]:
            del self._returning[key]
        self.journal.keep_names()
        for agent in engine.agents():
            engine.heal(now, agent)
            found = engine.view_agent(agent)
            for queue, logged_in, _ in found.queues if found else ():
                if logged_in:
                    self._logged_in.add((queue, agent))
        self.journal.begin(engine, now)
        engine.take_journal()
        self._look(now)
        self.obey()

    def _may_return(self, view: CallerView, now: int) -> None:
        queue = self.queues.get(view.queue)
        if queue and view.tag:
            self._returning[f"{view.queue} {view.tag}"] = (
                view.arrived_ms, view.sequence, now + queue.return_s * 1000)

    def configure(self) -> None:
        """The engine gets what is configured, and what has changed."""
        now, engine, names = self.now_ms(), self.engine, self.journal.names
        before = names.reasons.copy(), {q: len(skills) for q, skills in names.skills.items()}
        rows = self.around.queues(self.tenant)
        self.queues = {id_: queue for id_, _, queue in rows}
        self.titles = {id_: title for id_, title, _ in rows}
        for id_ in set(engine.queues()) - set(self.queues):
            engine.remove_queue(now, id_)
            self._settings.pop(id_, None)
        for id_, queue in self.queues.items():
            settings = settings_of(queue, names)
            if self._settings.get(id_) != settings:
                engine.set_queue(now, id_, **settings)
                self._settings[id_] = settings
        members = {(row.service, row.user): row for row in self.around.members(self.tenant)
                   if row.service in self.queues}
        known = {(queue, agent) for agent in engine.agents()
                 for queue, _, _ in _queues_of(engine, agent)}
        for queue_id, user in known - set(members):
            engine.remove_member(now, queue_id, user)
        for key, row in members.items():
            if self.members.get(key) != row or key not in known:
                engine.set_member(now, *key, row.tier, row.position,
                                  mask_of(names, row.service, row.skills))
        self.members = members
        self._comes_and_goes = {user for (_, user), row in members.items() if row.by_presence}
        tenant = self.around.tenant(self.tenant)
        engine.set_licences(now, -1 if tenant.agent_licences is None else tenant.agent_licences)
        if before != (names.reasons, {q: len(skills) for q, skills in names.skills.items()}):
            self.journal.keep_names()

    # -- time and what is seen ----------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                now = self.around.now()
                due = self.engine.next_due() / 1000
                wait = LOOK_S if not due else min(max(due - now, 0) + 0.001, LOOK_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                self._wake.clear()
                now = self.around.now()
                if now - self._looked_s >= LOOK_S:
                    self._looked_s = now
                    self._look(self.now_ms())
                self.engine.tick(self.now_ms())
                self.obey()
                if now - self._synced_s >= SYNC_S:
                    self._synced_s = now
                    await self._each_second()
        finally:
            self.journal.sync()

    async def _each_second(self) -> None:
        self._schedules(self.now_ms())
        self._heal()
        self.obey()
        await asyncio.to_thread(self.journal.sync)
        if self.journal.worn(self.now_ms()):
            self.journal.begin(self.engine, self.now_ms())
            self.journal.keep_history(self.history.dump())

    def _look(self, now: int) -> None:
        """At the configuration's revision, people's presence and their lines."""
        if self.around.revision() != self.revision:
            self.refresh()
        at_work = {user for _, user in self._logged_in}
        for agent in at_work | self._comes_and_goes:
            self._see(now, agent)
        for agent in at_work:
            self._glance(now, agent)

    def _lines(self, now: int, queue: int, caller: int) -> None:
        """Calls that began since the last look: of the caller, and of those who may be rung now."""
        mine = {user for one, user in self._logged_in if one == queue}
        for agent in mine & ({caller} if len(mine) > MAX_GLANCE else mine):
            self._glance(now, agent)

    def _glance(self, now: int, agent: int) -> None:
        self.engine.set_line(now, agent, agent not in self._busy and self.around.busy(agent))

    def _see(self, now: int, agent: int) -> None:
        """Whether the activity of somebody allows calls."""
        present = self.around.present(self.tenant, agent)
        if self._present.get(agent) != present:
            self._present[agent] = present
            self.engine.set_present(now, agent, present)
            self._by_presence(now, agent, present)

    def refresh(self) -> None:
        """The configuration is another one."""
        before, self.revision = self.revision, self.around.revision()
        if self.around.touched(self.tenant, before):
            self.configure()
        self._schedules(self.now_ms())
        self.obey()

    def _by_presence(self, now: int, agent: int, present: bool) -> None:
        for (queue, user), row in self.members.items():
            if user == agent and row.by_presence:
                if present:
                    self._glance(now, agent)
                    self.engine.log_in(now, queue, agent, By.PRESENCE)
                else:
                    self.engine.log_out(now, queue, agent, By.PRESENCE)

    def _schedules(self, now: int) -> None:
        for id_, queue in self.queues.items():
            closed = Closed.OPEN
            if queue.state != "open" and not self.around.open(
                    (queue.schedule, *queue.closures), now // 1000):
                closed = Closed.NIGHT
            elif queue.state == "closed":
                closed = Closed.BY_HAND
            self.engine.set_open(now, id_, closed)
            if queue.callback:
                self.engine.set_callback_hours(
                    now, id_, self.around.open((queue.callback.schedule,), now // 1000))

    def _heal(self) -> None:
        """Agents whose call is not there (any more)."""
        for agent in list(self._busy):
            view = self.engine.view_agent(agent)
            if view is None or view.state not in (AgentState.OFFERED, AgentState.TALKING):
                self._busy.pop(agent)
                continue
            talk = self._talking.get(agent)
            there = any(one == agent and not call.closed
                        for one, call in self._attempts.values()) \
                if view.state == AgentState.OFFERED else \
                talk is not None and talk[1].leg.state is not State.OVER
            self._busy[agent] = 0 if there else self._busy[agent] + 1
            if self._busy[agent] >= HEAL_LOOKS:
                log.warning("agent healed", tenant=self.tenant, agent=agent,
                            state=view.state.name.lower())
                self.around.count("agent_healed")
                self.engine.heal(self.now_ms(), agent)

    # -- what follows from inputs -------------------------------------------------------------

    def obey(self) -> None:
        """After every input: the journal, then what the engine says."""
        if self._closed:
            self.engine.take_journal()
            self.engine.take()
            return
        self.journal.write(self.engine.take_journal())
        for said in self.engine.take():
            self._obey(*said)
        due = self.engine.next_due()
        if due and due <= self.now_ms():
            self._wake.set()

    def _obey(self, what: int, at_ms: int, queue: int, caller: int, agent: int, attempt: int,
              x: int, y: int) -> None:
        spot = self.spots.get(caller)
        call = spot.call if spot else None
        self._tell(What(what), at_ms, queue, caller, agent, attempt, x, y, call)
        if what == What.OFFER:
            self._busy[agent] = 0
            if call is not None:
                self._attempts[attempt] = agent, call
                call.post(Queued(what, attempt, agent, x))
            elif self._is_callback(caller):
                made = self.around.call_back(self, queue, caller, attempt, agent)
                self._attempts[attempt] = agent, made
        elif what in (What.CANCEL, What.MISSED):
            self._busy.pop(agent, None)
            _, ringing = self._attempts.pop(attempt, (0, None))
            if ringing is not None and what == What.CANCEL:
                ringing.post(Queued(what, attempt, agent, x))
        elif what == What.ANSWERED:
            self._attempts.pop(attempt, None)
            self.spots.pop(caller, None)
            self.said.pop(caller, None)
        elif what in (What.TALK_ENDED, What.HEALED):
            self._busy.pop(agent, None)
            self._talking.pop(agent, None)
        elif what == What.LEFT:
            self.spots.pop(caller, None)
            self.planned.pop(caller, None)
            self.said.pop(caller, None)
            if spot is not None:
                spot.left, spot.caller = x, 0
                spot.call.post(Queued(what, 0, 0, x))
        elif what == What.CALLBACK:
            self.spots.pop(caller, None)
        elif what == What.REFUSED:
            self._refused = x
        elif what == What.LOGGED_IN:
            self._logged_in.add((queue, agent))
        elif what == What.LOGGED_OUT:
            self._logged_in.discard((queue, agent))
            if x == By.MISSES:
                self.missed_out[agent] = self.titles.get(queue, "")
        elif what == What.PAUSED and x == 0:
            self.missed_out[agent] = ""

    def _is_callback(self, caller: int) -> bool:
        """And not somebody of an earlier process, who has left by now."""
        view = self.engine.view_caller(caller, self.now_ms())
        return view is not None and not view.live

    def _tell(self, what: What, at_ms: int, queue: int, caller: int, agent: int, attempt: int,
              x: int, y: int, call: Call | None) -> None:
        data: dict[str, Any] = {"what": what.name.lower(), "queue": queue, "caller": caller,
                                "agent": agent, "attempt": attempt, "x": x, "y": y}
        if what is What.PAUSED:
            data["reason"] = self.reason(x)
        _, ringing = self._attempts.get(attempt, (0, None))
        uid = call.uid if call else ringing.uid if ringing else ""
        if what in (What.TALK_ENDED, What.WRAP_UP):
            uid = self._last.get(agent, "")
        event = Event(tenant=self.tenant, at_ms=at_ms, kind="queue", call=uid, data=data)
        self.history.feed(event)
        self.around.publish(event)

    # -- callers ------------------------------------------------------------------------------

    def enter(self, call: Call, side: Side, queue: int, entry: QueueEntry | None,
              token: tuple[int, int] | None, welcome_ms: int) -> Spot | Leave:
        """A place, or why not. token: of the call's place in another queue; welcome_ms: for how
        long the caller may first hear something else."""
        if self.around.revision() != self.revision:
            self.refresh()
        now, tag, engine = self.now_ms(), tag_of(side), self.engine
        self._schedules(now)
        back = self._returning.get(f"{queue} {tag}") if tag else None
        if token is None and back is not None and back[2] >= now:
            token = back[:2]
        view = engine.view_queue(queue, now)
        if view is None:
            return Leave.REMOVED
        self._lines(now, queue, side.user)
        names = self.journal.names
        caller = engine.enter(
            now, queue, priority=entry.priority if entry else 0,
            need=mask_of(names, queue, entry.skills) if entry else 0,
            relax=tuple((one.after_s * 1000, mask_of(names, queue, one.skills))
                        for one in entry.relaxations) if entry else (),
            tag=tag, arrived_ms=token[0] if token else 0, sequence=token[1] if token else 0,
            force=token is not None and view.closed == Closed.OPEN and view.staffed,
            aside_ms=now + welcome_ms if welcome_ms else 0)
        if not caller:
            self.obey()
            return Leave(self._refused)
        self._returning.pop(f"{queue} {tag}", None)
        self.spots[caller] = spot = Spot(self, call, queue, caller)
        self.callers[call.uid] = caller
        if len(self.callers) > MAX_KNOWN:
            self.callers.pop(next(iter(self.callers)))
        self.obey()
        return spot

    def leave(self, caller: int, why: int) -> None:
        """The caller goes by itself, or is cut off by a fault of ours and may come back."""
        view = self.engine.view_caller(caller, self.now_ms())
        if view is not None and why == Leave.LOST:
            self._may_return(view, self.now_ms())
        self.engine.leave(self.now_ms(), caller, why)
        self.obey()

    def to_callback(self, spot: Spot, tag: int, planned_s: int | None) -> bool:
        """The caller will be called, in its turn; False when the place is lost."""
        caller, spot.caller = spot.caller, 0
        if planned_s:
            self.planned[caller] = planned_s * 1000
            self.journal.keep_names()
        done = self.engine.to_callback(self.now_ms(), caller, (planned_s or 0) * 1000, tag)
        self.obey()
        self.journal.sync()
        return done

    def has_callback(self, queue: int, tag: int) -> bool:
        """Whether one is waiting for that number."""
        now = self.now_ms()
        views = (self.engine.view_caller(caller, now) for caller in self.engine.everybody())
        return any(view and not view.live and view.queue == queue and view.tag == tag
                   for view in views)

    def slot(self, queue: int) -> int | None:
        """When a callback can be promised, Unix seconds."""
        row = self.queues[queue]
        if row.callback is None:
            return None
        now_s, size = self.now_ms() // 1000, row.callback.slot_s
        found = self.engine.view_queue(queue, self.now_ms())
        schedules = (row.schedule, *row.closures, row.callback.schedule)
        return first_slot(
            now_s, size, arrivals=lambda at: self.history.arrivals(queue, at, at + size),
            staff=lambda at: max(self.history.staff(queue, at, at + size),
                                 found.logged_in if found and at < now_s + 2 * size else 0),
            handling_s=self.history.handling_s(queue),
            backlog=found.waiting + found.callbacks if found else 0,
            promised=[at // 1000 for at in self.planned.values()],
            open_at=lambda at: self.around.open(schedules, at))

    # -- attempts -----------------------------------------------------------------------------

    def answered(self, attempt: int, agent: int, call: Call, side: Side) -> bool:
        """The agent has answered; False when it is too late."""
        self._talking[agent], self._last[agent] = (call, side), call.uid
        won = self.engine.answered(self.now_ms(), attempt)
        if won:
            self._until_over(agent, call, side)
        else:
            self._talking.pop(agent, None)
        self.obey()
        return won

    def _until_over(self, agent: int, call: Call, side: Side) -> None:
        """The agent is in a call as long as one of its telephones is."""
        def over() -> None:
            beside = next((one for one in call.sides.values() if one is not side
                           and one.user == agent and one.up), None)
            if beside is not None and not call.closed:  # it has moved to another telephone
                self._talking[agent] = call, beside
                self._until_over(agent, call, beside)
                return
            self.engine.talk_ended(self.now_ms(), agent)
            self.obey()

        side.leg.at_end = over
        if side.leg.state is State.OVER:
            side.leg.at_end = None
            over()

    def missed(self, attempt: int, cause: int) -> None:
        """Nobody came."""
        self.engine.missed(self.now_ms(), attempt, cause)
        self.obey()

    def declined(self, attempt: int) -> None:
        """The agent does not want to make this callback."""
        self.engine.declined(self.now_ms(), attempt)
        self.obey()

    def rings(self, attempt: int) -> bool:
        """Whether the agent is still wanted."""
        return attempt in self._attempts

    def callback_done(self, caller: int, reached: bool) -> None:
        """The customer was called."""
        self.engine.callback_done(self.now_ms(), caller, reached)
        self.obey()

    async def quiet(self, agent: int) -> None:
        """Until the agent's telephones have heard that they need not ring for somebody else any
        more: the next INVITE could overtake that."""
        for _ in range(QUIET_LOOKS):
            leg = self._rung.get(agent)
            if leg is None or leg.gone or leg.state is not State.OVER:
                return
            await asyncio.sleep(QUIET_S)

    def ringing(self, agent: int, leg: Party) -> None:
        """This is what rings there now."""
        self._rung[agent] = leg

    def telephones(self, queue: int, agent: int) -> str:
        """An order for those of the agent that ring for the queue."""
        row = self.members.get((queue, agent))
        return f"phones:{agent}/{kinds_of(row) if row else 15}"

    # -- what people do -----------------------------------------------------------------------

    def act(self, user: int, what: str, *, queues: Iterable[int] | None = None, reason: str = "",
            seconds: int = 0, by: int = By.SELF) -> tuple[int, str]:
        """(0, "") when it is done, else an HTTP status and why not."""
        now, engine = self.now_ms(), self.engine
        mine = [queue for queue, member in self.members if member == user]
        wanted = mine if queues is None else list(queues)
        if not mine or not set(wanted) <= set(mine):
            return 404, "the user is not a member of that queue"
        try:
            if what == "log_in":
                self._see(now, user)
                self._glance(now, user)
                results = {engine.log_in(now, queue, user, by) for queue in wanted}
                return (409, "all agent licences are in use") \
                    if Login.NO_LICENCE in results else (0, "")
            if what == "log_out":
                for queue in wanted:
                    engine.log_out(now, queue, user, by)
                return 0, ""
            if what == "pause":
                return self._pause(user, reason)
            done = {"resume": lambda: engine.resume(now, user),
                    "prolong": lambda: engine.prolong(now, user, seconds * 1000),
                    "end_wrap_up": lambda: engine.end_wrap_up(now, user)}[what]()
            return (0, "") if done else (409, "the agent is not in that state")
        finally:
            self.obey()
            self.journal.sync()

    def _pause(self, user: int, reason: str) -> tuple[int, str]:
        tenant, names = self.around.tenant(self.tenant), self.journal.names
        if reason not in tenant.pause_reasons:
            return 422, "that is no pause reason of the company"
        known = len(names.reasons)
        number = number_of_reason(names, reason)
        if len(names.reasons) != known:
            self.journal.keep_names()
        self.engine.pause(self.now_ms(), user, number)
        return 0, ""

    def status(self, user: int) -> tuple[str, int, str, int] | None:
        """(state, queues logged in to, reason of the pause, calls that wait there) of an agent."""
        found = self.engine.view_agent(user)
        if found is None:
            return None
        mine = [queue for queue, logged_in, _ in found.queues if logged_in]
        views = [self.engine.view_queue(queue, self.now_ms()) for queue in mine]
        return (found.state.name.lower(), len(mine), self.reason(found.reason),
                sum(view.waiting for view in views if view))

    def reason(self, number: int) -> str:
        """Of a pause; "" for one that was made by missed calls."""
        names = self.journal.names.reasons
        return names[number - 1] if 0 < number <= len(names) else ""

    @property
    def licences_used(self) -> int:
        """People who are logged in to something."""
        return len({user for _, user in self._logged_in})

    def uid_of(self, caller: int) -> str:
        """Of the call of somebody on the line."""
        spot = self.spots.get(caller)
        return spot.call.uid if spot else ""

    def call_of(self, agent: int) -> str:
        """The uid of the call that the agent talks in."""
        talk = self._talking.get(agent)
        return talk[0].uid if talk else ""

    def close(self) -> None:
        """Give the queues to whoever comes next. What is said later is nobody's business."""
        self.obey()
        self._closed = True
        self.journal.sync()
        self.journal.keep_history(self.history.dump())
        self.journal.close()


def _queues_of(engine: Engine, agent: int) -> tuple[tuple[int, bool, int], ...]:
    view = engine.view_agent(agent)
    return view.queues if view else ()


def cause_of(code: int, reason: Reason = Reason.NONE) -> Cause:
    """Why an agent did not come, by the answer of the exchange."""
    if code in (486, 600) and reason in (Reason.NONE, Reason.USER_BUSY):
        return Cause.BUSY
    if code in (603, 403, 606):
        return Cause.REJECTED
    return Cause.NO_ANSWER if code in (408, 487) else Cause.UNREACHABLE
