"""What has to be true while the exchange is fuzzed and afterwards."""

import json
import re
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kemi.names import Counter
from tests.edge.attack.fuzzing.fill import SERIAL, STRANGER
from tests.edge.attack.fuzzing.stage import Stage
from tests.exchange import Exchange

PARTS: Final = ("kamailio", "rtpengine", "callcontrol.process", "api.app", "api.keeper")
MB: Final = 1 << 20
#: What a process, and Kamailio's memory, may have more at the end than when the fuzzing began.
#: Call control remembers each of some hundred refused calls a second for a minute.
GROWTH_MB: Final = 250
PRIVATE_GROWTH: Final = 2 * MB
SHARED_GROWTH: Final = 12 * MB
LEAST_FREE: Final = 0.2
#: Calls that may go to a carrier that was not chosen for them.
EMERGENCY: Final = re.compile(r"^\w+ (?:sips?|tel):\+?(?:46)?(?:112|911)[@;]")
#: RTP and RTCP go where a description says, which somebody with a password has made.
MEDIA: Final = re.compile(r"[\x80-\xbf]")
DIED: Final = re.compile(r"process ended|process hangs|cannot be watched|call slots repaired")


class Watch:
    """Looks now and then, and at the end. tell(what, evidence): a fault."""

    def __init__(self, exchange: Exchange, stage: Stage,
                 tell: Callable[[str, list[str]], None]) -> None:
        self.exchange, self.stage, self.tell = exchange, stage, tell
        self.live = exchange.live
        self._pids = self.pids()
        self.before = self.memory()
        self.lowest = 1.0
        self.figures: dict[str, Any] = {}
        self._base = {counter: self.live.counter(counter) for counter in Counter}
        self._alarms = self._media = 0
        self._said = len(self._supervisor())  # what was said before is no fault of ours

    # -- while it runs ------------------------------------------------------------------------

    def look(self) -> None:
        """What is quickly seen; called every second or so."""
        for victim in self.stage.victims:
            came = [text for text in victim.look() if not EMERGENCY.match(text)]
            found = [text for text in came if not MEDIA.match(text)]
            self._media += len(came) - len(found)
            if found:
                self.tell(f"{victim.host} was sent something", found[:3])
        alarms = self.stage.alarms
        if len(alarms) > self._alarms:
            self.tell("a telephone was sent what a stranger wrote", alarms[self._alarms:][:3])
            self._alarms = len(alarms)
        for line in self._supervisor()[self._said:].splitlines():
            if DIED.search(line):
                self.tell("supervisor: " + line.partition('"event":')[2], [line])
        memory = self.rpc("core.shmmem")
        self.lowest = min(self.lowest, memory["free"] / memory["total"])
        if self.lowest < LEAST_FREE:
            self.tell("Kamailio's shared memory is nearly full", [str(memory)])

    def _supervisor(self) -> str:
        return self.exchange.log("vaxel")

    def processes(self) -> None:
        """Whether all are those of the beginning; takes a while."""
        now = self.pids()
        if now != self._pids:
            self.tell("not the processes of before", [f"before {self._pids}", f"now {now}"])

    # -- at the end ---------------------------------------------------------------------------

    def at_the_end(self, draft: Callable[[str], str]) -> None:
        """When all calls are over and their transactions have timed out. draft: the message whose
        serial is in a text."""
        self.look()
        self.processes()
        if raised := self.live.counter(0):
            lines = sorted(set(re.findall(r"exception in the edge: [^\"]*",
                                          self.exchange.log("edge"))))
            self.tell("exceptions in the edge", [f"{raised} in all", *lines])
        left = [str(self.live.call(*one)) for one in self.live.calls()]
        if left:
            self.tell("call slots are left", [one + "\n\n" + draft(one) for one in left[:40]])
        self._records(len(left))
        self._memory()
        self._logs()
        self.figures |= {counter.name.lower(): self.live.counter(counter) - self._base[counter]
                         for counter in Counter if counter is not Counter.CALLS}

    def _records(self, left: int) -> None:
        with sqlite3.connect(f"file:{self.exchange.state / 'vaxel.db'}?mode=ro", uri=True) as db:
            records = db.execute("SELECT count(*) FROM call_record").fetchone()[0]
            made = self.live.counter(Counter.CALLS) - self.live.counter(Counter.NO_SLOT)
            self.figures |= {"calls": made, "records": records}
            if records + left != made:
                self.tell("not one record of each call",
                          [f"{made} calls, {records} records, {left} slots left"])
            for pair in self.stage.pairs:
                for call_id in pair.call_ids:
                    if not left and not db.execute("SELECT count(*) FROM call_record WHERE "
                                                   "call_id = ?", (call_id,)).fetchone()[0]:
                        self.tell("a call of an honest telephone has no record", [call_id])

    def _memory(self) -> None:
        after = self.memory()
        grown = {}
        for name, size in after["rss"].items():
            more = (size - self.before["rss"].get(name, size)) / MB
            part = name.partition(" ")[0]
            grown[part] = max(grown.get(part, 0), round(more))
            if more > GROWTH_MB:
                self.tell(f"{part} has grown", [f"{name}: {more:.0f} MB more"])
        for name, used in after["private"].items():
            if used - self.before["private"].get(name, used) > PRIVATE_GROWTH:
                self.tell("Kamailio's private memory has grown",
                          [f"{name}: {self.before['private'][name]} then, {used} now"])
        more = after["shared"] - self.before["shared"]
        if more > SHARED_GROWTH:
            self.tell("Kamailio's shared memory has grown", [f"{more / MB:.1f} MB more"])
        self.figures |= {
            "shared_mb_more": round(more / MB, 2), "shared_least_free": round(self.lowest, 3),
            "private_kb_more": max((used - self.before["private"].get(name, used)) >> 10
                                   for name, used in after["private"].items()),
            "rss_mb_more": grown}

    def _logs(self) -> None:
        settings = self.exchange.settings
        secrets = {settings.digest_key, settings.api_key, settings.from_key,
                   settings.from_key[:24], *(one.secret for one in self.stage.devices),
                   *(phone.secret for phone in self.stage.phones.values())} - {""}
        size = 0
        for path in sorted(self.exchange.state.glob("logs/*")):
            text = path.read_text(errors="replace")
            size += len(text)
            for secret in secrets:
                if secret in text:
                    self.tell(f"{path.name} has a secret", [_around(text, secret)])
            for word in (SERIAL, STRANGER):
                if word in text:
                    self.tell(f"{path.name} has a stranger's words", [_around(text, word)])
        self.figures["media_at_victims"] = self._media
        self.figures["logs_kb"] = size >> 10

    # -- asking -------------------------------------------------------------------------------

    def pids(self) -> dict[str, list[int]]:
        """The processes by part."""
        return {part: self.exchange.pids(part) for part in PARTS}

    def memory(self) -> dict[str, Any]:
        """Bytes: rss of every process, Kamailio's private memory by process, and shared."""
        rss = {f"{part} {pid}": _rss(pid) for part, pids in self.pids().items() for pid in pids}
        private = {f"{one['desc']} {one['pid']}": one["used"] for one in self.rpc("pkg.stats")}
        return {"rss": rss, "private": private, "shared": self.rpc("core.shmmem")["used"]}

    def rpc(self, method: str, *arguments: Any) -> Any:
        """Kamailio's answer."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.connect(("127.0.0.1", self.exchange.settings.rpc_port))
            sock.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": list(arguments),
                                  "id": 1}).encode())
            return json.loads(sock.recv(1 << 16))["result"]

    def dropped(self) -> int:
        """Datagrams that found the edge's queue full."""
        port = f":{self.exchange.settings.sip_port:04X} "
        return sum(int(line.split()[-1]) for line in Path("/proc/net/udp").read_text().splitlines()
                   if port in line)


def _rss(pid: int) -> int:
    try:
        found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0


def _around(text: str, word: str) -> str:
    at = text.index(word)
    return text[max(at - 150, 0):at + 100]
