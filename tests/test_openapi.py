"""The OpenAPI document and the pages for people, as a running exchange serves them."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import api.app
from api.config.shapes import HIDDEN
from api.http.openapi import document as made
from api.http.problems import PROBLEMS
from api.http.route import ROUTES
from store.model import TABLES
from tests.exchange import ROOT, Exchange, refused

REFERENCE = "#/components/"
#: Escapes that a pattern may use: Python and ECMA-262 with the flag u read them alike.
ALIKE = re.compile(r"\\(?:[dDwWsSbBfnrtv^$.*+?()\[\]{}|/\\]|x[0-9a-f]{2}|u[0-9a-f]{4})")
#: Elements without an end.
VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})
LANDMARKS = ("header", "nav", "main")
assert api.app.FOLDERS  # it has declared the routes


@pytest.fixture(scope="module")
def http(exchange: Exchange) -> httpx.Client:
    """Nobody: all of this is public."""
    settings = exchange.settings
    return httpx.Client(base_url=f"http://{settings.address}:{settings.api_port}")


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    """The document."""
    answer = http.get("/v1/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def walk(value: Any) -> Any:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from walk(one)


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{"GET /v1/tenants": the operation}"""
    return {f"{method.upper()} {path}": operation
            for path, methods in document["paths"].items()
            for method, operation in methods.items()}


# -- the document -----------------------------------------------------------------------------

def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_route_is_there(document: dict[str, Any]) -> None:
    declared = {f"{route.method} {route.path.replace(':str', '')}" for route in ROUTES}
    assert set(operations(document)) == declared
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(ids) == len(set(ids)) == len(ROUTES) > 200


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    silent = [name for name, one in operations(document).items()
              if not re.fullmatch(r"[A-Z].*[.:;)]", one["summary"]) or not one["description"]]
    assert silent == []


def test_every_operation_has_its_errors(document: dict[str, Any]) -> None:
    for route in ROUTES:
        answers = operations(document)[f"{route.method} {route.path.replace(':str', '')}"][
            "responses"]
        wanted = {str(PROBLEMS[code].status) for code in (*route.errors, "internal", "too_many")}
        assert wanted <= set(answers), route.path
        for status, answer in answers.items():
            if "$ref" in answer:
                answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            assert answer["description"]
            if status >= "400":
                assert list(answer["content"]) == ["application/problem+json"], route.path


def test_every_body_has_an_example_that_it_allows(document: dict[str, Any]) -> None:
    wrong = []
    for name, operation in operations(document).items():
        for media, body in operation.get("requestBody", {}).get("content", {}).items():
            if body["schema"]:
                schema = body["schema"] | {"components": document["components"]}
                wrong += [f"{name} {media}: {error.message}" for error in
                          Draft202012Validator(schema).iter_errors(body["example"])]
    assert wrong == []


def test_every_default_is_allowed(document: dict[str, Any]) -> None:
    wrong = []
    for schema in walk(document):
        if "default" in schema and isinstance(schema.get("type", ""), str):
            whole = schema | {"components": document["components"]}
            wrong += [error.message for error in
                      Draft202012Validator(whole).iter_errors(schema["default"])]
    assert wrong == []


def test_every_json_answer_has_a_schema(document: dict[str, Any]) -> None:
    assert [(name, status) for name, one in operations(document).items()
            for status, answer in one["responses"].items()
            if not answer.get("content", {}).get("application/json", {"schema": {}})] == []


def test_what_is_made_is_what_is_served(document: dict[str, Any]) -> None:
    assert document == msgspec.json.decode(msgspec.json.encode(made()))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = {one["$ref"] for one in walk(document) if isinstance(one.get("$ref"), str)}
    there = {f"{REFERENCE}{kind}/{name}" for kind, names in document["components"].items()
             for name in names}
    assert references and references <= there


def test_every_schema_has_a_name_for_a_type(document: dict[str, Any]) -> None:
    """Generators of clients make classes of them."""
    assert [name for name in document["components"]["schemas"]
            if not re.fullmatch("[A-Z][A-Za-z0-9]+", name)] == []


def test_every_list_says_of_what(document: dict[str, Any]) -> None:
    assert [one for one in walk(document["components"]["schemas"])
            if one.get("type") == "array" and not {"items", "prefixItems"} & set(one)] == []


