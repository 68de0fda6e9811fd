"""The user agent: legs, as the rest of call control sees them. One leg is one SIP dialog with the
edge; what it is told and what it reports has no SIP in it but codes and session descriptions.

A leg reports to whoever holds it by `leg.on(event)`, in order, from the asyncio loop. After Ended
or Refused it reports nothing. A leg that is not answered, refused or hung up by its holder stays:
so a holder ends what it was given (`callcontrol/call.py` sees to it).
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from callcontrol.sofia.body import SDP_TYPE, key_of, sdp_of
from callcontrol.sofia.stack import Kind, Op, Record, Stack, Tag, Text

#: A leg that was hung up and about which the stack says nothing more is forgotten after it: twice
#: the longest a SIP transaction lasts (64 × T1 = 32 s, RFC 3261 section 17.1.1.2).
FORGET_S: Final = 64.0
#: For an answer to an offer within a call.
OFFER_S: Final = 10.0
OFFER_TRIES: Final = 4
#: Two numbers of at most 19 digits.
MAX_ANSWERER: Final = 39


class State(IntEnum):
    """Of a leg."""

    CALLING = 1  # we call, or are called, and nobody has answered
    UP = 2
    OVER = 3


class Progress(NamedTuple):
    """The called side rings; sdp when it sends audio already."""

    code: int
    sdp: str | None


class Answered(NamedTuple):
    """The called side has answered. user, device: of the exchange, 0 = somebody outside."""

    sdp: str
    user: int = 0
    device: int = 0


class Confirmed(NamedTuple):
    """Our answer has arrived (ACK); with an SDP when our 200 made the offer."""

    sdp: str | None


class Refused(NamedTuple):
    """The called side will not, or cannot be reached."""

    code: int
    phrase: str
    decision: str = ""  # the edge's signed words, when the exchange wants something else done


class Ended(NamedTuple):
    """The other side has hung up, or cancelled its call, or was lost."""

    cancelled: bool = False


class Offered(NamedTuple):
    """The other side wants other media: hold, resume, another codec. Answer with accept()."""

    sdp: str | None


class Referred(NamedTuple):
    """The other side asks to be transferred away (RFC 3515). replaces: the dialog to take over."""

    user: str
    replaces: "Dialog | None"
    cseq: int


class Pressed(NamedTuple):
    """A key by SIP INFO (application/dtmf-relay or dtmf)."""

    key: str


LegEvent = Progress | Answered | Confirmed | Refused | Ended | Offered | Referred | Pressed


class Dialog(NamedTuple):
    """A dialog's name (RFC 3261 section 12), tags as we see them."""

    call_id: str
    local: str
    remote: str


class Incoming(NamedTuple):
    """What an INVITE to us says. decision: the edge's signed words; replaces: RFC 3891."""

    called: str
    caller: str
    caller_name: str
    sdp: str | None
    decision: str
    replaces: Dialog | None


