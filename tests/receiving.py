"""Other people's servers: one that keeps what it gets, and bad ones."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Got(NamedTuple):
    """A request, with its headers in lower case."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """As JSON."""
        return json.loads(self.raw)


class Receiver:
    """An HTTP server. answer(request): the status; text: what it says besides."""

    def __init__(self, answer: Callable[[Got], int] = lambda _got: 204) -> None:
        receiver = self
        self.answer = answer
        self.text = b""
        self.headers: dict[str, str] = {}
        self.got: list[Got] = []
        self.open = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            """One connection."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Keep it and answer."""
                got = Got(self.path, {name.lower(): value for name, value in self.headers.items()},
                          self.rfile.read(int(self.headers["Content-Length"])))
                receiver.got.append(got)
                self.send_response(receiver.answer(got))
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(receiver.text)))
                self.end_headers()
                self.wfile.write(receiver.text)

            def log_message(self, *_arguments: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """End."""
        self.open.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def ids(self) -> list[str]:
        """The webhook-id of everything, in order."""
        return [got.headers["webhook-id"] for got in self.got]


@contextmanager
def raw_server(talk: Callable[[socket.socket], None],
               tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server whose every connection does as talk() says."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(peer,), daemon=True).start()

    def one(peer: socket.socket) -> None:
        try:
            with (tls.wrap_socket(peer, server_side=True) if tls else peer) as connection:
                connection.settimeout(5)
                talk(connection)
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.close()
