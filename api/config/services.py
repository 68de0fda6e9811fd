"""What a service's settings must be, beyond what its struct says; and the PIN of a mailbox: taken
as digits, kept as a digest and never shown."""

import re
import secrets
from typing import Any

import httpx

from api.config import queues
from api.http.errors import invalid
from store import pin as pins
from store.model import Mailbox, Menu, Message, Queue, QueueEntry, Row, Service, Target
from store.sqlite import SqliteWriter

_DIGITS = "01234567890"
#: Call control ends a call that has come to more services.
LONGEST_WAY = 50


def shown(body: dict[str, Any]) -> dict[str, Any]:
    """A service as the API shows it."""
    settings = body["settings"]
    if settings["type"] == "mailbox":
        settings["has_pin"] = bool(settings.pop("pin"))
    return body


def take_pin(body: dict[str, Any]) -> None:
    """A PIN in the body of a request becomes its digest; Problem. has_pin is what we show."""
    settings = body.get("settings")
    if not isinstance(settings, dict) or settings.get("type") != "mailbox":
        return
    settings.pop("has_pin", None)
    if "pin" not in settings or settings["pin"] == "":
        return
    pin = settings["pin"]
    if not isinstance(pin, str) or not re.fullmatch(r"[0-9]{4,8}", pin, re.ASCII):
        raise invalid("settings.pin", "4 to 8 digits; \"\" for none")
    if len(set(pin)) == 1 or pin in _DIGITS or pin in _DIGITS[::-1]:
        raise invalid("settings.pin", "this is the first that a stranger tries: choose another one")
    settings["pin"] = pins.digest(pin, secrets.token_bytes(16))


def keep_pin(patch: dict[str, Any], before: Row) -> None:
    """New settings of a mailbox that say nothing of its PIN leave it as it is."""
    settings = patch.get("settings")
    if isinstance(settings, dict) and settings.get("type") == "mailbox" \
            and isinstance(before, Service) and isinstance(before.settings, Mailbox):
        settings.setdefault("pin", before.settings.pin)


def check(row: Service, writer: SqliteWriter) -> None:
    """Raise the Problem that a service, just written, has. Its references and targets are checked
    elsewhere."""
    match row.settings:
        case Menu():
            _menu(row.settings)
        case Mailbox():
            _mailbox(row, row.settings, writer)
        case Queue():
            queues.check(row, row.settings, writer)
        case QueueEntry():
            queues.check_entry(row, row.settings, writer)
    for i, address in enumerate(getattr(row.settings, "email", ())):
        if not address.isascii() or not address.isprintable() or ".." in address:
            raise invalid(f"settings.email[{i}]", "an address of ASCII letters")
    _webhook(getattr(row.settings, "webhook", None))
    _no_loop(row, writer)


def _menu(menu: Menu) -> None:
    keys: set[str] = set()
    for i, choice in enumerate(menu.choices):
        if choice.key in keys:
            raise invalid(f"settings.choices[{i}].key", f"the key {choice.key} is there already")
        keys.add(choice.key)
    if not keys and not menu.extensions:
        raise invalid("settings.choices", "nothing can be chosen: make it a message")


def _mailbox(row: Service, mailbox: Mailbox, writer: SqliteWriter) -> None:
    if mailbox.greeting == "own" and mailbox.prompt is None:
        raise invalid("settings.prompt", "an own greeting needs a prompt")
    if mailbox.greeting == "presence" and mailbox.user is None:
        raise invalid("settings.greeting", "a mailbox that is nobody's own has no activity to tell")
    if len(set(mailbox.listeners)) != len(mailbox.listeners):
        raise invalid("settings.listeners", "somebody is named twice")
    if not mailbox.pin:
        return
    owner: Any = writer.get("user", mailbox.user) if mailbox.user is not None else None
    for extension in {row.extension, getattr(owner, "extension", None)}:
        if extension and len(extension) >= 4 and pins.matches(mailbox.pin, extension):
            raise invalid("settings.pin", "the PIN is the extension: choose another one")


def _webhook(url: str | None) -> None:
    if url is None:
        return
    try:
        parsed = httpx.URL(url)
        usable = bool(parsed.host) and (parsed.port is None or 0 < parsed.port < 65536)
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise invalid("settings.webhook", "no address to send anything to")


def _onward(row: Service) -> tuple[str, Target | None]:
    """(field, target) where a call goes on to although the caller does nothing."""
    match row.settings:
        case Message():
            return "settings.next", row.settings.next
        case Menu():
            return "settings.otherwise", row.settings.otherwise
    return "", None


def _no_loop(row: Service, writer: SqliteWriter) -> None:
    """A caller who does nothing is not led around for ever, or as good as that."""
    field, target = _onward(row)
    way, seen = [row.name], {row.id}
    while target is not None and target.service is not None:
        at = writer.get("service", target.service)
        if not isinstance(at, Service):
            return
        way.append(at.name)
        if at.id == row.id:
            raise invalid(field, "a caller who does nothing would go round: " + " → ".join(way))
        if len(way) > LONGEST_WAY:
            raise invalid(field, f"a caller who does nothing would hear more than {LONGEST_WAY} "
                          "services in a row")
        if at.id in seen:
            return
        seen.add(at.id)
        target = _onward(at)[1]
