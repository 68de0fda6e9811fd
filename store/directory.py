"""The directory (U2): whom a company's people may look for, found by the beginnings of words.

The words lie in one full-text index. Each begins with the scope that may see it: the company, or
the owner of a personal contact; so one company's common words cost another nothing. The rowid is
the order of the answer (colleagues, the company's contacts, shared ones, personal ones), so a page
is read from the front of the lists and no further. See port.py.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec
import phonenumbers
from msgspec import Struct

from store.model import Account, Contact, ContactNumber, Number, Row, Target, User
from store.words import asked, words_of_entry

EntryKind = Literal["user", "contact"]
#: Above the id in a rowid.
_KIND_SHIFT: Final = 50
_USER, _COMPANY, _SHARED, _PERSONAL = range(4)
_LAST: Final = (_PERSONAL + 1) << _KIND_SHIFT
_SCOPE_BITS: Final = 12
_FIRST_SCOPE: Final = 0x4E00
#: Numbers of a user that are the company's.
_NOT_OWN: Final = ("main", "support")

TABLE: Final = """
CREATE VIRTUAL TABLE directory USING fts5 (
    words, detail = none, columnsize = 0, tokenize = 'ascii', prefix = '4 5 6 7 8 9 10 11')"""


class Entry(Struct, frozen=True, kw_only=True):
    """A colleague or a contact. key: the place in the directory; user: whose contact it is."""

    key: int
    kind: EntryKind
    id: int
    name: str
    extension: str | None = None
    company: str = ""
    title: str = ""
    department: str = ""
    numbers: tuple[ContactNumber, ...] = ()
    email: str | None = None
    user: int | None = None
    shared: bool = False


class Directory:
    """A part of SqliteStore, with its connection."""

    _db: sqlite3.Connection

    def directory(self, tenant: int, text: str = "", *, user: int | None = None,
                  kind: EntryKind | None = None, after: int = 0, limit: int = 50) -> list[Entry]:
        row = self._db.execute("SELECT country FROM tenant WHERE id = ?", (tenant,)).fetchone()
        ways = asked(text, phonenumbers.country_code_for_region(row[0])) if row else []
        if row is None or (text.strip() and not ways):
            return []
        first = max(after, _COMPANY << _KIND_SHIFT if kind == "contact" else 0)
        last = _COMPANY << _KIND_SHIFT if kind == "user" else _LAST
        keys = self._matching(_question(_scope(tenant), ways), first, last, limit)
        if user is not None and len(keys) < limit:
            keys += self._matching(_question(_scope(user, personal=True), ways),
                                   max(first, _PERSONAL << _KIND_SHIFT), last, limit - len(keys))
        return self._entries(tenant, user, keys)

    def caller_name(self, tenant: int, e164: str) -> str:
        for entry in self._with_number(tenant, e164, _COMPANY << _KIND_SHIFT):
            return entry.name
        return ""

    def who_has(self, tenant: int, e164: str) -> Entry | None:
        return next(iter(self._with_number(tenant, e164, 0)), None)

    def colleague(self, tenant: int, user: int) -> Entry | None:
        return next(iter(self._users(tenant, [user])), None)

    def _with_number(self, tenant: int, e164: str, first: int) -> Iterable[Entry]:
        keys = self._matching(f'"{_scope(tenant)}{e164[1:]}"', first, _LAST, 100)
        return (entry for entry in self._entries(tenant, None, keys)
                if any(number.e164 == e164 for number in entry.numbers))

    def _matching(self, question: str, after: int, last: int, limit: int) -> list[int]:
        return [key for key, in self._db.execute(
            "SELECT rowid FROM directory WHERE directory MATCH ? AND rowid > ? AND rowid < ? "
            "ORDER BY rowid LIMIT ?", (question, after, last, limit))]

    def _entries(self, tenant: int, user: int | None, keys: list[int]) -> list[Entry]:
        ids = {_USER: [key for key in keys if key >> _KIND_SHIFT == _USER],
               _COMPANY: [key & (1 << _KIND_SHIFT) - 1 for key in keys
                          if key >> _KIND_SHIFT != _USER]}
        found = {entry.key: entry for entry in (
            *self._users(tenant, ids[_USER]), *self._contacts(tenant, user, ids[_COMPANY]))}
        return [found[key] for key in keys if key in found]

    def _users(self, tenant: int, ids: list[int]) -> Iterable[Entry]:
        marks = ", ".join("?" * len(ids))
        numbers: dict[int, list[ContactNumber]] = {}
        for id_, kind, e164 in self._db.execute(
                "SELECT target_user, kind, e164 FROM number "  # noqa: S608
                f"WHERE target_user IN ({marks}) AND kind NOT IN (?, ?) ORDER BY id",
                (*ids, *_NOT_OWN)):
            numbers.setdefault(id_, []).append(ContactNumber(
                kind="mobile" if kind == "mobile" else "work", e164=e164))
        emails = dict(self._db.execute(
            f"SELECT user, email FROM account WHERE user IN ({marks}) "  # noqa: S608
            "AND enabled ORDER BY id DESC", ids))
        for id_, name, extension in self._db.execute(
                f"SELECT id, name, extension FROM user WHERE id IN ({marks}) "  # noqa: S608
                "AND tenant = ?", (*ids, tenant)):
            yield Entry(key=id_, kind="user", id=id_, name=name, extension=extension,
                        numbers=tuple(numbers.get(id_, ())), email=emails.get(id_))

    def _contacts(self, tenant: int, user: int | None, ids: list[int]) -> Iterable[Entry]:
        marks = ", ".join("?" * len(ids))
        for id_, owner, shared, name, company, title, department, numbers, email in \
                self._db.execute(
                    "SELECT id, user, shared, name, company, title, department, "  # noqa: S608
                    f"numbers, email FROM contact WHERE id IN ({marks}) AND tenant = ? "
                    "AND (user IS NULL OR shared OR user = ?)", (*ids, tenant, user)):
            yield Entry(
                key=_key_of_contact(id_, owner, bool(shared)), kind="contact", id=id_, name=name,
                company=company, title=title, department=department, email=email, user=owner,
                numbers=msgspec.json.decode(numbers, type=tuple[ContactNumber, ...]),
                shared=bool(shared))


def _scope(id_: int, *, personal: bool = False) -> str:
    """Three characters that are the company or the user: all scopes are equally long."""
    value = (id_ & (1 << 35) - 1) << 1 | personal
    mask = (1 << _SCOPE_BITS) - 1
    return "".join(chr(_FIRST_SCOPE + (value >> shift & mask))
                   for shift in (2 * _SCOPE_BITS, _SCOPE_BITS, 0))


def _question(scope: str, ways: list[tuple[str, ...]]) -> str:
    """In the index's language; words have nothing that means something there."""
    return " AND ".join(
        "(" + " OR ".join(f'"{scope}{way}" *' for way in word) + ")" for word in ways) \
        or f'"{scope}"'


