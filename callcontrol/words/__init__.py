"""Everything that the exchange says, as text for a text-to-speech engine.

Pure: no clock, no I/O. Times are local, those of one call naive or aware alike. What is returned
never contains a digit character, nor any mark that a speech engine takes for a command, whatever
names it was given. An unknown language or phrase is a ValueError.
"""

import re
import string
import unicodedata
from datetime import date, datetime, time
from functools import cache
from typing import Final, Literal

from callcontrol.words import en, fi, sv
from callcontrol.words.language import MAX_NUMBER, MAX_ORDINAL, Language

__all__ = [
    "ACTIVITIES", "LANGUAGES", "activity_name", "agent_logged_in", "agent_paused", "agent_status",
    "away", "date_words", "digits", "duration", "message_heading", "messages", "number", "ordinal",
    "phrase", "presence_now", "queue_callback_offer_planned", "queue_callback_planned",
    "queue_estimate", "queue_position", "referral_choices", "time_of_day", "until",
]

_LANGUAGES: Final[dict[str, Language]] = {"sv": sv.LANGUAGE, "en": en.LANGUAGE, "fi": fi.LANGUAGE}
LANGUAGES: Final = tuple(_LANGUAGES)
#: Activities with words of their own; any other name is said as it is.
ACTIVITIES: Final = tuple(en.LANGUAGE.activities)
#: Other names under which a company may have them.
_ALIASES: Final = {
    "parental leave": "parental", "travelling": "travel", "traveling": "travel",
    "gone for today": "gone", "gone for the day": "gone", "holiday": "vacation",
    "out sick": "sick", "home office": "remote",
}
#: Who is in one of these can be reached: no word on when he is back.
_PRESENT: Final = frozenset({"available", "office", "remote", "working", "mobile"})

#: A year that is not this one is left unsaid when the date is closer than this.
_HALF_YEAR_DAYS: Final = 183
_WEEK_DAYS: Final = 6
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
#: Up to so long, an estimated wait is said in steps of so many seconds, in that unit.
_MINUTES, _HOURS = 2, 1
_ESTIMATES: Final = (
    (10 * _MINUTE_S, _MINUTE_S, _MINUTE_S, _MINUTES),
    (30 * _MINUTE_S, 5 * _MINUTE_S, _MINUTE_S, _MINUTES),
    (2 * _HOUR_S, 15 * _MINUTE_S, _MINUTE_S, _MINUTES),
    (None, _HOUR_S, _HOUR_S, _HOURS))
#: Country codes of one and two digits; all others have three (ITU-T E.164).
_SHORT_COUNTRIES: Final = frozenset(map(str, (
    1, 7, 20, 27, *range(30, 35), 36, 39, 40, 41, *range(43, 50), *range(51, 59), *range(60, 67),
    81, 82, 84, 86, *range(90, 96), 98)))
#: From this many digits on, a number that starts with zero starts with an area code.
_WITH_AREA: Final = 7
#: An even count of digits has two groups of three from this length on.
_TWO_THREES: Final = 8
#: The longest run of digits in a name that is read as one number.
_LONGEST_NUMBER: Final = 4

_DIGITS = re.compile(r"[0-9]+")
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])[.:](?=[0-9])")
_UNSPEAKABLE = re.compile(r"[<>\[\]{}|\\^~`\x00-\x1f\x7f-\x9f]+")
_BEFORE_STOP = re.compile(r" (?=[,.;:!?])")
_STOPS = re.compile(r"(?<!\.)\.{2,}(?= |$)")


def _language(language: str) -> Language:
    found = _LANGUAGES.get(language)
    if found is None:
        raise ValueError(f"no words in {language!r}, only in {', '.join(LANGUAGES)}")
    return found


# -- numbers -----------------------------------------------------------------------------------

def number(value: int, language: str, *, gender: Literal["en", "ett"] = "ett") -> str:
    """A cardinal; gender is that of what is counted, and matters in Swedish only."""
    words = _language(language)
    if abs(value) > MAX_NUMBER:
        raise ValueError(f"{value} is too large to be said")
    said = words.cardinal(abs(value), gender == "en")
    return f"{words.minus} {said}" if value < 0 else said


