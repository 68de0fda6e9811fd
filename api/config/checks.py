"""Configuration that cannot work is refused, with the field named, before it is committed.

check() runs inside the change, on the state as it would be. The database itself refuses a reference
to nothing or to another tenant's row (store/migrations.py); here is what it cannot see.
"""

import ipaddress
import re
from typing import Any

import msgspec
import phonenumbers

from api.access.checks import check_account, check_provider
from api.config import plans, queues, schedules, services
from api.config.allotments import allotted, check_allotment, check_taken
from api.http import rights
from api.http.errors import Problem, invalid, no_such
from routing_core import mapping, numbers
from store.links import targets_of
from store.model import (
    Account,
    Allotment,
    ApiKey,
    Area,
    CallerRule,
    Contact,
    Device,
    EventHook,
    Forward,
    Mailbox,
    Member,
    Number,
    Plan,
    Provider,
    QueueMember,
    RingGroup,
    Route,
    Row,
    Schedule,
    Service,
    Target,
    Tenant,
    Trunk,
    User,
)
from store.sqlite import SqliteWriter

#: Tables that share a company's short numbers.
EXTENSIONS = ("user", "ring_group", "service")
MAX_DEVICES, MAX_MEMBERS, MAX_FORWARDS, MAX_HOOKS = 6, 64, 60, 50
_LIMITS = {"user": mapping.LIVE_USERS, "member": mapping.LIVE_MEMBERS,
           "trunk": mapping.LIVE_TRUNKS}


def check(table: str, row: Row, writer: SqliteWriter, before: Row | None = None) -> None:
    """Raise the Problem that this row, just written, has with everything else.

    before: the row that it replaces.
    """
    if isinstance(before, Number) and isinstance(row, Number) and before.e164 != row.e164:
        _not_shown(before, "e164", writer)
    if isinstance(before, Member) and isinstance(row, Member) \
            and before.ring_group != row.ring_group:
        check_deleted(table, before, writer)
    if isinstance(before, Service) and isinstance(row, Service):
        queues.check_replaced(before, row, writer)
    if row.id >= _LIMITS.get(table, 1 << 28):
        raise invalid("", f"this exchange has had {row.id} rows of {table}: it is full")
    match row:
        case Tenant():
            _tenant(row, writer)
        case User():
            if getattr(before, "extension", None) != row.extension:
                _extension("user", row.tenant, row.extension, writer)
            _target("colleague", row.colleague, writer)
            plans.check_user(row, writer)
        case RingGroup():
            if getattr(before, "extension", None) != row.extension:
                _extension("ring_group", row.tenant, row.extension, writer)
            for field in ("no_answer", "nobody"):
                _target(field, getattr(row, field), writer)
            _way_out(row.id, "no_answer", writer)
        case Device():
            if len(writer.find("device", user=row.user)) > MAX_DEVICES:
                raise invalid("user", f"a user has at most {MAX_DEVICES} devices")
            plans.check_device(row.user, row.kind, writer)
        case Number():
            _possible(row.e164)
            _as_routed("e164", row.e164)
            if getattr(before, "e164", None) != row.e164:
                allotted(row, writer)
            if row.target is not None:
                plans.check_number(row.kind, row.target.user, writer)
            _target("target", row.target, writer)
            _target("closed_target", row.closed_target, writer)
        case Allotment():
            check_allotment(row, writer, before if isinstance(before, Allotment) else None)
        case Forward():
            if (row.activity is not None) and row.event != "activity":
                raise invalid("activity", "only a forwarding for an activity names one")
            if len(writer.find("forward", user=row.user)) > MAX_FORWARDS:
                raise invalid("user", f"a user has at most {MAX_FORWARDS} forwardings")
            _target("target", row.target, writer)
            plans.check_has(row.user, "forwarding", "user", writer)
        case Member():
            if len(writer.find("member", ring_group=row.ring_group)) > MAX_MEMBERS:
                raise invalid("ring_group", f"a group has at most {MAX_MEMBERS} members")
            if not row.device_kinds:
                raise invalid("device_kinds", "no telephone of the member would ring")
        case QueueMember():
            queues.check_member(row, writer)
            plans.check_agent(row, writer)
        case Plan():
            plans.check_plan(row, writer)
        case ApiKey():
            _key(row, writer)
        case Contact():
            plans.check_has(row.user, "personal_contacts", "user", writer)
            for i, number in enumerate(row.numbers):
                _as_routed(f"numbers[{i}].e164", number.e164)
        case CallerRule():
            _as_routed("number", row.number)
        case Service():
            if getattr(before, "extension", None) != row.extension:
                _extension("service", row.tenant, row.extension, writer)
            for field, target in targets_of(row.settings):
                _target(field, target, writer)
            services.check(row, writer)
            if isinstance(row.settings, Mailbox):
                plans.check_has(row.settings.user, "voicemail", "settings.user", writer)
        case Schedule():
            schedules.check(row)
        case Trunk():
            _trunk(row, writer)
        case Route():
            _usable_trunk(row.tenant, row.trunk, writer)
            if any(row.prefix.startswith(f"{code}0") for code in numbers.NATIONAL_DIGITS):
                raise invalid("prefix", "no number begins so: leave out the 0 behind the country "
                              "code")
        case Account():
            check_account(row, writer)
        case Provider():
            check_provider(row)
        case EventHook():
            if len(writer.find("webhook", tenant=row.tenant)) > MAX_HOOKS:
                raise invalid("", f"a company has at most {MAX_HOOKS} webhooks")
        case Area():
            _as_routed("centre", row.centre)
            if row.trunk is not None:
                _usable_trunk(None, row.trunk, writer)


