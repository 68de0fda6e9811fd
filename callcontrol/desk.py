"""The calls of one process: who is in them, where they are parked, and what they may ask for.

It is the World, the Office and the Desk of calls, conversations and services: everything that
those need of the exchange around them goes through here.
"""

import asyncio
import os
import random
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, Final, get_args
from zoneinfo import ZoneInfo

import phonenumbers
import structlog

from callcontrol import words
from callcontrol.call import Call, Failed, MediaLost, Side, Sound, new_uid
from callcontrol.conference import Conference
from callcontrol.events import EventLog
from callcontrol.house import House
from callcontrol.parts import Beyond
from callcontrol.prompts import Prompts
from callcontrol.sofia.ua import Dialog, Incoming, Leg, Party, UserAgent
from routing_core import Live, handover
from routing_core.caller_names import ANONYMOUS_URI, quoted, shown_name
from routing_core.codes import Diverted, LineState, Reason, SlotState, Source
from routing_core.decision import caller_of_trail, forwarder, is_private, new_trail
from routing_core.handover import Handover, Order
from routing_core.mapping import number_class
from routing_core.masked import masked
from routing_core.numbers import routed
from rtp import audio
from rtp.errors import BadAudio, MediaError
from rtp.mixer import Mixer
from rtp.session import Media
from store import NotFound
from store.model import (
    Activity,
    Event,
    NumberClass,
    Prompt,
    RingGroup,
    Service,
    Target,
    Tenant,
    User,
)
from store.port import Store

log = structlog.get_logger()

#: Places where calls are parked, per company.
FIRST_PLACE, LAST_PLACE = 71, 99
#: Wrong PINs before a box is shut, and for how long.
PIN_TRIES: Final = 6
PIN_SHUT_S: Final = 900.0
MAX_LOCKS: Final = 10_000
#: What was recorded by telephone is waited for.
RECORDED_S: Final = 12.0
#: Callbacks that wait for busy people, per company, and how long each waits.
MAX_CALLBACKS: Final = 200
CALLBACK_S: Final = 3600.0
CALLBACK_LOOK_S: Final = 1.0
#: In the order of their bits.
CLASSES: Final = get_args(NumberClass)


