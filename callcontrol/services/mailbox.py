"""Voicemail (R3, R4): leaving a message, listening to one's messages, the greeting.

A message is a row in the store before its audio begins, and the audio is captured by the media
node. So a call control that is killed loses nothing of what was said: the keeper takes what was
captured up to then.
"""

import asyncio
import contextlib
import os
from datetime import datetime
from pathlib import Path

import structlog

from callcontrol import words
from callcontrol.call import Call, Key, MediaLost, Side, new_uid
from callcontrol.services.base import Desk, Go, Service, State
from rtp.errors import MediaError
from store import StoreError, pin
from store.model import Mailbox, VoiceMessage
from store.model import Service as ServiceRow

log = structlog.get_logger()

PIN_TRIES = 3
#: A caller who says nothing at all after so many prompts has gone away.
SILENT_ROUNDS = 3
PIN_WAIT_S = 8.0


class LeaveMessage(Service):
    """Greeting, tone, message."""

    @property
    def box(self) -> Mailbox:
        """Its settings."""
        assert self.row and isinstance(self.row.settings, Mailbox)
        return self.row.settings

    async def start(self) -> State | Go:
        """Answer; a full box takes nothing."""
        assert self.row
        await self.call.answer(self.side)
        new, saved = self.desk.store.message_counts(self.row.id)
        if new + saved >= self.box.max_messages:
            self.desk.count("mailbox_full")
            await self.say("mailbox_full", barge=False)
            return Go(self.box.colleague)
        return self.greet

    async def greet(self) -> State | Go:
        """The greeting; 0 leads to a colleague, # to the tone at once."""
        key = await self.call.ask(self.side, await self.greeting(), 1, first_s=0.2, ends="")
        if key == "0" and self.box.colleague:
            return Go(self.box.colleague)
        return self.record

    async def greeting(self) -> list[Path]:
        """General, own, or the activity (P2)."""
        assert self.row
        files: list[Path] = []
        if self.box.greeting == "own" and self.box.prompt:
            files = await self.prompt(self.box.prompt)
        elif self.box.greeting == "presence" and self.box.user:
            user = self.desk.user(self.box.user)
            activity, end = self.desk.presence(user.id)
            if activity:
                files = await self.spoken(words.away(user.name, activity, end, self.now(),
                                                     self.call.language))
                files += await self.phrase("record_after_tone")
        if not files:
            name = self.desk.user(self.box.user).name if self.box.user else self.row.name
            files = await self.phrase("mailbox_greeting", name=name)
        return files

    async def record(self) -> State | Go:
        """Until #, the end of the time, or hanging up."""
        assert self.row
        await self.beep()
        uid = new_uid(self.call.world.now(), os.urandom(8))
        self.desk.store.add_message(VoiceMessage(
            uid=uid, tenant=self.call.tenant, mailbox=self.row.id, caller=self.side.number,
            caller_name=self.side.name, created_ms=int(self.call.world.now() * 1000)),
            call_id=self.call.ensure_sound().call_id)
        await capture(self.call, self.side, uid, self.box.max_message_s)
        self.call.world.tell(self.call, "message", mailbox=self.row.id, message=uid)
        await self.say("message_saved_short", barge=False)
        return Go()


async def capture(call: Call, side: Side, uid: str, limit_s: float) -> None:
    """Record the side under that uid until # or the limit; what there is when it hangs up stays."""
    sound = call.ensure_sound()
    await call.stop_recording()
    try:
        await sound.record_start(uid, side.label)
    except MediaError as error:
        log.error("message not recorded", uid=uid, error=str(error))
        call.world.count("recording_failed")
        return
    loop = asyncio.get_running_loop()
    until = loop.time() + limit_s
    try:
        while loop.time() < until:
            event = await call.next(until - loop.time())
            if isinstance(event, Key | MediaLost):
                return  # what a media node that died had captured is kept
            if event is not None:
                await call.unexpected(event)
    finally:
        with contextlib.suppress(MediaError):
            await sound.record_stop()


