"""The directory: what is found and in which order, against a plain search of all entries (U2)."""

import random
import unicodedata
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from store import SqliteStore, StoreError
from store.directory import Entry, index_everything
from store.model import Account, Contact, ContactNumber, Number, Row, Target, Tenant, User
from store.rows import table_of
from store.sqlite import SqliteWriter
from store.words import MAX_ASKED, MAX_WORD, asked, words
from tests import test_store
from tests.alone import Alone
from tests.test_store import put

HOSTILE = (
    '"', "'", '"" OR 1=1 --', "a AND b", "NOT", "NEAR(a b)", "a*", "*", "^a", "words:a", "(", "{a}",
    "a\x00b", "\x00", "%", "_", "\\", "👩‍👩‍👧", "\u202eanna", "ﷺ" * 50, "x" * 10_000, "a " * 5000,
    "\ufeff", "́", "0" * 500, "+" * 50, "+46 " * 60, "０７０", "ⅷ ½ ²", "אבג مرحبا", "ㅎㅏㄴ",
    "-a", "@", "a@b@c",
    "😀" * 100, ";DROP TABLE directory;",
)


def swap(store: SqliteStore, row: Row, **fields: Any) -> Any:
    """The row with these fields instead."""
    after = msgspec.structs.replace(row, **fields)
    test_store.swap(store, after)
    return after


def remove(store: SqliteStore, row: Row) -> None:
    """Delete it."""
    test_store.remove(store, table_of(row), row.id)


# -- words -----------------------------------------------------------------------------------------

@pytest.mark.parametrize(("text", "found"), [
    ("Åsa ÖBERG-Ek", ["asa", "oberg", "ek"]), ("Øre Æsop Łódź Straße", ["ore", "aesop", "lodz",
                                                                       "strasse"]),
    ("A\u030asa", ["asa"]), ("Ｆｕｌｌ width", ["full", "width"]), ("x_y", ["x", "y"]), ("!?", []),
    ("İstanbul", ["istanbul"]), ("9:e våningen", ["9", "e", "vaningen"]),
    ("x" * 50, ["x" * MAX_WORD]),
], ids=lambda value: value[:12] if isinstance(value, str) else "")
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


@pytest.mark.parametrize(("text", "found"), [
    ("Anna ek", [("anna",), ("ek",)]), ("a anna", [("anna",)]), ("070123", [("070123", "4670123")]),
    ("+46 (0)70-123 45", [("467012345",)]), ("0046 70", [("4670",)]), ("070 12 Ek", [
        ("07012", "467012"), ("ek",)]), ("4670", [("4670",)]),
    ("anna.ek@x.se", [("anna",), ("ek",)]),
    ("0", [("0", "46")]), ("+", []), ("@x", []), ("", []), ("101", [("101",)]),
    ("０７０", [("070", "4670")]),
], ids=lambda value: value if isinstance(value, str) else "")
def test_asked(text: str, found: list[tuple[str, ...]]) -> None:
    assert sorted(asked(text, 46)) == sorted(found)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_question_is_bounded(text: str) -> None:
    found = asked(text, 46)
    assert len(found) <= MAX_ASKED
    assert all(way.isalnum() and len(way) <= MAX_WORD for word in found for way in word)


# -- against a plain search ------------------------------------------------------------------------

def plain(text: str) -> list[str]:
    """The words of a text, folded in another way."""
    bare = "".join(c for c in unicodedata.normalize("NFD", text.lower())
                   if not unicodedata.combining(c))
    return "".join(c if c.isalnum() else " " for c in bare).split()


