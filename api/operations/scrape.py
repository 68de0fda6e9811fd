"""All metrics of all processes in one answer.

Everybody is asked at the same time, for a quarter of a second at most; who does not answer is told
as down, and what it counts is missing from this scrape.
"""

import asyncio
import os
import platform
import tomllib
from collections.abc import Awaitable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import generate_latest

from api.operations import asking, metrics, system
from api.operations.checks import ANSWER_S
from api.operations.families import FAMILIES
from api.operations.health import Health
from routing_core.codes import SlotState
from store.bus import NobodyThere, ask

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: Places of the live state's counters (kemi.names.Counter).
EDGE_EVENTS: Final = (
    "exceptions", "calls", "rejected", "flood", "auth_failed", "media_failed", "no_slot",
    "snapshot_refused", "forged", "trunk_failed", "not_ours", "answered", "handed_over",
    "no_control", "malformed", "bad_contact", "replayed", "connections_closed", "bye_refused",
    "repeated", "went_round")
STATES: Final = {"ok": 0, "warning": 1, "degraded": 2, "down": 3}
METHODS: Final = ("ack", "bye", "cancel", "info", "invite", "message", "notify", "options",
                  "prack", "publish", "refer", "register", "subscribe", "update")
#: Metric: {its label's value: Kamailio's statistic}.
KAMAILIO: Final[dict[str, dict[str, str]]] = {
    "vaxel_edge_requests_total": {one: f"core.rcv_requests_{one}" for one in METHODS},
    "vaxel_edge_replies_total": {one: f"core.rcv_replies_{one}"
                                 for one in ("1xx", "2xx", "3xx", "4xx", "5xx", "6xx")},
    "vaxel_edge_dropped_total": {
        "requests": "core.drop_requests", "replies": "core.drop_replies",
        "wrong_requests": "core.err_requests", "wrong_replies": "core.err_replies",
        "wrong_headers": "core.bad_msg_hdr", "unknown_methods": "core.unsupported_methods"},
    "vaxel_edge_forwarded_total": {"requests": "core.fwd_requests",
                                   "replies": "core.fwd_replies"},
    "vaxel_edge_stateless_replies_total": {one: f"sl.{one}_replies"
                                           for one in ("1xx", "2xx", "3xx", "4xx", "5xx", "6xx")},
    "vaxel_edge_transactions_total": {one: f"tmx.{one}_transactions"
                                      for one in ("2xx", "3xx", "4xx", "5xx", "6xx")},
    "vaxel_edge_shared_memory_bytes": {"used": "shmem.real_used_size", "free": "shmem.free_size"},
    "vaxel_edge_registrations_total": {"accepted": "registrar.accepted_regs",
                                       "rejected": "registrar.rejected_regs"},
    "vaxel_edge_carrier_registrations": {"active": "uac.regactive", "all": "uac.regtotal"},
}
KAMAILIO_PLAIN: Final = {
    "vaxel_edge_active_transactions": "tmx.active_transactions",
    "vaxel_edge_retransmissions_absorbed_total": "tmx.rpl_absorbed",
    "vaxel_edge_tcp_connections": "tcp.current_opened_connections",
    "vaxel_edge_websockets": "websocket.ws_current_connections",
    "vaxel_edge_contacts": "usrloc.location_contacts",
    "vaxel_edge_blocked_addresses": "pike.blocked_ips",
}
MEDIA_ENDED: Final = {"regular": "regularterminatedsessions", "forced": "forcedterminatedsessions",
                      "timeout": "timeoutsessions", "silent": "silenttimeoutsessions",
                      "rejected": "rejectedsessions"}
#: What a process of call control says: {its word: the metric}.
CONTROL: Final = {
    "calls": "vaxel_control_calls", "legs": "vaxel_control_legs",
    "media_sessions": "vaxel_control_media_sessions", "rooms": "vaxel_control_rooms",
    "parked": "vaxel_control_parked", "companies": "vaxel_control_companies",
    "queue_companies": "vaxel_control_queue_companies",
    "events_lost": "vaxel_control_events_lost_total", "lag_s": "vaxel_loop_lag_seconds"}


