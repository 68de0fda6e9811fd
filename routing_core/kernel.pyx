"""decide(): where a call goes. A function of snapshot, live state, call, time and seed.

The kernel has no clock, no randomness and no I/O of its own. Every piece of live state it looks at
goes through observe(), which writes it down; a decision replayed with those notes is the same bit
for bit. With a trace list, the same code says which rule applied (explain.py).

A call is walked from target to target (user, group, number) until something rings or refuses.
When an attempt fails, the edge comes back with the call's Trail and the Cause, and the walk goes
on with the state of that moment.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from routing_core.caller_names import ANONYMOUS
from routing_core.codes cimport (
    ALWAYS, AWAY, BARRED, BLOCKED, BUSY, BUSY_HERE, BUSY_TARGET, CALLER_BLOCKED, CALL_CONTROL,
    CALL_FUNCTIONS, DIAL_CODE, CLOSED_HOURS, DECLINED, DEVICE, DISABLED, FIRST, FORWARDING_LOOP,
    FOR_ALL, FOR_AWAY, FOR_BUSY, FOR_DEFLECTION, FOR_NO_ANSWER, FOR_UNAVAILABLE,
    GROUP, GROUP_NO_ANSWER, HANDOVER, HIDDEN, LINE_BUSY, LOGGED_OUT, NOBODY_AVAILABLE, NO_ANSWER,
    NO_DEVICE, NO_TARGET, NUMBER, ON_ACTIVITY, ON_BUSY, ON_NO_ANSWER, ON_UNREACHABLE, ORDINARY,
    OVER_LIMIT, PARALLEL, RANDOM, REDIRECTED, REJECT, RELAY, R_BARRED, R_CALLED, R_CALLER_NAME,
    R_CALLER_RULE, R_CAUSE, R_EXTENSION, R_FORWARD, R_GROUP, R_GROUP_ON, R_HANDOVER, R_LINE_STATE,
    R_MEMBER_RINGS, R_MEMBER_SKIPPED, R_ORDER, R_NUMBER, R_ON_NET, R_PREFIX, R_RECORD,
    R_RING_DEVICES, R_SCHEDULE, R_SOURCE_DEVICE, R_SOURCE_TRUNK, R_USER, SERVICE, SERVICE_TARGET,
    TOO_MANY_FORWARDS, TO_DEVICE, TRUNK, UNKNOWN_NUMBER, UNKNOWN_SOURCE, UNREACHABLE, USER,
    USER_AWAY, USER_BUSY, USER_DISABLED, USER_NO_ANSWER, USER_UNREACHABLE, VIP, WRONG_TENANT,
    BAD_NUMBER,
)
from routing_core.decision cimport Decision, MAX_DIVERTED, Trail, WHY_SHIFT
from routing_core.hours cimport is_open
from routing_core.layout cimport (
    ActivityRec, DeviceRec, ForwardRec, GroupRec, MAX_DEVICES, MAX_MEMBERS, MAX_TARGETS,
    MAX_VISITED, MemberRec, NumberRec, PlanRec, SHORT, TARGET_SHIFT, TenantRec, TrunkRec,
    T_FORWARD, T_MEMBER, UserRec, U_CALLER_RULES, U_CALL_WAITING, U_ENABLED, U_FUNCTIONS, U_RECORD,
    make_target, mix, vx_load,
)
from routing_core.numbers cimport (
    DIALLED_BAD, Dialled, is_emergency, number_class, read_dialled, settled,
)
from routing_core.world cimport SEEN_LINE, SEEN_LOGIN
from routing_core.outbound cimport Outbound, SIP_CODES

cdef enum:
    GROUP_MARK = 0x80000000
    ALL_KINDS = 0xFFFF       # of telephones

cdef uint64_t VALUE_MASK = (<uint64_t>1 << TARGET_SHIFT) - 1
cdef uint64_t NOBODYS = 1              # a wish for a number that cannot be read: nobody owns it
cdef uint64_t EXTENSION_BIT = <uint64_t>1 << 55   # a colleague's extension in a caller rule


cdef class Kernel(Outbound):
    """A snapshot and the live state, ready to decide."""

    # -- entry points -------------------------------------------------------------------------

    def decide(self, int source_kind, uint32_t source, str called, str calling, int64_t now,
               uint64_t seed, str wanted=None, bytes trail=None, int cause=FIRST,
               list trace=None, bint owned=False):
        """Decide on a new call, or, with a trail and a cause, on one whose attempt failed.

        source_kind, source: TRUNK and its id (0 unknown), DEVICE and its id, or CALL_CONTROL and
        the tenant, with called an order (see order()); owned: call control has the call; called: as
        dialled; calling: an outside caller's number, "" when withheld; now: Unix seconds; seed: of
        this call, 64 random bits; wanted: the number the device asks to be shown, or ANONYMOUS;
        cause: a Cause, with called the new target when REDIRECTED; trace: is given one (rule, a, b)
        per line.
        """
        self.replaying = False
        self.owned = owned
        return self.walk(source_kind, source, called, calling, now, seed, wanted, trail, cause,
                         trace)

    def replay(self, bytes observed, int source_kind, uint32_t source, str called, str calling,
               int64_t now, uint64_t seed, str wanted=None, bytes trail=None, int cause=FIRST,
               list trace=None, bint owned=False):
        """decide() again, with the live state as it was observed then.

        Returns (decision, faithful); faithful is False when the decision asked for something that
        was not observed, which another configuration may make it do.
        """
        self.replaying = True
        self.owned = owned
        self.diverged = False
        self.load_reads(observed)
        try:
            decision = self.walk(source_kind, source, called, calling, now, seed, wanted, trail,
                                 cause, trace)
        finally:
            self.replaying = False
        return decision, not self.diverged and self.n_reads == self.n_replay

    cdef Decision walk(self, int source_kind, uint32_t source, str called, str calling,
                       int64_t now, uint64_t seed, str wanted, bytes trail, int cause,
                       list trace):
        cdef Decision d = Decision.__new__(Decision)
        cdef uint64_t target, value
        cdef int _step, kind
        if self.control != NULL and vx_load(self.control) != self.generation:
            self.on_change(self)
        self.now = now
        self.trace = trace
        self.n_reads = 0
        d.revision = self.snapshot.pin()
        if source_kind == CALL_CONTROL:
            self.owned = True
            target = self.order(d, source, called, seed, trail)
        elif trail is not None and PyBytes_GET_SIZE(trail) == sizeof(Trail):
            self.owned = True                # an attempt was made: it stays with who made it
            memcpy(&self.t, PyBytes_AS_STRING(trail), sizeof(Trail))
            self.random_state = self.t.seed
            target = self.resume(d, cause, called)
        else:
            memset(&self.t, 0, sizeof(Trail))
            self.t.seed = seed
            self.random_state = seed
            target = self.begin(d, source_kind, source, called, calling, wanted)
        for _step in range(MAX_STEPS):
            if d.kind:
                break
            kind = target >> TARGET_SHIFT
            value = target & VALUE_MASK
            if kind == USER:
                target = self.to_user(d, <uint32_t>value)
            elif kind == GROUP:
                target = self.to_group(d, <uint32_t>value)
            elif kind == NUMBER:
                target = self.to_number(d, value)
            elif kind == BUSY:
                self.reject(d, BUSY_TARGET, 0)
            elif kind == SERVICE:
                d.kind = HANDOVER
                d.service = value
                d.reason = SERVICE_TARGET
                d.code = SIP_CODES[SERVICE_TARGET]
                if trace is not None:
                    self.tell(R_HANDOVER, value, 0)
            else:
                self.reject(d, NO_TARGET, 0)
        if not d.kind:
            self.reject(d, TOO_MANY_FORWARDS, 0)
        if not self.owned:
            self.functions(d)
        self.name_caller(d)
        d.t = self.t
        d.tenant = self.t.tenant
        d.record = self.t.record
        if trace is not None and d.record:
            self.tell(R_RECORD, 0, 0)
        cdef const TenantRec *tenant = self.snapshot.tenant(self.t.tenant)
        if tenant != NULL:
            d.language = tenant.language
            d.anchor = d.anchor or tenant.anchor or d.record
        self.trace = None
        return d

    # -- where the call comes from and what it asks for --------------------------------------

    cdef uint64_t begin(self, Decision d, int source_kind, uint32_t source, str called,
                        str calling, str wanted):
        cdef const TrunkRec *trunk
        cdef const DeviceRec *device
        cdef const UserRec *user
        cdef const TenantRec *tenant
        cdef const PlanRec *plan
        cdef Py_ssize_t size = 0
        cdef const char *text
        cdef Dialled caller
        if source_kind == TRUNK:
            trunk = self.snapshot.trunk(source)
            if trunk == NULL:
                self.reject(d, UNKNOWN_SOURCE, 0)
                return 0
            if self.trace is not None:
                self.tell(R_SOURCE_TRUNK, source, trunk.tenant)
            self.t.tenant = trunk.tenant
            plan = self.snapshot.plan(trunk.country)
            if calling:
                text = PyUnicode_AsUTF8AndSize(calling, &size)
                read_dialled(text, size, plan, &caller)
                self.t.caller = caller.number
            self.t.hidden = self.t.caller == 0
            return self.dialled(d, called, plan, False)
        if source_kind != DEVICE:
            self.reject(d, UNKNOWN_SOURCE, 0)
            return 0
        device = self.snapshot.device(source)
        user = self.snapshot.user(device.user) if device != NULL else NULL
        tenant = self.snapshot.tenant(user.tenant) if user != NULL else NULL
        if tenant == NULL:
            self.reject(d, UNKNOWN_SOURCE, 0)
            return 0
        self.t.tenant = user.tenant
        self.t.caller_user = device.user
        self.t.payer = device.user
        self.t.device = source
        self.t.record = (user.flags & U_RECORD) != 0
        if wanted and wanted == ANONYMOUS:
            self.t.prefix_display = HIDDEN
        elif wanted:
            text = PyUnicode_AsUTF8AndSize(wanted, &size)
            read_dialled(text, size, self.snapshot.plan(tenant.country), &caller)
            self.t.wanted = caller.number if caller.number else NOBODYS
        if self.trace is not None:
            self.tell(R_SOURCE_DEVICE, source, device.user)
        return self.dialled(d, called, self.snapshot.plan(tenant.country), True)

    cdef uint64_t order(self, Decision d, uint32_t tenant, str called, uint64_t seed,
                        bytes trail):
        """What call control asks for on behalf of the parties in its trail.

        "user:ID", "group:ID" (all their rules apply), "number:+46...", "service:ID", "dial:..." (as
        the payer would dial it), "callback:..." (the same for what a caller has named: never an
        emergency number, and of the classes that the company allows), "phones:ID" (a user's
        telephones, whatever the rules say) or "phones:ID/MASK" (those of some kinds: a number with
        a bit for each, as a member's device_kinds), "device:ID" (one of them), "others:ID" (the
        other telephones of that one's user). The visited users and groups are forgotten: somebody
        has chosen.
        """
        cdef const TenantRec *owner = self.snapshot.tenant(tenant)
        cdef const UserRec *user
        cdef uint64_t target
        cdef Py_ssize_t size = 0
        cdef const char *text
        cdef Dialled what
        cdef uint32_t kinds = ALL_KINDS
        memset(&self.t, 0, sizeof(Trail))
        if trail is not None and PyBytes_GET_SIZE(trail) == sizeof(Trail):
            memcpy(&self.t, PyBytes_AS_STRING(trail), sizeof(Trail))
        if self.trace is not None:
            self.tell(R_ORDER, called, tenant)
        if owner == NULL or (self.t.tenant and self.t.tenant != tenant) \
                or self.t.n_diverted > MAX_DIVERTED:
            self.reject(d, UNKNOWN_SOURCE, 0)
            return 0
        self.t.tenant = tenant
        self.t.seed = seed
        self.random_state = seed
        self.t.n_visited = 0
        self.t.user = 0
        self.t.group = 0
        self.t.round = 0
        self.t.position = 0
        kind, _, value = called.partition(":")
        if kind == "dial" or kind == "number" or kind == "callback":
            user = self.snapshot.user(self.t.payer)
            if kind == "dial" and (user == NULL or user.tenant != tenant):
                self.reject(d, UNKNOWN_SOURCE, 0)
                return 0
            text = PyUnicode_AsUTF8AndSize(value, &size)
            read_dialled(text, size, self.snapshot.plan(owner.country), &what)
            if what.emergency and kind == "dial":
                self.t.caller_user = self.t.payer
                self.emergency(d, what.number)
                return 0
            target = self.snapshot.extension(tenant, what.extension) \
                if kind != "number" and what.extension else 0
            if target:
                return target
            if what.kind == DIALLED_BAD or what.number == 0 or what.emergency:
                self.reject(d, UNKNOWN_NUMBER if what.extension else BAD_NUMBER, 0)
                return 0
            if kind == "callback":
                d.number_class = number_class(what.number, self.snapshot.plan(owner.country))
                if not d.number_class & owner.callback_classes:
                    if self.trace is not None:
                        self.tell(R_BARRED, d.number_class, 0)
                    self.reject(d, BARRED, 0)
                    return 0
            return make_target(NUMBER, what.number)
        if kind == "phones" and "/" in value:
            value, _, mask = value.partition("/")
            kinds = int(mask) if mask.isdecimal() and len(mask) <= 5 else 0
        if kinds == 0 or not value.isdecimal() or len(value) > 9:
            self.reject(d, NO_TARGET, 0)
            return 0
        if kind == "user":
            return make_target(USER, int(value))
        if kind == "group":
            return make_target(GROUP, int(value))
        if kind == "service":
            return make_target(SERVICE, int(value))
        self.telephones(d, tenant, kind, <uint32_t>int(value), kinds)
        return 0

    cdef void telephones(self, Decision d, uint32_t tenant, str kind, uint32_t id,
                         uint32_t kinds):
        """Ring a user's telephones (of those kinds) or one of them, whatever the rules say."""
        cdef bint one = kind == "device", others = kind == "others"
        cdef const DeviceRec *device = self.snapshot.device(id) if one or others else NULL
        cdef int i
        cdef const UserRec *user = self.snapshot.user(
            device.user if device != NULL else id if kind == "phones" else 0)
        if user == NULL or user.tenant != tenant or not user.flags & U_ENABLED:
            self.reject(d, USER_DISABLED if one or others or kind == "phones" else NO_TARGET, 0)
            return
        if one:
            d.target_kind[0] = TO_DEVICE
            d.target_id[0] = id
            d.target_user[0] = device.user
            d.n = 1
        else:
            self.add_devices(d, device.user if others else id, user, kinds)
            for i in range(d.n):
                if others and d.target_id[i] == id:
                    d.n -= 1
                    d.target_id[i] = d.target_id[d.n]
                    break
            if d.n == 0:
                self.reject(d, USER_UNREACHABLE, 0)
                return
        d.kind = RELAY
        d.parallel = True
        d.ring_s = user.ring_s
        self.choose_display(d)
        if self.trace is not None:
            self.tell(R_RING_DEVICES, d.n, d.ring_s)

    cdef void functions(self, Decision d):
        """Hand the call to call control when somebody on it has functions that need it; also that
        of a busy person, for whom one may wait (Q12)."""
        cdef const UserRec *user
        cdef uint32_t mark
        cdef int i
        cdef bint wanted = False
        if d.kind == REJECT and d.reason == USER_BUSY and self.t.n_visited:
            mark = self.t.visited[self.t.n_visited - 1]
            user = self.snapshot.user(mark) if not mark & GROUP_MARK else NULL
            if user != NULL and user.flags & U_FUNCTIONS:
                d.kind = HANDOVER
                d.service = mark
                if self.trace is not None:
                    self.tell(R_HANDOVER, mark, USER_BUSY)
        if d.kind != RELAY:
            return
        if self.t.caller_user:
            user = self.snapshot.user(self.t.caller_user)
            wanted = user != NULL and user.flags & U_FUNCTIONS
        for i in range(d.n):
            if wanted:
                break
            if d.target_user[i] and (i == 0 or d.target_user[i] != d.target_user[i - 1]):
                user = self.snapshot.user(d.target_user[i])
                wanted = user != NULL and user.flags & U_FUNCTIONS
        if wanted:
            d.kind = HANDOVER
            d.reason = CALL_FUNCTIONS
            d.code = SIP_CODES[CALL_FUNCTIONS]
            d.n = d.ring_s = d.display = 0
            d.shown = d.number = d.group = 0
            d.parallel = False
            if self.trace is not None:
                self.tell(R_HANDOVER, 0, CALL_FUNCTIONS)

    cdef int name_caller(self, Decision d) except -1:
        """What telephones and services here are told of an outside caller beside the number."""
        cdef uint32_t size = 0
        cdef const char *text
        if self.t.caller == 0 or self.t.caller_user or not (d.kind == HANDOVER or (
                d.kind == RELAY and d.target_kind[0] == TO_DEVICE)):
            return 0
        text = self.snapshot.caller_name(self.t.tenant, self.t.caller, &size)
        if size:
            d.name = PyUnicode_DecodeUTF8(text, size, NULL)
            if self.trace is not None:
                self.tell(R_CALLER_NAME, d.name, 0)
        return 0

    cdef uint64_t dialled(self, Decision d, str called, const PlanRec *plan, bint inside):
        cdef Dialled what
        cdef NumberRec row
        cdef Py_ssize_t size = 0
        cdef const char *text = PyUnicode_AsUTF8AndSize(called, &size)
        cdef uint64_t target
        cdef const UserRec *caller
        read_dialled(text, size, plan, &what)
        if what.emergency and inside:
            self.emergency(d, what.number)
            return 0
        if inside:
            caller = self.snapshot.user(self.t.caller_user)
            if caller == NULL or not caller.flags & U_ENABLED:
                self.reject(d, USER_DISABLED, 403)
                return 0
            if what.display:
                self.t.prefix_display = what.display
                if self.trace is not None:
                    self.tell(R_PREFIX, what.display, 0)
            if what.kind == DIALLED_BAD and not what.display and size \
                    and (text[0] == c"*" or text[0] == c"#"):
                d.kind = HANDOVER
                d.reason = DIAL_CODE
                d.code = SIP_CODES[DIAL_CODE]
                if self.trace is not None:
                    self.tell(R_HANDOVER, 0, DIAL_CODE)
                return 0
            if what.extension:
                target = self.snapshot.extension(self.t.tenant, what.extension)
                if target:
                    if self.trace is not None:
                        self.tell(R_EXTENSION, what.extension, target)
                    return target
        if what.kind == DIALLED_BAD or what.number == 0:
            self.reject(d, UNKNOWN_NUMBER if what.extension else BAD_NUMBER, 0)
            return 0
        self.t.called = what.number
        if self.trace is not None:
            self.tell(R_CALLED, what.number, 0)
        if inside:
            return make_target(NUMBER, what.number)
        # From a carrier: only a number of ours, and through a tenant's own trunk only its own.
        if not self.snapshot.number(what.number, &row) \
                or (self.t.tenant and row.tenant != self.t.tenant):
            self.reject(d, UNKNOWN_NUMBER, 0)
            return 0
        self.t.tenant = row.tenant
        return make_target(NUMBER, what.number)

    # -- a number -----------------------------------------------------------------------------

    cdef uint64_t to_number(self, Decision d, uint64_t number):
        cdef NumberRec row
        cdef const TenantRec *tenant
        cdef const PlanRec *plan
        cdef int32_t by = 0
        cdef bint open_now, ours = not number & SHORT() and self.snapshot.number(number, &row)
        if not ours and not number & SHORT():
            # A target may have been stored as somebody wrote it: it is read as if it were dialled.
            tenant = self.snapshot.tenant(self.t.tenant)
            if tenant == NULL:
                self.reject(d, WRONG_TENANT, 0)
                return 0
            plan = self.snapshot.plan(tenant.country)
            number = settled(number, plan)
            if number == 0 or is_emergency(number, plan):
                self.reject(d, BAD_NUMBER, 0)
                return 0
            ours = not number & SHORT() and self.snapshot.number(number, &row)
        if not ours:
            return self.outbound(d, number)
        if row.tenant != self.t.tenant:
            # Another company on this exchange: leaves this one as if over a trunk.
            if self.outbound(d, number) != number:
                return 0
            if self.trace is not None:
                self.tell(R_ON_NET, number, row.tenant)
            self.t.caller = 0 if d.display == HIDDEN else d.shown
            self.t.hidden = self.t.caller == 0
            self.t.caller_user = 0
            self.t.payer = 0
            self.t.tenant = row.tenant
        if self.trace is not None:
            self.tell(R_NUMBER, number, row.target)
        self.t.called_kind = row.called
        self.t.record = self.t.record or row.record
        if row.schedule:
            open_now = is_open(self.snapshot, row.schedule, self.now, &by)
            if self.trace is not None:
                self.tell(R_SCHEDULE, (row.schedule, by), open_now)
            if not open_now:
                if row.closed_target:
                    return row.closed_target
                self.reject(d, CLOSED_HOURS, 0)
                return 0
        if not row.target:
            self.reject(d, NO_TARGET, 0)
        return row.target

    # -- a user -------------------------------------------------------------------------------

    cdef bint visit(self, Decision d, uint32_t mark):
        cdef int i
        for i in range(self.t.n_visited):
            if self.t.visited[i] == mark:
                self.reject(d, FORWARDING_LOOP, 0)
                return False
        if self.t.n_visited == MAX_VISITED:
            self.reject(d, TOO_MANY_FORWARDS, 0)
            return False
        self.t.visited[self.t.n_visited] = mark
        self.t.n_visited += 1
        return True

    cdef const ForwardRec *forward(self, uint32_t user, const UserRec *row, int when,
                                   uint32_t activity) noexcept:
        # The most particular one: this activity before any, this kind of number before any.
        cdef uint32_t count = 0, i
        cdef const ForwardRec *rows = <const ForwardRec *>self.snapshot.rows(
            T_FORWARD, user, row.forwards - 1 if row.forwards else 0, row.n_forwards, &count)
        cdef const ForwardRec *best = NULL
        cdef int score, best_score = -1
        for i in range(count):
            if rows[i].when != when:
                continue
            if rows[i].activity and rows[i].activity != activity:
                continue
            if rows[i].called and rows[i].called != self.t.called_kind:
                continue
            score = (2 if rows[i].activity else 0) + (1 if rows[i].called else 0)
            if score > best_score:
                best_score = score
                best = &rows[i]
        return best

    cdef uint64_t follow(self, uint32_t user, const UserRec *row, const ForwardRec *forward,
                         int why):
        cdef const TenantRec *tenant = self.snapshot.tenant(row.tenant)
        cdef uint64_t number = row.direct if row.direct else tenant.main if tenant != NULL else 0
        cdef int i
        if self.t.n_diverted == MAX_DIVERTED:      # keep the first and the latest (RFC 5806)
            for i in range(1, MAX_DIVERTED - 1):
                self.t.diverted[i] = self.t.diverted[i + 1]
            self.t.n_diverted -= 1
        self.t.diverted[self.t.n_diverted] = number | <uint64_t>why << WHY_SHIFT if number else 0
        self.t.n_diverted += 1
        self.t.payer = user
        self.t.user = 0
        if self.trace is not None:
            self.tell(R_FORWARD, (user, forward.when), forward.target)
        return forward.target

    cdef uint64_t to_user(self, Decision d, uint32_t user):
        cdef const UserRec *row = self.snapshot.user(user)
        cdef const TenantRec *tenant
        cdef const ActivityRec *activity
        cdef const ForwardRec *forward
        cdef const UserRec *caller
        cdef uint32_t now_doing
        cdef int rule = ORDINARY
        cdef uint64_t line
        if row == NULL or not row.flags & U_ENABLED:
            self.reject(d, USER_DISABLED, 0)
            return 0
        if row.tenant != self.t.tenant:
            self.reject(d, WRONG_TENANT, 0)
            return 0
        if not self.visit(d, user):
            return 0
        tenant = self.snapshot.tenant(row.tenant)
        if tenant == NULL:
            self.reject(d, WRONG_TENANT, 0)
            return 0
        if self.trace is not None:
            self.tell(R_USER, user, row.extension)
        if row.flags & U_CALLER_RULES:
            if self.t.caller_user:
                caller = self.snapshot.user(self.t.caller_user)
                if caller != NULL:
                    rule = self.snapshot.caller_rule(user, EXTENSION_BIT | caller.extension)
                    if rule == ORDINARY and caller.direct:
                        rule = self.snapshot.caller_rule(user, caller.direct)
            elif self.t.caller:
                rule = self.snapshot.caller_rule(user, self.t.caller)
            if self.trace is not None and rule:
                self.tell(R_CALLER_RULE, user, rule)
            if rule == BLOCKED:
                self.reject(d, CALLER_BLOCKED, 0)
                return 0
        self.t.record = self.t.record or (row.flags & U_RECORD) != 0
        forward = self.forward(user, row, ALWAYS, 0)
        if forward != NULL:
            return self.follow(user, row, forward, FOR_ALL)
        now_doing = self.activity_of(user, tenant)
        if now_doing and rule != VIP:
            forward = self.forward(user, row, ON_ACTIVITY, now_doing)
            if forward != NULL:
                return self.follow(user, row, forward, FOR_AWAY)
            activity = self.snapshot.activity(now_doing)
            if activity != NULL and activity.tenant == row.tenant and not activity.reachable:
                # Spoken referral (P2) is call control's; without it, the caller gets 480.
                d.kind = HANDOVER
                d.reason = USER_AWAY
                d.code = SIP_CODES[USER_AWAY]
                d.service = user
                if self.trace is not None:
                    self.tell(R_HANDOVER, user, USER_AWAY)
                return 0
        if not row.flags & U_CALL_WAITING:
            line = self.observe(SEEN_LINE, user)
            if line:
                if self.trace is not None:
                    self.tell(R_LINE_STATE, user, line)
                return self.failed_user(d, user, row, BUSY_HERE)
        if self.add_devices(d, user, row, ALL_KINDS) == 0:
            return self.failed_user(d, user, row, UNREACHABLE)
        self.t.user = user
        self.t.group = 0
        d.kind = RELAY
        d.parallel = True
        d.ring_s = row.ring_s
        self.choose_display(d)
        if self.trace is not None:
            self.tell(R_RING_DEVICES, d.n, d.ring_s)
        return 0

    cdef uint64_t failed_user(self, Decision d, uint32_t user, const UserRec *row, int cause):
        cdef int when = ON_BUSY if cause == BUSY_HERE or cause == DECLINED else \
            ON_NO_ANSWER if cause == NO_ANSWER else ON_UNREACHABLE
        cdef const ForwardRec *forward = self.forward(user, row, when, 0)
        if forward != NULL:
            return self.follow(user, row, forward, FOR_DEFLECTION if cause == DECLINED else
                               FOR_BUSY if cause == BUSY_HERE else
                               FOR_NO_ANSWER if cause == NO_ANSWER else FOR_UNAVAILABLE)
        self.reject(d, USER_BUSY if when == ON_BUSY else USER_NO_ANSWER if when == ON_NO_ANSWER
                    else USER_UNREACHABLE, 0)
        return 0

    cdef int add_devices(self, Decision d, uint32_t user, const UserRec *row,
                         uint32_t kinds) noexcept:
        cdef int i, added = 0
        for i in range(MAX_DEVICES):
            if row.devices[i] == 0:
                break
            if not (kinds >> (row.devices[i] >> 28)) & 1:
                continue
            if d.n == MAX_TARGETS:
                break
            d.target_kind[d.n] = TO_DEVICE
            d.target_id[d.n] = row.devices[i] & 0xFFFFFFF
            d.target_user[d.n] = user
            d.n += 1
            added += 1
        return added

    # -- a group (Q1 ringing part, Q10, Q11) -------------------------------------------------

    cdef uint64_t to_group(self, Decision d, uint32_t group):
        cdef const GroupRec *row = self.snapshot.group(group)
        if row == NULL or row.tenant != self.t.tenant:
            self.reject(d, WRONG_TENANT, 0)
            return 0
        if not self.visit(d, group | GROUP_MARK):
            return 0
        self.t.group = group
        self.t.user = 0
        self.t.payer = 0
        self.t.round = 0
        self.t.record = self.t.record or row.record
        if self.trace is not None:
            self.tell(R_GROUP, group, row.strategy)
        return self.ring_group(d, group, 0)

    cdef int skip_reason(self, const GroupRec *row, const MemberRec *member,
                         const TenantRec *tenant):
        cdef const UserRec *user = self.snapshot.user(member.user)
        cdef const ActivityRec *activity
        cdef uint32_t doing
        if user == NULL or user.tenant != row.tenant or not user.flags & U_ENABLED:
            return DISABLED
        if not self.observe(SEEN_LOGIN, member.id):
            return LOGGED_OUT
        doing = self.activity_of(member.user, tenant)
        if doing:
            activity = self.snapshot.activity(doing)
            if activity != NULL and not activity.in_groups:
                return AWAY
        if row.skip_busy and self.observe(SEEN_LINE, member.user):
            return LINE_BUSY
        return 0

    cdef uint64_t ring_group(self, Decision d, uint32_t group, int first):
        # Ring what comes at or after position first of this round; the next rounds after that.
        cdef const GroupRec *row = self.snapshot.group(group)
        cdef const TenantRec *tenant
        cdef uint32_t count = 0
        cdef const MemberRec *members
        cdef const UserRec *user
        cdef uint8_t order[64]
        cdef uint8_t swap
        cdef int i, j, skip, present = 0
        cdef bint parallel, anew = first == 0 and self.t.round == 0
        if row == NULL:
            self.reject(d, WRONG_TENANT, 0)
            return 0
        tenant = self.snapshot.tenant(row.tenant)
        if tenant == NULL:
            self.reject(d, WRONG_TENANT, 0)
            return 0
        members = <const MemberRec *>self.snapshot.rows(
            T_MEMBER, group, row.first_member, row.members, &count)
        if count > MAX_MEMBERS:
            count = MAX_MEMBERS
        parallel = row.strategy == PARALLEL
        for i in range(<int>count):
            order[i] = <uint8_t>i
        if row.strategy == RANDOM:
            self.random_state = mix(self.t.seed ^ group)
            for i in range(<int>count - 1, 0, -1):
                j = <int>(self.random() % <uint64_t>(i + 1))
                swap = order[i]
                order[i] = order[j]
                order[j] = swap
        while self.t.round < row.attempts:
            for i in range(first, <int>count):
                skip = self.skip_reason(row, &members[order[i]], tenant)
                if skip != LOGGED_OUT and skip != DISABLED:
                    present += 1
                if not skip:
                    user = self.snapshot.user(members[order[i]].user)
                    if self.add_devices(d, members[order[i]].user, user,
                                        members[order[i]].device_kinds) == 0:
                        skip = OVER_LIMIT if d.n == MAX_TARGETS else NO_DEVICE
                if self.trace is not None:
                    self.tell(R_MEMBER_SKIPPED if skip else R_MEMBER_RINGS,
                              members[order[i]].user, skip)
                if not skip and not parallel:
                    self.t.position = <uint8_t>i
                    break
            if d.n:
                d.kind = RELAY
                d.parallel = True
                d.ring_s = row.ring_s
                d.group = group
                self.choose_display(d)
                if self.trace is not None:
                    self.tell(R_RING_DEVICES, d.n, d.ring_s)
                return 0
            if first == 0:
                break                # nobody at all in a whole round: another is no better
            first = 0
            self.t.round += 1
        self.t.group = 0
        if anew and present == 0 and row.nobody:
            if self.trace is not None:
                self.tell(R_GROUP_ON, group, row.nobody)
            return row.nobody
        if row.no_answer:
            if self.trace is not None:
                self.tell(R_GROUP_ON, group, row.no_answer)
            return row.no_answer
        self.reject(d, NOBODY_AVAILABLE if anew and present == 0 else GROUP_NO_ANSWER, 0)
        return 0

    # -- after a failed attempt ---------------------------------------------------------------

    cdef uint64_t resume(self, Decision d, int cause, str redirected):
        cdef const UserRec *row
        cdef const TenantRec *tenant
        cdef const GroupRec *group
        cdef ForwardRec moved
        cdef uint32_t user = self.t.user
        cdef Dialled what
        cdef Py_ssize_t size = 0
        cdef const char *text
        if self.trace is not None:
            self.tell(R_CAUSE, cause, (user, self.t.group))
        if self.t.group:
            group = self.snapshot.group(self.t.group)
            if group == NULL:
                self.reject(d, WRONG_TENANT, 0)
                return 0
            if group.strategy == PARALLEL:
                self.t.round += 1
                return self.ring_group(d, self.t.group, 0) if self.t.round < group.attempts \
                    else self.leave_group(d, group)
            return self.ring_group(d, self.t.group, self.t.position + 1)
        row = self.snapshot.user(user) if user else NULL
        if row == NULL:
            # What went out failed, and nobody's rules apply any more.
            self.reject(d, USER_BUSY if cause == BUSY_HERE or cause == DECLINED else
                        USER_NO_ANSWER if cause == NO_ANSWER else USER_UNREACHABLE,
                        603 if cause == DECLINED else 0)
            return 0
        if cause != REDIRECTED:
            return self.failed_user(d, user, row, cause)
        tenant = self.snapshot.tenant(row.tenant)
        text = PyUnicode_AsUTF8AndSize(redirected, &size)
        if tenant == NULL:
            self.reject(d, WRONG_TENANT, 0)
            return 0
        read_dialled(text, size, self.snapshot.plan(tenant.country), &what)
        if what.kind == DIALLED_BAD and not what.extension:
            self.reject(d, BAD_NUMBER, 480)
            return 0
        memset(&moved, 0, sizeof(moved))
        moved.when = ALWAYS
        if what.extension:
            moved.target = self.snapshot.extension(row.tenant, what.extension)
        if moved.target == 0 and what.number and not what.emergency:
            moved.target = make_target(NUMBER, what.number)
        return self.follow(user, row, &moved, FOR_DEFLECTION)

    cdef uint64_t leave_group(self, Decision d, const GroupRec *row):
        cdef uint32_t group = self.t.group
        self.t.group = 0
        if row.no_answer:
            if self.trace is not None:
                self.tell(R_GROUP_ON, group, row.no_answer)
            return row.no_answer
        self.reject(d, GROUP_NO_ANSWER, 0)
        return 0
