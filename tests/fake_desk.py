"""The exchange around calls in virtual time: callcontrol's own Desk, with a store in memory, an
edge that does what the stage says, and telephones, media and mixer from tests/fakes.py."""

import asyncio
import random
import struct
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec

from callcontrol.control import Control
from callcontrol.desk import Desk
from callcontrol.reception import Reception
from callcontrol.sofia.ua import Dialog, Incoming, State
from routing_core import handover
from routing_core.codes import LineState, Reason, Source
from routing_core.decision import new_trail
from routing_core.handover import Handover, Order
from store import NotFound, pin
from store.model import (
    Activity,
    CallbackMenu,
    CallbackRequest,
    Choice,
    Event,
    Mailbox,
    MailboxAccess,
    Member,
    Menu,
    Message,
    PresenceMenu,
    Prompt,
    RecordPrompt,
    RingGroup,
    Row,
    Service,
    Target,
    Tenant,
    User,
    VoiceMessage,
)
from tests.fakes import FakeLeg, FakeMedia, FakeMixer, Stage, VirtualLoop, open_legs, sdp

#: 2026-03-02 15:00 in Stockholm.
T0_S: Final = 1_772_460_000.0
KEY: Final = b"test"
TENANT: Final = 1
PIN: Final = "4711"
#: The real cost of a PIN is for thieves.
cheap = mock.patch.object(pin, "_N", 2)
with cheap:
    _DIGEST: Final = pin.digest(PIN, bytes(16))
#: Those whose audio is there; that of 32 is not.
PROMPTS: Final = (31, 33, 34)
MESSAGE, MENU, BOX, ACCESS, CALLBACK, PRESENCE, PROMPT, LOOP, OWN_BOX, FULL, SHORT = range(21, 32)


def _target(kind: str, number: int | str = 0) -> Target:
    if kind == "number":
        return Target(kind="number", text=str(number))
    return Target(kind=kind, **({kind: number} if number else {}))  # type: ignore[arg-type]


def _service(number: int, settings: Any) -> Service:
    return Service(id=number, tenant=TENANT, name=f"s{number}", settings=settings)


_CHOICES: Final[dict[str, tuple[str, int | str]]] = {
    "1": ("user", 2), "2": ("group", 5), "3": ("number", "+46701234567"), "4": ("busy", 0),
    "5": ("service", MENU), "6": ("service", BOX), "7": ("service", 99), "8": ("service", MESSAGE),
    "9": ("service", CALLBACK), "0": ("user", 1), "*": ("service", ACCESS),
    "#": ("service", PROMPT)}
ROWS: Final[dict[str, dict[int, Row]]] = {
    "tenant": {TENANT: Tenant(id=TENANT, name="One", language="en", main_number="+46812345670",
                              attendant=_target("user", 3))},
    "user": {number: User(id=number, tenant=TENANT, name=f"User {number}",
                          extension=f"1{number}", call_functions=number != 4,
                          colleague=_target("user", 2) if number == 1 else None)
             for number in (1, 2, 3, 4)},
    "activity": {number: Activity(id=number, tenant=TENANT, name=name, code=str(number))
                 for number, name in ((1, "Lunch"), (2, "Vacation"), (3, "Ute & cyklar"))},
    "prompt": {31: Prompt(id=31, tenant=TENANT, name="Welcome", text="Welcome")},
    "ring_group": {5: RingGroup(id=5, tenant=TENANT, name="All")},
    "member": {number: Member(id=number, tenant=TENANT, ring_group=5, user=number)
               for number in (1, 2, 3)},
    "number": {},
    "service": {service.id: service for service in (
        _service(MESSAGE, Message(prompt=31, next=_target("user", 2))),
        _service(MENU, Menu(prompt=31, extensions=True, otherwise=_target("service", BOX), choices=(
            *(Choice(key=key, target=_target(*value)) for key, value in _CHOICES.items()),))),
        _service(BOX, Mailbox(user=1, pin=_DIGEST, greeting="presence", prompt=31,
                              colleague=_target("user", 3), max_message_s=20)),
        _service(ACCESS, MailboxAccess()),
        _service(CALLBACK, CallbackMenu(prompt=32)),
        _service(PRESENCE, PresenceMenu()),
        _service(PROMPT, RecordPrompt(prompt=31)),
        _service(LOOP, Message(prompt=32, next=_target("service", LOOP))),
        _service(OWN_BOX, Mailbox(user=2, greeting="own", prompt=31)),
        _service(FULL, Mailbox(listeners=(3,), max_messages=1)),
        _service(SHORT, Menu(prompt=31, tries=1, first_digit_s=1, invalid_prompt=32)))},
}


