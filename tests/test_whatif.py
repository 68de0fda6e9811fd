"""What if: recorded calls decided again with a changed configuration, and counted by hand."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from api.config.routes import RESOURCES
from api.http.errors import Problem
from api.http.later import Operation
from api.whatif import change, job
from api.whatif.copies import Copy
from api.whatif.shapes import Decisions, DifferingCall, JobFile, Progress, Question, Result
from api.whatif.then import Facts, Then
from benchmarks.whatif import Made, bar_mobiles, decide_again, fill, furnish, record
from routing_core import Kernel
from routing_core.codes import Source
from store import SqliteStore
from store.model import (
    ApiKey,
    CallRecord,
    Device,
    Event,
    Forward,
    Number,
    Presence,
    RingGroup,
    Route,
    Row,
    Schedule,
    Target,
    Tenant,
    Trunk,
    User,
)
from store.sqlite import SqliteWriter

HOUR_MS = 3_600_000
BEGIN_MS = 1_799_996_400_000  # a Friday's noon, UTC
DAY = {"from": BEGIN_MS, "to": BEGIN_MS + 24 * HOUR_MS}
MAIN, SALES = "+46812340000", "+46812340001"
OUTSIDE, MOBILE = "+46850000001", "+46701112233"


class Company:
    """Anna, Bo and Cia with a telephone each, a main number to Anna, and calls of one day."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.store = SqliteStore(state / "vaxel.db")
        self.store.migrate()
        self.records: list[CallRecord] = []
        self.folder = state / "question"
        self.folder.mkdir()
        self.ids = SimpleNamespace()
        self.store.change("test", 0, "furnish", self._furnish)
        self.tenant: int = self.ids.tenant

    def _furnish(self, writer: SqliteWriter) -> None:
        ids = self.ids
        ids.tenant = tenant = writer.create(Tenant(name="Ett AB", main_number=MAIN)).id
        ids.trunk = writer.create(Trunk(name="carrier", host="192.0.2.1", ping=False)).id
        writer.create(Route(trunk=ids.trunk))
        for i, name in enumerate(("anna", "bo", "cia")):
            user = writer.create(User(tenant=tenant, name=name.title(), extension=f"10{i}")).id
            device = writer.create(Device(tenant=tenant, user=user, name="Desk",
                                          username=name + "-1", secret="a" * 26)).id
            setattr(ids, name, user)
            setattr(ids, name + "_desk", device)
        ids.hours = writer.create(Schedule(tenant=tenant, name="Hours", state="open")).id
        ids.main = writer.create(Number(tenant=tenant, e164=MAIN, kind="main", schedule=ids.hours,
                                        target=Target(kind="user", user=ids.anna))).id
        ids.sales = writer.create(Number(tenant=tenant, e164=SALES,
                                         target=Target(kind="user", user=ids.bo))).id

    def change(self, work: Callable[[SqliteWriter], Any]) -> int:
        """Of the real configuration; its revision."""
        return self.store.change("test", 0, "change", work).id

    def replace(self, table: str, id_: int, **fields: Any) -> int:
        """The same, of one row."""
        def work(writer: SqliteWriter) -> None:
            row: Row = writer.get(table, id_)
            writer.replace(msgspec.structs.replace(row, **fields))

        return self.change(work)

    def calls(self, *asked: tuple[int, str], apart_s: int = 60, talk_ms: int = 30_000,
              busy: tuple[int, ...] = (), answers: float = 1.0, begin_s: int = 0) -> list[str]:
        """Record these calls, one after the other, as the kernel decides them now; their uids.
        asked: (a device or 0 for the trunk, number)."""
        folder = self.state / "making"
        copy = Copy(self.state / "vaxel.db", folder)
        live = copy.live()
        made = Made(Kernel(copy.snapshot(), live), Then(live))
        chance = random.Random(7)
        uids = []
        for device, called in asked:
            started_ms = BEGIN_MS + (begin_s + apart_s * len(uids)) * 1000
            kind, source = (Source.DEVICE, device) if device else (Source.TRUNK, self.ids.trunk)
            facts, decision = made.call(kind, source, called, "" if device else OUTSIDE,
                                        started_ms // 1000, chance, busy=busy, answers=answers)
            uid = f"call-{begin_s}-{len(uids)}"
            uids.append(uid)
            self.keep(record(uid, self.tenant, facts, decision, started_ms, talk_ms))
        copy.close()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        return uids

    def keep(self, row: dict[str, Any]) -> None:
        """A call record."""
        assert self.store.add_call(msgspec.convert(row | {
            "rang": msgspec.json.decode(row["rang"]),
            "decisions": msgspec.json.decode(row["decisions"]), "recorded": False}, CallRecord))

    def ask(self, *, say: Callable[[Progress], object] = lambda progress: None,
            **question: Any) -> Result:
        """The answer to a question about that day."""
        asked = JobFile(state=str(self.state), tenant=self.tenant, by="operator", at_ms=BEGIN_MS,
                        question=msgspec.convert(DAY | question, Question))
        return job.answer(asked, self.folder, say)

    def path(self, table: str, id_: int = 0) -> str:
        """Of a table in the API, or of a row."""
        area = next(one.path for one in RESOURCES if one.table == table and one.owned)
        return f"/v1/tenants/{self.tenant}/{area}" + (f"/{id_}" if id_ else "")

    def changed(self, table: str, id_: int, **fields: Any) -> dict[str, Any]:
        """A row that would be otherwise."""
        return {"method": "PATCH", "path": self.path(table, id_), "body": fields}

    def made(self, table: str, **fields: Any) -> dict[str, Any]:
        """A row that would be there."""
        return {"method": "POST", "path": self.path(table), "body": fields}

    def gone(self, table: str, id_: int) -> dict[str, Any]:
        """A row that would not be there."""
        return {"method": "DELETE", "path": self.path(table, id_)}

    def kept(self) -> list[DifferingCall]:
        """The calls of the last answer that differ."""
        lines = (self.folder / job.CALLS).read_bytes().splitlines()
        return [msgspec.json.decode(line, type=DifferingCall) for line in lines]


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """With nothing recorded yet."""
    made = Company(tmp_path)
    yield made
    made.store.close()


def to_user(user: int) -> dict[str, Any]:
    """A target."""
    return {"kind": "user", "user": user}


def moves(found: Decisions) -> set[tuple[str, int | None, str, str, int | None, str, int]]:
    """From what to what, and how many calls."""
    return {(one.before.kind, one.before.id, one.before.reason, one.after.kind, one.after.id,
             one.after.reason, one.calls) for one in found.moved}


# -- decisions ---------------------------------------------------------------------------------

def test_another_target_of_a_number(company: Company) -> None:
    """Five of eight calls came to that number."""
    ids = company.ids
    company.calls(*[(0, MAIN)] * 5, *[(0, SALES)] * 3)
    found = company.ask(operations=[company.changed("number", ids.main, target=to_user(ids.cia))])
    assert (found.decisions.calls, found.decisions.differ) == (8, 5)
    assert found.decisions.as_recorded == 8 and found.decisions.unreadable == 0
    assert moves(found.decisions) == {("user", ids.anna, "", "user", ids.cia, "", 5)}
    assert [(one.called, one.calls, one.differ) for one in found.decisions.numbers] == [
        (MAIN, 5, 5)]
    counts = {(one.outcome.id, one.before, one.after) for one in found.decisions.outcomes}
    assert counts == {(ids.anna, 5, 0), (ids.cia, 0, 5), (ids.bo, 3, 3)}
    assert [(one.at_ms, one.calls, one.differ) for one in found.decisions.hours] == [
        (BEGIN_MS, 8, 5)]
    first = company.kept()[0]
    assert (first.uid, first.attempt, first.differs) == ("call-0-0", 1, ["targets"])
    assert "+46812340000 leads to user Anna" in first.before.lines
    assert "+46812340000 leads to user Cia" in first.after.lines
    assert (first.before.telephones, first.after.telephones) == ([ids.anna_desk], [ids.cia_desk])
    assert first.before.outcome.name == "user Anna" and first.caller == OUTSIDE


def test_nothing_would_be_otherwise(company: Company) -> None:
    """A change that touches no call."""
    company.calls((0, MAIN), (company.ids.bo_desk, "100"))
    found = company.ask(operations=[company.changed("user", company.ids.cia, name="Cecilia")])
    assert (found.decisions.calls, found.decisions.differ) == (2, 0)
    assert company.kept() == [] and not found.queues.simulated


def test_a_closed_schedule(company: Company) -> None:
    """Without a target for it the callers are refused."""
    company.calls(*[(0, MAIN)] * 4, (0, SALES))
    found = company.ask(operations=[company.changed("schedule", company.ids.hours, state="closed")])
    assert moves(found.decisions) == {
        ("user", company.ids.anna, "", "refused", None, "closed_hours", 4)}


def test_a_barred_class(company: Company) -> None:
    """Mobiles are barred for Bo: his two calls to one, not Anna's."""
    ids = company.ids
    company.calls((ids.bo_desk, MOBILE), (ids.anna_desk, MOBILE), (ids.bo_desk, MOBILE),
                  (ids.bo_desk, OUTSIDE), (ids.bo_desk, "100"))
    found = company.ask(operations=[company.changed("user", ids.bo, barred=["mobile"])])
    assert moves(found.decisions) == {("trunk", ids.trunk, "", "refused", None, "barred", 2)}
    assert {one.differ for one in found.decisions.hours} == {2}


def test_another_number_is_shown(company: Company) -> None:
    """The call goes the same way: that the other side sees another number is a difference."""
    ids = company.ids
    company.change(lambda writer: writer.create(Number(
        tenant=ids.tenant, e164="+46812340009", kind="direct",
        target=Target(kind="user", user=ids.bo))))
    company.calls((ids.bo_desk, OUTSIDE))
    found = company.ask(operations=[company.changed("user", ids.bo, display="main")])
    assert found.decisions.differ == 1
    only = company.kept()[0]
    assert only.differs == ["shown"]
    assert (only.before.shown, only.after.shown) == ("+46812340009", MAIN)


def test_a_later_attempt(company: Company) -> None:
    """Nobody answers; who is called then is another: the difference is in the second attempt."""
    ids = company.ids
    forward = {}

    def work(writer: SqliteWriter) -> None:
        forward["id"] = writer.create(Forward(
            tenant=ids.tenant, user=ids.anna, event="no_answer",
            target=Target(kind="user", user=ids.bo))).id

    company.change(work)
    company.calls((0, MAIN), (0, MAIN), answers=0.0)
    company.calls((0, MAIN), begin_s=3600)
    found = company.ask(operations=[
        company.changed("forward", forward["id"], target=to_user(ids.cia))])
    assert (found.decisions.calls, found.decisions.differ) == (3, 2)
    assert found.decisions.attempts == 2 + 2 + 1
    assert {one.attempt for one in company.kept()} == {2}
    assert moves(found.decisions) == {("user", ids.bo, "", "user", ids.cia, "", 2)}


def test_the_live_state_of_then(company: Company) -> None:
    """Anna was busy during two of three calls: a forwarding for that catches those."""
    ids = company.ids
    company.calls((0, MAIN), (0, MAIN), busy=(ids.anna,))
    company.calls((0, MAIN), begin_s=3600)
    found = company.ask(operations=[
        company.made("forward", user=ids.anna, event="busy", target=to_user(ids.cia))])
    assert moves(found.decisions) == {
        ("refused", None, "user_busy", "user", ids.cia, "", 2)}
    assert found.decisions.as_recorded == 3


def test_a_line_nobody_looked_at(company: Company) -> None:
    """Bo talks by the call records, which the recorded decision had no reason to ask."""
    ids = company.ids
    company.calls((0, SALES), talk_ms=600_000)
    company.calls((0, MAIN), begin_s=120)
    company.calls((0, MAIN), begin_s=3600)
    found = company.ask(operations=[company.changed("number", ids.main, target=to_user(ids.bo))])
    assert moves(found.decisions) == {
        ("user", ids.anna, "", "refused", None, "user_busy", 1),
        ("user", ids.anna, "", "user", ids.bo, "", 1)}
    assert found.decisions.assumed == 2


def test_presence_that_was_told(company: Company) -> None:
    """Cia went to lunch between two calls, says the event stream."""
    ids = company.ids
    lunch: list[int] = []
    company.change(lambda writer: lunch.append(writer.create(msgspec.convert(
        {"tenant": ids.tenant, "name": "Lunch"}, job.TABLES["activity"])).id))
    company.calls((0, MAIN))
    company.calls((0, MAIN), begin_s=1800)
    company.store.add_events([Event(
        tenant=ids.tenant, at_ms=BEGIN_MS + 600_000, kind="presence",
        data=msgspec.to_builtins(Presence(user=ids.cia, activity=lunch[0])))])
    found = company.ask(operations=[company.changed("number", ids.main, target=to_user(ids.cia))])
    assert moves(found.decisions) == {("user", ids.anna, "", "user", ids.cia, "", 1),
                                      ("user", ids.anna, "", "away", ids.cia, "", 1)}


def test_as_recorded(company: Company) -> None:
    """The configuration was changed since: what is compared is that of now, and it is said."""
    ids = company.ids
    company.calls((0, MAIN), (0, SALES))
    company.replace("number", ids.main, target=Target(kind="user", user=ids.bo))
    found = company.ask(operations=[company.changed("number", ids.main, target=to_user(ids.cia))])
    assert found.decisions.as_recorded == 1
    assert moves(found.decisions) == {("user", ids.bo, "", "user", ids.cia, "", 1)}


def test_as_it_was_at_a_revision(company: Company) -> None:
    """What the calls would have done with an earlier configuration."""
    ids = company.ids
    before = company.store.revision()
    company.replace("number", ids.main, target=Target(kind="user", user=ids.bo))
    company.change(lambda writer: writer.delete("number", ids.sales))
    company.calls((0, MAIN), (0, SALES))
    found = company.ask(revision=before)
    assert moves(found.decisions) == {
        ("user", ids.bo, "", "user", ids.anna, "", 1),
        ("refused", None, "unknown_number", "user", ids.bo, "", 1)}
    assert company.store.find("number", e164=SALES) == []


def test_a_deleted_row_and_a_new_one(company: Company) -> None:
    """A group is made in the question and a number is taken away."""
    ids = company.ids
    company.calls((0, MAIN), (0, SALES))
    found = company.ask(operations=[company.gone("number", ids.sales),
                                    company.made("ring_group", name="New")])
    assert moves(found.decisions) == {
        ("user", ids.bo, "", "refused", None, "unknown_number", 1)}
    assert company.store.find("ring_group") == [] and company.store.get("number", ids.sales)


def test_legs(company: Company) -> None:
    """What call control did for a call is counted apart."""
    ids = company.ids
    company.calls((ids.bo_desk, "100"))
    facts = Facts(Source.CALL_CONTROL, ids.tenant, f"user:{ids.cia}", "", BEGIN_MS // 1000, 5,
                  owned=True)
    row = {"uid": "leg", "tenant": ids.tenant, "direction": "internal", "caller": "",
           "called": "102", "started_ms": BEGIN_MS + 1000, "ended_ms": BEGIN_MS + 5000,
           "rang": "[]", "decisions": msgspec.json.encode([facts]).decode(),
           "conversation": "call-0-0"}
    company.keep(row)
    found = company.ask(operations=[company.changed("device", ids.cia_desk, enabled=False)])
    decided = found.decisions
    assert (decided.calls, decided.differ) == (1, 0)
    assert (decided.legs, decided.legs_differ) == (1, 1)


@pytest.mark.parametrize("decisions", [
    '["cut"]', '[[1, 2]]', '{"a": 1}', '"text"', '[[1,1,"+46812340000","",5,6,null,"zz",0,null]]',
    '[[1,99999999999,"+46812340000","",5,6,null,null,0,null]]',
    '[[1,1,"+46812340000","",5,6,null,null,0,"0fz"]]'], ids=str)
def test_records_that_cannot_be_read(company: Company, decisions: str) -> None:
    """Are counted, and the others go on."""
    company.calls((0, MAIN), (0, SALES))
    with sqlite3.connect(company.state / "vaxel.db") as db:
        db.execute("UPDATE call_record SET decisions = ? WHERE uid = 'call-0-0'", (decisions,))
    found = company.ask(operations=[company.changed("number", company.ids.sales,
                                          target=to_user(company.ids.cia))])
    assert (found.decisions.unreadable, found.decisions.differ) == (1, 1)


def test_calls_of_others_and_of_other_days(company: Company) -> None:
    """Are not looked at."""
    company.calls((0, MAIN))
    company.calls((0, MAIN), begin_s=24 * 3600)
    row = company.store.call("call-0-0")
    company.store.add_call(msgspec.structs.replace(row, uid="other", tenant=company.tenant + 1))
    found = company.ask(operations=[company.changed("number", company.ids.main,
                                          target=to_user(company.ids.cia))])
    assert (found.decisions.calls, found.decisions.differ) == (1, 1)


def test_names_of_other_companies_stay_theirs(company: Company) -> None:
    """A call goes on in another company on the exchange: nothing is told of it."""
    ids = company.ids
    other = {}

    def work(writer: SqliteWriter) -> None:
        other["tenant"] = writer.create(Tenant(name="Hemlig AB")).id
        user = writer.create(User(tenant=other["tenant"], name="Spion", extension="100")).id
        writer.create(Device(tenant=other["tenant"], user=user, name="Dold", username="spion-1",
                             secret="a" * 26))
        writer.create(Number(tenant=other["tenant"], e164="+46899990000",
                             target=Target(kind="user", user=user)))

    company.change(work)
    company.calls((ids.bo_desk, "+46899990000"))
    found = company.ask(operations=[company.changed("user", ids.bo, barred=["national"])])
    assert found.decisions.differ == 1
    text = msgspec.json.encode([found, company.kept()]).decode()
    assert not any(name in text for name in ("Spion", "Dold", "Hemlig"))
    assert company.kept()[0].before.lines == ["goes on in another company"]


def test_progress_rises(company: Company) -> None:
    """To the end, and never falls."""
    company.calls((0, MAIN))
    said: list[Progress] = []
    company.ask(operations=[company.changed("user", company.ids.bo, name="B")],
                say=said.append)
    shares = [one.share for one in said]
    assert shares == sorted(shares) and (shares[0], shares[-1]) == (0.0, 1.0)
    assert {"copy", "decisions", "done"} <= {one.step for one in said}


def test_nothing_is_left_behind(company: Company) -> None:
    """The copy of the configuration, with its secrets, is gone, also after a failure."""
    company.calls((0, MAIN))
    company.ask(operations=[company.changed("user", company.ids.bo, name="B")])
    with pytest.raises(Problem):
        company.ask(operations=[company.changed("user", 12345, name="B")])
    assert sorted(path.name for path in company.folder.iterdir()) == [job.CALLS, job.RESULT]
    assert company.store.revision() == 1


# -- what cannot be asked ----------------------------------------------------------------------

@pytest.mark.parametrize(("operations", "field"), [
    ([], "operations"), ([("PATCH", "/v1/tenants/1/users/1")] * 1001, "operations"),
    ([("GET", "/v1/tenants/1/users/1")], "path"), ([("POST", "/v1/tenants/1/calls")], "path"),
    ([("POST", "/v1/tenants/1/what-if")], "path"), ([("POST", "/v1/nothing")], "path"),
    ([("PATCH", "/v1/tenants/1/users/1"), ("PATCH", "/v1/tenants/2/users/1")],
     "operations[1].path"),
    ([("DELETE", "/v1/trunks/1")], "operations[0].path"),
    ([("POST", "/v1/tenants")], "operations[0].path"),
    ([("PATCH", "/v1/tenants/1/users/" + "9" * 30)], "path"),
    ([("PATCH", "/v1/tenants/1/users/../../2/users/1")], "path")],
    ids=lambda value: str(value)[:50])
def test_not_the_companys_to_ask(operations: list[tuple[str, str]], field: str) -> None:
    """Refused before anything is begun."""
    with pytest.raises(Problem) as error:
        change.check(1, tuple(Operation(method=method, path=path) for method, path in operations))
    assert (error.value.status, error.value.field) == (422, field)


@pytest.mark.parametrize(("body", "code"), [
    ({"id": 10 ** 6}, "invalid"), ({"ring_s": "soon"}, "invalid"), ({"nothing": 1}, "invalid"),
    ({"tenant": 77}, "invalid"), ({"extension": "101"}, "conflict"),
    ({"area": 5}, "unknown_reference"), (None, "invalid"), ([], "invalid"), ("text", "invalid")],
    ids=str)
def test_changes_that_are_refused(company: Company, body: Any, code: str) -> None:
    """As those of the real configuration are."""
    operation = company.changed("user", company.ids.anna) | {"body": body}
    with pytest.raises(Problem) as error:
        company.ask(operations=[operation])
    assert error.value.code == code and error.value.field.startswith("operations[0]")


def test_rows_of_another_company(company: Company) -> None:
    """Are not there."""
    made: list[int] = []

    def work(writer: SqliteWriter) -> None:
        tenant = writer.create(Tenant(name="Annat AB")).id
        made.append(writer.create(RingGroup(tenant=tenant, name="G")).id)

    company.change(work)
    for operation in (company.changed("ring_group", made[0], name="Mine"),
                      company.gone("ring_group", made[0])):
        with pytest.raises(Problem) as error:
            company.ask(operations=[operation])
        assert error.value.status == 404


def test_with_the_rights_of_who_asks(company: Company) -> None:
    """A supervisor may ask about schedules, but not about what only an administrator changes."""
    made: list[int] = []
    company.change(lambda writer: made.append(writer.create(ApiKey(
        tenant=company.tenant, name="S", role="supervisor", digest="d" * 64,
        created_ms=1)).id))
    company.calls((0, MAIN))
    for operation, allowed in (
            (company.changed("schedule", company.ids.hours, state="closed"), True),
            (company.changed("number", company.ids.main, target=None), False)):
        asked = JobFile(state=str(company.state), tenant=company.tenant, by=f"key {made[0]}",
                        at_ms=BEGIN_MS, question=msgspec.convert(
                            DAY | {"operations": [operation]}, Question))
        if allowed:
            found = job.answer(asked, company.folder, lambda progress: None)
            assert found.decisions.differ == 1
        else:
            with pytest.raises(Problem) as error:
                job.answer(asked, company.folder, lambda progress: None)
            assert error.value.status == 403


def test_the_benchmark_counts_right(tmp_path: Path) -> None:
    """Its synthetic records are what the kernel decides, and its change is seen."""
    database = tmp_path / "vaxel.db"
    store = SqliteStore(database)
    store.migrate()
    tenant = furnish(store)
    fill(store, database, tmp_path, tenant, 400)
    found, rate = decide_again(database, tmp_path, tenant, bar_mobiles(tenant))
    store.close()
    assert found.calls == found.as_recorded == 400 and rate > 0
    out = sum(one.before for one in found.outcomes if one.outcome.kind == "trunk")
    barred = sum(one.calls for one in found.moved if one.after.reason == "barred")
    assert 0 < barred <= out and found.differ >= barred
