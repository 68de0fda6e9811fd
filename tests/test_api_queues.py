"""Queues, ways into them and their members over HTTP, on a real exchange."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api.config import queues
from api.http.errors import Problem
from api.publish.publisher import Publisher
from routing_core import mapping
from store import SqliteStore
from store.model import Queue, QueueMember, Service, Tenant, User
from tests.exchange import Exchange
from tests.test_api import BUSY, ask, path_of, problem, to
from tests.test_store import put


def furnish(exchange: Exchange) -> Iterator[SimpleNamespace]:
    """A company with a queue, a way into it and a member, and another one."""
    made = SimpleNamespace(exchange=exchange, client=exchange.client)
    for prefix in ("", "other_"):
        company = exchange.company()
        anna, bo = company.telephone("101"), company.telephone("102")
        prompt = company.post("prompts", {"name": "Hello", "text": "Hej"})["id"]
        queue = company.post("services", {"name": "Support", "extension": "300", "settings": {
            "type": "queue"}})["id"]
        row = {
            "company": company, "tenant": company.id, "user": anna.user, "bo": bo.user,
            "group": company.group([anna], extension="200"), "empty": company.group([]),
            "prompt": prompt, "queue": queue,
            "schedule": company.post("schedules", {"name": "Hours", "rules": [
                {"kind": "daily", "open": True}]})["id"],
            "message": company.post("services", {"name": "Closed", "settings": {
                "type": "message", "prompt": prompt}})["id"],
            "entry": company.post("services", {"name": "Way in", "settings": {
                "type": "queue_entry", "queue": queue}})["id"],
            "member": company.post("queue-members", {"service": queue, "user": anna.user})["id"],
            "key": exchange.client.post("/keys", {"tenant": company.id, "name": "crm"})["key"]}
        for name, value in row.items():
            setattr(made, prefix + name, value)
    yield made


world = pytest.fixture(furnish, name="world")
#: For tests that change nothing.
still = pytest.fixture(furnish, name="still", scope="module")


def queue(**fields: Any) -> dict[str, Any]:
    """A queue's settings."""
    return {"type": "queue"} | fields


def overflow(**fields: Any) -> dict[str, Any]:
    """A queue's settings with that overflow."""
    return queue(overflow=fields)


def entry(w: SimpleNamespace, **fields: Any) -> dict[str, Any]:
    """A way into the queue."""
    return {"type": "queue_entry", "queue": w.queue} | fields


def skills(*names: str) -> list[dict[str, Any]]:
    """A list of skills."""
    return [{"name": name, "level": 2} for name in names]


def new_queue(w: SimpleNamespace, **fields: Any) -> int:
    """Another queue of the company."""
    return int(w.company.post("services", {"name": "Another", "settings": queue(**fields)})["id"])


# -- what comes back ------------------------------------------------------------------------------

def test_a_queue_comes_back(world: SimpleNamespace) -> None:
    w, where = world, path_of(world, "services/{queue}")
    settings = queue(
        strategy="skill", ring_s=15, tiers_s=[0, 30, 60], weight=2, closures=[w.schedule],
        overflow={"night": to("user", user=w.bo), "closed": to("group", group=w.group),
                  "no_agents": to("service", service=w.message), "rush": to("busy"),
                  "timed": to("number", text="+46701234567"), "timed_s": 600,
                  "no_answer": to("user", user=w.user), "attempts": 3,
                  "rush_length": {"high": 20, "low": 10}, "pauses_present": ["lunch"]},
        announcements={"welcome": w.prompt, "music": w.prompt, "position": True},
        keys=[{"key": "2", "target": to("service", service=w.message)}],
        callback={"key": "1", "schedule": w.schedule}, schedule=w.schedule, supervisor=w.bo)
    seen = w.client.patch(where, {"settings": settings})["settings"]
    assert w.client.get(where)["settings"] == seen
    for name, value in settings.items():
        assert seen[name] == value if name not in ("overflow", "announcements", "callback") \
            else value.items() <= seen[name].items()
    assert (seen["wrap_up_s"], seen["overflow"]["grace_s"]) == (0, 30)
    for kind, ids in (("queue", [w.queue]), ("queue_entry", [w.entry]), ("agent_menu", [])):
        items = w.client.get(path_of(w, "services"), kind=kind)["items"]
        assert [item["id"] for item in items] == ids
    menu = w.company.post("services", {"name": "Log in", "settings": {"type": "agent_menu"}})
    assert menu["settings"] == {"type": "agent_menu"}
    steps = [{"after_s": 30, "skills": skills("it")}, {"after_s": 60, "skills": []}]
    made = w.company.post("services", {"name": "VIP", "extension": "301", "settings": entry(
        w, priority=50, skills=skills("it", "finska"), relaxations=steps)})
    assert made["settings"] == entry(w, priority=50, skills=skills("it", "finska"),
                                     relaxations=steps)


