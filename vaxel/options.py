"""Every setting of an installation: its type, its default, its unit and what it means.

The one list of them: the file vaxel.toml, its checks, docs/settings.md and `vaxel config` come
from it.
"""

import os
import textwrap
import typing
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta


def _about(text: str, unit: str = "", ge: int | None = None, le: int | None = None,
           *, pattern: str | None = None, secret: bool = False, made: bool = False) -> Meta:
    """What a setting means. made: by the exchange itself, not in the file."""
    extra = {"unit": unit, "secret": secret, "made": made}
    if pattern is not None:
        return Meta(description=text, pattern=pattern, extra=extra)
    return Meta(description=text, ge=ge, le=le, extra=extra)


def _port(text: str) -> Meta:
    return _about(text, ge=1, le=65535)


HOST_PORT = r"^$|^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"
URL = r"^$|^https?://[^\s/?#][^\s]*$"
#: The first setting of each part of the file, and the part's heading.
HEADINGS = {
    "address": "Where it listens", "workers": "Processes and memory",
    "flood_per_2s": "SIP", "smtp_host": "Mail, SMS and webhooks",
    "session_s": "The API's limits", "log_level": "Logs and capture", "digest_key": "Made",
    "faults": "Tests",
}


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Of one machine. Ports are on `address`; management ports are on loopback only."""

    address: Annotated[str, _about(
        "where SIP, media and the API listen: an IPv4 address of this machine")] = "127.0.0.1"
    domain: Annotated[str, _about("the SIP domain and digest realm")] = "vaxel.local"
    public_url: Annotated[str, _about(
        "where people and other systems reach the API, as in links that are sent and for "
        "passkeys; empty: http://address:api_port", pattern=URL)] = ""
    sip_port: Annotated[int, _port("SIP over UDP and TCP, and over WebSocket")] = 5060
    tls_port: Annotated[int, _port("SIP over TLS, and over secure WebSocket")] = 5061
    api_port: Annotated[int, _port("the API")] = 8080
    rpc_port: Annotated[int, _port("Kamailio's control, on loopback only")] = 5064
    media_port: Annotated[int, _port(
        "rtpengine's control, on loopback only; two ports a node")] = 5066
    control_port: Annotated[int, _port(
        "SIP of call control, on loopback only; one port a process")] = 5070
    keys_port: Annotated[int, _port(
        "where media nodes report pressed keys; the next ports are call control's own")] = 5090
    rtp_first: Annotated[int, _about(
        "first port of media; the ports are shared out among the nodes", ge=1024,
        le=65535)] = 30000
    rtp_last: Annotated[int, _about("last port of media", ge=1024, le=65535)] = 39999

    workers: Annotated[int, _about(
        "Kamailio processes for UDP; by default one a processor", ge=1, le=256)] = \
        msgspec.field(default_factory=lambda: os.cpu_count() or 2)
    tcp_workers: Annotated[int, _about("Kamailio processes for TCP", ge=1, le=256)] = 2
    media_nodes: Annotated[int, _about("rtpengine processes", ge=1, le=64)] = 1
    control_processes: Annotated[int, _about("call control processes", ge=1, le=64)] = 2
    shared_memory_mb: Annotated[int, _about(
        "Kamailio's shared memory; eight connections by TCP for each", "megabytes", 16,
        1 << 20)] = 512

    flood_per_2s: Annotated[int, _about(
        "requests per two seconds from one address that is no trunk's", ge=1, le=65535)] = 400
    connections_per_address: Annotated[int, _about(
        "TCP, TLS and WebSocket connections of telephones from one address", ge=1,
        le=1 << 20)] = 1000
    proxies: Annotated[str, _about(
        "addresses of proxies between telephones and us whose Path and Record-Route are "
        "believed, with commas between them", pattern=r"^[0-9A-Fa-f:., ]*$")] = ""
    md5_agents: Annotated[str, _about(
        "how User-Agent begins of telephones that fail at the sight of an algorithm other than "
        "MD5, with commas between them")] = "baresip v1.,baresip v0."
    ping_s: Annotated[int, _about("between OPTIONS to a trunk", "seconds", 1, 3600)] = 10

    smtp_host: Annotated[str, _about(
        "the mail server that takes our mail without a log-in; without it mail waits")] = ""
    smtp_port: Annotated[int, _port(
        "its port. TLS when the server offers it, from the start on 465, none on loopback")] = 25
    mail_from: Annotated[str, _about("the sender's address of our mail")] = ""
    sms_url: Annotated[str, _about(
        "the gateway that takes our SMS, as POST of JSON; without it they wait for a day",
        pattern=URL)] = ""
    sms_secret: Annotated[str, _about(
        "the gateway's key, sent as Authorization: Bearer; empty: no such header",
        secret=True)] = ""
    sms_sender: Annotated[str, _about("the sender that our SMS show")] = ""
    webhooks_to_private: Annotated[bool, _about(
        "webhooks may lead to private and loopback addresses")] = False

    session_s: Annotated[int, _about(
        "how long a person stays signed in", "seconds", 1, 366 * 86400)] = 12 * 3600
    session_idle_s: Annotated[int, _about(
        "and without doing anything", "seconds", 1, 366 * 86400)] = 2 * 3600
    rate_per_s: Annotated[int, _about(
        "requests a second of one key or session, unless its own limit says otherwise", ge=1,
        le=1_000_000)] = 200
    rate_burst: Annotated[int, _about(
        "requests that may come at once after a pause", ge=1, le=10_000_000)] = 1000

    metrics_port: Annotated[int, _about(
        "answers GET /metrics for Prometheus on loopback, without a key; 0: none", ge=0,
        le=65535)] = 0

    log_level: Annotated[Literal["debug", "info", "warning", "error"], _about(
        "the least that is logged")] = "info"
    log_json: Annotated[bool, _about(
        "`vaxel run` itself prints JSON lines; what processes log always is JSON")] = False
    hep_capture: Annotated[str, _about(
        "host:port of a HEP3 collector (Homer, heplify) that gets a copy of all SIP and of RTCP "
        "reports; empty: none", pattern=HOST_PORT)] = ""
    hep_id: Annotated[int, _about(
        "this machine's number in what the collector gets", ge=0, le=(1 << 31) - 1)] = 2001

    digest_key: Annotated[str, _about("signs nonces and orders", secret=True, made=True)] = ""
    from_key: Annotated[str, _about("restores From", secret=True, made=True)] = ""
    api_key: Annotated[str, _about("the operator's API key", secret=True, made=True)] = ""

    faults: Annotated[bool, _about(
        "tests only: a call to the user `fault` raises an exception")] = False

    def control_ports(self) -> list[int]:
        """The SIP port of every call control process."""
        return [self.control_port + index for index in range(self.control_processes)]

    def key_ports(self) -> list[int]:
        """Where each of them hears of keys that are pressed."""
        return [self.keys_port + 1 + index for index in range(self.control_processes)]

    def own_ports(self) -> list[int]:
        """Those at which something of ours listens."""
        return [self.sip_port, self.tls_port, self.api_port, self.rpc_port, self.keys_port,
                *self.media_ports(), *self.media_http_ports(), *self.control_ports(),
                *self.key_ports()]

    def media_ports(self) -> list[int]:
        """The ng port of every rtpengine here."""
        return [self.media_port + node for node in range(self.media_nodes)]

    def media_http_ports(self) -> list[int]:
        """Behind them: rtpengine insists on an HTTP listener; nothing of ours uses it."""
        return [port + self.media_nodes for port in self.media_ports()]


class Setting(NamedTuple):
    """One of them, as it is described."""

    name: str
    type: Any
    default: Any
    text: str
    unit: str
    secret: bool
    made: bool


def all_settings() -> list[Setting]:
    """Every setting, in the order of the file."""
    found = []
    for field in msgspec.structs.fields(Settings):
        default = field.default if field.default is not msgspec.NODEFAULT else \
            field.default_factory()
        meta = field.type.__metadata__[0]
        found.append(Setting(field.name, field.type, default, meta.description, **meta.extra))
    return found


# -- as text ---------------------------------------------------------------------------------

def toml_value(value: Any) -> str:
    """A value as TOML writes it; its strings, numbers and booleans are those of JSON."""
    return msgspec.json.encode(value).decode()


def toml_text(settings: Settings) -> str:
    """The file: every setting with its meaning; what differs from its default is in force."""
    lines = ["# The settings of this exchange. A line that begins with # is a default; take the",
             "# sign away and change the value. `vaxel config check` checks the file; it is in",
             "# force from the next start of the exchange."]
    for setting in all_settings():
        if setting.made:
            continue
        if setting.name in HEADINGS:
            lines += ["", f"# -- {HEADINGS[setting.name]} " + "-" * 40]
        value = getattr(settings, setting.name)
        mark = "#" if value == setting.default else ""
        lines += ["", *textwrap.wrap(f"{setting.text}{_kind(setting)}.", 98,
                                     initial_indent="# ", subsequent_indent="# "),
                  f"{mark}{setting.name} = {toml_value(value)}"]
    return "\n".join(lines) + "\n"


def _kind(setting: Setting) -> str:
    kind = typing.get_args(setting.type)[0]
    bounds = next(iter(setting.type.__metadata__))
    if typing.get_origin(kind) is Literal:
        return ": " + ", ".join(typing.get_args(kind))
    if kind is int:
        unit = f"{setting.unit}, " if setting.unit else ""
        return f" ({unit}{bounds.ge} to {bounds.le})"
    return ""


def page() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings", "",
        "`<state>/vaxel.toml`; on a machine where `vaxel install` was run, "
        "`/etc/vaxel/vaxel.toml`, to which the", "former is a link. `vaxel config init` writes "
        "it with every setting, its meaning and its default,", "`vaxel config check` says what "
        "is wrong with it, `vaxel config show` what is in force. It is the only", "way to set "
        "anything. A change is in force from the next start: `vaxel run` writes "
        "`settings.json` from", "it, which the processes read and which is not edited."]
    for setting in all_settings():
        if setting.name in HEADINGS:
            lines += ["", f"## {HEADINGS[setting.name]}", ""]
            if setting.made:
                lines += ["By the exchange itself at its first start; they are in "
                          "`settings.json` only (mode 0600).", ""]
            lines += ["| setting | default | meaning |", "|---|---|---|"]
        default = "" if setting.made else \
            "processors" if setting.name == "workers" else f"`{toml_value(setting.default)}`"
        text = setting.text + _kind(setting)
        lines.append(f"| `{setting.name}` | {default} | {text} |")
    return "\n".join([*lines, "", "A CA file `<state>/edge/trusted.pem` makes the edge verify "
                      "the names of TLS trunks.", ""])