def ordinal(value: int, language: str) -> str:
    """First, second, up to the 999th."""
    words = _language(language)
    if not 1 <= value <= MAX_ORDINAL:
        raise ValueError(f"no ordinal for {value}")
    return words.ordinal(value)


def digits(text: str, language: str) -> str:
    """A telephone number or a code digit by digit, with a pause after each two or three.

    Whatever is not a digit, * or # or a leading + is left out.
    """
    words = _language(language)
    plain = _plain(text).strip()
    signs = "".join(sign for sign in plain if sign in words.signs or "0" <= sign <= "9")
    groups: list[str] = []
    plus = "+" if signs.startswith("+") else ""
    signs = signs.replace("+", "")
    if plus and signs:
        country = next((size for size in (1, 2) if signs[:size] in _SHORT_COUNTRIES), 3)
        groups, signs = [plus + signs[:country]], signs[country:]
    elif len(signs) >= _WITH_AREA and signs[0] == "0":
        area = 2 if signs[1] in "89" else 3
        groups, signs = [signs[:area]], signs[area:]
    # 12, 12 34, 123 45, 12 34 56, 123 45 67, 123 456 78: threes stand first.
    threes = 1 if len(signs) % 2 else 2 if len(signs) >= _TWO_THREES else 0
    groups += [signs[at:at + 3] for at in range(0, 3 * threes, 3)]
    groups += [signs[at:at + 2] for at in range(3 * threes, len(signs), 2)]
    said = {**dict(zip("0123456789", words.digits, strict=True)), **words.signs}
    return ", ".join(" ".join(said[sign] for sign in group) for group in groups)


def duration(seconds: int, language: str) -> str:
    """Its largest unit and the next smaller one, rounded down; less than nothing is nothing."""
    words = _language(language)
    left = max(seconds, 0)
    counts = (left // _DAY_S, left % _DAY_S // _HOUR_S, left % _HOUR_S // _MINUTE_S,
              left % _MINUTE_S)
    first = next((at for at, count in enumerate(counts) if count), len(counts) - 1)
    said = []
    for at in range(first, min(first + 2, len(counts))):
        one, several = words.units[at]
        if counts[at] or at == first:
            said.append(f"{number(counts[at], language, gender='en')} "
                        + (one if counts[at] == 1 else several))
    return words.and_.join(said)


# -- when --------------------------------------------------------------------------------------

def time_of_day(at: time, language: str) -> str:
    """A time as it is read from a clock, without its seconds."""
    return _language(language).clock(at.hour, at.minute)


def date_words(on: date, today: date, language: str) -> str:
    """Yesterday, today, tomorrow; within six days the weekday and the date; else the date.

    With its year when that is neither this one nor less than half a year away.
    """
    words = _language(language)
    days = (on - today).days
    if days in words.near:
        return words.near[days]
    return words.day(on, abs(days) <= _WEEK_DAYS,
                     on.year != today.year and abs(days) > _HALF_YEAR_DAYS)


def until(end: datetime | None, now: datetime, language: str) -> str:
    """When somebody is back, to follow a comma; "" when that is not known, or past.

    Midnight stands for the whole day that it begins.
    """
    words = _language(language)
    when = _back_when(end, now, words, language)
    return words.back.format(when=when) if when else ""


def _back_when(end: datetime | None, now: datetime, words: Language, language: str) -> str:
    if end is None or end <= now:
        return ""
    return _when(end, now, words, language, with_midnight=False)


def _when(at: datetime, now: datetime, words: Language, language: str, *,
          with_midnight: bool, about: bool = False) -> str:
    """A moment with the prepositions of a sentence; about: not to the minute."""
    days = (at.date() - now.date()).days
    clock = (words.about_clock if about else words.before_clock) + words.clock(at.hour, at.minute)
    if days == 0 and at > now:
        return clock
    if days in words.near:
        before = ""
    elif abs(days) > _WEEK_DAYS:
        before = words.before_date
    else:
        before = words.before_weekday if days > 0 else words.before_past
    day = before + date_words(at.date(), now.date(), language)
    return f"{day} {clock}" if with_midnight or at.hour or at.minute else day


# -- voicemail and presence --------------------------------------------------------------------

