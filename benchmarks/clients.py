"""Many clients at once: readers, writers, searches, presence, long polls, WebSockets and nonsense.

Each does its kind of thing, waits a moment and does it again, over a connection that it keeps. What
it was answered is held against what is there afterwards: a write that was acknowledged is there,
and nobody who follows the events is left out.
"""

import asyncio
import json
import random
import resource
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchmarks.connection import Answer, Connection
from vaxel.demo import Client

COMPANIES: Final = 10
#: Of each company, of a hundred clients.
KINDS: Final = {"read": 30, "change": 25, "list": 6, "search": 9, "presence": 8, "poll": 10,
                "stream": 5, "nonsense": 7}
#: Between two requests of a client, on average.
PAUSE_S: Final = 2.0
#: A poll waits so long for the first event.
POLL_S: Final = 5
#: Nobody has learnt anything from an answer as late as that.
PATIENCE_S: Final = 30.0


class Load(NamedTuple):
    """How it went. failed: answers that were not the right ones, with what they were, and how often
    each came; writes: those that were acknowledged; lost: of them; missed: events that somebody who
    follows was not told; ms: of answers that nobody had to wait for, in order."""

    clients: int
    answers: int
    writes: int
    lost: int
    missed: int
    events: int
    failed: Counter[str]
    ms: list[float]

    def at(self, share: float) -> float:
        """The time within which that share was answered."""
        return self.ms[min(int(len(self.ms) * share), len(self.ms) - 1)]


class Firm:
    """A company with users, its key, and what was acknowledged there."""

    def __init__(self, client: Client, number: int, users: int) -> None:
        self.id = client.post("/tenants", {"name": f"Firm {number}"})["id"]
        self.base = f"/v1/tenants/{self.id}"
        made = client.post(f"/tenants/{self.id}/import", {
            "users": [{"id": -1 - at, "name": f"User {at}", "extension": str(1000 + at)}
                      for at in range(users)],
            "contacts": [{"id": -1 - at, "name": f"Customer {at}"} for at in range(200)]})
        self.users = list(made["ids"]["users"].values())
        self.key = client.post("/keys", {"tenant": self.id, "name": "load",
                                         "rate_per_s": 100_000})["key"]
        self.ring_s: dict[int, int] = {}
        self.notes: dict[int, str] = {}
        #: The events that each of those who follow was told.
        self.told: list[list[int]] = []


