"""Finished recordings: to FLAC, into the index, then the raw material is removed (R1).

Nothing is deleted before the file is synced and indexed, so a crash at any moment only makes the
work be done again. What rtpengine leaves behind when it is killed (a pcap without an end, its text
still in tmp/) is taken when rtpengine does not know the call any more.
"""

import datetime
import re
import urllib.parse
from pathlib import Path

import structlog

from api.deposits import Deposits
from rtp.errors import BadCapture
from rtp.recording import Metadata, convert, read_metadata
from store import NotFound, SqliteStore
from store.model import CallRecord, Recording

log = structlog.get_logger()

#: A capture that was not written to for this long may be one that was left behind.
QUIET_S = 5
#: How long the record of a recorded call is waited for.
RECORD_WAIT_S = 60


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

    def take(self, text: Path, pcap: Path, now_s: float) -> Recording | None:
        """Convert one, index it, remove the raw material; None when there was nothing in it, or it
        is too early."""
        metadata = read_metadata(text.read_text(errors="replace")) if text.exists() else \
            Metadata(str(pcap), "", read_metadata("").codecs, 0, False)
        record = self._call_of(metadata.uid, call_id_of(pcap))
        call_id = "" if metadata.uid else call_id_of(pcap)
        message = self.deposits.message_of(_uids(metadata.uid, call_id, record), call_id)
        if message is not None:
            self.deposits.take(message, metadata, text, pcap)
            return None
        if record is None and now_s - pcap.stat().st_mtime < RECORD_WAIT_S:
            return None  # the call's record comes first, and says whose it is
        uid = record.uid if record else metadata.uid or \
            f"unknown-{re.sub(r'[^A-Za-z0-9.-]', '_', pcap.stem)[:80]}"
        tenant = record.tenant if record else 0
        day = datetime.datetime.fromtimestamp(pcap.stat().st_mtime, datetime.UTC)
        name = Path("recordings") / f"{day:%Y-%m-%d}" / f"{uid}.flac"
        known = self._indexed(uid)
        if known:  # taken before a crash, or a second capture of one call
            name = name.with_name(f"{uid}-{pcap.stem[-16:]}.flac")
        try:
            done = convert(pcap, metadata, self.state / name)
        except BadCapture as error:
            log.warning("recording cannot be read", pcap=pcap.name, error=str(error))
            pcap.rename(pcap.with_suffix(".unreadable"))
            text.unlink(missing_ok=True)
            return None
        made = None
        if done and known:
            if done.sha256 == known.sha256:
                done.path.unlink()
                made = known
            else:
                log.warning("second recording of a call", uid=uid, path=str(name))
        elif done:
            made = Recording(uid=uid, tenant=tenant, path=str(name), started_ms=done.started_ms,
                             duration_ms=done.duration_ms, bytes=done.bytes, sha256=done.sha256,
                             complete=metadata.ended)
            self.store.add_recording(made)
        pcap.unlink(missing_ok=True)
        text.unlink(missing_ok=True)
        return made

    def _indexed(self, uid: str) -> Recording | None:
        try:
            return self.store.recording(uid)
        except NotFound:
            return None

    def _call_of(self, uid: str, call_id: str) -> CallRecord | None:
        # rtpengine writes our uid at the end of a call; when it was killed, there is the call-id.
        try:
            return self.store.call(uid)
        except NotFound:
            return self.store.call_by_call_id(call_id)


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
