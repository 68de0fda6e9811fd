"""Very many connections to the edge from one address, which come again when they are closed: run
as a process of its own, python -m tests.edge.attack.crowd '{"address": ..., ...}', until its
standard input ends. It says when it has tried so many as are wanted.
"""

import contextlib
import json
import os
import resource
import selectors
import socket
import ssl
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from tests.edge.attack.streams import handshake
from tests.exchange import ROOT, Exchange

#: The beginning of a ClientHello (RFC 8446 section 5.1): the rest never comes.
HALF_HELLO = bytes.fromhex("16030102000100")
DRIPPED = b"OPTIONS sip:vaxel.local SIP/2.0\r\nX: " + b"x" * 4000
DRIP_S = 0.4
#: Opened between two looks at what was closed.
AT_ONCE = 200
KINDS = ("idle", "drip", "websocket", "half", "tls")


class Crowd:
    """The connections."""

    def __init__(self, chosen: dict[str, Any]) -> None:
        self.chosen = chosen
        self.open: dict[str, set[socket.socket]] = {kind: set() for kind in KINDS}
        self.selector = selectors.DefaultSelector()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.begun = self.dripped = 0
        # Until when those that were closed stay away.
        self.gone = deque((0.0, kind) for kind, count in chosen["counts"].items()
                          for _ in range(count))

    def run(self) -> None:
        """Until nobody wants it any more."""
        self.selector.register(sys.stdin, selectors.EVENT_READ, "")
        drip = time.monotonic() + DRIP_S
        while True:
            now = time.monotonic()
            for _ in range(AT_ONCE):
                if not self.gone or self.gone[0][0] > now:
                    break
                self.begin(self.gone.popleft()[1])
                if self.begun == sum(self.chosen["counts"].values()):
                    print("begun", flush=True)
            for key, mask in self.selector.select(0.01):
                if not key.data:
                    return
                self.happened(key.fileobj, key.data, mask)  # type: ignore[arg-type]
            if time.monotonic() > drip:
                drip = time.monotonic() + DRIP_S
                for stream in list(self.open["drip"]):
                    self.say(stream, "drip", DRIPPED[self.dripped:self.dripped + 1])
                self.dripped += 1

    def begin(self, kind: str) -> None:
        """One more."""
        self.begun += 1
        stream = socket.socket()
        stream.setblocking(False)
        stream.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        stream.bind((self.chosen["source"], 0))
        stream.connect_ex((self.chosen["address"], self.chosen[
            "tls_port" if kind in ("half", "tls") else "sip_port"]))
        self.open[kind].add(stream)
        self.selector.register(stream, selectors.EVENT_WRITE, kind)

    def happened(self, stream: socket.socket, kind: str, mask: int) -> None:
        """It is open, goes on, or was closed."""
        if kind == "tls":
            self.shake_hands(stream)
        elif mask & selectors.EVENT_WRITE:
            self.selector.modify(stream, selectors.EVENT_READ, kind)
            first = {"websocket": handshake("vaxel.local"), "half": HALF_HELLO}
            self.say(stream, kind, first.get(kind, b""))
        else:
            with contextlib.suppress(BlockingIOError):
                try:
                    ended = not stream.recv(4096)
                except ConnectionError:
                    ended = True
                if ended:
                    self.over(stream, kind)

    def shake_hands(self, stream: socket.socket) -> None:
        """A whole TLS handshake, and nothing after it."""
        wanted = selectors.EVENT_READ
        try:
            if not isinstance(stream, ssl.SSLSocket):
                self.selector.unregister(stream)
                self.open["tls"].discard(stream)
                stream = self.context.wrap_socket(stream, do_handshake_on_connect=False)
                self.open["tls"].add(stream)
                self.selector.register(stream, selectors.EVENT_READ, "tls")
            stream.do_handshake()
            if not stream.recv(4096):
                self.over(stream, "tls")
                return
        except ssl.SSLWantWriteError:
            wanted = selectors.EVENT_WRITE
        except ssl.SSLWantReadError:
            pass
        except OSError:
            self.over(stream, "tls")
            return
        self.selector.modify(stream, wanted, "tls")

    def say(self, stream: socket.socket, kind: str, data: bytes) -> None:
        """Some bytes, or none."""
        try:
            stream.send(data)
        except BlockingIOError:
            pass
        except OSError:
            self.over(stream, kind)

    def over(self, stream: socket.socket, kind: str) -> None:
        """It was closed."""
        with contextlib.suppress(KeyError):
            self.selector.unregister(stream)
        if stream in self.open[kind]:
            self.open[kind].remove(stream)
            self.gone.append((time.monotonic() + self.chosen["again_s"], kind))
        stream.close()


@contextlib.contextmanager
def crowd(exchange: Exchange, source: str, again_s: float = 0.0, **counts: int) -> Iterator[None]:
    """So many of each kind, while the block lasts. again_s: what is closed comes again after it."""
    settings = exchange.settings
    chosen = {"address": settings.address, "sip_port": settings.sip_port, "source": source,
              "tls_port": settings.tls_port, "counts": counts, "again_s": again_s}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.edge.attack.crowd", json.dumps(chosen)], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    try:
        assert process.stdout.readline(), "no crowd"
        yield
        assert process.poll() is None, "the crowd has gone by itself"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def main() -> None:
    """As a program."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Crowd(json.loads(sys.argv[1])).run()
    os._exit(0)  # without closing thousands one by one


if __name__ == "__main__":
    main()
