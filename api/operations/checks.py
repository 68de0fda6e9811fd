"""What the exchange depends on, and how each of it is asked.

A check answers with findings; it may raise or take too long, which health.py makes a finding of.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from api.keeping.edge_rpc import EdgeRpc, EdgeRpcError
from api.operations import asking, system
from api.operations.shapes import State
from routing_core import Kernel, Live, mapping
from rtp.keys import PING, PONG
from rtp.ng import NgClient, Node
from store import SqliteStore
from store.bus import NobodyThere, ask

MEBIBYTE, GIBIBYTE = 1 << 20, 1 << 30
DAY_S: Final = 86_400
#: Ask the bus a little less long than a check may take, so that its answer says who is silent.
ANSWER_S: Final = 0.25
#: The keeper's heart beats ten times a second.
KEEPER_SILENCE_MS: Final = 3000
#: A worker of the edge waits a tenth of a second for a media node, and for nothing else so long.
BUSY_MS: Final = 2000
#: How often something is really written and synced, and how long that may take.
WRITE_EVERY_S, WRITE_SLOW_S, WRITE_STUCK_S = 5.0, 2.0, 30.0
#: Configuration is published before the API answers; a company's queues find a process in 2 s.
LAG_PATIENCE_MS, QUEUES_PATIENCE_MS = 1000, 5000
#: The keeper looks every second what is to be sent.
OVERDUE_MS, LONG_OVERDUE_MS = 60_000, 600_000


class Finding(NamedTuple):
    """How one dependency does. patience_ms: a state that does not last so long is not told."""

    name: str
    state: State = "ok"
    problem: str = ""
    facts: dict[str, float] = {}  # noqa: RUF012 (nobody writes into it)
    patience_ms: int = 0


class Around:
    """What checks look at; composed by health.py."""

    def __init__(self, state: Path, settings: dict[str, Any], store: SqliteStore, live: Live,
                 kernel: Kernel) -> None:
        self.state = state
        self.settings = settings
        self.store = store
        self.live = live
        self.kernel = kernel
        self.edge = EdgeRpc(settings["rpc_port"])
        self.media = NgClient([Node("127.0.0.1", settings["media_port"] + node)
                               for node in range(settings["media_nodes"])])
        self.disk = WrittenDisk(state)
        self.numbers = itertools.count(1)
        #: Kamailio's, when it was last asked: to be named when it does not answer.
        self.edge_pids: list[int] = []

    async def open(self) -> None:
        """The sockets for questions."""
        await self.edge.__aenter__()
        await self.media.__aenter__()

    async def close(self) -> None:
        """See open()."""
        await self.edge.__aexit__()
        await self.media.__aexit__()

    @staticmethod
    def now_ms() -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000


class WrittenDisk:
    """Now and then a few bytes are written and synced by a thread: a disk that is read-only, full
    or stuck is known before the next change of somebody's."""

    def __init__(self, state: Path) -> None:
        self._path = state / "written"
        self._began = -WRITE_EVERY_S
        self._task: asyncio.Future[float] | None = None
        self.seconds = 0.0
        self.problem = ""

    def look(self) -> tuple[State, str]:
        """What the last write has shown."""
        now = time.monotonic()
        if self._task is not None and self._task.done():
            error = self._task.exception()
            self.problem = f"nothing can be written: {error}" if error else ""
            self.seconds = 0.0 if error else self._task.result()
            self._task = None
        if self._task is None and now - self._began >= WRITE_EVERY_S:
            self._began = now
            self._task = asyncio.get_running_loop().run_in_executor(None, self._write)
        waited = now - self._began if self._task is not None else self.seconds
        if self.problem or waited > WRITE_STUCK_S:
            return "down", self.problem or f"a write has not ended for {waited:.0f} s"
        if waited > WRITE_SLOW_S:
            return "degraded", f"the disk takes {waited:.1f} s for a write"
        return "ok", ""

    def _write(self) -> float:
        began = time.monotonic()
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, str(int(began)).encode(), 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        return time.monotonic() - began


