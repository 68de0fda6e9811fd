"""Every metric there is: its kind, what it says, its labels. Names and labels are API.

A label never has a company, a person, a number or a call in it: how many series there are depends
on the installation's processes, not on its customers.
"""

from typing import Final, Literal, NamedTuple


class Family(NamedTuple):
    """What a metric is; buckets: the bounds of a histogram."""

    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()


def _c(text: str, *labels: str) -> Family:
    return Family("counter", text, labels)


def _g(text: str, *labels: str) -> Family:
    return Family("gauge", text, labels)


def _h(text: str, *labels: str) -> Family:
    return Family("histogram", text, labels)


FAMILIES: Final[dict[str, Family]] = {
    # -- the whole
    "vaxel_build_info": _g("Always 1; the labels say what runs", "version", "python", "edge"),
    "vaxel_health_status": _g("Of the whole exchange: 0 ok, 2 degraded, 3 down"),
    "vaxel_dependency_state": _g(
        "Of a part: 0 ok, 1 warning, 2 degraded, 3 down", "dependency"),
    "vaxel_process_up": _g("Whether the process answered this scrape", "process"),
    "vaxel_process_start_time_seconds": _g(
        "When the process was started, in unix seconds; a change is a restart", "process"),
    "vaxel_process_cpu_seconds_total": _c(
        "Processor time, of all of a part's processes together", "process"),
    "vaxel_process_memory_bytes": _g(
        "Resident memory, of all of a part's processes together", "process"),
    "vaxel_loop_lag_seconds": _g("How late the event loop was at most in 15 s", "process"),
    # -- the API
    "vaxel_http_requests_total": _c("Requests answered", "route", "status"),
    "vaxel_http_request_seconds": _h("From the request's arrival to its answer", "route"),
    "vaxel_http_rate_limited_total": _c("Requests refused because there were too many"),
    "vaxel_event_streams": _g("Event streams that are open"),
    "vaxel_store_commit_changes": _h("Changes that shared a commit"),
    "vaxel_store_commit_seconds": _h("A commit with its sync of the disk"),
    "vaxel_store_busy_total": _c("Writes that met a store locked for too long"),
    # -- the store and what is compiled from it
    "vaxel_store_revision": _g("The newest configuration that is stored"),
    "vaxel_store_bytes": _g("The store's files", "file"),
    "vaxel_store_write_seconds": _g("The last trial write with its sync"),
    "vaxel_disk_free_bytes": _g("Left on the disk", "disk"),
    "vaxel_snapshot_revision": _g("The configuration that calls are decided by"),
    "vaxel_snapshot_lag_revisions": _g("Stored changes that calls do not know yet"),
    "vaxel_snapshot_age_seconds": _g("Since the base in force was compiled"),
    "vaxel_snapshot_bytes": _g("The base in force"),
    # -- live state
    "vaxel_calls": _g("Calls, by the state of their slot", "state"),
    "vaxel_call_slots": _g("Calls that there is room for"),
    "vaxel_queue_companies_without_owner": _g("Companies whose queues are in no process"),
    "vaxel_trunks": _g("Trunks that are in use", "state"),
    "vaxel_edge_events_total": _c(
        "What the edge has counted since the live state was made", "event"),
    # -- the edge (Kamailio)
    "vaxel_edge_requests_total": _c("SIP requests received", "method"),
    "vaxel_edge_replies_total": _c("SIP replies received", "class"),
    "vaxel_edge_dropped_total": _c("SIP messages dropped or wrong", "why"),
    "vaxel_edge_forwarded_total": _c("SIP messages forwarded", "kind"),
    "vaxel_edge_stateless_replies_total": _c("Replies sent without a transaction", "class"),
    "vaxel_edge_active_transactions": _g("Transactions that are active"),
    "vaxel_edge_transactions_total": _c("Transactions ended, by their final reply", "class"),
    "vaxel_edge_retransmissions_absorbed_total": _c("Replies that had come before"),
    "vaxel_edge_shared_memory_bytes": _g("Kamailio's shared memory", "use"),
    "vaxel_edge_tcp_connections": _g("TCP and TLS connections"),
    "vaxel_edge_websockets": _g("WebSocket connections"),
    "vaxel_edge_contacts": _g("Contacts that are registered"),
    "vaxel_edge_registrations_total": _c("REGISTER requests", "result"),
    "vaxel_edge_blocked_addresses": _g("Addresses that send too much"),
    "vaxel_edge_carrier_registrations": _g("Our registrations at carriers", "state"),
    "vaxel_edge_workers": _g("Processes that read SIP"),
    # -- media (rtpengine)
    "vaxel_media_sessions": _g("Calls with media in the node", "node"),
    "vaxel_media_transcoded": _g("Media streams that are converted", "node"),
    "vaxel_media_ports": _g("Ports for media", "node", "use"),
    "vaxel_media_ended_sessions_total": _c("Calls that have ended in the node", "node", "how"),
    "vaxel_media_packets_total": _c("Packets relayed", "node"),
    "vaxel_media_bytes_total": _c("Bytes relayed", "node"),
    "vaxel_media_errors_total": _c("Packets that could not be relayed", "node"),
    "vaxel_media_silent_streams_total": _c(
        "Streams heard from one side (one) or from none (none)", "node", "sides"),
    # -- call control
    "vaxel_control_calls": _g("Calls that the process has", "process"),
    "vaxel_control_legs": _g("SIP legs of them", "process"),
    "vaxel_control_media_sessions": _g("Media sessions of them", "process"),
    "vaxel_control_rooms": _g("Conference rooms", "process"),
    "vaxel_control_parked": _g("Parked calls", "process"),
    "vaxel_control_companies": _g("Companies whose calls meet in the process", "process"),
    "vaxel_control_queue_companies": _g("Companies whose queues it has", "process"),
    "vaxel_control_queue_things": _g(
        "What its queues hold: queues, callers, agents, attempts, members, timers",
        "process", "thing"),
    "vaxel_control_events_lost_total": _c("Events that could not be stored in time", "process"),
    "vaxel_control_faults_total": _c("Faults that people should know of", "process", "fault"),
    # -- the keeper
    "vaxel_keeper_jobs_total": _c("Runs of its jobs", "job", "result"),
    "vaxel_keeper_job_seconds": _g("How long the job's last run took", "job"),
    "vaxel_keeper_records_total": _c("Call records written"),
    "vaxel_keeper_captures_total": _c("Captures of media that were made recordings"),
    "vaxel_deliveries_waiting": _g(
        "Mail, SMS and webhook calls to be sent; state: new, or failed and tried again",
        "kind", "state"),
    "vaxel_deliveries_oldest_due_seconds": _g("How late the most overdue of them is"),
}
