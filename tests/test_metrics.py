"""One scrape tells of all processes; what the dashboard and the alerts ask for is in it."""

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from api.operations import metrics
from api.operations.families import FAMILIES
from api.operations.office import Operations
from api.operations.scrape import EDGE_EVENTS, scrape
from kemi.names import Counter
from tests.exchange import Exchange, eventually
from tests.sipp import Sipp, answering, calling
from tests.test_health import NAMED_S, Watcher, pid_of, stopped

ROOT = Path(__file__).resolve().parent.parent
PROCESSES = ("api", "keeper", "edge", "media0", "control0", "control1", "mixer", "keys")
Values = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def own() -> Iterator[Exchange]:
    """An exchange with some of everything: a queue, a call, a fault, a letter that waits."""
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


def families(text: str) -> dict[str, dict[str, Values]]:
    """{metric: {sample: {values of its labels: value}}}, as Prometheus reads them."""
    found: dict[str, dict[str, Values]] = {}
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        assert family.documentation, family.name
        for sample in family.samples:
            found.setdefault(family.name, {}).setdefault(sample.name, {})[
                tuple(sample.labels.values())] = sample.value
    return found


def scraped(watcher: Watcher) -> dict[str, Values]:
    """{sample: values} of one scrape; labels are in the order of their names."""
    watcher.health._looked_s = -100.0
    read = families(watcher.run(scrape(watcher.health)).decode())
    return {name: values for samples in read.values() for name, values in samples.items()}


def unsigned_call(exchange: Exchange) -> None:
    """An INVITE to call control past the edge: a fault that it counts."""
    port = exchange.settings.control_port
    sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" \
          "m=audio 4000 RTP/AVP 8\r\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(3)
        sock.sendto((
            f"INVITE sip:x@127.0.0.1:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{sock.getsockname()[1]};branch=z9hG4bKunsigned\r\n"
            "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: unsigned\r\n"
            f"CSeq: 1 INVITE\r\nContact: <sip:a@127.0.0.1:{sock.getsockname()[1]}>\r\n"
            f"Max-Forwards: 5\r\nContent-Type: application/sdp\r\nContent-Length: {len(sdp)}"
            f"\r\n\r\n{sdp}").encode(), ("127.0.0.1", port))
        while b"403" not in sock.recv(65536):
            pass


@pytest.fixture(scope="module")
def used(own: Exchange, watcher: Watcher) -> dict[str, Values]:
    """A scrape after something of everything has happened."""
    company = own.company()
    company.post("services", {"name": "Support", "settings": {"type": "queue"}})
    anna = company.telephone("101")
    own.client.patch(company.base, {"media": "always"})
    with company.phone(anna, answering()) as phone, Sipp(
            calling("+46701112233", 200, talk_ms=300), address="127.0.0.2", remote=own.sip,
            service=company.e164(101)) as line:
        line.done()
        phone.done()
    unsigned_call(own)
    now = time.time_ns() // 1_000_000
    watcher.health.around.store.add_deliveries([_delivery(company.id, now)])
    metrics.request_done("users_list", 200, 0.004)
    metrics.commit(3, 0.002)

    def settled() -> dict[str, Values] | None:
        found = scraped(watcher)
        there = "vaxel_control_queue_things" in found \
            and found["vaxel_keeper_records_total"][()] \
            and found["vaxel_media_ended_sessions_total"]["regular", "0"]
        return found if there else None

    found: dict[str, Values] = eventually(settled, NAMED_S)
    return found


def _delivery(tenant: int, now_ms: int) -> Any:
    from store.model import Delivery

    return Delivery(tenant=tenant, kind="mail", to="a@example.org", body="x", created_ms=now_ms,
                    next_ms=now_ms + 3_600_000)


# -- what is in it -----------------------------------------------------------------------------

def test_all_processes_are_in_one_scrape(used: dict[str, Values]) -> None:
    assert used["vaxel_process_up"] == {(name,): 1 for name in PROCESSES}
    now = time.time()
    for name in PROCESSES[:-1]:  # keys answers nobody: only its port is seen
        assert now - 600 < used["vaxel_process_start_time_seconds"][(name,)] < now + 1, name
        assert used["vaxel_process_memory_bytes"][(name,)] > 1 << 20
        assert used["vaxel_process_cpu_seconds_total"][(name,)] > 0
    assert set(used["vaxel_loop_lag_seconds"]) == {("api",), ("keeper",), ("control0",),
                                                   ("control1",)}


