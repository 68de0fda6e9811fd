"""Call control is killed in the middle of calls: who talked is told, who calls gets through."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exchange import Exchange
from tests.people import People, both, played, take, wait_for

#: A telephone is told that its call is over when the process that carried it was killed.
LOST_S = 12.0
#: A new call is heard after so long, whatever the process that it would have gone to.
NEW_CALL_S = 5.0


@pytest.fixture(scope="module")
def own() -> Iterator[Exchange]:
    """An exchange that may be hurt."""
    with Exchange() as exchange:
        yield exchange


@pytest.mark.parametrize("time_number", range(2))
def test_call_control_is_killed(own: Exchange, time_number: int) -> None:
    """Both sides are told within seconds, and new calls work at once."""
    async def work(people: People) -> None:
        anna, bo, cia = await people.three()
        line, call = await people.talk(bo, anna)
        third, fourth = await people.talk(cia, await people.phone("104"))
        index = next(index for index, answer in enumerate(await people.ask(
            do="calls", tenant=people.company.id)) if answer["calls"])
        victim = next(pid for pid in own.pids("callcontrol.process")
                      if _last_word(pid) == str(index))
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        again = await bo.dial("101")
        taken = await take(anna)
        await both(again, taken)
        assert time.monotonic() - killed < NEW_CALL_S
        await asyncio.gather(*(one.ended(LOST_S) for one in (line, call, third, fourth)))
        await both(again, taken)
        await again.hang_up()
        await taken.ended()

        async def back() -> bool:
            return victim not in (found := own.pids("callcontrol.process")) and len(found) == 2

        await wait_for(back, "the killed process in a new life")

    asyncio.run(played(own, own.company(), work))


def _last_word(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2].decode()
