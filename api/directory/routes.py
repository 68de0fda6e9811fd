"""Search of the directory, and who a number is (U2, N3)."""


import phonenumbers

from api.directory.shapes import Found, Holder, Page, Question
from api.http.errors import invalid
from api.http.route import Call, route
from api.lines.routes import state
from api.lines.shapes import PresenceShown
from routing_core.caller_names import shown_name
from store.directory import Entry

BASE = "/v1/tenants/{tenant}/directory"


@route("GET", BASE, "directory:read", query=Question, answer=Page)
async def search(call: Call) -> Page:
    """Search the directory. Colleagues come first, then the company's contacts, then those that
    colleagues share, then the caller's own. Without words it is the whole directory."""
    asked: Question = call.query
    entries = call.store.directory(call.tenant, asked.q, user=call.who.user, kind=asked.kind,
                                   after=asked.after, limit=asked.limit + 1)
    page = entries[:asked.limit]
    return Page([_found(call, entry) for entry in page],
                page[-1].key if len(entries) > len(page) else None)


@route("GET", BASE + "/number/{number:str}", "directory:read", answer=Holder)
async def holder(call: Call) -> Holder:
    """Who a number is. It is an extension, or a number as people of the company's country write
    it; a colleague is found before a contact."""
    text = call.text("number")[:64]
    users = call.store.find("user", tenant=call.tenant, extension=text, limit=1)
    if users:
        entry = call.store.colleague(call.tenant, users[0].id)
        return Holder(number=text, shown="", entry=entry and _found(call, entry))
    country = call.store.get("tenant", call.tenant).country
    try:
        number = phonenumbers.format_number(phonenumbers.parse(text, country),
                                            phonenumbers.PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException as error:
        raise invalid("number", f"{text!r} is no extension and no number") from error
    entry = call.store.who_has(call.tenant, number)
    return Holder(number=number, entry=entry and _found(call, entry),
                  shown=shown_name(call.store.caller_name(call.tenant, number)).decode())


def _found(call: Call, entry: Entry) -> Found:
    presence = PresenceShown(**state(call.parts, entry.id, call.now_ms // 1000)) \
        if entry.kind == "user" else None
    fields = {name: getattr(entry, name) for name in Found.__struct_fields__ if name != "presence"}
    return Found(**fields, presence=presence)
