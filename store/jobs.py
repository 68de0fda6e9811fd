"""Long pieces of work that are asked for by the API, in the embedded store. See port.py."""

import sqlite3
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from store.errors import NotFound
from store.rows import encode
from store.transactions import writing

JobState = Literal["waiting", "running", "done", "failed"]
_JSON: Final = ("question", "error")


class Job(Struct, frozen=True, kw_only=True):
    """A piece of work. by, name: who asked, as "key 3" and for people; tries: how often it was
    begun; error: code, detail and field of what went wrong."""

    id: int = 0
    tenant: int
    by: str
    name: str
    question: Any
    state: JobState = "waiting"
    created_ms: int
    began_ms: int = 0
    ended_ms: int = 0
    tries: int = 0
    error: Any = None


_COLUMNS: Final = Job.__struct_fields__


class Jobs:
    """A part of SqliteStore, with its connection."""

    _db: sqlite3.Connection

    def add_job(self, job: Job) -> Job:
        values = {name: getattr(job, name) for name in _COLUMNS if name != "id"}
        values |= {name: encode(values[name]).decode() for name in _JSON}
        with writing(self._db):
            cursor = self._db.execute(
                f"INSERT INTO job ({', '.join(values)}) "  # noqa: S608
                f"VALUES ({', '.join('?' * len(values))})", list(values.values()))
        return msgspec.structs.replace(job, id=cursor.lastrowid or 0)

    def job(self, tenant: int, id_: int) -> Job:
        found = self._jobs("WHERE tenant = ? AND id = ?", tenant, id_)
        if not found:
            raise NotFound(f"no job {id_}")
        return found[0]

    def jobs(self, tenant: int | None = None, *, state: JobState | None = None, after: int = 0,
             ended_before_ms: int = 0, limit: int = 100) -> list[Job]:
        where: list[str] = ["id > ?"]
        parameters: list[Any] = [after]
        if tenant is not None:
            where.append("tenant = ?")
            parameters.append(tenant)
        if state is not None:
            where.append("state = ?")
            parameters.append(state)
        if ended_before_ms:
            where.append("ended_ms != 0 AND ended_ms < ?")
            parameters.append(ended_before_ms)
        return self._jobs(f"WHERE {' AND '.join(where)} ORDER BY id LIMIT ?", *parameters, limit)

    def job_began(self, id_: int, at_ms: int) -> bool:
        return self._move("state = 'running', began_ms = ?, tries = tries + 1",
                          "id = ? AND state = 'waiting'", at_ms, id_)

    def job_ended(self, id_: int, at_ms: int, error: Any = None) -> bool:
        return self._move("state = ?, ended_ms = ?, error = ?", "id = ? AND state = 'running'",
                          "failed" if error else "done", at_ms, encode(error).decode(), id_)

    def jobs_interrupted(self, at_ms: int, max_tries: int, error: Any) -> None:
        self._move("state = 'failed', ended_ms = ?, error = ?",
                   "state = 'running' AND tries >= ?", at_ms, encode(error).decode(), max_tries)
        self._move("state = 'waiting', began_ms = 0", "state = 'running'")

    def remove_job(self, tenant: int, id_: int) -> None:
        with writing(self._db):
            if not self._db.execute("DELETE FROM job WHERE tenant = ? AND id = ?",
                                    (tenant, id_)).rowcount:
                raise NotFound(f"no job {id_}")

    def _move(self, sets: str, where: str, *parameters: Any) -> bool:
        with writing(self._db):
            return bool(self._db.execute(
                f"UPDATE job SET {sets} WHERE {where}", parameters).rowcount)  # noqa: S608

    def _jobs(self, rest: str, *parameters: Any) -> list[Job]:
        found = []
        for values in self._db.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM job {rest}", parameters):  # noqa: S608
            row = dict(zip(_COLUMNS, values, strict=True))
            for name in _JSON:
                row[name] = msgspec.json.decode(row[name])
            found.append(msgspec.convert(row, Job))
        return found