class FakeStore:
    """The part of the store port that calls use. The keeper is in it too: what is recorded has its
    audio after `keeper_s`."""

    def __init__(self, keeper_s: float = 1.0) -> None:
        self.rows = {table: dict(rows) for table, rows in ROWS.items()}
        self.voice: dict[str, VoiceMessage] = {}
        self.asked: list[CallbackRequest] = []
        self.keeper_s = keeper_s
        for box, states in ((BOX, ("new", "new", "saved")), (OWN_BOX, ("new",)), (FULL, ("new",))):
            for at, state in enumerate(states):
                uid = f"{box:014x}{at:014x}"
                self.voice[uid] = VoiceMessage(
                    uid=uid, tenant=TENANT, mailbox=box, caller="+46701112233" if at else "",
                    created_ms=int(T0_S - 3600) * 1000, path="voice/m-3.0",
                    state="new" if state == "new" else "saved")

    def get(self, table: str, id_: int) -> Row:
        """NotFound."""
        found = self.rows[table].get(id_)
        if found is None:
            raise NotFound(f"no {table} {id_}")
        return found

    def find(self, table: str, *, limit: int = 100, **equal: Any) -> list[Row]:
        """Rows with these values."""
        return [row for row in self.rows[table].values()
                if all(getattr(row, name, None) == value for name, value in equal.items())][:limit]

    def _boxes(self) -> list[Service]:
        return [row for row in self.rows["service"].values()
                if isinstance(row, Service) and isinstance(row.settings, Mailbox)]

    def mailbox_of(self, user: int) -> Service | None:
        """The user's own."""
        return next((row for row in self._boxes()
                     if isinstance(row.settings, Mailbox) and row.settings.user == user), None)

    def mailboxes_for(self, user: int) -> list[Service]:
        """The own one first."""
        own = self.mailbox_of(user)
        return [*([own] if own else []),
                *(row for row in self._boxes()
                  if isinstance(row.settings, Mailbox) and user in row.settings.listeners)]

    def add_message(self, message: VoiceMessage, *, call_id: str = "") -> bool:
        """A deposit."""
        new = message.uid not in self.voice
        self.voice.setdefault(message.uid, message)
        return new

    def message(self, uid: str) -> VoiceMessage:
        """What the keeper has made of it by now."""
        found = self.voice.get(uid)
        if found is None:
            raise NotFound(f"no message {uid}")
        age_s = T0_S + asyncio.get_running_loop().time() - found.created_ms / 1000
        if found.state == "recording" and age_s > self.keeper_s:
            path = "" if self.keeper_s > 5 else "voice/r-2.0"
            found = self.voice[uid] = msgspec.structs.replace(found, state="new", path=path)
        return found

    def messages(self, mailbox: int, *, states: Sequence[str] = ("new", "saved"),
                 limit: int = 500) -> list[VoiceMessage]:
        """Of a box."""
        return [one for one in self.voice.values()
                if one.mailbox == mailbox and one.state in states][:limit]

    def message_counts(self, mailbox: int) -> tuple[int, int]:
        """(new, saved)"""
        return (len(self.messages(mailbox, states=("new",))),
                len(self.messages(mailbox, states=("saved",))))

    def set_message_state(self, uid: str, state: str, at_ms: int, by: str = "") -> VoiceMessage:
        """NotFound."""
        self.voice[uid] = msgspec.structs.replace(self.message(uid), state=state)
        return self.voice[uid]

    def add_callback(self, request: CallbackRequest) -> CallbackRequest:
        """Kept."""
        self.asked.append(request)
        return request


