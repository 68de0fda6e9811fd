"""Queues and agents as they are now, over HTTP: a real API, and a process of call control that is
played by the test; figures from events in the real store."""

import asyncio
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self

import httpx
import pytest

from api.figures.counts import DEFINITIONS
from api.queues.routes import FAIRNESS, WINDOW_MS
from routing_core import mapping
from routing_core.handover import preferred
from routing_core.queue_words import Leave
from store import SqliteStore
from store.bus import BusServer
from store.figures import QUARTER_MS as STEP_MS
from store.model import Event
from tests.exchange import ROOT, eventually
from vaxel.command import private_settings
from vaxel.demo import Client

STRANGE: Final = 999_999
numbers = itertools.count(1)


class Played:
    """A process of call control: remembers what it is asked, and answers what it was told to."""

    def __init__(self, state: Path, index: int, answers: dict[str, Any] | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers = answers or {}
        self._server = BusServer(state, f"control.{index}", self._answer)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    async def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(question)
        answer: dict[str, Any] = self.answers.get(question["do"], {"error": "unknown question"})
        return answer

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.__aenter__(), self._loop).result(10)
        return self

    def __exit__(self, *_error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.__aexit__(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module", name="api")
def running_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The API process alone, for two processes of call control that are not there."""
    state = tmp_path_factory.mktemp("state")
    settings = private_settings(state)
    with (state / "output").open("wb") as output, subprocess.Popen(
            [sys.executable, "-m", "api.app", str(state)], cwd=ROOT, stdout=output,
            stderr=output) as process:
        client = Client(settings)

        def up() -> bool:
            assert process.poll() is None, (state / "output").read_text()
            try:
                return bool(client.get("/health"))
            except httpx.HTTPError:
                return False

        eventually(up, 40)
        store = SqliteStore(state / "vaxel.db")
        try:
            yield SimpleNamespace(state=state, settings=settings, client=client, store=store)
        finally:
            store.close()
            client.close()
            process.terminate()
            process.wait(20)
    mapping.remove_live(state)


class Company:
    """A company of a test, with the queues Sales and Support (Anna is in both, Bo in Support) and
    Cia, who is no agent."""

    def __init__(self, api: SimpleNamespace) -> None:
        self.api = api
        self.id = int(api.client.post("/tenants", {
            "name": f"Company {next(numbers)}", "agent_licences": 5})["id"])
        self.anna, self.bo, self.cia = (self._post("users", {"name": name})
                                        for name in ("Anna", "Bo", "Cia"))
        self.sales, self.support = (
            self._post("services", {"name": name, "settings": {"type": "queue"}})
            for name in ("Sales", "Support"))
        prompt = self._post("prompts", {"name": "Hello", "text": "Hej"})
        self.message = self._post("services", {"name": "Message", "settings": {
            "type": "message", "prompt": prompt}})
        for queue, user in ((self.sales, self.anna), (self.support, self.anna),
                            (self.support, self.bo)):
            self._post("queue-members", {"service": queue, "user": user})
        self.key = str(api.client.post("/keys", {"tenant": self.id, "name": "crm"})["key"])

    def _post(self, path: str, body: dict[str, Any]) -> int:
        return int(self.api.client.post(f"/tenants/{self.id}/{path}", body)["id"])

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None,
            tenant: int = 0) -> httpx.Response:
        """With the company's key, or another one."""
        more = {} if body is None else {"content": body} if isinstance(body, bytes) \
            else {"json": body}
        return httpx.request(
            method, f"http://127.0.0.1:{self.api.settings.api_port}/v1/tenants/"
            f"{tenant or self.id}{path.format(**vars(self))}", timeout=20, **more,
            headers={"Authorization": f"Bearer {self.key if key is None else key}"})

    def get(self, path: str) -> Any:
        """What is there."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def caller(self, number: int, **fields: Any) -> dict[str, Any]:
        """As call control tells it."""
        return {"caller": number, "call": f"{number:028x}", "number": "+46701234567", "user": 0,
                "position": 1, "priority": 0, "arrived_ms": 1, "state": "waiting", "live": True,
                "tries": 0, "planned_ms": 0, "estimate_s": None} | fields

    def agent(self, user: int, *queues: int, **fields: Any) -> dict[str, Any]:
        """The same."""
        return {"user": user, "state": "free", "since_ms": 1, "until_ms": 0, "reason": "",
                "queue": 0, "caller": 0, "call": "", "present": True, "reachable": True,
                "line_busy": False, "idle_since_ms": 1, "queues": [
                    {"queue": queue, "logged_in": True, "misses": 0} for queue in queues]} | fields

    def state(self) -> dict[str, Any]:
        """Somebody waits in Sales, and Cia is to be called back."""
        queue = {"closed": "open", "rush": "", "waiting": 1, "callbacks": 1, "longest_ms": 9000,
                 "logged_in": 1, "free": 1, "staffed": True, "handled_ms": 0, "samples": 0,
                 "hit_permille": -1}
        return {
            "queues": [
                queue | {"queue": self.sales, "callers": [
                    self.caller(1, estimate_s=[30, 60]),
                    self.caller(2, user=self.cia, live=False, call="", state="later")]},
                queue | {"queue": self.support, "waiting": 0, "callbacks": 0, "callers": []}],
            "agents": [self.agent(self.anna, self.sales, self.support),
                       self.agent(self.bo, self.support, state="paused", reason="lunch")],
            "licences": {"used": 2, "total": 5}}

    def says(self, at_ms: int, what: str, **data: int) -> None:
        """An event of a queue."""
        self.api.store.add_events([Event(tenant=self.id, at_ms=at_ms, kind="queue",
                                         data={"what": what, **data})])


@pytest.fixture
def company(api: SimpleNamespace) -> Company:
    """A company of its own."""
    return Company(api)


@pytest.fixture
def process(api: SimpleNamespace, company: Company) -> Iterator[Played]:
    """The process that has the company's queues."""
    with Played(api.state, preferred(company.id, [0, 1])[0], {"queues": company.state()}) as played:
        yield played


def problem(answer: httpx.Response, status: int, code: str, field: str = "") -> str:
    """The detail of the refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert (answer.status_code, body["code"], body.get("field", "")) == (status, code, field), body
    return str(body["detail"])


# -- queues ------------------------------------------------------------------------------------

def test_all_queues(company: Company, process: Played) -> None:
    sales, support = company.get("/queues")["items"]
    told = company.state()["queues"]
    assert sales == told[0] | {"name": "Sales", "callers": [
        told[0]["callers"][0] | {"name": ""}, told[0]["callers"][1] | {"name": "Cia"}]}
    assert support == told[1] | {"name": "Support"}
    assert process.asked == [{"do": "queues", "tenant": company.id}]


def test_one_queue_has_its_agents(company: Company, process: Played) -> None:
    found = company.get("/queues/{sales}")
    assert (found["name"], found["longest_ms"], len(found["callers"])) == ("Sales", 9000, 2)
    assert [agent["name"] for agent in found["agents"]] == ["Anna"]
    assert [agent["name"] for agent in company.get("/queues/{support}")["agents"]] == ["Anna", "Bo"]
    process.answers["queues"]["queues"].pop()
    assert "yet" in problem(company.ask("GET", "/queues/{support}"), 503, "no_call_control")


def test_callbacks(company: Company, process: Played) -> None:
    process.answers["withdraw"] = {}
    (found,) = company.get("/queues/{sales}/callbacks")["items"]
    assert (found["caller"], found["name"], found["live"]) == (2, "Cia", False)
    assert company.get("/queues/{support}/callbacks") == {"items": []}
    answer = company.ask("DELETE", "/queues/{sales}/callbacks/2")
    assert (answer.status_code, answer.content) == (204, b"")
    assert process.asked[-1] == {"do": "withdraw", "tenant": company.id, "caller": 2}
    asked = len(process.asked)
    for path in ("/queues/{sales}/callbacks/1", "/queues/{sales}/callbacks/3",
                 "/queues/{support}/callbacks/2"):
        problem(company.ask("DELETE", path), 404, "not_found")
    assert [question["do"] for question in process.asked[asked:]] == ["queues"] * 3
    process.answers["withdraw"] = {"error": "no such callback", "code": 404}
    problem(company.ask("DELETE", "/queues/{sales}/callbacks/2"), 404, "not_found")


def test_explain(company: Company, process: Played) -> None:
    agent = {"user": company.bo, "why": "paused", "tier": 0, "measure": 0, "idle_since_ms": 1}
    process.answers["why"] = {"caller": company.caller(1), "at_ms": 5000, "agents": [agent]}
    expected = {"queue": company.sales, "at_ms": 5000, "caller": company.caller(1),
                "agents": [agent | {"name": "Bo"}]}
    for query, asked in (("caller=1", {"caller": 1}), ("call=ab12", {"call": "ab12"}),
                         ("caller=1&at=5000", {"caller": 1, "at_ms": 5000})):
        assert company.get(f"/queues/{{sales}}/explain?{query}") == expected
        assert process.asked[-1] == {"do": "why", "tenant": company.id, "caller": 0, "call": "",
                                     "at_ms": 0} | asked
    process.answers["why"]["caller"]["queue"] = company.support
    problem(company.ask("GET", "/queues/{sales}/explain?caller=1"), 404, "not_found")
    process.answers["why"] = {"error": "nothing is known of that time", "code": 404}
    detail = problem(company.ask("GET", "/queues/{sales}/explain?caller=1&at=1"), 404, "not_found")
    assert detail == "nothing is known of that time"


@pytest.mark.parametrize(("query", "field"), [
    ("", "call"), ("?call=", "call"), ("?call=ab&caller=1", "call"), ("?caller=0", "caller"),
    ("?caller=x", "caller"), ("?caller=-1", "caller"), (f"?call={'a' * 65}", "call"),
    ("?call=a%20b", "call"), ("?caller=1&at=0", "at"), ("?caller=1&at=99999999999999", "at"),
    ("?caller=1&at=now", "at")])
def test_what_cannot_be_explained(company: Company, process: Played, query: str,
                                  field: str) -> None:
    problem(company.ask("GET", f"/queues/{{sales}}/explain{query}"), 422, "invalid", field)
    assert process.asked == []


@pytest.mark.parametrize(("talked", "index"), [
    ([30_000, 30_000], 1), ([60_000, 0], 0.5), ([0, 0], None), ([], None), ([3000, 1000], 0.8)],
    ids=["alike", "one", "nobody_talked", "nobody", "unlike"])
def test_fairness(company: Company, process: Played, talked: list[int],
                  index: float | None) -> None:
    agents = [{"user": user, "offered": 2, "answered": 1, "talk_ms": talk_ms}
              for user, talk_ms in zip((company.anna, company.bo), talked, strict=False)]
    process.answers["fairness"] = {"agents": agents}
    found = company.get("/queues/{support}/fairness")
    assert found == {
        "queue": company.support, "name": "Support", "window_ms": WINDOW_MS, "index": index,
        "definition": FAIRNESS, "agents": [
            agent | {"name": name} for agent, name in zip(agents, ("Anna", "Bo"), strict=False)]}
    assert process.asked == [{"do": "fairness", "tenant": company.id, "queue": company.support}]


# -- agents ------------------------------------------------------------------------------------

def test_agents(company: Company, process: Played) -> None:
    found = company.get("/agents")
    assert found["licences"] == {"used": 2, "total": 5}
    anna, bo = found["items"]
    told = company.state()["agents"]
    assert anna == told[0] | {"name": "Anna", "queues": [
        membership | {"name": name}
        for membership, name in zip(told[0]["queues"], ("Sales", "Support"), strict=True)]}
    assert (bo["name"], bo["state"], bo["reason"]) == ("Bo", "paused", "lunch")
    assert company.get("/agents/{bo}") == bo
    process.answers["queues"]["agents"].pop()
    problem(company.ask("GET", "/agents/{bo}"), 503, "no_call_control")


@pytest.mark.parametrize(("method", "path", "body", "asked"), [
    ("PUT", "login", {"logged_in": True}, {"act": "log_in"}),
    ("PUT", "login", {"logged_in": True, "queues": ["support"]},
     {"act": "log_in", "queues": ["support"]}),
    ("PUT", "login", {"logged_in": False, "queues": ["sales", "support"]},
     {"act": "log_out", "queues": ["sales", "support"]}),
    ("PUT", "pause", {"reason": "lunch"}, {"act": "pause", "reason": "lunch"}),
    ("DELETE", "pause", None, {"act": "resume"}),
    ("POST", "wrap-up", {"end": True}, {"act": "end_wrap_up"}),
    ("POST", "wrap-up", {"prolong_s": 60}, {"act": "prolong", "seconds": 60})],
    ids=["log_in", "log_in_to_one", "log_out", "pause", "resume", "end", "prolong"])
def test_what_is_done_with_an_agent(company: Company, process: Played, method: str, path: str,
                                    body: Any, asked: dict[str, Any]) -> None:
    def real(found: Any) -> Any:
        """With the ids of the queues."""
        return found and {name: [getattr(company, queue) for queue in value]
                          if name == "queues" else value for name, value in found.items()}

    agent = company.agent(company.anna, company.sales, state="rest")
    process.answers["agent"] = {"agent": agent}
    answer = company.ask(method, f"/agents/{{anna}}/{path}", real(body))
    assert answer.status_code == 200, answer.text
    assert answer.json() == agent | {"name": "Anna", "queues": [
        {"queue": company.sales, "logged_in": True, "misses": 0, "name": "Sales"}]}
    assert process.asked == [
        {"do": "agent", "tenant": company.id, "user": company.anna, "queues": None, "reason": "",
         "seconds": 0, "by": "supervisor"} | real(asked)]
    for status, code in ((404, "not_found"), (409, "not_now"), (422, "invalid")):
        process.answers["agent"] = {"error": "it cannot be", "code": status}
        refused = company.ask(method, f"/agents/{{anna}}/{path}", real(body))
        field = "reason" if (path, method, status) == ("pause", "PUT", 422) else ""
        assert problem(refused, status, code, field) == "it cannot be"


@pytest.mark.parametrize(("method", "path", "body", "status", "field"), [
    ("PUT", "login", b"", 400, ""), ("PUT", "login", b"{", 400, ""), ("PUT", "login", [], 422, ""),
    ("PUT", "login", {}, 422, "logged_in"), ("PUT", "login", {"logged_in": 1}, 422, "logged_in"),
    ("PUT", "login", {"logged_in": True, "queues": []}, 422, "queues"),
    ("PUT", "login", {"logged_in": True, "queues": [0]}, 422, "queues[0]"),
    ("PUT", "login", {"logged_in": True, "queues": [STRANGE]}, 422, "queues[0]"),
    ("PUT", "login", {"logged_in": True, "by": "self"}, 422, "by"),
    ("PUT", "pause", {}, 422, "reason"), ("PUT", "pause", {"reason": ""}, 422, "reason"),
    ("PUT", "pause", {"reason": "x" * 41}, 422, "reason"), ("PUT", "pause", b"\xff", 400, ""),
    ("PUT", "pause", {"reason": 1}, 422, "reason"), ("POST", "wrap-up", {}, 422, "prolong_s"),
    ("POST", "wrap-up", {"end": False}, 422, "prolong_s"),
    ("POST", "wrap-up", {"end": True, "prolong_s": 9}, 422, "prolong_s"),
    ("POST", "wrap-up", {"prolong_s": 0}, 422, "prolong_s"),
    ("POST", "wrap-up", {"prolong_s": 7201}, 422, "prolong_s"),
    ("POST", "wrap-up", {"prolong_s": 1.5}, 422, "prolong_s"),
    ("POST", "wrap-up", {"end": True, "more": 1}, 422, "more")],
    ids=lambda value: json.dumps(value) if isinstance(value, dict | list) else str(value))
def test_bad_bodies(company: Company, process: Played, method: str, path: str, body: Any,
                    status: int, field: str) -> None:
    problem(company.ask(method, f"/agents/{{bo}}/{path}", body), status,
            "malformed" if status == 400 else "invalid", field)
    assert process.asked == []


def test_a_queue_of_others(company: Company, process: Played) -> None:
    """Bo is not in Sales."""
    answer = company.ask("PUT", "/agents/{bo}/login", {
        "logged_in": True, "queues": [company.support, company.sales]})
    problem(answer, 422, "invalid", "queues[1]")
    assert process.asked == []


# -- who may, and who answers ------------------------------------------------------------------

LIVE: list[tuple[str, str, Any]] = [
    ("GET", "/queues", None), ("GET", "/queues/{sales}", None),
    ("GET", "/queues/{sales}/callbacks", None), ("DELETE", "/queues/{sales}/callbacks/2", None),
    ("GET", "/queues/{sales}/explain?caller=1", None), ("GET", "/queues/{sales}/fairness", None),
    ("GET", "/agents", None), ("GET", "/agents/{anna}", None),
    ("PUT", "/agents/{anna}/login", {"logged_in": True}),
    ("PUT", "/agents/{anna}/pause", {"reason": "lunch"}), ("DELETE", "/agents/{anna}/pause", None),
    ("POST", "/agents/{anna}/wrap-up", {"end": True})]
FIGURES: list[tuple[str, str, Any]] = [
    ("GET", "/queues/{sales}/figures", None), ("GET", "/agents/{anna}/figures", None)]
IDS = [f"{method} {path}" for method, path, _ in LIVE]


@pytest.mark.parametrize(("method", "path", "body"), LIVE, ids=IDS)
def test_nobody_answers(company: Company, method: str, path: str, body: Any) -> None:
    detail = problem(company.ask(method, path, body), 503, "no_call_control")
    assert detail == "no call control has the company's queues; try again"


@pytest.mark.parametrize("answer", [
    {"error": "another process has them", "code": 503}, {"error": "unknown question"},
    {"error": "too many", "code": 429}], ids=["not_mine", "no_code", "other_code"])
def test_the_other_process_has_them(api: SimpleNamespace, company: Company,
                                    answer: dict[str, Any]) -> None:
    first, second = preferred(company.id, [0, 1])
    with Played(api.state, first, {"queues": answer}) as one:
        problem(company.ask("GET", "/queues"), 503, "no_call_control")
        with Played(api.state, second, {"queues": company.state()}) as two:
            assert len(company.get("/queues")["items"]) == 2
            assert len(one.asked) == 2 and len(two.asked) == 1
            one.answers["queues"] = {"error": "no", "code": 409}
            problem(company.ask("GET", "/queues"), 409, "not_now")
            assert len(two.asked) == 1, "a refusal is final"


def test_a_company_without_queues(api: SimpleNamespace) -> None:
    """Nobody has to be asked."""
    base = f"/tenants/{api.client.post('/tenants', {'name': 'New', 'agent_licences': 3})['id']}"
    assert api.client.get(f"{base}/queues") == {"items": []}
    assert api.client.get(f"{base}/agents") == {"items": [], "licences": {"used": 0, "total": 3}}


@pytest.mark.parametrize(("method", "path", "body"), LIVE + FIGURES,
                         ids=[*IDS, "queue's figures", "agent's figures"])
def test_strangers(api: SimpleNamespace, company: Company, process: Played, method: str, path: str,
                   body: Any) -> None:
    other = Company(api)
    answer = company.ask(method, path, body, key="wrong")
    problem(answer, 401, "unauthenticated")
    problem(company.ask(method, path, body, key=other.key), 404, "not_found")
    problem(company.ask(method, path, body, tenant=STRANGE, key=api.settings.api_key), 404,
            "not_found")
    if "{" in path:  # its queues and users under the stranger's own company
        problem(company.ask(method, path, body, tenant=other.id, key=other.key), 404, "not_found")
        for queue, user in ((company.message, company.cia), (STRANGE, STRANGE), (0, 0)):
            if "figures" not in path or user != company.cia or "sales" in path:
                where = path.format(sales=queue, anna=user)
                problem(company.ask(method, where, body), 404, "not_found")
    assert process.asked == []


# -- figures -----------------------------------------------------------------------------------

def begin() -> int:
    """A quarter of an hour that is over."""
    return (time.time_ns() // 1_000_000 // STEP_MS - 8) * STEP_MS


def a_call(company: Company, at_ms: int, caller: int, waited_ms: int) -> None:
    """Somebody comes, is answered by Anna and talks for a minute."""
    there: dict[str, int] = {"queue": company.sales, "caller": caller}
    by = there | {"agent": company.anna, "attempt": caller}
    company.says(at_ms, "entered", x=1, y=1, **there)
    company.says(at_ms, "offer", y=1, **by)
    company.says(at_ms + waited_ms, "answered", x=waited_ms, y=1, **by)
    company.says(at_ms + waited_ms + 60_000, "talk_ended", x=60_000, **by)
    company.says(at_ms + waited_ms + 60_000, "ready", agent=company.anna)


def test_figures_of_a_queue(company: Company) -> None:
    at_ms = begin()
    company.says(at_ms, "logged_in", queue=company.sales, agent=company.anna, x=1)
    a_call(company, at_ms, 1, 10_000)
    a_call(company, at_ms + STEP_MS, 2, 30_000)
    company.says(at_ms + STEP_MS, "refused", queue=company.sales, x=Leave.FULL)
    where = f"/queues/{{sales}}/figures?from={at_ms}&to={at_ms + 3 * STEP_MS}"
    found = company.get(where)
    assert found["items"] == [] and found["definitions"] == DEFINITIONS["queue"]
    assert (found["name"], found["service_level_s"]) == ("Sales", 20)
    total = found["total"]
    assert (total["from_ms"], total["to_ms"]) == (at_ms, at_ms + 3 * STEP_MS)
    assert (total["queue"], total["offered"], total["entered"]) == (company.sales, 3, 2)
    assert (total["answered"], total["answered_within"], total["service_level"]) == (2, 1, 0.5)
    assert (total["wait_sum_ms"], total["talk_sum_ms"]) == (40_000, 120_000)
    assert total["refused"] == {"full": 1} and total["fairness"] == 1
    split = company.get(f"{where}&interval_s=1800")
    assert split["total"] == total
    assert [(one["from_ms"], one["to_ms"]) for one in split["items"]] \
        == [(at_ms, at_ms + 2 * STEP_MS), (at_ms + 2 * STEP_MS, at_ms + 3 * STEP_MS)]
    assert [one["answered"] for one in split["items"]] == [2, 0]
    assert [one["offered"] for one in company.get(f"{where}&interval_s=900")["items"]] == [1, 2, 0]
    assert company.get("/queues/{support}/figures")["total"]["offered"] == 0

    a_call(company, time.time_ns() // 1_000_000, 3, 20_000)
    now = company.get("/queues/{sales}/figures")["total"]
    assert now["to_ms"] - now["from_ms"] == 86_400_000
    assert (now["answered"], now["answered_within"]) == (3, 2)
    company.api.client.patch(f"/tenants/{company.id}/services/{company.sales}", {
        "settings": {"type": "queue", "service_level_s": 5}})
    now = company.get("/queues/{sales}/figures")
    assert (now["service_level_s"], now["total"]["answered_within"]) == (5, 0)


def test_figures_of_an_agent(company: Company) -> None:
    at_ms = begin()
    company.says(at_ms, "logged_in", queue=company.sales, agent=company.anna, x=1)
    a_call(company, at_ms, 1, 10_000)
    company.says(at_ms + 100_000, "paused", agent=company.anna, x=2)
    company.says(at_ms + 160_000, "resumed", agent=company.anna)
    company.says(at_ms + 200_000, "logged_out", queue=company.sales, agent=company.anna, x=1)
    where = f"figures?from={at_ms}&to={at_ms + STEP_MS}"
    found = company.get(f"/agents/{{anna}}/{where}")
    assert (found["name"], found["from_ms"], found["to_ms"]) == ("Anna", at_ms, at_ms + STEP_MS)
    assert found["definitions"] == {name: DEFINITIONS[name] for name in ("agent", "member")}
    total = found["total"]
    assert (total["logged_in_ms"], total["talking_ms"], total["paused_ms"], total["free_ms"]) \
        == (200_000, 60_000, {"2": 60_000}, 80_000)
    assert total["queues"] == [{
        "queue": company.sales, "name": "Sales", "logged_in_ms": 200_000, "talking_ms": 60_000,
        "offered": 1, "answered": 1, "missed": {}}]
    nothing = company.get(f"/agents/{{cia}}/{where}")["total"]
    assert (nothing["agent"], nothing["offered"], nothing["queues"]) == (company.cia, 0, [])


def test_time_goes_on_without_events(company: Company) -> None:
    at_ms = begin()
    company.says(at_ms, "logged_in", queue=company.sales, agent=company.anna, x=1)
    found = company.get(f"/agents/{{anna}}/figures?from={at_ms}&to={at_ms + 4 * STEP_MS}")
    assert found["total"]["free_ms"] == 4 * STEP_MS


def test_an_event_that_is_not_understood(company: Company) -> None:
    """One that cannot be counted does not take the others with it."""
    at_ms = begin()
    company.says(at_ms, "refused", queue=company.sales, x=999)
    company.says(at_ms, "offer", queue=company.sales)
    for data in (None, {"what": 5}, "text"):
        company.api.store.add_events([
            Event(tenant=company.id, at_ms=at_ms, kind="queue", data=data),
            Event(tenant=company.id, at_ms=at_ms, kind="ended", call="1", data=data)])
    a_call(company, at_ms, 1, 10_000)
    assert company.get("/queues/{sales}/figures")["total"]["answered"] == 1


@pytest.mark.parametrize(("query", "field"), [
    ("from=1", "from"), ("from=x", "from"), ("from=-900000", "from"), ("to=1", "to"),
    ("from=900000&to=900000", "from"), ("from=1800000&to=900000", "from"),
    (f"from=900000&to={900_000 + 1098 * 86_400_000 + 900_000}", "from"), ("to=0", "from"),
    (f"to={1 << 43}", "to")])
@pytest.mark.parametrize("path", ["/queues/{sales}", "/agents/{anna}"], ids=["queue", "agent"])
def test_bad_periods(company: Company, path: str, query: str, field: str) -> None:
    problem(company.ask("GET", f"{path}/figures?{query}"), 422, "invalid", field)


@pytest.mark.parametrize("interval_s", ["0", "899", "901", "x", str(31 * 86_400 + 900), "900"])
def test_bad_intervals(company: Company, interval_s: str) -> None:
    """The last one would be too many of them."""
    where = f"/queues/{{sales}}/figures?from=0&to={31 * 86_400_000}&interval_s={interval_s}"
    problem(company.ask("GET", where), 422, "invalid", "interval_s")
