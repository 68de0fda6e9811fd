"""What is deleted is gone, and there is a line for it, whoever is killed; what is kept stays."""

import contextlib
import hashlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from api.keeping import retention as module
from api.keeping.retention import DAY_MS, Retention
from api.recordings.sound import open_sound, part_of
from store import Conflict, NotFound, SqliteStore
from store.model import CallRecord, Recording, Tenant, User, VoiceMessage
from store.retention import FIRST, WantedRecordings
from tests.alone import Alone
from tests.exchange import ROOT, eventually

NOW = 1_790_000_000_000


class Archive:
    """A state directory with old and new things of companies."""

    def __init__(self, state: Path, store: SqliteStore | None = None) -> None:
        self.state = state
        self.store = store or SqliteStore(state / "vaxel.db")
        self.store.migrate()
        self.job = Retention(state, self.store)

    def company(self, **fields: Any) -> int:
        """With a policy."""
        return self.make(Tenant(name=f"T{self.store.revision()}", **fields))

    def make(self, row: Any) -> int:
        """Create a row."""
        made: list[Any] = []
        self.store.change("test", 1, "", lambda writer: made.append(writer.create(row)))
        return int(made[0].id)

    def call(self, tenant: int, uid: str, days: float, **fields: Any) -> None:
        """That many days ago."""
        at = round(NOW - days * DAY_MS)
        self.store.add_call(CallRecord(**{
            "uid": uid, "tenant": tenant, "direction": "in", "caller": "+46701234567",
            "called": "+46840000000", "started_ms": at, "answered_ms": at + 1000,
            "ended_ms": at + 9000} | fields))

    def recording(self, tenant: int, uid: str, days: float, *, seconds: float = 0.1) -> Path:
        """With its file."""
        path = Path("recordings") / "day" / f"{uid}.flac"
        (self.state / path).parent.mkdir(parents=True, exist_ok=True)
        frames = np.arange(round(8000 * seconds) * 2, dtype=np.int16).reshape(-1, 2)
        soundfile.write(self.state / path, frames, 8000, subtype="PCM_16")
        data = (self.state / path).read_bytes()
        self.store.add_recording(Recording(
            uid=uid, tenant=tenant, path=str(path), started_ms=round(NOW - days * DAY_MS),
            duration_ms=round(seconds * 1000), bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest()))
        return self.state / path

    def message(self, tenant: int, uid: str, days: float, state: Any = "new") -> Path:
        """With its file."""
        path = Path("messages") / f"{uid}.flac"
        (self.state / path).parent.mkdir(exist_ok=True)
        (self.state / path).write_bytes(b"fLaC" + uid.encode())
        at = round(NOW - days * DAY_MS)
        self.store.add_message(VoiceMessage(uid=uid, tenant=tenant, mailbox=1, created_ms=at))
        if state != "recording":
            self.store.finish_message(uid, path=str(path), duration_ms=1000, sha256="ab", at_ms=at)
            if state != "new":
                self.store.set_message_state(uid, state, at)
        return self.state / path


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """It ends with the test."""
    made = Archive(tmp_path)
    yield made
    made.store.close()


# -- by policy --------------------------------------------------------------------------------

def test_what_is_old_goes(archive: Archive) -> None:
    tenant = archive.company(recordings_days=30, messages_days=10, calls_days=365)
    other = archive.company()
    old = archive.recording(tenant, "r1", 30.01)
    new = archive.recording(tenant, "r2", 29.99)
    theirs = archive.recording(other, "r3", 3000)
    archive.call(tenant, "c1", 366)
    archive.call(tenant, "c2", 364)
    archive.call(other, "c3", 3660)
    heard = archive.message(tenant, "m1", 11, "saved")
    left = archive.message(tenant, "m2", 11, "recording")
    size = old.stat().st_size
    digest = archive.store.recording("r1").sha256
    assert archive.job.apply(NOW) == 3
    assert not old.exists() and new.exists() and theirs.exists()
    assert not heard.exists() and left.exists(), "one that is being left is not old"
    for find, uid in ((archive.store.recording, "r1"), (archive.store.call, "c1"),
                      (archive.store.message, "m1")):
        with pytest.raises(NotFound):
            find(uid)  # type: ignore[operator]
    assert [line.uid for line in archive.store.deletions(tenant)] == ["r1", "m1", "c1"]
    first, second, third = archive.store.deletions(tenant)
    assert (first.kind, first.sha256, first.bytes, first.why, first.by, first.at_ms) == (
        "recording", digest, size, "policy: 30 days", "keeper", NOW)
    assert (second.sha256, second.bytes) == ("ab", 6) and third.why == "policy: 365 days"
    assert first.made_ms == round(NOW - 30.01 * DAY_MS) and len(third.sha256) == 64
    assert not archive.store.deletions(other) and archive.job.apply(NOW) == 0
    assert archive.store.calls(tenant=tenant)[0].uid == "c2"


