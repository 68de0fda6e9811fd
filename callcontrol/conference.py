"""A few people who hear each other: a room of the mixer beside a call's media session."""

from callcontrol.call import Call, Side
from rtp.errors import MediaError
from rtp.mixer import Room


class Conference:
    """Each side talks with its own seat in the room, so nobody is sent a new address."""

    def __init__(self, call: Call, room: Room) -> None:
        self._call = call
        self._room = room
        self._seats: dict[str, str] = {}

    async def add(self, side: Side) -> None:
        """Let the side in; MediaError."""
        seat = f"{side.label}-room"
        sound = self._call.ensure_sound()
        offer = await sound.invite(side.label, seat)
        answer = await self._room.add(seat, offer)
        await sound.join(side.label, seat, answer)
        self._seats[side.label] = seat

    async def remove(self, side: Side) -> None:
        """It has left."""
        seat = self._seats.pop(side.label, None)
        if seat is None:
            return
        try:
            await self._room.remove(seat)
        except MediaError:
            self._call.world.count("mixer_failed")
        if self._call.sound is not None:
            await self._call.guard(lambda sound: sound.drop(seat))

    async def close(self) -> None:
        """The end of the room; sides that are still there hear nothing until they are connected."""
        for side in list(self._call.sides.values()):
            await self.remove(side)
        try:
            await self._room.close()
        except MediaError:
            self._call.world.count("mixer_failed")
