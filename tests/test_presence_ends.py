"""Activities end by their time, and are told (catalogue rows P1, P6)."""

import time
from typing import Any

from tests.alone import Alone
from tests.exchange import eventually


def test_an_activity_that_ends_is_told_once() -> None:
    """Also across a restart; one without an end, or of a company that only informs, stays."""
    with Alone() as api:
        people, lunch = {}, {}
        for end in ("available", "inform"):
            path = api.company(activity_end=end)
            lunch[end] = api.ask("POST", f"{path}/activities", {"name": "Lunch"}, 201)["id"]
            people[end] = [f"{path}/users/" + str(api.ask(
                "POST", f"{path}/users", {"name": "A"}, 201)["id"]) for _ in range(2)]
        until = int(time.time()) + 1
        for end, paths in people.items():
            for path, at in zip(paths, (until, 0), strict=True):
                api.ask("PUT", f"{path}/presence", {"activity": lunch[end], "until": at})

        def told() -> list[dict[str, Any]]:
            return [event.data for event in api.store.events(None, limit=1000)
                    if event.kind == "presence" and event.data["source"] == "end"]

        eventually(told, 20)
        api.process.kill()
        api.process.wait()
        api.start()
        (once,) = told()
        user = int(people["available"][0].rpartition("/")[2])
        assert (once["user"], once["activity"], once["until"], once["changed_ms"]) == (
            user, None, 0, until * 1000)
        shown = [api.ask("GET", f"{path}/presence") for path in
                 (*people["available"], *people["inform"])]
        assert [(one["name"], one["source"]) for one in shown] == [
            ("available", "end"), ("Lunch", "api"), ("Lunch", "api"), ("Lunch", "api")]


def test_only_the_exchange_says_that_a_telephone_did_it() -> None:
    with Alone() as api:
        path = api.company()
        user = api.ask("POST", f"{path}/users", {"name": "A"}, 201)["id"]
        where, body = f"{path}/users/{user}/presence", {"activity": None, "source": "code"}
        for role in ("administrator", "machine"):
            assert api.ask("PUT", where, body, 403, api.key_of(path, role))["field"] == "source"
        assert api.ask("PUT", where, body)["source"] == "code"
