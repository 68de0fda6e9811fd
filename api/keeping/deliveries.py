"""Sends what is queued: mails through the operator's server, webhook calls over HTTP.

At least once: when the keeper is killed between sending and writing that down, it sends again, with
the same Message-ID or Idempotency-Key. A failure is tried again after 30 s, then after twice as
long each time, at most an hour, and given up after a day; the error stays with the delivery.
"""

import asyncio
import contextlib
import email.message
import email.policy
import email.utils
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiosmtplib
import httpx
import msgspec
import structlog

from api.keeping.letters import about_callback
from store import NotFound, SqliteStore
from store.model import CallbackMenu, Delivery, Service

log = structlog.get_logger()

AT_ONCE, AT_ONCE_OF_A_TENANT = 16, 4
FIRST_RETRY_MS, LAST_RETRY_MS = 30_000, 3_600_000
GIVE_UP_MS: Final = 24 * 3_600_000
#: What waits for a setting is looked at again so often.
UNSET_MS: Final = 300_000
WEBHOOK_TIMEOUT_S, MAIL_TIMEOUT_S = 10.0, 60.0
KEEP_DONE_MS: Final = 30 * 24 * 3_600_000


class NotSent(Exception):
    """Why a delivery failed. final: it is of no use to try again."""

    def __init__(self, why: str, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Unset(Exception):
    """The operator has not said how to send this."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Deliveries:
    """async with Deliveries(state, store, settings) as deliveries: deliveries.start_due()

    settings: smtp_host, smtp_port, mail_from, webhooks_to_private.
    """

    def __init__(self, state: Path, store: SqliteStore, settings: dict[str, Any],
                 now_ms: Callable[[], int] = _now_ms) -> None:
        self.state = state
        self.store = store
        self.settings = settings
        self.now_ms = now_ms
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._tenants: Counter[int] = Counter()
        # A connection is not kept: one that was checked for one name must not serve another.
        self._http = httpx.AsyncClient(
            timeout=WEBHOOK_TIMEOUT_S, follow_redirects=False, trust_env=False,
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0),
            headers={"User-Agent": "vaxel"})

    async def __aenter__(self) -> "Deliveries":
        return self

    async def __aexit__(self, *_error: object) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.aclose()

    def start_due(self) -> int:
        """Begin to send what is due; the number of deliveries under way."""
        self._tell_callbacks()
        for delivery in self.store.due_deliveries(self.now_ms(),
                                                  per_tenant=2 * AT_ONCE_OF_A_TENANT):
            if len(self._under_way) >= AT_ONCE:
                break
            if delivery.id in self._under_way \
                    or self._tenants[delivery.tenant] >= AT_ONCE_OF_A_TENANT:
                continue
            self._tenants[delivery.tenant] += 1
            self._under_way[delivery.id] = asyncio.get_running_loop().create_task(
                self._send(delivery))
        return len(self._under_way)

    async def settled(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def purge(self) -> None:
        """Forget what was sent long ago."""
        self.store.purge_deliveries(self.now_ms() - KEEP_DONE_MS)

    def _tell_callbacks(self) -> None:
        """Callback requests become mails and webhook calls here: call control only keeps them."""
        for request in self.store.untold_callbacks():
            letters: list[Delivery] = []
            with contextlib.suppress(NotFound):
                service = self.store.get("service", request.service)
                if isinstance(service, Service) and isinstance(service.settings, CallbackMenu):
                    letters = about_callback(request, service, service.settings,
                                             self.store.get("tenant", request.tenant),
                                             self.now_ms())
            self.store.tell_callback(request.id, letters)

    async def _send(self, delivery: Delivery) -> None:
        try:
            if delivery.kind == "mail":
                await self._mail(delivery)
            else:
                await self._webhook(delivery)
            self.store.delivery_done(delivery.id, self.now_ms())
        except Unset as error:
            self.store.delivery_failed(delivery.id, str(error), tried=False,
                                       next_ms=self.now_ms() + UNSET_MS)
        except NotSent as error:
            self._failed(delivery, str(error), error.final)
        except Exception as error:
            log.exception("delivery failed", delivery=delivery.id)
            self._failed(delivery, f"{type(error).__name__}: {error}", final=False)
        finally:
            del self._under_way[delivery.id]
            self._tenants[delivery.tenant] -= 1

    def _failed(self, delivery: Delivery, error: str, final: bool) -> None:
        now = self.now_ms()
        next_ms = now + min(FIRST_RETRY_MS << min(delivery.tries, 20), LAST_RETRY_MS)
        given_up = final or next_ms - delivery.created_ms > GIVE_UP_MS
        log.warning("delivery failed", delivery=delivery.id, tenant=delivery.tenant, error=error,
                    given_up=given_up)
        self.store.delivery_failed(delivery.id, error, next_ms=next_ms,
                                   given_up_ms=now if given_up else 0)

    # -- mail ---------------------------------------------------------------------------------

    async def _mail(self, delivery: Delivery) -> None:
        host, sender = self.settings.get("smtp_host", ""), self.settings.get("mail_from", "")
        for name, value in (("smtp_host", host), ("mail_from", sender)):
            if not value:
                raise Unset(f"no {name} in settings.json: mail waits for it")
        port = int(self.settings.get("smtp_port", 25))
        domain = sender.rpartition("@")[2] or "localhost"
        letter = await asyncio.to_thread(self._letter, delivery, sender, domain)
        local = host in ("localhost", "127.0.0.1", "::1")
        try:
            async with asyncio.timeout(MAIL_TIMEOUT_S):
                await aiosmtplib.send(
                    letter, sender=sender, recipients=[delivery.to], hostname=host, port=port,
                    use_tls=port == 465, local_hostname=domain, timeout=MAIL_TIMEOUT_S,
                    start_tls=False if local or port == 465 else None)
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            raise NotSent(f"{first.code} {first.message}", final=first.code >= 500) from error
        except aiosmtplib.SMTPResponseException as error:
            raise NotSent(f"{error.code} {error.message}", final=error.code >= 500) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise NotSent(f"{host}:{port}: {type(error).__name__} {error}") from error

    def _letter(self, delivery: Delivery, sender: str, domain: str) -> email.message.EmailMessage:
        letter = email.message.EmailMessage(policy=email.policy.SMTP)
        letter["From"] = sender
        letter["To"] = delivery.to
        letter["Subject"] = delivery.subject
        letter["Date"] = email.utils.formatdate(delivery.created_ms / 1000)
        letter["Message-ID"] = f"<vaxel-{delivery.created_ms}-{delivery.id}@{domain}>"
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        letter.set_content(str(delivery.body or ""))
        path = self.state / delivery.attachment
        if delivery.attachment and path.exists():
            letter.add_attachment(path.read_bytes(), maintype="audio", subtype="flac",
                                  filename=path.name)
        return letter

    # -- webhooks -----------------------------------------------------------------------------

    async def _webhook(self, delivery: Delivery) -> None:
        try:
            async with asyncio.timeout(WEBHOOK_TIMEOUT_S):
                url = httpx.URL(delivery.to)
                name = url.raw_host.decode()
                address = await self._address(name, url.port or (443 if url.scheme == "https"
                                                                 else 80))
                request = self._http.build_request(
                    "POST", url.copy_with(host=address),
                    content=msgspec.json.encode(delivery.body),
                    headers={"Host": url.netloc.decode(), "Content-Type": "application/json",
                             "Idempotency-Key": f"vaxel-{delivery.created_ms}-{delivery.id}"},
                    extensions={"sni_hostname": name})
                answer = await self._http.send(request, stream=True)
                await answer.aclose()
        except (httpx.InvalidURL, UnicodeError) as error:
            raise NotSent(f"not an address: {error}", final=True) from error
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            raise NotSent(f"{type(error).__name__} {error}".strip()) from error
        if answer.is_redirect:
            raise NotSent(f"{answer.status_code}: redirections are not followed")
        if not answer.is_success:
            raise NotSent(f"{answer.status_code} {answer.reason_phrase}")

    async def _address(self, name: str, port: int) -> str:
        """The address to connect to: looked up once, checked, and used, so that a name cannot mean
        another one a moment later. NotSent."""
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
        addresses = [str(info[4][0]) for info in found]
        if not self.settings.get("webhooks_to_private", False):
            for address in addresses:
                if not is_public(address):
                    raise NotSent(f"{name} is {address}, which is not a public address")
        return addresses[0]


def is_public(address: str) -> bool:
    """Whether anybody on the Internet could connect to it, so that we may for a stranger."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
