"""The vaxel command: settings, rows, live commands, logs and capture, with a real exchange."""

import asyncio
import contextlib
import io
import json
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from tests.exchange import ROOT, Company, Exchange, eventually
from tests.people import People, both, played, take
from tests.sipp import Sipp, answering, calling
from vaxel import edge, logs, media, settings
from vaxel.command import parser, perform
from vaxel.commands import tables
from vaxel.commands.common import GOOD, REFUSED, UNREACHABLE, USAGE, CommandError
from vaxel.commands.log import Tail, since_of
from vaxel.commands.rows import body_of
from vaxel.options import Settings, all_settings, page, toml_text
from vaxel.settings import SettingsError

PASSWORD = "Correct-Horse-Battery-1"


def vaxel(*words: str, state: Path, code: int = GOOD, **environment: str) -> str:
    """What a command prints; the exit code is as expected."""
    done = subprocess.run(
        [sys.executable, "-m", "vaxel", "--state", str(state), *words], cwd=ROOT, timeout=60,
        capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **environment})
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == GOOD else done.stderr


# -- the settings' file ------------------------------------------------------------------------

def test_a_new_file_says_the_defaults(tmp_path: Path) -> None:
    """Every setting is in it, commented out, and the file as it is means the defaults."""
    printed = vaxel("config", "init", state=tmp_path / "new").strip()
    path = Path(printed)
    assert path == tmp_path / "new" / "vaxel.toml" and path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    for setting in all_settings():
        assert bool(re.search(rf"^#{setting.name} = ", text, re.M)) is not setting.made
    assert settings.chosen(path) == Settings()
    assert max(map(len, text.splitlines())) <= 100
    assert "is there already" in vaxel("config", "init", state=tmp_path / "new", code=REFUSED)


def test_what_differs_from_the_default_is_kept(tmp_path: Path) -> None:
    """Also text with quotes and other alphabets."""
    wanted = Settings(sip_port=5080, domain='a"b\\c\nå', webhooks_to_private=True, workers=7)
    path = tmp_path / "vaxel.toml"
    path.write_text(toml_text(wanted))
    assert settings.chosen(path) == wanted


