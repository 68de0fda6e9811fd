"""English, as spoken in Britain: "and" after hundreds, "hash" for the key #."""

from datetime import date
from typing import Final

from callcontrol.words.language import Language

_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen")
_TENS: Final = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty",
                "ninety")
_LARGE: Final = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"))
#: Last words of ordinals that do not simply end in "th".
_ORDINALS: Final = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
    "nine": "ninth", "twelve": "twelfth"}
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August",
                  "September", "October", "November", "December")


def _cardinal(value: int, _common: bool) -> str:
    parts = []
    for size, name in _LARGE:
        count, value = divmod(value, size)
        if count:
            parts.append(f"{_below_thousand(count)} {name}")
    if parts and 0 < value < 100:
        parts.append("and")
    if value or not parts:
        parts.append(_below_thousand(value))
    return " ".join(parts)


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    if hundreds:
        said = f"{_ONES[hundreds]} hundred"
        return f"{said} and {_below_hundred(rest)}" if rest else said
    return _below_hundred(rest)


def _below_hundred(value: int) -> str:
    if value < len(_ONES):
        return _ONES[value]
    tens, ones = divmod(value, 10)
    return f"{_TENS[tens]}-{_ONES[ones]}" if ones else _TENS[tens]


def _ordinal(value: int) -> str:
    said = _below_thousand(value)
    start = max(said.rfind(" "), said.rfind("-")) + 1
    last = said[start:]
    if last.endswith("y"):
        return said[:-1] + "ieth"
    return said[:start] + _ORDINALS.get(last, f"{last}th")


def _year(year: int) -> str:
    """1905 is nineteen oh five, 2026 twenty twenty-six, and 2005 two thousand and five."""
    if year % 1000 < 10 or year < 1000:
        return _cardinal(year, False)
    hundreds, rest = divmod(year, 100)
    if not rest:
        return f"{_below_hundred(hundreds)} hundred"
    return f"{_below_hundred(hundreds)} {'oh ' if rest < 10 else ''}{_below_hundred(rest)}"


def _clock(hour: int, minute: int) -> str:
    if not minute and hour in (0, 12):
        return "noon" if hour else "midnight"
    said = _ONES[(hour - 1) % 12 + 1]
    if minute:
        said += f" {'oh ' if minute < 10 else ''}{_below_hundred(minute)}"
    return f"{said} {'a.m.' if hour < 12 else 'p.m.'}"


def _day(on: date, weekday: bool, year: bool) -> str:
    said = f"the {_ordinal(on.day)} of {_MONTHS[on.month - 1]}"
    if weekday:
        said = f"{_WEEKDAYS[on.weekday()]} {said}"
    return f"{said} {_year(on.year)}" if year else said


def _messages(new: int, saved: int) -> str:
    if not new and not saved:
        return "You have no messages."
    said = f"{_cardinal(new, False) if new else 'no'} new message{'' if new == 1 else 's'}"
    if saved:
        said += f" and {_cardinal(saved, False)} saved message{'' if saved == 1 else 's'}"
    return f"You have {said}."


