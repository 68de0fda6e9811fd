"""Health tells the truth: each part of a real exchange is stopped or broken in turn, and health
names it, with nothing of its own hurt; afterwards all is well again."""

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import pytest

from api.operations import checks, system
from api.operations.checks import Around, Finding, WrittenDisk, room, worst
from api.operations.health import BOUND_S, Health
from api.operations.shapes import Dependency
from routing_core import mapping
from store import SqliteStore
from store.bus import ask
from store.model import Delivery
from tests.exchange import Exchange, eventually, refused

Found = TypeVar("Found")
#: A stopped part is named after its silence, which is 3 s at most, and a look.
NAMED_S = 10.0


class Watcher:
    """Health of an exchange, looked at from here, in a loop of its own."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.health = self.run(self._open())

    async def _open(self) -> Health:
        made = Health(around(self.exchange))
        await made.open()
        return made

    def run(self, awaited: Awaitable[Found]) -> Found:
        """The result of something asynchronous."""
        async def wait() -> Found:
            return await awaited

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(20)

    def look(self) -> dict[str, Dependency]:
        """Every part by name, asked now."""
        self.health._looked_s = -100.0
        self.run(self.health.look())
        return {one.name: one for one in self.health.dependencies}

    def problem(self, name: str, state: str = "down") -> str:
        """What is said of a part once it is in that state."""
        return str(eventually(
            lambda: (found := self.look()[name]).state == state and (found.problem or "-"),
            NAMED_S))

    def well(self) -> bool:
        """Whether there is nothing to say but of this machine's clock."""
        return {one.name for one in self.look().values() if one.state != "ok"} <= {"clock"}

    def check(self, check: checks.Check, **replaced: Any) -> Finding:
        """What one check finds, with something around it replaced."""
        async def wait() -> Finding:
            made = around(self.exchange)
            for name, value in replaced.items():
                setattr(made, name, value)
            await made.open()
            try:
                return next(iter(await check(made)))
            finally:
                await made.close()

        return self.run(wait())

    def close(self) -> None:
        """The end."""
        self.run(self.health.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def around(exchange: Exchange) -> Around:
    """The surroundings of that exchange's API."""
    return Around(exchange.state, msgspec.to_builtins(exchange.settings),
                  SqliteStore(exchange.state / "vaxel.db"), mapping.open_live(exchange.state),
                  mapping.open_kernel(exchange.state))


@pytest.fixture(scope="module")
def own() -> Iterator[Exchange]:
    """An exchange that may be hurt."""
    with Exchange() as exchange:
        exchange.trunk("127.0.0.2", 5060)
        yield exchange


@pytest.fixture(scope="module")
def watcher(own: Exchange) -> Iterator[Watcher]:
    """Who looks at it."""
    made = Watcher(own)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Processes that are there and do nothing."""
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def pid_of(exchange: Exchange, name: str) -> int:
    """Of a process that answers on the bus."""
    return int(asyncio.run(ask(exchange.state, name, {"do": "metrics"}))["pid"])


def janus(exchange: Exchange) -> list[int]:
    """The mixer: its command line does not say whose it is, its directory does."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == exchange.state / "mixer":
                found.append(int(entry.name))
    return found


# -- a real exchange, and each of its parts ----------------------------------------------------

def test_all_is_well(own: Exchange, watcher: Watcher) -> None:
    eventually(watcher.well, NAMED_S)
    found = watcher.look()
    assert set(found) == {
        "store", "snapshot", "keeper", "edge", "media0", "control0", "control1", "queues", "mixer",
        "keys", "deliveries", "certificate", "clock", "recordings", "trunks"}
    assert watcher.health.status == "ok"
    assert found["edge"].facts["workers"] == 3 + 1  # UDP and TCP
    assert found["edge"].facts["shared_memory_free_bytes"] > 64 << 20
    assert found["media0"].facts["ports_free"] > 10 and found["media0"].facts["sessions"] == 0
    assert found["snapshot"].facts["lag_revisions"] == 0
    assert found["store"].facts["log_bytes"] > 4096 and found["store"].facts["disk_free_bytes"] > 0
    assert found["trunks"].facts == {"trunks": 1, "down": 0}
    assert 700 < found["certificate"].facts["expires_in_s"] / 86400 < 826
    assert all(one.problem == "" for one in found.values() if one.state == "ok")


@pytest.mark.parametrize(("part", "program", "status", "said"), [
    ("edge", "kamailio", "down", "Kamailio does not answer"),
    ("media0", "rtpengine", "degraded", "no sound"),
    ("keeper", "api.keeper", "degraded", "not been seen"),
    ("mixer", "janus", "degraded", "conferences")])
def test_a_part_that_is_stopped_is_named(own: Exchange, watcher: Watcher, part: str, program: str,
                                         status: str, said: str) -> None:
    eventually(watcher.well, NAMED_S)
    pids = janus(own) if program == "janus" else own.pids(program)
    before = watcher.health.around.now_ms()
    with stopped(pids):
        assert said in watcher.problem(part)
        assert watcher.health.status == status
        assert watcher.look()[part].since_ms >= before
    eventually(lambda: watcher.look()[part].state == "ok", NAMED_S)
    eventually(watcher.well, NAMED_S)


def test_call_control_stops_and_its_queues_are_nobodys(own: Exchange, watcher: Watcher) -> None:
    company = own.company()
    company.post("services", {"name": "Support", "settings": {"type": "queue"}})
    eventually(lambda: watcher.look()["queues"].facts["companies_without_owner"] == 0
               and watcher.look()["queues"].facts["companies"] == 1)
    pids = [pid_of(own, f"control.{index}") for index in range(2)]
    with stopped(pids[:1]):
        assert "no heartbeat" in watcher.problem("control0")
        assert watcher.look()["control1"].state == "ok" and watcher.health.status == "degraded"
    with stopped(pids):
        watcher.problem("control1")
        found = watcher.check(checks.queues)
        assert found.state == "degraded" and "1 companies are in no process" in found.problem
    eventually(watcher.well, NAMED_S)


def test_a_worker_that_is_stuck_is_no_healthy_edge(own: Exchange, watcher: Watcher) -> None:
    """Its management answers all the while."""
    processes: Any = watcher.run(watcher.health.around.edge.call("core.psx"))
    readers = [one["PID"] for one in processes if one["DSC"].startswith("udp receiver")]
    with stopped(readers):
        assert "no worker of Kamailio answers" in watcher.problem("edge")
    eventually(watcher.well, NAMED_S)


def test_everything_stopped_is_known_within_the_bound(own: Exchange, watcher: Watcher) -> None:
    pids = [*own.pids("kamailio"), *own.pids("rtpengine"), *janus(own),
            *(pid_of(own, f"control.{index}") for index in range(2))]
    with stopped(pids):
        eventually(lambda: watcher.look()["edge"].state == "down", NAMED_S)
        began = time.monotonic()
        watcher.look()
        took_s = time.monotonic() - began
    assert BOUND_S / 2 < took_s < BOUND_S + 0.3, f"{took_s:.2f} s"
    eventually(watcher.well, NAMED_S)


def test_a_generation_that_is_not_whole(own: Exchange, watcher: Watcher) -> None:
    before = mapping.generation_in_force(own.state)
    bad = before + 1
    body = bytearray((own.state / f"base.{before}").read_bytes())
    body[len(body) // 2] ^= 0xFF
    (own.state / f"base.{bad}").write_bytes(body)
    (own.state / f"overlay.{bad}").write_bytes((own.state / f"overlay.{before}").read_bytes())
    mapping.put_in_force(own.state, bad)
    try:
        assert f"generation {bad} is not whole" in watcher.problem("snapshot", "degraded")
    finally:
        mapping.put_in_force(own.state, before)
        (own.state / f"base.{bad}").unlink()
        (own.state / f"overlay.{bad}").unlink()
    eventually(watcher.well, NAMED_S)


def test_trunks_that_are_down_are_counted(own: Exchange, watcher: Watcher) -> None:
    first = own.client.get("/trunks")["items"][0]["id"]
    second = own.trunk("127.0.0.3", 5060)
    until = int(time.time()) + 60
    own.live.set_trunk_down(first, until)
    assert watcher.problem("trunks", "warning") == "1 of 2 trunks are down"
    assert watcher.health.status == "ok"
    own.live.set_trunk_down(second, until)
    assert watcher.problem("trunks", "degraded") == "2 of 2 trunks are down"
    assert "127.0.0" not in str(watcher.look())  # which ones, only the operator is told
    for trunk in (first, second):
        own.live.set_trunk_down(trunk, 0)
    eventually(watcher.well, NAMED_S)


# -- a store with something wrong --------------------------------------------------------------

@pytest.fixture
def copy(own: Exchange, tmp_path: Path) -> Iterator[SqliteStore]:
    """A copy of the exchange's store, to be changed alone."""
    source = sqlite3.connect(own.state / "vaxel.db")
    source.execute("VACUUM INTO ?", (str(tmp_path / "vaxel.db"),))
    source.close()
    store = SqliteStore(tmp_path / "vaxel.db")
    try:
        yield store
    finally:
        store.close()


def test_changes_that_are_not_published(watcher: Watcher, copy: SqliteStore) -> None:
    for _ in range(2):
        copy.change("test", 1, "not published", lambda writer: None)
    found = watcher.check(checks.snapshot, store=copy)
    assert (found.state, found.problem) == ("degraded", "2 stored changes are not published")
    assert found.facts["lag_revisions"] == 2


@pytest.mark.parametrize(("late_s", "state"), [
    (-60, "ok"), (5, "ok"), (90, "warning"), (1200, "degraded")])
def test_what_should_have_been_sent(watcher: Watcher, copy: SqliteStore, late_s: int,
                                    state: str) -> None:
    now = time.time_ns() // 1_000_000
    copy.add_deliveries([Delivery(tenant=1, kind="mail", to="a@example.org", body="x",
                                  created_ms=now, next_ms=now - 1000 * late_s)])
    found = watcher.check(checks.deliveries, store=copy)
    assert found.state == state and found.facts["waiting"] == 1
    assert abs(found.facts["oldest_due_s"] - max(late_s, 0)) <= 5


def test_a_store_that_cannot_be_read(own: Exchange, watcher: Watcher, copy: SqliteStore) -> None:
    copy.close()

    async def shown() -> tuple[str, str, bool]:
        made = around(own)
        made.store = copy
        health = Health(made, {"store": checks.store})
        found = await health.shown()
        return found.status, found.store, (await health.ready()).ready

    assert watcher.run(shown()) == ("down", "down", False)


def test_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    async def look() -> tuple[str, str]:
        disk = WrittenDisk(tmp_path / "gone")
        assert disk.look() == ("ok", "")  # under way
        while disk._task is not None and not disk._task.done():
            await asyncio.sleep(0)
        return disk.look()

    state, problem = asyncio.run(look())
    assert state == "down" and "nothing can be written" in problem


def test_a_disk_is_really_written(tmp_path: Path) -> None:
    async def look() -> WrittenDisk:
        disk = WrittenDisk(tmp_path)
        disk.look()
        assert disk._task is not None
        await disk._task
        disk.look()
        return disk

    disk = asyncio.run(look())
    assert disk.seconds > 0 and not disk.problem and (tmp_path / "written").stat().st_size > 0


@pytest.mark.parametrize(("free", "state"), [(5, "down"), (50, "degraded"), (500, "ok")])
def test_room_on_a_disk(free: int, state: str) -> None:
    found = room("the disk", system.Space(free, 1000), needed=10, wanted=100)
    assert found[0] == state and bool(found[1]) == (state != "ok")
    assert worst(found, ("ok", ""))[0] == state


def test_nobody_passes_keys_on(watcher: Watcher) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = watcher.check(checks.keys, settings={"keys_port": port})
    assert (found.name, found.state) == ("keys", "down")


# -- certificates ------------------------------------------------------------------------------

def certificate(folder: Path, days: int) -> Path:
    """One that ends then."""
    path = folder / "edge" / "certificate.pem"
    path.parent.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", str(abs(days)), "-subj", "/CN=x",
                    "-keyout", str(folder / "key.pem"), "-out", str(path)], check=True,
                   capture_output=True)
    if days < 0:  # openssl makes none that has ended: another date, which nobody has signed
        ended = datetime.now(UTC) + timedelta(days=days)
        der = ssl.PEM_cert_to_DER_cert(path.read_text())
        path.write_text(ssl.DER_cert_to_PEM_cert(der.replace(
            system.expiry(path).strftime("%y%m%d%H%M%SZ").encode(),
            ended.strftime("%y%m%d%H%M%SZ").encode())))
    return path


