"""Keys pressed by callers: from every media node to the process that owns the call.

A node reports each press as one JSON datagram to one address (--dtmf-log-dest). Call-ids begin
with the number of the process that made them ("2.3f…"), so a forwarder without any memory can pass
each report on: nothing in it can fill up, and it may be killed and started at any time. A PING is
answered with a PONG.

python -m rtp.keys --listen PORT --to PORT [PORT ...]      the first port is that of process 0
"""

import argparse
import json
import re
import socket
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

#: A report is some 300 bytes, and has a tag per branch of the call.
MAX_BYTES: Final = 8192
DIGITS: Final = "0123456789*#ABCD"
MAX_DURATION_MS: Final = 60_000
#: A question whether it is there, and its answer.
PING: Final = b"ping"
PONG: Final = b"pong"
_OWNER: Final = re.compile(rb'"callid":"(\d{1,4})\.')


class Key(NamedTuple):
    """A key that was pressed and let go of."""

    call_id: str
    party: str
    digit: str
    duration_ms: int


def owner(datagram: bytes) -> int:
    """The number of the process that owns the call; -1 = nobody's."""
    found = _OWNER.search(datagram[:MAX_BYTES])
    return int(found[1]) if found else -1


def read(datagram: bytes) -> Key | None:
    """The press that a node reports, None when it is no such report."""
    if len(datagram) > MAX_BYTES:
        return None
    try:
        said = json.loads(datagram)
        event, duration = said["event"], said["duration"]
        call_id, party = said["callid"], said["source_tag"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not (isinstance(call_id, str) and isinstance(party, str) and isinstance(event, int)
            and isinstance(duration, int) and 0 <= event < len(DIGITS)):
        return None
    return Key(call_id, party, DIGITS[event], min(max(duration, 0), MAX_DURATION_MS))


def pass_on(incoming: socket.socket, ports: Sequence[int], host: str = "127.0.0.1") -> bool:
    """Pass one report on; whether it had an owner. A process that is away loses it."""
    try:
        datagram, sender = incoming.recvfrom(MAX_BYTES)
        if datagram == PING:
            incoming.sendto(PONG, sender)
    except OSError:  # what a closed port answered to the last one
        return False
    number = owner(datagram)
    if not 0 <= number < len(ports):
        return False
    try:
        incoming.sendto(datagram, (host, ports[number]))
    except OSError:
        return False
    return True


def main(arguments: Sequence[str]) -> int:
    """Pass on until killed."""
    parser = argparse.ArgumentParser(prog="rtp.keys")
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--to", type=int, nargs="+", required=True)
    chosen = parser.parse_args(arguments)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as incoming:
        incoming.bind(("127.0.0.1", chosen.listen))
        while True:
            pass_on(incoming, chosen.to)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