PHRASES: Final = {
    # -- any service
    "not_understood": "That was not understood. Please try again.",
    "no_input": "You have not made a choice.",
    "goodbye": "Thank you for calling. Goodbye.",
    "please_wait": "Please wait.",
    "code_unknown": "This code is not in use.",
    "not_allowed": "You are not allowed to use this service.",
    "menu_prompt_missing": "There is no recording for this menu.",
    "exchange_fault": "A technical fault has occurred. Please try again in a moment.",
    # -- calls
    "closed": "We are closed at the moment. Please call again during our opening hours.",
    "busy_wait_offer": "The person you are calling is busy. Press one to wait, two to be called"
                       " back, or hang up.",
    "will_call_back": "You will be called back as soon as the person is free.",
    "camped": "We are waiting until the person is free.",
    "transferring": "Your call is being transferred.",
    "transfer_failed": "The call could not be transferred.",
    "parked": "The call is parked on {slot}.",
    "nothing_parked": "There is no call parked there.",
    "nobody_rings": "There is no call to pick up.",
    "joined": "A participant has joined.",
    "left": "A participant has left the conference.",
    "conference_full": "The conference is full.",
    "recording_on": "The call is being recorded.",
    "recording_off": "The recording has ended.",
    "recording_paused": "The recording is paused.",
    "recording_resumed": "The recording continues.",
    "forward_set": "Your calls are forwarded to {number}.",
    "forward_off": "Call forwarding is off.",
    # -- what a caller may choose
    "choice_voicemail": "Press {key} to leave a message.",
    "choice_colleague": "Press {key} to speak to a colleague.",
    "choice_attendant": "Press {key} to reach the switchboard.",
    "callback_ask_number": "Enter the number that we should call, followed by hash.",
    "callback_confirm": "We will call {number}. Press one to confirm or two to change it.",
    "callback_saved": "Thank you. We will call you back.",
    # -- a queue, to those who wait
    "queue_welcome": "Welcome. You are now in the queue.",
    "queue_wait": "All our staff are busy at the moment. Please hold, and your call will be"
                  " answered in turn.",
    "queue_closed": "We are closed at the moment. Please call again later.",
    "queue_closed_night": "We are closed. Please call again during our opening hours.",
    "queue_no_agents": "There is nobody to take your call at the moment. Please call again later.",
    "queue_rush": "Many people are calling at the moment, and the queue is full. Please call again"
                  " later.",
    "queue_back": "You are back in your place in the queue.",
    "queue_callback_offer": "Press {key} to keep your place and be called back.",
    "queue_callback_confirm_number": "We will call you on {number}. Press one to accept or two to"
                                     " enter another number.",
    "queue_callback_ask_number": "Enter the number that we should call, followed by hash.",
    "queue_callback_saved": "Thank you. You keep your place in the queue, and we will call you"
                            " back. You may hang up now.",
    "queue_callback_exists": "A callback to this number has already been ordered. We will call"
                             " you.",
    "queue_callback_hello": "Hello, this is {name}. You asked us to call. Press one to be"
                            " connected.",
    # -- a queue, to its agents
    "queue_callback_whisper": "Callback from the queue {name} to number {number}. Press one to"
                              " call or two to decline.",
    "queue_missed_out": "You have been logged out of the queue {name} because you did not answer.",
    "queue_missed_pause": "You have been paused because you did not answer.",
    "agent_menu": "Press one to log in, two to log out, three to pause, four to continue, five to"
                  " end your wrap-up, or zero to hear your status.",
    "agent_logged_out": "You are logged out.",
    "agent_resumed": "Your pause is over. You can receive calls again.",
    "agent_wrap_up_ended": "Your wrap-up has ended.",
    "agent_no_licence": "You cannot log in, because all agent licences are in use.",
    "agent_not_member": "You are not a member of any queue.",
    # -- voicemail
    "mailbox_greeting": "You have reached the voicemail of {name}. Please leave your message after"
                        " the tone.",
    "mailbox_greeting_unnamed": "You have reached a voicemail box. Please leave your message after"
                                " the tone.",
    "mailbox_full": "The mailbox is full and cannot take any more messages.",
    "message_saved_short": "Thank you. Your message has been saved.",
    "message_too_short": "The message was too short and has not been saved.",
    "ask_extension": "Enter your extension, followed by hash.",
    "ask_pin": "Enter your PIN code, followed by hash.",
    "wrong_pin": "The PIN code is wrong. Please try again.",
    "pin_locked": "The PIN code is locked after too many attempts. Please contact your"
                  " administrator.",
    "mailbox_menu": "Press one for new messages, two for saved messages, three for your greeting,"
                    " or star to go back.",
    "message_menu": "Press one to hear the message again, two to save it, three to delete it, four"
                    " to call back, hash for the next message, or star for the previous one.",
    "message_menu_forward": "Press five to forward the message.",
    "message_deleted": "The message has been deleted.",
    "message_saved": "The message has been saved.",
    "no_more_messages": "There are no more messages.",
    "greeting_menu": "Press one to hear your greeting, two to record a new one, three to use the"
                     " standard greeting, or star to go back.",
    "record_after_tone": "Speak after the tone, and end with hash.",
    "recorded_menu": "Press one to listen, two to keep it, three to record again, or star to"
                     " cancel.",
    "prompt_saved": "The recording has been saved.",
    # -- presence
    "presence_menu": "Choose your presence.",
    "presence_choice": "{activity}, press {key}.",
    "presence_set": "You are now {activity}{until}.",
    "presence_set_other": "Your presence is now: {activity}{until}.",
    "presence_available": "You are now available.",
    "presence_ask_end": "Enter the end as four digits: hours and minutes, or month and day. Press"
                        " hash for no end.",
    "presence_ask_time": "Enter the end as four digits: hours and minutes. Press hash for no end.",
    "presence_ask_date": "Enter the last date as four digits: month and day. Press hash for no"
                         " end.",
    "bad_time": "The time was not understood. Please try again.",
}