@pytest.mark.parametrize(("text", "says"), [
    ("sip_prt = 5080", "line 2: sip_prt: there is no such setting; did you mean sip_port?"),
    ("zzzz = 1", "line 2: zzzz: there is no such setting; `vaxel config init --print`"),
    ('sip_port = "5080"', "line 2: sip_port: Expected a whole number"),
    ("sip_port = 70000", "line 2: sip_port: Expected a whole number <= 65535"),
    ("sip_port = true", "line 2: sip_port: Expected a whole number"),
    ("domain = 5", "line 2: domain: Expected text in quotes"),
    ("webhooks_to_private = 1", "line 2: webhooks_to_private: Expected true or false"),
    ('log_level = "loud"', "line 2: log_level: Invalid enum value 'loud'"),
    ('api_key = "vx_1"', "line 2: api_key: the exchange makes it itself"),
    ('hep_capture = "homer"', "line 2: hep_capture: Expected text"),
    ('hep_capture = "homer:99999"', "hep_capture: the port is a number from 1 to 65535"),
    ("metrics_port = 8080", "metrics_port: port 8080 is api_port's already"),
    ('public_url = "javascript:alert(1)"', "line 2: public_url: Expected"),
    ("sip_port = ", "not TOML: Invalid value (at line 2"),
    ('address = "::1"', "address: '::1' is an IPv6 address; give an IPv4 address of this machine"),
    ('address = "10.0.0.300"', "address: '10.0.0.300' is not an IPv4 address"),
    ('address = ""', "address: '' is not an IPv4 address"),
    ('address = "0.0.0.0"', "address: 0.0.0.0 is not the address of a machine"),
    ('address = "224.0.0.1"', "address: 224.0.0.1 is not the address of a machine"),
    ('proxies = "192.0.2.1, 192.0.2.300"', "proxies: '192.0.2.300' is not an address"),
    ("tls_port = 5060", "tls_port: port 5060 is sip_port's already; choose another"),
    ("api_port = 30010", "api_port: port 30010 lies among the ports of media"),
    ("rtp_first = 39999", "a media node needs ten ports"),
    ("[sip]\nport = 1", "line 2: sip: there is no such setting"),
], ids=lambda value: re.sub(r"\W+", "-", value)[:24] if value[0] not in " l" else "")
def test_a_wrong_file_is_refused_with_the_line(tmp_path: Path, text: str, says: str) -> None:
    """And with what to do."""
    path = tmp_path / "vaxel.toml"
    path.write_text(f"# mine\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        settings.chosen(path)
    assert says in str(caught.value) and str(path) in str(caught.value)


def test_every_fault_is_said_at_once(tmp_path: Path) -> None:
    """So that the file is mended once."""
    (tmp_path / "vaxel.toml").write_text('sip_prt = 1\napi_port = "x"\n')
    told = vaxel("config", "check", state=tmp_path, code=REFUSED)
    assert "line 1: sip_prt" in told and "line 2: api_port" in told


def test_an_older_installation_gets_the_file(tmp_path: Path) -> None:
    """Settings that were edited in settings.json are taken over, secrets stay."""
    old = Settings(sip_port=5099, digest_key="d" * 64, from_key="f" * 32, api_key="vx_old")
    settings.put_in_force(tmp_path, old)
    assert settings.load(tmp_path) == old
    text = (tmp_path / "vaxel.toml").read_text()
    assert "\nsip_port = 5099\n" in text and "vx_old" not in text and "d" * 64 not in text


def test_the_file_decides_and_secrets_stay(tmp_path: Path) -> None:
    """A change is in force from the next start."""
    first = settings.load(tmp_path)
    assert len(first.digest_key) == 64 and first.api_key.startswith("vx_")
    (tmp_path / "vaxel.toml").write_text("ping_s = 30\n")
    second = settings.load(tmp_path)
    assert (second.ping_s, second.api_key, second.digest_key) == (
        30, first.api_key, first.digest_key)
    assert settings.in_force(tmp_path).ping_s == 10
    assert "in force from the next start: ping_s" in vaxel("config", "check", state=tmp_path)
    shown = vaxel("config", "show", state=tmp_path)
    assert first.api_key not in shown and "api_key\t(hidden)" in shown


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    """As on an installed machine."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "vaxel.toml").symlink_to(tmp_path / "etc" / "vaxel.toml")
    settings.save(tmp_path / "state", Settings(ping_s=7))
    assert (tmp_path / "state" / "vaxel.toml").is_symlink()
    assert settings.chosen(tmp_path / "etc" / "vaxel.toml").ping_s == 7


def test_the_page_has_every_setting() -> None:
    """docs/settings.md is `vaxel config page`."""
    for setting in all_settings():
        assert f"| `{setting.name}` |" in page() and setting.text in page()


# -- how commands are written ------------------------------------------------------------------

def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """And says what its exit codes mean."""
    top = parser()
    commands = top._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert isinstance(commands, dict) and len(commands) >= 20
    for name in commands:
        with pytest.raises(SystemExit) as ended:
            top.parse_args([name, "--help"])
        text = capsys.readouterr().out
        assert ended.value.code == 0 and "exit codes" in text, name
        assert name in ("run", "demo") or "examples:" in text, name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(tmp_path: Path, shell: str) -> None:
    """What the shell loads names our command."""
    text = vaxel("completion", shell, state=tmp_path)
    assert "vaxel" in text and "_ARGCOMPLETE" in text


def test_the_shell_is_told_what_can_follow(tmp_path: Path) -> None:
    """As bash asks: commands, resources, fields."""
    def asked(line: str) -> set[str]:
        out = tmp_path / "out"
        subprocess.run(
            [sys.executable, "-m", "vaxel"], cwd=ROOT, timeout=30, check=False, env={
                "PATH": "/usr/bin:/bin", "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n",
                "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SHELL": "bash",
                "_ARGCOMPLETE_STDOUT_FILENAME": str(out)})
        return {word.strip() for word in out.read_text().split("\n")}

    assert {"backup", "restore", "migrate"} <= asked("vaxel ")
    assert {"users", "numbers"} <= asked("vaxel add ")
    assert "extension=" in asked("vaxel add users ex")


def test_fields_have_the_types_of_their_rows() -> None:
    """An extension is text, a ring time a number, a target an object."""
    assert body_of("user", ["name=Anna", "extension=101", "ring_s=30", "enabled=false",
                            "area=null"]) == {
        "name": "Anna", "extension": "101", "ring_s": 30, "enabled": False, "area": None}
    assert body_of("number", ["e164=+4684000000", "target.kind=user", "target.user=7"]) == {
        "e164": "+4684000000", "target": {"kind": "user", "user": 7}}
    assert body_of("service", ['settings={"type": "message", "prompt": 3}']) == {
        "settings": {"type": "message", "prompt": 3}}


@pytest.mark.parametrize(("word", "says"), [
    ("extention=1", "did you mean extension?"), ("name", "not field=value"),
    ("name=@/does/not/exist", "No such file"), ("zzzz=1", "it has: tenant, name"),
], ids=["near", "no-value", "no-file", "unknown"])
def test_a_wrong_field_is_refused(word: str, says: str) -> None:
    """Before anything is asked."""
    with pytest.raises(CommandError, match=re.escape(says)) as caught:
        body_of("user", [word])
    assert caught.value.code == USAGE


def test_what_a_terminal_would_obey_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A name is a customer's: no escape, no tab, no new line."""
    tables.rows([{"name": "a\x1b[2Jb\tc\nd", "n": 1}])
    assert capsys.readouterr().out == "name\tn\na�[2Jb�c�d\t1\n"


def test_nobody_there(tmp_path: Path) -> None:
    """Exit code 3, and what to do."""
    assert "`vaxel run` starts one" in vaxel("status", state=tmp_path, code=UNREACHABLE)
    settings.private_settings(tmp_path)
    assert "is `vaxel run` up?" in vaxel("status", state=tmp_path, code=UNREACHABLE)
    assert "VAXEL_KEY" in vaxel("--url", "http://127.0.0.1:1", "status", state=tmp_path,
                                code=USAGE)


# -- logs --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("line", "level", "event", "uid"), [
    (" 5(1234) ERROR: <core> [a.c:1]: f(): no route", "error", "<core> [a.c:1]: f(): no route",
     None),
    (f"12(99) WARNING: call {'0a' * 14}: could not be sent", "warning",
     f"call {'0a' * 14}: could not be sent", "0a" * 14),
    (f"[1700000000.123456] ERR: [0.{'0b' * 14}.1]: no ports", "error",
     f"[0.{'0b' * 14}.1]: no ports", "0b" * 14),
    ("\x1b[33m[WARN]\x1b[0m slow", "warning", "slow", None),
    ("Listening on", "info", "Listening on", None),
    ('{"at":"forged"}', "info", '{"at":"forged"}', None),
], ids=["kamailio", "kemi", "rtpengine", "janus", "plain", "forged"])
def test_lines_of_others_get_our_shape(line: str, level: str, event: str,
                                       uid: str | None) -> None:
    """Level, event and the call, where they name one."""
    entry = json.loads(logs.foreign("edge", line, "2026-01-01T00:00:00.000000Z"))
    assert entry == {"at": "2026-01-01T00:00:00.000000Z", "process": "edge", "level": level,
                     "event": event} | ({"uid": uid} if uid else {})