def test_members(world: SimpleNamespace) -> None:
    w, path = world, path_of(world, "queue-members")
    second = new_queue(w)
    body = {"service": second, "user": w.user, "tier": 2, "position": 7, "by_presence": True,
            "skills": skills("it"), "device_kinds": ["desk"]}
    made = w.company.post("queue-members", body)
    assert made == body | {"id": made["id"], "tenant": w.tenant}
    listed = {query: [item["id"] for item in w.client.get(path, **{query: id_})["items"]]
              for query, id_ in (("user", w.user), ("service", second))}
    assert listed == {"user": [w.member, made["id"]], "service": [made["id"]]}
    where = f"{path}/{made['id']}"
    changed = w.client.patch(where, {"tier": 0, "skills": [], "user": w.bo})
    assert changed == made | {"tier": 0, "skills": [], "user": w.bo} == w.client.get(where)
    answer = ask(w.exchange, "PATCH", where, w.key, json={"service": w.queue, "user": w.user})
    problem(answer, 409, "conflict", "user")
    assert w.client.call("DELETE", where) is None
    problem(ask(w.exchange, "GET", where, w.key), 404, "not_found")


def test_calls_lead_to_a_queue(world: SimpleNamespace) -> None:
    w = world
    number = w.company.main(to("service", service=w.queue))
    short = {"tenant": w.tenant, "from": "102"}
    for dialled, service in ((number, w.queue), ("300", w.queue)):
        found = w.client.get("/explain", to=dialled, **short)["attempts"][0]
        assert f"service {service}" in json.dumps(found["lines"]), found["lines"]
    w.client.patch(path_of(w, "services/{entry}"), {"extension": "302"})
    found = w.client.get("/explain", to="302", **short)["attempts"][0]
    assert f"service {w.entry}" in json.dumps(found["lines"]), found["lines"]


# -- refusals -------------------------------------------------------------------------------------

