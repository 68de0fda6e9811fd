"""What a language is made of: tables, and the few functions in which languages differ."""

from collections.abc import Callable
from datetime import date
from typing import Final, NamedTuple

#: The largest number that is read as a number, either side of zero.
MAX_NUMBER: Final = 999_999_999_999
MAX_ORDINAL: Final = 999


class Language(NamedTuple):
    """One language. No text in it contains a digit character.

    Templates have the fields that are named beside them; `phrases` and `activities` have the same
    keys in every language.
    """

    #: 0 to 9 one by one, and the other keys of a telephone: after "press", and in a number.
    digits: tuple[str, ...]
    keys: dict[str, str]
    signs: dict[str, str]
    minus: str
    #: cardinal(0 to MAX_NUMBER, common gender) and ordinal(1 to MAX_ORDINAL).
    cardinal: Callable[[int, bool], str]
    ordinal: Callable[[int], str]
    #: clock(hour, minute), and what stands before it in a sentence.
    clock: Callable[[int, int], str]
    before_clock: str
    #: day(on, with weekday, with year), and what stands before a coming weekday and any other date.
    day: Callable[[date, bool, bool], str]
    before_weekday: str
    before_date: str
    before_past: str
    #: Days from today: yesterday, today, tomorrow.
    near: dict[int, str]
    #: Days, hours, minutes, seconds: (one, several).
    units: tuple[tuple[str, str], ...]
    and_: str
    messages: Callable[[int, int], str]
    #: back {when}; the same inside `away`, where it follows the activity.
    back: str
    away_back: str
    #: Is; what is said of somebody in place of "is" and the activity; and {who}, {activity}, {back}
    #: for an activity with a name of the company's own.
    is_: str
    does: dict[str, str]
    away_other: str
    nobody: str
    #: What stands before a time that is not meant to the minute.
    about_clock: str
    #: {position}; {low} is a number, {high} a number with its unit.
    queue_first: str
    queue_position: str
    estimate_soon: str
    estimate_most: str
    estimate_about: str
    estimate_between: str
    #: {key} and {when}; {when}.
    queue_callback_offer_planned: str
    queue_callback_planned: str
    #: {queues}, a number with its noun: (one, several).
    agent_logged_in: str
    queues: tuple[str, str]
    #: What an agent does, but for a pause; a pause and its {reason}; reasons with words of their
    #: own; calls that wait: (none, one, several with {count}).
    agent_states: dict[str, str]
    agent_paused: str
    agent_paused_for: str
    pauses: dict[str, str]
    waiting: tuple[str, str, str]
    #: {when}, {caller}; and the caller by {name} and {number}.
    heading: str
    from_both: str
    from_name: str
    from_number: str
    from_hidden: str
    activities: dict[str, str]
    phrases: dict[str, str]
