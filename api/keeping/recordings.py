"""Finished recordings: to FLAC, into the index, then the raw material is removed (R1).

Nothing is deleted before the file is synced and indexed, so a crash at any moment only makes the
work be done again. What rtpengine leaves behind when it is killed (a pcap without an end, its text
still in tmp/) is taken when rtpengine does not know the call any more.
"""

import contextlib
import datetime
import re
import urllib.parse
from collections.abc import Collection, Sequence
from pathlib import Path

import structlog

from api.keeping.deposits import Deposits
from rtp.errors import BadCapture
from rtp.recording import combine, read_metadata, read_part
from store import NotFound, SqliteStore
from store.model import CallRecord, Recording

log = structlog.get_logger()

#: A capture that was not written to for this long may be one that was left behind.
QUIET_S = 5
#: How long the record of a recorded call is waited for.
RECORD_WAIT_S = 60


#: (text, pcap) of what rtpengine has written.
Capture = tuple[Path, Path]


class Recordings:
    """Of one state directory."""

    def __init__(self, state: Path, store: SqliteStore) -> None:
        self.state = state
        self.store = store
        self.deposits = Deposits(state, store)

    def finished(self, node_dir: Path) -> list[tuple[Path, Path]]:
        """[(text, pcap)] that rtpengine has closed."""
        return [(text, pcap) for text in sorted((node_dir / "metadata").glob("*.txt"))
                if (pcap := _pcap_of(node_dir, text)).exists()]

    def left_behind(self, node_dir: Path, known: set[str], now_s: float) -> list[tuple[Path, Path]]:
        """[(text, pcap)] of calls that rtpengine does not know (any more)."""
        found = []
        closed = {pcap for _, pcap in self.finished(node_dir)}
        for pcap in sorted((node_dir / "pcaps").glob("*.pcap")):
            quiet = now_s - pcap.stat().st_mtime > QUIET_S
            if pcap not in closed and quiet and call_id_of(pcap) not in known:
                texts = [path for path in (node_dir / "tmp").glob("*.tmp")
                         if pcap.stem in path.name]
                found.append((texts[0] if texts else node_dir / "tmp" / "none", pcap))
        return found

    def take(self, found: Sequence[Capture], known: Collection[str], now_s: float) -> None:
        """Convert captures, index them, remove the raw material. A recording that was paused has
        several, which become one file when its call is over; known: calls that are not."""
        recordings: dict[str, list[Capture]] = {}
        for text, pcap in found:
            metadata = read_metadata(_read(text))
            call_id = call_id_of(pcap)
            record = self._call_of(metadata.uid, call_id)
            message = self.deposits.message_of(
                _uids(metadata.uid, "" if metadata.uid else call_id, record),
                "" if metadata.uid else call_id)
            if message is not None:
                self.deposits.take(message, metadata, text, pcap)
            elif call_id not in known:
                uid = record.uid if record else metadata.uid or \
                    f"unknown-{re.sub(r'[^A-Za-z0-9.-]', '_', pcap.stem)[:80]}"
                recordings.setdefault(uid, []).append((text, pcap))
        for uid, captures in recordings.items():
            self._take_one(uid, captures, now_s)

    def _take_one(self, uid: str, captures: Sequence[Capture], now_s: float) -> None:
        """One recording; later when the call's record, which says whose it is, is not there yet."""
        newest_s = max(pcap.stat().st_mtime for _, pcap in captures)
        try:
            tenant = self.store.call(uid).tenant
        except NotFound:
            if now_s - newest_s < RECORD_WAIT_S:
                return
            tenant = 0
        day = datetime.datetime.fromtimestamp(newest_s, datetime.UTC)
        name = Path("recordings") / f"{day:%Y-%m-%d}" / f"{uid}.flac"
        known = self._indexed(uid)
        if known:  # taken before a crash, or another recording of the call
            name = name.with_name(f"{uid}-{captures[0][1].stem[-16:]}.flac")
        parts = [(pcap, read_part(_read(text))) for text, pcap in captures]
        try:
            done = combine(parts, self.state / name)
        except BadCapture as error:
            log.warning("recording cannot be read", uid=uid, error=str(error))
            for text, pcap in captures:
                pcap.rename(pcap.with_suffix(".unreadable"))
                text.unlink(missing_ok=True)
            return
        if done and known and done.sha256 == known.sha256:
            done.path.unlink()
        elif done:
            self.store.add_recording(Recording(
                uid=name.stem, tenant=tenant, path=str(name), started_ms=done.started_ms,
                duration_ms=done.duration_ms, bytes=done.bytes, sha256=done.sha256,
                complete=all(part.metadata.ended for _, part in parts)))
        for text, pcap in captures:
            pcap.unlink(missing_ok=True)
            text.unlink(missing_ok=True)

    def _indexed(self, uid: str) -> Recording | None:
        try:
            return self.store.recording(uid)
        except NotFound:
            return None

    def _call_of(self, uid: str, call_id: str) -> CallRecord | None:
        # rtpengine writes our uid at the end of a call; when it was killed, there is the call-id,
        # which is the uid of a call that the edge alone carries.
        for one in (uid, call_id):
            with contextlib.suppress(NotFound):
                return self.store.call(one)
        return self.store.call_by_call_id(call_id)


def _read(text: Path) -> str:
    return text.read_text(errors="replace") if text.exists() else ""


def _uids(uid: str, call_id: str, record: CallRecord | None) -> list[str]:
    """The uids by which a capture may be a message's. rtpengine tells ours at the end of a call;
    when it was killed, there is the call-id, which has the uid in it or leads to the call."""
    if uid:
        return [uid]
    return [*re.findall(r"(?<![0-9a-f])[0-9a-f]{28}(?![0-9a-f])", call_id),
            *((record.uid, record.conversation) if record else ())]


def _pcap_of(node_dir: Path, text: Path) -> Path:
    with text.open(errors="replace") as file:
        return node_dir / "pcaps" / Path(file.readline().strip() or "none").name


def call_id_of(pcap: Path) -> str:
    """The call-id in a capture's name: <call-id, quoted>-<16 hex digits>.pcap"""
    return urllib.parse.unquote(pcap.stem.rpartition("-")[0])
