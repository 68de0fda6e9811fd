"""What a call is made of: its sides, what can happen to it, and what it needs of the world."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from callcontrol.keys import Presses
from callcontrol.sofia.ua import LegEvent, Party, State
from routing_core.handover import Handover
from routing_core.queue_words import Leave

if TYPE_CHECKING:
    from callcontrol.call import Call


class Side:
    """One party of a call. user: of the exchange, 0 = from outside; number: as others see it;
    private: it does not want to be seen."""

    def __init__(self, leg: Party, label: str, *, user: int = 0, device: int = 0,
                 number: str = "", name: str = "", offer: str | None = None,
                 functions: bool = False, private: bool = False) -> None:
        self.leg = leg
        self.label = label
        self.user = user
        self.device = device
        self.number = number
        self.name = name
        self.offer = offer  # its session description, None when it made none
        self.functions = functions
        self.private = private
        self.sees: Side | None = None  # with whom its telephone says that it talks
        self.admitted = False
        self.holding = False
        self.keys = ""
        self.presses = Presses()
        self.kept: list[LegEvent] = []  # what it said on its way between two calls
        self.answer = ""  # what it is to be answered, once it is admitted
        self.uid = ""

    @property
    def up(self) -> bool:
        """Whether it has been answered, or has answered."""
        return self.leg.state is State.UP

    def __repr__(self) -> str:
        return f"Side({self.label}, user {self.user}, {self.leg.state.name})"


class Beyond(NamedTuple):
    """Whom somebody who is called first is called for: a user of the company, or an outside
    number (E.164, 0 = nobody who can be named)."""

    user: int = 0
    number: int = 0


class LegSaid(NamedTuple):
    """Something that a side's telephone said; not Ended, which is SideLeft."""

    side: Side
    event: LegEvent


class SideLeft(NamedTuple):
    """A side has hung up, and is not in the call any more; others are."""

    side: Side


class Key(NamedTuple):
    """A side pressed a key."""

    side: Side
    digit: str


class Held(NamedTuple):
    """A side has put the call on hold, or takes it back."""

    side: Side
    holding: bool


class Played(NamedTuple):
    """What token stands for has been played to its end."""

    token: int


class Command(NamedTuple):
    """Something asked for from outside the call (control interface, another call)."""

    name: str
    arguments: dict[str, Any]
    answer: "asyncio.Future[Any]"

    def reply(self, **answer: Any) -> None:
        """Once; who asks may have given up meanwhile."""
        if not self.answer.done():
            self.answer.set_result(answer)


class Queued(NamedTuple):
    """The company's queues say something about this call: a What with what belongs to it."""

    what: int
    attempt: int
    agent: int
    value: int  # ring time (ms), reason to leave


class MediaLost(NamedTuple):
    """The media node has lost the session."""


Event = LegSaid | SideLeft | Key | Held | Played | Command | MediaLost | Queued


class Failed(NamedTuple):
    """A party that was called did not come. handover: what the exchange wants done instead; busy:
    the user who is."""

    code: int
    phrase: str = ""
    handover: Handover | None = None

    @property
    def away(self) -> Handover | None:
        """What to do instead of calling; a refusal's handover only says why."""
        return self.handover if self.code == 302 else None


class Place(Protocol):
    """What a call has in the company's queues, until give_up()."""

    def give_up(self, why: int = Leave.ABANDONED) -> None: ...


class Sound(Protocol):
    """What call control needs of a media session (rtp/session.py, and tests' own)."""

    call_id: str
    gone: bool

    async def admit(self, party: str, offer: str) -> str: ...
    async def readmit(self, party: str, offer: str) -> str: ...
    async def invite(self, party: str, other: str) -> str: ...
    async def accept(self, other: str, answer: str) -> None: ...
    async def join(self, party: str, other: str, answer: str) -> str | None: ...
    async def connect(self, party: str, other: str) -> str | None: ...
    async def separate(self, party: str) -> None: ...
    async def drop(self, party: str) -> None: ...
    async def play(self, party: str, files: Sequence[Path]) -> None: ...
    async def music(self, party: str, file: Path) -> None: ...
    async def stop(self, party: str) -> None: ...
    async def record_start(self, uid: str, left: str = "") -> None: ...
    async def record_pause(self) -> None: ...
    async def record_resume(self) -> None: ...
    async def record_stop(self) -> list[tuple[int, int]]: ...
    async def close(self) -> None: ...


class World(Protocol):
    """What a call finds around it: made once per process, faked in tests."""

    def now(self) -> float:
        """Unix seconds."""

    def read(self, decision: str) -> Handover | None:
        """What the edge has signed."""

    def open_sound(self, call: "Call") -> Sound:
        """A media session; MediaError."""

    def dial(self, call: "Call", target: str, *, side: Side | None, by: Side | None,
             sdp: str, repeat: bool) -> Party:
        """A leg to the edge that calls target (an order as the kernel takes it)."""

    def identity(self, side: Side) -> tuple[str, ...]:
        """Headers that say to a telephone of ours who that side is."""

    def tell(self, call: "Call", kind: str, **data: Any) -> None:
        """An event of the call, for whoever watches."""

    def count(self, what: str) -> None:
        """A fault that people should know of."""

    def tone(self, name: str) -> Path:
        """A file: ringback, beep, busy."""

    def music_of(self, call: "Call") -> Path:
        """The company's hold music."""