class Listen(Service):
    """A person listens: first whose box, then what is in it."""

    def __init__(self, desk: Desk, call: Call, side: Side, row: ServiceRow | None = None,
                 *, known: bool = False) -> None:
        super().__init__(desk, call, side, row)
        self.known = known  # the telephone is the person's own
        self.mailbox: ServiceRow | None = None
        self.tries = 0
        self.silent = 0
        self.list: list[VoiceMessage] = []
        self.at = 0

    @property
    def box(self) -> Mailbox:
        """The settings of the box that is listened to."""
        assert self.mailbox and isinstance(self.mailbox.settings, Mailbox)
        return self.mailbox.settings

    async def start(self) -> State | Go:
        """Answer; from one's own telephone no PIN is asked."""
        await self.call.answer(self.side)
        if self.known and self.side.user:
            boxes = self.desk.store.mailboxes_for(self.side.user)
            if not boxes:
                await self.say("not_allowed", barge=False)
                return Go()
            self.mailbox = boxes[0]
            return self.counts
        return self.identify

    async def identify(self) -> State | Go:
        """Extension and PIN; wrong ones are told apart by nobody."""
        self.tries += 1
        if self.tries > PIN_TRIES:
            await self.say("pin_locked", barge=False)
            return Go()
        keyed = await self.call.ask(self.side, await self.phrase("ask_extension"), 7,
                                    first_s=PIN_WAIT_S, between_s=PIN_WAIT_S)
        secret = await self.call.ask(self.side, await self.phrase("ask_pin"), 9,
                                     first_s=PIN_WAIT_S, between_s=PIN_WAIT_S)
        user = self.desk.user_of_extension(self.call.tenant, keyed)
        found = self.desk.store.mailbox_of(user) if user else None
        box = found.settings if found and isinstance(found.settings, Mailbox) else None
        open_ = found is not None and self.desk.pin_open(found.id)
        if box and found and open_ and box.pin and secret \
                and await asyncio.to_thread(pin.matches, box.pin, secret):
            self.desk.pin_right(found.id)
            self.mailbox = found
            return self.counts
        if found:
            self.desk.pin_wrong(found.id)
        self.side.keys = ""
        await self.say("wrong_pin")
        return self.identify

    async def counts(self) -> State | Go:
        """How many there are."""
        assert self.mailbox
        new, saved = self.desk.store.message_counts(self.mailbox.id)
        await self.call.say(self.side, await self.spoken(
            words.messages(new, saved, self.call.language)))
        return self.main

    async def main(self) -> State | Go:
        """1 new, 2 saved, 3 greeting, * ends."""
        assert self.mailbox
        key = await self.call.ask(self.side, await self.phrase("mailbox_menu"), 1, first_s=8.0,
                                  ends="")
        if key in ("1", "2"):
            self.list = self.desk.store.messages(
                self.mailbox.id, states=["new" if key == "1" else "saved"], limit=200)
            self.at = 0
            return self.play
        if key == "3":
            return self.greeting
        if key == "*":
            await self.say("goodbye", barge=False)
            return Go()
        return await self.nothing(key, self.main)

    async def nothing(self, key: str, again: State) -> State | Go:
        """An unknown key, or none: a few times, then the end."""
        self.silent += 1
        if self.silent >= SILENT_ROUNDS:
            await self.say("goodbye", barge=False)
            return Go()
        if key:
            await self.say("not_understood")
        return again

    async def play(self) -> State | Go:
        """Who, when, and the message."""
        if not 0 <= self.at < len(self.list):
            await self.say("no_more_messages")
            return self.main
        message = self.list[self.at]
        when = datetime.fromtimestamp(message.created_ms / 1000, self.zone)
        files = await self.spoken(words.message_heading(
            when, self.now(), message.caller or None, message.caller_name or None,
            self.call.language))
        audio = await self.desk.file(message.path)
        if audio is None:
            self.desk.count("message_missing")
        await self.call.say(self.side, files)
        if self.side.keys[:1] in ("", "#"):  # the heading may be skipped, to the message itself
            self.side.keys = self.side.keys[1:]
            await self.call.say(self.side, [audio] if audio else [])
        return self.decide

    async def decide(self) -> State | Go:
        """1 again, 2 save, 3 delete, 4 call back, # next, * previous."""
        message = self.list[self.at]
        now_ms = int(self.call.world.now() * 1000)
        key = await self.call.ask(self.side, await self.phrase("message_menu"), 1, first_s=8.0,
                                  ends="")
        if key == "1":
            return self.play
        if key in ("2", "3"):
            self.keep(message, "saved" if key == "2" else "deleted", now_ms)
            await self.say("message_saved" if key == "2" else "message_deleted")
            del self.list[self.at]
            return self.play
        if key == "4" and message.caller and self.side.user:
            self.keep(message, "saved", now_ms)
            return Go(order=f"callback:{message.caller}")
        if key == "#":
            if message.state == "new":  # heard, and neither saved nor deleted
                self.keep(message, "saved", now_ms)
            self.at += 1
            return self.play
        if key == "*":
            self.at = max(self.at - 1, 0)
            return self.play
        if key == "0":
            return self.main
        return await self.nothing(key, self.decide)

    def keep(self, message: VoiceMessage, state: str, now_ms: int) -> None:
        """The same on all devices, and on the lamps."""
        assert state in ("saved", "deleted") and self.mailbox
        try:
            self.desk.store.set_message_state(
                message.uid, "saved" if state == "saved" else "deleted", now_ms, "telephone")
        except StoreError:
            return  # deleted on another device meanwhile
        self.call.world.tell(self.call, "message_state", mailbox=self.mailbox.id,
                             message=message.uid, state=state)

    async def greeting(self) -> State | Go:
        """A greeting of one's own is recorded into the box's prompt."""
        if not self.box.prompt:
            await self.say("not_allowed")
            return self.main
        await RecordForPrompt(self.desk, self.call, self.side, prompt=self.box.prompt).run()
        return self.main