Settings = Callable[[SimpleNamespace], Any]
BAD: list[tuple[Settings, str]] = [
    *[(lambda w, m=m, low=low: overflow(**{m: {"high": 10, "low": low}}),
       f"settings.overflow.{m}.high")
      for m in ("rush_length", "rush_wait_s", "rush_estimate_s") for low in (10, 11)],
    (lambda w: overflow(rush_length={"high": 10}), "settings.overflow.rush_length.low"),
    (lambda w: overflow(rush_length={"high": 0, "low": 1}), "settings.overflow.rush_length.high"),
    (lambda w: overflow(pauses_present=["lunch", "fika"]), "settings.overflow.pauses_present[1]"),
    *[(lambda w, r=r: overflow(**{r: to("service", service=w.queue)}),
       f"settings.overflow.{r}.service")
      for r in ("night", "closed", "no_agents", "rush", "timed", "no_answer")],
    *[(lambda w, r=r: overflow(**{r: to("user", user=w.other_user)}),
       f"settings.overflow.{r}.user")
      for r in ("night", "closed", "no_agents", "rush", "timed", "no_answer")],
    (lambda w: overflow(night=to("service", service=w.other_queue)),
     "settings.overflow.night.service"),
    (lambda w: overflow(night=to("service")), "settings.overflow.night.service"),
    (lambda w: overflow(night=to("number", text="112")), "settings.overflow.night.text"),
    (lambda w: overflow(closed=to("group", group=w.empty)), "settings.overflow.closed"),
    (lambda w: overflow(colour="red"), "settings.overflow.colour"),
    (lambda w: queue(keys=[{"key": "1", "target": to("service", service=w.queue)}]),
     "settings.keys[0].target.service"),
    (lambda w: queue(keys=[{"key": "1", "target": to("group", group=w.other_group)}]),
     "settings.keys[0].target.group"),
    (lambda w: queue(keys=[{"key": "1", "target": BUSY}, {"key": "1", "target": BUSY}]),
     "settings.keys[1].key"),
    (lambda w: queue(keys=[{"key": "1", "target": BUSY}], callback={"key": "1"}),
     "settings.callback.key"),
    (lambda w: queue(schedule=w.other_schedule), "settings.schedule"),
    (lambda w: queue(closures=[w.schedule, w.other_schedule]), "settings.closures[1]"),
    (lambda w: queue(callback={"schedule": w.other_schedule}), "settings.callback.schedule"),
    (lambda w: queue(callback={"key": "12"}), "settings.callback.key"),
    *[(lambda w, p=p: queue(announcements={p: w.other_prompt}), f"settings.announcements.{p}")
      for p in ("welcome", "first", "repeated", "music")],
    (lambda w: queue(supervisor=w.other_user), "settings.supervisor"),
    (lambda w: queue(strategy="linear"), "settings.strategy"),
    (lambda w: queue(parallel=11), "settings.parallel"),
    (lambda w: queue(tiers_s=[1, 2, 3, 4]), "settings.tiers_s"),
    (lambda w: queue(max_waiting=0), "settings.max_waiting"),
    (lambda w: {"type": "queue_entry"}, "settings.queue"),
    (lambda w: entry(w, queue=w.other_queue), "settings.queue"),
    (lambda w: entry(w, queue=99999), "settings.queue"),
    (lambda w: entry(w, queue=w.message), "settings.queue"),
    (lambda w: entry(w, queue=w.entry), "settings.queue"),
    (lambda w: entry(w, priority=101), "settings.priority"),
    (lambda w: entry(w, skills=skills("Svenska")), "settings.skills[0].name"),
    (lambda w: entry(w, skills=[{"name": "it", "level": 6}]), "settings.skills[0].level"),
    (lambda w: entry(w, skills=skills("it", "hr", "it")), "settings.skills[2].name"),
    (lambda w: entry(w, skills=skills("a", "b", "c", "d")), "settings.skills"),
    (lambda w: entry(w, relaxations=[{"after_s": 5}, {"after_s": 5}]),
     "settings.relaxations[1].after_s"),
    (lambda w: entry(w, relaxations=[{"after_s": 5, "skills": skills("it", "it")}]),
     "settings.relaxations[0].skills[1].name"),
    (lambda w: {"type": "agent_menu", "queue": w.queue}, "settings.queue"),
]


@pytest.mark.parametrize(("settings", "field"), BAD,
                         ids=[f"{i}-{field}" for i, (_, field) in enumerate(BAD)])
def test_bad_settings(still: SimpleNamespace, settings: Settings, field: str) -> None:
    body = {"name": "S", "settings": settings(still)}
    kind = "entry" if body["settings"]["type"] == "queue_entry" else "queue"
    revision = still.client.get("/health")["revision"]
    merges = body["settings"] == {"type": "queue_entry"}  # with what is there it is whole
    answer = ask(still.exchange, *(("POST", path_of(still, "services")) if merges else (
        "PATCH", path_of(still, f"services/{{{kind}}}"))), still.key, json=body)
    problem(answer, 422, "", field)
    assert still.client.get("/health")["revision"] == revision


@pytest.mark.parametrize(("body", "status", "field"), [
    ({}, 422, "service"), ({"service": "queue"}, 422, "user"), ({"user": "bo"}, 422, "service"),
    ({"service": "other_queue", "user": "bo"}, 422, "service"),
    ({"service": "queue", "user": "other_bo"}, 422, "user"),
    ({"service": "message", "user": "bo"}, 422, "service"),
    ({"service": "entry", "user": "bo"}, 422, "service"),
    ({"service": "queue", "user": "user"}, 409, "user"),
    ({"service": "queue", "user": "bo", "tier": 4}, 422, "tier"),
    ({"service": "queue", "user": "bo", "tenant": 1}, 422, "tenant"),
    ({"service": "queue", "user": "bo", "device_kinds": []}, 422, "device_kinds"),
    ({"service": "queue", "user": "bo", "skills": skills("it", "it")}, 422, "skills[1].name"),
    ({"service": "queue", "user": "bo", "skills": skills("it ")}, 422, "skills[0].name")],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else str(value))
