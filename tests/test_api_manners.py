"""What every client may expect of every route: rows that can be sent back, HEAD, the scheme in any
letters, a name for the request, and all faults at once. A real API process."""

from collections.abc import Iterator
from typing import Any

import pytest

import api.app as app
from api.config.routes import RESOURCES
from tests.alone import Alone
from tests.test_revisions import ROWS

assert app.FOLDERS


@pytest.fixture(name="api", scope="module")
def running() -> Iterator[Alone]:
    """Shared; every test has companies of its own."""
    with Alone() as api:
        yield api


def furnished(api: Alone) -> dict[str, str]:
    """{table: path of a row} of a new company."""
    company = api.company()
    ids: dict[str, Any] = {"unique": f"man{company[9:]}", "e164": f"+4684{int(company[9:]):07d}"}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(one) for name, one in value.items()}
        return ids[value[1:-1]] if isinstance(value, str) and value.startswith("{") else value

    found = {"tenant": company}
    for table, (path, row, _) in ROWS.items():
        if path:
            ids[table] = api.ask("POST", f"{company}/{path}", filled(row), 201)["id"]
            found[table] = f"{company}/{path}/{ids[table]}"
    return found


@pytest.mark.parametrize("role", ["operator", "administrator"])
def test_a_row_as_it_was_read_can_be_sent_back(api: Alone, role: str) -> None:
    places = furnished(api)
    key = "" if role == "operator" else api.key_of(places["tenant"], role)
    for table, path in places.items():
        row = api.ask("GET", path, key=key)
        assert api.ask("PATCH", path, row, key=key) == row, table
        assert api.ask("PATCH", path, row | {"id": row["id"] + 1}, 422, key=key)["field"] == "id"


def test_what_is_the_operators_is_sent_back_by_a_company_as_it_is(api: Alone) -> None:
    company = api.company(agent_licences=7, operator_barred=["premium"])
    key = api.key_of(company, "administrator")
    row = api.ask("GET", company, key=key)
    api.ask("PATCH", company, row | {"language": "fi"}, key=key)
    problem = api.ask("PATCH", company, row | {"agent_licences": 8}, 403, key=key)
    assert problem["field"] == "agent_licences"


def test_head_is_get_without_the_body(api: Alone) -> None:
    places = furnished(api)
    company = places["tenant"]
    lists = [f"{company}/{one.path}" for one in RESOURCES if one.owned]
    for path in (*places.values(), *lists, "/health", f"{company}/revisions"):
        got, head = api.http.get(path), api.http.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers.get("etag") == got.headers.get("etag"), path
    gone = api.http.head(f"{company}/users/999999999")
    assert (gone.status_code, gone.content) == (404, b"")
    assert api.http.put(f"{company}/users").headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_in_any_letters(api: Alone, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {api.settings.api_key}"}
    assert api.http.get("/me", headers=headers).status_code == 200


@pytest.mark.parametrize("value", ["Basic eDp5", "Token {key}", "Bearer", "{key}", "",
                                   "Bearer  {key}x"])
def test_nobody_else_is_let_in(api: Alone, value: str) -> None:
    headers = {"Authorization": value.replace("{key}", api.settings.api_key)}
    answer = api.http.get("/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="vaxel"'


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/me", 200), ("GET", "/nothing", 404), ("PUT", "/me", 405),
    ("GET", "/tenants/999999999/users", 404), ("POST", "/tenants", 422), ("GET", "/health", 200)])
@pytest.mark.parametrize("given", ["", "order-66", "a.b_C-1" * 9, "x" * 65, "a b", "<b>", "é"])
def test_every_answer_says_which_request_it_is_for(api: Alone, method: str, path: str, status: int,
                                                   given: str) -> None:
    headers = {"X-Request-Id": given.encode()} if given else {}
    answer = api.http.request(method, path, headers=headers,
                              json={} if method == "POST" else None)
    assert answer.status_code == status
    named = answer.headers["x-request-id"]
    if given in ("order-66", "a.b_C-1" * 9):
        assert named == given
    else:
        assert len(named) == 32 and named.isalnum()


def test_all_faults_of_a_body_at_once_in_sentences(api: Alone) -> None:
    company = api.company()
    problem = api.ask("POST", f"{company}/users", {
        "name": "", "extension": "12ab", "ring_s": "long", "colour": 1}, 422)
    assert {one["field"] for one in problem["errors"]} == {"name", "extension", "ring_s", "colour"}
    assert (problem["field"], problem["detail"]) == (
        problem["errors"][0]["field"], problem["errors"][0]["detail"])
    assert "regex" not in str(problem) and "\\Z" not in str(problem)
    user = api.ask("POST", f"{company}/users", {"name": "A"}, 201)["id"]
    problem = api.ask("PATCH", f"{company}/users/{user}",
                      {"extension": "x", "barred": ["all"]}, 422)
    assert {one["field"] for one in problem["errors"]} == {"extension", "barred[0]"}
    problem = api.ask("POST", f"{company}/batch", {"operations": [
        {"method": "POST", "path": f"/v1{company}/users", "body": {"name": "B"}},
        {"method": "POST", "path": f"/v1{company}/users", "body": {"name": "", "extension": "x"}},
    ]}, 422)
    assert problem["field"].startswith("operations[1].")


def test_an_extension_that_is_taken_is_a_conflict_whoever_has_it(api: Alone) -> None:
    company = api.company()
    bodies = {"users": {"name": "A"}, "groups": {"name": "G"},
              "services": {"name": "Q", "settings": {"type": "queue"}}}
    for number, (path, body) in enumerate(bodies.items()):
        extension = str(200 + number)
        api.ask("POST", f"{company}/{path}", body | {"extension": extension}, 201)
        for other, more in bodies.items():
            problem = api.ask("POST", f"{company}/{other}", more | {
                "name": f"{path} {other}", "extension": extension}, 409)
            assert (problem["code"], problem["field"]) == ("conflict", "extension"), (path, other)
