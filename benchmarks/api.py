"""What the API costs, beside a bare Sanic handler that answers as much JSON.

Reads are GET of a user by a company's key; writes are PATCH of a user: authenticated, validated,
proved, durable (SQLite, FULL) and published before they are answered. Both servers are fresh
processes, asked in turns by the same clients over the same number of connections. Of each the
processor time a request and the requests a second are taken; the ratios are bare / ours, and ours /
bare. The clients share the machine with the server: on two cores the seconds are theirs, too.
"""

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from benchmarks.clients import Crowd
from benchmarks.driving import cpu_s, rss_kib
from vaxel.demo import Client
from vaxel.settings import private_settings

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 64
ROUNDS = 5
USERS = 200


class Side(NamedTuple):
    """A server under test. request(n): the n-th request's bytes."""

    pid: int
    port: int
    request: Callable[[int], bytes]


class Turn(NamedTuple):
    """One round: processor microseconds a request of the server, and requests a second."""

    cpu_us: float
    per_s: float


def run(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures."""
    count = 2000 if quick else 20_000
    with tempfile.TemporaryDirectory(prefix="vaxel-bench-") as folder, bare() as floor, \
            api(Path(folder)) as (process, client, settings):
        tenant, users, key = _company(client)
        host = b"Host: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer " \
            + key.encode() + b"\r\n"
        sides = {
            "read": (Side(floor[0], floor[1], lambda _n: _request("GET", "/row", host)),
                     Side(process, settings.api_port, lambda n: _request(
                         "GET", f"/v1/tenants/{tenant}/users/{users[n % USERS]}", host))),
            "write": (Side(floor[0], floor[1], lambda n: _request(
                          "PATCH", "/row", host, {"ring_s": 10 + n % 90})),
                      Side(process, settings.api_port, lambda n: _request(
                          "PATCH", f"/v1/tenants/{tenant}/users/{users[n % USERS]}", host,
                          {"ring_s": 10 + (n // USERS + n) % 90})))}
        found: dict[str, Any] = {}
        for name, (bare_side, ours) in sides.items():
            turns: dict[str, list[Turn]] = {"bare": [], "ours": []}
            for _ in range(ROUNDS):
                for who, side in (("bare", bare_side), ("ours", ours)):
                    turns[who].append(asyncio.run(_ask(side, count // ROUNDS)))
            middle = {who: Turn(statistics.median(one.cpu_us for one in found),
                                statistics.median(one.per_s for one in found))
                      for who, found in turns.items()}
            say(f"  {name}: {middle}")
            found |= {
                f"{name}_ratio": round(middle["bare"].cpu_us / middle["ours"].cpu_us, 3),
                f"{name}_ratio_per_s": round(middle["ours"].per_s / middle["bare"].per_s, 3),
                f"{name}_cpu_us": round(middle["ours"].cpu_us, 1),
                f"{name}_per_s": round(middle["ours"].per_s),
                f"bare_{name}_cpu_us": round(middle["bare"].cpu_us, 1),
                f"bare_{name}_per_s": round(middle["bare"].per_s)}
        found["import_users_per_s"] = _import(client, 500 if quick else 10_000, say)
    return found | _search(quick, say) | _what_if(quick, say) | clients(quick, say)


def clients(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """A thousand clients of every kind at once; see clients.py."""
    with tempfile.TemporaryDirectory(prefix="vaxel-bench-") as folder, \
            api(Path(folder)) as (process, client, settings):
        crowd = Crowd(client, settings.address, settings.api_port, 200 if quick else 1000)
        load = asyncio.run(crowd.run(5 if quick else 20))
        say(f"  clients: {load.clients}, {load.answers} answers, memory {rss_kib(process)} KiB; "
            f"failed {dict(load.failed)}")
    return {"clients_p50_ms": round(load.at(0.5), 1), "clients_p99_ms": round(load.at(0.99), 1),
            "clients_failed": load.failed.total() + load.lost + load.missed}


def _search(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    from benchmarks.directory import questions, search_ms, seeded_directory, worst
    from store import SqliteStore

    with tempfile.TemporaryDirectory(prefix="vaxel-bench-") as folder:
        store = SqliteStore(Path(folder) / "vaxel.db")
        store.migrate()
        tenant = seeded_directory(store, 5000 if quick else 100_000)
        took = sorted(search_ms(store, tenant, [*questions(300 if quick else 3000), *worst()]))
        store.close()
    say(f"  search: {len(took)} questions, the longest {took[-1]:.1f} ms")
    return {"search_ms_p50": round(took[len(took) // 2], 2),
            "search_ms_p99": round(took[int(len(took) * 0.99)], 2)}


def _what_if(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    from benchmarks import whatif

    return whatif.run(20_000 if quick else 1_000_000, say)


# -- the two servers ---------------------------------------------------------------------------

@contextlib.contextmanager
def bare() -> Iterator[tuple[int, int]]:
    """(pid, port) of the floor."""
    from vaxel.ports import free_port

    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "benchmarks.bare_sanic", str(port)], cwd=ROOT,
                          stderr=subprocess.DEVNULL) as process:
        try:
            _until(lambda: httpx.get(f"http://127.0.0.1:{port}/row").status_code == 200)
            yield process.pid, port
        finally:
            process.terminate()


@contextlib.contextmanager
def api(state: Path) -> Iterator[tuple[int, Client, Any]]:
    """(pid, the operator's client, settings) of the API, alone."""
    from routing_core import mapping
    from vaxel import settings as files

    settings = private_settings(state)
    settings.rate_per_s = settings.rate_burst = 10_000_000
    files.save(state, settings)
    with subprocess.Popen([sys.executable, "-m", "api.app", str(state)], cwd=ROOT,
                          stderr=subprocess.DEVNULL) as process:
        client = Client(settings)
        try:
            _until(lambda: bool(client.get("/health/live")))
            yield process.pid, client, settings
        finally:
            client.close()
            process.terminate()
            process.wait(20)
    mapping.remove_live(state)


def _until(up: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if up():
                return
        if time.monotonic() > until:
            raise RuntimeError("the server does not answer")
        time.sleep(0.05)


def _company(client: Client) -> tuple[int, list[int], str]:
    tenant = client.post("/tenants", {"name": "Benchmark"})["id"]
    users = [client.post(f"/tenants/{tenant}/users", {
        "name": f"User {i}", "extension": str(10_000 + i)})["id"] for i in range(USERS)]
    key = client.post("/keys", {"tenant": tenant, "name": "benchmark",
                                "rate_per_s": 100_000})["key"]
    return tenant, users, key


# -- the clients -------------------------------------------------------------------------------

def _request(method: str, path: str, headers: bytes, body: Any = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    return (f"{method} {path} HTTP/1.1\r\n".encode() + headers
            + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)


async def _ask(side: Side, count: int) -> Turn:
    numbers = iter(range(count))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
        for n in numbers:
            writer.write(side.request(n))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            at = head.lower().index(b"content-length: ") + 16
            await reader.readexactly(int(head[at:head.index(b"\r\n", at)]))
        writer.close()

    before, began = cpu_s(side.pid), time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    took = time.perf_counter() - began
    return Turn((cpu_s(side.pid) - before) / count * 1e6, count / took)


def _import(client: Client, count: int, say: Callable[[str], None]) -> int:
    tenant = client.post("/tenants", {"name": "Import"})["id"]
    document = {
        "users": [{"id": -1 - i, "name": f"User {i}", "extension": str(100_000 + i)}
                  for i in range(count)],
        "devices": [{"user": -1 - i, "name": "Desk", "username": f"import-{i}"}
                    for i in range(count)],
        "numbers": [{"e164": f"+4620{i:07d}", "kind": "direct",
                     "target": {"kind": "user", "user": -1 - i}} for i in range(count)]}
    began = time.perf_counter()
    done = client.post(f"/tenants/{tenant}/import", document)
    took = time.perf_counter() - began
    assert done["created"] == 3 * count, done
    say(f"  import: {count} users with telephone and number in {took:.1f} s")
    return round(count / took)
