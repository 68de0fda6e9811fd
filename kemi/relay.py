"""A decision, carried out: rings, refusals, the next attempt, and what is written about it."""

import json
import os
import time
from collections.abc import Mapping
from typing import Any, Final

import KSR
import msgspec

from kemi import digest, say, wire
from kemi.calls import (
    CALLER,
    DECISIONS,
    SETUP,
    WATCH_SLOT,
    Calls,
    Context,
    Party,
    decode_context,
    encode_context,
)
from kemi.control import Control
from kemi.identity import (
    IDENTITY_HEADERS,
    Forwarder,
    Identity,
    for_phone,
    for_trunk,
    in_format,
    name_of,
    user_of,
)
from kemi.inside import bye_of
from kemi.media import Media, has_sdp, tell_address
from kemi.names import (
    AVP_CONTEXT,
    BETWEEN_US,
    CONTROL_SETUP_MS,
    CONTROL_SILENCE_MS,
    DEVICE_SILENCE_MS,
    FLAG_NAT_BRANCH,
    FLAG_WITHDRAWN,
    MAX_DECISIONS,
    PLACE_PARAM,
    TRUNK_PENALTY_S,
    TRUNK_SILENCE_MS,
    Counter,
    Ended,
)
from kemi.parties import Parties, headers
from kemi.registrar import name_in
from kemi.rounds import Rounds
from kemi.source import hide
from kemi.uris import read_uri
from routing_core import Decision, Kernel, handover
from routing_core.caller_names import ANONYMOUS_URI, quoted
from routing_core.codes import Cause, Display, Endpoint, Kind, Reason, SlotState, Source
from routing_core.explain import reason_text
from routing_core.handover import Handover, Order
from routing_core.rows import FORMATS, TRANSPORTS

#: What a phone's answer means to the rules of the called user.
CAUSES: Final = {486: Cause.BUSY_HERE, 600: Cause.BUSY_HERE, 603: Cause.DECLINED,
                 403: Cause.DECLINED, 408: Cause.NO_ANSWER, 487: Cause.NO_ANSWER}
#: Answers of a trunk after which the next trunk is tried: it, not the called person, failed.
TRUNK_FAULTS: Final = frozenset({408, 500, 501, 502, 503, 504})
#: Of the note about a call's beginning; the slot has room for 2 048.
MAX_SETUP_BYTES: Final = 1600
#: In an answer to call control: who it is that answered.
ANSWERER: Final = "X-Vaxel-Answerer"
#: Codes of a failed outgoing call that the caller gets as they are.
PASSED_ON: Final = frozenset({404, 410, 480, 484, 486, 600, 603, 604})


class Facts(msgspec.Struct, array_like=True):
    """What one decision was asked; with what it observed, it can be replayed."""

    source_kind: int
    source: int
    called: str
    calling: str
    now: int
    seed: int
    wanted: str | None = None
    trail: str | None = None
    cause: int = 0
    observed: str | None = None
    owned: bool = False