def test_whatever_is_logged_can_be_written() -> None:
    """And secrets by their names are hidden; an exception is one line."""
    lines: list[bytes] = []
    try:
        logs.configure("api", "info", lines.append)
        log = structlog.get_logger()
        log.info("x", path=Path("/a"), bad="\udcff", big=1 << 80, uid="0d" * 14)
        log.info("x", password="hunter2", api_key="vx_1", digest=b"\xff")
        log.debug("not at this level")
        try:
            raise ValueError("a\nb")
        except ValueError:
            log.exception("failed")
    finally:
        structlog.reset_defaults()
    first, second, third = (json.loads(line) for line in lines)
    assert (first["uid"], first["process"], first["level"]) == ("0d" * 14, "api", "info")
    assert "hunter2" not in str(second) and second["api_key"] == "hidden"
    assert third["level"] == "error" and "ValueError: a\nb" in third["exception"]
    assert all(b"\n" not in line for line in lines)
    assert logs.readable(third).count("\n") >= 3


def test_a_process_that_fails_says_why() -> None:
    """As one line of level error, on its standard error."""
    done = subprocess.run([sys.executable, "-m", "vaxel.logged", "api", "info", "api.app",
                           "/does/not/exist"], cwd=ROOT, capture_output=True, timeout=60)
    entry = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 1
    assert (entry["process"], entry["level"]) == ("api", "error")
    assert "FileNotFoundError" in entry["exception"]