class Desk:
    """Composed in process.py. script: what runs a call that comes in."""

    def __init__(self, *, index: int, state: Path, edge: str, key: bytes, store: Store, live: Live,
                 media: Media, mixer: Mixer, prompts: Prompts, house: House, events: EventLog,
                 clock: Callable[[], float], chance: random.Random) -> None:
        self.index = index
        self.born_ms = 0
        self.state = state
        self.edge = edge
        self.key = key
        self.store = store
        self.live = live
        self.media = media
        self.mixer = mixer
        self.prompts = prompts
        self.house = house
        self.events = events
        self.clock = clock
        self.chance = chance
        self.agent: UserAgent | None = None
        self.script: Callable[[Call, Side, Handover], Coroutine[Any, Any, None]] | None = None
        self.made: Callable[[Call, str, str, int], Coroutine[Any, Any, None]] | None = None
        self.queues: Any = None  # callcontrol.queues.owner.Queues, composed in process.py
        self.owned: set[int] = set()
        self.calls: dict[str, Call] = {}
        self.counters: Counter[str] = Counter()
        self.parked: dict[tuple[int, int], Call] = {}
        self._locks: dict[int, tuple[int, float]] = {}
        self._callbacks: dict[tuple[int, int, str], asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # -- calls that come in -------------------------------------------------------------------

    def called(self, leg: Leg, incoming: Incoming) -> None:
        """An INVITE: only with the edge's word."""
        named = handover.named(incoming.decision)
        held = self.live.call(*named) if named else None
        word = handover.noted(held["answer"]) if held else None
        if named is None or held is None or word is None:
            self.count("unsigned_call")
            leg.hang_up(503 if named else 403)
            return
        self.own(word.tenant)
        # It may have been meant for an earlier life of this process: the keeper ends those calls.
        self.live.note(*named, 0, handover.taken(held["setup"], self.index, self.born_ms))
        call = Call(self, word.uid if word.uid not in self.calls else self.new_uid(),
                    word.tenant, self.language(word.tenant, word.language), word)
        call.began = self.clock()
        private = bool(word.trail) and is_private(call.trail) and not word.calling
        side = Side(leg, call.label(), user=word.caller_user,
                    number="" if private else self.number_of(word),
                    device=word.source if word.source_kind == Source.DEVICE else 0,
                    name="" if private else self.name_of(word), offer=incoming.sdp,
                    private=private)
        side.functions = self.has_functions(side.user)
        call.take(side)
        self.begin(call, side, word)

    def own(self, tenant: int) -> bool:
        """Have all calls of that company come here; False when they go to another process."""
        mine = self.live.own(tenant, self.index, self.born_ms, int(self.clock() * 1000))
        if mine:
            self.owned.add(tenant)
        else:
            self.owned.discard(tenant)
        return bool(mine)

    def reclaim(self, tenant: int) -> None:
        """Have them come here whoever has them now: the company's queues are here."""
        now_ms = int(self.clock() * 1000)
        if not self.own(tenant):
            other = self.live.owner(tenant, now_ms)
            log.warning("company reclaimed", tenant=tenant, other=other)
            self.live.disown(tenant, other, self.live.control(other, now_ms))
            self.own(tenant)

    def disown(self, tenant: int) -> None:
        """The company's next calls go wherever they belong."""
        self.owned.discard(tenant)
        self.live.disown(tenant, self.index, self.born_ms)

    def begin(self, call: Call, side: Side, word: Handover) -> None:
        """Have the call's script run."""
        assert self.script
        self.keep(call, self.script(call, side, word))

    def keep(self, call: Call, script: Coroutine[Any, Any, None]) -> None:
        """Run it; whatever happens to it, even before its first step, nothing of the call stays."""
        self.calls[call.uid] = call
        word = call.handover
        log.info("call begins", uid=call.uid, tenant=call.tenant,
                 why=Reason(word.reason).name.lower() if word else "made here",
                 service=word.service if word else 0, caller=masked(word.caller if word else ""))

        def over(_: object) -> None:
            if self.calls.get(call.uid) is call:
                closing = asyncio.ensure_future(call.close())
                self._tasks.add(closing)
                closing.add_done_callback(self._tasks.discard)
                self.ended(call)

        call.script = asyncio.ensure_future(script)
        call.script.add_done_callback(over)

    def ended(self, call: Call) -> None:
        """The script is over."""
        if self.calls.get(call.uid) is call:
            del self.calls[call.uid]
            log.info("call ends", uid=call.uid, tenant=call.tenant, state=call.state, cut=call.cut,
                     seconds=round(self.clock() - call.began, 1))
        self.unpark(call)

    def number_of(self, word: Handover) -> str:
        """Who calls, as a number that can be called back."""
        if word.caller_user:
            return self.user(word.caller_user).extension or ""
        return word.caller

    def name_of(self, word: Handover) -> str:
        """Who calls, by the directory."""
        return self.user_name(word.caller_user) or word.name

    def new_uid(self) -> str:
        """For a call that we make."""
        return new_uid(self.clock(), os.urandom(8))

    # -- the World of a call ------------------------------------------------------------------

    def now(self) -> float:
        """Unix seconds."""
        return self.clock()

    def read(self, decision: str) -> Handover | None:
        """What the edge has signed, None when it is nothing."""
        if not decision:
            return None
        try:
            return handover.unseal(Handover, decision, self.key, self.clock())
        except ValueError:
            return None

    def open_sound(self, call: Call) -> Sound:
        """A media session; MediaError."""
        return self.media.session(f"{self.index}.{call.uid}.{self.chance.getrandbits(32):08x}",
                                  on_key=call.key, on_gone=lambda: call.post(MediaLost()))

    def dial(self, call: Call, target: str, *, side: Side | None, by: Side | None, sdp: str,
             repeat: bool) -> Party:
        """A leg to the edge."""
        assert self.agent
        word = call.handover
        if repeat and word is not None:
            order = Order(int(self.clock()), call.uid, word.source_kind, word.source, word.called,
                          word.calling, word.wanted, None, self.index,
                          once=secrets.randbits(63), forwarders=word.forwarders)
        else:
            order = Order(int(self.clock()), call.uid, Source.CALL_CONTROL, call.tenant, target,
                          trail=handover.trail_text(self._trail(call, side, by)),
                          process=self.index, main=side is None, once=secrets.randbits(63),
                          forwarders=word.forwarders if word else [])
        number = side.number if side and side.number else "anonymous"
        user = call.beyond.user if side is None else 0 if side.private else side.user
        name = quoted(self.user_name(user)) if user else ""
        return self.agent.call(
            f"sip:vaxel@{self.edge}", caller=f"{name} <sip:{number}@{self.edge}>",
            called=f"<sip:vaxel@{self.edge}>", sdp=sdp,
            headers=(f"{handover.ORDER}: {handover.seal(order, self.key)}",))

    def identity(self, side: Side) -> tuple[str, ...]:
        """Headers that say to a telephone of ours who that side is (RFC 3325, RFC 4916)."""
        found = self.colleague(self.user(side.user).tenant, side.user, "") if side.user else None
        name, number = found or (side.name, side.number)
        if side.private or not number:
            return (f'P-Asserted-Identity: "Anonymous" <{ANONYMOUS_URI}>', "Privacy: id")
        shown = f"{quoted(name)} " if name else ""
        return (f"P-Asserted-Identity: {shown}<sip:{number}@{self.edge}>",)

    def _trail(self, call: Call, side: Side | None, by: Side | None) -> bytes:
        """On whose behalf a call is made: the party that will talk, and who makes it do so."""
        forwarders: tuple[int, ...] = ()
        called = 0
        if call.trail:
            _, _, _, called, forwarders, _ = caller_of_trail(call.trail)
        if side is None:
            user, number = call.beyond
            return new_trail(call.tenant, caller=number, caller_user=user,
                             hidden=not (user or number))
        outside = 0 if side.user else e164(side.number)
        if by is not None and by is not side:
            direct = forwarder(self.direct_number(by.user), Diverted.FOR_DEFLECTION)
            forwarders = (*forwarders, direct) if direct else forwarders
        return new_trail(call.tenant, caller=outside, hidden=not (side.user or outside),
                         caller_user=side.user, payer=by.user if by else 0, called=called,
                         device=(by or side).device, forwarders=forwarders,
                         private=side.private, wanted=call.shows)

    def tell(self, call: Call, kind: str, **data: Any) -> None:
        """An event, into the stream."""
        self.events.add(Event(tenant=call.tenant, at_ms=int(self.clock() * 1000), kind=kind,
                              call=call.uid, data=data))

    def count(self, what: str) -> None:
        """A fault that people should know of."""
        self.counters[what] += 1

    def tone(self, name: str) -> Path:
        """A file."""
        return self.prompts.tone(name)

    # -- the Office of a conversation ---------------------------------------------------------

    async def phrase(self, call: Call, key: str, **values: Any) -> list[Any]:
        """Files that say it."""
        return await self.prompts.say(words.phrase(key, call.language, **values), call.language)

    def may_record(self, tenant: int, prompt: int) -> bool:
        """Whether the company lets its people record that prompt: there is a service for it."""
        rows: list[Any] = self.store.find("service", tenant=tenant, kind="record_prompt")
        return any(row.settings.prompt == prompt for row in rows)

    async def files(self, call: Call, prompt: int) -> list[Any]:
        """A prompt of the company."""
        return await self.prompts.prompt(prompt, call.tenant, call.language)

    def music_of(self, call: Call) -> Path:
        """The company's hold music."""
        return self.prompts.music(self.tenant(call.tenant).hold_music, call.tenant) \
            or self.tone("hold")

    def busy(self, user: int) -> bool:
        """Whether the user's line is in use."""
        return self.live.line_state(user, int(self.clock())) != LineState.IDLE

    def user_of_extension(self, tenant: int, extension: str) -> int:
        """0 when there is none."""
        if not extension:
            return 0
        found = self.store.find("user", limit=1, tenant=tenant, extension=extension)
        return found[0].id if found else 0

    def colleague(self, tenant: int, user: int, extension: str) -> tuple[str, str] | None:
        """(name, extension) of a company's user, by id or else by extension."""
        user = user or self.user_of_extension(tenant, extension)
        try:
            row = self.user(user) if user else None
        except NotFound:
            return None
        return None if row is None or row.tenant != tenant or not row.extension \
            else (shown_name(row.name).decode(), row.extension)

    def find(self, dialog: Dialog) -> tuple[Call, Side] | None:
        """Who has this dialog."""
        assert self.agent
        leg = self.agent.find(dialog)
        for call in self.calls.values() if leg else ():
            for side in call.sides.values():
                if side.leg is leg:
                    return call, side
        return None

    def park(self, call: Call) -> int:
        """A free place; 0 when there is none."""
        for place in range(FIRST_PLACE, LAST_PLACE + 1):
            if (call.tenant, place) not in self.parked:
                self.parked[call.tenant, place] = call
                return place
        return 0

    def unpark(self, call: Call) -> None:
        """The place is free again."""
        for key in [key for key, one in self.parked.items() if one is call]:
            del self.parked[key]

    async def conference(self, call: Call) -> Conference:
        """A room; MediaError."""
        return Conference(call, await self.mixer.create_room())

    def has_functions(self, user: int) -> bool:
        """Whether the user's keys are read during calls."""
        try:
            return bool(user) and self.user(user).call_functions
        except NotFound:
            return False

    # -- what services look up ----------------------------------------------------------------

    def tenant(self, tenant: int) -> Tenant:
        """NotFound."""
        row = self.store.get("tenant", tenant)
        assert isinstance(row, Tenant)
        return row

    def user(self, user: int) -> User:
        """NotFound."""
        row = self.store.get("user", user)
        assert isinstance(row, User)
        return row

    def user_name(self, user: int) -> str:
        """As a telephone shows it; "" when there is no such user."""
        try:
            return shown_name(self.user(user).name).decode()
        except NotFound:
            return ""

    def service(self, service: int) -> Service | None:
        """None when it is gone."""
        try:
            row = self.store.get("service", service)
        except NotFound:
            return None
        assert isinstance(row, Service)
        return row

    def language(self, tenant: int, index: int) -> str:
        """The decision's, as a code."""
        return words.LANGUAGES[index] if index < len(words.LANGUAGES) \
            else self.tenant(tenant).language

    def direct_number(self, user: int) -> int:
        """The user's own public number, or the company's; 0 when there is none."""
        found: list[Any] = self.store.find("number", kind="direct", target_user=user, limit=1)
        if found:
            return int(found[0].e164[1:])
        main = self.tenant(self.user(user).tenant).main_number if user else None
        return int(main[1:]) if main else 0

    def e164(self, tenant: int, digits: str) -> str:
        """A number as it is keyed in that company's country; "" when it is none, or a short one."""
        try:
            found = phonenumbers.parse(digits, self.tenant(tenant).country)
        except phonenumbers.NumberParseException:
            return ""
        number = str(phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164))
        return number if phonenumbers.is_possible_number(found) and routed(number) == number else ""

    def may_call_back(self, tenant: int, number: str) -> bool:
        """Whether the company calls "+46..." because a caller has named it (Q7, I6): the kernel has
        the last word, this is for the caller to be told at once."""
        if not number.startswith("+"):
            return False
        company = self.tenant(tenant)
        what = CLASSES[number_class(number, company.country).bit_length() - 1]
        return what in company.callback_classes and \
            what not in (*company.barred, *company.operator_barred)

    def national(self, tenant: int, number: str) -> str:
        """A number as people of that company's country dial it."""
        try:
            found = phonenumbers.parse(number, None)
        except phonenumbers.NumberParseException:
            return number
        if phonenumbers.region_code_for_country_code(found.country_code or 0) \
                != self.tenant(tenant).country:
            return number
        return "".join(one for one in phonenumbers.format_number(
            found, phonenumbers.PhoneNumberFormat.NATIONAL) if one.isdecimal())

    def presence(self, user: int) -> tuple[str, datetime | None]:
        """(name of the activity in force, "" when available; its end, local)"""
        activity, until = self.live.presence(user)
        tenant = self.tenant(self.user(user).tenant)
        if not activity or (until and until <= self.clock()
                            and tenant.activity_end == "available"):
            return "", None
        try:
            row = self.store.get("activity", activity)
        except NotFound:
            return "", None
        assert isinstance(row, Activity)
        end = datetime.fromtimestamp(until, ZoneInfo(tenant.time_zone)) if until else None
        return row.name, end

    async def set_presence(self, tenant: int, user: int, activity: int | None, until: int,
                           source: str) -> bool:
        """Through the API, which is the one writer."""
        return await self.house.set_presence(tenant, user, activity, until, source)

    async def set_forward(self, tenant: int, user: int, target: Target | None) -> bool:
        """Through the API, which checks it."""
        return await self.house.set_forward(tenant, user, target)

    async def keep_prompt(self, tenant: int, prompt: int, file: Path) -> bool:
        """Through the API, which normalises it."""
        row = self.store.find("prompt", limit=1, id=prompt, tenant=tenant)
        return bool(row) and isinstance(row[0], Prompt) \
            and await self.house.keep_prompt(tenant, prompt, file)

    async def file(self, path: str) -> Path | None:
        """A recorded file as the media node can play it: it plays no FLAC."""
        found = self.state / path
        if not path or not await asyncio.to_thread(found.is_file):
            return None
        try:
            return await asyncio.to_thread(audio.playable, found, self.state / "playing")
        except (OSError, BadAudio) as error:
            log.error("recording not playable", path=path, error=str(error))
            return None

    async def recorded(self, uid: str) -> Path | None:
        """The audio of what was just captured, when the keeper has it."""
        until = asyncio.get_running_loop().time() + RECORDED_S
        while asyncio.get_running_loop().time() < until:
            message = self.store.message(uid)
            if message.state != "recording":
                return await self.file(message.path)
            await asyncio.sleep(0.2)
        return None

    def pin_open(self, mailbox: int) -> bool:
        """Whether the box may be tried now."""
        tries, since = self._locks.get(mailbox, (0, 0.0))
        return tries < PIN_TRIES or self.clock() - since > PIN_SHUT_S

    def pin_wrong(self, mailbox: int) -> None:
        """It was tried in vain."""
        tries, since = self._locks.get(mailbox, (0, 0.0))
        if self.clock() - since > PIN_SHUT_S:
            tries = 0
        if len(self._locks) >= MAX_LOCKS:
            self._locks.pop(next(iter(self._locks)))
        self._locks[mailbox] = tries + 1, self.clock()
        self.count("pin_wrong")

    def pin_right(self, mailbox: int) -> None:
        """It was opened."""
        self._locks.pop(mailbox, None)

    # -- finding calls to take (C2, C3, C8) ---------------------------------------------------

    def ringing(self, tenant: int, users: set[int]) -> Call | None:
        """A call of ours that rings at one of these users: the one that rings longest."""
        found: list[tuple[int, Call]] = []
        for slot, nonce in self.live.calls(SlotState.SETUP):
            state = self.live.call(slot, nonce)
            if not state or state["tenant"] != tenant or not users & set(state["ringing"]):
                continue
            call = self.calls.get(handover.conversation_of(state["setup"]))
            if call is not None and call.tenant == tenant:
                found.append((state["started_ms"], call))
        return min(found, key=lambda one: one[0])[1] if found else None

    def group_of(self, user: User) -> set[int]:
        """Everybody who is in a group with the user."""
        users: set[int] = set()
        for row in self.store.find("member", tenant=user.tenant, user=user.id, limit=100):
            group: Any = row
            assert isinstance(self.store.get("ring_group", group.ring_group), RingGroup)
            members: list[Any] = self.store.find("member", ring_group=group.ring_group, limit=100)
            users |= {member.user for member in members}
        return users - {user.id}

    def talking(self, tenant: int, user: int, but: Call) -> Call | None:
        """A call in which the user is connected, other than this one."""
        return next((call for call in self.calls.values() if call is not but
                     and call.tenant == tenant and call.state == "talking"
                     and any(side.user == user for side in call.sides.values())), None)

    def parked_by(self, tenant: int, user: int) -> Call | None:
        """A call that the user has parked."""
        return next((call for (owner, _), call in self.parked.items()
                     if owner == tenant and call.parker == user), None)

    # -- calls that we make (C9, Q12) ---------------------------------------------------------

    def originate(self, tenant: int, first: str, second: str, user: int) -> Call:
        """Ring `first`, and when it answers, call `second` for it; whose doing: the user's."""
        language = self.tenant(tenant).language
        call = Call(self, self.new_uid(), tenant, language)
        call.beyond = self.beyond(tenant, second)
        assert self.made
        self.keep(call, self.made(call, first, second, user))
        return call

    def beyond(self, tenant: int, order: str) -> Beyond:
        """Whom that order of a company calls, as far as somebody can be named."""
        kind, _, value = order.partition(":")
        user = self.user_of_extension(tenant, value) if kind == "dial" else \
            int(value) if kind in ("user", "phones") and value.isdecimal() else 0
        try:
            if user and self.user(user).tenant == tenant:
                return Beyond(user=user)
        except NotFound:
            return Beyond()
        outside = kind in ("dial", "number", "callback")
        return Beyond(number=e164(self.e164(tenant, value)) if outside else 0)

    def queue_number(self, tenant: int, queue: int) -> int:
        """What a queue is called by, E.164: a number that leads to it or to a way into it, else
        the company's; 0 when there is none."""
        ways: list[Any] = self.store.find("service", tenant=tenant, kind="queue_entry")
        for service in (queue, *(one.id for one in ways if one.settings.queue == queue)):
            found: list[Any] = self.store.find("number", tenant=tenant, target_service=service,
                                               limit=1)
            if found:
                return e164(found[0].e164)
        return e164(self.tenant(tenant).main_number or "")

    def call_back(self, call: Call, side: Side, user: int) -> None:
        """Call both when the user, and the caller if a colleague, are free."""
        number = side.number or self.user(side.user).extension or ""
        key = call.tenant, user, number
        mine = [one for one in self._callbacks if one[0] == call.tenant]
        if key in self._callbacks or len(mine) >= MAX_CALLBACKS:
            return
        task = asyncio.ensure_future(self._call_back(call.tenant, side.user, number, user))
        self._callbacks[key] = task
        task.add_done_callback(lambda _: self._callbacks.pop(key, None))

    async def _call_back(self, tenant: int, caller: int, number: str, user: int) -> None:
        until = self.clock() + CALLBACK_S
        while self.clock() < until:
            oldest = next(key for key in self._callbacks if key[:2] == (tenant, user))
            if oldest[2] == number and not self.busy(user) and not (caller and self.busy(caller)):
                first = f"phones:{caller}" if caller else f"callback:{number}"
                call = self.originate(tenant, first, f"user:{user}", caller or user)
                if call.script:
                    await asyncio.wait([call.script])  # whoever waits behind is called after it
                return
            await asyncio.sleep(CALLBACK_LOOK_S)

    def forget_callbacks(self, tenant: int, number: str) -> None:
        """The caller does not want to be called any more."""
        for key, task in list(self._callbacks.items()):
            if key[0] == tenant and key[2] == number:
                task.cancel()

    async def stop(self) -> None:
        """End every call."""
        for task in list(self._callbacks.values()):
            task.cancel()
        scripts = [call.script for call in list(self.calls.values()) if call.script]
        for script in scripts:
            script.cancel()
        await asyncio.gather(*scripts, return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)


def e164(text: str) -> int:
    """"+46..." as a number, 0 when it is none."""
    return int(text[1:]) if text.startswith("+") and text[1:].isdecimal() \
        and len(text) <= 16 else 0


__all__ = ["Desk", "Failed", "MediaError", "e164"]