LANGUAGE: Final = Language(
    digits=_ONES[:10],
    keys={"*": "star", "#": "hash"},
    signs={"+": "plus", "*": "star", "#": "hash"},
    minus="minus",
    cardinal=_cardinal,
    ordinal=_ordinal,
    clock=_clock,
    before_clock="at ",
    day=_day,
    before_weekday="on ",
    before_date="on ",
    before_past="on ",
    near={-1: "yesterday", 0: "today", 1: "tomorrow"},
    units=(("day", "days"), ("hour", "hours"), ("minute", "minutes"), ("second", "seconds")),
    and_=" and ",
    messages=_messages,
    back="back {when}",
    away_back=", back {when}",
    is_="is",
    does={"gone": "has left for the day", "mobile": "can be reached by mobile"},
    away_other="{who} has left the notice: {activity}{back}.",
    nobody="the person you are calling",
    about_clock="at about ",
    queue_first="You are first in the queue.",
    queue_position="You are number {position} in the queue.",
    estimate_soon="The waiting time is less than a minute.",
    estimate_most="The waiting time is at most {high}.",
    estimate_about="The waiting time is about {high}.",
    estimate_between="The waiting time is between {low} and {high}.",
    queue_callback_offer_planned="Press {key} to be called back {when}.",
    queue_callback_planned="Thank you. We will call you {when}.",
    agent_logged_in="You are logged in to {queues}.",
    queues=("queue", "queues"),
    agent_states={
        "free": "You are free for calls.", "offered": "A call is ringing at your telephone.",
        "talking": "You are in a call.", "wrap_up": "You are in wrap-up.",
        "rest": "You have a short rest between calls.",
    },
    agent_paused="You are paused.",
    agent_paused_for="You are paused: {reason}.",
    pauses={"break": "break", "lunch": "lunch", "meeting": "meeting", "training": "training"},
    waiting=("No call is waiting.", "One call is waiting.", "{count} calls are waiting."),
    heading="Received {when} {caller}.",
    from_both="from {name}, number {number}",
    from_name="from {name}",
    from_number="from {number}",
    from_hidden="from a withheld number",
    activities={
        "available": "available", "office": "in the office", "remote": "working remotely",
        "busy": "busy", "lunch": "at lunch", "meeting": "in a meeting", "off": "off duty",
        "vacation": "on holiday", "sick": "off sick", "travel": "travelling",
        "parental": "on parental leave", "training": "on a training course",
        "gone": "gone for the day", "working": "at work", "mobile": "on the mobile",
    },
    phrases=PHRASES,
)
