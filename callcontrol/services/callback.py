"""Callback menu (I6): the caller keys a number, which is kept and sent on."""

from callcontrol.services.base import Go, Service, State
from store.model import CallbackMenu, CallbackRequest

MAX_DIGITS = 15
LEAST_DIGITS = 5
TRIES = 3


class AskForNumber(Service):
    """Number, confirmation, thanks."""

    tries = 0
    number = ""

    async def start(self) -> State | Go:
        """Answer."""
        await self.call.answer(self.side)
        return self.ask

    async def ask(self) -> State | Go:
        """For the number."""
        assert self.row and isinstance(self.row.settings, CallbackMenu)
        self.tries += 1
        if self.tries > TRIES:
            return self.give_up
        files = await self.prompt(self.row.settings.prompt)
        self.number = await self.call.ask(
            self.side, files + await self.phrase("callback_ask_number"), MAX_DIGITS, first_s=10.0,
            between_s=5.0)
        if len(self.number) < LEAST_DIGITS or not self.number.isdecimal() \
                or not self.desk.may_call_back(self.call.tenant, self.desk.e164(
                    self.call.tenant, self.number)):
            self.side.keys = ""
            await self.say("not_understood")
            return self.ask
        return self.confirm

    async def confirm(self) -> State | Go:
        """Read it back."""
        key = await self.call.ask(self.side, await self.phrase(
            "callback_confirm", number=self.number), 1, first_s=6.0, ends="")
        return self.keep if key == "1" else self.ask

    async def keep(self) -> State | Go:
        """Durably; the keeper sends it on."""
        assert self.row
        self.desk.store.add_callback(CallbackRequest(
            tenant=self.call.tenant, service=self.row.id, number=self.number,
            caller=self.side.number, created_ms=int(self.call.world.now() * 1000)))
        self.call.world.tell(self.call, "callback_request", service=self.row.id,
                             number=self.number)
        await self.say("callback_saved", barge=False)
        return Go()

    async def give_up(self) -> State | Go:
        """Nothing understood."""
        await self.say("goodbye", barge=False)
        return Go()