class Crowd:
    """The clients of one run."""

    def __init__(self, client: Client, host: str, port: int, clients: int) -> None:
        """Companies and users are made at once; everybody's files fit."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 3 * clients + 500
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
        self._host, self._port = host, port
        per = clients // COMPANIES
        self._per = {kind: max(share * per // 100, 1) for kind, share in KINDS.items()}
        self._firms = [Firm(client, number, per) for number in range(COMPANIES)]
        self._failed: Counter[str] = Counter()
        self._ms: list[float] = []
        self._answers = self._writes = 0
        self._until = 0.0

    async def run(self, seconds: float) -> Load:
        """All of them, for so long; then what is there is looked at."""
        self._until = time.perf_counter() + seconds
        kinds: dict[str, Callable[[Firm, int], Awaitable[None]]] = {
            "poll": self._poll, "stream": self._stream}
        crowd = [kinds[kind](firm, number) if kind in kinds
                 else self._again(getattr(self, f"_{kind}"), firm, number)
                 for firm in self._firms for kind, count in self._per.items()
                 for number in range(count)]
        await asyncio.gather(*crowd)
        lost = missed = events = 0
        for firm in self._firms:
            async with Connection(self._host, self._port, firm.key) as connection:
                lost += await self._lost(connection, firm)
                there = await self._events(connection, firm)
            events += len(there)
            missed += sum(seqs != there[:len(seqs)] for seqs in firm.told)
        return Load(len(crowd), self._answers, self._writes, lost, missed, events, self._failed,
                    sorted(self._ms))

    # -- clients that ask and pause -----------------------------------------------------------

    async def _again(self, one: Callable[..., Awaitable[None]], firm: Firm, number: int) -> None:
        rng = random.Random(f"{one.__name__} {firm.id} {number}")
        await asyncio.sleep(rng.uniform(0, PAUSE_S))  # not all of them at the same moment
        async with Connection(self._host, self._port, firm.key) as connection:
            while time.perf_counter() < self._until:
                await one(connection, firm, number, rng)
                await asyncio.sleep(rng.uniform(0, 2 * PAUSE_S))

    async def _ask(self, connection: Connection, right: tuple[int, ...], method: str, path: str,
                   body: Any = None, **headers: str) -> Answer | None:
        """The answer when it is one of the right ones."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await connection.ask(method, path, body, **headers)
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            self._failed[f"{method}: {type(error).__name__}"] += 1
            return None
        self._answers += 1
        if "wait_s" not in path:
            self._ms.append((time.perf_counter() - began) * 1000)
        if answer.status not in right:
            self._failed[f"{method} {path}: {answer.status} {answer.body[:200]!r}"] += 1
            return None
        return answer

    async def _read(self, connection: Connection, firm: Firm, _number: int,
                    rng: random.Random) -> None:
        await self._ask(connection, (200,), "GET", f"{firm.base}/users/{rng.choice(firm.users)}")

    async def _list(self, connection: Connection, firm: Firm, _number: int,
                    rng: random.Random) -> None:
        what = rng.choice(("users?limit=50", "contacts?limit=100", "lines", "calls", "audit"))
        await self._ask(connection, (200,), "GET", f"{firm.base}/{what}")

    async def _search(self, connection: Connection, firm: Firm, _number: int,
                      rng: random.Random) -> None:
        words = rng.choice(("cust", "user 1", f"user {rng.randint(1, 99)}", "10", "nobody"))
        await self._ask(connection, (200,), "GET",
                        f"{firm.base}/directory?q={words.replace(' ', '+')}")

    async def _change(self, connection: Connection, firm: Firm, number: int,
                      rng: random.Random) -> None:
        user, ring_s = firm.users[number], rng.randint(5, 180)
        answer = await self._ask(connection, (200,), "PATCH", f"{firm.base}/users/{user}",
                                 {"ring_s": ring_s})
        if answer is not None:
            firm.ring_s[user] = ring_s
            self._writes += 1

    async def _presence(self, connection: Connection, firm: Firm, number: int,
                        rng: random.Random) -> None:
        user, note = firm.users[-1 - number], f"back at {rng.randint(1, 10_000)}"
        answer = await self._ask(connection, (200,), "PUT", f"{firm.base}/users/{user}/presence",
                                 {"activity": None, "note": note})
        if answer is not None:
            firm.notes[user] = note
            self._writes += 1

    async def _nonsense(self, connection: Connection, firm: Firm, _number: int,
                        rng: random.Random) -> None:
        user = f"{firm.base}/users/{firm.users[0]}"
        method, path, body, status = rng.choice((
            ("PATCH", user, b"{", 400), ("PATCH", user, b"\xff\xfe", 400),
            ("PATCH", user, b'{"a":' * 5000, 400), ("PATCH", user, {"ring_s": "long"}, 422),
            ("PATCH", user, {"nothing": 1}, 422), ("POST", f"{firm.base}/users", b"", 400),
            ("GET", f"{user}?fields=nothing", None, 422), ("GET", "/v1/nowhere", None, 404),
            ("GET", "/v1/tenants", None, 403),
            ("GET", f"{firm.base}/users/0", None, 404), ("PUT", user, {}, 405),
            ("GET", f"/v1/tenants/{firm.id + 1_000_000}/users", None, 404),
            ("GET", f"{firm.base}/events?after=-1", None, 422),
            ("GET", f"{firm.base}/directory?limit=many", None, 422)))
        await self._ask(connection, (status,), method, path, body)

    # -- clients that follow ------------------------------------------------------------------

    async def _poll(self, firm: Firm, _number: int) -> None:
        told: list[int] = []
        firm.told.append(told)
        seen = 0
        async with Connection(self._host, self._port, firm.key) as connection:
            while time.perf_counter() < self._until:
                answer = await self._ask(
                    connection, (200,), "GET",
                    f"{firm.base}/events?after={seen}&limit=1000&wait_s={POLL_S}")
                if answer is not None:
                    told += [event["seq"] for event in answer.json["items"]]
                    seen = answer.json["next"]

    async def _stream(self, firm: Firm, _number: int) -> None:
        told: list[int] = []
        firm.told.append(told)
        async with Connection(self._host, self._port, firm.key) as connection:
            ticket = await self._ask(connection, (201,), "POST", f"{firm.base}/events/tickets")
        if ticket is None:
            return
        where = f"ws://{self._host}:{self._port}{ticket.json['url']}&after=0"
        try:
            async with connect(where, compression=None, max_size=None) as socket:
                while (left_s := self._until - time.perf_counter()) > 0:
                    try:
                        async with asyncio.timeout(left_s):
                            said = json.loads(await socket.recv())
                    except TimeoutError:
                        return
                    if said["type"] == "event":
                        told.append(said["event"]["seq"])
        except (OSError, EOFError, ConnectionClosed) as error:
            self._failed[f"WebSocket: {error!r}"] += 1

    # -- afterwards ---------------------------------------------------------------------------

    async def _lost(self, connection: Connection, firm: Firm) -> int:
        """How many of the users are not as the last answer said."""
        lost = 0
        for user, ring_s in firm.ring_s.items():
            answer = await connection.ask("GET", f"{firm.base}/users/{user}")
            lost += answer.status != 200 or answer.json["ring_s"] != ring_s
        for user, note in firm.notes.items():
            answer = await connection.ask("GET", f"{firm.base}/users/{user}/presence")
            lost += answer.status != 200 or answer.json["note"] != note
        return lost

    async def _events(self, connection: Connection, firm: Firm) -> list[int]:
        """The seqs of all events."""
        found: list[int] = []
        after = 0
        while True:
            answer = await connection.ask("GET", f"{firm.base}/events?after={after}&limit=1000")
            seqs = [event["seq"] for event in answer.json["items"]]
            found += seqs
            if len(seqs) < 1000:
                return found
            after = answer.json["next"]