def test_a_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files, whatever is written; lines stay whole, and what never ends is cut."""
    monkeypatch.setattr(logs, "MAX_BYTES", 20_000)
    log = logs.LogFile(tmp_path, "edge")
    for number in range(2000):
        log.feed(f"line {number:06}\nhal".encode(), ours=False)
        log.feed(b"f\n", ours=False)
    log.feed(b"x" * 200_000, ours=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edge.log", "edge.old"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 40_000 + 2 * logs.MAX_LINE
    events = [json.loads(line)["event"] for line in
              (tmp_path / "edge.log").read_bytes().splitlines()]
    assert len(events[-1]) == logs.MAX_LINE and {"half"} == {
        event for event in events[:-1] if not event.startswith("line")}


@pytest.mark.parametrize(("text", "since"), [
    ("", ""), ("10m", "2026-03-02T11:50:00.000000Z"), ("2d", "2026-02-28T12:00:00.000000Z"),
    ("2026-03-02T10:00+00:00", "2026-03-02T10:00:00.000000Z"),
], ids=["all", "minutes", "days", "time"])
def test_since(text: str, since: str) -> None:
    """A span or a time."""
    assert since_of(text, datetime(2026, 3, 2, 12, tzinfo=UTC)) == since


def test_following_a_log_over_its_end(tmp_path: Path) -> None:
    """Whole lines only, each once, also when the file is put aside and begun anew."""
    path = tmp_path / "edge.log"
    tail = Tail(path)
    assert list(tail.lines()) == []
    path.write_bytes(b"one\ntwo\nhal")
    assert list(tail.lines()) == [b"one", b"two"]
    with path.open("ab") as file:
        file.write(b"f\n")
    assert list(tail.lines()) == [b"half"]
    path.rename(tmp_path / "edge.old")
    path.write_bytes(b"new\n")
    assert list(tail.lines()) == [b"new"] and list(tail.lines()) == []


def test_nothing_is_captured_without_a_collector(tmp_path: Path) -> None:
    """The module is not loaded, and media nodes send nothing."""
    quiet, loud = Settings(), Settings(hep_capture="homer.example:9060", hep_id=5)
    for chosen, captured in ((quiet, False), (loud, True)):
        edge.prepare(tmp_path, chosen)
        text = (tmp_path / "edge" / "kamailio.cfg").read_text()
        assert ("siptrace" in text) is captured
        assert ("sip:homer.example:9060" in text) is captured
        words = media.command(tmp_path, chosen, 0)
        assert ("--homer=homer.example:9060" in words) is captured
        assert ("--homer-id=5" in words) is captured


# -- with an exchange --------------------------------------------------------------------------

class Packet(NamedTuple):
    """What a HEP3 packet says: {chunk type: value} of the vendor 0."""

    chunks: dict[int, bytes]

    @property
    def text(self) -> str:
        """The message itself (chunk 15)."""
        return self.chunks.get(15, b"").decode(errors="replace")


def packet_of(data: bytes) -> Packet:
    """HEP3: "HEP3", the length, then chunks of vendor, type, length and value."""
    magic, length = struct.unpack_from("!4sH", data)
    assert magic == b"HEP3" and length == len(data)
    chunks, at = {}, 6
    while at < length:
        vendor, kind, size = struct.unpack_from("!HHH", data, at)
        assert size >= 6 and at + size <= length
        if vendor == 0:
            chunks[kind] = data[at + 6:at + size]
        at += size
    return Packet(chunks)


class Collector:
    """A HEP collector."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.packets: list[Packet] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while data := self._socket.recv(65535):
            self.packets.append(packet_of(data))


class Running(NamedTuple):
    """An exchange with a collector and a company."""

    exchange: Exchange
    collector: Collector
    company: Company

    def vaxel(self, *words: str, code: int = GOOD) -> str:
        """A command of its operator, in this process: most of a command's time is its start."""
        out, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
            found = perform(["--state", str(self.exchange.state), *words])
        assert found == code, out.getvalue() + told.getvalue()
        return out.getvalue() if code == GOOD else told.getvalue()

    def json(self, *words: str) -> Any:
        """The answer of one, as JSON."""
        return json.loads(self.vaxel(*words, "--tenant", str(self.company.id), "--json"))


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """One for this file."""
    collector = Collector()
    with Exchange(hep_capture=f"127.0.0.1:{collector.port}", hep_id=77) as exchange:
        yield Running(exchange, collector, exchange.company())


