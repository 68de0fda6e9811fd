"""A person who is busy (Q12): wait for the line, be called back, or leave a message."""

from callcontrol.call import Call, Side
from callcontrol.services.base import Desk, Go, Service, State

CHOOSE_S = 6.0


class BusyOffer(Service):
    """For a caller of a busy user."""

    def __init__(self, desk: Desk, call: Call, side: Side, user: int) -> None:
        super().__init__(desk, call, side)
        self.user = user

    async def start(self) -> State | Go:
        """Answer and offer."""
        await self.call.answer(self.side)
        key = await self.call.ask(self.side, await self.phrase("busy_wait_offer"), 1,
                                  first_s=CHOOSE_S, ends="")
        if key == "1":
            await self.say("camped", barge=False)
            return Go(camp=self.user)
        if key == "2" and (self.side.user or self.side.number):
            self.desk.call_back(self.call, self.side, self.user)
            await self.say("will_call_back", barge=False)
            return Go()
        await self.say("goodbye", barge=False)
        return Go()