def test_a_message_that_was_deleted_goes_its_own_way(archive: Archive) -> None:
    tenant = archive.company(messages_days=1)
    archive.message(tenant, "m", 5, "deleted")
    assert archive.job.apply(NOW) == 0 and archive.store.message("m").state == "deleted"


def test_every_recording_of_a_call(archive: Archive) -> None:
    """Listed with the call, kept with it, deleted by the policy."""
    tenant = archive.company(recordings_days=30)
    archive.call(tenant, "c1", 40, caller="+46701111111")
    files = [archive.recording(tenant, uid, 40) for uid in ("c1", "c1-0123456789abcdef")]
    archive.recording(tenant, "c11", 5)
    found = archive.store.recordings(tenant, WantedRecordings(call="c1"))
    assert {one.uid for one in found} == {"c1", "c1-0123456789abcdef"}
    assert {(one.call, one.caller) for one in found} == {("c1", "+46701111111")}
    archive.store.set_keep("call", tenant, "c1", True)
    assert archive.job.apply(NOW) == 0
    assert all(one.keep for one in archive.store.recordings(tenant, WantedRecordings(call="c1")))
    archive.store.set_keep("call", tenant, "c1", False)
    assert archive.job.apply(NOW) == 2 and not any(path.exists() for path in files)
    assert {line.uid for line in archive.store.deletions(tenant)} == {one.uid for one in found}


