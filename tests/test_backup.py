"""Backup, restore and migrations: damaged and hostile files, and a killed exchange under load."""

import contextlib
import fcntl
import gzip
import io
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest
import zstandard
from sqlite_utils import Database

from store import NewerStore, SqliteStore, backup
from store.backup import BackupError
from store.migrations import migrations
from store.model import Tenant
from store.versions import step_names
from tests.exchange import ROOT, Exchange, eventually
from vaxel import migration, settings
from vaxel.demo import Client, DemoError

NOW_MS = 1_795_000_000_000
NEWER = "m999_of_tomorrow"


def state_of(folder: Path, companies: int = 3) -> Path:
    """A state directory with a few of everything."""
    folder.mkdir(mode=0o700)
    settings.load(folder)
    store = SqliteStore(folder / "vaxel.db")
    store.migrate()
    for number in range(companies):
        store.change("test", NOW_MS, "made", lambda writer, n=number: writer.create(  # type: ignore[misc]
            Tenant(name=f"Company {n}", country="SE")))
    store.close()
    for name, content in (
            ("recordings/2026-03-02/01a2.flac", b"flac" * 1000), ("messages/1/2/m-1.flac", b"m"),
            (f"prompts/{'a' * 64}/8k.wav", b"wav" * 500_000), ("queues/1/names", b"{}"),
            ("queues/1/1795000000000.log", b"journal" * 100), ("queues/1/lock", b""),
            ("queues/1/1795000000001.new", b"half"), ("edge/key.pem", b"key"),
            ("edge/location.db", b"x"), ("base.7", b"compiled"), ("logs/api.log", b"{}\n")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """{name: content}, the database apart."""
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file() and "vaxel.db" not in path.name}


