"""Backup and restore of a state directory, also while the exchange runs.

A backup is a tar file, compressed by zstd or gzip: first backup.json, which says what is in it,
then the database as it was at one moment, then the files beside it, and at last sums.json with the
SHA-256 of each. What the database names is written to disk before its row, so a copy of the files
that begins after that moment has them all. Reading takes nothing for granted: only plain files,
only the names below, never more than backup.json announced.
"""

import contextlib
import fcntl
import gzip
import hashlib
import os
import re
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
import zstandard

from store.errors import StoreError
from store.sqlite import SqliteStore
from store.versions import applied_steps, refuse_newer, step_names

FORMAT: Final = 1
HEAD, SUMS, DATABASE = "backup.json", "sums.json", "vaxel.db"
#: What is kept, beside the database: names in the state directory.
NAMES: Final = re.compile(
    r"vaxel\.toml|settings\.json|edge/[a-z]+\.pem"
    r"|(?:prompts|recordings|messages|queues)(?:/[A-Za-z0-9_+@=.,-]+)+")
FOLDERS: Final = ("edge", "prompts", "messages", "queues", "recordings")
#: Of no use elsewhere: locks, and files that are still being written.
LEFT_OUT: Final = (".new", ".stereo", ".partial", "lock")
#: Read at once, so that a small file which is replaced meanwhile is the old or the new one.
AT_ONCE: Final = 1 << 20
CHUNK: Final = 1 << 20
BLOCK: Final = tarfile.BLOCKSIZE
MAX_HEAD: Final = 1 << 16
PAGES: Final = 4096

#: progress(done, total) in bytes.
Progress = Callable[[int, int], None]


class BackupError(Exception):
    """It cannot be made, or is not whole; the text says what to do."""


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """backup.json. steps: the database's version; files and bytes: at most so much."""

    format: int
    made_ms: int
    steps: list[str]
    recordings: bool
    files: int
    bytes: int


# -- make ------------------------------------------------------------------------------------

def create(state: Path, target: Path, now_ms: int, *, recordings: bool = True,
           progress: Progress = lambda done, total: None) -> Manifest:
    """Write a backup of the directory, whole or not at all, readable by its owner only."""
    if not (state / DATABASE).is_file():
        raise BackupError(f"there is no database in {state}; --state names another directory")
    kind = _kind_of(target)
    partial = target.with_name(target.name + ".partial")
    copy = target.with_name(target.name + ".db.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        steps = copy_database(state / DATABASE, copy)
        listed = _listed(state, recordings)
        manifest = Manifest(format=FORMAT, made_ms=now_ms, steps=steps, recordings=recordings,
                            files=len(listed) + 1,
                            bytes=copy.stat().st_size + sum(size for _, size in listed))
        with _private(partial) as file:
            with _compressed(file, kind) as packed:
                _pack(cast(IO[bytes], packed), manifest, state, copy, listed, progress)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise BackupError(f"{target} could not be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
    return manifest


def copy_database(source: Path, target: Path) -> list[str]:
    """The database as it is at one moment, while others write; the names of its steps."""
    target.unlink(missing_ok=True)
    _private(target).close()
    with contextlib.closing(_opened(source)) as reader, \
            contextlib.closing(sqlite3.connect(target, isolation_level=None)) as writer:
        # A view that is held: pages copied later are of the same moment, and nobody waits.
        reader.execute("BEGIN")
        steps = applied_steps(reader)
        reader.backup(writer, pages=PAGES)
        writer.execute("PRAGMA journal_mode = DELETE")
    return steps


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True,
                               isolation_level=None)
    except sqlite3.OperationalError as error:
        raise BackupError(f"{path}: {error}") from error


def _listed(state: Path, recordings: bool) -> list[tuple[str, int]]:
    """(name, size) of every file that is kept, as long as it is now."""
    found = [state / "vaxel.toml", state / "settings.json"]
    for folder in FOLDERS:
        if folder != "recordings" or recordings:
            found += sorted((state / folder).rglob("*"))
    listed = []
    for path in found:
        name = path.relative_to(state).as_posix()
        if NAMES.fullmatch(name) and not name.endswith(LEFT_OUT):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and (not path.is_symlink() or name == "vaxel.toml"):
                    listed.append((name, path.stat().st_size))
    return listed


def _pack(out: IO[bytes], manifest: Manifest, state: Path, copy: Path,
          listed: list[tuple[str, int]], progress: Progress) -> None:
    sums: dict[str, str] = {}
    done = 0
    _add_bytes(out, HEAD, msgspec.json.encode(manifest))
    for name, size in [(DATABASE, copy.stat().st_size), *listed]:
        try:
            file = (copy if name == DATABASE else state / name).open("rb")
        except FileNotFoundError:
            continue  # deleted meanwhile
        with file:
            if size <= AT_ONCE and name != DATABASE:
                content = file.read(size)
                sums[name] = _add_bytes(out, name, content)
            else:
                sums[name] = _add_file(out, name, file, size, lambda n: progress(
                    done + n, manifest.bytes))  # noqa: B023  (called at once)
        done += size
        progress(done, manifest.bytes)
    _add_bytes(out, SUMS, msgspec.json.encode(sums))
    out.write(bytes(2 * BLOCK))


def _tar_head(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    # Names that are long need the one form, files above 8 GB the other.
    return info.tobuf(tarfile.USTAR_FORMAT) if len(name) > 100 else info.tobuf(tarfile.GNU_FORMAT)


def _add_bytes(out: IO[bytes], name: str, content: bytes) -> str:
    out.write(_tar_head(name, len(content)) + content + bytes(-len(content) % BLOCK))
    return hashlib.sha256(content).hexdigest()


def _add_file(out: IO[bytes], name: str, file: IO[bytes], size: int,
              progress: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    out.write(_tar_head(name, size))
    left = size
    while left:
        chunk = file.read(min(left, CHUNK))
        if not chunk:
            raise BackupError(f"{name} became shorter while it was read; try again")
        digest.update(chunk)
        out.write(chunk)
        left -= len(chunk)
        progress(size - left)
    out.write(bytes(-size % BLOCK))
    return digest.hexdigest()


def _kind_of(target: Path) -> str:
    for ending, kind in ((".tar.zst", "zstd"), (".tar.gz", "gzip"), (".tgz", "gzip")):
        if target.name.endswith(ending):
            return kind
    raise BackupError(f"{target}: the name of a backup ends with .tar.zst or .tar.gz")


def _compressed(file: IO[bytes], kind: str) -> Any:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6)
    return zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False)


def _private(path: Path) -> IO[bytes]:
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                             | os.O_CLOEXEC, 0o600), "wb")


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# -- read ------------------------------------------------------------------------------------