def test_bounded_batches(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    monkeypatch.setattr(module, "BATCHES", 2)
    tenants = [archive.company(calls_days=1) for _ in range(2)]
    for number in range(10):
        archive.call(tenants[number % 2], f"c{number}", 5)
    assert [archive.job.apply(NOW) for _ in range(4)] == [5, 5, 0, 0]
    assert all(archive.store.proof_of_deletion(tenant).lines == 5 for tenant in tenants)


def test_what_is_kept(archive: Archive) -> None:
    """A recording by itself or with its call; a call with its legs."""
    tenant = archive.company(recordings_days=1, calls_days=1)
    for uid in ("a", "b", "c"):
        archive.call(tenant, uid, 9)
        archive.recording(tenant, uid, 9)
    archive.call(tenant, "leg", 9, conversation="a")
    archive.store.set_keep("call", tenant, "a", True)
    archive.store.set_keep("recording", tenant, "b", True)
    assert archive.job.apply(NOW) == 3
    assert {call.uid for call in archive.store.calls(tenant=tenant, legs=True)} == {"a", "leg"}
    assert [one.uid for one in archive.store.recordings(tenant)] == ["b", "a"]
    assert all(one.keep for one in archive.store.recordings(tenant))
    assert archive.store.begin_deletions("recording", tenant, ["a", "b"], why="by hand", by="x",
                                         at_ms=NOW) == []
    archive.store.set_keep("call", tenant, "a", False)
    archive.store.set_keep("recording", tenant, "b", False)
    assert archive.job.apply(NOW) == 4
    with pytest.raises(NotFound):
        archive.store.set_keep("call", tenant, "a", True)


def test_too_late_to_keep(archive: Archive) -> None:
    tenant = archive.company(recordings_days=1)
    archive.recording(tenant, "a", 9)
    archive.store.begin_deletions("recording", tenant, ["a"], why="w", by="b", at_ms=NOW)
    with pytest.raises(Conflict):
        archive.store.set_keep("recording", tenant, "a", True)


def test_nobody_deletes_what_is_another_companys(archive: Archive) -> None:
    tenant, other = archive.company(), archive.company()
    path = archive.recording(other, "a", 9)
    assert not archive.store.begin_deletions("recording", tenant, ["a", "none"], why="w", by="b",
                                             at_ms=NOW)
    with pytest.raises(NotFound):
        archive.store.set_keep("recording", tenant, "a", True)
    assert archive.job.apply(NOW) == 0 and path.exists()


def test_two_at_once_write_one_line(archive: Archive) -> None:
    tenant = archive.company()
    archive.recording(tenant, "a", 9)
    begun = archive.store.begin_deletions("recording", tenant, ["a"], why="w", by="b", at_ms=NOW)
    other = SqliteStore(archive.state / "vaxel.db")
    assert (other.end_deletions(begun), archive.store.end_deletions(begun)) == (1, 0)
    assert len(other.deletions(tenant)) == 1
    other.close()


# -- the proof --------------------------------------------------------------------------------

def deleted(archive: Archive, count: int) -> int:
    """A company with so many lines."""
    tenant = archive.company(calls_days=1)
    for number in range(count):
        archive.call(tenant, f"{tenant}-{number}", 9 + number)
    assert archive.job.apply(NOW) == count
    return tenant


def test_the_chain_can_be_checked_by_others(archive: Archive) -> None:
    """From what the documentation says, without our code."""
    tenant = deleted(archive, 4)
    deleted(archive, 2)
    previous = "0" * 64
    for line in archive.store.deletions(tenant):
        row = [line.seq, line.tenant, line.kind, line.uid, line.sha256, line.bytes, line.made_ms,
               line.why, line.by, line.at_ms, previous]
        text = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert line.hash == previous
    proof = archive.store.proof_of_deletion(tenant)
    assert (proof.good, proof.lines, proof.head, proof.bad) == (True, 4, previous, None)
    assert archive.store.proof_of_deletion(999).head == FIRST


@pytest.mark.parametrize("column", ["uid", "sha256", "bytes", "made_ms", "why", "by", "at_ms",
                                    "previous", "hash", "kind"])
def test_a_changed_line_is_found(archive: Archive, column: str) -> None:
    tenant = deleted(archive, 5)
    database = archive.store._db
    with pytest.raises(sqlite3.IntegrityError, match="only added"):
        database.execute(f"UPDATE deletion SET {column} = '1' WHERE seq = 3")
    database.execute("DROP TRIGGER deletion_no_update")
    database.execute(f"UPDATE deletion SET {column} = '1' WHERE tenant = ? AND seq = 3", (tenant,))
    proof = archive.store.proof_of_deletion(tenant)
    assert not proof.good and proof.bad == 3


def test_a_missing_line_is_found(archive: Archive) -> None:
    tenant = deleted(archive, 5)
    heads = [line.hash for line in archive.store.deletions(tenant)]
    assert archive.store.proof_of_deletion(tenant, heads[2]).contains
    database = archive.store._db
    with pytest.raises(sqlite3.IntegrityError, match="only added"):
        database.execute("DELETE FROM deletion")
    database.execute("DROP TRIGGER deletion_no_delete")
    database.execute("DELETE FROM deletion WHERE tenant = ? AND seq = 5", (tenant,))
    assert archive.store.proof_of_deletion(tenant).good, "the end can be cut off, so keep a head"
    proof = archive.store.proof_of_deletion(tenant, heads[4])
    assert not proof.good and proof.contains is False
    database.execute("DELETE FROM deletion WHERE tenant = ? AND seq = 2", (tenant,))
    assert archive.store.proof_of_deletion(tenant).bad == 2


# -- killed -----------------------------------------------------------------------------------

@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("owner", "name"), [
    (SqliteStore, "begin_deletions"), (Path, "unlink"), (os, "fsync"),
    (SqliteStore, "end_deletions")], ids=["begin", "unlink", "fsync", "end"])