def messages(new: int, saved: int, language: str) -> str:
    """How many messages there are in a mailbox."""
    return _sentence(_language(language).messages(max(new, 0), max(saved, 0)))


def message_heading(when: datetime, now: datetime, caller_digits: str | None,
                    caller_name: str | None, language: str) -> str:
    """When a message was left, and by whom."""
    words = _language(language)
    name = _spoken(caller_name or "", language)
    said = digits(caller_digits or "", language)
    template = (words.from_both if name and said else words.from_name if name
                else words.from_number if said else words.from_hidden)
    # A clock that was set back must not make a message come out of the future.
    moment = _when(min(when, now), now, words, language, with_midnight=True)
    return _sentence(words.heading.format(
        when=moment, caller=template.format(name=name, number=said)))


def activity_name(key: str, language: str) -> str:
    """What somebody "is": an activity's words, or the name itself when it is the company's own."""
    words = _language(language)
    return words.activities.get(_activity(key)) or _spoken(key, language).rstrip(" .,;:!?")


def away(name: str | None, activity: str, end: datetime | None, now: datetime,
         language: str) -> str:
    """What a caller hears of somebody who has referred his telephone."""
    words = _language(language)
    who = _spoken(name or "", language) or words.nobody
    said = activity_name(activity, language)
    known = _activity(activity) if said else "busy"
    if known in words.activities:
        when = "" if known in _PRESENT else _back_when(end, now, words, language)
        back = words.away_back.format(when=when) if when else ""
        does = words.does.get(known) or f"{words.is_} {words.activities[known]}"
        return _sentence(f"{who} {does}{back}.")
    back = until(end, now, language)
    return _sentence(words.away_other.format(who=who, activity=said,
                                             back=f", {back}" if back else ""))


def presence_now(activity: str, end: datetime | None, now: datetime, language: str) -> str:
    """What somebody hears who has set his own presence."""
    known = _activity(activity)
    if known == "available":
        return phrase("presence_available", language)
    key = "presence_set" if known in ACTIVITIES else "presence_set_other"
    back = "" if known in _PRESENT else until(end, now, language)
    return phrase(key, language, activity=activity_name(activity, language), until=back)


def referral_choices(language: str, *, voicemail: str = "", colleague: str = "",
                     attendant: str = "") -> str:
    """What a caller may press instead: the key of each choice that there is, "" for none."""
    _language(language)
    choices = (("choice_voicemail", voicemail), ("choice_colleague", colleague),
               ("choice_attendant", attendant))
    return " ".join(phrase(choice, language, key=key) for choice, key in choices if key)


def _activity(name: str) -> str:
    key = " ".join(name.casefold().replace("_", " ").split())
    return _ALIASES.get(key, key)


# -- queues -------------------------------------------------------------------------------------

def queue_position(position: int, language: str) -> str:
    """The place of somebody who waits; 1 is the first."""
    words = _language(language)
    if position <= 1:
        return words.queue_first
    return words.queue_position.format(position=number(position, language))