Check = Callable[[Around], Awaitable[Iterable[Finding]]]
_RANK: Final[tuple[State, ...]] = ("ok", "warning", "degraded", "down")


def worst(*found: tuple[State, str]) -> tuple[State, str]:
    """The gravest of several, with its sentence."""
    return max(found, key=lambda one: _RANK.index(one[0]))


def room(what: str, found: system.Space, *, needed: int, wanted: int) -> tuple[State, str]:
    """Whether a disk has room enough: below `needed` writes begin to fail."""
    text = f"{what} has {found.free // MEBIBYTE} MiB left of {found.total // MEBIBYTE}"
    if found.free < needed:
        return "down", text
    return ("degraded", text) if found.free < wanted else ("ok", "")


async def store(around: Around) -> list[Finding]:
    """A real read, a real write now and then, and how large it is."""
    revision = around.store.revision()
    path = around.state / "vaxel.db"
    free = system.space(around.state)
    log_bytes = system.size(path.with_name("vaxel.db-wal"))
    state, problem = worst(
        around.disk.look(),
        room("the disk of the store", free, needed=32 * MEBIBYTE, wanted=256 * MEBIBYTE),
        ("degraded", f"the write-ahead log has grown to {log_bytes // MEBIBYTE} MiB: a reader "
                     "does not end") if log_bytes > 4 * GIBIBYTE else ("ok", ""))
    return [Finding("store", state, problem, {
        "revision": revision, "bytes": system.size(path), "log_bytes": log_bytes,
        "disk_free_bytes": free.free, "write_s": round(around.disk.seconds, 6)})]


async def snapshot(around: Around) -> list[Finding]:
    """What calls are decided by, against what is stored."""
    around.kernel.refresh()
    used = around.kernel.snapshot
    wanted = mapping.generation_in_force(around.state)
    lag = around.store.revision() - used.revision
    state: State = "ok"
    problem = ""
    if used.generation != wanted:
        state, problem = "degraded", (
            f"generation {wanted} is not whole; calls are decided by {used.generation}")
    elif lag:
        state, problem = "degraded", f"{lag} stored changes are not published"
    base = around.state / f"base.{used.generation}"
    age = time.time() - base.stat().st_mtime if base.exists() else 0
    return [Finding("snapshot", state, problem, {
        "generation": used.generation, "revision": used.revision, "lag_revisions": lag,
        "age_s": round(age, 1), "bytes": used.base_bytes}, LAG_PATIENCE_MS)]


async def keeper(around: Around) -> list[Finding]:
    """Its heartbeat."""
    silent = max(around.now_ms() - around.live.heartbeat_ms, 0)
    facts: dict[str, float] = {"seen_ms_ago": silent}
    if silent > KEEPER_SILENCE_MS:
        return [Finding("keeper", "down", "it has not been seen for "
                        f"{silent // 1000} s: no call records, no media probes, no mail", facts)]
    return [Finding("keeper", facts=facts)]


async def edge(around: Around) -> list[Finding]:
    """Kamailio: its management answers, a worker answers SIP, none of them is frozen, and there is
    memory left."""
    host, port = around.settings["address"], around.settings["sip_port"]
    question = asking.options(host, port, next(around.numbers))
    try:
        async with asyncio.timeout(ANSWER_S):
            processes, memory, answer = await asyncio.gather(
                around.edge.call("core.psx"), around.edge.call("core.shmmem"),
                asking.datagram(host, port, question, ANSWER_S - 0.05))
    except (EdgeRpcError, OSError, TimeoutError):
        return [Finding("edge", "down", _and("Kamailio does not answer: no call can be set up",
                                             _frozen(around)))]
    around.edge_pids = [int(entry["PID"]) for entry in processes]
    frozen = _frozen(around)
    workers = sum(" receiver" in entry.get("DSC", "") for entry in processes)
    free = memory["free"] / max(memory["total"], 1)
    state, problem = worst(
        ("ok", "") if answer.startswith(b"SIP/2.0 ") else
        ("down", _and(f"no worker of Kamailio answers at {host}:{port}", frozen)),
        ("degraded", "; ".join(frozen)) if frozen else ("ok", ""),
        ("degraded", f"{free:.0%} of Kamailio's shared memory is left: give it more "
                     "(shared_memory_mb)") if free < 0.1 else ("ok", ""))
    return [Finding("edge", state, problem, {
        "workers": workers, "shared_memory_bytes": memory["total"],
        "shared_memory_free_bytes": memory["free"]})]


