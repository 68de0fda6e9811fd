"""What a user's plan allows (A3). A user without a plan has everything; agent and attendant are
add-ons to a plan, whose licences float."""

from typing import Any, Final

from api.http.errors import invalid
from store.model import Function, Plan, QueueMember, User
from store.sqlite import SqliteWriter

#: {function: the field of a user that needs it}
_FIELDS: Final[dict[Function, str]] = {
    "record": "record", "call_functions": "call_functions", "call_waiting": "call_waiting"}
#: {kind of a number: the function that a user needs to have one}
_NUMBERS: Final[dict[str, Function]] = {"direct": "direct_number", "mobile": "mobile_number"}


def plan_of(user: User, writer: SqliteWriter) -> Plan | None:
    """A user's plan."""
    if user.plan is None:
        return None
    found = writer.get("plan", user.plan)
    assert isinstance(found, Plan)
    return found


def check_user(user: User, writer: SqliteWriter) -> None:
    """Everything that the user has is in the plan."""
    plan = plan_of(user, writer)
    if plan is None:
        return
    for function, field in _FIELDS.items():
        if getattr(user, field) and function not in plan.functions:
            raise invalid(field, _lacks(plan, function))
    rows: Any = writer.find("device", user=user.id)
    if len(rows) > plan.max_devices:
        raise invalid("plan", f"the plan {plan.name!r} is for {plan.max_devices} devices")
    for row in rows:
        if row.kind not in plan.device_kinds:
            raise invalid("plan", f"the plan {plan.name!r} has no {row.kind} device")
    for table, function in (("forward", "forwarding"), ("contact", "personal_contacts")):
        if function not in plan.functions and writer.find(table, limit=1, user=user.id):
            raise invalid("plan", _lacks(plan, function))
    if "voicemail" not in plan.functions and writer.mailbox_of(user.id):
        raise invalid("plan", _lacks(plan, "voicemail"))
    for kind, function in _NUMBERS.items():
        if function not in plan.functions \
                and writer.find("number", limit=1, kind=kind, target_user=user.id):
            raise invalid("plan", _lacks(plan, function))
    if "agent" not in user.profiles and writer.find("queue_member", limit=1, user=user.id):
        raise invalid("profiles", "the user is an agent of a queue")


def check_has(user_id: int | None, function: Function, field: str, writer: SqliteWriter) -> None:
    """A user who is given that may have it; Problem."""
    if user_id is None:
        return
    plan = plan_of(_user(user_id, writer), writer)
    if plan is not None and function not in plan.functions:
        raise invalid(field, _lacks(plan, function))


def check_device(user_id: int, kind: str, writer: SqliteWriter) -> None:
    """Another telephone of a user; Problem."""
    plan = plan_of(_user(user_id, writer), writer)
    if plan is None:
        return
    if kind not in plan.device_kinds:
        raise invalid("kind", f"the plan {plan.name!r} has no {kind} device")
    if len(writer.find("device", user=user_id)) > plan.max_devices:
        raise invalid("user", f"the plan {plan.name!r} is for {plan.max_devices} devices")


def check_agent(row: QueueMember, writer: SqliteWriter) -> None:
    """An agent has the add-on; Problem."""
    user = _user(row.user, writer)
    if user.plan is not None and "agent" not in user.profiles:
        raise invalid("user", "the user's plan needs the add-on \"agent\" in profiles")


def check_number(kind: str, user_id: int | None, writer: SqliteWriter) -> None:
    """A number that leads to a user; Problem."""
    if kind in _NUMBERS:
        check_has(user_id, _NUMBERS[kind], "target.user", writer)


def check_plan(plan: Plan, writer: SqliteWriter) -> None:
    """A plan that is changed still has what its users have; Problem."""
    users: Any = writer.find("user", plan=plan.id, limit=10_000_000)
    for user in users:
        check_user(user, writer)


def _user(id_: int, writer: SqliteWriter) -> User:
    found = writer.get("user", id_)
    assert isinstance(found, User)
    return found


def _lacks(plan: Plan, function: str) -> str:
    return f"the plan {plan.name!r} has no {function.replace('_', ' ')}"
