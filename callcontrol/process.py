"""One process of call control: composed here. python -m callcontrol.process STATE INDEX

Killed at any moment: the edge sends new calls to another process at once, the keeper ends this
one's calls on both sides, and what was recorded up to then is kept.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import random
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

import structlog

from callcontrol.call import clock
from callcontrol.control import Control
from callcontrol.desk import Desk
from callcontrol.events import EventLog
from callcontrol.house import House
from callcontrol.prompts import Prompts
from callcontrol.queues.callbacks import begin
from callcontrol.queues.owner import Queues
from callcontrol.reception import Reception
from callcontrol.sofia.ua import UserAgent
from callcontrol.watch import Watch
from routing_core import handover, mapping
from rtp.mixer import Mixer
from rtp.ng import NgClient, Node
from rtp.session import Media
from rtp.speech import Speaker
from store import SqliteStore
from store.bus import BusServer

log = structlog.get_logger()

BEAT_S: Final = 0.5
#: How late so many beats were is remembered, for metrics.
LAGS: Final = 30
#: Calls are freed by their last reference; cycles are few, and looking for them among thousands of
#: live calls costs a tenth of the time.
COLLECT: Final = (20_000, 20, 50)
PROBE_S: Final = 0.5


async def run(state: Path, settings: dict[str, Any], index: int) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    live = mapping.open_live(state)
    store = SqliteStore(state / "vaxel.db")
    events = EventLog(SqliteStore(state / "vaxel.db"))
    nodes = [Node("127.0.0.1", settings["media_port"] + node)
             for node in range(settings["media_nodes"])]
    house = House(f"http://{settings['address']}:{settings['api_port']}", settings["api_key"])
    counters: dict[str, int] = {}
    lags_s: deque[float] = deque(maxlen=LAGS)

    def count(what: str) -> None:
        counters[what] = counters.get(what, 0) + 1

    prompts = Prompts(state, store, Speaker(state / f"speech{index}"), count)
    async with NgClient(nodes) as client, \
            Media(client, keys_port=settings["keys_port"] + 1 + index) as media, \
            Mixer(state / "mixer" / "api", owner=f"control{index}") as mixer:
        desk = Desk(
            index=index, state=state, edge=f"{settings['address']}:{settings['sip_port']}",
            key=handover.key_of(settings["digest_key"]), store=store, live=live, media=media,
            mixer=mixer, prompts=prompts, house=house, events=events, clock=clock,
            chance=random.SystemRandom())
        reception = Reception(desk)
        desk.queues = queues = Queues(desk, state)
        queues.around.begin_callback = begin(desk, reception.guarded)
        watch = Watch(desk)
        desk.agent = agent = UserAgent("127.0.0.1", settings["control_port"] + index,
                                       on_call=desk.called, on_subscribe=watch.subscribed,
                                       chance=desk.chance)
        born_ms = desk.born_ms = time.time_ns() // 1_000_000
        await agent.start()
        await media.sweep(f"{index}.")
        jobs = [asyncio.ensure_future(job) for job in (
            events.run(), _beat(live, index, born_ms, lags_s), _probe(client), watch.run(),
            queues.run())]
        async with BusServer(state, f"control.{index}", Control(desk, counters, lags_s).asked):
            gc.collect()
            gc.freeze()  # what is there now stays: no need to look at it again and again
            gc.set_threshold(*COLLECT)
            log.info("call control", index=index, port=agent.port)
            await stop.wait()
        live.set_control(index, born_ms, 0)
        await queues.stop()  # first: calls that end now are cut off, and may come back
        await desk.stop()
        await agent.stop()
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await house.close()


async def _beat(live: Any, index: int, born_ms: int, lags_s: deque[float]) -> None:
    """Tell the edge that calls may come here."""
    while True:
        live.set_control(index, born_ms, time.time_ns() // 1_000_000)
        began = time.monotonic()
        await asyncio.sleep(BEAT_S)
        lags_s.append(max(time.monotonic() - began - BEAT_S, 0.0))


async def _probe(client: NgClient) -> None:
    """Know which media nodes are there."""
    while True:
        for node in client.nodes:
            with contextlib.suppress(Exception):
                if await client.probe(node):
                    await client.measure(node)
        await asyncio.sleep(PROBE_S)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("index", type=int)
    chosen = parser.parse_args()
    state = chosen.state.resolve()
    asyncio.run(run(state, json.loads((state / "settings.json").read_text()), chosen.index))


if __name__ == "__main__":
    main()