class OfferRefused(Exception):
    """The other side does not take the media that we offered it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"offer refused: {code}")
        self.code = code


class Party(Protocol):
    """What call control needs of a leg; tests bring their own."""

    on: Callable[[LegEvent], None]
    state: State
    at_end: Callable[[], None] | None  # once, when it is over, whoever ended it
    gone: bool  # over for the other side, too: it has answered our CANCEL or BYE

    def ring(self, sdp: str | None = None) -> None: ...
    def answer(self, sdp: str) -> None: ...
    def accept(self, sdp: str) -> None: ...
    def reject_offer(self, code: int) -> None: ...
    def hang_up(self, code: int = 480, reason: str = "") -> None: ...
    async def offer(self, sdp: str) -> str: ...
    def identify(self, headers: tuple[str, ...]) -> None: ...
    def notify_transfer(self, cseq: int, code: int, phrase: str, last: bool) -> None: ...


def _deaf(_event: LegEvent) -> None:
    """For a leg that nobody holds yet."""


class Leg:
    """One side of a call."""

    def __init__(self, agent: "UserAgent", number: int, called: bool) -> None:
        self._agent = agent
        self._stack = agent.stack
        self.number = number
        self.called = called  # the other side called us
        self.state = State.CALLING
        self.on: Callable[[LegEvent], None] = _deaf
        self.dialog = Dialog("", "", "")
        self.reliable = False
        self.updates = False  # the other side takes an UPDATE (RFC 3311)
        self._reply: asyncio.Future[Record] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.at_end: Callable[[], None] | None = None
        self.gone = False

    def __repr__(self) -> str:
        return f"Leg({self.number}, {self.state.name})"

    # -- what it is told ----------------------------------------------------------------------

    def ring(self, sdp: str | None = None) -> None:
        """Tell the caller that it rings; with sdp, that audio comes (183, reliably if it can)."""
        if self.state is not State.CALLING or not self.called:
            return
        if sdp is None:
            self._stack.send(Op.RESPOND, self.number, 180)
        else:
            self._stack.send(Op.RESPOND, self.number, 183, (
                *_body(sdp), (Tag.EARLY_MEDIA, int(self.reliable))))

    def answer(self, sdp: str) -> None:
        """Answer the caller."""
        if self.state is State.CALLING and self.called:
            self.state = State.UP
            self._stack.send(Op.RESPOND, self.number, 200, _body(sdp))

    def accept(self, sdp: str) -> None:
        """Answer what was Offered."""
        if self.state is State.UP:
            self._stack.send(Op.RESPOND, self.number, 200, _body(sdp))

    def reject_offer(self, code: int) -> None:
        """Do not take what was Offered; the call goes on as it was."""
        if self.state is State.UP:
            self._stack.send(Op.RESPOND, self.number, code)

    def hang_up(self, code: int = 480, reason: str = "") -> None:
        """End it, whatever it is at: refuse with the code, cancel, or BYE. Twice is once."""
        if self.state is State.OVER:
            return
        before = self.state
        self._finish()
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(OfferRefused(481))
        why = ((Tag.REASON, reason),) if reason else ()
        if before is State.UP:
            self._stack.send(Op.BYE, self.number, 0, why)
        elif self.called:
            self._stack.send(Op.RESPOND, self.number, code, why)
        else:
            self._stack.send(Op.CANCEL, self.number, 0, why)
        self._agent.forget_later(self)

    async def offer(self, sdp: str) -> str:
        """Offer the other side other media; its answer. OfferRefused. Glare (491) is tried again
        after a random time (RFC 3261 section 14.1)."""
        for _ in range(OFFER_TRIES):
            if self.state is not State.UP or self._reply is not None:
                raise OfferRefused(481 if self.state is not State.UP else 491)
            self._reply = asyncio.get_running_loop().create_future()
            self._stack.send(Op.INVITE, self.number, 0, _body(sdp))
            try:
                async with asyncio.timeout(OFFER_S):
                    reply = await self._reply
            except TimeoutError:
                raise OfferRefused(408) from None
            finally:
                self._reply = None
            if reply.status == 491:
                await asyncio.sleep(self._agent.random.uniform(0.01, 2.0)
                                    + (0.0 if self.called else 2.1))
                continue
            answer = _sdp(reply) if reply.status < 300 else None
            if answer is None:
                raise OfferRefused(reply.status if reply.status >= 300 else 488)
            return answer
        raise OfferRefused(491)

    def identify(self, headers: tuple[str, ...]) -> None:
        """Tell the other side with whom it talks from now on (RFC 4916), if it takes an UPDATE."""
        if self.state is State.UP and self.updates:
            self._stack.send(Op.UPDATE, self.number, 0,
                             tuple((Tag.HEADER, header) for header in headers))

    def notify_transfer(self, cseq: int, code: int, phrase: str, last: bool) -> None:
        """How far the transfer that it asked for has come (RFC 3515 section 2.4.4)."""
        if self.state is not State.UP:
            return
        self._stack.send(Op.NOTIFY, self.number, 0, (
            (Tag.NEW_SUBSCRIPTION, 1), (Tag.EVENT, f"refer;id={cseq}"),
            (Tag.SUBSTATE, 3 if last else 2),
            (Tag.SUBSCRIPTION, "terminated;reason=noresource" if last else "active;expires=60"),
            (Tag.CONTENT_TYPE, "message/sipfrag;version=2.0"),
            (Tag.PAYLOAD, f"SIP/2.0 {code} {phrase}\r\n")))

    # -- what it hears ------------------------------------------------------------------------

    def heard(self, record: Record) -> None:
        """An event of the stack."""
        kind = record.kind
        if kind == Kind.INVITE_REPLY:
            self._replied(record)
        elif kind == Kind.TERMINATED:
            self._over(Ended())
            self._agent.forget(self)
        elif self.state is State.OVER:
            return
        elif kind == Kind.BYE_IN:
            self._over(Ended())
        elif kind == Kind.CANCELLED:
            self._over(Ended(cancelled=True))
        elif kind == Kind.ACKED:
            self._named(record, True)  # of a call to us, only now is our tag known
            self.on(Confirmed(_sdp(record)))
        elif kind in (Kind.INVITED, Kind.UPDATED):
            self.on(Offered(_sdp(record)))
        elif kind == Kind.REFERRED:
            self.on(Referred((record.text[Text.REFER_USER] or "").partition(";")[0],
                             _replaces(record.text[Text.REFER_HEADERS] or ""), record.cseq))
        elif kind == Kind.INFO_IN:
            key = key_of(record.text[Text.BODY_TYPE] or "", record.text[Text.BODY] or "")
            if key:
                self.on(Pressed(key))

    def _replied(self, record: Record) -> None:
        status = record.status
        if self._reply is not None:
            if status >= 200 and not self._reply.done():
                self._reply.set_result(record)
            return
        if self.called or self.state is not State.CALLING:
            # Answered in spite of our CANCEL: the stack acknowledges, and it is ended here.
            if self.state is State.OVER and not self.called and 200 <= status < 300:
                self._stack.send(Op.BYE, self.number)
            return
        if status < 200:
            if status > 100:
                self.on(Progress(status, _sdp(record)))
        elif status < 300:
            self.state = State.UP
            self.updates = record.updates
            self._named(record, False)
            self.on(Answered(_sdp(record) or "", *_answerer(record.text[Text.ANSWERER] or "")))
        else:
            self._finish()
            self.on(Refused(status, record.text[Text.PHRASE] or "",
                            record.text[Text.DECISION] or ""))
            self._agent.forget(self)

    def _named(self, record: Record, theirs: bool) -> None:
        """By a request of theirs or the answer to one of ours."""
        text = record.text
        local, remote = text[Text.FROM_TAG] or "", text[Text.TO_TAG] or ""
        if theirs:
            local, remote = remote, local
        self._agent.rename(self, Dialog(text[Text.CALL_ID] or "", local, remote))

    def _finish(self) -> None:
        self.state = State.OVER
        at_end, self.at_end = self.at_end, None
        if at_end is not None:
            at_end()

    def _over(self, event: Ended) -> None:
        if self.state is not State.OVER:
            self._finish()
            if self._reply is not None and not self._reply.done():
                self._reply.set_exception(OfferRefused(481))
            self.on(event)


class UserAgent:
    """All legs of one process."""

    def __init__(self, address: str, port: int, *, on_call: Callable[[Leg, Incoming], None],
                 on_subscribe: Callable[["Subscription", Record], None] | None = None,
                 chance: random.Random | None = None, session_s: int = 1800) -> None:
        self.address = address
        self.port = port
        self.stack = Stack(f"sip:{address}:{port};transport=udp", session_s)
        self.random = chance or random.Random()
        self._on_call = on_call
        self._on_subscribe = on_subscribe
        self._legs: dict[int, Leg] = {}
        self._subscriptions: dict[int, Subscription] = {}
        self._dialogs: dict[Dialog, Leg] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Bind; OSError when the address is taken."""
        await asyncio.to_thread(self.stack.start)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.stack.fileno(), self._drain)

    async def stop(self, wait_s: float = 3.0) -> None:
        """End every call, then the stack."""
        for leg in list(self._legs.values()):
            leg.hang_up(503)
        self.stack.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), wait_s)
        if self._loop:
            self._loop.remove_reader(self.stack.fileno())
        await asyncio.to_thread(self.stack.join, wait_s)

    @property
    def count(self) -> int:
        """Legs that the stack still has."""
        return len(self._legs)

    def call(self, url: str, *, caller: str, called: str, sdp: str,
             headers: tuple[str, ...] = (), replaces: Dialog | None = None,
             auto_answer: bool = False) -> Leg:
        """A new leg that calls `url`, From and To as given (whole header values)."""
        tags: list[tuple[int, str | int]] = [
            (Tag.URL, url), (Tag.FROM, caller), (Tag.TO, called), *_body(sdp)]
        tags += [(Tag.HEADER, header) for header in headers]
        if replaces:
            tags.append((Tag.REPLACES, f"{replaces.call_id};to-tag={replaces.remote};"
                                       f"from-tag={replaces.local}"))
        if auto_answer:
            tags.append((Tag.CALL_INFO, "<sip:vaxel>;answer-after=0"))
        leg = Leg(self, self.stack.invite(tuple(tags)), False)
        self._legs[leg.number] = leg
        return leg

    def find(self, dialog: Dialog) -> Leg | None:
        """The leg of a dialog that somebody names."""
        return self._dialogs.get(dialog)

    # -- the stack's events -------------------------------------------------------------------

    def _drain(self) -> None:
        for record in self.stack.drain():
            if record.kind == Kind.STOPPED:
                self._stopped.set()
                continue
            leg = self._legs.get(record.leg)
            if leg is not None:
                leg.heard(record)
            elif record.leg in self._subscriptions:
                self._subscriptions[record.leg].heard(record)
            elif record.new and record.kind == Kind.INVITED:
                self._called(record)
            elif record.new and record.kind == Kind.SUBSCRIBED:
                self._subscribed(record)

    def _called(self, record: Record) -> None:
        leg = Leg(self, record.leg, True)
        self._legs[leg.number] = leg
        leg.reliable, leg.updates = record.reliable, record.updates
        leg._named(record, True)
        text = record.text
        replaces = Dialog(text[Text.REPLACES_ID] or "", text[Text.REPLACES_TO] or "",
                          text[Text.REPLACES_FROM] or "") if text[Text.REPLACES_ID] else None
        self._on_call(leg, Incoming(
            text[Text.REQUEST_USER] or "", text[Text.FROM_USER] or "",
            (text[Text.FROM_NAME] or "").strip('"'), _sdp(record), text[Text.DECISION] or "",
            replaces))

    def _subscribed(self, record: Record) -> None:
        subscription = Subscription(self, record.leg)
        self._subscriptions[record.leg] = subscription
        if self._on_subscribe is None:
            subscription.refuse(489)
        else:
            self._on_subscribe(subscription, record)

    # -- bookkeeping --------------------------------------------------------------------------

    def rename(self, leg: Leg, dialog: Dialog) -> None:
        """A leg's dialog is known (for a call to us, our tag with our answer)."""
        self._dialogs.pop(leg.dialog, None)
        leg.dialog = dialog
        self._dialogs[dialog] = leg

    def forget_later(self, leg: Leg) -> None:
        """In case the stack never says that it is over."""
        if self._loop:
            leg.timer = self._loop.call_later(FORGET_S, self.forget, leg)

    def forget(self, leg: Leg) -> None:
        """The leg is over for the stack too."""
        leg.gone = True
        if self._legs.pop(leg.number, None) is not None:
            self._dialogs.pop(leg.dialog, None)
            self.stack.destroy(leg.number)
            if leg.timer is not None:
                leg.timer.cancel()  # it would keep the leg, and its call, for as long
            leg.on = _deaf

    def drop_subscription(self, subscription: "Subscription") -> None:
        """It has ended."""
        if self._subscriptions.pop(subscription.number, None) is not None:
            self.stack.destroy(subscription.number)


