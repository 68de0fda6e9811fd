"""Messages and menus (I1, I2, I7)."""

from callcontrol.services.base import Go, Service, State
from store.model import Menu, Message, Target

#: A number that is dialled in a menu is an extension: no longer than this.
MAX_EXTENSION = 6


class PlayMessage(Service):
    """A prompt, then on."""

    async def start(self) -> State | Go:
        """Answer, play it, go on."""
        assert self.row and isinstance(self.row.settings, Message)
        await self.call.answer(self.side)
        await self.call.say(self.side, await self.prompt(self.row.settings.prompt), barge=False)
        return Go(self.row.settings.next)


class ChooseFromMenu(Service):
    """Keys lead on."""

    tries = 0

    @property
    def menu(self) -> Menu:
        """Its settings."""
        assert self.row and isinstance(self.row.settings, Menu)
        return self.row.settings

    async def start(self) -> State | Go:
        """Answer."""
        await self.call.answer(self.side)
        return self.choose

    async def choose(self) -> State | Go:
        """Play the prompt and wait for keys."""
        menu = self.menu
        self.tries += 1
        keys = await self.call.ask(
            self.side, await self.prompt(menu.prompt), 1, first_s=menu.first_digit_s, ends="")
        if not keys:
            return await self.silent()
        choice = next((one.target for one in menu.choices if one.key == keys), None)
        if menu.extensions and keys in "123456789":
            more = await self.call.keys(self.side, MAX_EXTENSION - 1,
                                        first_s=menu.inter_digit_s, between_s=menu.inter_digit_s)
            if more:
                user = self.desk.user_of_extension(self.call.tenant, keys + more)
                return Go(Target(kind="user", user=user)) if user else await self.invalid()
        if choice is None:
            return await self.invalid()
        self.call.world.tell(self.call, "menu", menu=self.row.id if self.row else 0, key=keys)
        return Go(choice)

    async def invalid(self) -> State | Go:
        """A key that leads nowhere."""
        self.side.keys = ""
        files = await self.prompt(self.menu.invalid_prompt) \
            if self.menu.invalid_prompt else await self.phrase("not_understood")
        await self.call.say(self.side, files)
        return self.again()

    async def silent(self) -> State | Go:
        """No key at all."""
        return self.again()

    def again(self) -> State | Go:
        """Once more, or not."""
        return self.choose if self.tries < self.menu.tries else self.give_up

    async def give_up(self) -> State | Go:
        """Where those go who do not choose."""
        if self.menu.otherwise is None:
            await self.say("goodbye", barge=False)
        return Go(self.menu.otherwise)
