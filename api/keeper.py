"""The keeper: what has to be looked after while calls run. python -m api.keeper STATE

Writes call records, ends dead sessions, probes media nodes and trunks, registers trunks, converts
recordings and voice messages, sends mail, SMS and events, deletes what is old. Every job is a loop
of its own; a job that fails is logged and tried again, and does not stop the others. Killed at any
moment, it goes on where it was.
"""

import argparse
import asyncio
import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from api.calls.places import ways_of
from api.figures.counting import Counting
from api.keeping.deliveries import Deliveries
from api.keeping.deposits import Deposits
from api.keeping.edge_rpc import EdgeRpc, EdgeRpcError
from api.keeping.hooks import Hooks
from api.keeping.recordings import Recordings
from api.keeping.records import Collector
from api.keeping.retention import Retention
from api.keeping.sessions import Sessions
from api.keeping.trunks import Trunks
from routing_core import Kernel, mapping
from rtp import audio
from rtp.errors import MediaError
from rtp.ng import NgClient, Node
from store import SqliteStore
from store.bus import BusServer
from store.calls import Way
from store.model import CallRecord

log = structlog.get_logger()

COLLECT_S, MEDIA_S, TRUNKS_S, SESSIONS_S, RECORDINGS_S = 0.1, 0.2, 1.0, 2.0, 1.0
CONTROL_S = 0.5
FAILURES_S = 60.0
AUTH_FAILED = 4  # kemi.names.Counter.AUTH_FAILED
COUNT_S, COUNT_CALLS_S = 5.0, 60.0
DELIVERIES_S, HOOKS_S, RETENTION_S, TIDY_S = 1.0, 0.2, 60.0, 600.0
#: Events are kept so long, and so many of them.
EVENTS_MS, EVENTS = 30 * 24 * 3_600_000, 1_000_000
#: How late so many naps between collections were is remembered, for metrics: 15 s.
LAGS = 150


