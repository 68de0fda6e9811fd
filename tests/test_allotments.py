"""Numbers are the operator's to give (catalogue row N9)."""

import datetime
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from store.migrations import migrations
from tests.alone import Alone

FIRST, LAST = "+46771793300", "+46771793399"
MINE = "+46771793336"


class House:
    """Two companies with an administrator's key each; the first has been allotted a range."""

    def __init__(self, api: Alone) -> None:
        self.api = api
        self.own, self.other = api.company(), api.company()
        self.key, self.other_key = (api.key_of(path, "administrator")
                                    for path in (self.own, self.other))
        self.range = self.made(self.own, "allotments", first=FIRST, last=LAST)

    def made(self, path: str, what: str, key: str = "", **body: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.api.ask("POST", f"{path}/{what}", body, 201, key)
        return found

    def refused(self, method: str, path: str, body: Any, status: int, key: str = "") -> str:
        """The field of the problem."""
        return str(self.api.ask(method, path, body, status, key).get("field"))

    def numbers(self, path: str) -> list[str]:
        return [row["e164"] for row in self.api.ask("GET", f"{path}/numbers")["items"]]


@pytest.fixture(name="house")
def two_companies() -> Iterator[House]:
    with Alone() as api:
        yield House(api)


def test_a_company_takes_only_what_was_allotted_to_it(house: House) -> None:
    """Whether a number is free, another company's, or in use there: the answer is the same."""
    house.made(house.own, "numbers", house.key, e164=MINE)
    told = set()
    for e164 in (MINE, FIRST, "+46771793400", "+4677179330"):
        answer = house.api.ask("POST", f"{house.other}/numbers", {"e164": e164}, 422,
                               house.other_key)
        told.add((answer["code"], answer["field"], answer["detail"].replace(e164, "")))
        house.refused("POST", f"{house.other}/batch", {"operations": [
            {"method": "POST", "path": f"/v1{house.other}/numbers", "body": {"e164": e164}}]},
            422, house.other_key)
        house.refused("POST", f"{house.other}/import", {"numbers": [{"e164": e164}]}, 422,
                      house.other_key)
    assert told == {("invalid", "e164", " is not allotted to the company")}
    assert (house.numbers(house.own), house.numbers(house.other)) == ([MINE], [])
    id_ = house.api.ask("GET", f"{house.own}/numbers")["items"][0]["id"]
    assert house.refused("PATCH", f"{house.own}/numbers/{id_}", {"e164": "+46771793400"}, 422,
                         house.key) == "e164"
    house.api.ask("PATCH", f"{house.own}/numbers/{id_}", {"e164": LAST}, 200, house.key)
    assert house.refused("PATCH", house.other, {"main_number": LAST}, 422, house.other_key) \
        == "main_number"
    house.api.ask("PATCH", house.own, {"main_number": LAST}, 200, house.key)


def test_what_the_operator_makes_is_allotted_in_the_same_step(house: House) -> None:
    house.made(house.other, "numbers", e164="+46771793400")
    house.api.ask("POST", f"{house.other}/import", {"numbers": [{"e164": "+46771793401"}]})
    assert [(row["first"], row["last"])
            for row in house.api.ask("GET", f"{house.other}/allotments", key=house.other_key)[
                "items"]] == [("+46771793400",) * 2, ("+46771793401",) * 2]
    id_ = house.api.ask("GET", f"{house.other}/numbers")["items"][0]["id"]
    house.api.ask("DELETE", f"{house.other}/numbers/{id_}", status=204)
    house.made(house.other, "numbers", house.other_key, e164="+46771793400")
    for method, body in (("POST", {"e164": MINE}), ("PATCH", {"e164": MINE})):
        path = f"{house.other}/numbers" + (f"/{id_ + 1}" if method == "PATCH" else "")
        assert house.refused(method, path, body, 409) == "e164"
    assert house.numbers(house.own) == []


def test_ranges_are_sound(house: House) -> None:
    path = f"{house.other}/allotments"
    for first, last, status, field in (
            (MINE, MINE, 409, "first"), ("+46771793200", FIRST, 409, "first"),
            (LAST, "+46771793500", 409, "first"), ("+46771793000", "+46771793999", 409, "first"),
            ("+46771793999", "+46771793500", 422, "last"),
            ("+46771793500", "+467717935000", 422, "last"),
            ("+46700000000", "+46799999999", 422, "last"),
            ("+460771793500", "+460771793500", 422, "first"),
            ("4677", FIRST, 422, "first")):
        assert house.refused("POST", path, {"first": first, "last": last}, status) == field
    house.made(house.other, "allotments", first="+46771793400", last="+46771793499")
    assert house.refused("PATCH", f"{house.own}/allotments/{house.range['id']}",
                         {"last": "+46771793400"}, 409) == "first"


def test_nothing_is_taken_away_that_the_company_still_has(house: House) -> None:
    number = house.made(house.own, "numbers", house.key, e164=MINE)["id"]
    path = f"{house.own}/allotments/{house.range['id']}"
    assert house.refused("DELETE", path, None, 409) == "first"
    assert house.refused("PATCH", path, {"last": "+46771793335"}, 409) == "first"
    house.api.ask("PATCH", path, {"first": MINE, "last": MINE})
    for method, body in (("PATCH", {"last": LAST}), ("DELETE", None)):
        house.refused(method, path, body, 403, house.key)
    house.refused("POST", f"{house.own}/allotments", {"first": FIRST, "last": FIRST}, 403,
                  house.key)
    house.refused("GET", "/allotments", None, 403, house.key)
    assert house.api.ask("GET", path, key=house.key)["first"] == MINE
    house.api.ask("DELETE", f"{house.own}/numbers/{number}", status=204)
    house.api.ask("DELETE", path, status=204)
    house.made(house.other, "numbers", e164=MINE)


def test_a_company_does_not_get_back_what_was_taken_away(house: House) -> None:
    """By going back to a revision in which it had it."""
    number = house.made(house.own, "numbers", house.key, e164=MINE)["id"]
    then = house.api.ask("GET", "/health")["revision"]
    house.api.ask("DELETE", f"{house.own}/numbers/{number}", status=204)
    house.api.ask("DELETE", f"{house.own}/allotments/{house.range['id']}", status=204)
    for revision, body in ((then, {"to": str(then)}), (then + 2, {}), (then + 1, {})):
        house.api.ask("POST", f"{house.own}/revisions/{revision}/revert", body,
                      403 if revision == then + 2 else 422, house.key)
    assert house.numbers(house.own) == []
    assert house.api.ask("GET", f"{house.own}/allotments")["items"] == []


def test_a_port_has_its_date(house: House) -> None:
    """What comes is allotted then, and what goes is taken away with its numbers."""
    number = house.made(house.own, "numbers", house.key, e164=MINE)["id"]
    day = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    at = {"Effective-From": f"{day:%Y-%m-%dT%H:%M:%S%z}"}
    gone = house.api.http.post(f"{house.own}/batch", headers=at, json={"operations": [
        {"method": "DELETE", "path": f"/v1{house.own}/numbers/{number}"},
        {"method": "DELETE", "path": f"/v1{house.own}/allotments/{house.range['id']}"}]})
    come = house.api.http.post(f"{house.other}/allotments", headers=at, json={
        "first": "+46840000000", "last": "+46840000099"})
    assert (gone.status_code, come.status_code) == (202, 202), (gone.text, come.text)
    assert house.numbers(house.own) == [MINE]
    house.refused("POST", f"{house.other}/numbers", {"e164": "+46840000001"}, 422,
                  house.other_key)


def test_numbers_of_before_belong_to_the_company_that_has_them(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as db:
        migrations.apply(Database(db), stop_before="m020_allotment")
        db.execute("INSERT INTO tenant (id, name, country, language, time_zone, foreign_number, "
                   "activity_end, barred, media) VALUES (7, 'T', 'SE', 'sv', 'UTC', '', '', 0, '')")
        db.execute("INSERT INTO number (tenant, e164, kind, record) VALUES (7, ?, 'extra', 0)",
                   (MINE,))
        migrations.apply(Database(db))
        assert db.execute("SELECT tenant, first, last FROM allotment").fetchall() == [
            (7, MINE, MINE)]