def test_every_pattern_is_ecma(document: dict[str, Any]) -> None:
    patterns = {one["pattern"] for one in walk(document) if isinstance(one.get("pattern"), str)}
    assert patterns
    for pattern in patterns:
        re.compile(pattern)
        assert "\\" not in ALIKE.sub("", pattern), pattern
        assert not re.search(r"\(\?(?![:=!])|[*+?}]\+", pattern), pattern


def test_what_is_hidden_is_in_no_answer(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for table, fields in HIDDEN.items():
        name = TABLES[table].__name__
        assert not set(fields) & set(schemas[name]["properties"]), name
        assert not set(fields) & set(schemas[f"{name}Row"]["properties"]), name


# -- errors -----------------------------------------------------------------------------------

def test_every_code_in_the_sources_is_documented() -> None:
    raised = re.compile(r"Problem\(\s*([0-9]{3}),\s*\"([a-z_]+)\"|"
                        r":\s*\(([0-9]{3}), \"([a-z_]+)\"\)")
    found = set()
    for path in (ROOT / "api").rglob("*.py"):
        for match in raised.finditer(path.read_text(encoding="utf-8")):
            status, code = match[1] or match[3], match[2] or match[4]
            found.add((Path(path).name, code, int(status)))
    assert len({code for _, code, _ in found}) > 20
    assert [one for one in sorted(found)
            if one[1] not in PROBLEMS or PROBLEMS[one[1]].status != one[2]] == []


def test_every_declared_error_is_documented() -> None:
    assert [(route.path, code) for route in ROUTES for code in route.errors
            if code not in PROBLEMS] == []


# -- the pages --------------------------------------------------------------------------------

class Page(HTMLParser):
    """What is in a page; AssertionError when an element is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.landmarks: list[str] = []
        self.language = self.title = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert len(given) == len(attrs), (tag, attrs)
        assert not (tag in ("a", "summary") and tag in self.open), tag
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"] or "")
        if tag == "a":
            self.links.append(given["href"] or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in LANDMARKS:
            self.landmarks.append(tag)
        if tag == "html":
            self.language = given["lang"] or ""
        assert tag not in ("script", "img", "iframe")

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "title":
            self.title += data
        elif not self.open:
            assert not data.strip(), data


def page(http: httpx.Client, path: str) -> Page:
    """A page, well formed, that loads nothing."""
    answer = http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].replace(" ", "") == "text/html;charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.text.startswith("<!doctype html>")
    found = Page(answer.text)
    assert found.language == "en" and found.title
    assert len(found.ids) == len(set(found.ids))
    assert found.headings[0] == 1 and found.headings.count(1) == 1
    assert all(one <= before + 1 for before, one in
               zip(found.headings, found.headings[1:], strict=False))
    assert found.landmarks.count("main") == 1
    return found


def test_the_page_of_the_document(http: httpx.Client, document: dict[str, Any]) -> None:
    found = page(http, "/v1/docs")
    assert found.landmarks == list(LANDMARKS)
    inside = {link[1:] for link in found.links if link.startswith("#")}
    assert inside <= set(found.ids)
    assert {one["operationId"] for one in operations(document).values()} <= set(found.ids)
    assert {f"type-{name}" for name in document["components"]["schemas"]} <= set(found.ids)
    elsewhere = {link for link in found.links if not link.startswith("#")}
    assert elsewhere <= {"/v1/openapi.json"} | {f"/v1/problems/{code}" for code in PROBLEMS}


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_the_page_of_a_code(http: httpx.Client, code: str) -> None:
    assert page(http, f"/v1/problems/{code}").links == ["/v1/docs"]


def test_405_says_what_is_allowed(http: httpx.Client) -> None:
    answer = http.request("TRACE", "/v1/tenants/1/users/1")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH"


def test_null_is_no_value_of_a_parameter(exchange: Exchange) -> None:
    company = exchange.company()
    problem = refused(exchange.client, "GET", f"{company.base}/devices?user=null", None)
    assert (problem["code"], problem["field"]) == ("invalid", "user")


def test_no_page_of_another_code(http: httpx.Client) -> None:
    answer = http.get("/v1/problems/nonsense")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