class Subscription:
    """Somebody's SUBSCRIBE (RFC 6665): answered once, then told by notify()."""

    def __init__(self, agent: UserAgent, number: int) -> None:
        self._agent = agent
        self.number = number
        self.event = ""
        self.on_refresh: Callable[[int], None] = lambda _expires_s: None
        self.over = False

    def accept(self, event: str, expires_s: int) -> None:
        """Take it for so long."""
        self.event = event
        self._agent.stack.send(Op.RESPOND, self.number, 200, ((Tag.EXPIRES, str(expires_s)),))

    def refuse(self, code: int) -> None:
        """Do not take it."""
        self._agent.stack.send(Op.RESPOND, self.number, code)
        self.end()

    def notify(self, body: str, body_type: str, left_s: int) -> None:
        """The state now; left_s 0 ends it, once the other side has answered that."""
        if self.over:
            return
        # Without a Subscription-State of ours: the stack sends the last one again when the other
        # side ends the subscription, and then has to say so.
        self._agent.stack.send(Op.NOTIFY, self.number, 0, (
            (Tag.EVENT, self.event), (Tag.SUBSTATE, 2 if left_s > 0 else 3),
            (Tag.CONTENT_TYPE, body_type), (Tag.PAYLOAD, body)))
        self.over = left_s <= 0

    def heard(self, record: Record) -> None:
        """A refresh, or how our NOTIFY fared."""
        if record.kind == Kind.SUBSCRIBED:
            self.on_refresh(record.expires)
        elif record.kind == Kind.TERMINATED \
                or (record.kind == Kind.NOTIFY_REPLY and (record.over or record.status >= 300)):
            self.end()

    def end(self) -> None:
        """Forget it."""
        self.over = True
        self._agent.drop_subscription(self)


