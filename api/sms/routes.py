"""SMS out (X8)."""

from typing import Final

import phonenumbers

from api.http.errors import Problem, invalid, no_such
from api.http.route import Call, route
from api.sms.segments import segments
from api.sms.shapes import SmsBody, SmsShown
from store.model import Delivery

MAX_SEGMENTS: Final = 10
#: (what a company may send, in so many seconds)
LIMITS: Final = ((60, 60), (2000, 86_400))


def _shown(delivery: Delivery) -> SmsShown:
    return SmsShown(
        id=delivery.id, to=delivery.to, sender=delivery.subject, text=str(delivery.body),
        segments=segments(str(delivery.body)), tries=delivery.tries, error=delivery.error,
        state="waiting" if not delivery.done_ms else "failed" if delivery.error else "sent",
        created_ms=delivery.created_ms, done_ms=delivery.done_ms)


@route("POST", "/v1/tenants/{tenant}/sms", "sms:write", body=SmsBody, answer=SmsShown, status=202)
async def send(call: Call) -> SmsShown:
    """Send an SMS. It goes out at once, and is tried again for a day when the gateway does not take
    it. A company may send 60 a minute and 2000 a day."""
    body: SmsBody = call.body
    if not phonenumbers.is_possible_number(phonenumbers.parse(body.to)):
        raise invalid("to", "there are no such numbers")
    if segments(body.text) > MAX_SEGMENTS:
        raise invalid("text", f"longer than {MAX_SEGMENTS} messages")
    if body.sender and body.sender != call.parts.settings.get("sms_sender", "") \
            and not call.store.find("number", limit=1, tenant=call.tenant, e164=body.sender):
        raise invalid("sender", "a number of the company, or the name that the exchange sends with")

    def work() -> SmsShown:
        for most, seconds in LIMITS:
            if call.store.sms_since(call.tenant, call.now_ms - seconds * 1000) >= most:
                raise Problem(429, "too_many", f"at most {most} SMS in {seconds} s",
                              headers={"Retry-After": str(min(seconds, 3600))})
        return _shown(call.store.add_delivery(Delivery(
            tenant=call.tenant, kind="sms", to=body.to, subject=body.sender, body=body.text,
            created_ms=call.now_ms, next_ms=call.now_ms)))

    sent: SmsShown = await call.keep(work)
    return sent


@route("GET", "/v1/tenants/{tenant}/sms/{sms}", "sms:read", answer=SmsShown)
async def one(call: Call) -> SmsShown:
    """What became of an SMS; known for 30 days."""
    found: Delivery = call.store.delivery(call.id("sms"))
    if (found.tenant, found.kind) != (call.tenant, "sms"):
        raise no_such("SMS")
    return _shown(found)
