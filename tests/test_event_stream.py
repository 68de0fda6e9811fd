"""Events over a WebSocket: tickets, a snapshot and then every event in order, resuming, and one who
does not read. A real API process."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from store.model import Event
from tests.alone import Alone


@pytest.fixture(name="api", scope="module")
def running() -> Iterator[Alone]:
    """Shared; every test has companies of its own."""
    with Alone() as api:
        yield api


def ticket(api: Alone, company: str) -> str:
    """A new one."""
    made = api.ask("POST", f"{company}/events/tickets", status=201)
    assert made["url"] == f"/v1/events/stream?ticket={made['ticket']}"
    return str(made["ticket"])


def follow(api: Alone, company: str, query: str = "") -> ClientConnection:
    """A WebSocket with a ticket of its own."""
    return connect(f"ws://{api.settings.address}:{api.settings.api_port}/v1/events/stream"
                   f"?ticket={ticket(api, company)}{query}", max_size=None, close_timeout=0.2)


def said(ws: ClientConnection) -> Any:
    """The next message."""
    return json.loads(ws.recv(10))


def events(ws: ClientConnection, many: int) -> list[Any]:
    """The next events, whatever else comes between."""
    found: list[Any] = []
    while len(found) < many:
        one = said(ws)
        if one["type"] == "event":
            found.append(one["event"])
    return found


def write(api: Alone, company: str, many: int, text: str = "") -> list[int]:
    """Events of that company; their seqs."""
    tenant = int(company[9:])
    before = api.store.last_event()
    with api.store.writing():
        api.store.add_events([Event(tenant=tenant, at_ms=i, kind="test", data={
            "n": i, "text": text}) for i in range(many)])
    return [event.seq for event in api.store.events(tenant, after=before, limit=many)]


def closed(ws: ClientConnection) -> tuple[int, str]:
    """Why."""
    with pytest.raises(ConnectionClosed) as refused:
        ws.recv(10)
    assert refused.value.rcvd
    return refused.value.rcvd.code, refused.value.rcvd.reason


# -- who may --------------------------------------------------------------------------------------

@pytest.mark.parametrize("query", ["", "?ticket=", "?ticket=wrong", "?ticket=%00", "?after=1",
                                   "?ticket=" + "x" * 4000])
def test_without_a_ticket(api: Alone, query: str) -> None:
    with connect(f"ws://{api.settings.address}:{api.settings.api_port}/v1/events/stream{query}"
                 ) as ws:
        assert closed(ws)[0] == 4401


def test_a_ticket_lets_in_once(api: Alone) -> None:
    company = api.company()
    url = f"ws://{api.settings.address}:{api.settings.api_port}/v1/events/stream?ticket=" \
        + ticket(api, company)
    with connect(url) as ws:
        assert said(ws)["type"] == "snapshot"
        with connect(url) as again:
            assert closed(again)[0] == 4401
    with connect(url) as again:
        assert closed(again)[0] == 4401


def test_a_ticket_ends() -> None:
    """After its time it is none, and nobody has more of them than there is room for."""
    from api.events.routes import TICKET_MS, Tickets
    from api.http.who import Owner
    tickets = Tickets()
    owner = Owner("key 1")
    one, until_ms = tickets.give(7, owner, 1000)
    other, _ = tickets.give(8, owner, 1000)
    assert until_ms == 1000 + TICKET_MS and one != other
    assert tickets.take(one, until_ms - 1) == (7, owner)
    assert tickets.take(one, until_ms - 1)[0] == tickets.take(other, until_ms)[0] == 0


@pytest.mark.parametrize("how", ["deleted", "weaker", "ended", "disabled"])
def test_a_stream_and_a_ticket_do_not_outlive_who_has_them(api: Alone, how: str) -> None:
    """They went on for ever."""
    company = api.company()
    url = f"ws://{api.settings.address}:{api.settings.api_port}/v1/events/stream?ticket="
    if how == "disabled":
        account = api.ask("POST", f"{company}/accounts", {
            "email": f"s{company[9:]}@stream.example", "name": "S", "role": "administrator"},
            201)["id"]
        token = api.ask("POST", f"{company}/accounts/{account}/invitation", status=201)["token"]
        word = "a long enough phrase"
        assert api.http.post("/sign-in/password", json={
            "token": token, "password": word}).is_success
        key = api.ask("POST", "/sign-in", {"email": f"s{company[9:]}@stream.example",
                                           "password": word})["token"]
        path, method, body = f"{company}/accounts/{account}", "PATCH", {"enabled": False}
    else:
        made = api.ask("POST", f"{company}/keys", {"name": "s", "role": "administrator"}, 201)
        key, path = made["key"], f"{company}/keys/{made['id']}"
        method, body = {
            "deleted": ("DELETE", None), "weaker": ("PATCH", {"scopes": ["users:read"]}),
            "ended": ("PATCH", {"until": int(time.time())})}[how]

    def ticket_of() -> str:
        return str(api.ask("POST", f"{company}/events/tickets", status=201, key=key)["ticket"])

    kept = ticket_of()
    with connect(url + ticket_of()) as ws, connect(url + ticket(api, company)) as other:
        assert said(ws)["type"] == said(other)["type"] == "snapshot"
        api.ask(method, path, body, 204 if method == "DELETE" else 200)
        assert closed(ws)[0] == 4401
        with connect(url + kept) as again:
            assert closed(again)[0] == 4401
        seq, = write(api, company, 1)
        assert events(other, 1)[0]["seq"] >= seq - 5, "others go on"


@pytest.mark.parametrize(("role", "status"), [("user", 403), ("machine", 201), ("attendant", 201)])
def test_who_gets_a_ticket(api: Alone, role: str, status: int) -> None:
    company = api.company()
    user = api.ask("POST", f"{company}/users", {"name": "A"}, status=201)["id"]
    key = api.key_of(company, role, user=user)
    api.ask("POST", f"{company}/events/tickets", status=status, key=key)
    api.ask("POST", f"{api.company()}/events/tickets", status=404, key=key)


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30, "", "%D9%A1"])
def test_places_that_are_none(api: Alone, after: str) -> None:
    with follow(api, api.company(), f"&after={after}") as ws:
        if after:
            assert closed(ws)[0] == 4422
        else:
            assert said(ws)["type"] == "snapshot"


# -- what is told ---------------------------------------------------------------------------------

def test_a_snapshot_and_then_every_event_in_order(api: Alone) -> None:
    """While others write, in this company and in another one."""
    company, other = api.company(), api.company()
    user = api.ask("POST", f"{company}/users", {"name": "A", "extension": "101"},
                   status=201)["id"]
    write(api, company, 5)
    stop = threading.Event()

    def noise() -> None:
        while not stop.is_set():
            api.ask("POST", f"{other}/contacts", {"name": "C"}, status=201)

    thread = threading.Thread(target=noise)
    thread.start()
    try:
        with follow(api, company) as ws:
            snapshot = said(ws)
            assert snapshot["type"] == "snapshot" and snapshot["calls"] == []
            assert [line["user"] for line in snapshot["lines"]] == [user]
            assert (snapshot["queues"], snapshot["agents"]) == ([], [])
            wanted = [seq for _ in range(20) for seq in (
                *write(api, company, 30), *write(api, other, 3)[:0])]
            found = events(ws, len(wanted))
    finally:
        stop.set()
        thread.join()
    assert [event["seq"] for event in found] == wanted
    assert snapshot["seq"] < wanted[0]
    assert {event["tenant"] for event in found} == {int(company[9:])}


def test_resuming_where_one_was(api: Alone) -> None:
    """Whatever was cut, nothing is missing and nothing comes twice."""
    company = api.company()
    wanted: list[int] = []
    with follow(api, company) as ws:
        seen = said(ws)["seq"]
    got: list[int] = []
    for round_ in range(5):
        wanted += write(api, company, 700 if round_ == 2 else 20)
        with follow(api, company, f"&after={seen}") as ws:
            found = events(ws, len(wanted) - len(got) - (5 if round_ < 4 else 0))
            got += [event["seq"] for event in found]
            seen = got[-1]
    assert got == wanted
    assert [event["seq"] for event in api.ask(
        "GET", f"{company}/events", after=wanted[0] - 1, limit=10)["items"]] == wanted[:10]


def test_where_nothing_can_go_on_from(api: Alone) -> None:
    """Later than anything, or older than what is kept: everything anew."""
    company = api.company()
    newest = write(api, company, 3)[-1]
    with follow(api, company, f"&after={newest + 1000}") as ws:
        assert (said(ws)["type"], api.store.last_event()) == ("snapshot", newest)
    api.store.purge_events(1 << 62, 1)
    with follow(api, company, "&after=0") as ws:
        assert said(ws)["type"] == "snapshot"


def test_it_goes_on_after_a_restart(api: Alone) -> None:
    company = api.company()
    with follow(api, company) as ws:
        seen = said(ws)["seq"]
        api.process.kill()
        api.process.wait()
        with pytest.raises(ConnectionClosed):
            while True:
                ws.recv(10)
    wanted = write(api, company, 3)
    api.start()
    with follow(api, company, f"&after={seen}") as ws:
        assert [event["seq"] for event in events(ws, 3)] == wanted


def test_presence_is_told(api: Alone) -> None:
    company = api.company()
    user = api.ask("POST", f"{company}/users", {"name": "A"}, status=201)["id"]
    lunch = api.ask("POST", f"{company}/activities", {"name": "lunch"}, status=201)["id"]
    with follow(api, company) as ws:
        assert said(ws)["lines"][0]["activity"] is None
        api.ask("PUT", f"{company}/users/{user}/presence", {"activity": lunch})
        event, = events(ws, 1)
    assert (event["kind"], event["data"]["activity"]) == ("presence", lunch)