def _frozen(around: Around) -> list[str]:
    """A sentence for each process of the edge that gets on with nothing."""
    pids = set(around.edge_pids)
    now = around.now_ms()
    found = system.stopped(filter(None, map(system.process, around.edge_pids)))
    return found + [f"worker {pid} has worked on one message for {(now - since) // 1000} s"
                    for pid, since in around.live.workers()
                    if pid in pids and since and now - since > BUSY_MS]


def _and(sentence: str, more: list[str]) -> str:
    return "; ".join([sentence, *more])


async def media(around: Around) -> list[Finding]:
    """Every rtpengine: it answers, and has ports left."""
    return list(await asyncio.gather(*(_node(around, index)
                                       for index in range(len(around.media.nodes)))))


async def _node(around: Around, index: int) -> Finding:
    name = f"media{index}"
    try:
        async with asyncio.timeout(ANSWER_S):
            found = await around.media.command(around.media.nodes[index], "statistics")
    except Exception:
        return Finding(name, "down", "rtpengine does not answer: its calls have no sound")
    said = found.get("statistics", found)
    ports = [one["ports"] for one in said.get("interfaces", [])]
    free = sum(int(one["free"]) for one in ports)
    total = sum(int(one["totals"]) for one in ports)
    facts: dict[str, float] = {"sessions": int(said["currentstatistics"]["sessionstotal"]),
                               "ports_free": free, "ports": total}
    if not around.live.media_up >> index & 1:
        return Finding(name, "degraded", "it answers, but is not in use", facts, 1000)
    if free < total // 20:
        return Finding(name, "degraded", f"{free} of its {total} ports are left", facts)
    return Finding(name, facts=facts)


async def control(around: Around) -> list[Finding]:
    """Every process of call control: heartbeat, and an answer to a question."""
    return list(await asyncio.gather(*(_control(around, index) for index in range(
        around.settings["control_processes"]))))


async def _control(around: Around, index: int) -> Finding:
    name = f"control{index}"
    if not around.live.control(index, around.now_ms()):
        return Finding(name, "down", "no heartbeat: others take its calls")
    try:
        said = await ask(around.state, f"control.{index}", {"do": "metrics"}, ANSWER_S)
    except NobodyThere:
        return Finding(name, "degraded", "its heart beats, but it does not answer questions",
                       patience_ms=1000)
    return Finding(name, facts={"calls": said.get("calls", 0),
                                "companies": said.get("companies", 0),
                                "queue_companies": said.get("queue_companies", 0)})


async def queues(around: Around) -> list[Finding]:
    """Every company that has queues has a process that owns them."""
    now = around.now_ms()
    companies = {tenant for (tenant,) in around.store.select(
        "service", ("tenant",), order="tenant", kind="queue")}
    without = sum(around.live.owner(tenant, now) < 0 for tenant in companies)
    facts: dict[str, float] = {"companies": len(companies), "companies_without_owner": without}
    if without:
        return [Finding("queues", "degraded",
                        f"the queues of {without} companies are in no process", facts,
                        QUEUES_PATIENCE_MS)]
    return [Finding("queues", facts=facts)]