class Model:
    """What the store should answer, from its rows, one by one."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store

    def _all(self, table: str, tenant: int) -> list[Any]:
        return self.store.find(table, tenant=tenant, limit=10_000)

    def search(self, tenant: int, text: str, user: int | None) -> list[tuple[str, int]]:
        found: list[tuple[int, str, int]] = []
        for row in self._all("user", tenant):
            numbers = [one.e164 for one in self._all("number", tenant)
                       if one.target and one.target.user == row.id and one.kind != "main"]
            emails = [one.email for one in self._all("account", tenant)
                      if one.user == row.id and one.enabled][:1]
            if row.enabled and self.fits(text, [row.name, row.extension or ""], numbers, emails):
                found.append((0, "user", row.id))
        for row in self._all("contact", tenant):
            place = 1 if row.user is None else 2 if row.shared else 3
            if (place < 3 or row.user == user) and self.fits(
                    text, [row.name, row.company, row.title, row.department],
                    [one.e164 for one in row.numbers], [row.email or ""]):
                found.append((place, "contact", row.id))
        return [(kind, id_) for _, kind, id_ in sorted(found)]

    @staticmethod
    def fits(text: str, texts: list[str], numbers: list[str], emails: list[str]) -> bool:
        has = plain(" ".join([*texts, *(mail.split("@")[0] for mail in emails)]))
        has += [number[1:] for number in numbers]
        has += ["0" + number[3:] for number in numbers if number.startswith("+46")]
        return all(any(word.startswith(part) for word in has) for part in plain(text))


FIRST = ("Åsa", "Asta", "Bo", "Örjan", "Olle", "Éva", "Eva-Lena", "Zoë")
LAST = ("Öberg", "Ek", "Ekström", "Åkerlund", "Berg", "Bergqvist")
QUESTIONS = ("", "a", "å", "as", "o b", "ek", "eks ol", "berg e", "4", "07", "070", "4670", "468",
             "101", "10", "e e", "bygg", "nord b", "vd", "z oe", "post", "anna", "eva lena b",
             "xyz")


class Changes:
    """A company that changes at random."""

    def __init__(self, store: SqliteStore, seed: int) -> None:
        self.store, self.chance = store, random.Random(seed)
        self.tenants: list[Tenant] = [put(store, Tenant(name=f"T{i}")) for i in range(2)]
        self.users: list[User] = []
        self.rows: list[Any] = []
        for i in range(6):
            self.users.append(put(store, User(tenant=self.tenants[i % 2].id, name=self.name(),
                                              extension=str(100 + i))))

    def name(self) -> str:
        return f"{self.chance.choice(FIRST)} {self.chance.choice(LAST)}"

    def number(self) -> str:
        return f"+46{self.chance.choice(('8', '70'))}{self.chance.randrange(10**6, 10**7)}"

    def contact(self, **fields: Any) -> Contact:
        one = self.chance.choice
        user = one(self.users)
        owner = one((None, user.id))
        return Contact(**({
            "tenant": user.tenant, "user": owner, "shared": one((True, False)),
            "name": self.name(), "company": one(("", "Nord Bygg", "Ek & Co")),
            "title": one(("", "VD")), "department": one(("", "Inköp")),
            "email": one((None, "anna.post@ek.se", "zoe_e@x.se")),
            "numbers": tuple(ContactNumber(e164=self.number())
                             for _ in range(one((0, 1, 2))))} | fields))

    def step(self) -> None:
        one = self.chance.choice
        kind = one(("contact", "contact", "contact", "change", "change", "delete", "user", "number",
                    "account"))
        user = one(self.users)
        if kind == "contact":
            self.rows.append(put(self.store, self.contact()))
        elif kind == "number":
            self.rows.append(put(self.store, Number(
                tenant=user.tenant, e164=self.number(), kind=one(("direct", "mobile", "main")),
                target=Target(kind="user", user=user.id))))
        elif kind == "account":
            self.rows.append(put(self.store, Account(
                tenant=user.tenant, email=f"post{self.chance.randrange(10**9)}@x.se", name="x",
                role="user", user=user.id, enabled=one((True, False)))))
        elif kind == "user":
            swap(self.store, user, name=self.name(), enabled=one((True, True, False)))
        elif self.rows and kind == "delete":
            row = self.rows.pop(self.chance.randrange(len(self.rows)))
            remove(self.store, row)
        elif self.rows:
            at = self.chance.randrange(len(self.rows))
            row = self.rows[at]
            if isinstance(row, Contact):
                new = self.contact(tenant=row.tenant, user=row.user)
                fields = {name: getattr(new, name) for name in new.__struct_fields__
                          if name not in ("id", "tenant")}
                self.rows[at] = swap(self.store, row, **fields)
            elif isinstance(row, Number):
                other = one([one for one in self.users if one.tenant == row.tenant])
                self.rows[at] = swap(self.store, row, target=Target(kind="user", user=other.id))


def contents(store: SqliteStore) -> list[tuple[int, set[str]]]:
    """Of the index."""
    return [(key, set(text.split())) for key, text in store._db.execute(
        "SELECT rowid, words FROM directory ORDER BY rowid")]


def ids(entries: list[Entry]) -> list[tuple[str, int]]:
    return [(entry.kind, entry.id) for entry in entries]


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    """In memory."""
    made = SqliteStore(":memory:")
    made.migrate()
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(4))
def test_search_finds_what_a_plain_search_finds(store: SqliteStore, seed: int) -> None:
    """After any changes, for every user and nobody; and the index is as if made anew."""
    changes, model = Changes(store, seed), Model(store)
    for _ in range(150):
        changes.step()
    found = 0
    for tenant in changes.tenants:
        for user in (None, *(one.id for one in changes.users if one.tenant == tenant.id)):
            for text in QUESTIONS:
                answer = ids(store.directory(tenant.id, text, user=user, limit=1000))
                assert answer == model.search(tenant.id, text, user), (text, user)
                found += len(answer)
    assert found > 1000
    before = contents(store)
    with store.writing():
        store._db.execute("DELETE FROM directory")
        index_everything(store._db)
    assert contents(store) == before


def test_pages_are_the_whole_and_stay_so(store: SqliteStore) -> None:
    changes = Changes(store, 9)
    for _ in range(200):
        changes.step()
    user = changes.users[0]
    for text in ("", "e", "o"):
        for kind in (None, "user", "contact"):
            whole = store.directory(user.tenant, text, user=user.id, kind=kind, limit=1000)
            pages: list[Entry] = []
            while page := store.directory(user.tenant, text, user=user.id, kind=kind, limit=3,
                                          after=pages[-1].key if pages else 0):
                pages += page
            assert pages == whole and {one.kind for one in whole} <= {kind or one.kind
                                                                      for one in whole}


def test_a_change_that_fails_leaves_the_index(store: SqliteStore) -> None:
    tenant = put(store, Tenant(name="T"))
    contact = put(store, Contact(tenant=tenant.id, name="Anna"))

    def failing(writer: SqliteWriter) -> None:
        writer.replace(Contact(id=contact.id, tenant=tenant.id, name="Beata"))
        writer.create(Contact(tenant=tenant.id, name="Cia"))
        assert [one.name for one in store.directory(tenant.id)] == ["Beata", "Cia"]
        raise StoreError("no")

    with pytest.raises(StoreError):
        store.change("a", 1, "", failing)
    assert [one.name for one in store.directory(tenant.id)] == ["Anna"]
    assert not store.directory(tenant.id, "beata") and store.directory(tenant.id, "anna")


def test_who_has_a_number(store: SqliteStore) -> None:
    one, two = (put(store, Tenant(name=name)) for name in "ab")
    user = put(store, User(tenant=one.id, name="Anna"))
    other = put(store, User(tenant=one.id, name="Bo"))
    number = "+46701112233"

    def contact(name: str, **fields: Any) -> Contact:
        made: Contact = put(store, Contact(**{"tenant": one.id, "name": name, "numbers": (
            ContactNumber(e164="+46812345678"), ContactNumber(e164=number))} | fields))
        return made

    contact("Personal", user=user.id)
    assert (store.caller_name(one.id, number), store.who_has(one.id, number)) == ("", None)
    shared = contact("Shared later", user=other.id, shared=True)
    contact("Shared last", user=user.id, shared=True)
    assert store.caller_name(one.id, number) == "Shared later"
    company = contact("Company")
    contact("Second")
    assert store.caller_name(one.id, number) == "Company"
    assert store.caller_name(two.id, number) == "" == store.caller_name(one.id, "+4670111223")
    remove(store, company)
    assert store.caller_name(one.id, number) == "Second"
    swap(store, shared, user=None)
    assert store.caller_name(one.id, number) == "Shared later"
    put(store, Number(tenant=one.id, e164=number, kind="mobile",
                      target=Target(kind="user", user=user.id)))
    found = store.who_has(one.id, number)
    assert found and (found.kind, found.name) == ("user", "Anna")
    assert store.caller_name(one.id, number) == "Shared later"


def test_an_existing_store_gets_its_index(tmp_path: Any) -> None:
    """As a store that was made before the directory."""
    store = SqliteStore(tmp_path / "vaxel.db")
    store.migrate()
    changes = Changes(store, 3)
    for _ in range(80):
        changes.step()
    before = contents(store)
    store._db.execute("DROP TABLE directory")
    store._db.execute("DELETE FROM _sqlite_migrations WHERE name = 'm010_directory'")
    store.migrate()
    assert before and contents(store) == before
    store.close()


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_questions_are_answered(store: SqliteStore, text: str) -> None:
    tenant = put(store, Tenant(name="T"))
    put(store, Contact(tenant=tenant.id, name=text.replace("\x00", "").strip()[:100] or "x"
                       if text.isprintable() else "x"))
    assert len(store.directory(tenant.id, text)) <= 1


# -- over HTTP -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def api() -> Iterator[Alone]:
    """One for all of these."""
    with Alone() as made:
        yield made


def test_search_over_http(api: Alone) -> None:
    company = api.company()
    user = api.ask("POST", f"{company}/users", {"name": "Åsa Öberg", "extension": "101"},
                   status=201)["id"]
    other = api.ask("POST", f"{company}/users", {"name": "Bo Ek"}, status=201)["id"]
    api.ask("POST", f"{company}/numbers", {
        "e164": "+46701234567", "kind": "mobile", "target": {"kind": "user", "user": user}},
        status=201)
    busy = api.ask("POST", f"{company}/activities", {"name": "meeting"}, status=201)["id"]
    api.ask("PUT", f"{company}/users/{user}/presence", {"activity": busy})
    for name, fields in (("Olle Öberg", {"company": "Nord"}), ("Mine", {"user": user}),
                         ("Theirs", {"user": other}), ("Ours", {"user": other, "shared": True})):
        api.ask("POST", f"{company}/contacts", {"name": name, "numbers": [
            {"kind": "work", "e164": "+4684001122"}]} | fields, status=201)
    own = api.key_of(company, "user", user=user)
    names = [one["name"] for one in api.ask("GET", f"{company}/directory")["items"]]
    assert names == ["Åsa Öberg", "Bo Ek", "Olle Öberg", "Ours"]
    names = [one["name"] for one in api.ask("GET", f"{company}/directory", key=own)["items"]]
    assert names == ["Åsa Öberg", "Bo Ek", "Olle Öberg", "Ours", "Mine"]
    found = api.ask("GET", f"{company}/directory", q="ob", limit=1)
    (anna,) = found["items"]
    assert (anna["kind"], anna["id"], anna["extension"]) == ("user", user, "101")
    assert anna["numbers"] == [{"kind": "mobile", "e164": "+46701234567"}]
    assert (anna["presence"]["name"], anna["presence"]["line"]) == ("meeting", "idle")
    (olle,) = api.ask("GET", f"{company}/directory", q="ob", after=found["next"])["items"]
    assert (olle["name"], olle["company"], olle["presence"]) == ("Olle Öberg", "Nord", None)
    assert [one["kind"] for one in api.ask("GET", f"{company}/directory", kind="user")["items"]] \
        == ["user", "user"]


def test_numbers_over_http(api: Alone) -> None:
    company = api.company()
    user = api.ask("POST", f"{company}/users", {"name": "Anna", "extension": "101"},
                   status=201)["id"]
    api.ask("POST", f"{company}/contacts", {"name": "Olle  Ek", "numbers": [
        {"kind": "work", "e164": "+4684001122"}]}, status=201)
    path = f"{company}/directory/number"
    for text in ("+4684001122", "084001122", "08-400 11 22", "004684001122"):
        found = api.ask("GET", f"{path}/{text}")
        assert (found["number"], found["shown"]) == ("+4684001122", "Olle Ek")
        assert found["entry"]["kind"] == "contact"
    assert api.ask("GET", f"{path}/101")["entry"]["id"] == user
    assert api.ask("GET", f"{path}/+46709998877") == {
        "number": "+46709998877", "shown": "", "entry": None}
    assert api.ask("GET", f"{path}/abc", status=422)["field"] == "number"


def test_hostile_questions_over_http(api: Alone) -> None:
    company = api.company()
    for text in HOSTILE:
        api.ask("GET", f"{company}/directory", q=text[:500])
    for bad in ({"limit": 0}, {"limit": 1000}, {"after": -1}, {"after": 1 << 60}, {"kind": "x"},
                {"more": 1}):
        api.ask("GET", f"{company}/directory", status=422, **bad)


def test_another_company_is_not_seen(api: Alone) -> None:
    one, two = api.company(), api.company()
    api.ask("POST", f"{one}/contacts", {"name": "Secret"}, status=201)
    key = api.key_of(two, "administrator")
    answer = api.http.get(f"{one}/directory", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code in (403, 404) and "Secret" not in answer.text
    assert api.ask("GET", f"{two}/directory", key=key, q="secret")["items"] == []