def test_a_crash_at_any_step(archive: Archive, monkeypatch: pytest.MonkeyPatch, owner: Any,
                             name: str, when: str) -> None:
    class Crash(BaseException):
        """Nothing catches it."""

    tenant = archive.company(recordings_days=1, messages_days=1)
    files = [archive.recording(tenant, f"r{number}", 9) for number in range(3)]
    files += [archive.message(tenant, "m", 9)]
    inner: Callable[..., Any] = getattr(owner, name)

    def crashing(*arguments: Any, **named: Any) -> Any:
        if when == "after":
            inner(*arguments, **named)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crashing)
        with pytest.raises(Crash):
            archive.job.apply(NOW)
    for line in archive.store.deletions(tenant):
        assert not (archive.state / "recordings/day" / f"{line.uid}.flac").exists()
    archive.job.apply(NOW)
    assert not any(path.exists() for path in files) and not archive.store.recordings(tenant)
    lines = archive.store.deletions(tenant)
    assert sorted(line.uid for line in lines) == ["m", "r0", "r1", "r2"]
    assert archive.store.proof_of_deletion(tenant).good and all(line.bytes for line in lines)
    assert not archive.store.deletions_begun()


DELETER = """
import sys; from pathlib import Path
from api.keeping import retention; from store import SqliteStore
retention.BATCH = 7
state = Path(sys.argv[1]); job = retention.Retention(state, SqliteStore(state / "vaxel.db"))
print("ready", flush=True)
job.apply(int(sys.argv[2]))
"""


def test_killed_at_any_moment(archive: Archive) -> None:
    tenant = archive.company(recordings_days=1)
    files = {f"r{number}": archive.recording(tenant, f"r{number}", 9, seconds=0.01)
             for number in range(150)}
    rng = np.random.default_rng()
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", DELETER, str(archive.state), str(NOW)],
                              cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stdout.readline()
            time.sleep(float(rng.uniform(0, 0.03)))
            os.kill(child.pid, signal.SIGKILL)
        lines = {line.uid for line in archive.store.deletions(tenant, limit=1000)}
        indexed = {one.uid for one in archive.store.recordings(tenant, limit=1000)}
        begun = {one.uid for one in archive.store.deletions_begun()}
        assert lines | indexed == files.keys() and not lines & indexed
        for uid, path in files.items():
            assert path.exists() or uid in lines or uid in begun, "no line for what is gone"
            assert not (uid in lines and path.exists()), "a line for what is there"
    archive.job.apply(NOW)
    assert archive.store.proof_of_deletion(tenant).lines == 150
    assert archive.store.proof_of_deletion(tenant).good


# -- lists ------------------------------------------------------------------------------------

def test_filters(archive: Archive) -> None:
    tenant, other = archive.company(), archive.company()
    anna = archive.make(User(tenant=tenant, name="Anna"))
    archive.call(tenant, "a", 1, answerer=anna, rang=(anna,))
    archive.call(tenant, "b", 2, direction="out", caller_user=anna, caller="101",
                 called="+46850000000")
    archive.call(tenant, "c", 3, caller="+358401234567")
    for number, uid in enumerate("abcd"):
        archive.recording(tenant, uid, number + 1, seconds=0.1 * (number + 1))
    archive.recording(other, "x", 1)

    def found(**fields: Any) -> str:
        return "".join(one.uid for one in archive.store.recordings(
            tenant, WantedRecordings(**fields)))

    assert found() == "abcd" and found(user=anna) == "ab" and found(user=999) == ""
    assert found(direction="in") == "ac" and found(direction="out") == "b"
    assert found(number="+358401234567") == "c" and found(number="+46840000000") == "ac"
    assert found(min_ms=300) == "cd" and found(from_ms=round(NOW - 2.5 * DAY_MS)) == "ab"
    assert found(to_ms=round(NOW - 1.5 * DAY_MS), direction="in") == "c"
    archive.store.set_keep("recording", tenant, "d", True)
    assert found(keep=True) == "d"
    pages, after = "", None
    while page := archive.store.recordings(tenant, after=after, limit=1):
        pages += page[0].uid
        after = (page[0].started_ms, page[0].uid)
    assert pages == "abcd"


@pytest.mark.parametrize(("header", "expected"), [
    (None, None), ("bytes=0-", (0, 99)), ("bytes=10-19", (10, 19)), ("bytes=90-500", (90, 99)),
    ("bytes=-10", (90, 99)), ("bytes=-500", (0, 99)), ("bytes=99-99", (99, 99)),
    ("bytes=0-1,5-6", None), ("bytes=-", None), ("lines=1-2", None), ("bytes=5-2", None),
    ("bytes=１-２", None), ("bytes=" + "9" * 40 + "-", None), ("bytes=100-", ValueError),
    ("bytes=-0", ValueError), ("bytes=500-600", ValueError)], ids=str)
