"""The queue engine's judge: every output is held against a book of its own, kept from the inputs
and the outputs only.

`Oracle.finish()` takes what followed from an input, writes it into the book and raises Broken where
a rule is broken.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from routing_core.queues import (
    FAIR_BUCKET_MS,
    AgentState,
    By,
    Engine,
    Leave,
    What,
    Why,
)
from tests.queue_book import (
    DELAYS,
    DIALLED,
    FREE,
    NOT_DUE,
    OFFERED,
    OUT,
    PARALLEL,
    REST,
    RINGING,
    TALKING,
    WAITING,
    WRAP_UP,
    Agent,
    Book,
    Caller,
    Member,
    Queue,
)

Outs = list[tuple[int, int, int, int, int, int, int, int]]
#: Beside the numbers of Leave: the caller talks.
CONNECTED = 100


class Oracle(Book):
    """An engine whose outputs are judged."""

    def __init__(self, seed: int, engine: Engine | None = None) -> None:
        super().__init__(seed)
        self.engine = engine or Engine(seed)
        self.next = 0           # the time of the input; `now` is that of what is being looked at
        self.orphans = self.order = 0
        self.last_sequence = self.last_attempt = 0
        self.due: list[tuple[int, int, str, Any]] = []
        self.dirty: set[Queue] = set()
        self.overdue: set[int] = set()
        self.doomed: Member | None = None
        self.entering: tuple[Any, ...] = ()
        self.trace = 0
        self.listen: Callable[[Outs], None] | None = None
        self.handlers: list[Callable[..., None]] = [
            getattr(self, f"on_{name.lower()}") for name in
            ["entered", *(what.name for what in What)]]

    # -- around every input -----------------------------------------------------------------------

    def begin(self, now: int, what: str, about: int = 0) -> None:
        """An input comes."""
        self.inputs += 1
        self.doing = (what, about)
        self.doomed = None
        if now > self.next:
            self.next = now

    def finish(self) -> None:
        """What has followed is taken, written into the book and judged."""
        self.outs = outs = self.engine.take()
        self.next = self.engine.now_ms
        if self.now > self.next:            # an input that changed nothing does not count
            self.now = self.next
        if outs:
            handlers, trace = self.handlers, self.trace
            for out in outs:
                trace = hash((trace, out))
                if out[1] != self.now:
                    if not self.now < out[1] <= self.next:
                        raise self.broken("said for another time", out)
                    self.now = out[1]
                handlers[out[0]](*out[2:])
            self.trace = trace
        if self.orphans:
            raise self.broken("offers of a caller who has left were not withdrawn")
        due, now = self.due, self.next
        self.now = now
        while due and due[0][0] <= now:
            _, _, what, about = heappop(due)
            getattr(self, what)(about)
        if self.dirty:
            for queue in self.dirty:
                self.settled(queue)
            self.dirty.clear()
        if outs and self.listen is not None:
            self.listen(outs)

    def later(self, when: int, check: str, about: Any) -> None:
        """Something must have happened by then."""
        self.order += 1         # so that the heap never compares what it holds
        heappush(self.due, (when, self.order, check, about))

    # -- the book --------------------------------------------------------------------------------

    def changed(self, agent: Agent) -> None:
        """Whether the agent can be offered somebody may have changed."""
        available = (agent.state == FREE and agent.present and agent.reachable
                     and agent.paused < 0 and not agent.busy)
        if available != agent.available:
            agent.available = available
            for member in agent.members.values():
                if member.logged_in:
                    if available:
                        member.queue.free[agent.id] = member
                        self.dirty.add(member.queue)
                    else:
                        del member.queue.free[agent.id]

    def staff(self, queue: Queue, left: bool = False) -> None:
        """Who is there may have changed."""
        if left:
            queue.staff_left = self.inputs
        staffed = any(member.logged_in and self.counts_as_there(member.agent)
                      for member in queue.members.values())
        if staffed != queue.staffed:
            queue.staffed = staffed
            queue.unstaffed = 0 if staffed else self.now
            if not staffed and queue.callers:
                self.later(self.now + queue.set["grace_ms"], "grace_over", queue)
        self.dirty.add(queue)

    def staff_of(self, agent: Agent, left: bool = False) -> None:
        """In every queue of the agent."""
        for member in agent.members.values():
            if member.logged_in:
                self.staff(member.queue, left)

    def in_line(self, caller: Caller) -> None:
        """The caller waits to be offered."""
        queue = caller.queue
        if caller.state != OFFERED:
            self.count(caller, 1)
        caller.state = WAITING
        insort(queue.line, caller.key)
        self.dirty.add(queue)

    def off_line(self, caller: Caller, state: int) -> None:
        """Does not, any more."""
        line = caller.queue.line
        if caller.state == WAITING:
            at = bisect_left(line, caller.key)
            if line[at] != caller.key:
                raise self.broken("the book is wrong", caller.id)
            del line[at]
        if caller.state in (WAITING, OFFERED) and state not in (WAITING, OFFERED):
            self.count(caller, -1)
        caller.state = state

    def count(self, caller: Caller, by: int) -> None:
        """Of those in the line, offered ones included."""
        if caller.live:
            caller.queue.live += by
        else:
            caller.queue.callbacks += by
        self.dirty.add(caller.queue)

    def rest(self, agent: Agent, until: int) -> None:
        """After a miss or a call; READY says when it is over."""
        agent.attempt = agent.caller = 0
        agent.state, agent.since, agent.until = REST, self.now, until
        self.later(until, "rest_over", agent)
        self.changed(agent)

    def set_free(self, agent: Agent) -> None:
        """No call, no wrap-up, no rest."""
        agent.attempt = agent.caller = agent.until = 0
        agent.state, agent.since = FREE, self.now
        self.changed(agent)

    def forget(self, caller: Caller, why: int) -> None:
        """The caller is over."""
        self.gone[why] += 1
        queue = caller.queue
        self.off_line(caller, 0)
        del self.callers[caller.id]
        del queue.callers[caller.id]
        self.dirty.add(queue)

    # -- what follows: one method for each What -----------------------------------------------

    def on_entered(self, queue: int, number: int, _agent: int, _attempt: int, live: int,
                   position: int) -> None:
        """Let in: nothing stood against it."""
        if not self.entering or number <= 0 or number in self.callers:
            raise self.broken("ENTERED by itself, or a number that was given before", number)
        queue_id, priority, asked, relax, tag, arrived, sequence, force, aside = self.entering
        self.entering = ()
        into = self.queues[queue]
        if queue != queue_id or not live:
            raise self.broken("ENTERED the wrong way", number)
        why = self.refusals(into)
        if Leave.FULL in why or (why and not force):
            raise self.broken("let in against", why)
        caller = Caller(number, into, self.now)
        try:
            token = self.engine.token(number)
        except KeyError:        # forced in where nobody may wait, and out again
            token = (priority, arrived or self.now, sequence or self.last_sequence + 1)
        caller.priority, caller.arrived, caller.sequence = token
        if token[:2] != (priority, arrived or self.now) or (sequence and token[2] != sequence):
            raise self.broken("not the place that was asked for", token)
        if not sequence:
            if token[2] <= self.last_sequence:
                raise self.broken("sequence given before", token)
            self.last_sequence = token[2]
        caller.asked, caller.relax, caller.tag = asked, relax, tag
        caller.key = (-priority, caller.arrived, caller.sequence, number)
        self.callers[number] = into.callers[number] = caller
        self.entered += 1
        if aside:
            caller.state, caller.back_by = OUT, aside
            self.later(max(aside, self.next + 1), "back_over", caller)
        else:
            caller.state = 0
            self.in_line(caller)
        if into.set["timed_ms"]:
            self.later(self.now + into.set["timed_ms"], "timed_over", caller)
        if not into.staffed:
            self.later(self.now + into.set["grace_ms"], "grace_over", into)
        if not (position == 0 if aside else 1 <= position <= len(into.callers)):
            raise self.broken("position", position)

    def on_refused(self, queue: int, _caller: int, _agent: int, _attempt: int, why: int,
                   _y: int) -> None:
        """Not let in: for the first reason of the order."""
        if not self.entering or queue != self.entering[0]:
            raise self.broken("REFUSED by itself")
        expected = self.refusals(self.queues[queue])
        if self.entering[7]:
            expected = [one for one in expected if one == Leave.FULL]
        self.entering = ()
        if not expected or why != expected[0]:
            raise self.broken("refused", Leave(why), "expected", expected)
        self.gone[-why] += 1

    def on_offer(self, queue: int, number: int, agent_id: int, attempt: int, ring: int,
                 round_: int) -> None:
        """The right caller to the right agent."""
        on, caller, agent = self.queues[queue], self.callers[number], self.agents[agent_id]
        member = on.free.get(agent_id)
        if member is None:
            raise self.broken("offered to somebody who is not eligible", agent_id, agent.state)
        if member is self.doomed:
            raise self.broken("offered once more before being thrown out", agent_id)
        if caller.queue is not on or ring != on.set["ring_ms"]:
            raise self.broken("offered wrongly", queue, ring)
        if attempt <= self.last_attempt:
            raise self.broken("attempt given before", attempt)
        self.last_attempt = attempt
        setting = on.set
        if caller.state == NOT_DUE and caller.not_before <= self.now:
            self.in_line(caller)
        if caller.state == OFFERED:
            if (setting["strategy"] != PARALLEL or caller.round_input != self.inputs
                    or round_ != caller.rounds or len(caller.attempts) >= setting["parallel"]):
                raise self.broken("offered twice", number)
            caller.state = WAITING
            allowed = self.may_take(member, caller)
            caller.state = OFFERED
        else:
            allowed = self.may_take(member, caller)
            if round_ != caller.rounds + 1:
                raise self.broken("round", round_, "after", caller.rounds)
        if not allowed:
            raise self.broken("offered to somebody who may not take it", agent_id, number)
        self.right_caller(agent, caller)
        self.right_agent(member, caller)
        if caller.state != OFFERED:
            self.off_line(caller, OFFERED)
            caller.rounds, caller.round_input = round_, self.inputs
        caller.attempts.add(attempt)
        self.attempts[attempt] = (agent_id, number)
        member.offered += 1
        agent.state, agent.since, agent.until = RINGING, self.now, self.now + ring
        agent.queue, agent.caller, agent.attempt = queue, number, attempt
        self.changed(agent)
        self.dirty.add(on)

    def right_caller(self, agent: Agent, caller: Caller) -> None:
        """Nobody whom the agent may take has a higher place, in any of the agent's queues."""
        key = caller.key
        place = (key[0] - caller.queue.set["weight"], key[1], key[2])
        for member in agent.members.values():
            line = member.queue.line
            if not line or not member.logged_in:
                continue
            weight = member.queue.set["weight"]
            for other in line:
                if (other[0] - weight, other[1], other[2]) >= place:
                    break
                if self.should_take(member, self.callers[other[3]]):
                    raise self.broken("served out of order: before", other, "came", key)

    def right_agent(self, member: Member, caller: Caller) -> None:
        """The strategy would not have chosen another one."""
        free = member.queue.free
        if len(free) < 2:
            return
        mine = self.rank(member, caller)
        state, caller.state = caller.state, WAITING
        for other in free.values():
            if (other is not member and self.rank(other, caller) < mine
                    and self.should_take(other, caller)):
                raise self.broken("the strategy has", other.id, self.rank(other, caller),
                                  "before", member.id, mine)
        caller.state = state

    def end_attempt(self, attempt: int, agent_id: int) -> tuple[Agent, Caller | None]:
        """The agent and, if still there, the caller; the attempt is struck out."""
        found = self.attempts.pop(attempt, None)
        agent = self.agents[agent_id]
        if found is None or found[0] != agent_id or agent.attempt != attempt:
            raise self.broken("an attempt that is not going on", attempt, agent_id)
        caller = self.callers.get(found[1])
        if caller is not None:
            caller.attempts.discard(attempt)
        return agent, caller

    def on_cancel(self, queue: int, number: int, agent_id: int, attempt: int, why: int,
                  _y: int) -> None:
        """No miss: the agent is free again at once."""
        agent, caller = self.end_attempt(attempt, agent_id)
        if caller is None:
            self.orphans -= 1
        else:
            if caller.id != number or caller.queue.id != queue:
                raise self.broken("another caller's offer", caller.id)
            if caller.state == OFFERED and not caller.attempts:
                self.in_line(caller)
            if why in (Why.CALLER_LEFT, Why.REMOVED):
                caller.withdrawn = self.inputs
        if (why == Why.ANSWERED_ELSEWHERE) != (self.doing[0] == "answered"):
            raise self.broken("withdrawn for the wrong reason", Why(why))
        setting = self.queues[queue].set
        if self.doing == ("declined", attempt):
            self.rest(agent, self.now + setting["rejected_ms"])
            return
        if why == Why.AGENT_LEFT and self.now > agent.until:
            self.overdue.add(agent_id)
        self.set_free(agent)

    def on_answered(self, queue: int, number: int, agent_id: int, attempt: int, waited: int,
                    round_: int) -> None:
        """They talk."""
        agent, caller = self.end_attempt(attempt, agent_id)
        if self.doing != ("answered", attempt) or caller is None or caller.state != OFFERED:
            raise self.broken("ANSWERED by itself", attempt)
        if waited != self.now - caller.arrived or round_ != caller.rounds:
            raise self.broken("waited", waited, self.now - caller.arrived, round_)
        agent.state, agent.since, agent.caller, agent.queue = TALKING, self.now, number, queue
        agent.attempt, agent.on = 0, caller.queue
        agent.conversation = True       # of a callback: unless its customer is not reached
        if caller.said is not None:
            at, low, high, _ = caller.said
            caller.queue.hits.append(low * 1000 <= self.now - at <= high * 1000)
        member = agent.members[queue]
        member.misses = 0
        member.answered += 1
        if caller.live:
            self.orphans += len(caller.attempts)
            self.forget(caller, CONNECTED)
        else:
            self.off_line(caller, DIALLED)

    def on_missed(self, queue: int, number: int, agent_id: int, attempt: int, cause: int,
                  misses: int) -> None:
        """Counted in a row, with the delay of its cause."""
        agent, caller = self.end_attempt(attempt, agent_id)
        if self.doing != ("missed", attempt) or caller is None:
            raise self.broken("MISSED by itself", attempt)
        member = agent.members[queue]
        member.misses += 1
        if misses != member.misses:
            raise self.broken("misses in a row", misses, "not", member.misses)
        if not caller.attempts:
            self.in_line(caller)
        limit = self.queues[queue].set["max_misses"]
        if limit and misses >= limit:
            self.doomed = member
            self.later(self.now, "thrown_out", member)
        self.rest(agent, self.now + self.queues[queue].set[DELAYS[cause]])

    def on_left(self, queue: int, number: int, _agent: int, _attempt: int, why: int,
                waited: int) -> None:
        """Once, for a reason that is true."""
        caller = self.callers.get(number)
        if caller is None or caller.queue.id != queue:
            raise self.broken("left who was not there", number)
        if not self.may_leave(caller, caller.queue, why):
            raise self.broken("left without that reason:", Leave(why), number, caller.state)
        if waited != self.now - caller.arrived:
            raise self.broken("waited", waited, self.now - caller.arrived)
        self.orphans += len(caller.attempts)
        self.forget(caller, why)

    def on_logged_in(self, queue: int, _caller: int, agent_id: int, _attempt: int, _by: int,
                     _y: int) -> None:
        """Into one queue."""
        agent = self.agents[agent_id]
        member = agent.members[queue]
        if self.doing != ("log_in", agent_id) or member.logged_in:
            raise self.broken("LOGGED_IN by itself")
        member.logged_in, member.misses = True, 0
        member.queue.logged[member.tier] += 1
        agent.n_logged += 1
        if agent.available:
            member.queue.free[agent_id] = member
        if agent.n_logged == 1 and agent.state == FREE:
            agent.idle_since = agent.since = self.now
        self.staff_of(agent, left=agent.n_logged > 1)   # the others have a smaller share

    def on_logged_out(self, queue: int, _caller: int, agent_id: int, _attempt: int, by: int,
                      _y: int) -> None:
        """Of one queue."""
        member = self.queues[queue].members[agent_id]
        if not member.logged_in:
            raise self.broken("logged out twice", agent_id)
        if by == By.MISSES and member is not self.doomed:
            raise self.broken("logged out without the misses", agent_id, member.misses)
        self.unlog(member)

    def unlog(self, member: Member) -> None:
        """Strike a log-in out."""
        agent, queue = member.agent, member.queue
        member.logged_in, member.misses = False, 0
        queue.logged[member.tier] -= 1
        queue.free.pop(agent.id, None)
        agent.n_logged -= 1
        self.staff(queue, left=True)

    def on_paused(self, _queue: int, _caller: int, agent_id: int, _attempt: int, reason: int,
                  _y: int) -> None:
        """No new call from now on; the state goes on behind it."""
        agent = self.agents[agent_id]
        by_hand = self.doing == ("pause", agent_id)
        if by_hand != (reason > 0) and self.doing[0] != "missed":
            raise self.broken("paused by itself", agent_id, reason)
        if not by_hand and self.doomed is not None:
            self.doomed.misses = 0
        if by_hand:
            for member in agent.members.values():
                member.misses = 0
        agent.paused = reason
        self.changed(agent)
        self.staff_of(agent, left=True)

    def on_resumed(self, _queue: int, _caller: int, agent_id: int, _attempt: int, _x: int,
                   _y: int) -> None:
        """The state behind the pause shows."""
        agent = self.agents[agent_id]
        if agent.paused < 0:
            raise self.broken("resumed who was not paused", agent_id)
        agent.paused = -1
        self.changed(agent)
        self.staff_of(agent)

    def on_talk_ended(self, queue: int, _caller: int, agent_id: int, _attempt: int, talked: int,
                      _y: int) -> None:
        """Wrap-up and rest by the settings of the queue of the call."""
        agent = self.agents[agent_id]
        if agent.state != TALKING or agent.queue != queue:
            raise self.broken("no talk to end", agent_id)
        if talked != self.now - agent.since:
            raise self.broken("talked", talked, "not", self.now - agent.since)
        bucket = self.now // FAIR_BUCKET_MS
        agent.talk[bucket] = agent.talk.get(bucket, 0) + talked
        agent.idle_since = self.now
        if agent.on is None:
            raise self.broken("a call of no queue", agent_id)
        wrap = agent.on.set["wrap_ms"] if agent.conversation and talked else 0
        rest = agent.on.set["rest_ms"]
        agent.prolonged = 0
        agent.attempt = agent.caller = agent.until = 0
        agent.rest_until = self.now + rest
        if wrap:
            agent.state, agent.since, agent.until = WRAP_UP, self.now, self.now + wrap
            self.later(agent.until, "wrap_up_over", agent)
        else:
            self.rest(agent, agent.rest_until)
        agent.conversation = False

    def on_wrap_up(self, queue: int, _caller: int, agent_id: int, _attempt: int, until: int,
                   _y: int) -> None:
        """For its time; again when it is prolonged."""
        agent = self.agents[agent_id]
        if agent.state != WRAP_UP or agent.queue != queue:
            raise self.broken("a wrap-up without a conversation", agent_id)
        if until != agent.until:
            more = until - agent.until
            agent.prolonged += more
            if (self.doing != ("prolong", agent_id) or more <= 0 or agent.on is None
                    or agent.prolonged > agent.on.set["prolong_ms"]):
                raise self.broken("wrap-up until", until)
            agent.until = until
            self.later(until, "wrap_up_over", agent)

    def on_ready(self, _queue: int, _caller: int, agent_id: int, _attempt: int, _x: int,
                 _y: int) -> None:
        """Not before the time, and not said for nothing."""
        agent = self.agents[agent_id]
        if agent.state == WRAP_UP and agent.until <= self.now:
            self.rest(agent, agent.rest_until)
        if agent.state == REST and agent.until <= self.now:
            self.set_free(agent)
        if not agent.available or not agent.n_logged:
            raise self.broken("READY in", AgentState(agent.state), agent.until)

    def wrap_up_over(self, agent: Agent) -> None:
        """Was due: the engine has gone on to the rest, if there is one."""
        if agent.state == WRAP_UP and agent.until <= self.now:
            self.rest(agent, agent.rest_until)
            self.must_be_ready(agent)

    def rest_over(self, agent: Agent) -> None:
        """Was due: either READY has been said or something else stands in the way."""
        if agent.state == REST and agent.until <= self.now:
            self.set_free(agent)
            self.must_be_ready(agent)

    def must_be_ready(self, agent: Agent) -> None:
        """READY would have been said."""
        if agent.available and agent.n_logged:
            raise self.broken("not READY in time", agent.id)

    def on_rush(self, queue: int, _caller: int, _agent: int, _attempt: int, closed: int,
                mark: int) -> None:
        """A latch: closes at the high mark, opens below the low one after its dwell."""
        on = self.queues[queue]
        name = ("", "length", "wait", "estimate")[mark]
        unit = "" if mark == 1 else "_ms"
        value = on.live if mark == 1 else self.longest(on)
        high, low = on.set[f"{name}_high{unit}"], on.set[f"{name}_low{unit}"]
        if bool(on.rush) == bool(closed) or (not closed and mark != on.rush):
            raise self.broken("the latch is", on.rush, "already")
        if closed and (not high or (mark < 3 and value < high)):
            raise self.broken("the latch closed at", value, "of", high)
        if not closed and high and (mark < 3 and value >= low):
            raise self.broken("the latch opened at", value, "of", low)
        if not closed and self.now - on.rush_since < on.set["dwell_ms"]:
            raise self.broken("the latch flaps", self.now - on.rush_since)
        on.rush, on.rush_since = mark if closed else 0, self.now
        if closed:
            self.later(self.now + on.set["dwell_ms"], "dwell_over", on)
        self.dirty.add(on)

    def on_open(self, queue: int, _caller: int, _agent: int, _attempt: int, closed: int,
                _y: int) -> None:
        """Closed or opened by somebody."""
        if self.doing != ("set_open", queue):
            raise self.broken("OPEN by itself")
        self.queues[queue].closed = closed

    def on_healed(self, _queue: int, _caller: int, agent_id: int, _attempt: int, before: int,
                  _y: int) -> None:
        """A state without evidence is gone; an offer was withdrawn just before."""
        agent = self.agents[agent_id]
        overdue = before == RINGING and agent_id in self.overdue
        if (self.doing != ("heal", agent_id) and not overdue) or agent.state not in (FREE, before):
            raise self.broken("healed from", before, agent.state)
        self.overdue.discard(agent_id)
        if before == TALKING:
            agent.conversation = False
            agent.idle_since = self.now
            self.set_free(agent)

    def on_place(self, _queue: int, number: int, _agent: int, _attempt: int, _x: int,
                 position: int) -> None:
        """Only of somebody who has one."""
        if number not in self.callers or position < 1:
            raise self.broken("a place", position, "of", number)

    def on_callback(self, queue: int, number: int, _agent: int, _attempt: int, until: int,
                    planned: int) -> None:
        """A live caller has become one."""
        caller, on = self.callers[number], self.queues[queue]
        if self.doing != ("to_callback", number) or not caller.live:
            raise self.broken("a callback by itself", number)
        if until != max(self.now, planned) + on.set["callback_life_ms"]:
            raise self.broken("a callback's life", until)
        if caller.attempts:
            raise self.broken("a callback that rings", number)
        self.off_line(caller, OUT)
        caller.live, caller.expires = False, until
        if planned:
            caller.state, caller.not_before = NOT_DUE, planned
            self.later(planned, "gap_over", caller)
        else:
            self.in_line(caller)
        self.later(until, "life_over", caller)
        self.dirty.add(on)

    def on_retry(self, queue: int, number: int, _agent: int, _attempt: int, not_before: int,
                 tries: int) -> None:
        """Dialled in vain, and again later."""
        caller, on = self.callers[number], self.queues[queue]
        caller.tries += 1
        if (self.doing != ("callback_done", number) or tries != caller.tries
                or not_before != self.now + on.set["callback_gap_ms"]
                or tries >= on.set["callback_tries"]):
            raise self.broken("a retry", number, not_before, tries)
        caller.not_before, caller.state = not_before, NOT_DUE
        self.later(not_before, "gap_over", caller)

    # -- what must have happened by now ----------------------------------------------------------

    def thrown_out(self, member: Member) -> None:
        """After too many misses in a row."""
        if member.logged_in and member.agent.paused < 0:
            raise self.broken("still logged in after misses:", member.id, member.misses)

    def timed_over(self, caller: Caller) -> None:
        """The timed overflow."""
        timed = caller.queue.set["timed_ms"]
        if caller.id in self.callers and caller.live and timed:
            if self.now - caller.entered < timed:
                self.later(caller.entered + timed, "timed_over", caller)
            elif caller.state == WAITING:
                raise self.broken("still waiting beyond the timed overflow", caller.id)

    def grace_over(self, queue: Queue) -> None:
        """Nobody has been there for as long as the grace."""
        if queue.staffed or self.queues.get(queue.id) is not queue:
            return
        over = queue.unstaffed + queue.set["grace_ms"]
        if over > self.now:
            self.later(over, "grace_over", queue)
        elif any(caller.live and caller.state == WAITING
                 and self.now - caller.entered >= queue.set["grace_ms"]
                 for caller in queue.callers.values()):
            raise self.broken("somebody waits where nobody is", queue.id)

    def dwell_over(self, queue: Queue) -> None:
        """The latch may open again."""
        if self.queues.get(queue.id) is queue:
            self.dirty.add(queue)

    def life_over(self, caller: Caller) -> None:
        """A callback does not live longer, but for an offer in progress."""
        if caller.id in self.callers and caller.state in (WAITING, NOT_DUE):
            raise self.broken("a callback that lives on", caller.id)

    def gap_over(self, caller: Caller) -> None:
        """A callback is due again."""
        if caller.id in self.callers and caller.state == NOT_DUE:
            self.in_line(caller)

    def back_over(self, caller: Caller) -> None:
        """Whoever stepped out is back or gone."""
        if caller.id in self.callers and caller.state == OUT and caller.back_by <= self.now:
            raise self.broken("still away", caller.id)

    def settled(self, queue: Queue) -> None:
        """After every input: the latch is right and no eligible agent is free in vain."""
        setting = queue.set
        high = setting["length_high"]
        if queue.rush:
            if (self.now - queue.rush_since >= setting["dwell_ms"]
                    and not setting["estimate_high_ms"]
                    and (not high or queue.live < setting["length_low"])
                    and (not setting["wait_high_ms"]
                         or self.longest(queue) < setting["wait_low_ms"])):
                raise self.broken("the latch should be open", queue.id, queue.live)
        elif high and queue.live >= high:
            raise self.broken("the latch should be closed", queue.id, queue.live)
        if queue.line and queue.free:
            self.nobody_in_vain(queue, queue.line[:4])

    def nobody_in_vain(self, queue: Queue, keys: list[tuple[int, int, int, int]]) -> None:
        """No eligible agent is free while somebody waits whom it may take."""
        for key in keys:
            caller = self.callers[key[3]]
            for member in queue.free.values():
                if self.should_take(member, caller):
                    raise self.broken("free agent", member.id, "and waiting caller", caller.id,
                                      "in queue", queue.id)