@pytest.mark.parametrize(("days", "state"), [(-3, "degraded"), (5, "warning"), (400, "ok"),
                                             (20_000, "ok")])
def test_a_certificate_ends(watcher: Watcher, tmp_path: Path, days: int, state: str) -> None:
    ends = system.expiry(certificate(tmp_path, days))
    assert abs(ends - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=2)
    found = watcher.check(checks.certificate, state=tmp_path)
    assert found.state == state and (f"{ends:%Y-%m-%d}" in found.problem) == (state != "ok")


@pytest.mark.parametrize("text", [
    "", "no certificate",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\n" + "A" * 400 + "\n-----END CERTIFICATE-----\n"],
    ids=["empty", "text", "short", "zeros"])
def test_what_is_no_certificate(tmp_path: Path, text: str) -> None:
    path = tmp_path / "certificate.pem"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"\w"):
        system.expiry(path)


# -- looking -----------------------------------------------------------------------------------

def bare(own: Exchange, **asked: checks.Check) -> Health:
    """Health with other checks."""
    return Health(around(own), asked)


def test_who_asks_often_gets_what_was_found(own: Exchange) -> None:
    runs = 0

    async def counted(_around: Around) -> list[Finding]:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        return [Finding("one")]

    async def many() -> None:
        health = bare(own, one=counted)
        await asyncio.gather(*(health.look() for _ in range(1000)))
        await health.look()

    asyncio.run(many())
    assert runs == 1


