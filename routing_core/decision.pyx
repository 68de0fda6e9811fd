"""What decide() says: a Decision, for the edge to carry out and for people to read."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from routing_core.codes cimport HIDDEN, ORIGINAL
from routing_core.layout cimport SHORT


def number_text(uint64_t number):
    """"+46..." of an E.164 number, "112" of a short one, "" of none."""
    if number == 0:
        return ""
    if number & SHORT():
        return str(number ^ SHORT())
    return f"+{number}"


def new_trail(uint32_t tenant, *, uint64_t caller=0, bint hidden=False, uint32_t caller_user=0,
              uint32_t payer=0, uint32_t device=0, uint64_t called=0, forwarders=(),
              bint record=False, bint private=False, uint64_t wanted=0):
    """The trail that call control starts a call of its own with.

    caller: an outside caller's E.164; caller_user: a colleague instead; payer: whose barring
    applies; forwarders: see forwarder(), on whose account the call goes on, the latest last;
    private: nobody is to see who calls; wanted: the E.164 number that outside parties are to see.
    """
    cdef Trail t
    memset(&t, 0, sizeof(t))
    t.tenant = tenant
    t.caller = caller
    t.hidden = hidden
    t.caller_user = caller_user
    t.payer = payer
    t.device = device
    t.called = called
    t.record = record
    t.wanted = wanted
    t.prefix_display = HIDDEN if private else 0
    for number in forwarders[-MAX_DIVERTED:]:
        t.diverted[t.n_diverted] = number
        t.n_diverted += 1
    return PyBytes_FromStringAndSize(<char *>&t, sizeof(t))


def forwarder(uint64_t number, int why):
    """A forwarder of new_trail(): an E.164 number, 0 = none, and a Diverted."""
    return number | <uint64_t>why << WHY_SHIFT if number else 0


def caller_of_trail(bytes trail not None):
    """(outside caller's E.164 or 0, calling user or 0, payer or 0, called number or 0, forwarders,
    the user visited last or 0)"""
    cdef Trail t
    if PyBytes_GET_SIZE(trail) != sizeof(Trail):
        raise ValueError("not a trail")
    memcpy(&t, PyBytes_AS_STRING(trail), sizeof(t))
    return t.caller, t.caller_user, t.payer, t.called, \
        tuple([t.diverted[i] for i in range(min(t.n_diverted, MAX_DIVERTED))]), \
        t.visited[t.n_visited - 1] if 0 < t.n_visited <= 8 \
        and not t.visited[t.n_visited - 1] >> 31 else 0


def is_private(bytes trail not None):
    """Whether the caller does not want to be seen."""
    cdef Trail t
    if PyBytes_GET_SIZE(trail) != sizeof(Trail):
        raise ValueError("not a trail")
    memcpy(&t, PyBytes_AS_STRING(trail), sizeof(t))
    return t.prefix_display == HIDDEN or (t.hidden and not t.caller_user)


cdef class Decision:
    """What the edge is to do with the call, until something happens.

    kind: a Kind. Relay: ring `targets` for ring_s seconds, all at once (parallel; also the trunks
    of an outgoing call, which are tried in order). Handover: `service` is the id for call control.
    Reject: `code` and `reason`. Emergency: as Relay, to `trunks`. `trail` comes back with the
    cause when the attempt fails.
    """

    @property
    def targets(self):
        """[(Endpoint, id of device or trunk, user id or 0)]"""
        return [(self.target_kind[i], self.target_id[i], self.target_user[i])
                for i in range(self.n)]

    @property
    def trail(self):
        return PyBytes_FromStringAndSize(<char *>&self.t, sizeof(Trail))

    @property
    def shown_number(self):
        """The number to display, as text; "" when hidden or inside the company."""
        return number_text(self.shown)

    @property
    def number_to_dial(self):
        return number_text(self.number)

    @property
    def called_number(self):
        return number_text(self.t.called)

    @property
    def caller_number(self):
        """The original outside caller, as text; "" when there is none."""
        return number_text(self.t.caller)

    @property
    def diverters(self):
        """[(number, Diverted)] of the forwarders, the latest first (RFC 5806)."""
        return [(number_text(self.t.diverted[i] & ((<uint64_t>1 << WHY_SHIFT) - 1)),
                 <int>(self.t.diverted[i] >> WHY_SHIFT))
                for i in range(self.t.n_diverted - 1, -1, -1) if self.t.diverted[i]]

    @property
    def forwarded(self):
        return self.t.n_diverted > 0

    @property
    def hidden(self):
        return self.display == HIDDEN or (self.display == ORIGINAL and self.shown == 0)

    @property
    def caller_user(self):
        return self.t.caller_user

    @property
    def caller_name(self):
        """What the company's directory calls an outside caller, for telephones; "" = unknown."""
        return self.name or ""

    @property
    def service_id(self):
        return self.service

    @property
    def location(self):
        return self.location_text or ""

    def key(self):
        """Everything that makes two decisions the same, as one tuple."""
        return (self.kind, self.reason, self.code, self.ring_s, self.parallel, self.display,
                self.tenant, self.record, self.shown, self.number, self.service, self.group,
                tuple(self.targets), self.trail, self.caller_name)