def test_a_call_is_counted_where_it_passed(used: dict[str, Values]) -> None:
    assert used["vaxel_edge_requests_total"][("invite",)] >= 1
    assert used["vaxel_edge_registrations_total"][("accepted",)] >= 1
    assert used["vaxel_edge_contacts"][()] >= 1
    assert used["vaxel_edge_events_total"][("calls",)] >= 1
    assert used["vaxel_edge_events_total"][("answered",)] >= 1
    assert used["vaxel_media_ended_sessions_total"][("regular", "0")] >= 1
    assert used["vaxel_media_ports"][("0", "free")] > 10
    assert used["vaxel_keeper_records_total"][()] >= 1
    assert sum(used["vaxel_control_faults_total"].values()) >= 1
    assert used["vaxel_deliveries_waiting"][("mail", "new")] == 1
    assert sum(used["vaxel_control_queue_companies"].values()) == 1
    things = {thing: count for (_, thing), count in used["vaxel_control_queue_things"].items()}
    assert things["queues"] == 1 and things["callers"] == 0
    assert set(used["vaxel_calls"]) == {("claimed",), ("setup",), ("answering",), ("answered",),
                                        ("ending",), ("ended",)}
    assert used["vaxel_store_revision"][()] == used["vaxel_snapshot_revision"][()] > 0
    jobs = {job for job, result in used["vaxel_keeper_jobs_total"] if result == "done"}
    assert jobs >= {"collect", "probe_media", "look_at_trunks", "watch_sessions", "send"}
    assert len(used["vaxel_build_info"]) == 1 and next(iter(used["vaxel_build_info"]))[0] >= "5.6"


def test_the_edges_counters_have_their_names() -> None:
    assert list(EDGE_EVENTS) == [counter.name.lower() for counter in Counter]


def test_every_metric_is_there_and_described(used: dict[str, Values]) -> None:
    names = {re.sub(r"_(bucket|sum|count)$", "", name) if not name.endswith("_total") else name
             for name in used}
    assert names == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_names_follow_the_conventions(name: str) -> None:
    family = FAMILIES[name]
    assert re.fullmatch(r"vaxel(_[a-z]+)+", name)
    assert name.endswith("_total") == (family.kind == "counter")
    assert not re.search(r"_(ms|milliseconds|kb|mb|percent)\b", name)
    assert not {"tenant", "user", "number", "call", "queue", "trunk", "id"} & set(family.labels)
    assert family.text and not family.text.endswith(".")


def test_no_label_names_a_customer(own: Exchange, watcher: Watcher,
                                   used: dict[str, Values]) -> None:
    before = {name: len(values) for name, values in used.items()}
    for _ in range(3):
        company = own.company()
        company.telephone("101")
        company.post("services", {"name": "Sales", "settings": {"type": "queue"}})
    eventually(lambda: sum(scraped(watcher)["vaxel_control_queue_companies"].values()) == 4)
    after = {name: len(values) for name, values in scraped(watcher).items()}
    # Both processes may have queues now; nothing else grows with the companies.
    grown = {name for name in after if after[name] > before.get(name, 0)}
    assert grown <= {"vaxel_control_queue_things"}
    labels = " ".join(label for values in used.values() for key in values for label in key)
    assert "+46" not in labels and "127.0.0" not in labels and len(labels) < 20_000


# -- processes that are not there --------------------------------------------------------------

def test_a_dead_process_costs_no_more_than_the_bound(own: Exchange, watcher: Watcher,
                                                     used: dict[str, Values]) -> None:
    pids = [pid_of(own, "control.1"), *own.pids("rtpengine"), *own.pids("kamailio")]
    with stopped(pids):
        watcher.health._looked_s = -100.0
        began = time.monotonic()
        text = watcher.run(scrape(watcher.health)).decode()
        took_s = time.monotonic() - began
    up = families(text)["vaxel_process_up"]["vaxel_process_up"]
    assert {name for (name,), value in up.items() if not value} == {"control1", "edge", "media0"}
    assert took_s < 0.5 + 0.2, f"{took_s:.2f} s"  # the promise, and a machine with other work
    eventually(watcher.well, NAMED_S)


def test_a_restart_shows(own: Exchange, watcher: Watcher, used: dict[str, Values]) -> None:
    def began() -> dict[str, float]:
        return {name: value for (name,), value in
                scraped(watcher)["vaxel_process_start_time_seconds"].items()}

    before = began()
    os.kill(pid_of(own, "keeper"), signal.SIGKILL)
    after: dict[str, float] = eventually(
        lambda: (now := began()).get("keeper", 0) > before["keeper"] and now, NAMED_S)
    assert {name for name in PROCESSES[:-1] if after[name] > before[name] + 0.1} == {"keeper"}
    eventually(watcher.well, NAMED_S)


# -- counting ----------------------------------------------------------------------------------

