"""What the settings of a service name: one list for the store, which keeps it, and the API, which
checks it."""

from collections.abc import Iterator
from typing import NamedTuple

from store.model import (
    CallbackMenu,
    Mailbox,
    Menu,
    Message,
    Queue,
    QueueEntry,
    RecordPrompt,
    ServiceSettings,
    Target,
)


class Link(NamedTuple):
    """field: the path, from the service; table: of the row that is named."""

    field: str
    table: str
    id: int


class Pointer(NamedTuple):
    """A row that names another one. name: for people; field: the path in which it does."""

    table: str
    id: int
    name: str
    field: str

    def __str__(self) -> str:
        return f"{self.table.replace('ring_', '')} {self.name} ({self.field})"


def targets_of(settings: ServiceSettings) -> Iterator[tuple[str, Target]]:
    """(path, target) of every target in the settings."""
    found: list[tuple[str, Target | None]] = []
    match settings:
        case Message():
            found = [("next", settings.next)]
        case Menu():
            found = [(f"choices[{i}].target", choice.target)
                     for i, choice in enumerate(settings.choices)]
            found.append(("otherwise", settings.otherwise))
        case Mailbox():
            found = [("colleague", settings.colleague)]
        case Queue():
            found = [(f"overflow.{reason}", getattr(settings.overflow, reason))
                     for reason in OVERFLOWS]
            found += [(f"keys[{i}].target", choice.target)
                      for i, choice in enumerate(settings.keys)]
    for field, target in found:
        if target is not None:
            yield f"settings.{field}", target


def links_of(settings: ServiceSettings) -> Iterator[Link]:
    """Every row that the settings name."""
    named: list[tuple[str, str, int | None]] = []
    match settings:
        case Message() | CallbackMenu() | RecordPrompt():
            named = [("prompt", "prompt", settings.prompt)]
        case Menu():
            named = [("prompt", "prompt", settings.prompt),
                     ("invalid_prompt", "prompt", settings.invalid_prompt)]
        case Mailbox():
            named = [("prompt", "prompt", settings.prompt), ("user", "user", settings.user),
                     *((f"listeners[{i}]", "user", user)
                       for i, user in enumerate(settings.listeners))]
        case Queue():
            named = [("schedule", "schedule", settings.schedule),
                     *((f"closures[{i}]", "schedule", schedule)
                       for i, schedule in enumerate(settings.closures)),
                     *((f"announcements.{name}", "prompt", getattr(settings.announcements, name))
                       for name in ("welcome", "first", "repeated", "music")),
                     ("supervisor", "user", settings.supervisor)]
            if settings.callback is not None:
                named.append(("callback.schedule", "schedule", settings.callback.schedule))
        case QueueEntry():
            named = [("queue", "service", settings.queue)]
    for field, table, id_ in named:
        if id_ is not None:
            yield Link(f"settings.{field}", table, id_)
    for field, target in targets_of(settings):
        for part, table in TARGET_TABLES.items():
            id_ = getattr(target, part)
            if id_ is not None:
                yield Link(f"{field}.{part}", table, id_)


#: The parts of a target that name a row, and its table.
TARGET_TABLES = {"user": "user", "group": "ring_group", "service": "service"}
#: The reasons of a queue that lead somewhere.
OVERFLOWS = ("night", "closed", "no_agents", "rush", "timed", "no_answer")