class Scrape:
    """The values of one answer."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], float | metrics.Histogram]] = {}

    def put(self, name: str, value: float | metrics.Histogram, *labels: str) -> None:
        """A value; its name is in FAMILIES."""
        self._values.setdefault(name, {})[labels] = value

    def text(self) -> bytes:
        """As Prometheus reads it."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return bytes(generate_latest(registry))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        for name, family in FAMILIES.items():
            values = self._values.get(name)
            if not values:
                continue
            made: Any
            if family.kind == "histogram":
                made = HistogramMetricFamily(name, family.text, labels=family.labels)
                for labels, value in values.items():
                    assert isinstance(value, metrics.Histogram)
                    made.add_metric(labels, buckets=list(_buckets(value)), sum_value=value.sum)
            else:
                kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
                made = kind(name, family.text, labels=family.labels)
                for labels, value in values.items():
                    made.add_metric(labels, value)
            yield made


def _buckets(histogram: metrics.Histogram) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, count in zip((*map(float, histogram.bounds), "+Inf"), histogram.counts,
                            strict=True):
        total += count
        yield str(bound), total


@cache
def _version() -> str:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    return str(tomllib.loads(text)["project"]["version"])


async def scrape(health: Health) -> bytes:
    """Ask everybody, and say it as text."""
    found = Scrape()
    around = health.around
    await asyncio.gather(
        health.look(), _edge(found, health), _keeper(found, health), _mixer(found, health),
        *(_node(found, health, node) for node in range(len(around.media.nodes))),
        *(_control(found, health, index)
          for index in range(around.settings["control_processes"])))
    _own(found, health)
    _parts(found, health)
    _live(found, health)
    return found.text()


# -- this process, and what it sees of all ----------------------------------------------------

def _own(found: Scrape, health: Health) -> None:
    _process(found, "api", [os.getpid()])
    found.put("vaxel_loop_lag_seconds", health.loop_lag_s, "api")
    limited = 0
    for (route, status), count in metrics.requests.items():
        found.put("vaxel_http_requests_total", count, route, str(status))
        limited += count if status == 429 else 0
    for route, latency in metrics.latencies.items():
        found.put("vaxel_http_request_seconds", latency, route)
    found.put("vaxel_http_rate_limited_total", limited)
    found.put("vaxel_event_streams", metrics.counts["event_streams"])
    found.put("vaxel_store_busy_total", metrics.counts["store_busy"])
    found.put("vaxel_store_commit_changes", metrics.commit_sizes)
    found.put("vaxel_store_commit_seconds", metrics.commit_seconds)


def _parts(found: Scrape, health: Health) -> None:
    """What health has found."""
    found.put("vaxel_health_status", STATES[health.status])
    facts = {one.name: one.facts for one in health.dependencies if one.facts}
    for one in health.dependencies:
        found.put("vaxel_dependency_state", STATES[one.state], one.name)
        if one.name == "keys":  # it answers nobody: all that is known is that its port is taken
            found.put("vaxel_process_up", int(one.state == "ok"), one.name)

    def fact(metric: str, name: str, word: str, *labels: str) -> None:
        if word in facts.get(name, {}):
            found.put(metric, facts[name][word], *labels)

    fact("vaxel_store_revision", "store", "revision")
    fact("vaxel_store_bytes", "store", "bytes", "database")
    fact("vaxel_store_bytes", "store", "log_bytes", "log")
    fact("vaxel_store_write_seconds", "store", "write_s")
    fact("vaxel_disk_free_bytes", "store", "disk_free_bytes", "store")
    fact("vaxel_disk_free_bytes", "recordings", "disk_free_bytes", "recordings")
    fact("vaxel_snapshot_revision", "snapshot", "revision")
    fact("vaxel_snapshot_lag_revisions", "snapshot", "lag_revisions")
    fact("vaxel_snapshot_age_seconds", "snapshot", "age_s")
    fact("vaxel_snapshot_bytes", "snapshot", "bytes")
    fact("vaxel_edge_workers", "edge", "workers")
    fact("vaxel_queue_companies_without_owner", "queues", "companies_without_owner")
    if "trunks" in facts:
        trunks = facts["trunks"]
        found.put("vaxel_trunks", trunks["down"], "down")
        found.put("vaxel_trunks", trunks["trunks"] - trunks["down"], "up")
    fact("vaxel_deliveries_oldest_due_seconds", "deliveries", "oldest_due_s")


def _live(found: Scrape, health: Health) -> None:
    around = health.around
    for state in SlotState:
        if state != SlotState.FREE:
            found.put("vaxel_calls", len(around.live.calls(state)), state.name.lower())
    found.put("vaxel_call_slots", around.live.slots)
    for place, event in enumerate(EDGE_EVENTS):
        found.put("vaxel_edge_events_total", around.live.counter(place), event)
    for one in around.store.waiting_deliveries():
        found.put("vaxel_deliveries_waiting", one.number, one.kind,
                  "failed" if one.tried else "new")


# -- the others -------------------------------------------------------------------------------