def test_bad_members(still: SimpleNamespace, body: dict[str, Any], status: int,
                     field: str) -> None:
    body = {name: getattr(still, value) if isinstance(value, str) else value
            for name, value in body.items()}
    answer = ask(still.exchange, "POST", path_of(still, "queue-members"), still.key, json=body)
    problem(answer, status, "", field)


def test_members_of_others(still: SimpleNamespace) -> None:
    mine, theirs = path_of(still, "queue-members"), f"/tenants/{still.other_tenant}/queue-members"
    for method in ("GET", "PATCH", "DELETE"):
        for where in (f"{mine}/{still.other_member}", f"{theirs}/{still.other_member}"):
            body = {"json": {}} if method == "PATCH" else {}
            problem(ask(still.exchange, method, where, still.key, **body), 404, "not_found")
    problem(ask(still.exchange, "GET", theirs, still.key), 404, "not_found")
    listed = ask(still.exchange, "GET", f"{mine}?service={still.other_queue}", still.key)
    assert listed.json()["items"] == []
    problem(ask(still.exchange, "GET", f"{mine}?service=x", still.key), 422, "invalid", "service")


def test_few_skills(world: SimpleNamespace) -> None:
    w, path = world, path_of(world, "queue-members")
    known = [f"s{i}" for i in range(12)]
    w.client.patch(f"{path}/{w.member}", {"skills": skills(*known[:9])})
    settings = entry(w, skills=skills("s9", "s0"), relaxations=[
        {"after_s": 10, "skills": skills("s10", "s11")}])
    w.client.patch(path_of(w, "services/{entry}"), {"settings": settings})
    w.company.post("queue-members", {"service": w.queue, "user": w.bo, "skills": skills(*known)})
    where = f"{path}/{w.member}"
    answer = ask(w.exchange, "PATCH", where, w.key, json={"skills": skills("s0", "one-more")})
    assert "one-more" in problem(answer, 422, "invalid", "skills")["detail"]
    answer = ask(w.exchange, "POST", path_of(w, "services"), w.key, json={
        "name": "S", "settings": entry(w, skills=skills("one-more"))})
    problem(answer, 422, "invalid", "settings.skills")
    second = new_queue(w)
    member = w.company.post("queue-members", {"service": second, "user": w.user,
                                              "skills": skills("one-more")})["id"]
    w.client.call("DELETE", where)
    answer = ask(w.exchange, "PATCH", f"{path}/{member}", w.key, json={"service": w.queue})
    problem(answer, 422, "invalid", "skills")


def test_a_queue_stays_what_it_is(world: SimpleNamespace) -> None:
    w, where = world, path_of(world, "services/{queue}")
    other = {"settings": {"type": "message", "prompt": w.prompt}}
    for path, by in (("queue-members/{member}", f"queue_member {w.member} (service)"),
                     ("services/{entry}", "service 'Way in' (settings.queue)")):
        answer = ask(w.exchange, "PATCH", where, w.key, json=other)
        assert by in problem(answer, 422, "invalid", "settings.type")["detail"]
        answer = ask(w.exchange, "DELETE", where, w.key)
        assert by in problem(answer, 409, "still_referenced")["detail"]
        w.client.call("DELETE", path_of(w, path))
    assert w.client.patch(where, other)["settings"]["type"] == "message"


def test_what_a_queue_names_stays(world: SimpleNamespace) -> None:
    w = world
    w.client.patch(path_of(w, "services/{queue}"), {"settings": queue(
        schedule=w.schedule, supervisor=w.bo, announcements={"first": w.prompt},
        overflow={"rush": to("service", service=w.message), "timed": to("group", group=w.group)})})
    for path, field in (("schedules/{schedule}", "schedule"), ("users/{bo}", "supervisor"),
                        ("prompts/{prompt}", "announcements.first"),
                        ("services/{message}", "overflow.rush.service"),
                        ("groups/{group}", "overflow.timed.group")):
        answer = ask(w.exchange, "DELETE", path_of(w, path), w.key)
        said = problem(answer, 409, "still_referenced")["detail"]
        assert f"service 'Support' (settings.{field})" in said
    answer = ask(w.exchange, "DELETE", path_of(w, "users/{user}"), w.key)
    assert f"queue_member {w.member} (user)" in problem(answer, 409, "still_referenced")["detail"]


