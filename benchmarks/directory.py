"""Search in a large directory: a company of made-up people, and questions as people type them."""

import random
import sqlite3
import string
import time
from collections.abc import Iterator
from itertools import combinations

import msgspec

from store import SqliteStore
from store.directory import index_everything

FIRST = (
    "Anna", "Bo", "Cia", "David", "Eva", "Fredrik", "Gunnar", "Helena", "Ingrid", "Johan", "Karin",
    "Lars", "Maria", "Nils", "Oskar", "Per", "Quentin", "Rut", "Sara", "Tomas", "Ulla", "Viktor",
    "Wilma", "Xerxes", "Ylva", "Zara", "Åke", "Åsa", "Örjan", "Päivi",
)
STARTS = (
    "Ander", "Berg", "Carl", "Dahl", "Erik", "Frans", "Gustav", "Hans", "Ivar", "Johan", "Lind",
    "Matt", "Nils", "Ol", "Peter", "Sund", "Svens", "Wall", "West", "Åker", "Öst",
)
ENDS = ("sson", "ström", "berg", "qvist", "lund", "gren", "ell", "man")
OWNERS = (
    "Nordic", "Svea", "Mälar", "Atlas", "Volta", "Delta", "Fenix", "Giga", "Hamn", "Isbar", "Kraft",
    "Lumen",
)
TRADES = ("Bygg", "El", "Data", "Konsult", "Transport", "Media", "Fastighet", "Vård")
TITLES = ("vd", "ekonomichef", "utvecklare", "säljare", "inköpare", "tekniker", "konsult")
DEPARTMENTS = ("ekonomi", "it", "sälj", "inköp", "teknik", "support", "ledning", "lager", "hr")
LAST = [start + end for start in STARTS for end in ENDS]
COMPANIES = [f"{owner} {trade}" for owner in OWNERS for trade in TRADES]
#: Of a hundred entries, so many are colleagues.
COLLEAGUES = 5
SEED = 20261122


def seeded_directory(store: SqliteStore, entries: int) -> int:
    """Fill an empty store with a company's users and contacts; the company's id."""
    chance = random.Random(SEED)
    users = entries * COLLEAGUES // 100
    db = sqlite3.connect(store.path)
    db.execute("PRAGMA synchronous = OFF")
    tenant = int(db.execute(
        "INSERT INTO tenant (name, country, language, time_zone, foreign_number, activity_end,"
        " barred, media) VALUES ('Directory', 'SE', 'sv', 'UTC', 'replace', 'inform', 0, "
        "'auto')").lastrowid or 0)
    db.executemany(
        "INSERT INTO user (tenant, name, extension, display, barred, ring_s, enabled, record, "
        "call_waiting) VALUES (?, ?, ?, 'direct', 0, 25, 1, 0, 0)",
        ((tenant, _name(chance), str(10_000 + i)) for i in range(users)))
    db.executemany(
        "INSERT INTO contact (tenant, shared, name, company, title, department, numbers, email,"
        " note) VALUES (?, 0, ?, ?, ?, ?, ?, ?, '')",
        ((tenant, _name(chance), chance.choice(COMPANIES), chance.choice(TITLES),
          chance.choice(DEPARTMENTS), _numbers(chance), f"kontakt{i}@example.com")
         for i in range(entries - users)))
    index_everything(db)
    db.commit()
    db.close()
    return tenant


def questions(count: int) -> Iterator[str]:
    """One to three beginnings of one to four letters."""
    chance = random.Random(SEED + 1)
    words = [*FIRST, *LAST, *TITLES, *DEPARTMENTS, *" ".join(COMPANIES).split(), "0701", "46812"]
    for _ in range(count):
        yield " ".join(chance.choice(words)[:chance.randint(1, 4)]
                       for _ in range(chance.randint(1, 3)))


def worst() -> list[str]:
    """Single letters and digits, and all pairs of letters."""
    letters = string.ascii_lowercase + "åäö"
    return [*letters, *string.digits, *(f"{one} {two}" for one, two in combinations(letters, 2))]


def search_ms(store: SqliteStore, tenant: int, asked: list[str]) -> list[float]:
    """The times of these searches, sorted."""
    times = []
    for question in asked:
        began = time.perf_counter()
        store.directory(tenant, question, limit=26)
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def _name(chance: random.Random) -> str:
    return f"{chance.choice(FIRST)} {chance.choice(LAST)}"


def _numbers(chance: random.Random) -> str:
    mobile, work = chance.randrange(10**7, 10**8), chance.randrange(10**6, 10**7)
    return msgspec.json.encode([{"kind": "mobile", "e164": f"+467{mobile}"},
                                {"kind": "work", "e164": f"+468{work}"}]).decode()
