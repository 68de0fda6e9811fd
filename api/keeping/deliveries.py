"""Sends what is queued: mails through the operator's server, SMS through the operator's gateway,
webhook calls over HTTP.

At least once: when the keeper is killed between sending and writing that down, it sends again, with
the same Message-ID or Idempotency-Key. A failure is tried again after 30 s, then after twice as
long each time, at most an hour, and given up after a day; the error stays with the delivery.
"""

import asyncio
import contextlib
import email.message
import email.policy
import email.utils
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiosmtplib
import msgspec
import structlog

from api.keeping.letters import about_callback
from api.keeping.outside import Answer, NotSent, Outside
from api.keeping.retries import GIVE_UP_MS, retry_ms
from store import NotFound, SqliteStore
from store.model import CallbackMenu, Delivery, Service

log = structlog.get_logger()

AT_ONCE, AT_ONCE_OF_A_TENANT = 16, 4
#: What waits for a setting is looked at again so often.
UNSET_MS: Final = 300_000
WEBHOOK_TIMEOUT_S, MAIL_TIMEOUT_S = 10.0, 60.0
KEEP_DONE_MS: Final = 30 * 24 * 3_600_000


class Unset(Exception):
    """The operator has not said how to send this."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Deliveries:
    """async with Deliveries(state, store, settings) as deliveries: deliveries.start_due()

    settings: smtp_host, smtp_port, mail_from, sms_url, sms_secret, sms_sender,
    webhooks_to_private.
    """

    def __init__(self, state: Path, store: SqliteStore, settings: dict[str, Any],
                 now_ms: Callable[[], int] = _now_ms) -> None:
        self.state = state
        self.store = store
        self.settings = settings
        self.now_ms = now_ms
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._tenants: Counter[int] = Counter()
        self.outside = Outside(private=settings.get("webhooks_to_private", False))

    async def __aenter__(self) -> "Deliveries":
        return self

    async def __aexit__(self, *_error: object) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
            match delivery.kind:
                case "mail":
                    await self._mail(delivery)
                case "sms":
                    await self._sms(delivery)
                case "webhook":
                    await self._webhook(delivery)
            self.store.delivery_done(delivery.id, self.now_ms())
        except Unset as error:
            now = self.now_ms()
            late = delivery.kind == "sms" and now - delivery.created_ms > GIVE_UP_MS
            self.store.delivery_failed(delivery.id, str(error), tried=False,
                                       next_ms=now + UNSET_MS, given_up_ms=now if late else 0)
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
        next_ms = now + retry_ms(delivery.tries)
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

    # -- SMS ----------------------------------------------------------------------------------

    async def _sms(self, delivery: Delivery) -> None:
        """To the gateway, which is the operator's and may be anywhere."""
        url = self.settings.get("sms_url", "")
        sender = delivery.subject or self.settings.get("sms_sender", "")
        for name, value in (("sms_url", url), ("sms_sender", sender)):
            if not value:
                raise Unset(f"no {name} in the settings: SMS wait for it for a day")
        secret = self.settings.get("sms_secret", "")
        answer = await self._post(
            url, delivery, {"from": sender, "to": delivery.to, "text": str(delivery.body),
                            "id": _id(delivery)},
            {"Authorization": f"Bearer {secret}"} if secret else {}, private=True)
        if answer.status // 100 != 2:
            final = answer.status // 100 == 4 and answer.status not in (408, 429)
            raise NotSent(f"{answer.status} {answer.reason}: {answer.text}", final=final)

    # -- webhooks -----------------------------------------------------------------------------

    async def _webhook(self, delivery: Delivery) -> None:
        answer = await self._post(delivery.to, delivery, delivery.body, {})
        if answer.status // 100 == 3:
            raise NotSent(f"{answer.status}: redirections are not followed")
        if answer.status // 100 != 2:
            raise NotSent(f"{answer.status} {answer.reason}")

    async def _post(self, url: str, delivery: Delivery, body: Any, headers: dict[str, str],
                    private: bool = False) -> Answer:
        async with self.outside.line(url, private=private) as line:
            return await line.post(msgspec.json.encode(body), {
                "Content-Type": "application/json", "Idempotency-Key": _id(delivery)} | headers,
                WEBHOOK_TIMEOUT_S)


def _id(delivery: Delivery) -> str:
    """The same for every try."""
    return f"vaxel-{delivery.created_ms}-{delivery.id}"