class Relay:
    """From decision to SIP and back with the outcome."""

    def __init__(self, kernel: Kernel, calls: Calls, parties: Parties, media: Media,
                 control: Control, domain: str, faults: bool = False) -> None:
        self.kernel = kernel
        self.live = kernel.live
        self.calls = calls
        self.parties = parties
        self.media = media
        self.control = control
        self.domain = domain
        self.rounds = Rounds()
        self.faults = faults  # those that a test asks for

    # -- a new call ---------------------------------------------------------------------------

    def new_call(self, source_kind: int, source: int, called: str, calling: str,
                 wanted: str | None, nat: bool, order: Order | None = None,
                 anew: bool = False, earlier: list[Forwarder] | None = None) -> None:
        """Decide and carry it out. order: what call control says of a call that it makes; anew:
        what a carrier says of the caller is not for telephones to see; earlier: who had sent the
        call on before, by a carrier's word."""
        if KSR.tm.t_newtran() <= 0:
            return  # it came twice, and another worker has it
        now = time.time()
        chance = os.urandom(24)
        seed = int.from_bytes(chance[:8])
        trail = handover.trail_bytes(order.trail) if order and order.trail else None
        owned = order is not None
        decision = self.kernel.decide(source_kind, source, called, calling, int(now), seed, wanted,
                                      trail, Cause.FIRST, None, owned)
        facts = Facts(source_kind, source, called, calling, int(now), seed, wanted,
                      trail.hex() if trail else None, Cause.FIRST, None, owned)
        context = Context(slot=-1, nonce=int.from_bytes(chance[8:16]) | 1,
                          uid=f"{int(now * 1000):012x}{chance[16:].hex()}")
        if order is not None and order.main:
            context.uid = order.conversation
        context.owned = owned
        context.inside = owned or source_kind == Source.DEVICE
        context.anew = anew
        context.earlier = [Forwarder(*one) for one in order.forwarders] if order else earlier or []
        context.emergency = decision.kind == Kind.EMERGENCY
        # The line of whoever calls is named by the call's first slot, not by call control's.
        context.slot = self.calls.begin(context.nonce, now, decision.tenant,
                                        0 if owned else decision.caller_user, context.emergency)
        self.live.count(Counter.CALLS)
        if context.slot < 0:
            self.live.count(Counter.NO_SLOT)
            KSR.hdr.append_to_reply("Retry-After: 5\r\n")
            KSR.tm.t_reply(503, "No Room For Another Call")
            return
        try:
            self.set_up(context, decision, facts, now, nat, order)
        except Exception:
            self.abandon(context)
            raise

    def set_up(self, context: Context, decision: Decision, facts: Facts, now: float, nat: bool,
               order: Order | None) -> None:
        """A call that has its slot."""
        owned = context.owned
        source_kind, source = facts.source_kind, facts.source
        kind, id_ = (Source.CALL_CONTROL, 0) if owned else (
            (Source.TRUNK, source) if source_kind == Source.TRUNK
            else (Source.DEVICE, decision.caller_user))
        party = self.parties.from_request(kind, id_)
        if party is None and context.emergency:
            party = self.parties.from_source(kind, id_)
        if party is None or not self.note_setup(context, party, decision, source_kind, source,
                                                facts.called, facts.calling, order):
            self.calls.end(context.slot, context.nonce, 400, Ended.REFUSED, now)
            self.live.count(Counter.REJECTED)
            KSR.tm.t_reply(400, "Bad Contact" if party is None else "Headers Too Long")
            return
        if self.faults and facts.called == "fault-in-call":
            raise RuntimeError("asked for by the test")
        if kind == Source.DEVICE and not party.routes:
            KSR.hdr.remove("Record-Route")
        # Call control has a media session of its own, and records in it.
        context.media = (decision.anchor or nat) and not owned and decision.kind != Kind.HANDOVER \
            and has_sdp()
        context.record = decision.record and not owned
        if context.media:
            context.media = self.media.offer(context, KSR.is_WS() or False)
        self.carry_out(context, decision, facts, now)

    def subscribe(self, device: int, user: int, tenant: int, called: str) -> None:
        """To call control, with our word on whose telephone asks."""
        now = time.time()
        controls = self.control.at_work(tenant, now)
        if not controls:
            KSR.sl.send_reply(503, "Service Unavailable")
            return
        contacts = headers("Contact")
        uri = read_uri(contacts[0]) if contacts and len(contacts) == 1 else None
        if uri is None or self.parties.addresses.reserved(uri):
            KSR.sl.send_reply(400, "Bad Contact")
            return
        word = self.control.seal(Handover(
            int(now), "", tenant, 0, 0, Source.DEVICE, device, called[:32], "", None, "", False, 0,
            user, ""))
        KSR.hdr.append(f"{handover.DECISION}: {word}\r\n")
        place = self.parties.source()  # NOTIFYs go where the SUBSCRIBE came from
        KSR.hdr.remove("Record-Route")
        KSR.rr.record_route()
        KSR.rr.add_rr_param(self.calls.mark_text(
            WATCH_SLOT, controls[0], False, wire.value("$ci"), wire.value("$ft"), place)
            + f";{PLACE_PARAM}={place}")
        KSR.seturi(self.control.uri(controls[0]))
        KSR.tm.t_relay()

    @staticmethod
    def watch(context: Context) -> None:
        """Have the edge called when something becomes of the call."""
        KSR.tm.t_on_failure("ksr_failure")
        KSR.tm.t_on_reply("ksr_reply" if context.media or context.owned
                          else "ksr_reply_plain")

    def note_setup(self, context: Context, party: Party, decision: Decision, source_kind: int,
                   source: int, called: str, calling: str, order: Order | None) -> bool:
        """What the call's record, requests inside its dialog, and a BYE of ours will need; False
        when it is too much."""
        from_tag, call_id = wire.value("$ft"), wire.value("$ci")
        setup: dict[str, Any] = {
            "uid": context.uid, "source": source_kind, "id": source,
            "caller": calling if source_kind == Source.TRUNK else "",
            "called": decision.called_number or called[:64], "revision": decision.revision,
            "shown": decision.shown_number, "emergency": context.emergency,
            "hidden": decision.hidden, "call_id": call_id,
            "from": f"<{wire.value('$fu')}>;tag={from_tag}", "cseq": int(KSR.pv.get("$cs")),
            "party": party,
        }
        if order is not None:
            setup |= {"conversation": "" if order.main else order.conversation,
                      "caller": "" if order.main else decision.caller_number,
                      **self.control.evidence(order.process)}
        self.live.advance(context.slot, context.nonce, CALLER, setup["cseq"])
        # Half of the room is for what comes later: who has taken the call, where it has moved to.
        text = msgspec.json.encode(setup)
        return len(text) <= MAX_SETUP_BYTES and self.live.note(context.slot, context.nonce, SETUP,
                                                               text)

    # -- a decision ---------------------------------------------------------------------------

    def carry_out(self, context: Context, decision: Decision, facts: Facts, now: float) -> None:
        """Until something rings or the caller has an answer."""
        log: list[Facts] = []
        for _ in range(MAX_DECISIONS):
            observed = self.kernel.observed()
            facts.observed = None if observed is None else observed.hex()
            log.append(facts)
            if decision.kind in (Kind.RELAY, Kind.EMERGENCY):
                if self.attempt(context, decision, now):
                    break
                if decision.kind == Kind.EMERGENCY or not decision.targets \
                        or decision.targets[0][0] == Endpoint.TO_TRUNK:
                    self.refuse(context, 503, Reason.NO_TRUNK, now)
                    break
            elif decision.kind == Kind.HANDOVER:
                self.hand_over(context, decision, log[0], now)
                break
            else:
                self.refuse(context, decision.code, decision.reason, now, decision)
                break
            facts = Facts(0, 0, "", "", int(now), 0, None, decision.trail.hex(),
                          Cause.UNREACHABLE)
            decision = self.kernel.decide(0, 0, "", "", int(now), 0, None,
                                          bytes.fromhex(facts.trail or ""), Cause.UNREACHABLE)
        else:
            self.refuse(context, 482, Reason.TOO_MANY_FORWARDS, now)
        self.note_decisions(context, log)

    def note_decisions(self, context: Context, log: list[Facts]) -> None:
        """Append to what was decided on this call before; too much is marked as cut."""
        before = self.live.read_note(context.slot, DECISIONS)
        known: list[Any] = msgspec.json.decode(before) if before else []
        text = msgspec.json.encode([*known, *log])
        if not self.live.note(context.slot, context.nonce, DECISIONS, text):
            cut = msgspec.json.encode([*known[:1], "cut"])
            self.live.note(context.slot, context.nonce, DECISIONS, cut)

    def hand_over(self, context: Context, decision: Decision, facts: Facts, now: float) -> None:
        """To call control; what it holds already is given back to it, with what to do next."""
        if context.owned:
            text = self.control.seal(self.word(context, decision, facts, now))
            KSR.hdr.append_to_reply(f"{handover.DECISION}: {text}\r\n")
            self.calls.end(context.slot, context.nonce, 302, Ended.FAILED, now)
            KSR.tm.t_reply(302, "Moved Temporarily")
            return
        self.live.count(Counter.HANDED_OVER)
        self.live.note(context.slot, context.nonce, handover.NOTE,
                       msgspec.json.encode(self.word(context, decision, facts, now)))
        context.controls = self.control.at_work(decision.tenant, now)
        if context.inside and not context.sent:
            tell_address()
        if context.media:  # it was anchored for telephones that did not answer
            self.media.delete(context.uid)
            context.media = False
        if not self.next_control(context, now):
            self.live.count(Counter.NO_CONTROL)
            alone = decision.reason in (Reason.USER_AWAY, Reason.USER_BUSY)
            self.refuse(context, decision.code if alone else 503, decision.reason, now)

    @staticmethod
    def word(context: Context, decision: Decision, facts: Facts, now: float) -> Handover:
        """A decision, as call control is told of it."""
        name = decision.caller_name or ("" if context.anew else name_of(wire.value("$fn")))
        return Handover(
            int(now), context.uid, decision.tenant, decision.reason, decision.service_id,
            facts.source_kind, facts.source, facts.called, facts.calling, facts.wanted,
            handover.trail_text(decision.trail), decision.record, decision.language,
            decision.caller_user, decision.caller_number, name=name,
            forwarders=[(*one,) for one in context.earlier])

    def next_control(self, context: Context, now: float) -> bool:
        """Send the call to the next process of call control; False when there is none left."""
        while context.controls:
            context.control = context.controls.pop(0)
            context.to_trunk = False
            context.users = context.users + [0]
            KSR.resetdsturi()
            KSR.seturi(self.control.uri(context.control))
            KSR.hdr.remove(handover.DECISION)
            KSR.hdr.append(f"{handover.DECISION}: {context.slot:x}.{context.nonce:x}\r\n")
            KSR.tm.t_set_fr(CONTROL_SETUP_MS, CONTROL_SILENCE_MS)
            before = self.live.read_note(context.slot, SETUP)
            setup = msgspec.json.decode(before) if before else {}
            self.live.note(context.slot, context.nonce, SETUP, msgspec.json.encode(
                setup | self.control.evidence(context.control)))
            self.calls.ring(context, [], now)
            if self.send(context):
                return True
        return False

    def attempt(self, context: Context, decision: Decision, now: float) -> bool:
        """Ring what the decision names; False when nothing of it can be rung."""
        context.trail = decision.trail.hex()
        context.control = -1
        targets = decision.targets
        if not targets:
            return False
        context.to_trunk = targets[0][0] == Endpoint.TO_TRUNK
        context.name = decision.caller_name
        context.anew = context.anew or context.inside or bool(context.name)
        if context.to_trunk or context.anew:
            context.shown = decision.shown_number
            context.caller = decision.caller_number
            context.display = decision.display
            context.hidden = decision.hidden
        if context.to_trunk:
            context.diverters = [Forwarder(*one) for one in decision.diverters]
            context.number = decision.number_to_dial
            context.location = decision.location
            context.trunks = [trunk for _, trunk, _ in targets]
            if self.rounds.goes_round((one.number for one in context.diverters),
                                      (one.number for one in context.earlier),
                                      context.caller or context.shown, context.number, now):
                self.live.count(Counter.WENT_ROUND)
                self.refuse(context, 482, Reason.FORWARDING_LOOP, now, decision)
                return True
            return self.next_trunk(context, now)
        users, devices = self.add_phones(targets)
        if not users:
            return False
        if not context.sent and not context.media and KSR.isbflagset(FLAG_NAT_BRANCH):
            context.media = has_sdp() and self.media.offer(context)
        context.users = context.users + users
        if context.owned:
            context.devices = context.devices + [0] * (
                len(context.users) - len(users) - len(context.devices)) + devices
        KSR.tm.t_set_fr(decision.ring_s * 1000, DEVICE_SILENCE_MS)
        if context.inside and decision.display == Display.EXTENSION:
            # It is told by the caller's telephone, or by call control.
            context.shown = decision.shown_number.lstrip("+")
            context.name = name_of(wire.value("$fn"))
        self.calls.ring(context, sorted(set(users)), now)
        if context.anew:
            KSR.tm.t_on_branch("ksr_branch")
        return self.send(context)

    def add_phones(self, targets: list[tuple[int, int, int]]) -> tuple[list[int], list[int]]:
        """Make branches of the devices' contacts; user and device behind each branch, in order."""
        users: list[int] = []
        devices: list[int] = []
        count = 0
        for _, device, user in targets:
            aor = f"sip:d{device}@{self.domain}"
            if not users:
                KSR.seturi(aor)
                if KSR.registrar.lookup("location") < 0:
                    continue
                if name := name_in(KSR.pv.gete("$du")):
                    KSR.setuser(name)
                users.append(user)
                devices.append(device)
            elif KSR.registrar.lookup_to_dset("location", aor) < 0:
                continue
            extra = int(KSR.pv.get("$branch(count)") or 0)
            for index in range(count, extra):
                name_branch(index)
            users += [user] * (extra - count)
            devices += [device] * (extra - count)
            count = extra
        return users, devices

    def next_trunk(self, context: Context, now: float) -> bool:
        """Send the call over the next trunk of the list; False when it is at its end."""
        while context.trunks:
            context.trunk = context.trunks.pop(0)
            trunk = self.kernel.trunk(context.trunk)
            if trunk is None:
                continue
            called = self.identity(context, trunk)[1]
            transport = TRANSPORTS[trunk["transport"]]
            KSR.resetdsturi()
            KSR.seturi(f"sip:{called}@{trunk['host']}:{trunk['port']}"
                       + ("" if transport == "udp" else f";transport={transport}"))
            KSR.tm.t_set_fr(trunk["ring_s"] * 1000, TRUNK_SILENCE_MS)
            KSR.tm.t_on_branch("ksr_branch")
            context.users = context.users + [0]
            context.challenged = False
            self.calls.ring(context, [], now)
            if self.send(context):
                return True
            self.trunk_silent(context.trunk, now)
        return False

    def trunk_silent(self, trunk: int, now: float) -> None:
        """Others are tried before it for a while."""
        self.live.count(Counter.TRUNK_FAILED)
        self.live.set_trunk_down(trunk, int(now) + TRUNK_PENALTY_S)

    def identity(self, context: Context, trunk: Mapping[str, Any]) -> tuple[Identity, str]:
        """Who is calling, for that trunk, and the called number in its format."""
        called = in_format(context.number, FORMATS[trunk["format"]], trunk["country_code"])
        return for_trunk(trunk, domain=self.domain, shown=context.shown, caller=context.caller,
                         hidden=context.hidden and not context.emergency,
                         diverters=context.diverters, earlier=context.earlier,
                         called=context.number, location=context.location), called

    def send(self, context: Context) -> bool:
        """Relay; the transaction keeps the context. False when it could be sent to nobody: then
        nothing will be heard of it."""
        if not context.sent:
            KSR.rr.record_route()
            KSR.rr.add_rr_param(self.calls.mark_text(
                context.slot, context.nonce, context.media, wire.value("$ci"), wire.value("$ft")))
        self.watch(context)
        context.sent = True
        KSR.pv.sets(AVP_CONTEXT, encode_context(context).decode())
        if KSR.tm.t_relay() >= 0:
            return True
        if KSR.tm.t_is_canceled() > 0:
            if self.calls.end(context.slot, context.nonce, 487, Ended.CANCELLED, time.time()):
                if context.media:
                    self.media.delete(context.uid)
                KSR.tm.t_reply(487, "Request Terminated")
            return True
        say.warning(f"call {context.uid}: could not be sent")
        return False

    def refuse(self, context: Context, code: int, reason: int, now: float,
               decision: Decision | None = None) -> None:
        """End the call with a code and say why."""
        text = reason_text(reason)
        if context.media:
            self.media.delete(context.uid)
        if context.owned and decision is not None:
            word = self.word(context, decision, Facts(0, 0, "", "", int(now), 0), now)
            KSR.hdr.append_to_reply(f"{handover.DECISION}: {self.control.seal(word)}\r\n")
        self.calls.end(context.slot, context.nonce, code, Ended.REFUSED, now)
        self.live.count(Counter.REJECTED)
        KSR.hdr.append_to_reply(f'Warning: 399 {self.domain} "{text}"\r\n')
        KSR.tm.t_reply(code, _phrase(code))

    # -- what becomes of it -------------------------------------------------------------------

    def branch(self) -> None:
        """Before a branch is sent: who is calling, as this side is to see it."""
        context = self.context()
        if context is None:
            return
        if context.to_trunk:
            trunk = self.kernel.trunk(context.trunk)
            if trunk is None:
                return
            identity: Identity = self.identity(context, trunk)[0]
            KSR.textops.remove_hf_re(BETWEEN_US)
        else:
            identity = for_phone(context.shown, context.hidden, self.domain, context.name)
        KSR.uac.uac_replace_from(quoted(identity.from_name) if identity.from_name else "",
                                 identity.from_uri)
        for name in IDENTITY_HEADERS:
            KSR.hdr.remove(name)
        if identity.from_uri == ANONYMOUS_URI and not context.emergency:
            hide()
        for header in identity.headers:
            KSR.hdr.append(header + "\r\n")

    def reply(self) -> None:
        """A reply on its way to the caller."""
        code = int(KSR.pv.get("$rs"))
        if code < 180:
            return
        context = self.context()
        if context is None:
            return
        if context.media and has_sdp() and code < 300:
            self.media.answer(context.uid)
        if context.owned and not context.to_trunk:
            tell_address()
        if code >= 300 or (code < 200 and not KSR.hdr.is_present("RSeq") > 0):
            return
        index = int(KSR.pv.get("$T_branch_idx") or 0)
        user = context.users[index] if 0 <= index < len(context.users) else 0
        if context.to_trunk:
            party = self.parties.from_reply(Source.TRUNK, context.trunk)
        elif context.control >= 0:
            party = self.parties.from_reply(Source.CALL_CONTROL, 0)
        else:
            party = self.parties.from_reply(Source.DEVICE, user)
        if code < 200:  # a reliable one: PRACK and UPDATE may come before the answer
            self.calls.add_branch(context.slot, context.nonce, party)
            return
        if context.owned:
            device = context.devices[index] if index < len(context.devices) else 0
            KSR.hdr.remove(ANSWERER)
            KSR.hdr.append(f"{ANSWERER}: {user}.{device}\r\n")
        if self.calls.answer(context, user, time.time(), {
                "trunk": context.trunk if context.to_trunk else 0,
                "media": context.media, "record": context.record, "party": party}):
            self.live.count(Counter.ANSWERED)
            return
        answer = self.calls.answerer(context.slot)
        if answer is not None and answer.tag == party.tag:
            return  # the same answer once more
        # Noted first, and then looked whether it is over: a BYE does it the other way round.
        self.calls.add_branch(context.slot, context.nonce, party)
        call = self.live.call(context.slot, context.nonce)
        if call is None or call["state"] > SlotState.ANSWERED:
            self.too_late(context, party)

    def too_late(self, context: Context, party: Party) -> None:
        """An answer of a call that is over: whoever gave it is told."""
        uri, tag = wire.value("$fu"), wire.value("$ft")
        setup = {"from": f"<{uri}>;tag={tag}", "cseq": int(KSR.pv.get("$cs")),
                 "call_id": wire.value("$ci"), "party": [0, 0, tag]}
        caller = Party(0, 0, tag, uri)
        KSR.jsonrpcs.execx(json.dumps(bye_of(setup, caller, party)))

    def failed(self) -> None:
        """All branches of an attempt have failed."""
        context = self.context()
        if context is None:
            return
        now = time.time()
        code = int(KSR.pv.get("$T_reply_code") or 0)
        withdrawn = KSR.isflagset(FLAG_WITHDRAWN)
        if KSR.tm.t_is_canceled() > 0 or withdrawn:
            if context.media:
                self.media.delete(context.uid)
            self.calls.end(context.slot, context.nonce, 487, Ended.CANCELLED, now)
            if withdrawn:
                KSR.tm.t_reply(487, "Request Terminated")
            return
        silent = KSR.tm.t_branch_timeout() > 0 and not KSR.tm.t_branch_replied() > 0
        if context.control >= 0:
            if not (silent and self.next_control(context, now)):
                self.give_up(context, 503 if silent else code, now)
            return
        if context.to_trunk:
            if code in (401, 407) and self.authenticate(context):
                return
            if code in TRUNK_FAULTS:
                if silent:
                    self.trunk_silent(context.trunk, now)
                else:
                    self.live.count(Counter.TRUNK_FAILED)
                if self.next_trunk(context, now):
                    return
            # Nobody's rules apply to a call that has left the exchange.
            self.give_up(context, code if code in PASSED_ON else 503, now)
            return
        cause = CAUSES.get(code, Cause.UNREACHABLE)
        if silent:
            cause = Cause.UNREACHABLE
        called = ""
        if 300 <= code < 400:
            cause = Cause.REDIRECTED
            called = user_of(wire.value("$T_rpl($ct)"))
        facts = Facts(0, 0, called, "", int(now), 0, None, context.trail, cause)
        decision = self.kernel.decide(0, 0, called, "", int(now), 0, None,
                                      bytes.fromhex(context.trail), cause)
        self.carry_out(context, decision, facts, now)

    def abandon(self, context: Context | None = None) -> None:
        """Something is wrong with us: the call has no slot, and no media, for it."""
        context = context or self.context()
        if context is not None and self.calls.end(context.slot, context.nonce, 500, Ended.FAILED,
                                                  time.time()) and context.media:
            self.media.delete(context.uid)

    def give_up(self, context: Context, code: int, now: float) -> None:
        """The far end's refusal is the caller's."""
        if context.media:
            self.media.delete(context.uid)
        self.calls.end(context.slot, context.nonce, code, Ended.FAILED, now)
        KSR.tm.t_reply(code, _phrase(code))

    def authenticate(self, context: Context) -> bool:
        """Answer a carrier's challenge, once."""
        trunk = self.kernel.trunk(context.trunk)
        header = wire.value("$T_rpl($hdr(Proxy-Authenticate))") \
            or wire.value("$T_rpl($hdr(WWW-Authenticate))")
        realm = digest.parse(header).get("realm", "")
        if context.challenged or trunk is None or not trunk["username"] or not realm:
            return False
        context.challenged = True
        KSR.pv.sets("$avp(ar)", realm)
        KSR.pv.sets("$avp(au)", trunk["username"])
        KSR.pv.sets("$avp(ap)", trunk["secret"])
        if KSR.uac.uac_auth() < 0:
            return False
        context.users = context.users + [0]
        KSR.tm.t_on_branch("ksr_branch")
        return self.send(context)

    @staticmethod
    def context() -> Context | None:
        """Of the transaction at hand."""
        text = KSR.pv.get(AVP_CONTEXT)
        return decode_context(text) if text else None


PHRASES: Final = {
    403: "Forbidden", 404: "Not Found", 408: "Request Timeout", 410: "Gone",
    480: "Temporarily Unavailable", 482: "Loop Detected", 483: "Too Many Hops",
    484: "Address Incomplete", 486: "Busy Here", 487: "Request Terminated",
    503: "Service Unavailable", 600: "Busy Everywhere", 603: "Decline",
    604: "Does Not Exist Anywhere",
}


def _phrase(code: int) -> str:
    return PHRASES.get(code, "Failed")


def name_branch(index: int) -> None:
    """A further telephone is called under its own name, too."""
    name = name_in(KSR.pv.gete(f"$(branch(dst_uri)[{index}])"))
    if name:
        uri = f"$(branch(uri)[{index}])"
        scheme, _, rest = KSR.pv.gete(uri).partition(":")
        KSR.pv.sets(uri, f"{scheme}:{name}@{rest.rpartition('@')[2]}")