def companies_of(path: Path) -> list[str]:
    """The names in a database."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [name for name, in connection.execute("SELECT name FROM tenant ORDER BY id")]


# -- there and back ----------------------------------------------------------------------------

@pytest.mark.parametrize("ending", ["tar.zst", "tar.gz"])
def test_there_and_back(tmp_path: Path, ending: str) -> None:
    """What matters is in it, whole; locks, logs and what is compiled anew are not."""
    state = state_of(tmp_path / "state")
    target = tmp_path / "out" / f"b.{ending}"
    seen: list[tuple[int, int]] = []
    made = backup.create(state, target, NOW_MS, progress=lambda *at: seen.append(at))
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert seen == sorted(seen) and seen[-1] == (made.bytes, made.bytes)
    assert backup.check(target) == made
    again = tmp_path / "again"
    assert backup.restore(target, again, NOW_MS) == made
    kept = {name: content for name, content in files_of(state).items()
            if name.split("/")[0] in ("recordings", "messages", "prompts", "queues", "edge",
                                      "vaxel.toml", "settings.json")
            and not name.endswith(("lock", ".new", "location.db"))}
    assert files_of(again) == kept and len(kept) == 8
    assert companies_of(again / "vaxel.db") == ["Company 0", "Company 1", "Company 2"]
    assert again.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in again.rglob("*") if path.is_file()} == {0o600}
    assert settings.load(again) == settings.load(state)


def test_without_recordings(tmp_path: Path) -> None:
    """Voice messages and prompts stay."""
    state = state_of(tmp_path / "state")
    backup.create(state, tmp_path / "b.tar.zst", NOW_MS, recordings=False)
    backup.restore(tmp_path / "b.tar.zst", tmp_path / "again", NOW_MS)
    names = set(files_of(tmp_path / "again"))
    assert "messages/1/2/m-1.flac" in names
    assert not any(name.startswith("recordings") for name in names)


def test_a_view_of_one_moment(tmp_path: Path) -> None:
    """Writers are not stopped, and what they write after it began is not in it."""
    state = state_of(tmp_path / "state")
    writer = SqliteStore(state / "vaxel.db")
    writer._db.execute("CREATE TABLE big (n INTEGER, m INTEGER, filler TEXT)")
    writer._db.execute(
        "WITH RECURSIVE up(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM up WHERE i < 60000) "
        "INSERT INTO big SELECT 0, 0, hex(randomblob(200)) FROM up")
    stop = threading.Event()
    written = [0]

    def write() -> None:
        with contextlib.closing(sqlite3.connect(state / "vaxel.db", timeout=10)) as connection:
            while not stop.is_set():
                with connection:
                    connection.execute("UPDATE big SET n = ?1, m = ?1 WHERE rowid IN (1, 59000)",
                                       (written[0] + 1,))
                written[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        eventually(lambda: written[0] >= 5)
        before = written[0]
        backup.copy_database(state / "vaxel.db", tmp_path / "copy.db")
        after = written[0]
    finally:
        stop.set()
        thread.join()
    assert after > before
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        found = connection.execute("SELECT n, m FROM big WHERE rowid IN (1, 59000)").fetchall()
    assert len({value for row in found for value in row}) == 1 and found[0][0] >= before
    assert backup.faults_of(tmp_path / "copy.db") == []
    writer.close()


def test_a_write_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    """Whole or not at all."""
    state = state_of(tmp_path / "state")
    target = tmp_path / "out" / "b.tar.zst"
    backup.create(state, target, NOW_MS)
    old = target.read_bytes()

    def fail(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup.create(state, target, NOW_MS, progress=fail)
    assert target.read_bytes() == old
    assert [path.name for path in target.parent.iterdir()] == ["b.tar.zst"]


@pytest.mark.parametrize("name", ["b.zip", "b", "tar.zst"])
def test_a_name_says_the_kind(tmp_path: Path, name: str) -> None:
    """Others are refused."""
    state = state_of(tmp_path / "state")
    with pytest.raises(BackupError, match=r"ends with \.tar\.zst"):
        backup.create(state, tmp_path / name, NOW_MS)


# -- damaged, and hostile ----------------------------------------------------------------------

def parts_of(path: Path) -> list[tuple[str, bytes]]:
    """The members of a backup, as tarfile reads them: it is a tar file like any other."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream, \
            tarfile.open(fileobj=stream, mode="r|") as tar:
        found = []
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            found.append((member.name, content.read()))
        return found


def packed(path: Path, parts: list[tuple[str, bytes]],
           change: Callable[[tarfile.TarInfo], None] = lambda info: None) -> Path:
    """A backup of those members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in parts:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            change(info)
            tar.addfile(info, io.BytesIO(content[:info.size]))
    end = out.getvalue().rstrip(b"\0")
    data = end + bytes(-len(end) % 512) + bytes(1024)
    path.write_bytes(zstandard.ZstdCompressor().compress(data))
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A backup."""
    state = state_of(tmp_path / "state")
    backup.create(state, tmp_path / "good.tar.zst", NOW_MS)
    return tmp_path / "good.tar.zst"


def refused(path: Path, into: Path, match: str) -> None:
    """It is, by check() and by restore(), and nothing is left behind."""
    with pytest.raises(BackupError, match=match):
        backup.check(path)
    before = sorted(into.parent.iterdir())
    with pytest.raises(BackupError, match=match):
        backup.restore(path, into, NOW_MS)
    assert sorted(into.parent.iterdir()) == before


def test_packed_again_it_is_good(good: Path, tmp_path: Path) -> None:
    """The helper of the tests below makes what check() takes."""
    backup.check(packed(tmp_path / "again.tar.zst", parts_of(good)))


def test_every_flipped_bit_is_found(good: Path, tmp_path: Path) -> None:
    """Also in the compressed form, wherever it is."""
    data = good.read_bytes()
    for at in range(0, len(data), max(1, len(data) // 60)):
        (tmp_path / "bad.tar.zst").write_bytes(
            data[:at] + bytes([data[at] ^ 16]) + data[at + 1:])
        try:
            backup.check(tmp_path / "bad.tar.zst")
        except BackupError:
            continue
        # a bit that says nothing: of the stream, or of what fills a block up
        assert parts_of(tmp_path / "bad.tar.zst") == parts_of(good)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999], ids=["none", "third", "most", "end"])
