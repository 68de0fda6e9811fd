"""What a conversation needs of the exchange around it; the desk has it, and tests their own."""

from typing import Any, Protocol

from callcontrol.call import Call
from callcontrol.conference import Conference
from callcontrol.parts import Side, World
from callcontrol.sofia.ua import Dialog


class Office(World, Protocol):
    """What a conversation needs besides a call's World."""

    async def phrase(self, call: Call, key: str, **values: Any) -> list[Any]:
        """Files that say it."""

    async def files(self, call: Call, prompt: int) -> list[Any]:
        """A prompt of the company, [] when it cannot be had."""

    def busy(self, user: int) -> bool:
        """Whether the user's line is in use."""

    def user_of_extension(self, tenant: int, extension: str) -> int:
        """0 when there is none."""

    def find(self, dialog: Dialog) -> tuple[Call, Side] | None:
        """Who has this dialog."""

    def park(self, call: Call) -> int:
        """A free place, which is the call's until it ends; 0 when there is none."""

    def unpark(self, call: Call) -> None:
        """The place is free again."""

    async def conference(self, call: Call) -> Conference:
        """A mixer; MediaError."""

    def has_functions(self, user: int) -> bool:
        """Whether the user's keys are read during calls."""