async def _answer(awaited: Awaitable[Any]) -> Any:
    """What was answered in time, None when it was not."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await awaited
    except Exception:
        return None


def _process(found: Scrape, name: str, pids: list[int]) -> None:
    used = system.usage(pids)
    found.put("vaxel_process_up", int(used is not None), name)
    if used is not None:
        found.put("vaxel_process_start_time_seconds", round(used.began, 2), name)
        found.put("vaxel_process_cpu_seconds_total", used.cpu_s, name)
        found.put("vaxel_process_memory_bytes", used.memory_bytes, name)


async def _said(health: Health, name: str) -> dict[str, Any]:
    """What a process on the bus says; {} when it does not."""
    try:
        return await ask(health.around.state, name, {"do": "metrics"}, ANSWER_S)
    except NobodyThere:
        return {}


async def _edge(found: Scrape, health: Health) -> None:
    call = health.around.edge.call
    statistics, processes, info = await asyncio.gather(
        _answer(call("stats.fetch", "all")), _answer(call("core.psx")),
        _answer(call("core.info")))
    version = str((info or {}).get("version", "")).removeprefix("kamailio ")
    found.put("vaxel_build_info", 1, _version(), platform.python_version(), version)
    _process(found, "edge", [int(one["PID"]) for one in processes or ()])
    if statistics is None:
        return
    for name, values in KAMAILIO.items():
        for label, statistic in values.items():
            if statistic in statistics:
                found.put(name, float(statistics[statistic]), label)
    for name, statistic in KAMAILIO_PLAIN.items():
        if statistic in statistics:
            found.put(name, float(statistics[statistic]))


async def _node(found: Scrape, health: Health, index: int) -> None:
    media, node = health.around.media, str(index)
    said = await _answer(media.command(media.nodes[index], "statistics"))
    pid = _pid(health.around.state / "media" / f"node{node}" / "pid") if said else []
    _process(found, f"media{node}", pid)
    if said is None:
        return
    now, total = (said["statistics"][part] for part in ("currentstatistics", "totalstatistics"))
    found.put("vaxel_media_sessions", int(now["sessionstotal"]), node)
    found.put("vaxel_media_transcoded", int(now["transcodedmedia"]), node)
    for how, name in MEDIA_ENDED.items():
        found.put("vaxel_media_ended_sessions_total", int(total[name]), node, how)
    found.put("vaxel_media_packets_total", int(total["relayedpackets"]), node)
    found.put("vaxel_media_bytes_total", int(total["relayedbytes"]), node)
    found.put("vaxel_media_errors_total", int(total["relayedpacketerrors"]), node)
    found.put("vaxel_media_silent_streams_total", int(total["onewaystreams"]), node, "one")
    found.put("vaxel_media_silent_streams_total", int(total["zerowaystreams"]), node, "none")
    ports = [one["ports"] for one in said["statistics"]["interfaces"]]
    for use in ("used", "free"):
        found.put("vaxel_media_ports", sum(int(one[use]) for one in ports), node, use)


def _pid(path: Path) -> list[int]:
    text = path.read_text().strip() if path.exists() else ""
    return [int(text)] if text.isdecimal() else []


async def _control(found: Scrape, health: Health, index: int) -> None:
    name = f"control{index}"
    said = await _said(health, f"control.{index}")
    _process(found, name, [said["pid"]] if "pid" in said else [])
    for word, metric in CONTROL.items():
        if word in said:
            found.put(metric, said[word], name)
    for thing, count in said.get("queue_things", {}).items():
        found.put("vaxel_control_queue_things", count, name, thing)
    for fault, count in said.get("faults", {}).items():
        found.put("vaxel_control_faults_total", count, name, fault)


async def _keeper(found: Scrape, health: Health) -> None:
    said = await _said(health, "keeper")
    _process(found, "keeper", [said["pid"]] if "pid" in said else [])
    if not said:
        return
    found.put("vaxel_loop_lag_seconds", said["lag_s"], "keeper")
    found.put("vaxel_keeper_records_total", said["records"])
    found.put("vaxel_keeper_captures_total", said["captures"])
    for job, (done, failed, seconds) in said["jobs"].items():
        found.put("vaxel_keeper_jobs_total", done, job, "done")
        found.put("vaxel_keeper_jobs_total", failed, job, "failed")
        found.put("vaxel_keeper_job_seconds", seconds, job)


async def _mixer(found: Scrape, health: Health) -> None:
    pid = await _answer(asking.mixer(health.around.state / "mixer" / "api"))
    _process(found, "mixer", [pid] if pid else [])
