"""Spoken referral (P2): what somebody is doing and when that ends, and what to do about it."""

from callcontrol import words
from callcontrol.call import Call, Side
from callcontrol.services.base import Desk, Go, Service, State
from store.model import Service as ServiceRow
from store.model import Target, User

CHOOSE_S = 5.0
ROUNDS = 2


class Referral(Service):
    """For a user who is away."""

    def __init__(self, desk: Desk, call: Call, side: Side, user: int) -> None:
        super().__init__(desk, call, side)
        self.user: User = desk.user(user)
        self.mailbox: ServiceRow | None = desk.store.mailbox_of(user)
        self.rounds = 0

    async def start(self) -> State | Go:
        """Answer."""
        await self.call.answer(self.side)
        return self.tell

    async def tell(self) -> State | Go:
        """The activity and its end, then the choices there are."""
        self.rounds += 1
        activity, end = self.desk.presence(self.user.id)
        text = words.away(self.user.name, activity or "available", end, self.now(),
                          self.call.language)
        choices = words.referral_choices(
            self.call.language, voicemail="1" if self.mailbox else "",
            colleague="2" if self.user.colleague else "",
            attendant="0" if self.tenant.attendant else "")
        files = await self.spoken(text)
        if choices:
            files += await self.spoken(choices)
        key = await self.call.ask(self.side, files, 1, first_s=CHOOSE_S, ends="")
        if key == "1" and self.mailbox:
            return Go(Target(kind="service", service=self.mailbox.id))
        if key == "2" and self.user.colleague:
            return Go(self.user.colleague)
        if key == "0" and self.tenant.attendant:
            return Go(self.tenant.attendant)
        if choices and self.rounds < ROUNDS:
            return self.tell
        return self.goodbye

    async def goodbye(self) -> State | Go:
        """Nothing was chosen."""
        await self.say("goodbye", barge=False)
        return Go()
