"""What is written about a voice message or a callback request: mails, SMS and webhook calls, in
the company's language and time."""

import datetime
import functools
import zoneinfo
from typing import Any, Final, NamedTuple

import phonenumbers

from store.model import CallbackMenu, CallbackRequest, Delivery, Mailbox, Service, VoiceMessage


class Words(NamedTuple):
    """Of one language; {who}, {what}, {date}, {time}, {length}."""

    hidden: str
    message: str
    message_body: str
    attached: str
    callback: str
    callback_body: str


WORDS: Final = {
    "sv": Words(
        hidden="hemligt nummer",
        message="Röstmeddelande från {who}",
        message_body="{who} har lämnat ett röstmeddelande i {what} den {date} kl. {time}. "
                     "Längd: {length}.",
        attached="Meddelandet är bifogat.",
        callback="Ring upp {who}",
        callback_body="{who} vill bli uppringd ({what}). Begärt den {date} kl. {time}."),
    "en": Words(
        hidden="a hidden number",
        message="Voice message from {who}",
        message_body="{who} left a voice message in {what} on {date} at {time}. "
                     "Length: {length}.",
        attached="The message is attached.",
        callback="Call back {who}",
        callback_body="{who} wants to be called back ({what}). Asked on {date} at {time}."),
    "fi": Words(
        hidden="salainen numero",
        message="Ääniviesti: {who}",
        message_body="{who} jätti ääniviestin postilaatikkoon {what} {date} klo {time}. "
                     "Kesto: {length}.",
        attached="Viesti on liitteenä.",
        callback="Soittopyyntö: {who}",
        callback_body="{who} pyytää soittamaan takaisin ({what}). Pyydetty {date} klo {time}."),
}


def about_message(message: VoiceMessage, duration_ms: int, path: str, mailbox: Service,
                  settings: Mailbox, tenant: Any, now_ms: int) -> list[Delivery]:
    """What is to be sent about a new message."""
    words = WORDS[tenant.language]
    at = _local(message.created_ms, tenant)
    seconds = max(duration_ms // 1000, 1)
    facts = _facts(message.caller, message.caller_name, mailbox, at, words) | {
        "length": f"{seconds // 60}:{seconds % 60:02}"}
    text = words.message_body.format(**facts)
    attach = settings.attach
    return _deliveries(
        settings, tenant.id, now_ms, words.message.format(**facts),
        f"{text}\n{words.attached}\n" if attach else f"{text}\n", path if attach else "",
        {"event": "voice_message", "message": message.uid, "mailbox": mailbox.id,
         "mailbox_name": mailbox.name, "number": message.caller, "name": message.caller_name,
         **_when(at), "duration_s": seconds, "text": text})


def about_callback(request: CallbackRequest, menu: Service, settings: CallbackMenu, tenant: Any,
                   now_ms: int) -> list[Delivery]:
    """What is to be sent about a request to be called back."""
    words = WORDS[tenant.language]
    at = _local(request.created_ms, tenant)
    facts = _facts(request.number, "", menu, at, words)
    text = words.callback_body.format(**facts)
    return _deliveries(
        settings, tenant.id, now_ms, words.callback.format(**facts), f"{text}\n", "",
        {"event": "callback_request", "request": request.id, "service": menu.id,
         "service_name": menu.name, "number": request.number, "caller": request.caller,
         **_when(at), "text": text})


def _local(at_ms: int, tenant: Any) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_ms / 1000, zoneinfo.ZoneInfo(tenant.time_zone))


def _when(at: datetime.datetime) -> dict[str, str]:
    return {"at": at.isoformat(timespec="seconds"), "date": f"{at:%Y-%m-%d}",
            "time": f"{at:%H:%M}"}


def _facts(number: str, name: str, service: Service, at: datetime.datetime,
           words: Words) -> dict[str, str]:
    name = _line(name)
    number = _line(readable(number)) or words.hidden
    who = f"{name} ({number})" if name else number
    return {"who": who, "what": _line(service.name)} | _when(at)


def _line(text: str) -> str:
    """Without what would end a line or steer a terminal: others choose their names."""
    return "".join(c for c in text if c.isprintable())[:100].strip()


def readable(number: str) -> str:
    """An E.164 number in groups; anything else as it is."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(number),
                                          phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    except phonenumbers.NumberParseException:
        return number


def _deliveries(settings: Mailbox | CallbackMenu, tenant: int, now_ms: int, subject: str, body: str,
                attachment: str, facts: dict[str, Any]) -> list[Delivery]:
    queued = functools.partial(Delivery, tenant=tenant, created_ms=now_ms, next_ms=now_ms)
    found = [queued(kind="mail", to=address, subject=subject, body=body, attachment=attachment)
             for address in settings.email]
    found += [queued(kind="sms", to=number, body=facts["text"]) for number in settings.sms]
    if settings.webhook:
        found.append(queued(kind="webhook", to=settings.webhook, body=facts))
    return found