def _body(sdp: str) -> tuple[tuple[int, str], ...]:
    return ((Tag.CONTENT_TYPE, SDP_TYPE), (Tag.PAYLOAD, sdp))


def _sdp(record: Record) -> str | None:
    kind, boundary, body = (record.text[one] or ""
                            for one in (Text.BODY_TYPE, Text.BOUNDARY, Text.BODY))
    return sdp_of(kind, boundary, body) or None


def _answerer(text: str) -> tuple[int, int]:
    user, _, device = text.partition(".")
    return (int(user), int(device)) if user.isdecimal() and device.isdecimal() \
        and len(text) <= MAX_ANSWERER else (0, 0)


def _replaces(headers: str) -> Dialog | None:
    """The Replaces header inside a Refer-To (RFC 3891 section 4), as this side names the dialog:
    the transferor's to-tag is ours when we were called or calling alike."""
    from urllib.parse import unquote

    for part in headers.split("&"):
        name, _, value = part.partition("=")
        if name.lower() != "replaces":
            continue
        call_id, *rest = unquote(value).split(";")
        tags = dict(word.strip().partition("=")[::2] for word in rest)
        # to-tag is that of the side that is to be replaced at: ours; from-tag the transferor's.
        return Dialog(call_id.strip(), tags.get("to-tag", ""), tags.get("from-tag", ""))
    return None

