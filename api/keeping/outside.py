"""HTTP to others: to strangers' webhooks, at public addresses only, and to the operator's gateway.

A name is looked up once, its addresses are checked, and the one that was checked is connected to,
so that a name cannot mean another one a moment later. Redirections are not followed. An answer has
a time and a size.
"""

import asyncio
import contextlib
import functools
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, NamedTuple, Self

import httpx

TIMEOUT_S: Final = 10.0
#: How long, after its status is known, the rest of an answer is waited for.
REST_S: Final = 2.0
#: What is read of an answer, and what is kept.
READ_BYTES, KEEP_CHARACTERS = 4096, 500
#: Below 1024 are other protocols' ports, which would take a webhook for their own.
WEB_PORTS: Final = frozenset({80, 443})

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NotSent(Exception):
    """Why something could not be sent. status: of the answer, 0 when there was none; final: it is
    of no use to try again."""

    def __init__(self, why: str, final: bool = False, status: int = 0) -> None:
        super().__init__(why)
        self.final = final
        self.status = status


class Answer(NamedTuple):
    """What the other side said, with the beginning of its body."""

    status: int
    reason: str
    text: str
    took_ms: int


#: Slow name servers of strangers keep nobody else's work waiting.
_RESOLVERS: Final = ThreadPoolExecutor(16, "resolver")


async def resolve(name: str, port: int) -> list[str]:
    """The addresses of a name."""
    found = await asyncio.get_running_loop().run_in_executor(
        _RESOLVERS, functools.partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM))
    return [str(info[4][0]) for info in found]


class Outside:
    """The rules. private: any address will do, as in tests and inside a company."""

    def __init__(self, *, private: bool = False, resolve: Resolve = resolve,
                 tls: ssl.SSLContext | None = None) -> None:
        self.private = private
        self.resolve = resolve
        self.tls = tls or httpx.create_ssl_context(trust_env=False)

    def line(self, url: str, *, private: bool = False) -> "Line":
        """async with outside.line(url) as line: ..."""
        return Line(self, url, private or self.private)


class Line:
    """One connection to one URL, at the address that was checked for it."""

    def __init__(self, outside: Outside, url: str, private: bool) -> None:
        self._outside = outside
        self._given = url
        self._private = private
        self._url: httpx.URL | None = None
        self._name = self._host = ""
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=outside.tls,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            headers={"User-Agent": "vaxel", "Accept-Encoding": "identity"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _type: type[BaseException] | None, _value: BaseException | None,
                        _trace: TracebackType | None) -> None:
        await self._http.aclose()

    async def post(self, body: bytes, headers: dict[str, str],
                   timeout_s: float = TIMEOUT_S) -> Answer:
        """Send it, and its answer, whatever that is; NotSent when there is none."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                url = self._url or await self._check()
                answer = await self._http.send(
                    self._http.build_request("POST", url, content=body,
                                             headers=headers | {"Host": self._host},
                                             extensions={"sni_hostname": self._name}), stream=True)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise NotSent(f"not an address: {error}", final=True) from error
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            raise NotSent(f"{type(error).__name__} {error}".strip()) from error
        took_ms = round((time.monotonic() - began) * 1000)
        text = await _beginning(answer)
        return Answer(answer.status_code, answer.reason_phrase, text, took_ms)

    async def _check(self) -> httpx.URL:
        """The URL with an address in place of the name."""
        url = httpx.URL(self._given)
        self._name, self._host = url.raw_host.decode(), url.netloc.decode()
        port = url.port or (443 if url.scheme == "https" else 80)
        if not self._private and port < 1024 and port not in WEB_PORTS:
            raise NotSent(f"webhooks do not lead to port {port}", final=True)
        addresses = await self._outside.resolve(self._name, port)
        if not addresses:
            raise NotSent(f"{self._name} has no address")
        if not self._private:
            for address in addresses:
                if not is_public(address) or _is_own(address, port):
                    raise NotSent(f"{self._name} is {address}, which is not a public address")
        self._url = url.copy_with(host=addresses[0])
        return self._url


async def _beginning(answer: httpx.Response) -> str:
    """Of the body; what is longer or slower is left."""
    found = b""
    with contextlib.suppress(httpx.HTTPError, OSError, TimeoutError):
        async with asyncio.timeout(REST_S):
            async for part in answer.aiter_raw():
                found += part
                if len(found) >= READ_BYTES:
                    break
    with contextlib.suppress(httpx.HTTPError, OSError):
        await answer.aclose()
    return found[:READ_BYTES].decode(errors="replace")[:KEEP_CHARACTERS]


def is_public(address: str) -> bool:
    """Whether anybody on the Internet could connect to it, so that we may for a stranger."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and int(ip) >> 32 in _WITH_IPV4:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


#: IPv6 networks of 96 bits that have an IPv4 address behind them: NAT64, and the old "compatible".
_WITH_IPV4: Final = frozenset({int(ipaddress.ip_address("64:ff9b::")) >> 32, 0})


def _is_own(address: str, port: int) -> bool:
    """Whether it is an address of this machine: what we would send from is the same."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, port))
        return bool(probe.getsockname()[0] == address)
    return False
