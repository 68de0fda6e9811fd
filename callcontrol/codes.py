"""Codes that people key: during a call (C6) and instead of a number (P6, C2, C3, C8).

Pure. docs/codes.md lists them; the tables here are what it is checked against.
"""

import re
from enum import StrEnum
from typing import Final, NamedTuple

#: In front of every code during a call.
PREFIX: Final = "*#*"
#: Between two keys of one code.
PAUSE_S: Final = 6.0
MAX_NUMBER: Final = 24


class Action(StrEnum):
    """What a code asks for."""

    TRANSFER = "transfer"
    CONSULT = "consult"
    SWAP = "swap"
    JOIN = "join"
    COMPLETE = "complete"
    PARK = "park"
    CAMP = "camp"
    MOVE = "move"
    RECORD = "record"
    PAUSE = "pause"
    BACK = "back"


#: After the prefix: the key, and whether a number and # follow.
IN_CALL: Final[dict[str, tuple[Action, bool]]] = {
    "1": (Action.TRANSFER, True), "2": (Action.CONSULT, True), "3": (Action.SWAP, False),
    "4": (Action.JOIN, False), "5": (Action.COMPLETE, False), "6": (Action.PARK, False),
    "7": (Action.CAMP, True), "8": (Action.MOVE, False), "9": (Action.RECORD, False),
    "0": (Action.PAUSE, False), "#": (Action.BACK, False),
}


class Asked(NamedTuple):
    """A complete code."""

    action: Action
    number: str = ""


class KeyReader:
    """Finds the codes among the keys of one side; anything else is the other side's to hear."""

    def __init__(self) -> None:
        self._keys = ""
        self._at = 0.0

    def press(self, digit: str, now_s: float) -> Asked | None:
        """A key at that time (any clock); the code that it completes, if it does."""
        if now_s - self._at > PAUSE_S:
            self._keys = ""
        self._at = now_s
        self._keys += digit
        if not self._keys.startswith(PREFIX):
            # The prefix may begin anywhere: keep what could still be its beginning.
            while self._keys and not PREFIX.startswith(self._keys):
                self._keys = self._keys[1:]
            return None
        rest = self._keys[len(PREFIX):]
        again = rest.find(PREFIX)
        if again >= 0:  # begun anew
            self._keys, rest = rest[again:], ""
        if not rest:
            return None
        action, with_number = IN_CALL.get(rest[0], (None, False))
        if action is None:
            self._keys = rest if PREFIX.startswith(rest) else ""
            return None
        if not with_number:
            self._keys = ""
            return Asked(action)
        number = rest[1:]
        if number.endswith("#") and not number.endswith(PREFIX[:2]):
            self._keys = ""
            return Asked(action, number[:-1]) if number != "#" else None
        if len(number) > MAX_NUMBER:
            self._keys = ""
        return None


class Dialled(StrEnum):
    """What a dialled code asks for."""

    PRESENCE = "presence"
    PRESENCE_OFF = "presence_off"
    FORWARD = "forward"
    FORWARD_OFF = "forward_off"
    PICKUP = "pickup"
    PICKUP_GROUP = "pickup_group"
    PARKED = "parked"
    FETCH = "fetch"
    VOICEMAIL = "voicemail"
    PRESENCE_MENU = "presence_menu"
    RECORD_PROMPT = "record_prompt"
    CALL_BACK_OFF = "call_back_off"
    AGENT_IN = "agent_in"
    AGENT_OUT = "agent_out"
    AGENT_PAUSE = "agent_pause"
    AGENT_ON = "agent_on"
    AGENT_DONE = "agent_done"


class Code(NamedTuple):
    """A dialled code with its numbers, as keyed."""

    action: Dialled
    first: str = ""
    second: str = ""


#: What is dialled; # at the end may be left out where a telephone cannot send it.
DIALLED: Final[tuple[tuple[Dialled, re.Pattern[str]], ...]] = (
    (Dialled.PRESENCE_OFF, re.compile(r"#23#?")),
    (Dialled.PRESENCE, re.compile(r"\*23\*([0-9]{1,3})(?:\*([0-9]{4}))?#?")),
    (Dialled.FORWARD_OFF, re.compile(r"#21#?")),
    (Dialled.FORWARD, re.compile(r"\*21\*(\+?[0-9]{2,20})#?")),
    (Dialled.CALL_BACK_OFF, re.compile(r"#37#?")),
    (Dialled.PICKUP_GROUP, re.compile(r"\*8#?")),
    (Dialled.PICKUP, re.compile(r"\*\*([0-9]{2,6})#?")),
    (Dialled.PARKED, re.compile(r"\*85(?:\*([0-9]{1,3}))?#?")),
    (Dialled.FETCH, re.compile(r"\*84#?")),
    (Dialled.VOICEMAIL, re.compile(r"\*98#?")),
    (Dialled.PRESENCE_MENU, re.compile(r"\*90#?")),
    (Dialled.AGENT_IN, re.compile(r"\*41#?")),
    (Dialled.AGENT_OUT, re.compile(r"#41#?")),
    (Dialled.AGENT_PAUSE, re.compile(r"\*42(?:\*([0-9]{1,2}))?#?")),
    (Dialled.AGENT_ON, re.compile(r"#42#?")),
    (Dialled.AGENT_DONE, re.compile(r"\*43#?")),
    (Dialled.RECORD_PROMPT, re.compile(r"\*92\*([0-9]{1,9})#?")),
)


def read(text: str) -> Code | None:
    """What was dialled, None when it is no code."""
    for action, pattern in DIALLED:
        found = pattern.fullmatch(text)
        if found:
            first, second, *_ = (*found.groups(""), "", "")
            return Code(action, first, second)
    return None


__all__ = [
    "DIALLED", "IN_CALL", "PAUSE_S", "PREFIX", "Action", "Asked", "Code", "Dialled", "KeyReader",
    "read",
]