def _key(row: ApiKey, writer: SqliteWriter) -> None:
    if (row.role == "operator") != (row.tenant is None):
        raise invalid("role", "operator, and without a company" if row.tenant is None
                      else "not operator: the key is a company's")
    if row.user is not None and not writer.find("user", limit=1, id=row.user, tenant=row.tenant):
        raise invalid("user", f"there is no user {row.user} in this company")
    for i, scope in enumerate(row.scopes):
        if scope not in rights.RIGHTS:
            raise invalid(f"scopes[{i}]", f"there is no right {scope}")


def check_deleted(table: str, before: Row, writer: SqliteWriter) -> None:
    """Raise the Problem that the absence of this row leaves behind."""
    if isinstance(before, Member):
        if not writer.find("ring_group", limit=1, id=before.ring_group):
            return  # it has gone with its group
        _way_out(before.ring_group, "", writer)
    elif isinstance(before, Number):
        _not_shown(before, "", writer)
    elif isinstance(before, Allotment):
        check_taken(before, writer)


def _not_shown(number: Number, field: str, writer: SqliteWriter) -> None:
    tenant: Any = writer.get("tenant", number.tenant)
    for name in ("main_number", "support_number"):
        if getattr(tenant, name) == number.e164:
            raise invalid(field or name,
                          f"the company shows {number.e164}: choose another one first")


def _possible(e164: str) -> None:
    try:
        possible = phonenumbers.is_possible_number(phonenumbers.parse(e164))
    except phonenumbers.NumberParseException:
        possible = False
    if not possible or not numbers.routed(e164):
        raise invalid("e164", "there are no such numbers")


def _as_routed(field: str, number: str) -> None:
    """A number is kept as it is looked up: without a trunk prefix behind the country code."""
    if numbers.routed(number) not in ("", number):
        raise invalid(field, f"write it as {numbers.routed(number)}")


def _tenant(row: Tenant, writer: SqliteWriter) -> None:
    for field in ("main_number", "support_number"):
        e164 = getattr(row, field)
        if e164 and not writer.find("number", tenant=row.id, e164=e164):
            raise invalid(field, f"{e164} is not a number of the company")
    _target("attendant", row.attendant, writer)
    queues.check_pauses(row, writer)
    plan = mapping.plans()[row.country]
    for short in (*plan["emergency"], *plan["special"]):
        for table in EXTENSIONS:
            if writer.find(table, limit=1, tenant=row.id, extension=short):
                raise invalid("country", f"{short} is an extension of the company, and a public "
                              f"short number in {row.country}")