def test_a_check_that_hangs_or_fails_is_a_finding(own: Exchange) -> None:
    async def hangs(_around: Around) -> list[Finding]:
        await asyncio.Event().wait()
        return []

    async def fails(_around: Around) -> list[Finding]:
        raise RuntimeError("with a secret in it")

    async def look() -> list[Dependency]:
        health = bare(own, hangs=hangs, fails=fails)
        await health.look()
        return health.dependencies

    found = asyncio.run(look())
    assert [(one.name, one.state, one.problem) for one in found] == [
        ("hangs", "down", "no answer within 300 ms"),
        ("fails", "down", "it cannot be looked at: RuntimeError")]


def test_a_state_that_does_not_last_is_not_told(own: Exchange) -> None:
    health = bare(own)

    def told(state: Any, at_ms: int) -> Dependency:
        health.at_ms = at_ms
        return health._told(Finding("one", state, "why", patience_ms=500))

    assert told("ok", 1000).state == "ok"
    assert (told("down", 2000).state, told("down", 2499).state) == ("ok", "ok")
    assert (told("down", 2500).state, told("down", 9000).since_ms) == ("down", 2000)
    assert told("ok", 9500).since_ms == 9500
    assert told("down", 9600).state == "ok"


# -- over HTTP ---------------------------------------------------------------------------------