def test_requests_are_counted_by_route_and_status() -> None:
    for seconds in (0.0005, 0.001, 0.003, 99):
        metrics.request_done("counted_here", 200, seconds)
    metrics.request_done("counted_here", 404, 0.2)
    assert metrics.requests["counted_here", 200] == 4
    assert metrics.requests["counted_here", 404] == 1
    latency = metrics.latencies["counted_here"]
    assert latency.sum == pytest.approx(99.2045)
    assert latency.counts == [2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def test_commits_are_counted() -> None:
    sizes, seconds = list(metrics.commit_sizes.counts), metrics.commit_seconds.sum
    metrics.commit(1, 0.25)
    metrics.commit(129, 0.25)
    assert metrics.commit_sizes.counts[0] == sizes[0] + 1
    assert metrics.commit_sizes.counts[-1] == sizes[-1] + 1
    assert metrics.commit_seconds.sum == pytest.approx(seconds + 0.5)


def test_counting_keeps_nothing_more() -> None:
    """The same memory after a million requests: only numbers change."""
    metrics.request_done("again", 200, 0.001)
    before = len(metrics.requests), len(metrics.latencies["again"].counts)
    for _ in range(1000):
        metrics.request_done("again", 200, 0.001)
    assert (len(metrics.requests), len(metrics.latencies["again"].counts)) == before
    assert metrics.requests["again", 200] == 1001


# -- the dashboard and the alerts --------------------------------------------------------------

def dashboard() -> list[str]:
    """Its expressions."""
    found = json.loads((ROOT / "configs/grafana/vaxel.json").read_text())
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def alerts() -> list[str]:
    """Their expressions."""
    text = (ROOT / "configs/prometheus/alerts.yml").read_text()
    found = re.findall(r"^ +expr: (.+)$", text, re.MULTILINE)
    assert len(found) == text.count("- alert: ") == text.count("summary: ")
    return found


@pytest.mark.parametrize("expressions", [dashboard, alerts], ids=["dashboard", "alerts"])
def test_only_what_exists_is_asked_for(used: dict[str, Values],
                                       expressions: Callable[[], list[str]]) -> None:
    asked = expressions()
    assert len(asked) > 10
    for expression in asked:
        names = re.findall(r"\b(?:vaxel_)\w+", expression)
        assert names or expression.startswith("up{"), expression
        assert not [name for name in names if name not in used], expression
        for name, matchers in re.findall(r"(vaxel_\w+)\{([^}]*)\}", expression):
            family = FAMILIES[name if name in FAMILIES else name.rpartition("_")[0]]
            place = {label: index for index, label in enumerate(sorted(family.labels))}
            for label, value in re.findall(r'(\w+)="([^"]*)"', matchers):
                assert any(key[place[label]] == value for key in used[name]), (expression, value)
        for labels in re.findall(r"by \(([^)]*)\)", expression):
            known = {label for name in names for label in FAMILIES.get(
                name, FAMILIES.get(name.removesuffix("_bucket"), FAMILIES[
                    "vaxel_health_status"])).labels} | {"le", "instance"}
            assert set(labels.split(", ")) <= known, expression


# -- over HTTP ---------------------------------------------------------------------------------

def test_a_port_on_loopback_needs_no_key(own: Exchange, watcher: Watcher,
                                         used: dict[str, Values]) -> None:
    operations = Operations(watcher.health)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    watcher.run(operations.listen(port))
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert "vaxel_process_up" in families(answer.text)
        for path in ("/", "/v1/tenants", "/metrics/../v1/tenants"):
            assert httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 404
        assert httpx.post(f"http://127.0.0.1:{port}/metrics").status_code == 404
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall(b"GET /metrics " + b"x" * 20_000)
            assert rude.recv(100) == b""
    finally:
        assert operations._server is not None
        operations._server.close()


def test_metrics_are_the_operators(own: Exchange, used: dict[str, Values]) -> None:
    url = f"http://{own.settings.address}:{own.settings.api_port}/metrics"
    key = {"Authorization": f"Bearer {own.settings.api_key}"}
    own.client.get("/tenants")
    answer = httpx.get(url, headers=key)
    assert answer.status_code == 200
    found = families(answer.text)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert sum(found["vaxel_http_requests"]["vaxel_http_requests_total"].values()) > 0
    assert sum(found["vaxel_store_commit_changes"]["vaxel_store_commit_changes_count"].values()) > 0
    assert httpx.get(url).status_code == 401
    tenants = own.client.post("/keys", {"name": "its own", "tenant": own.company().id})["key"]
    assert httpx.get(url, headers={"Authorization": f"Bearer {tenants}"}).status_code == 403
