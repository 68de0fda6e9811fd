"""What goes on: status, explain, calls, queues, agents, figures, proof, events."""

import argparse
import json
import threading
import time
from datetime import datetime
from typing import Any

from vaxel.commands import tables
from vaxel.commands.common import (
    GOOD,
    REFUSED,
    USAGE,
    CommandError,
    Commands,
    add,
    with_json,
    with_tenant,
)
from vaxel.commands.remote import Remote

EVENTS_WAIT_S = 20
QUARTER_MS = 900_000


def declare(commands: Commands) -> None:
    """The commands."""
    found = add(commands, "status", _status, "say whether everything is up", "vaxel status")
    with_json(found)

    found = add(commands, "explain", _explain, "say where a call would go, line by line", """
        vaxel explain 101 0812345
        vaxel explain +46701234567 +4681002000 --at 2026-12-24T10:00""")
    found.add_argument("caller", metavar="FROM",
                       help="extension (of company 1 without --tenant), device name, trunk:ID "
                            "or outside number")
    found.add_argument("called", metavar="TO", help="as dialled")
    found.add_argument("--at", default="", metavar="TIME", help="2026-03-02T15:30, local time")
    with_tenant(found)
    with_json(found)

    found = add(commands, "calls", _calls, "list the calls in progress, or the last ones", """
        vaxel calls
        vaxel calls --last 20""")
    found.add_argument("--last", type=int, default=0, metavar="N", help="records of the last N")
    with_tenant(found)
    with_json(found)

    found = add(commands, "queues", _queues, "show the queues: who waits, how long, for whom", """
        vaxel queues
        vaxel queues --watch""")
    found.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")
    with_tenant(found)
    with_json(found)

    found = add(commands, "agents", _agents, "show agents, or log them in, out and pause them", """
        vaxel agents
        vaxel agents login 7
        vaxel agents login 7 --queue 3 --queue 4
        vaxel agents pause 7 --reason lunch
        vaxel agents resume 7""")
    found.add_argument("action", nargs="?", default="list",
                       choices=["list", "login", "logout", "pause", "resume"])
    found.add_argument("user", nargs="?", type=int, metavar="USER", help="id of the user")
    found.add_argument("--queue", type=int, action="append", default=[], metavar="ID",
                       help="only this queue; can be repeated")
    found.add_argument("--reason", default="", help="of a pause")
    with_tenant(found)
    with_json(found)

    found = add(commands, "figures", _figures, "show the figures of a queue or an agent", """
        vaxel figures queue 3
        vaxel figures queue 3 --from 2026-03-02T00:00 --to 2026-03-03T00:00
        vaxel figures agent 7""")
    found.add_argument("what", choices=["queue", "agent"])
    found.add_argument("id", type=int, metavar="ID", help="of the queue, or of the agent's user")
    found.add_argument("--from", dest="begin", default="", metavar="TIME",
                       help="a quarter of an hour, local time (default: a day ago)")
    found.add_argument("--to", dest="end", default="", metavar="TIME", help="(default: now)")
    with_tenant(found)
    with_json(found)

    found = add(commands, "proof", _proof, "say what is wrong with a company's routing", """
        vaxel proof --tenant 1""")
    with_tenant(found)
    with_json(found)

    found = add(commands, "events", _events, "print a company's events, one JSON object a line", """
        vaxel events
        vaxel events -f --after 1200""")
    found.add_argument("-f", "--follow", action="store_true", help="and those that come")
    found.add_argument("--after", type=int, default=-1, metavar="SEQ",
                       help="only later ones (default with -f: only new ones)")
    with_tenant(found)


def _status(arguments: argparse.Namespace) -> int:
    body = Remote(arguments).answer("GET", "/health", good=(503,)).json()
    if arguments.json:
        tables.as_json(body)
    else:
        tables.one({name: value for name, value in body.items() if name != "dependencies"})
        tables.rows([{"what": one["name"], "state": one["state"], "problem": one["problem"],
                      "facts": " ".join(f"{name}={value}" for name, value in
                                        one["facts"].items())} for one in body["dependencies"]])
    return GOOD if body["status"] == "ok" else REFUSED


def _explain(arguments: argparse.Namespace) -> int:
    query = {"from": arguments.caller, "to": arguments.called, "at": arguments.at}
    remote = Remote(arguments)
    is_extension = arguments.caller.isdecimal() and len(arguments.caller) <= 6
    if arguments.tenant or is_extension:
        query["tenant"] = str(remote.tenant()) if arguments.tenant else "1"
    body = remote.request("GET", "/explain", **query)
    tables.as_json(body) if arguments.json else print(explanation_text(body))
    return GOOD


def explanation_text(body: dict[str, Any]) -> str:
    """An explanation as lines for a terminal."""
    lines = []
    for number, attempt in enumerate(body["attempts"], 1):
        lines.append(f"{number}. " + ("the call comes in" if number == 1 else "nobody answers"))
        lines += [f"   {tables.plain(line)}" for line in attempt["lines"]]
    return "\n".join([*lines, f"configuration revision {body['revision']}"])


