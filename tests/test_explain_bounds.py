"""Explaining a call: whose extension is meant, and nothing of another company."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.alone import Alone


@pytest.fixture(name="api", scope="module")
def running() -> Iterator[Alone]:
    """Shared; every test has companies of its own."""
    with Alone() as api:
        yield api


def made(api: Alone, extension: str, number: str = "") -> str:
    """The path of a company with somebody who has a telephone, and perhaps a number."""
    company = api.company()
    user = api.ask("POST", f"{company}/users", {"name": "Secretly Anna", "extension": extension},
                   201)["id"]
    api.ask("POST", f"{company}/devices", {
        "user": user, "name": "d", "username": f"explain-{company[9:]}"}, 201)
    if number:
        api.ask("POST", f"{company}/numbers", {
            "e164": number, "target": {"kind": "user", "user": user}}, 201)
    return company


def asked(api: Alone, status: int = 200, key: str = "", **query: Any) -> Any:
    """What is explained."""
    return api.ask("GET", "/explain", None, status, key, **query)


def test_an_extension_without_a_company_is_known_or_asked_for(api: Alone) -> None:
    """It was taken for a caller from outside, and 112 was answered 404."""
    company = made(api, "205")
    first = asked(api, **{"from": "205", "to": "112"})["attempts"][0]
    assert first["kind"] == "emergency", first
    assert asked(api, **{"from": "205", "to": "112", "tenant": company[9:]})["attempts"] == [first]
    other = made(api, "205")
    problem = asked(api, 422, **{"from": "205", "to": "112"})
    assert problem["field"] == "tenant" and "several companies" in problem["detail"]
    for tenant in (company, other):
        found = asked(api, **{"from": "205", "to": "112", "tenant": tenant[9:]})
        assert found["attempts"][0]["kind"] == "emergency"
    problem = asked(api, 422, **{"from": "299", "to": "112", "tenant": company[9:]})
    assert problem["field"] == "from" and "nobody has" in problem["detail"]


def test_what_goes_on_in_another_company_is_its_own_affair(api: Alone) -> None:
    """Its devices, its people and its reasons were told."""
    own, _ = made(api, "301"), made(api, "302", "+46855512345")
    key = api.key_of(own, "administrator")
    query = {"from": "301", "to": "+46855512345"}
    whole = asked(api, **query)["attempts"]
    assert whole[0]["targets"] and "Secretly Anna" in str(whole)
    attempts = asked(api, key=key, **query)["attempts"]
    assert [one["lines"] for one in attempts] == [["goes on in another company"]]
    assert attempts[0]["targets"] == [] and attempts[0]["reason"] == ""
    assert "Secretly" not in str(attempts) and attempts[0]["ring_s"] == 0
