"""decide(): where a call goes. A function of snapshot, live state, call, time and seed.

The kernel has no clock, no randomness and no I/O of its own. Every piece of live state it looks at
goes through observe(), which writes it down; a decision replayed with those notes is the same bit
for bit. With a trace list, the same code says which rule applied (explain.py).

A call is walked from target to target (user, group, number) until something rings or refuses.
When an attempt fails, the edge comes back with the call's Trail and the Cause, and the walk goes
on with the state of that moment.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strlen

from routing_core.codes cimport (
    ALWAYS, AWAY, BARRED, BLOCKED, BUSY, BUSY_HERE, BUSY_TARGET,
    CALLER_BLOCKED, CLOSED_HOURS, DECLINED, DEVICE, DIRECT, DISABLED, EMERGENCY, EXTENSION, FIRST,
    FORWARDING_LOOP, GROUP, GROUP_NO_ANSWER, HANDOVER, HIDDEN, INHERIT, LINE_BUSY,
    LOGGED_OUT, MAIN, MOBILE_ROLE, NOBODY_AVAILABLE, NO_ANSWER, NO_DEVICE, NO_TARGET,
    NO_TRUNK, NUMBER, NUMBER_NOT_OWNED, ON_ACTIVITY, ON_BUSY, ON_NO_ANSWER, ON_UNREACHABLE,
    ORDINARY, ORIGINAL, OVER_LIMIT, OWN_MOBILE, PARALLEL, RANDOM, REDIRECTED, REJECT, RELAY,
    REQUESTED, R_AREA, R_BARRED, R_CALLED, R_CALLER_RULE, R_CAUSE, R_DISPLAY, R_EMERGENCY,
    R_EXTENSION, R_FORWARD, R_GROUP, R_GROUP_ON, R_HANDOVER, R_LINE_STATE, R_MEMBER_RINGS,
    R_MEMBER_SKIPPED, R_NOT_OWNED, R_NUMBER, R_ON_NET, R_OUTBOUND, R_PREFIX, R_PRESENCE,
    R_PRESENCE_ENDED, R_RECORD, R_REJECT, R_RING_DEVICES, R_SCHEDULE, R_SOURCE_DEVICE,
    R_SOURCE_TRUNK, R_TRUNK, R_TRUNK_DOWN, R_USER, SERVICE, SERVICE_TARGET,
    SUPPORT, TOO_MANY_FORWARDS, TO_DEVICE, TO_TRUNK, TRUNK, UNKNOWN_NUMBER, UNKNOWN_SOURCE,
    UNREACHABLE, USER, USER_AWAY, USER_BUSY, USER_DISABLED, USER_NO_ANSWER, USER_UNREACHABLE, VIP,
    WORK, WRONG_TENANT, BAD_NUMBER,
)
from routing_core.decision cimport Decision, MAX_DIVERTED, Trail
from routing_core.hours cimport is_open
from routing_core.layout cimport (
    ActivityRec, AreaRec, DeviceRec, ForwardRec, GroupRec, MAX_DEVICES,
    MAX_MEMBERS, MAX_TARGETS, MAX_TRUNKS, MAX_VISITED, MemberRec, NumberRec, PlanRec, RouteRec,
    SHORT, TARGET_SHIFT, TenantRec, TrunkRec, T_FORWARD, T_MEMBER, T_ROUTE, T_TENANT, UserRec,
    U_CALLER_RULES, U_CALL_WAITING, U_ENABLED, U_RECORD, make_target, mix, vx_load,
)
from routing_core.numbers cimport (
    DIALLED_BAD, Dialled, aligned, digits_of, number_class, read_dialled,
)
from routing_core.world cimport SEEN_LINE, SEEN_LOGIN, SEEN_PRESENCE, SEEN_TRUNK, World

cdef enum:
    ROUTE_CANDIDATES = 32
    GROUP_MARK = 0x80000000

cdef uint64_t VALUE_MASK = (<uint64_t>1 << TARGET_SHIFT) - 1
cdef uint64_t NOBODYS = 1              # a wish for a number that cannot be read: nobody owns it
cdef uint64_t EXTENSION_BIT = <uint64_t>1 << 55   # a colleague's extension in a caller rule

cdef dict SIP_CODES = {
    UNKNOWN_NUMBER: 404, UNKNOWN_SOURCE: 403, BAD_NUMBER: 484, BARRED: 403, FORWARDING_LOOP: 482,
    TOO_MANY_FORWARDS: 483, USER_BUSY: 486, USER_NO_ANSWER: 480, USER_UNREACHABLE: 480,
    USER_AWAY: 480, CALLER_BLOCKED: 603, CLOSED_HOURS: 480, NOBODY_AVAILABLE: 480,
    GROUP_NO_ANSWER: 480, NO_TRUNK: 503, NUMBER_NOT_OWNED: 403, NO_TARGET: 404, WRONG_TENANT: 404,
    SERVICE_TARGET: 480, USER_DISABLED: 404, BUSY_TARGET: 486,
}


cdef class Kernel(World):
    """A snapshot and the live state, ready to decide."""

    # -- entry points -------------------------------------------------------------------------

    def decide(self, int source_kind, uint32_t source, str called, str calling, int64_t now,
               uint64_t seed, str wanted=None, bytes trail=None, int cause=FIRST,
               list trace=None):
        """Decide on a new call, or, with a trail and a cause, on one whose attempt failed.

        source_kind, source: TRUNK and its id (0 unknown), or DEVICE and its id; called: as
        dialled; calling: an outside caller's number, "" when withheld; now: Unix seconds; seed: of
        this call, 64 random bits; wanted: the number the device asks to be shown; cause: a Cause,
        with called the new target when REDIRECTED; trace: is given one (rule, a, b) per line.
        """
        self.replaying = False
        return self.walk(source_kind, source, called, calling, now, seed, wanted, trail, cause,
                         trace)

    def replay(self, bytes observed, int source_kind, uint32_t source, str called, str calling,
               int64_t now, uint64_t seed, str wanted=None, bytes trail=None, int cause=FIRST,
               list trace=None):
        """decide() again, with the live state as it was observed then.

        Returns (decision, faithful); faithful is False when the decision asked for something that
        was not observed, which another configuration may make it do.
        """
        self.replaying = True
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
        if trail is not None and PyBytes_GET_SIZE(trail) == sizeof(Trail):
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

    cdef Decision reject(self, Decision d, int reason, int code):
        d.kind = REJECT
        d.reason = reason
        d.code = code if code else SIP_CODES[reason]
        d.n = 0
        if self.trace is not None:
            self.tell(R_REJECT, reason, d.code)
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
        if wanted:
            text = PyUnicode_AsUTF8AndSize(wanted, &size)
            read_dialled(text, size, self.snapshot.plan(tenant.country), &caller)
            self.t.wanted = caller.number if caller.number else NOBODYS
        if self.trace is not None:
            self.tell(R_SOURCE_DEVICE, source, device.user)
        return self.dialled(d, called, self.snapshot.plan(tenant.country), True)

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
        cdef int32_t by = 0
        cdef bint open_now
        if number & SHORT() or not self.snapshot.number(number, &row):
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

    cdef uint32_t activity_of(self, uint32_t user, const TenantRec *tenant):
        # The activity in force now; 0 = available.
        cdef uint64_t word = self.observe(SEEN_PRESENCE, user)
        cdef uint64_t until = word >> 24
        cdef uint32_t activity = <uint32_t>(word & 0xFFFFFF)
        if activity and until and until <= <uint64_t>self.now and not tenant.end_informs:
            if self.trace is not None:
                self.tell(R_PRESENCE_ENDED, activity, until)
            return 0
        if self.trace is not None and activity:
            self.tell(R_PRESENCE, (user, activity), until)
        return activity

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

    cdef uint64_t follow(self, uint32_t user, const UserRec *row, const ForwardRec *forward):
        cdef const TenantRec *tenant = self.snapshot.tenant(row.tenant)
        cdef uint64_t number = row.direct if row.direct else tenant.main if tenant != NULL else 0
        cdef int i
        if self.t.n_diverted == MAX_DIVERTED:      # keep the first and the latest (RFC 5806)
            for i in range(1, MAX_DIVERTED - 1):
                self.t.diverted[i] = self.t.diverted[i + 1]
            self.t.n_diverted -= 1
        self.t.diverted[self.t.n_diverted] = number
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
            return self.follow(user, row, forward)
        now_doing = self.activity_of(user, tenant)
        if now_doing and rule != VIP:
            forward = self.forward(user, row, ON_ACTIVITY, now_doing)
            if forward != NULL:
                return self.follow(user, row, forward)
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
        if self.add_devices(d, user, row, 0xFFFF) == 0:
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
            return self.follow(user, row, forward)
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
                        USER_NO_ANSWER if cause == NO_ANSWER else USER_UNREACHABLE, 0)
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
        return self.follow(user, row, &moved)

    cdef uint64_t leave_group(self, Decision d, const GroupRec *row):
        cdef uint32_t group = self.t.group
        self.t.group = 0
        if row.no_answer:
            if self.trace is not None:
                self.tell(R_GROUP_ON, group, row.no_answer)
            return row.no_answer
        self.reject(d, GROUP_NO_ANSWER, 0)
        return 0

    # -- out of the exchange ------------------------------------------------------------------

    cdef uint64_t outbound(self, Decision d, uint64_t number):
        """Barring and number display; then trunks, or `number` itself when it is on this exchange.
        """
        cdef const TenantRec *tenant = self.snapshot.tenant(self.t.tenant)
        cdef const UserRec *payer
        cdef NumberRec row
        cdef uint32_t barred
        if tenant == NULL:
            self.reject(d, WRONG_TENANT, 0)
            return 0
        d.number_class = number_class(number, self.snapshot.plan(tenant.country))
        barred = tenant.barred
        payer = self.snapshot.user(self.t.payer) if self.t.payer else NULL
        if payer != NULL:
            barred |= payer.barred
        if self.trace is not None:
            self.tell(R_OUTBOUND, number, d.number_class)
        if d.number_class & barred:
            if self.trace is not None:
                self.tell(R_BARRED, d.number_class, self.t.payer)
            self.reject(d, BARRED, 0)
            return 0
        if not self.choose_display(d):
            return 0
        if not number & SHORT() and self.snapshot.number(number, &row):
            return number
        self.trunks(d, number, False)
        if d.n == 0:
            self.reject(d, NO_TRUNK, 0)
            return 0
        d.kind = RELAY
        d.parallel = False
        d.number = number
        self.t.user = 0
        self.t.group = 0
        return 0

    cdef bint choose_display(self, Decision d):
        """Which number the other side sees (N3); False when the call is refused for it."""
        cdef const UserRec *user
        cdef const TenantRec *tenant
        cdef const DeviceRec *device
        cdef const ActivityRec *activity
        cdef NumberRec owned
        cdef uint32_t doing
        cdef int choice = self.t.prefix_display
        if self.t.caller_user == 0:
            d.display = ORIGINAL
            d.shown = self.t.caller
            return True
        user = self.snapshot.user(self.t.caller_user)
        if d.kind == RELAY:                       # devices of the same company
            d.display = EXTENSION
            d.shown = user.extension if user != NULL else 0
            return True
        tenant = self.snapshot.tenant(self.t.tenant)
        if user == NULL or tenant == NULL:
            return True
        if choice == INHERIT and self.t.wanted:
            if self.snapshot.number(self.t.wanted, &owned) and owned.tenant == self.t.tenant:
                d.display = REQUESTED
                d.shown = self.t.wanted
                if self.trace is not None:
                    self.tell(R_DISPLAY, d.display, d.shown)
                return True
            if self.trace is not None:
                self.tell(R_NOT_OWNED, self.t.wanted, tenant.refuse_foreign)
            if tenant.refuse_foreign:
                self.reject(d, NUMBER_NOT_OWNED, 0)
                return False
        if choice == INHERIT:
            device = self.snapshot.device(self.t.device)
            if device != NULL:
                choice = device.display
        if choice == INHERIT:
            doing = self.activity_of(self.t.caller_user, tenant)
            activity = self.snapshot.activity(doing) if doing else NULL
            if activity != NULL and activity.role == WORK:
                choice = MAIN
            elif activity != NULL and activity.role == MOBILE_ROLE:
                choice = OWN_MOBILE
        if choice == INHERIT:
            choice = user.display
        d.display = choice if choice else MAIN
        if choice == DIRECT:
            d.shown = user.direct
        elif choice == OWN_MOBILE:
            d.shown = user.mobile
        elif choice == SUPPORT:
            d.shown = tenant.support
        if d.shown == 0:
            d.shown = tenant.main if tenant.main else user.direct
            if choice != HIDDEN:
                d.display = MAIN
        if self.trace is not None:
            self.tell(R_DISPLAY, d.display, d.shown)
        return True

    cdef void emergency(self, Decision d, uint64_t number):
        """N4: before any limit, to the centre of the caller's own area, with the right number."""
        cdef const DeviceRec *device = self.snapshot.device(self.t.device)
        cdef const UserRec *user = self.snapshot.user(self.t.caller_user)
        cdef const TenantRec *tenant = self.snapshot.tenant(self.t.tenant)
        cdef const AreaRec *area = NULL
        cdef uint32_t which = 0
        if device != NULL and device.area:
            which = device.area
        elif user != NULL and user.area:
            which = user.area
        elif tenant != NULL:
            which = tenant.area
        area = self.snapshot.area(which) if which else NULL
        d.kind = EMERGENCY
        d.area = which
        d.number = number
        self.t.called = number
        if user != NULL:
            d.shown = user.direct if user.direct else user.mobile
        d.display = DIRECT
        if d.shown == 0 and tenant != NULL:
            d.shown = tenant.main
            d.display = MAIN
        if self.trace is not None:
            self.tell(R_EMERGENCY, number, d.shown)
        if area != NULL:
            d.number = area.centre
            d.location_text = area.location[:strlen(area.location)].decode("utf-8", "replace")
            if self.trace is not None:
                self.tell(R_AREA, which, area.centre)
            if area.trunk and self.snapshot.trunk(area.trunk) != NULL:
                d.target_kind[0] = TO_TRUNK
                d.target_id[0] = area.trunk
                d.target_user[0] = 0
                d.n = 1
        self.trunks(d, d.number, True)

    cdef int collect(self, uint32_t tenant, uint64_t number, bint any_prefix,
                     uint32_t *trunk, uint32_t *position, uint32_t *weight) noexcept:
        # The routes of the longest prefix that matches; any_prefix takes all of them.
        cdef const TenantRec *row = <const TenantRec *>self.snapshot.by_id(T_TENANT, tenant)
        cdef uint32_t count = 0, i
        cdef const RouteRec *routes
        cdef uint64_t left, width, best = 0, unit = 1
        cdef uint32_t _digit, digits = digits_of(number & ~SHORT())
        cdef int n = 0
        routes = <const RouteRec *>self.snapshot.rows(
            T_ROUTE, tenant, row.first_route if row != NULL else 0,
            row.routes if row != NULL else 0, &count)
        left = aligned(number & ~SHORT())
        for _digit in range(digits, 15):
            unit *= 10               # the range of the whole number: no prefix's is narrower
        for i in range(count):
            width = routes[i].high - routes[i].low
            if not any_prefix:
                if not routes[i].low <= left < routes[i].high or width < unit:
                    continue
                if number & SHORT() and routes[i].low:
                    continue
                if best and width > best:
                    continue
                if best == 0 or width < best:
                    best = width
                    n = 0
            if n == ROUTE_CANDIDATES:
                break
            trunk[n] = routes[i].trunk
            position[n] = routes[i].position
            weight[n] = routes[i].weight if routes[i].weight else 1
            n += 1
        return n

    cdef void trunks(self, Decision d, uint64_t number, bint any_prefix):
        """Append the trunks to try: by position, then by weighted chance; those that are down last.
        """
        cdef uint32_t trunk[32]
        cdef uint32_t position[32]
        cdef uint32_t weight[32]
        cdef uint32_t down[32]
        cdef uint32_t least, total, pick
        cdef int n, i, j, chosen, n_down = 0
        cdef const TrunkRec *row
        cdef bint known
        n = self.collect(self.t.tenant, number, False, trunk, position, weight)
        if n == 0:
            n = self.collect(0, number, False, trunk, position, weight)
        if n == 0 and any_prefix:
            n = self.collect(self.t.tenant, number, True, trunk, position, weight)
            if n == 0:
                n = self.collect(0, number, True, trunk, position, weight)
        while n:
            least = position[0]
            total = 0
            for i in range(n):
                if position[i] < least:
                    least = position[i]
            for i in range(n):
                if position[i] == least:
                    total += weight[i]
            pick = <uint32_t>(self.random() % total)
            chosen = 0
            for i in range(n):
                if position[i] == least:
                    if pick < weight[i]:
                        chosen = i
                        break
                    pick -= weight[i]
            row = self.snapshot.trunk(trunk[chosen])
            known = False
            for j in range(d.n):
                known = known or d.target_id[j] == trunk[chosen]
            for j in range(n_down):
                known = known or down[j] == trunk[chosen]
            if row != NULL and not known and (row.tenant == 0 or row.tenant == self.t.tenant):
                if self.observe(SEEN_TRUNK, trunk[chosen]):
                    if d.n < MAX_TRUNKS:
                        self.append_trunk(d, trunk[chosen])
                else:
                    down[n_down] = trunk[chosen]
                    n_down += 1
            n -= 1
            trunk[chosen] = trunk[n]
            position[chosen] = position[n]
            weight[chosen] = weight[n]
        for i in range(n_down):
            if self.trace is not None:
                self.tell(R_TRUNK_DOWN, down[i], 0)
            if d.n < MAX_TRUNKS:
                self.append_trunk(d, down[i])

    cdef void append_trunk(self, Decision d, uint32_t trunk):
        if self.trace is not None:
            self.tell(R_TRUNK, trunk, d.n)
        d.target_kind[d.n] = TO_TRUNK
        d.target_id[d.n] = trunk
        d.target_user[d.n] = 0
        d.n += 1
