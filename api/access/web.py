"""HTTP to a server that a customer named: only where anybody on the Internet could connect to."""

import functools
import ssl
from collections.abc import AsyncIterator
from typing import Final

import httpx

from api.keeping.outside import is_public, resolve

MAX_ANSWER: Final = 256 << 10
TIMEOUT_S: Final = 10.0


@functools.cache
def _tls() -> ssl.SSLContext:
    """Reading all authorities takes a while."""
    return httpx.create_ssl_context(trust_env=False)


class _Bounded(httpx.AsyncByteStream):
    """An answer of a bounded length."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for part in self._stream:
            length += len(part)
            if length > MAX_ANSWER:
                raise httpx.ReadError("the answer is too long")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class PublicOnly(httpx.AsyncBaseTransport):
    """A name is looked up once, all its addresses are checked, and one of them is used: so that it
    cannot mean another one a moment later. private: any address, and plain HTTP."""

    def __init__(self, private: bool) -> None:
        self._private = private
        # A connection is not kept: one that was checked for one name must not serve another.
        self._inner = httpx.AsyncHTTPTransport(
            verify=_tls(),
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """httpx.ConnectError when it may not be."""
        name = request.url.raw_host.decode()
        if not self._private and request.url.scheme != "https":
            raise httpx.ConnectError(f"{name}: only https")
        address = await self._address(name, request.url.port or (
            443 if request.url.scheme == "https" else 80))
        # The Host header was made of the name.
        answer = await self._inner.handle_async_request(httpx.Request(
            request.method, request.url.copy_with(host=address), headers=request.headers,
            stream=request.stream, extensions=request.extensions | {"sni_hostname": name}))
        if answer.headers.get("content-encoding", "identity") != "identity":
            await answer.aclose()
            raise httpx.DecodingError("a compressed answer was not asked for")
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        answer.stream = _Bounded(answer.stream)
        return answer

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()

    async def _address(self, name: str, port: int) -> str:
        try:
            addresses = await resolve(name, port)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"{name}: {error}") from error
        if not self._private:
            for address in addresses:
                if not is_public(address):
                    raise httpx.ConnectError(f"{name} is {address}, which is no public address")
        return addresses[0]


def client(private: bool) -> httpx.AsyncClient:
    """Follows no redirection, uses no proxy of the environment."""
    return httpx.AsyncClient(
        transport=PublicOnly(private), timeout=TIMEOUT_S, follow_redirects=False, trust_env=False,
        headers={"User-Agent": "vaxel", "Accept-Encoding": "identity",
                 "Accept": "application/json"})