async def mixer(around: Around) -> list[Finding]:
    """Janus, which conferences are mixed in."""
    try:
        async with asyncio.timeout(ANSWER_S):
            await asking.mixer(around.state / "mixer" / "api")
    except (OSError, ValueError):  # TimeoutError is an OSError
        return [Finding("mixer", "down", "Janus does not answer: there are no conferences")]
    return [Finding("mixer")]


async def keys(around: Around) -> list[Finding]:
    """Who passes pressed keys on."""
    try:
        said = await asking.datagram("127.0.0.1", around.settings["keys_port"], PING, ANSWER_S)
    except OSError:
        said = b""
    if said != PONG:
        return [Finding("keys", "down", "nobody passes pressed keys on: menus hear nothing")]
    return [Finding("keys")]


async def deliveries(around: Around) -> list[Finding]:
    """Mail, SMS and webhooks are sent when they are due."""
    waiting = around.store.waiting_deliveries()
    overdue = max((around.now_ms() - one.due_ms for one in waiting), default=0)
    facts: dict[str, float] = {"waiting": sum(one.number for one in waiting),
                               "oldest_due_s": max(overdue, 0) // 1000}
    if overdue < OVERDUE_MS:
        return [Finding("deliveries", facts=facts)]
    return [Finding("deliveries", "degraded" if overdue > LONG_OVERDUE_MS else "warning",
                    f"the oldest should have been sent {overdue // 1000} s ago", facts)]


async def certificate(around: Around) -> list[Finding]:
    """That of SIP over TLS and of secure WebSockets."""
    try:
        ends = system.expiry(around.state / "edge" / "certificate.pem")
    except (OSError, ValueError):
        return [Finding("certificate", "degraded", "it cannot be read: there is no SIP over TLS")]
    left = (ends - datetime.now(UTC)).total_seconds()
    facts: dict[str, float] = {"expires_in_s": int(left)}
    if left <= 0:
        return [Finding("certificate", "degraded",
                        f"it has been invalid since {ends:%Y-%m-%d %H:%M} UTC", facts)]
    if left < 21 * DAY_S:
        return [Finding("certificate", "warning", f"it ends on {ends:%Y-%m-%d}", facts)]
    return [Finding("certificate", facts=facts)]


async def clock(_around: Around) -> list[Finding]:
    """Records, schedules and second factors go by it."""
    if system.synchronised() is False:
        return [Finding("clock", "warning", "it is not synchronised (NTP)")]
    return [Finding("clock")]


async def recordings(around: Around) -> list[Finding]:
    """Where recordings and captures are written."""
    free = system.space(around.state / "recordings")
    state, problem = room("the disk of recordings", free, needed=128 * MEBIBYTE, wanted=GIBIBYTE)
    return [Finding("recordings", state, problem, {"disk_free_bytes": free.free,
                                                   "disk_bytes": free.total})]


async def trunks(around: Around) -> list[Finding]:
    """How many are down; which ones, the operator sees under /v1/operations/trunks."""
    now = int(time.time())
    ids = [id_ for (id_,) in around.store.select("trunk", ("id",), enabled=1)]
    down = sum(around.live.trunk_down_until(id_) > now for id_ in ids)
    facts: dict[str, float] = {"trunks": len(ids), "down": down}
    if not down:
        return [Finding("trunks", facts=facts)]
    return [Finding("trunks", "degraded" if down == len(ids) else "warning",
                    f"{down} of {len(ids)} trunks are down", facts)]


#: In the order in which they are shown.
CHECKS: Final[dict[str, Check]] = {
    "store": store, "snapshot": snapshot, "keeper": keeper, "edge": edge, "media": media,
    "control": control, "queues": queues, "mixer": mixer, "keys": keys, "deliveries": deliveries,
    "certificate": certificate, "clock": clock, "recordings": recordings, "trunks": trunks}
#: Without these no call can be set up, or nothing of it be known.
ESSENTIAL: Final = frozenset({"store", "snapshot", "edge"})
#: Without these the API can do nothing for a request.
READY: Final = frozenset({"store", "snapshot"})