def test_a_backup_that_was_cut_off(good: Path, tmp_path: Path, part: float) -> None:
    """As by a full disk elsewhere."""
    data = good.read_bytes()
    (tmp_path / "bad.tar.zst").write_bytes(data[:int(len(data) * part)])
    refused(tmp_path / "bad.tar.zst", tmp_path / "again", "no backup|not a whole backup")


@pytest.mark.parametrize("name", [
    "/etc/passwd", "../outside", "recordings/../../outside", "recordings/./x", "recordings//x",
    "lock", "base.1", "edge/../vaxel.toml", "evil", "queues/1/a b", "prompts/\n", "",
], ids=lambda name: repr(name))
def test_strange_names(good: Path, tmp_path: Path, name: str) -> None:
    """Only what we write ourselves."""
    head, *rest = parts_of(good)
    refused(packed(tmp_path / "bad.tar.zst", [head, (name, b"x"), *rest]), tmp_path / "again",
            "does not belong|no backup|not a whole")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE,
                                  tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.XHDTYPE,
                                  tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE],
                         ids=lambda kind: kind.decode())
def test_only_plain_files(good: Path, tmp_path: Path, kind: bytes) -> None:
    """No link, no device, no header that tarfile would follow."""
    head, *rest = parts_of(good)

    def change(info: tarfile.TarInfo) -> None:
        if info.name == "recordings/evil":
            info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    refused(packed(tmp_path / "bad.tar.zst", [head, ("recordings/evil", b""), *rest], change),
            tmp_path / "again", "not a plain file|no backup")


def test_more_than_it_says(good: Path, tmp_path: Path) -> None:
    """A gigabyte of zeros in a few bytes is not unpacked."""
    parts = parts_of(good)
    bomb = [*parts[:2], ("recordings/zeros", bytes(200 << 20)), *parts[2:]]
    path = packed(tmp_path / "bomb.tar.zst", bomb)
    assert path.stat().st_size < 1 << 20
    refused(path, tmp_path / "again", "there is more in it than")


def test_a_huge_head(good: Path, tmp_path: Path) -> None:
    """Is not read into memory."""
    parts = parts_of(good)
    path = packed(tmp_path / "bad.tar.zst", [("backup.json", bytes(1 << 20)), *parts[1:]])
    refused(path, tmp_path / "again", "larger than it can be")


def test_a_missing_and_a_changed_file(good: Path, tmp_path: Path) -> None:
    """Are named."""
    parts = parts_of(good)
    names = [name for name, _ in parts]
    at = names.index("messages/1/2/m-1.flac")
    refused(packed(tmp_path / "a.tar.zst", parts[:at] + parts[at + 1:]), tmp_path / "again",
            "missing: messages/1/2/m-1.flac")
    parts[at] = (names[at], b"n")
    refused(packed(tmp_path / "b.tar.zst", parts), tmp_path / "again",
            "damaged or missing: messages/1/2/m-1.flac")


def test_a_backup_of_a_newer_version(good: Path, tmp_path: Path) -> None:
    """Says so."""
    parts = parts_of(good)
    head = msgspec.json.decode(parts[0][1])
    head["steps"].append(NEWER)
    refused(packed(tmp_path / "new.tar.zst", [("backup.json", msgspec.json.encode(head)),
                                              *parts[1:]]), tmp_path / "again",
            f"newer version of the exchange .*{NEWER}")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd",
                                     gzip.compress(b"hello")],
                         ids=["empty", "zip", "gzip", "zstd", "text"])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    """A clear word."""
    (tmp_path / "x.tar.gz").write_bytes(content)
    refused(tmp_path / "x.tar.gz", tmp_path / "again", "no backup|not a whole backup")