def test_health_needs_no_key_and_tells_no_secret(own: Exchange, watcher: Watcher) -> None:
    eventually(watcher.well, NAMED_S)
    base = f"http://{own.settings.address}:{own.settings.api_port}/v1/health"
    answer = eventually(lambda: (got := httpx.get(base)).json()["status"] == "ok" and got)
    body = answer.json()
    assert answer.status_code == 200 and body["store"] == "ok"
    assert body["media_nodes_up"] == 1 and body["keeper_seen_ms_ago"] < 3000
    assert body["revision"] == body["published"] > 0
    assert {one["name"] for one in body["dependencies"]} == set(watcher.look())
    assert not any(one["facts"] or one["problem"] for one in body["dependencies"]), "a stranger"
    assert any(one["facts"] for one in own.client.get("/health")["dependencies"])
    for secret in (own.settings.api_key, own.settings.digest_key, str(own.state), "127.0.0.2"):
        assert secret not in answer.text
    assert httpx.get(f"{base}/live").json() == {"status": "ok"}
    ready = httpx.get(f"{base}/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "problems": []})


def test_an_exchange_without_its_edge_is_down_and_the_api_ready(own: Exchange) -> None:
    base = f"http://{own.settings.address}:{own.settings.api_port}/v1/health"
    with stopped(own.pids("kamailio")):
        eventually(lambda: httpx.get(base).json()["status"] == "down")
        assert httpx.get(f"{base}/ready").status_code == 200
        assert httpx.get(f"{base}/live").status_code == 200
    eventually(lambda: httpx.get(base).json()["status"] == "ok")


def test_the_operator_sees_which_trunk_is_down(own: Exchange) -> None:
    trunk = own.trunk("127.0.0.4", 5060, ping=True)
    own.live.set_trunk_down(trunk, int(time.time()) + 60)
    page = own.client.get("/operations/trunks", after=trunk - 1)
    assert page["next"] is None and [one["id"] for one in page["items"]] == [trunk]
    assert page["items"][0]["state"] == "down" and page["items"][0]["host"] == "127.0.0.4"
    own.live.set_trunk_down(trunk, 0)
    company = own.company()
    key = own.client.post("/keys", {"name": "its own", "tenant": company.id})["key"]
    answer = httpx.get(f"http://{own.settings.address}:{own.settings.api_port}"
                       "/v1/operations/trunks", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 403
    problem = refused(own.client, "GET", "/operations/trunks?limit=0", None)
    assert problem["field"] == "limit"