def _key_of_contact(id_: int, owner: int | None, shared: bool) -> int:
    kind = _COMPANY if owner is None else _SHARED if shared else _PERSONAL
    return kind << _KIND_SHIFT | id_


# -- keeping the index ----------------------------------------------------------------------------

def keep_words(db: sqlite3.Connection, before: Row | None, after: Row | None) -> None:
    """What a row that comes, goes or changes means for the directory; in its transaction."""
    if isinstance(before, User) and isinstance(after, User) and _same_words(before, after):
        return
    users: set[int | None] = set()
    contacts: dict[int, str] = {}
    for row in (before, after):
        if isinstance(row, Contact):
            contacts[_key_of_contact(row.id, row.user, row.shared)] = \
                _text_of_contact(row) if row is after else ""
        elif isinstance(row, User):
            users.add(row.id)
        elif isinstance(row, Number):
            users.add(_user_of(row.target))
        elif isinstance(row, Account):
            users.add(row.user)
    for key, text in contacts.items():
        _put(db, key, text)
    for user in users:
        if user is not None:
            _put(db, user, _text_of_user(db, user))


def _same_words(one: User, other: User) -> bool:
    return (one.name, one.extension, one.enabled) == (other.name, other.extension, other.enabled)


def index_everything(db: sqlite3.Connection) -> None:
    """Of a store that had no index."""
    for user, in db.execute("SELECT id FROM user ORDER BY id").fetchall():
        _insert(db, user, _text_of_user(db, user))
    rows = db.execute("SELECT id, tenant, user, shared, name, company, title, department, "
                      "numbers, email FROM contact ORDER BY (user IS NOT NULL) + "
                      "(user IS NOT NULL AND NOT shared), id").fetchall()
    for id_, tenant, user, shared, *texts, numbers, email in rows:
        _insert(db, _key_of_contact(id_, user, bool(shared)), _text(
            _scope(user, personal=True) if user is not None and not shared else _scope(tenant),
            texts, [number["e164"] for number in msgspec.json.decode(numbers)], email))


def _user_of(target: Target | None) -> int | None:
    return target.user if target is not None and target.kind == "user" else None


def _put(db: sqlite3.Connection, key: int, text: str) -> None:
    known = db.execute("SELECT words FROM directory WHERE rowid = ?", (key,)).fetchone()
    if (known[0] if known else "") != text:
        if known:
            db.execute("DELETE FROM directory WHERE rowid = ?", (key,))
        _insert(db, key, text)


def _insert(db: sqlite3.Connection, key: int, text: str) -> None:
    if text:
        db.execute("INSERT INTO directory (rowid, words) VALUES (?, ?)", (key, text))


def _text_of_user(db: sqlite3.Connection, id_: int) -> str:
    row = db.execute("SELECT tenant, name, extension FROM user WHERE id = ? AND enabled",
                     (id_,)).fetchone()
    if row is None:
        return ""
    tenant, name, extension = row
    numbers = [e164 for e164, in db.execute(
        "SELECT e164 FROM number WHERE target_user = ? AND kind NOT IN (?, ?)",
        (id_, *_NOT_OWN))]
    emails = [email for email, in db.execute(
        "SELECT email FROM account WHERE user = ? AND enabled ORDER BY id LIMIT 1", (id_,))]
    return _text(_scope(tenant), [name, extension or ""], numbers, "".join(emails))


def _text_of_contact(row: Contact) -> str:
    personal = row.user is not None and not row.shared
    scope = _scope(row.user, personal=True) if row.user is not None and personal \
        else _scope(row.tenant)
    return _text(scope, [row.name, row.company, row.title, row.department],
                 [number.e164 for number in row.numbers], row.email)


def _text(scope: str, texts: list[Any], numbers: list[str], email: str | None) -> str:
    """All words with their scope, and the scope alone, which a question without words asks for."""
    return " ".join([scope, *(scope + word
                              for word in words_of_entry(texts, numbers, email or ""))])