def queue_estimate(low_s: int, high_s: int, language: str) -> str:
    """How long one waits at least and at most; "" when nothing is known: (0, 0).

    A range no wider than a step is said as one round figure, any other rounded outwards.
    """
    words = _language(language)
    low_s, high_s = max(low_s, 0), max(low_s, high_s)
    if high_s <= 0:
        return ""
    if high_s <= _MINUTE_S and low_s < _MINUTE_S:
        return words.estimate_soon
    step, unit_s, unit = next(rule for most, *rule in _ESTIMATES
                              if most is None or high_s <= most)

    def said(seconds: int) -> str:
        count = seconds // unit_s
        return f"{number(count, language, gender='en')} {words.units[unit][count != 1]}"

    if high_s - low_s <= step:
        return words.estimate_about.format(
            high=said(max((low_s + high_s + step) // (2 * step), 1) * step))
    low, high = low_s // step * step, -(-high_s // step) * step
    if not low:
        return words.estimate_most.format(high=said(high))
    return words.estimate_between.format(
        low=number(low // unit_s, language, gender="en"), high=said(high))


def queue_callback_offer_planned(key: str, at: datetime, now: datetime, language: str) -> str:
    """The offer of a callback at a time that is known."""
    words = _language(language)
    return _sentence(words.queue_callback_offer_planned.format(
        key=_value("key", key, language), when=_about(at, now, words, language)))


def queue_callback_planned(at: datetime, now: datetime, language: str) -> str:
    """When somebody is going to be called."""
    words = _language(language)
    return _sentence(words.queue_callback_planned.format(when=_about(at, now, words, language)))


def agent_logged_in(count: int, language: str) -> str:
    """In how many queues an agent is logged in."""
    words = _language(language)
    if count <= 0:
        return phrase("agent_logged_out", language)
    said = f"{number(count, language, gender='en')} {words.queues[count != 1]}"
    return words.agent_logged_in.format(queues=said)


def agent_paused(reason: str, language: str) -> str:
    """That an agent is paused, and why: a name of the company's, or ""."""
    words = _language(language)
    said = words.pauses.get(reason) or _spoken(re.sub("[_-]", " ", reason), language)
    said = said.rstrip(" .,;:!?")
    return _sentence(words.agent_paused_for.format(reason=said)) if said else words.agent_paused


def agent_status(state: str, language: str, *, queues: int, reason: str = "",
                 waiting: int = 0) -> str:
    """What an agent hears of himself: log-ins, state (as the engine names it; reason: of a pause)
    and the calls that wait for him."""
    words = _language(language)
    if queues <= 0 or state == "offline":
        return phrase("agent_logged_out", language)
    does = agent_paused(reason, language) if state == "paused" else words.agent_states.get(state)
    if does is None:
        raise ValueError(f"no words for an agent who is {state!r}")
    calls = words.waiting[min(max(waiting, 0), 2)].format(
        count=number(max(waiting, 0), language))
    return f"{agent_logged_in(queues, language)} {does} {_sentence(calls)}"


def _about(at: datetime, now: datetime, words: Language, language: str) -> str:
    return _when(max(at, now), now, words, language, with_midnight=True, about=True)


# -- fixed sentences ---------------------------------------------------------------------------

def phrase(key: str, language: str, /, **values: str | int) -> str:
    """A fixed sentence. Its {key} is a key of a telephone; {number} and {slot} are said digit by
    digit; {until} is what until() returned; ValueError when a value is missing."""
    template = _language(language).phrases.get(key)
    if template is None:
        raise ValueError(f"no phrase {key!r}")
    said = {}
    for field in _fields(template):
        if field not in values:
            raise ValueError(f"phrase {key!r} needs {field!r}")
        said[field] = _value(field, values[field], language)
    return _sentence(template.format(**said))


def _value(field: str, value: str | int, language: str) -> str:
    words = _language(language)
    text = _plain(str(value)).strip()
    if field == "key":
        return words.keys.get(text) or _spoken(text, language)
    if field in ("number", "slot"):
        return digits(text, language) or _spoken(text, language)
    if field == "until":
        said = _spoken(text, language).lstrip(", ")
        return f", {said}" if said else ""
    return number(value, language) if isinstance(value, int) else _spoken(text, language)


@cache
def _fields(template: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(template)
                               if name))


def _plain(text: str) -> str:
    """The same with every digit of any script as 0 to 9."""
    return "".join(str(unicodedata.digit(sign)) if sign.isdigit() else sign for sign in text)


def _spoken(text: str, language: str) -> str:
    """A name as it can be said inside a sentence."""
    def said(found: re.Match[str]) -> str:
        run = found[0]
        if len(run) > _LONGEST_NUMBER or (len(run) > 1 and run[0] == "0"):
            return f" {digits(run, language)} "
        return f" {number(int(run), language)} "

    clean = _BETWEEN_DIGITS.sub(" ", _UNSPEAKABLE.sub(" ", _plain(text)))
    return _spaced(_DIGITS.sub(said, clean))


def _spaced(text: str) -> str:
    return _BEFORE_STOP.sub("", " ".join(text.split()))


def _sentence(text: str) -> str:
    """Begun with a capital, and ended with one full stop also after an abbreviation."""
    text = _spaced(text)
    return text[:1].upper() + _STOPS.sub(".", text[1:])
