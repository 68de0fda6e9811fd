"""What a process that has a company's queues leaves behind when it ends, in virtual time."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from callcontrol.queues.journal import Journal
from callcontrol.sofia.ua import State
from routing_core.queue_words import What
from routing_core.queues import Engine
from store.model import Queue
from tests.queue_stage import ANSWERS, BY_KEY, LATER, Centre, callbacks, order, scene


@scene(Queue(return_s=60, callback=BY_KEY.callback), agents=(1, 2, 3), busy=(1, 2, 3))
async def test_what_a_process_leaves_behind_when_it_is_killed(centre: Centre) -> None:
    """Log-ins, pauses and callbacks are as before; who calls back in time has the old place."""
    assert centre.own.act(2, "pause", reason="lunch") == (0, "")
    await order(centre, "+46701000000")
    first, second = centre.call("+46702000000"), centre.call("+46703000000")
    await asyncio.sleep(5)
    before = [centre.own.engine.token(centre.spot_of(line).caller) for line in (first, second)]
    await centre.kill()
    await asyncio.sleep(1)
    view = centre.own.engine.view_agent(2)
    assert (centre.state(1), centre.state(2), centre.state(3)) == ("free", "paused", "free")
    assert view and centre.own.reason(view.reason) == "lunch"
    assert callbacks(centre) == 1
    newcomer = centre.call("+46704000000")
    await asyncio.sleep(20)
    back = centre.call("+46703000000")
    await asyncio.sleep(1)
    assert centre.own.engine.token(centre.spot_of(back).caller) == before[1]
    assert centre.spot_of(back).position() < centre.spot_of(newcomer).position()
    await asyncio.sleep(60)
    late = centre.call("+46702000000")
    await asyncio.sleep(1)
    assert centre.own.engine.token(centre.spot_of(late).caller) > before[0]
    assert centre.spot_of(late).position() > centre.spot_of(newcomer).position()


@pytest.mark.parametrize("lost", [1, 3, 7, 20])
def test_a_record_that_was_cut_off_is_left_out(lost: int) -> None:
    """Everything before it is there."""
    @scene(agents=(1, 2), busy=(1, 2))
    async def play(centre: Centre) -> None:
        centre.call()
        await asyncio.sleep(2)
        await centre.kill(lost)
        await asyncio.sleep(1)
        assert centre.state(1) == "free"
        line = centre.call(LATER)
        centre.occupy()
        await asyncio.sleep(1)
        assert line.state is State.UP
        assert len(centre.said(What.OFFER)) == 1

    play()


@scene(people={"phones:1": [ANSWERS]})
async def test_an_agent_who_talked_when_the_process_was_killed_is_free(centre: Centre) -> None:
    """The call is gone with it."""
    centre.call()
    await asyncio.sleep(3)
    assert centre.state(1) == "talking"
    await centre.kill()
    await asyncio.sleep(1)
    assert centre.state(1) == "free"
    centre.call(LATER)
    await asyncio.sleep(3)
    assert centre.state(1) == "talking"


@scene(Queue(return_s=60, callback=BY_KEY.callback), busy=(1,), people={"phones:1": [ANSWERS]})
async def test_a_process_that_is_told_to_end_begins_nothing(centre: Centre) -> None:
    """Whoever it cuts off has the place again in the next one."""
    centre.call("+46703000000")
    await order(centre)
    line = centre.call(LATER)
    centre.occupy()
    await asyncio.sleep(3)
    assert centre.state(1) == "talking"
    before = centre.own.engine.token(centre.spot_of(line).caller)
    legs = len(centre.stage.legs)
    await centre.restart()
    assert len(centre.stage.legs) == legs
    centre.occupy(1)
    await asyncio.sleep(1)
    back = centre.call(LATER)
    await asyncio.sleep(1)
    assert centre.own.engine.token(centre.spot_of(back).caller) == before


@scene(busy=(1,))
async def test_names_keep_their_numbers(centre: Centre) -> None:
    """Whatever the company calls its pauses later."""
    tenant = centre.around.tenant(1)
    assert centre.own.act(1, "pause", reason="training") == (0, "")
    row = type(tenant)(id=1, name="One", language="en", pause_reasons=("yoga", "lunch"))
    centre.change("tenant", row)
    await asyncio.sleep(1)
    assert centre.own.act(1, "pause", reason="yoga") == (0, "")
    centre.own.act(1, "resume")
    centre.change("tenant", tenant)
    await asyncio.sleep(1)
    assert centre.own.act(1, "pause", reason="training") == (0, "")
    await centre.kill()
    await asyncio.sleep(1)
    view = centre.own.engine.view_agent(1)
    assert view and centre.own.reason(view.reason) == "training"
    assert centre.own.journal.names.reasons == ["training", "yoga"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs wait for room, in order, also when only a part of them could be written."""
    journal, engine = Journal(tmp_path), Engine(1)
    assert journal.open()
    journal.begin(engine, 1000)
    engine.set_queue(1000, 1)
    inputs, write, full = engine.take_journal(), os.write, [True]

    def halves(file: int, data: bytes) -> int:
        if full[0]:
            raise OSError(errno.ENOSPC, "full")
        return write(file, data[:max(len(data) // 2, 1)])

    monkeypatch.setattr(os, "write", halves)
    journal.write(inputs)
    full[0] = False
    engine.set_member(2000, 1, 7)
    journal.write(engine.take_journal())
    monkeypatch.undo()
    journal.close()
    assert Journal(tmp_path).restore(2).dump() == engine.dump()
