"""From a capture to a message in a mailbox: once, whoever is killed."""

import math
import os
import signal
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from api.keeping import deposits
from api.keeping.deposits import GIVE_UP_MS, KEEP_DELETED_MS, Deposits
from api.keeping.recordings import Recordings
from api.keeping.retention import Retention
from store import NotFound, SqliteStore
from store.model import CallRecord, Mailbox, Service, Tenant, User, VoiceMessage
from tests.exchange import ROOT

UID = "01a1fff17f715d62f1f862aab79f"
T0_MS = 1_772_460_000_000  # 2026-03-02 15:00 in Stockholm
CALLER = "+46701234567"


class Left:
    """A state directory with a mailbox and what rtpengine has left in it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.node = state / "media" / "node0"
        for name in ("metadata", "pcaps", "tmp"):
            (self.node / name).mkdir(parents=True)
        self.store = SqliteStore(state / "vaxel.db")
        self.store.migrate()
        self.tenant = self.make(Tenant(name="One"))
        self.user = self.make(User(tenant=self.tenant, name="Anna"))
        self.mailbox = self.make(Service(tenant=self.tenant, name="Annas låda", settings=Mailbox(
            user=self.user, email=("anna@example.net", "bo@example.net"),
            webhook="https://sms.example.net/send")))
        self.recordings = Recordings(state, self.store)
        self.deposits = self.recordings.deposits

    def make(self, row: Any) -> int:
        """Create a row."""
        made: list[Any] = []
        self.store.change("test", 1, "", lambda writer: made.append(writer.create(row)))
        return int(made[0].id)

    def begin(self, uid: str = UID, call_id: str = "", **fields: Any) -> None:
        """A deposit begins."""
        assert self.store.add_message(VoiceMessage(**{
            "uid": uid, "tenant": self.tenant, "mailbox": self.mailbox, "caller": CALLER,
            "caller_name": "Åsa", "created_ms": T0_MS} | fields), call_id=call_id)

    def capture(self, seconds: float, *, uid: str = UID, call_id: str = "c1", hz: int = 440,
                closed: bool = True, data: bytes | None = None) -> tuple[Path, Path]:
        """What rtpengine leaves of it."""
        pcap = self.node / "pcaps" / f"{call_id}-0123456789abcdef.pcap"
        pcap.write_bytes(pcap_of(seconds, hz) if data is None else data)
        text = self.node / ("metadata/c1.txt" if closed else f"tmp/{pcap.stem}.tmp")
        text.write_text(f"{pcap}\n\nSDP mode: answer\n\nm=audio 4000 RTP/AVP 8\n"
                        "a=rtpmap:8 PCMA/8000\n"
                        + (f"call end time: 1\n\n{uid}\n" if closed else ""))
        return text, pcap

    def take(self, later_s: float = 0) -> None:
        """What the keeper does."""
        now = time.time() + later_s
        self.recordings.take([*self.recordings.finished(self.node),
                              *self.recordings.left_behind(self.node, set(), now)], set(), now)
        assert not list((self.state / "recordings").rglob("*.flac")), "a message is no recording"

    def files(self) -> list[str]:
        """What is there now beside the store."""
        return sorted(str(path.relative_to(self.state)) for path in self.state.rglob("*")
                      if path.is_file() and not path.name.startswith("vaxel.db"))

    @property
    def audio(self) -> str:
        """Where it is to be."""
        return f"messages/{self.tenant}/{self.mailbox}/{UID}.flac"


def pcap_of(seconds: float, hz: int = 440) -> bytes:
    """A telephone that whistles in A-law."""
    samples = [int(8000 * math.sin(2 * math.pi * hz * i / 8000)) for i in range(8000)]
    coded = bytes(alaw(sample) for sample in samples)
    found = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for number in range(round(seconds * 50)):
        at = number % 50 * 160
        rtp = struct.pack(">BBHII", 0x80, 8, number, number * 160, 7) + coded[at:at + 160]
        udp = struct.pack(">HHHH", 5000, 4000, 8 + len(rtp), 0) + rtp
        ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, 1, 1) + udp
        when = T0_MS // 1000 + number / 50
        found.append(struct.pack("<IIII", int(when), round(when % 1 * 1e6), len(ip), len(ip)) + ip)
    return b"".join(found)


def alaw(sample: int) -> int:
    """ITU-T G.711."""
    sign, size = (0x80, sample) if sample >= 0 else (0, -sample - 1)
    exponent = max(size.bit_length() - 8, 0)
    mantissa = size >> (4 if exponent == 0 else exponent + 3) & 15
    return (sign | exponent << 4 | mantissa) ^ 0x55


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Left]:
    """A mailbox."""
    made = Left(tmp_path)
    yield made
    made.store.close()


def test_a_deposit_becomes_a_message(left: Left) -> None:
    left.begin()
    left.capture(3)
    left.take()
    message = left.store.message(UID)
    assert (message.state, message.path) == ("new", left.audio)
    assert abs(message.duration_ms - 3000) <= 40
    assert left.files() == [left.audio], "the capture is gone, and nothing lies about"
    samples, rate = soundfile.read(left.state / left.audio)
    assert samples.ndim == 1 and rate == 8000
    spectrum = np.abs(np.fft.rfft(samples[:8000]))
    assert int(np.argmax(spectrum)) == 440 and np.abs(samples).max() > 0.2
    assert stat.S_IMODE((left.state / left.audio).stat().st_mode) == 0o600
    with pytest.raises(NotFound):
        left.store.recording(UID)


def test_what_is_sent_about_it(left: Left) -> None:
    left.begin()
    left.capture(65)
    left.take()
    first, second, hook = left.store.deliveries(left.tenant)
    assert (first.to, second.to, first.kind) == ("anna@example.net", "bo@example.net", "mail")
    assert first.subject == "Röstmeddelande från Åsa (+46 70 123 45 67)"
    assert first.body == (
        "Åsa (+46 70 123 45 67) har lämnat ett röstmeddelande i Annas låda den 2026-03-02 "
        "kl. 15:00. Längd: 1:05.\nMeddelandet är bifogat.\n")
    assert first.attachment == left.audio and hook.attachment == "" and first.next_ms > 0
    assert (hook.kind, hook.to) == ("webhook", "https://sms.example.net/send")
    assert {name: hook.body[name] for name in ("number", "name", "date", "time", "duration_s")} == {
        "number": CALLER, "name": "Åsa", "date": "2026-03-02", "time": "15:00", "duration_s": 65}


@pytest.mark.parametrize(("language", "subject"), [
    ("en", "Voice message from a hidden number"), ("fi", "Ääniviesti: salainen numero"),
    ("sv", "Röstmeddelande från hemligt nummer")])
def test_languages(left: Left, language: str, subject: str) -> None:
    tenant = left.make(Tenant(name="Two", language=language, time_zone="UTC"))
    mailbox = left.make(Service(tenant=tenant, name="Box", settings=Mailbox(
        email=("x@example.net",), attach=False)))
    left.begin(tenant=tenant, mailbox=mailbox, caller="", caller_name="")
    left.capture(2)
    left.take()
    (sent,) = left.store.deliveries(tenant)
    assert sent.subject == subject and sent.attachment == ""
    assert "14:00" in sent.body and "bifogat" not in sent.body and "{" not in sent.body


def test_names_that_would_write_the_mail(left: Left) -> None:
    left.begin(caller_name="Eve\r\nBcc: all@example.net\u202e\x00{what}", caller="\r\n+1")
    left.capture(2)
    left.take()
    subject = left.store.deliveries(left.tenant)[0].subject
    assert subject == "Röstmeddelande från EveBcc: all@example.net{what} (+1)"


@pytest.mark.parametrize("seconds", [0, 0.02, 0.9])
def test_who_hung_up_at_the_beep(left: Left, seconds: float) -> None:
    left.begin()
    left.capture(seconds)
    left.take()
    assert left.store.message(UID).state == "deleted" and left.files() == []
    assert not left.store.deliveries(left.tenant)


def test_a_capture_that_cannot_be_read(left: Left) -> None:
    left.begin()
    left.capture(0, data=b"garbage" * 100)
    left.take()
    assert left.store.message(UID).state == "deleted"
    assert [Path(name).suffix for name in left.files()] == [".unreadable"]


@pytest.mark.parametrize("how", ["in the call-id", "by the call", "by the conversation",
                                 "by the session"])
def test_when_rtpengine_was_killed(left: Left, how: str) -> None:
    """The text is still in tmp/ and does not say whose it is; the end of the pcap is missing."""
    left.begin(call_id="x@y" if how == "by the session" else "")
    call_id = f"m-{UID}" if how == "in the call-id" else "x@y"
    if how.startswith("by the c"):
        left.store.add_call(CallRecord(
            uid=UID if how == "by the call" else "e" * 28, tenant=left.tenant, direction="in",
            caller="", called="", started_ms=1, call_id=call_id,
            conversation=UID if how == "by the conversation" else ""))
    left.capture(2, call_id=call_id, closed=False, data=pcap_of(2)[:-7])
    left.take(later_s=60)
    assert left.store.message(UID).state == "new" and left.files() == [left.audio]


def test_a_call_in_the_same_conversation_is_still_a_recording(left: Left) -> None:
    left.begin()
    left.store.add_call(CallRecord(uid="e" * 28, tenant=left.tenant, direction="in", caller="",
                                   called="", started_ms=1, call_id="c1", conversation=UID))
    text, pcap = left.capture(2, uid="e" * 28)
    left.recordings.take([(text, pcap)], set(), time.time())
    assert left.store.recording("e" * 28).duration_ms > 0
    assert left.store.message(UID).state == "recording"


@pytest.mark.parametrize("state", ["new", "saved", "deleted"])
def test_a_second_capture_changes_nothing(left: Left, state: Any) -> None:
    left.begin()
    left.capture(2)
    left.take()
    left.store.set_message_state(UID, state, 1)
    before = (left.store.message(UID), (left.state / left.audio).read_bytes())
    left.capture(5, hz=1000)
    left.take()
    assert (left.store.message(UID), (left.state / left.audio).read_bytes()) == before
    assert left.files() == [left.audio] and len(left.store.deliveries(left.tenant)) == 3


def test_a_mailbox_that_was_deleted_meanwhile(left: Left) -> None:
    left.begin()
    left.store.change("test", 1, "", lambda writer: writer.delete("service", left.mailbox))
    left.capture(2)
    left.take()
    assert left.store.message(UID).state == "deleted" and left.files() == []


def test_give_up_and_purge(left: Left) -> None:
    left.begin()
    assert left.deposits.give_up(T0_MS + GIVE_UP_MS) == 0
    assert left.deposits.give_up(T0_MS + GIVE_UP_MS + 1) == 1
    assert left.store.message(UID).state == "deleted"
    left.begin(uid="f" * 28)
    left.capture(2, uid="f" * 28)
    left.take()
    assert len(left.files()) == 1
    now = time.time_ns() // 1_000_000
    left.store.set_message_state("f" * 28, "deleted", now, "account 12")
    size = (left.state / left.store.message("f" * 28).path).stat().st_size
    left.deposits.purge(now + KEEP_DELETED_MS)
    assert len(left.files()) == 1, "it can be taken back for a day"
    left.deposits.purge(now + KEEP_DELETED_MS + 1)
    assert left.files() == []
    with pytest.raises(NotFound):
        left.store.message("f" * 28)
    (line,) = left.store.deletions(left.tenant)
    assert (line.uid, line.kind, line.why, line.by) == (
        "f" * 28, "message", "by hand", "account 12")
    assert line.bytes == size and len(line.sha256) == 64


def test_a_mailbox_goes_with_its_messages(left: Left) -> None:
    """The lines say who has deleted it."""
    left.begin()
    left.capture(2)
    left.take()
    left.store.change("anna", 1, "", lambda writer: writer.delete("service", left.mailbox),
                      "account 7")
    left.deposits.purge(time.time_ns() // 1_000_000 + 1)
    left.deposits.purge(time.time_ns() // 1_000_000 + KEEP_DELETED_MS + 1)
    assert left.files() == []
    assert [(line.why, line.by) for line in left.store.deletions(left.tenant)] == [
        ("by hand", "account 7")]


def test_one_that_is_taken_back_at_the_last_moment(left: Left) -> None:
    left.begin()
    left.capture(2)
    left.take()
    left.store.set_message_state(UID, "deleted", 1, "telephone")
    left.store.set_message_state(UID, "saved", 2)
    left.deposits.purge(time.time_ns() // 1_000_000)
    assert left.store.message(UID).state == "saved" and left.audio in left.files()
    assert not left.store.deletions(left.tenant)


PURGE: list[tuple[Any, str]] = [
    (SqliteStore, "begin_deletions"), (Path, "unlink"), (os, "fsync"),
    (SqliteStore, "end_deletions")]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("owner", "name"), PURGE, ids=[name for _, name in PURGE])
def test_a_crash_while_deleting(left: Left, monkeypatch: pytest.MonkeyPatch, owner: Any,
                                name: str, when: str) -> None:
    class Crash(BaseException):
        """Nothing catches it."""

    left.begin()
    left.capture(2)
    left.take()
    left.store.set_message_state(UID, "deleted", 1, "telephone")
    now = 2 + KEEP_DELETED_MS
    inner: Callable[..., Any] = getattr(owner, name)

    def crashing(*arguments: Any, **named: Any) -> Any:
        if when == "after":
            inner(*arguments, **named)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crashing)
        with pytest.raises(Crash):
            left.deposits.purge(now)
    if left.store.deletions(left.tenant):
        assert left.files() == []
    Retention(left.state, left.store).resume()
    left.deposits.purge(now)
    assert left.files() == []
    assert [(line.uid, line.by) for line in left.store.deletions(left.tenant)] == [
        (UID, "telephone")]
    assert left.store.proof_of_deletion(left.tenant).good


def test_what_was_recorded_for_a_prompt(left: Left) -> None:
    left.begin(mailbox=0)
    left.capture(2)
    left.take()
    assert left.store.message(UID).state == "new" and not left.store.deliveries(left.tenant)
    left.deposits.purge(T0_MS + KEEP_DELETED_MS)
    assert len(left.files()) == 1
    left.deposits.purge(T0_MS + KEEP_DELETED_MS + 1)
    assert left.files() == []


STEPS: list[tuple[Any, str]] = [
    (deposits, "combine"), (deposits, "to_mono"), (deposits, "about_message"),
    (SqliteStore, "finish_message"), (Path, "unlink"), (Path, "rename")]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_crash_at_any_step(left: Left, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str,
                             when: str) -> None:
    class Crash(BaseException):
        """Nothing catches it."""

    left.begin()
    left.capture(2)
    inner: Callable[..., Any] = getattr(owner, name)

    def crashing(*arguments: Any, **named: Any) -> Any:
        if when == "after":
            inner(*arguments, **named)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crashing)
        with pytest.raises(Crash):
            left.take()
    left.take()
    assert left.store.message(UID).state == "new"
    assert len(left.store.deliveries(left.tenant)) == 3
    assert [file for file in left.files() if not file.startswith("media/node0/metadata")] == [
        left.audio]


TAKER = """
import sys, time; from pathlib import Path
from api.keeping.recordings import Recordings; from store import SqliteStore
state = Path(sys.argv[1]); node = state / "media/node0"
recordings = Recordings(state, SqliteStore(state / "vaxel.db"))
print("ready", flush=True)
recordings.take(recordings.finished(node), set(), time.time())
"""


def test_killed_at_any_moment(left: Left) -> None:
    left.begin()
    left.capture(20)
    for _ in range(12):
        with subprocess.Popen([sys.executable, "-c", TAKER, str(left.state)], cwd=ROOT,
                              stdout=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stdout.readline()
            time.sleep(float(np.random.default_rng().uniform(0, 0.1)))
            os.kill(child.pid, signal.SIGKILL)
        message = left.store.message(UID)
        if message.state == "new":
            assert (left.state / left.audio).exists()
            break
        assert (left.node / "pcaps/c1-0123456789abcdef.pcap").exists()
    left.take()
    assert left.store.message(UID).state == "new" and left.audio in left.files()
    assert len(left.store.deliveries(left.tenant)) == 3
    assert isinstance(left.deposits, Deposits)