def _extension(table: str, tenant: int, extension: str | None, writer: SqliteWriter) -> None:
    if extension is None:
        return
    for other in EXTENSIONS:
        if other != table and writer.find(other, limit=1, tenant=tenant, extension=extension):
            raise Problem(409, "conflict",
                          f"{extension} is taken by a {other.replace('ring_', '')}", "extension")
    owner: Any = writer.get("tenant", tenant)
    plan = mapping.plans()[owner.country]
    if extension in plan["emergency"] or extension in plan["special"]:
        raise invalid("extension", f"{extension} is a public short number")


def _target(field: str, target: Target | None, writer: SqliteWriter) -> None:
    if target is None:
        return
    wanted = {"user": "user", "group": "group", "number": "text", "service": "service"}.get(
        target.kind)
    for part in ("user", "group", "service", "text"):
        if (getattr(target, part) is not None) != (part == wanted):
            raise invalid(f"{field}.{part}", f"a target of kind {target.kind} "
                          + ("needs it" if part == wanted else "does not have it"))
    if target.kind == "number" and not re.fullmatch(
            r"\+[1-9][0-9]{5,14}", target.text or "", re.ASCII):
        raise invalid(f"{field}.text", "an E.164 number with +")
    if target.kind == "number":
        _as_routed(f"{field}.text", target.text or "")
        if not numbers.routed(target.text or ""):
            raise invalid(f"{field}.text", "there are no such numbers")
    if target.group is not None:
        _way_out(target.group, field, writer)


def _way_out(group: int, field: str, writer: SqliteWriter) -> None:
    """A group that calls are sent to has members, or says where else they go."""
    rows = list(writer.find("ring_group", limit=1, id=group))
    if not rows:
        raise invalid(field, f"there is no group {group}")
    row: Any = rows[0]
    if row.no_answer or row.nobody or writer.find("member", limit=1, ring_group=group):
        return
    used = field not in ("", "no_answer") or any(
        pointer.table != "member" for pointer in writer.pointing_at("ring_group", group, 100))
    if used:
        raise invalid(field or "ring_group", f"calls go to the group {row.name!r}, which has no "
                      "members and nowhere else to send them")


def _usable_trunk(tenant: int | None, trunk: int, writer: SqliteWriter) -> None:
    rows: list[Any] = list(writer.find("trunk", limit=1, id=trunk))
    if not rows or rows[0].tenant not in (None, tenant):
        raise invalid("trunk", f"there is no trunk {trunk} for this company")


def _trunk(row: Trunk, writer: SqliteWriter) -> None:
    if row.kind == "registration" and not row.username:
        raise invalid("username", "a trunk that registers needs one")
    for index, source in enumerate(row.sources):
        if source.startswith("ip:"):
            try:
                canonical = str(ipaddress.ip_address(source[3:]))
            except ValueError as error:
                raise invalid(f"sources[{index}]", str(error)) from error
            if canonical != source[3:]:
                raise invalid(f"sources[{index}]", f"write it as ip:{canonical}")
        if writer.noted("sources", lambda: _sources(writer))[source] != {row.id}:
            raise invalid(f"sources[{index}]", f"{source} is another trunk's")


def _sources(writer: SqliteWriter) -> dict[str, set[int]]:
    """{source: the trunks that have it}"""
    found: dict[str, set[int]] = {}
    for id_, sources in writer.select("trunk", ("id", "sources")):
        for source in msgspec.json.decode(sources, type=tuple[str, ...]):
            found.setdefault(source, set()).add(id_)
    return found


def visible(row: Row, tenant: int | None) -> Row:
    """The row, or the Problem that it is not there, for a caller of that tenant."""
    if tenant is not None and getattr(row, "tenant", None) != tenant:
        raise no_such(type(row).__name__.lower())
    return row