class FakeLive:
    """Presence, who is busy, what rings."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.busy: set[int] = set()
        self.away: dict[int, tuple[int, int]] = {}
        self.words: dict[tuple[int, int], Handover] = {}

    def presence(self, user: int) -> tuple[int, int]:
        """(activity, until)"""
        return self.away.get(user, (0, 0))

    def line_state(self, user: int, _now: int) -> int:
        """Of a user."""
        return LineState.IN_CALL if user in self.busy else LineState.IDLE

    def calls(self, *_states: int) -> list[tuple[int, int]]:
        """What is being set up."""
        return [(1 << 16 | leg.number, 0) for leg in self._stage.legs
                if not leg.called and leg.state is State.CALLING]

    def own(self, _tenant: int, _index: int, _born_ms: int, _now_ms: int) -> bool:
        """There is one process."""
        return True

    def disown(self, _tenant: int, _index: int, _born_ms: int) -> None:
        """Nobody else waits for them."""

    def note(self, slot: int, nonce: int, _which: int, _text: bytes) -> bool:
        """Whose call it is: only of one that was named."""
        assert (slot, nonce) in self.words
        return True

    def call(self, slot: int, nonce: int) -> dict[str, Any] | None:
        """One of them, or one that comes in."""
        if (slot, nonce) in self.words:
            return {"answer": msgspec.json.encode(self.words[slot, nonce]), "setup": b"{}"}
        leg = next((leg for leg in self._stage.legs if slot == 1 << 16 | leg.number), None)
        if leg is None:
            return None
        _, _, user = leg.target.partition(":")
        return {"tenant": TENANT, "ringing": [int(user)] if user.isdecimal() else [2],
                "setup": msgspec.json.encode({"conversation": leg.conversation}),
                "started_ms": int(leg.rang_at * 1000)}


class FakeAgent:
    """Makes legs."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def call(self, _url: str, *, caller: str, called: str, sdp: str,
             headers: tuple[str, ...]) -> FakeLeg:
        """A leg with an order."""
        order = handover.unseal(Order, headers[0].partition(": ")[2], KEY,
                                T0_S + asyncio.get_running_loop().time())
        assert order is not None
        leg = FakeLeg(self._stage, False, order.called, order.conversation, sdp)
        leg.told.append(("invite", order))
        return leg

    def find(self, dialog: Dialog) -> FakeLeg | None:
        """By its name."""
        return next((leg for leg in open_legs(self._stage) if leg.dialog == dialog), None)

    @property
    def count(self) -> int:
        """Those that are open."""
        return len(open_legs(self._stage))


class FakePrompts:
    """Speaks in no time, or a little, and sometimes cannot."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.said: list[str] = []

    def tone(self, name: str) -> Path:
        """A file."""
        return Path(f"{name}-0.3")

    async def prompt(self, prompt: int | None, _tenant: int, _language: str) -> list[Path]:
        """There is one."""
        await self._stage.wait()
        return [Path(f"prompt {prompt}-4.0")] if prompt in PROMPTS else []

    async def say(self, text: str, _language: str) -> list[Path]:
        """Two seconds."""
        self.said.append(text)
        await self._stage.wait()
        return [Path(f"{text.replace('/', ' ')}-2.0")] if text else []

    def music(self, _prompt: int | None, _tenant: int) -> Path | None:
        """The exchange's own."""
        return None


class FakeHouse:
    """The API says yes and no."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def _answer(self, *_what: Any) -> bool:
        await self._stage.wait()
        return self._stage.count("house") % 3 != 2

    set_presence = set_forward = keep_prompt = _answer


class NoQueues:
    """The queues are another process's."""

    def floor(self, _tenant: int) -> Any:
        """None."""
        return None

    async def asked(self, _question: dict[str, Any]) -> dict[str, Any] | None:
        """Nothing is known."""
        return None


class FakeEvents:
    """Keeps them."""

    lost = 0

    def __init__(self) -> None:
        self.kept: list[Event] = []

    def add(self, event: Event) -> None:
        """In order."""
        msgspec.json.encode(event)
        self.kept.append(event)