class Keeper:
    """The jobs and what they share."""

    def __init__(self, state: Path, edge: EdgeRpc, media: NgClient, deliveries: Deliveries,
                 hooks: Hooks) -> None:
        self.state = state
        self.live = mapping.open_live(state)
        self.store = deliveries.store
        self.deliveries = deliveries
        self.hooks = hooks
        self.edge = edge
        self.media = media
        self.collector = Collector(self.live, self.store, self._ways)
        self.counting = Counting(SqliteStore(state / "vaxel.db"))  # in a fourth
        self._kernel: Kernel | None = None
        self.sessions = Sessions(self.live, edge)
        self.trunks = Trunks(self.live, self.store, edge)
        self.recordings = Recordings(state, SqliteStore(state / "vaxel.db"))  # in a thread
        self.purge = Deposits(state, SqliteStore(state / "vaxel.db"))  # in another
        self.retention = Retention(state, SqliteStore(state / "vaxel.db"))  # in a third
        self.records = self.captures = 0
        self._auth_failed = self.live.counter(AUTH_FAILED)
        self.jobs: dict[str, list[float]] = {}  # name: [done, failed, seconds of the last]
        self.lags_s: deque[float] = deque(maxlen=LAGS)

    def _ways(self, record: CallRecord) -> list[Way]:
        """By what is in force now."""
        if self._kernel is None:
            self._kernel = mapping.open_kernel(self.state)
        return ways_of(self._kernel, record)

    async def collect(self) -> None:
        """Records of ended calls."""
        self.live.heartbeat_ms = time.time_ns() // 1_000_000
        self.records += self.collector.collect()

    async def probe_media(self) -> None:
        """Take a silent media node out of use within a second, and back when it answers."""
        bits = self.live.media_up
        answers = await asyncio.gather(*(self.media.probe(node) for node in self.media.nodes))
        now = sum(1 << i for i, up in enumerate(answers) if up)
        self.live.media_up = now
        for i, node in enumerate(self.media.nodes):
            if (bits ^ now) >> i & 1:
                log.warning("media node", node=node.port, up=bool(now >> i & 1))
                try:
                    await self.edge.call("rtpengine.enable", f"udp:{node.host}:{node.port}",
                                         now >> i & 1)
                except EdgeRpcError as error:
                    log.info("edge not told", error=str(error))

    async def look_at_trunks(self) -> None:
        """See trunks.py."""
        await self.trunks.look(int(time.time()))

    async def watch_sessions(self) -> None:
        """See sessions.py."""
        now_ms = time.time_ns() // 1_000_000
        await self.sessions.expire(now_ms)
        nodes = self.media.nodes
        try:
            lists = await asyncio.gather(*(self.media.calls(node) for node in nodes))
        except MediaError:
            return  # a node that does not answer may know any call
        known = {call for calls in lists for call in calls}
        await self.sessions.media_gone(known, now_ms)
        orphans = self.sessions.media_orphans(known)
        for node, calls in zip(nodes, lists, strict=True):
            for call in orphans.intersection(calls):
                log.warning("media without a call", uid=call)
                with contextlib.suppress(MediaError):
                    named: dict[str, Any] = {"call-id": call, "delete-delay": 0}
                    await self.media.command(node, "delete", **named)

    async def tell_failures(self) -> None:
        """Failed sign-ins of telephones: a line a minute at the most, however many there are. Names
        that nobody has are counted and not told: a stranger has made them up."""
        failed = self.live.counter(AUTH_FAILED)
        if failed != self._auth_failed:
            log.warning("failed sign-ins", count=failed - self._auth_failed,
                        devices=self.live.take_guessed())
        self._auth_failed = failed

    async def watch_control(self) -> None:
        """See sessions.py."""
        await self.sessions.control_gone(time.time_ns() // 1_000_000)

    async def take_recordings(self) -> None:
        """See recordings.py; converting is done in a thread, one at a time."""
        everything = True
        for i, node in enumerate(self.media.nodes):
            folder = self.state / "media" / f"node{i}"
            found = self.recordings.finished(folder)
            try:
                known = set(await self.media.calls(node))
                found += self.recordings.left_behind(folder, known, time.time())
            except MediaError:
                everything = False
                continue
            if found:
                await asyncio.to_thread(self.recordings.take, found, known, time.time())
                self.captures += len(found)
        if everything:  # what is left has no capture
            await asyncio.to_thread(self.recordings.deposits.give_up, time.time_ns() // 1_000_000)

    async def send(self) -> None:
        """See deliveries.py."""
        self.deliveries.start_due()

    async def tell(self) -> None:
        """See hooks.py."""
        self.hooks.start_due()

    async def retain(self) -> None:
        """See retention.py."""
        await asyncio.to_thread(self.retention.apply, time.time_ns() // 1_000_000)

    async def count(self) -> None:
        """Figures of queues and agents, from events; see figures/counting.py."""
        while await asyncio.to_thread(self.counting.count_events):
            pass

    async def count_calls(self) -> None:
        """Figures of numbers, groups and users, from call records."""
        while await asyncio.to_thread(self.counting.count_calls):
            pass

    async def tidy(self) -> None:
        """Remove what nobody needs any more."""
        now_ms = time.time_ns() // 1_000_000
        for _ in range(100):
            if not self.store.purge_events(now_ms - EVENTS_MS, EVENTS):
                break
            await asyncio.sleep(0)
        self.deliveries.purge()
        self.hooks.tidy()
        for _ in range(100):
            if not self.store.purge_answers(now_ms):
                break
            await asyncio.sleep(0)
        await asyncio.to_thread(self.purge.purge, now_ms)
        await asyncio.to_thread(self.counting.purge, now_ms)
        await asyncio.to_thread(audio.sweep, self.state / "prompts", time.time())

    async def asked(self, question: dict[str, Any]) -> dict[str, Any]:
        """Answers the bus: {"do": "metrics"}."""
        if question.get("do") != "metrics":
            return {"error": "unknown question"}
        return {"pid": os.getpid(), "lag_s": round(max(self.lags_s, default=0.0), 6),
                "records": self.records, "captures": self.captures, "jobs": self.jobs}

    async def run(self) -> None:
        """All jobs, until cancelled."""
        await asyncio.gather(
            self._every(COLLECT_S, self.collect, self.lags_s),
            self._every(MEDIA_S, self.probe_media), self._every(TRUNKS_S, self.look_at_trunks),
            self._every(SESSIONS_S, self.watch_sessions),
            self._every(CONTROL_S, self.watch_control),
            self._every(FAILURES_S, self.tell_failures),
            self._every(RECORDINGS_S, self.take_recordings),
            self._every(DELIVERIES_S, self.send), self._every(HOOKS_S, self.tell),
            self._every(COUNT_S, self.count), self._every(COUNT_CALLS_S, self.count_calls),
            self._every(RETENTION_S, self.retain), self._every(TIDY_S, self.tidy))

    async def _every(self, seconds: float, job: Callable[[], Awaitable[None]],
                     lags_s: deque[float] | None = None) -> None:
        name = getattr(job, "__name__", "job")
        runs = self.jobs.setdefault(name, [0, 0, 0.0])
        while True:
            began = time.monotonic()
            try:
                await job()
                runs[0] += 1
            except Exception:
                runs[1] += 1
                log.exception("job failed", job=name)
            ended = time.monotonic()
            runs[2] = round(ended - began, 6)
            await asyncio.sleep(seconds)
            if lags_s is not None:
                lags_s.append(max(time.monotonic() - ended - seconds, 0.0))


async def _main(state: Path) -> None:
    settings = json.loads((state / "settings.json").read_text())
    nodes = [Node("127.0.0.1", settings["media_port"] + i)
             for i in range(settings["media_nodes"])]
    store = SqliteStore(state / "vaxel.db")
    async with (EdgeRpc(settings["rpc_port"]) as edge, NgClient(nodes) as media,
                Deliveries(state, store, settings) as deliveries,
                Hooks(store, deliveries.outside) as hooks):
        keeper = Keeper(state, edge, media, deliveries, hooks)
        async with BusServer(state, "keeper", keeper.asked):
            await keeper.run()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    asyncio.run(_main(parser.parse_args().state.resolve()))


if __name__ == "__main__":
    main()