def test_rows_by_command(running: Running) -> None:
    """Make, list, show, change, delete; refusals say why."""
    company = ["--tenant", str(running.company.id)]
    made = running.json("add", "users", "name=Anna Berg", "extension=170")
    assert made["extension"] == "170"
    assert made in running.json("list", "users", "extension=170")
    lines = running.vaxel("list", "users", *company, "--columns", "extension,name").splitlines()
    assert lines[0] == "extension\tname" and "170\tAnna Berg" in lines
    assert running.json("change", "users", str(made["id"]), "ring_s=40")["ring_s"] == 40
    assert "extension" in running.vaxel("add", "users", "name=Bo", "extension=170", *company,
                                        code=REFUSED)
    assert "cannot be filtered by 'shoe'" in running.vaxel("list", "users", "shoe=1", *company,
                                                           code=USAGE)
    running.vaxel("delete", "users", str(made["id"]), *company)
    assert "not_found" in running.vaxel("get", "users", str(made["id"]), *company, code=REFUSED)


def test_a_company_by_its_name(running: Running) -> None:
    """Or with --tenant left out, when there is only one."""
    name = running.exchange.client.get(f"/tenants/{running.company.id}")["name"]
    assert running.vaxel("list", "users", "--tenant", name.upper()) is not None
    assert name in running.vaxel("list", "users", "--tenant", "Nobody", code=USAGE)


def test_out_and_in_again(running: Running, tmp_path: Path) -> None:
    """A company as a file; a dry run says what would change and changes nothing."""
    company = ["--tenant", str(running.company.id)]
    running.company.telephone("180")
    path = tmp_path / "company.json"
    running.vaxel("export", str(path), *company)
    document = json.loads(path.read_text())
    person = next(row for row in document["users"] if row["extension"] == "180")
    person["name"] = "Renamed"
    path.write_text(json.dumps(document))
    assert path.stat().st_mode & 0o777 == 0o600

    def name() -> str:
        return str(running.json("list", "users", "extension=180")[0]["name"])

    planned = running.json("import", str(path), "--dry-run")
    assert (planned["changed"], planned["created"]) == (1, 0) and name() == "User 180"
    assert "name" in running.vaxel("import", str(path), "--dry-run", *company)
    assert running.json("import", str(path))["changed"] == 1 and name() == "Renamed"
    assert "name it with --table" in running.vaxel("import", "users.csv", *company, code=USAGE)
    assert "the name ends with" in running.vaxel("export", "users.txt", *company, code=USAGE)


def test_live_commands(running: Running) -> None:
    """Each answers, and status is good."""
    assert json.loads(running.vaxel("status", "--json"))["status"] == "ok"
    running.company.telephone("171")
    explained = running.json("explain", "171", "171")
    assert explained["attempts"]
    for words in (["calls"], ["calls", "--last", "5"], ["queues"], ["agents"], ["proof"]):
        assert running.json(*words) is not None
    queue = running.json("add", "services", "name=Support", "extension=177",
                         'settings={"type": "queue"}')
    running.json("add", "queue-members", f"service={queue['id']}",
                 f"user={running.json('list', 'users', 'extension=171')[0]['id']}")
    assert eventually(lambda: [one["name"] for one in running.json("queues")]) == ["Support"]
    user = eventually(lambda: running.json("agents"))[0]["user"]
    assert running.json("agents", "login", str(user))["state"] != "offline"
    running.json("change", "tenants", str(running.company.id), 'pause_reasons=["lunch"]')
    assert running.json("agents", "pause", str(user), "--reason", "lunch")["state"] == "paused"
    assert running.json("agents", "logout", str(user))["state"] == "offline"
    assert "offered" in str(running.json("figures", "queue", str(queue["id"])))
    assert "say who" in running.vaxel("agents", "login", code=USAGE)


def test_from_elsewhere_with_a_key(running: Running, tmp_path: Path) -> None:
    """--url and a key in a file or in the environment, which is not shown."""
    made = json.loads(running.vaxel("add", "keys", "name=Elsewhere",
                                    f"tenant={running.company.id}", "--json"))
    key = tmp_path / "key"
    key.write_text(made["key"] + "\n")
    url = f"http://127.0.0.1:{running.exchange.settings.api_port}"
    there = ["--tenant", str(running.company.id)]
    vaxel("--url", url, "--key-file", str(key), "list", "users", *there, state=tmp_path)
    vaxel("--url", url, "list", "users", *there, state=tmp_path, VAXEL_KEY=made["key"])
    told = vaxel("--url", url, "list", "users", *there, state=tmp_path, VAXEL_KEY="vx_wrong_one",
                 code=REFUSED)
    assert "unauthenticated" in told and "vx_wrong_one" not in told


