"""Voice messages: from a capture to a mono FLAC in the mailbox, and what is to be sent about it.

A message's row is there before its capture ("recording"), so a deposit is taken whoever was killed
meanwhile. The file is synced before the row says "new", and the capture is removed last: a crash
between any two steps makes the work be done again.
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import soundfile
import structlog

from api.keeping.letters import about_message
from api.keeping.retention import remove_files, size_of
from rtp.errors import BadCapture
from rtp.recording import Metadata, Part, combine, read_part
from store import NotFound, SqliteStore
from store.model import Mailbox, Service, VoiceMessage

log = structlog.get_logger()

FOLDER: Final = "messages"
#: Anything shorter is somebody who hung up at the beep.
MIN_MS: Final = 1000
#: A message without a capture for this long will have none.
GIVE_UP_MS: Final = 3_600_000
#: How long a deleted message can be taken back.
KEEP_DELETED_MS: Final = 24 * 3_600_000
_BLOCK: Final = 1 << 16


class Audio(NamedTuple):
    """A finished file."""

    duration_ms: int
    sha256: str


class Deposits:
    """Of one state directory; used from one thread."""

    def __init__(self, state: Path, store: SqliteStore) -> None:
        self.state = state
        self.store = store

    def message_of(self, uids: Iterable[str], call_id: str) -> VoiceMessage | None:
        """The message that a capture with one of these uids belongs to; call_id: of a capture that
        does not say its uid, else ""."""
        for uid in uids:
            with contextlib.suppress(NotFound):
                return self.store.message(uid)
        return self.store.message_being_left(call_id) if call_id else None

    def take(self, message: VoiceMessage, metadata: Metadata, text: Path, pcap: Path) -> None:
        """Put the capture into the mailbox and remove it."""
        if message.state == "recording":
            part = read_part(text.read_text(errors="replace")) if text.exists() else Part(metadata)
            self._convert(message, part, pcap)
        pcap.unlink(missing_ok=True)
        text.unlink(missing_ok=True)

    def _convert(self, message: VoiceMessage, part: Part, pcap: Path) -> None:
        name = path_of(message)
        stereo = (self.state / name).with_suffix(".stereo")
        audio: Audio | None = None
        try:
            done = combine([(pcap, part)], stereo)
            if done is not None and done.duration_ms >= MIN_MS:
                audio = to_mono(stereo, self.state / name)
        except BadCapture as error:
            log.warning("message cannot be read", uid=message.uid, error=str(error))
            pcap.rename(pcap.with_suffix(".unreadable"))
        finally:
            stereo.unlink(missing_ok=True)
        now_ms = time.time_ns() // 1_000_000
        if audio is None:
            self.store.set_message_state(message.uid, "deleted", now_ms)
            return
        deliveries = []
        with contextlib.suppress(NotFound):
            mailbox = self.store.get("service", message.mailbox)
            tenant: Any = self.store.get("tenant", message.tenant)
            if isinstance(mailbox, Service) and isinstance(mailbox.settings, Mailbox):
                deliveries = about_message(message, audio.duration_ms, str(name), mailbox,
                                           mailbox.settings, tenant, now_ms)
        if not self.store.finish_message(
                message.uid, path=str(name), duration_ms=audio.duration_ms, sha256=audio.sha256,
                at_ms=now_ms, deliveries=deliveries):
            (self.state / name).unlink(missing_ok=True)  # deleted meanwhile, with its mailbox

    def give_up(self, now_ms: int) -> int:
        """Delete messages whose capture never came; to be called when all captures were taken."""
        late = self.store.unfinished_messages(now_ms - GIVE_UP_MS)
        for message in late:
            log.warning("message without a capture", uid=message.uid)
            self.store.set_message_state(message.uid, "deleted", now_ms)
        return len(late)

    def purge(self, now_ms: int) -> int:
        """Remove what was deleted a day ago, and what was recorded for a prompt and left there,
        with lines in the ledger; what never had audio, without."""
        before_ms = now_ms - KEEP_DELETED_MS
        for message in self.store.messages(0, newest_first=False):
            if message.created_ms < before_ms:
                self.store.set_message_state(message.uid, "deleted", 0)
        self.store.forget_empty_messages(before_ms)
        with self.store.writing():  # nobody takes one back in between
            begun = [deletion for message in self.store.deleted_messages(before_ms)
                     for deletion in self.store.begin_deletions(
                         "message", message.tenant, [message.uid], why="left behind", by="",
                         at_ms=now_ms, size_of=partial(size_of, self.state))]
        remove_files(self.state, (one.path for one in begun))
        return self.store.end_deletions(begun)


def path_of(message: VoiceMessage) -> Path:
    """Where its audio is kept, relative to the state directory."""
    name = re.sub(r"[^0-9A-Za-z-]", "_", message.uid)[:80]
    return Path(FOLDER) / str(message.tenant) / str(message.mailbox) / f"{name}.flac"


def to_mono(stereo: Path, out: Path) -> Audio:
    """Both sides in one channel, synced and in place; only the caller speaks in a deposit, on
    whichever side the capture has put it."""
    beside = out.with_name(out.name + ".new")
    try:
        with soundfile.SoundFile(stereo) as source, soundfile.SoundFile(
                beside, "w", samplerate=source.samplerate, channels=1, format="FLAC",
                subtype="PCM_16") as target:
            duration_ms = source.frames * 1000 // source.samplerate
            while len(block := source.read(_BLOCK, dtype="int16", always_2d=True)):
                mixed = np.sum(block, axis=1, dtype=np.int32)
                target.write(np.clip(mixed, -32768, 32767).astype(np.int16))
        beside.chmod(0o600)
        with beside.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        beside.rename(out)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return Audio(duration_ms, digest)