def test_pause_reasons(world: SimpleNamespace) -> None:
    w, where = world, f"/tenants/{world.tenant}"
    queue_at = path_of(w, "services/{queue}")
    company = w.client.get(where)
    assert company["pause_reasons"] == ["break", "lunch", "meeting", "training"]
    assert company["agent_licences"] is None
    changed = w.client.patch(where, {"pause_reasons": ["fika", "lunch"], "agent_licences": 0})
    assert (changed["pause_reasons"], changed["agent_licences"]) == (["fika", "lunch"], 0)
    w.client.patch(queue_at, {"settings": overflow(pauses_present=["fika"])})
    operator = w.exchange.settings.api_key
    for body, field in (({"pause_reasons": ["lunch"]}, "pause_reasons"),
                        ({"pause_reasons": ["fika", "fika"]}, "pause_reasons"),
                        ({"pause_reasons": ["Fika"]}, "pause_reasons[0]"),
                        ({"pause_reasons": [f"r{i}" for i in range(31)]}, "pause_reasons"),
                        ({"agent_licences": -1}, "agent_licences")):
        problem(ask(w.exchange, "PATCH", where, operator, json=body), 422, "invalid", field)
    w.client.patch(queue_at, {"settings": {"overflow": None}})
    assert w.client.patch(where, {"pause_reasons": []})["pause_reasons"] == []


# -- beside the exchange --------------------------------------------------------------------------

@pytest.mark.parametrize(("limit", "field"), [("MAX_MEMBERS", "service"), ("MAX_QUEUES", "user")])
def test_how_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str,
                          field: str) -> None:
    monkeypatch.setattr(queues, limit, 3)
    store = SqliteStore(tmp_path / "vaxel.db")
    store.migrate()
    tenant = put(store, Tenant(name="One")).id
    users = [put(store, User(tenant=tenant, name="A")).id for _ in range(4)]
    services = [put(store, Service(tenant=tenant, name="Q", settings=Queue())).id for _ in range(4)]
    pairs = [(services[0], user) for user in users] if field == "service" else [
        (service, users[0]) for service in services]

    def add(service: int, user: int) -> None:
        def work(writer: Any) -> None:
            queues.check_member(writer.create(
                QueueMember(tenant=tenant, service=service, user=user)), writer)

        store.change("test", 1, "", work)

    for pair in pairs[:3]:
        add(*pair)
    with pytest.raises(Problem) as caught:
        add(*pairs[3])
    assert (caught.value.field, caught.value.code) == (field, "invalid")
    assert len(store.find("queue_member")) == 3
    store.close()


def test_members_are_no_part_of_the_snapshot(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "vaxel.db")
    store.migrate()
    publisher = Publisher(store, tmp_path)
    made: list[Any] = []

    def create(row: Any) -> Any:
        asyncio.run(publisher.change("test", 1, "",
                                     lambda writer: made.append(writer.create(row))))
        return made[-1]

    tenant = create(Tenant(name="One")).id
    user = create(User(tenant=tenant, name="Anna", extension="101")).id
    service = create(Service(tenant=tenant, name="Q", extension="300", settings=Queue())).id
    generation, fill = publisher.generation, publisher.overlay.fill
    member = create(QueueMember(tenant=tenant, service=service, user=user))
    revision, _ = asyncio.run(publisher.change(
        "test", 1, "", lambda writer: writer.delete("queue_member", member.id)))
    assert publisher.packer.records(revision.changes) == {}
    assert (publisher.generation, publisher.overlay.fill) == (generation, fill)
    assert mapping.open_kernel(tmp_path).snapshot.revision == revision.id == store.revision()
    assert Publisher(store, tmp_path).generation == generation, "replayed, not compiled anew"
    store.close()
    mapping.remove_live(tmp_path)