def test_capture_and_logs_of_a_call(running: Running) -> None:
    """The INVITE is in HEP3 packets with its Call-ID; nothing secret is in the logs."""
    anna, bo = running.company.telephone("101"), running.company.telephone("102")
    line = calling(anna.username, 200, password=anna.secret)
    with running.company.phone(bo, answering()) as phone, \
            Sipp(line, remote=running.exchange.sip, service="102") as caller:
        caller.done()
        phone.done()
    record = running.company.newest_call()
    wanted = record["call_id"]

    def invites() -> list[Packet]:
        return [packet for packet in running.collector.packets
                if packet.text.startswith("INVITE ") and wanted in packet.text]

    company = ["--tenant", str(running.company.id)]
    assert "answered" in running.vaxel("calls", "--last", "1", *company)
    events = [json.loads(one) for one in running.vaxel("events", *company).splitlines()]
    assert {one["tenant"] for one in events} <= {running.company.id}
    found = eventually(invites)
    for packet in found:
        assert re.search(rf"^Call-ID: *{re.escape(wanted)}", packet.text, re.M | re.I)
        assert packet.chunks[11] == b"\x01"  # SIP
        assert struct.unpack("!I", packet.chunks[12]) == (77,)
    assert {packet.chunks[2] for packet in found} == {b"\x11"}  # UDP
    assert any(packet.text.startswith("SIP/2.0 200") for packet in running.collector.packets)

    running.exchange.client._http.post("/sign-in", json={
        "email": "a@example.com", "password": PASSWORD})
    running.exchange.register(anna, 5070, secret="wrong" * 5)
    entries = [json.loads(one) for one in running.vaxel("log", "--json").splitlines()]
    assert entries == sorted(entries, key=lambda entry: str(entry["at"]))
    assert {"api", "keeper", "edge", "control0"} <= {entry["process"] for entry in entries}
    assert all({"at", "process", "level", "event"} <= set(entry) for entry in entries)
    text = "".join(path.read_text() for path in (running.exchange.state / "logs").iterdir())
    chosen = running.exchange.settings
    for secret in (anna.secret, bo.secret, PASSWORD, chosen.api_key, chosen.digest_key,
                   chosen.from_key):
        assert secret not in text


def test_the_log_of_one_call(running: Running) -> None:
    """--call picks its lines, --process and --level too."""
    uid = "0c" * 14
    file = running.exchange.state / "logs" / "control9.log"
    file.write_bytes(b"".join(logs.encode({
        "at": logs.stamp(), "process": "control9", "level": level, "event": "transfer",
        "uid": one}) + b"\n" for level, one in (("error", uid), ("info", uid), ("error", "x"))))
    assert len(running.vaxel("log", "--call", uid).splitlines()) == 2
    assert len(running.vaxel("log", "--call", uid, "--level", "error").splitlines()) == 1
    assert running.vaxel("log", "--call", uid, "--process", "edge") == ""
    assert "neither 10m" in running.vaxel("log", "--since", "soon", code=USAGE)


def test_a_good_call_is_in_the_log(running: Running) -> None:
    """Its begin and its end; of the numbers of people no more than the last digits."""
    async def work(people: People) -> None:
        anna, *_ = await people.three()
        carrier = await people.carrier()
        carrier.user = "+46701234567"
        line = await carrier.dial(people.company.main(
            {"kind": "user", "user": people.users["101"]}, 77))
        taken = await take(anna)
        await both(line, taken)
        await line.hang_up()
        await taken.ended()

    company = running.exchange.company()
    asyncio.run(played(running.exchange, company, work))
    (record,) = eventually(lambda: company.client.get(f"{company.base}/calls")["items"])
    told = [json.loads(line) for line in running.vaxel(
        "log", "--json", "--call", record["uid"]).splitlines()]
    by = {entry["event"]: entry for entry in told}
    assert {"call begins", "call ends", "call record"} <= by.keys(), told
    whole = by["call record"]
    assert (whole["tenant"], whole["direction"], whole["caller"], whole["ended_by"]) == (
        company.id, "in", "567", "caller")
    assert whole["answered"] and 0 < whole["talked_s"] <= whole["seconds"]
    assert by["call begins"]["tenant"] == company.id and by["call ends"]["seconds"] > 0
    assert "+46701234567" not in json.dumps(told)


def test_a_file_that_says_nonsense_stops_the_start(tmp_path: Path) -> None:
    """Before anything is started."""
    (tmp_path / "vaxel.toml").write_text("sip_prt = 5060\n")
    assert "did you mean sip_port?" in vaxel("run", state=tmp_path, code=REFUSED)
    assert not (tmp_path / "logs").exists()