class RecordForPrompt(Service):
    """A person of the company records a prompt (I3)."""

    def __init__(self, desk: Desk, call: Call, side: Side, row: ServiceRow | None = None,
                 *, prompt: int) -> None:
        super().__init__(desk, call, side, row)
        self.prompt_id = prompt
        self.file: Path | None = None
        self.tries = 0

    async def start(self) -> State | Go:
        """Answer."""
        await self.call.answer(self.side)
        if not self.side.user:
            await self.say("not_allowed", barge=False)
            return Go()
        return self.record

    async def record(self) -> State | Go:
        """Speak, then #."""
        self.tries += 1
        if self.tries > 5:
            return Go()
        await self.say("record_after_tone", barge=False)
        await self.beep()
        uid = new_uid(self.call.world.now(), os.urandom(8))
        self.desk.store.add_message(VoiceMessage(
            uid=uid, tenant=self.call.tenant, mailbox=0, caller=self.side.number,
            created_ms=int(self.call.world.now() * 1000)),
            call_id=self.call.ensure_sound().call_id)
        await capture(self.call, self.side, uid, 300.0)
        await self.say("please_wait", barge=False)
        self.file = await self.desk.recorded(uid)
        if self.file is None:
            await self.say("message_too_short")
            return self.record
        return self.review

    async def review(self) -> State | Go:
        """1 listen, 2 keep, 3 again, * nothing of it."""
        key = await self.call.ask(self.side, await self.phrase("recorded_menu"), 1, first_s=10.0,
                                  ends="")
        if key == "1" and self.file:
            await self.call.say(self.side, [self.file])
            return self.review
        if key == "2" and self.file:
            kept = await self.desk.keep_prompt(self.call.tenant, self.prompt_id, self.file)
            await self.say("prompt_saved" if kept else "exchange_fault", barge=False)
            return Go()
        if key == "3":
            return self.record
        if key == "*" or not key:
            await self.say("goodbye", barge=False)
            return Go()
        return self.review

