"""Synthetic installations: a thousand users a company, each with a direct number and a device."""

import base64
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from store import SqliteStore

SECRET = base64.b32encode(bytes(range(16))).decode().rstrip("=").lower()
USERS_PER_TENANT = 1000


def number_of(user: int) -> str:
    """The direct number of a user."""
    return f"+4610{user:07d}"


def fill_store(path: Path, users: int) -> SqliteStore:
    """A store with so many users, written in bulk; its revision is 1."""
    store = SqliteStore(path)
    store.migrate()
    db = sqlite3.connect(path)
    db.execute("PRAGMA synchronous = OFF")
    tenants = max(1, users // USERS_PER_TENANT)
    db.executemany("INSERT INTO tenant (id, name, country, language, time_zone, main_number,"
                   " support_number, foreign_number, activity_end, area, barred, media)"
                   " VALUES (?, ?, 'SE', 'sv', 'Europe/Stockholm', NULL, NULL,"
                   " 'replace', 'available', NULL, 0, 'auto')",
                   ((t, f"Company {t}") for t in range(1, tenants + 1)))
    db.executemany("INSERT INTO user (id, tenant, name, extension, display, barred, area,"
                   " ring_s, enabled, record, call_waiting, language)"
                   " VALUES (?, ?, ?, ?, 'direct', 0, NULL, 25, 1, 0, 0, NULL)",
                   ((u, _tenant(u, tenants), f"User {u}", str(1000 + (u - 1) // tenants))
                    for u in range(1, users + 1)))
    db.executemany("INSERT INTO device VALUES (?, ?, ?, 'desk', 'desk', ?, ?, NULL, NULL, 'both',"
                   " 1)", ((u, _tenant(u, tenants), u, f"phone{u}", SECRET)
                           for u in range(1, users + 1)))
    db.executemany("INSERT INTO number (id, tenant, e164, kind, target_kind, target_user, record)"
                   " VALUES (?, ?, ?, 'direct', 'user', ?, 0)",
                   ((u, _tenant(u, tenants), number_of(u), u) for u in range(1, users + 1)))
    db.execute("INSERT INTO trunk VALUES (1, NULL, 'carrier', 'address', '192.0.2.1', 5060, 'udp',"
               " 'SE', '', '', '', '[\"ip:192.0.2.1\"]', 'pai', 'diversion', 'original', 'plus',"
               " 'auto', 60, 0, 1)")
    db.execute("INSERT INTO route VALUES (1, NULL, '', 1, 0, 1)")
    db.execute("INSERT INTO revision (id, author, at_ms, note) VALUES (1, 'benchmark', 0, 'bulk')")
    db.commit()
    db.close()
    return store


def _tenant(user: int, tenants: int) -> int:
    return 1 + (user - 1) % tenants


def chosen(seed: int, users: int, count: int) -> Iterator[int]:
    """Uniformly random users."""
    source = random.Random(seed)
    return (source.randrange(1, users + 1) for _ in range(count))