def _clock(ms: Any) -> str:
    return f"{datetime.fromtimestamp(ms / 1000):%Y-%m-%d %H:%M:%S}" if ms else ""


def _calls(arguments: argparse.Namespace) -> int:
    remote = Remote(arguments)
    if arguments.last:
        items = list(remote.pages(remote.under("calls"), arguments.last))
        shown = [{"uid": one["uid"], "began": _clock(one["started_ms"]), "from": one["caller"],
                  "to": one["called"], "outcome": one["outcome"],
                  "wait_s": one["wait_ms"] // 1000, "talk_s": one["talk_ms"] // 1000}
                 for one in items]
    else:
        items = remote.request("GET", remote.under("calls/live"))["items"]
        shown = [{"uid": one["uid"], "state": one["state"],
                  "began": _clock(one.get("began", 0) * 1000), "recording": one["recording"],
                  "sides": ", ".join(f"{side['side']} {side.get('number') or side.get('user')}"
                                     for side in one["sides"])} for one in items]
    tables.as_json(items) if arguments.json else tables.rows(shown)
    return GOOD


def _queues(arguments: argparse.Namespace) -> int:
    remote = Remote(arguments)
    while True:
        items = remote.request("GET", remote.under("queues"))["items"]
        if arguments.json:
            tables.as_json(items)
        else:
            if arguments.watch:
                print("\033[H\033[2J", end="")
            tables.rows([{"queue": one["queue"], "name": one["name"],
                          "closed": one.get("closed") or "open", "waiting": one["waiting"],
                          "longest_s": one["longest_ms"] // 1000, "callbacks": one["callbacks"],
                          "logged_in": one["logged_in"], "free": one["free"]} for one in items])
        if not arguments.watch:
            return GOOD
        threading.Event().wait(1)


def _agents(arguments: argparse.Namespace) -> int:
    remote = Remote(arguments)
    if arguments.action == "list":
        items = remote.request("GET", remote.under("agents"))["items"]
        tables.as_json(items) if arguments.json else tables.rows([
            {"user": one["user"], "name": one["name"], "state": one["state"],
             "reason": one.get("reason") or "", "queues": ", ".join(
                 queue["name"] for queue in one["queues"] if queue.get("logged_in"))}
            for one in items])
        return GOOD
    if arguments.user is None:
        raise CommandError(f"say who: vaxel agents {arguments.action} USER", USAGE)
    if arguments.action == "pause" and not arguments.reason:
        raise CommandError("say why: vaxel agents pause USER --reason lunch", USAGE)
    base = remote.under(f"agents/{arguments.user}")
    if arguments.action in ("login", "logout"):
        body: dict[str, Any] = {"logged_in": arguments.action == "login"}
        body |= {"queues": arguments.queue} if arguments.queue else {}
        answer = remote.request("PUT", f"{base}/login", body)
    elif arguments.action == "pause":
        answer = remote.request("PUT", f"{base}/pause", {"reason": arguments.reason})
    else:
        answer = remote.request("DELETE", f"{base}/pause")
    if arguments.json:
        tables.as_json(answer)
    elif answer:
        tables.one({name: answer.get(name) for name in ("user", "name", "state", "reason")})
    return GOOD


def _moment(text: str, default_ms: int) -> int:
    if not text:
        return default_ms // QUARTER_MS * QUARTER_MS
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError as error:
        raise CommandError(f"{text!r} is no time like 2026-03-02T15:30", USAGE) from error


def _figures(arguments: argparse.Namespace) -> int:
    now_ms = time.time_ns() // 1_000_000
    remote = Remote(arguments)
    query = {"from": _moment(arguments.begin, now_ms - 86_400_000),
             "to": _moment(arguments.end, now_ms)}
    kind = "queues" if arguments.what == "queue" else "agents"
    body = remote.request("GET", remote.under(f"{kind}/{arguments.id}/figures"), **query)
    tables.as_json(body) if arguments.json else tables.one(body["total"])
    return GOOD


def _proof(arguments: argparse.Namespace) -> int:
    remote = Remote(arguments)
    body = remote.request("GET", remote.under("proof"))
    if arguments.json:
        tables.as_json(body)
    else:
        tables.one(body)
    return GOOD


def _events(arguments: argparse.Namespace) -> int:
    remote = Remote(arguments)
    path = remote.under("events")
    after = max(arguments.after, 0)
    if arguments.follow and arguments.after < 0:
        while found := remote.request("GET", path, after=after, limit=1000)["items"]:
            after = found[-1]["seq"]
    while True:
        body = remote.request("GET", path, after=after, limit=1000,
                              wait_s=EVENTS_WAIT_S if arguments.follow else 0)
        for event in body["items"]:
            print(json.dumps(event, ensure_ascii=False), flush=True)
            after = event["seq"]
        if not body["items"] and not arguments.follow:
            return GOOD
