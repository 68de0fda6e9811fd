"""Lists of calls as they are answered: who sees which, and what of it."""

from typing import Any, Final

from msgspec.structs import asdict, replace

from api.calls.shapes import CallList, CallLog, CallShown, CallsQuery, LoggedCall, LogQuery, Role
from store import SqliteStore
from store.calls import Cursor, Listed, Wanted
from store.model import CallRecord

#: What a call was to a user, as it is kept.
WORDS: Final[dict[str, Role]] = {"caller": "dialled", "answered": "answered", "missed": "missed",
                                 "rang": "answered_elsewhere"}
_KEPT: Final = {word: role for role, word in WORDS.items()}
MASK: Final = "****"


def masked(record: CallRecord, direction: str, viewer: int | None) -> str:
    """What was called: without the last four digits of an outside number, unless it was the viewer
    who dialled it. A leg does not say who did."""
    if direction != "out" or (record.caller_user is None and not record.conversation) \
            or (viewer is not None and record.caller_user == viewer):
        return record.called
    return record.called[:-len(MASK)] + MASK


def for_viewer(record: CallRecord, viewer: int | None) -> CallRecord:
    """A record as that user, or somebody who is none, sees it. Decisions have numbers in them."""
    outside = record.called.startswith("+") and record.direction == "internal"
    called = masked(record, "out" if outside else record.direction, viewer)
    if called == record.called:
        return record
    return replace(record, called=called, decisions=None)


def shown(one: Listed, viewer: int | None) -> CallShown:
    """A call as that user, or somebody who is none, sees it."""
    item, record = one.item, asdict(one.record)
    del record["decisions"]
    groups, services = (tuple(place.subject for place in one.places if place.kind == kind)
                        for kind in ("group", "service"))
    return CallShown(**record | {
        "direction": item.direction, "recorded": item.recorded, "outcome": item.outcome,
        "called": masked(one.record, item.direction, viewer), "wait_ms": item.wait_ms,
        "talk_ms": item.talk_ms, "groups": groups, "services": services})


def logged(one: Listed, user: int, viewer: int | None) -> LoggedCall:
    """A call of the user's log."""
    role = next(place.role for place in one.places
                if place.kind == "user" and place.subject == user)
    return LoggedCall(**asdict(shown(one, viewer)), role=WORDS[role])


def wanted_of(query: CallsQuery, viewer: int | None, queues: tuple[int, ...] | None) -> Wanted:
    """What a query asks for. queues: those that the caller may see, None: everything."""
    services = tuple(one for one in (query.service, query.queue) if one is not None)
    return Wanted(
        from_ms=query.begin, to_ms=query.end, user=query.user, group=query.group,
        services=services, number=query.number or "", prefix=query.other or "",
        direction=query.direction or "", outcome=query.outcome or "", min_s=query.min_s,
        trunk=query.trunk, recorded=query.recorded, queues=queues, legs=query.legs, viewer=viewer)


def only(wanted: Wanted, user: int) -> Wanted:
    """Of these calls, the user's own."""
    return replace(wanted, user=user)


def log_of(query: LogQuery, user: int, viewer: int | None,
           queues: tuple[int, ...] | None) -> Wanted:
    """What a query asks for of a user's log."""
    return Wanted(
        from_ms=query.begin, to_ms=query.end, user=user, role=_KEPT[query.role] if query.role else
        "", prefix=query.other or "", direction=query.direction or "", outcome=query.outcome or "",
        queues=queues, viewer=viewer)


def cursor_of(text: str | None) -> Cursor | None:
    """A place in a list."""
    if text is None:
        return None
    at_ms, _, id_ = text.partition("-")
    return int(at_ms), int(id_)


def text_of(cursor: Cursor | None) -> str | None:
    """As it is answered."""
    return None if cursor is None else f"{cursor[0]}-{cursor[1]}"


def page(store: SqliteStore, tenant: int, wanted: Wanted, after: Cursor | None,
         limit: int) -> CallList:
    """A page of the company's calls."""
    found, following = store.list_calls(tenant, wanted, after, limit)
    return CallList(items=[shown(one, wanted.viewer) for one in found], next=text_of(following))


def log_page(store: SqliteStore, tenant: int, user: int, wanted: Wanted, after: Cursor | None,
             limit: int) -> CallLog:
    """A page of a user's log."""
    found, following = store.list_calls(tenant, wanted, after, limit)
    return CallLog(items=[logged(one, user, wanted.viewer) for one in found],
                   next=text_of(following))


def row_of(call: CallShown) -> list[Any]:
    """A call as a row of a sheet; lists with spaces between."""
    return [" ".join(map(str, value)) if isinstance(value, tuple) else value
            for value in asdict(call).values()]