class FakeDesk(Desk):
    """The exchange of one run. keeper_s: until recorded audio is there."""

    def __init__(self, stage: Stage, keeper_s: float = 1.0) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.stage = stage
        self.fake_live = FakeLive(stage)
        self.fake_store = FakeStore(keeper_s)
        self.fake_events = FakeEvents()
        given: dict[str, Any] = {
            "store": self.fake_store, "live": self.fake_live, "media": FakeMedia(stage),
            "mixer": FakeMixer(stage), "prompts": FakePrompts(stage), "house": FakeHouse(stage),
            "events": self.fake_events}
        super().__init__(index=0, state=Path("/nowhere"), edge="edge:5060", key=KEY,
                         clock=lambda: T0_S + loop.time(), chance=random.Random(1), **given)
        stage.decide = self.decision
        self.reception = Reception(self)
        self.queues = NoQueues()
        self.agent = FakeAgent(stage)  # type: ignore[assignment]
        self.control = Control(self, {})

    def count(self, what: str) -> None:
        """Also why."""
        super().count(what)
        if what == "script_failed":
            self.stage.fault(f"a script failed:\n{traceback.format_exc()}")

    async def file(self, path: str) -> Path | None:
        """Most that there are, are there."""
        return Path(path) if path and self.stage.count("file") % 5 != 4 else None

    def word(self, reason: Reason, *, service: int = 0, called: str = "12", user: int = 0,
             caller: str = "+46701234567", record: bool = False, visited: int = 0) -> Handover:
        """What the edge says."""
        trail = bytearray(new_trail(TENANT, caller_user=user))
        if visited:  # the layout is routing_core/decision.pxd's Trail
            struct.pack_into("<I", trail, 72, visited)
            struct.pack_into("<B", trail, 129, 1)
        return Handover(
            at=int(self.clock()), uid=f"{self.stage.count('uid'):028x}", tenant=TENANT,
            reason=int(reason), service=service,
            source_kind=int(Source.DEVICE if user else Source.TRUNK), source=user * 10 or 7,
            called=called, calling="", wanted=None, trail=handover.trail_text(bytes(trail)),
            record=record, language=1, caller_user=user, caller="" if user else caller)

    def intrude(self) -> FakeLeg:
        """An INVITE that the edge knows nothing of."""
        leg = FakeLeg(self.stage, True, "12", offer=sdp(96))
        self.called(leg, Incoming("12", "", "", sdp(96), "rubbish", None))  # type: ignore[arg-type]
        return leg

    def arrive(self, word: Handover, *, numbers: int = 96, late: bool = False) -> FakeLeg:
        """An INVITE with that word; late: its SDP comes with the ACK."""
        slot = self.stage.count("slot"), 1
        self.fake_live.words[slot] = word
        leg = FakeLeg(self.stage, True, word.called, offer=sdp(numbers), late=late)
        self.called(leg, Incoming(  # type: ignore[arg-type]
            called=word.called, caller=word.caller, caller_name="N", decision=f"{slot[0]:x}.1",
            sdp=None if late else sdp(numbers), replaces=None))
        return leg

    def decision(self, kind: str) -> str:
        """What comes with a refusal."""
        word = {
            "": None,
            "busy": self.word(Reason.USER_BUSY, visited=2),
            "busy_plain": self.word(Reason.USER_BUSY, visited=4),
            "away": self.word(Reason.USER_AWAY, service=1),
            "away_gone": self.word(Reason.USER_AWAY, service=77),
            "menu": self.word(Reason.SERVICE_TARGET, service=MENU),
            "box": self.word(Reason.SERVICE_TARGET, service=BOX),
            "nothing": self.word(Reason.SERVICE_TARGET, service=98),
            "again": self.word(Reason.CALL_FUNCTIONS),
        }.get(kind)
        return "rubbish" if kind == "rubbish" else \
            handover.seal(word, KEY) if word is not None else ""

    def open_callbacks(self) -> int:
        """People who wait for a busy one."""
        return len(self._callbacks)

    def free_everybody(self) -> None:
        """Nobody is busy any more."""
        self.fake_live.busy.clear()


__all__ = ["PIN", "TENANT", "FakeDesk", "FakeStore", "cheap"]
