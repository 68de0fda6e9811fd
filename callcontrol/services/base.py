"""What all services have in common."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from callcontrol import words
from callcontrol.call import Call, Side
from callcontrol.office import Office
from callcontrol.prompts import Prompts
from callcontrol.queues.floor import Floor
from store.model import Service as ServiceRow
from store.model import Target, Tenant, User
from store.port import Store


class Go(NamedTuple):
    """Where the caller goes. target None: the call is over. number: an order instead ("user:7").
    camp: the user that the caller waits for; talk: somebody is there, and they talk."""

    target: Target | None = None
    order: str = ""
    camp: int = 0
    talk: bool = False


State = Callable[[], Awaitable["State | Go"]]


class Floors(Protocol):
    """The queues of companies."""

    def floor(self, tenant: int) -> Floor | None:
        """Those of one; None when another process has them."""


class Desk(Office, Protocol):
    """What services need besides."""

    store: Store
    prompts: Prompts
    queues: Floors

    def tenant(self, tenant: int) -> Tenant: ...
    def user(self, user: int) -> User: ...
    def service(self, service: int) -> ServiceRow | None: ...
    def presence(self, user: int) -> tuple[str, datetime | None]:
        """(name of the activity, "" when available; its end, local)"""

    async def set_presence(self, tenant: int, user: int, activity: int | None,
                           until: int, source: str) -> bool:
        """Whether the exchange took it. source: "menu" or "code"."""

    async def set_forward(self, tenant: int, user: int, target: Target | None) -> bool:
        """Of all calls; None ends it."""

    def e164(self, tenant: int, digits: str) -> str:
        """A number as it is keyed in that company's country; "" when it is none."""

    def may_call_back(self, tenant: int, number: str) -> bool:
        """Whether the company calls "+46..." because a caller has named it."""

    def national(self, tenant: int, number: str) -> str:
        """A number as people of that company's country dial it."""

    def call_back(self, call: Call, side: Side, user: int) -> None:
        """Call both when the user is free."""

    async def file(self, path: str) -> Path | None:
        """A recorded file of the state directory as the media node can play it."""

    async def recorded(self, uid: str) -> Path | None:
        """The audio of what was just captured, when the keeper has it."""

    def pin_open(self, mailbox: int) -> bool:
        """Whether the box may be tried now."""

    def pin_wrong(self, mailbox: int) -> None:
        """It was tried in vain."""

    def pin_right(self, mailbox: int) -> None:
        """It was opened."""

    async def keep_prompt(self, tenant: int, prompt: int, file: Path) -> bool:
        """New audio for a prompt."""


class Service:
    """A service that a caller is in."""

    def __init__(self, desk: Desk, call: Call, side: Side, row: ServiceRow | None = None) -> None:
        self.desk = desk
        self.call = call
        self.side = side
        self.row = row
        self.tenant: Tenant = desk.tenant(call.tenant)

    async def run(self) -> Go:
        """Through its states."""
        state: State | Go = self.start
        while not isinstance(state, Go):
            state = await state()
        return state

    async def start(self) -> State | Go:
        """The first state."""
        raise NotImplementedError

    # -- helpers ------------------------------------------------------------------------------

    @property
    def zone(self) -> ZoneInfo:
        """The company's."""
        return ZoneInfo(self.tenant.time_zone)

    def now(self) -> datetime:
        """Where the company is."""
        return self.local(self.call.world.now())

    def local(self, at_s: float) -> datetime:
        """A time where the company is."""
        return datetime.fromtimestamp(at_s, self.zone)

    async def prompt(self, prompt: int | None) -> list[Path]:
        """A prompt of the company."""
        return await self.desk.prompts.prompt(prompt, self.call.tenant, self.call.language)

    async def spoken(self, text: str) -> list[Path]:
        """A text."""
        return await self.desk.prompts.say(text, self.call.language)

    async def phrase(self, key: str, **values: Any) -> list[Path]:
        """One of the exchange's own sentences."""
        return await self.spoken(words.phrase(key, self.call.language, **values))

    async def say(self, key: str, *, barge: bool = True, **values: Any) -> None:
        """Say a sentence."""
        await self.call.say(self.side, await self.phrase(key, **values), barge=barge)

    async def beep(self) -> None:
        """The tone after which one speaks."""
        self.side.keys = ""
        await self.call.say(self.side, [self.desk.tone("beep")], barge=False)
        self.side.keys = ""