def check(source: Path, progress: Progress = lambda done, total: None) -> Manifest:
    """Read all of it and compare every sum; BackupError."""
    with _reading(source) as stream:
        manifest = _head(stream)
        for _ in _members(stream, manifest, None, progress):
            pass
    return manifest


@contextlib.contextmanager
def _reading(source: Path) -> Iterator[IO[bytes]]:
    try:
        with source.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic[:2] == b"\x1f\x8b":
                yield cast(IO[bytes], gzip.GzipFile(fileobj=file, mode="rb"))
            elif magic == b"\x28\xb5\x2f\xfd":
                yield cast(IO[bytes], zstandard.ZstdDecompressor(
                    max_window_size=1 << 27).stream_reader(file, read_across_frames=True))
            else:
                raise BackupError(f"{source} is no backup: neither zstd nor gzip")
    except FileNotFoundError as error:
        raise BackupError(f"there is no {source}") from error
    except (OSError, EOFError, zstandard.ZstdError, tarfile.TarError,
            msgspec.MsgspecError) as error:
        raise BackupError(f"{source} is not a whole backup: {error or type(error).__name__}"
                          ) from error


def _exactly(stream: IO[bytes], size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        chunk = stream.read(size - len(found))
        if not chunk:
            raise EOFError("it ends too early")
        found += chunk
    return bytes(found)


def _next(stream: IO[bytes]) -> tuple[str, int]:
    """The name and size of the next member; ("", 0) at the end."""
    block = _exactly(stream, BLOCK)
    if block == bytes(BLOCK):
        return "", 0
    info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
        raise BackupError(f"{info.name!r} is not a plain file: this is no backup of ours")
    return info.name, info.size


def _whole(stream: IO[bytes], size: int, limit: int, name: str) -> bytes:
    if size > limit:
        raise BackupError(f"{name} is larger than it can be: this is no backup of ours")
    content = _exactly(stream, size)
    _exactly(stream, -size % BLOCK)
    return content


def _head(stream: IO[bytes]) -> Manifest:
    name, size = _next(stream)
    if name != HEAD:
        raise BackupError(f"it does not begin with {HEAD}: this is no backup of ours")
    content = _whole(stream, size, MAX_HEAD, HEAD)
    if msgspec.json.decode(content, type=dict[str, Any]).get("format") != FORMAT:
        raise BackupError("it was made by a newer version of the exchange; install that first")
    manifest = msgspec.json.decode(content, type=Manifest)
    newer = [step for step in manifest.steps if step not in step_names()]
    if newer:
        raise BackupError(f"it was made by a newer version of the exchange (its database has "
                          f"{', '.join(newer)}); install that first")
    return manifest


def _members(stream: IO[bytes], manifest: Manifest, into: Path | None,
             progress: Progress) -> Iterator[str]:
    """Read every member, write it below `into`, and compare the sums at the end."""
    sums: dict[str, str] = {}
    done = 0
    while True:
        name, size = _next(stream)
        if name == SUMS:
            break
        if name != DATABASE and (not NAMES.fullmatch(name) or ".." in name.split("/")
                                 or "." in name.split("/")):
            raise BackupError(f"{name!r} does not belong into a backup; nothing was taken over")
        done += size
        if name in sums or len(sums) >= manifest.files or done > manifest.bytes:
            raise BackupError(f"{name}: there is more in it than {HEAD} says")
        sums[name] = _take(stream, name, size, into)
        progress(done, manifest.bytes)
        yield name
    said = msgspec.json.decode(_whole(stream, size, 400 * (len(sums) + 10), SUMS),
                               type=dict[str, str])
    if said != sums:
        wrong = sorted(name for name in {*said, *sums} if said.get(name) != sums.get(name))
        raise BackupError(f"damaged or missing: {', '.join(wrong[:5])}")
    if DATABASE not in sums or _next(stream)[0] or _exactly(stream, BLOCK) != bytes(BLOCK) \
            or stream.read(1):
        raise BackupError("it does not end where it should")


def _take(stream: IO[bytes], name: str, size: int, into: Path | None) -> str:
    digest = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        file = None
        if into is not None:
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = stack.enter_context(_private(path))
        left = size
        while left:
            chunk = stream.read(min(left, CHUNK))
            if not chunk:
                raise EOFError("it ends too early")
            digest.update(chunk)
            if file:
                file.write(chunk)
            left -= len(chunk)
        _exactly(stream, -size % BLOCK)
        if file:
            file.flush()
            os.fsync(file.fileno())
    return digest.hexdigest()


# -- restore ---------------------------------------------------------------------------------

def restore(source: Path, into: Path, now_ms: int, *, force: bool = False,
            progress: Progress = lambda done, total: None) -> Manifest:
    """Make a state directory of a backup. Everything is unpacked and checked beside it first.

    With force, what is there is kept beside it under another name. The settings file of an
    installed machine, a link, stays; the backup's is then vaxel.toml.restored.
    """
    into = into.absolute()
    staging = into.with_name(f".{into.name}.restoring")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_not_running(into))
        there = [path for path in (into.iterdir() if into.is_dir() else ())
                 if path.name != "lock" and not (path.name == "vaxel.toml" and path.is_symlink())]
        if there and not force:
            raise BackupError(f"{into} is not empty; --force moves what is there aside")
        shutil.rmtree(staging, ignore_errors=True)
        into.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir(mode=0o700)
        stack.callback(shutil.rmtree, staging, ignore_errors=True)
        with _reading(source) as stream:
            manifest = _head(stream)
            if manifest.bytes > shutil.disk_usage(staging).free:
                raise BackupError(f"it needs {manifest.bytes >> 20} MB beside {into}; make room")
            for _ in _members(stream, manifest, staging, progress):
                pass
        _ready(staging / DATABASE)
        _swap(staging, into, there, now_ms)
    return manifest