# -- where it is restored ----------------------------------------------------------------------

def test_not_over_what_is_there(good: Path, tmp_path: Path) -> None:
    """Unless it is said; then the old one is kept aside."""
    into = state_of(tmp_path / "other", companies=1)
    old = files_of(into)
    with pytest.raises(BackupError, match="--force moves what is there aside"):
        backup.restore(good, into, NOW_MS)
    assert files_of(into) == old | {"lock": b""}
    backup.restore(good, into, NOW_MS, force=True)
    assert len(companies_of(into / "vaxel.db")) == 3
    aside = tmp_path / f"other.before-{NOW_MS}"
    assert companies_of(aside / "vaxel.db") == ["Company 0"]
    assert files_of(aside) == old | {"lock": b""}


def test_not_under_a_running_exchange(good: Path, tmp_path: Path) -> None:
    """Whose lock is held; --force or not."""
    into = state_of(tmp_path / "other")
    with (into / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match="an exchange runs in"):
            backup.restore(good, into, NOW_MS, force=True)


def test_an_installed_machine_keeps_its_settings(good: Path, tmp_path: Path) -> None:
    """The link to /etc stays; the backup's file lies beside it."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "vaxel.toml").write_text("ping_s = 33\n")
    into = tmp_path / "lib"
    into.mkdir()
    (into / "vaxel.toml").symlink_to("../etc/vaxel.toml")
    backup.restore(good, into, NOW_MS)
    assert (into / "vaxel.toml").is_symlink() and settings.load(into).ping_s == 33
    assert "ping_s" in (into / "vaxel.toml.restored").read_text()


# -- migrations --------------------------------------------------------------------------------

def older(path: Path, without: int) -> None:
    """A database as it was some steps ago."""
    names = step_names()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.apply(Database(connection), stop_before=names[len(names) - without])


def test_a_rehearsal_changes_nothing(tmp_path: Path) -> None:
    """It tells the steps, the rows, and that a base compiles."""
    state = tmp_path / "state"
    state.mkdir()
    older(state / "vaxel.db", 2)
    with contextlib.closing(sqlite3.connect(state / "vaxel.db")) as connection, connection:
        connection.execute("INSERT INTO area (name, country, centre, location) "
                           "VALUES ('North', 'SE', '112', 'urn:a')")
    before = (state / "vaxel.db").read_bytes()
    report = migration.rehearse(state)
    assert report.good and report.compiled, report.text()
    assert [step.name for step in report.steps] == step_names()[-2:]
    assert report.rows["area"] == (1, 1)
    assert (state / "vaxel.db").read_bytes() == before
    assert [path.name for path in state.iterdir() if path.is_dir()] == []


def test_a_migration_in_earnest_makes_a_backup(tmp_path: Path) -> None:
    """Of what was before; a second time there is nothing to do."""
    state = tmp_path / "state"
    state.mkdir()
    older(state / "vaxel.db", 1)
    report = migration.migrate(state, None, NOW_MS)
    assert report.good and [step.name for step in report.steps] == step_names()[-1:]
    made = backup.check(Path(report.backup))
    assert made.steps == step_names()[:-1]
    again = migration.migrate(state, None, NOW_MS + 1)
    assert again.good and not again.steps and not again.backup
    backup.restore(Path(report.backup), tmp_path / "again", NOW_MS)
    SqliteStore(tmp_path / "again" / "vaxel.db").close()


def test_a_broken_reference_is_told(tmp_path: Path) -> None:
    """A rehearsal says so and is not good."""
    state = state_of(tmp_path / "state")
    with contextlib.closing(sqlite3.connect(state / "vaxel.db")) as connection, connection:
        connection.execute("UPDATE tenant SET area = 4711 WHERE id = 1")
    report = migration.rehearse(state)
    assert not report.good and "tenant 1 refers to a area that is not there" in report.text()


def test_a_newer_database_is_refused_everywhere(tmp_path: Path) -> None:
    """By the store, the rehearsal, the migration, and `vaxel run`, which says so at once."""
    state = state_of(tmp_path / "state")
    with contextlib.closing(sqlite3.connect(state / "vaxel.db")) as connection, connection:
        connection.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
                           "VALUES ('vaxel', ?, '')", (NEWER,))
    with pytest.raises(NewerStore, match=NEWER):
        SqliteStore(state / "vaxel.db")
    for work in (lambda: migration.rehearse(state), lambda: migration.migrate(state, None, 1)):
        with pytest.raises(migration.MigrationError, match="newer version"):
            work()
    done = subprocess.run([sys.executable, "-m", "vaxel", "--state", str(state), "run"], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and NEWER in done.stderr and "Traceback" not in done.stderr


# -- killed under load -------------------------------------------------------------------------

def descendants(pid: int) -> list[int]:
    """A process and all that it started, directly or not."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def test_a_backup_under_load_then_everything_is_killed() -> None:
    """What was acknowledged before the backup began is there, nothing is half, and it runs."""
    with Exchange() as first, Restored() as second:
        company = first.company()
        stop = threading.Event()
        made: list[tuple[float, int, str]] = []

        def write() -> None:
            client = Client(first.settings)
            with contextlib.suppress(DemoError, httpx.HTTPError):
                while not stop.is_set():
                    name = f"User {secrets.token_hex(8)}"
                    row = client.post(f"{company.base}/users", {"name": name})
                    client.post(f"{company.base}/devices", {
                        "user": row["id"], "name": "desk", "kind": "desk",
                        "username": name.replace(" ", "").lower()})
                    made.append((time.monotonic(), row["id"], name))

        writers = [threading.Thread(target=write) for _ in range(2)]
        for thread in writers:
            thread.start()
        eventually(lambda: len(made) >= 20)
        began = time.monotonic()
        target = first.state / "load.tar.zst"
        backup.create(first.state, target, NOW_MS)
        took = time.monotonic()
        eventually(lambda: sum(at > took for at, _, _ in made) >= 5)
        for pid in descendants(first._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        stop.set()
        for thread in writers:
            thread.join()
        first._process.wait()
        restored = second.start_from(target)
        there = {row["id"]: row["name"] for row in _all(restored, f"{company.base}/users")}
        owners = {row["user"] for row in _all(restored, f"{company.base}/devices")}
        for at, id_, name in made:
            if at < began:
                assert there[id_] == name and id_ in owners
        # What was never acknowledged to the end is at most what was under way.
        assert len(set(there) - {id_ for _, id_, _ in made}) <= len(writers)
        assert owners <= set(there) and backup.faults_of(second.state / "vaxel.db") == []
        health = restored.get("/health")
        assert health["store"] == "ok" and health["revision"] == health["published"]
        restored.post(f"{company.base}/users", {"name": "After", "extension": "199"})


def _all(client: Client, path: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    after = 0
    while after is not None:
        page = client.get(path, limit=1000, after=after)
        found += page["items"]
        after = page["next"]
    return found


class Restored(Exchange):
    """One that is started from a backup, in a directory of its own."""

    def __enter__(self) -> "Restored":
        self._process = None  # type: ignore[assignment]
        return self

    def start_from(self, source: Path) -> Client:
        """Restore and start; it has the ports of the one that was killed."""
        backup.restore(source, self.state, NOW_MS, force=True)
        self._aside = self.state.with_name(f"{self.state.name}.before-{NOW_MS}")
        self.settings = settings.load(self.state)
        super().__enter__()
        return self.client

    def __exit__(self, *wrong: object) -> None:
        if self._process is not None:
            super().__exit__(None, None, None)
            shutil.rmtree(self._aside, ignore_errors=True)
        else:
            self._folder.cleanup()