def test_ranges(header: str | None, expected: Any) -> None:
    if expected is ValueError:
        with pytest.raises(ValueError, match="bytes"):
            part_of(header, 100)
    else:
        part = part_of(header, 100)
        assert (part and (part.first, part.last)) == expected


def test_any_part_of_a_wav_is_the_part_of_the_whole(archive: Archive) -> None:
    path = archive.recording(archive.company(), "a", 1, seconds=3)
    sound = open_sound(path, "wav")
    whole = b"".join(sound.read(0, sound.size))
    assert len(whole) == sound.size == 44 + 3 * 8000 * 4
    samples, rate = soundfile.read(io.BytesIO(whole), dtype="int16")
    assert rate == 8000 and (samples == soundfile.read(path, dtype="int16")[0]).all()
    rng = np.random.default_rng(1)
    for first in [0, 1, 43, 44, 45, 47, 48, sound.size - 1, *rng.integers(0, sound.size, 40)]:
        length = min(int(rng.integers(1, 70_000)), sound.size - int(first))
        assert b"".join(sound.read(int(first), length)) == whole[first:first + length]


# -- over HTTP --------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def api() -> Iterator[Alone]:
    """One for all."""
    with Alone() as running:
        yield running


@pytest.fixture
def place(api: Alone) -> tuple[str, int, Archive]:
    """(the path of a company, its id, where its things are)"""
    path = api.company()
    return path, int(path.rpartition("/")[2]), Archive(api.state, api.store)