@contextlib.contextmanager
def _not_running(state: Path) -> Iterator[None]:
    if not state.is_dir():
        yield
        return
    with (state / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BackupError(f"an exchange runs in {state}; stop it first") from error
        yield


def _ready(database: Path) -> None:
    """Whole, and of this version."""
    faults = faults_of(database)
    if faults:
        raise BackupError("the database in it is damaged: " + "; ".join(faults[:5]))
    store = SqliteStore(database)
    try:
        store.migrate()
    except (sqlite3.Error, StoreError) as error:
        raise BackupError(f"its database cannot be brought to this version: {error}") from error
    finally:
        store.close()


def faults_of(database: Path) -> list[str]:
    """What SQLite finds wrong in it: pages, indexes, references."""
    with contextlib.closing(_opened(database)) as connection:
        try:
            refuse_newer(connection)
            found = [text for text, in connection.execute("PRAGMA integrity_check(5)")
                     if text != "ok"]
            broken = connection.execute("PRAGMA foreign_key_check")
            found += [f"{table} {row} refers to a {parent} that is not there"
                      for table, row, parent, _ in broken.fetchmany(5)]
        except (sqlite3.DatabaseError, StoreError) as error:
            found = [str(error)]
    return found


def _swap(staging: Path, into: Path, there: list[Path], now_ms: int) -> None:
    link = into / "vaxel.toml"
    if link.is_symlink():
        restored = staging / "vaxel.toml"
        if restored.exists():
            restored.rename(staging / "vaxel.toml.restored")
        (staging / "vaxel.toml").symlink_to(link.readlink())
    if into.is_dir():
        owner = into.stat()
        if os.geteuid() == 0:
            for path in (staging, *staging.rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        aside = into.with_name(f"{into.name}.before-{now_ms}")
        into.rename(aside)
        staging.rename(into)
        if not there:
            shutil.rmtree(aside)
    else:
        staging.rename(into)
    _sync_folder(into.parent)
