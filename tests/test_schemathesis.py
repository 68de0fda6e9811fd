"""What the document says is what is answered: requests made from it by schemathesis, right and
wrong ones, to a real exchange with a furnished company.

VAXEL_FUZZ=100 for more examples of each operation than the few of every run.
"""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

import api.app
from api.http.openapi import document
from tests.exchange import Exchange
from tests.furnished import Furnished, later

assert api.app.FOLDERS  # it has declared the routes

EXAMPLES = int(os.environ.get("VAXEL_FUZZ", "3"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance,
          response_schema_conformance, response_headers_conformance, negative_data_rejection,
          unsupported_method]
#: What changes a whole company is tried with another one.
WHOLE = frozenset({"revert_revision", "transfer_import_company", "batch"})
#: Fields of bodies that are ids of rows, and the rows.
REFERENCES = {"user": "users", "ring_group": "groups", "group": "groups", "service": "services",
              "prompt": "prompts", "schedule": "schedules", "area": "areas", "plan": "plans",
              "trunk": "trunks", "tenant": "tenants", "device": "devices",
              "activity": "activities"}
#: Nothing is sent to anybody outside: what would be asked or called stands for nobody.
NOBODY = {"host": "127.0.0.1", "url": "https://hook.invalid/", "issuer": "https://id.invalid"}
#: Of the query: what has a meaning.
TEXTS = {"as_of": "1", "fields": "id", "since": "1", "until": later().isoformat(),
         "at": later().isoformat(), "from": "101", "to": "102", "after": ""}
#: Only of people: each time by somebody who has just signed in.
PERSON = ("/v1/me", "/v1/sign-out")

CONFIG = SchemathesisConfig.from_dict({
    "phases": {"coverage": {"enabled": EXAMPLES > 3}},
    "generation": {"deterministic": True, "database": "none"},
    "checks": {
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "502", "503"]},
        "negative_data_rejection": {"expected-statuses": ["4xx", "502", "503"]}},
})
schemathesis.serializer.alias(["audio/*", "text/csv", "application/zip"],
                              "application/octet-stream")
schema = schemathesis.openapi.from_dict(document(), config=CONFIG)
few = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
               suppress_health_check=list(HealthCheck))


class World:
    """An exchange, a furnished company, and another one for what changes all of it."""

    def __init__(self, exchange: Exchange) -> None:
        settings = exchange.settings
        self.url = f"http://{settings.address}:{settings.api_port}"
        self.operator = settings.api_key
        self.kept, self.wrecked = Furnished(exchange, short="kept"), Furnished(exchange, short="wr")
        self.session = requests.Session()
        self.turn = 0

    def tried(self, case: Any, operator: bool) -> None:
        """Send it, and look at the answer."""
        self.turn += 1
        company = self.wrecked if case.operation.definition.raw["operationId"] in WHOLE \
            else self.kept
        if not case.meta.is_negative_at(ParameterLocation.PATH):
            case.path_parameters = self._path(case, company)
        if not case.meta.is_negative_at(ParameterLocation.BODY):
            case.body = self._body(case.body, company)
        if not case.meta.is_negative_at(ParameterLocation.QUERY):
            case.query = self._query(case.query or {}, company)
        if not case.meta.is_negative_at(ParameterLocation.HEADER):
            case.headers = self._headers(case.headers or {})
        key = self.operator if operator else company.key
        if case.operation.path.startswith(PERSON):
            key = company.session()
        case.call_and_validate(base_url=self.url, session=self.session, checks=CHECKS,
                               headers={"Authorization": f"Bearer {key}"})

    def _path(self, case: Any, company: Furnished) -> dict[str, Any]:
        """What is there, in the place of ids; what may be deleted, to delete it."""
        found = dict(case.path_parameters or {})
        segments = case.operation.path.split("/")
        for before, segment in itertools.pairwise(segments):
            if segment.startswith("{"):
                last = segments[-1] == segment
                spare = company.spare.get(before) if last and (
                    case.method == "DELETE" or before == "keys") else None
                there = company.rows.get(before)
                if spare:
                    found[segment[1:-1]] = spare[0]
                    if case.method == "DELETE" and len(spare) > 1:
                        spare.pop(0)
                elif there:
                    found[segment[1:-1]] = there[self.turn % len(there)]
        return found

    def _query(self, given: dict[str, Any], company: Furnished) -> dict[str, Any]:
        """Often with texts that mean something, and with references to what is there."""
        known = {name: text for name, text in TEXTS.items() if isinstance(given.get(name), str)}
        found = given | known if self.turn % 3 else given
        return dict(self._body(found, company))

    def _headers(self, given: Any) -> dict[str, Any]:
        """With a time to come, and sometimes the state that there is."""
        found = dict(given)
        if "Effective-From" in found:
            if self.turn % 2 or "Dry-Run" in found:
                del found["Effective-From"]
            else:
                found["Effective-From"] = later().isoformat()
        if "If-Match" in found and self.turn % 2:
            found["If-Match"] = "*"
        return found

    def _body(self, body: Any, company: Furnished) -> Any:
        """With references to what is there."""
        if isinstance(body, list):
            return [self._body(one, company) for one in body]
        if not isinstance(body, dict):
            return body
        found = {}
        for name, value in body.items():
            if name in NOBODY and isinstance(value, str):
                value = NOBODY[name]
            elif name in REFERENCES and isinstance(value, int) and value > 0:
                there = company.rows[REFERENCES[name]]
                value = there[self.turn % len(there)]
            found[name] = self._body(value, company)
        return found


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Its own exchange: what is done here to all companies disturbs nobody."""
    with Exchange(rate_per_s=100_000) as exchange:
        yield World(exchange)


@schema.parametrize()
@few
def test_the_operator(case: Any, world: World) -> None:
    world.tried(case, operator=True)


@schema.parametrize()
@few
def test_an_administrator(case: Any, world: World) -> None:
    world.tried(case, operator=False)