def test_listening(api: Alone, place: tuple[str, int, Archive]) -> None:
    path, tenant, archive = place
    uid = f"listen{tenant}"
    file = archive.recording(tenant, uid, 1, seconds=2)
    url = f"{path}/recordings/{uid}/audio"
    whole = api.http.get(url)
    assert whole.content == file.read_bytes() and whole.headers["content-type"] == "audio/flac"
    part = api.http.get(url, headers={"Range": "bytes=100-299"})
    assert part.status_code == 206 and part.content == whole.content[100:300]
    assert part.headers["content-range"] == f"bytes 100-299/{len(whole.content)}"
    changed = api.http.get(url, headers={"Range": "bytes=100-299", "If-Range": '"other"'})
    assert changed.status_code == 200 and changed.content == whole.content
    wav = api.http.get(url, params={"format": "wav", "download": "true"},
                       headers={"Range": "bytes=-64000"})
    assert wav.status_code == 206 and wav.headers["content-type"] == "audio/wav"
    assert wav.content == soundfile.read(file, dtype="int16")[0].tobytes()
    assert "attachment" in wav.headers["content-disposition"]
    beyond = api.http.get(url, headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416 and beyond.headers["content-range"] == (
        f"bytes */{len(whole.content)}")
    api.ask("GET", url, format="mp3", status=422)

    def noted() -> list[str]:
        return [entry.said.partition(" ")[0] for entry in archive.store.audit(tenant)
                if entry.said.endswith(uid)]

    eventually(lambda: sorted(noted()) == ["downloaded"] + ["listened"] * 4)
    file.unlink()
    api.ask("GET", url, status=404)


def test_deleting_by_hand(api: Alone, place: tuple[str, int, Archive]) -> None:
    path, tenant, archive = place
    uid = f"hand{tenant}"
    archive.call(tenant, uid, 1)
    file = archive.recording(tenant, uid, 1)
    one = f"{path}/recordings/{uid}"
    assert api.ask("PATCH", f"{path}/calls/{uid}", {"keep": True}) == {"uid": uid, "keep": True}
    assert api.ask("GET", one)["keep"] is True
    assert api.ask("DELETE", one, status=409)["code"] == "not_now"
    api.ask("PATCH", f"{path}/calls/{uid}", {"keep": False})
    assert api.ask("PATCH", one, {"keep": True})["keep"] is True
    api.ask("DELETE", one, status=409)
    api.ask("PATCH", one, {"keep": False})
    head = api.ask("GET", f"{path}/deletions/proof")["head"]
    api.ask("DELETE", one, status=204)
    assert not file.exists()
    for method in ("GET", "DELETE"):
        api.ask(method, one, status=404)
    (line,) = api.ask("GET", f"{path}/deletions")["items"]
    assert (line["uid"], line["why"], line["by"]) == (uid, "by hand", "operator")
    proof = api.ask("GET", f"{path}/deletions/proof", head=head)
    assert (proof["good"], proof["lines"], proof["head"]) == (True, 1, line["hash"])
    assert api.ask("GET", f"{path}/deletions/proof", head="f" * 64)["good"] is False


def test_pages_and_strangers(api: Alone, place: tuple[str, int, Archive]) -> None:
    path, tenant, archive = place
    for number in range(5):
        archive.recording(tenant, f"p{tenant}.{number}", number)
    seen, after = [], ""
    while True:
        page = api.ask("GET", f"{path}/recordings", limit=2, after=after)
        seen += [item["uid"][-1] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == list("01234")
    api.ask("GET", f"{path}/recordings", after="x", status=422)
    api.ask("GET", f"{path}/recordings", **{"from": "yesterday"}, status=422)
    other = api.company()
    for method, rest, body in (("GET", "", None), ("GET", "/audio", None), ("DELETE", "", None),
                               ("PATCH", "", {"keep": True})):
        api.ask(method, f"{other}/recordings/p{tenant}.0{rest}", body, status=404)
    assert api.ask("GET", f"{other}/recordings")["items"] == []


def test_a_user_hears_the_own_calls_only(api: Alone, place: tuple[str, int, Archive]) -> None:
    path, tenant, archive = place
    anna, bo = (api.ask("POST", f"{path}/users", {"name": name}, status=201)["id"]
                for name in ("Anna", "Bo"))
    uid = f"own{tenant}"
    archive.call(tenant, uid, 1, answerer=anna, rang=(anna,))
    archive.call(tenant, f"leg{tenant}", 1, conversation=uid, answerer=bo, rang=(bo,))
    for one in (uid, f"leg{tenant}", f"none{tenant}"):
        archive.recording(tenant, one, 1)
    key = api.key_of(path, "user", user=anna)
    items = api.ask("GET", f"{path}/recordings", key=key)["items"]
    assert uid in {item["uid"] for item in items} and len(items) < 3
    api.ask("GET", f"{path}/recordings/{uid}", key=key)
    api.ask("GET", f"{path}/recordings/none{tenant}", key=key, status=404)
    api.ask("GET", f"{path}/recordings/none{tenant}/audio", key=key, status=404)
    api.ask("DELETE", f"{path}/recordings/{uid}", key=key, status=403)
    api.ask("GET", f"{path}/deletions", key=key, status=403)
    assert api.ask("GET", f"{path}/recordings", key=key, user=bo)["items"] == []


def test_the_api_is_killed_while_somebody_deletes() -> None:
    """What was acknowledged is gone and has its line; nothing is half."""
    with Alone() as api:
        path = api.company()
        tenant = int(path.rpartition("/")[2])
        archive = Archive(api.state, api.store)
        files = {f"k{number}": archive.recording(tenant, f"k{number}", 1, seconds=0.01)
                 for number in range(400)}
        done: list[str] = []

        def work() -> None:
            with contextlib.suppress(httpx.HTTPError):
                for uid in files:
                    api.ask("DELETE", f"{path}/recordings/{uid}", status=204)
                    done.append(uid)

        thread = threading.Thread(target=work)
        thread.start()
        eventually(lambda: len(done) > 20)
        api.process.kill()
        thread.join()
        lines = {line.uid for line in api.store.deletions(tenant, limit=1000)}
        assert set(done) <= lines and len(lines - set(done)) <= 1 and len(done) < 400
        archive.job.resume()
        lines = {line.uid for line in api.store.deletions(tenant, limit=1000)}
        assert {uid for uid, file in files.items() if not file.exists()} == lines
        left = {one.uid for one in api.store.recordings(tenant, limit=1000)}
        assert left | lines == files.keys() and not left & lines
