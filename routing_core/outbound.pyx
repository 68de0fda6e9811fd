"""Calls that leave the exchange: barring, number display, trunks, emergency (N2, N3, N4, N6).

The part of a Kernel that does not know where calls come from.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport strlen

from routing_core.codes cimport (
    BARRED, BUSY_TARGET, CALLER_BLOCKED, CALL_FUNCTIONS, DIAL_CODE, CLOSED_HOURS, DIRECT,
    EMERGENCY, EXTENSION, FORWARDING_LOOP, GROUP_NO_ANSWER, HIDDEN, INHERIT, MAIN, MOBILE_ROLE,
    NOBODY_AVAILABLE, NO_TARGET, NO_TRUNK, NUMBER_NOT_OWNED, ORIGINAL, OWN_MOBILE, REJECT, RELAY,
    REQUESTED, R_AREA, R_BARRED, R_DISPLAY, R_EMERGENCY, R_NOT_OWNED, R_OUTBOUND, R_PRESENCE,
    R_PRESENCE_ENDED, R_REJECT, R_TRUNK, R_TRUNK_DOWN, SERVICE_TARGET, SUPPORT, TOO_MANY_FORWARDS,
    TO_TRUNK, UNKNOWN_NUMBER, UNKNOWN_SOURCE, USER_AWAY, USER_BUSY, USER_DISABLED, USER_NO_ANSWER,
    USER_UNREACHABLE, WORK, WRONG_TENANT, BAD_NUMBER,
)
from routing_core.decision cimport Decision
from routing_core.layout cimport (
    ActivityRec, AreaRec, DeviceRec, MAX_TRUNKS, NumberRec, RouteRec, SHORT, TenantRec, TrunkRec,
    T_ROUTE, T_TENANT, UserRec,
)
from routing_core.numbers cimport aligned, digits_of, number_class
from routing_core.world cimport SEEN_PRESENCE, SEEN_TRUNK, World

cdef enum:
    ROUTE_CANDIDATES = 32

cdef dict SIP_CODES = {
    UNKNOWN_NUMBER: 404, UNKNOWN_SOURCE: 403, BAD_NUMBER: 484, BARRED: 403, FORWARDING_LOOP: 482,
    TOO_MANY_FORWARDS: 483, USER_BUSY: 486, USER_NO_ANSWER: 480, USER_UNREACHABLE: 480,
    USER_AWAY: 480, CALLER_BLOCKED: 603, CLOSED_HOURS: 480, NOBODY_AVAILABLE: 480,
    GROUP_NO_ANSWER: 480, NO_TRUNK: 503, NUMBER_NOT_OWNED: 403, NO_TARGET: 404, WRONG_TENANT: 404,
    SERVICE_TARGET: 480, USER_DISABLED: 404, BUSY_TARGET: 486, CALL_FUNCTIONS: 480,
    DIAL_CODE: 484,
}


cdef class Outbound(World):
    """What a call has been through (its trail), and its way out."""

    cdef Decision reject(self, Decision d, int reason, int code):
        d.kind = REJECT
        d.reason = reason
        d.code = code if code else SIP_CODES[reason]
        d.n = 0
        if self.trace is not None:
            self.tell(R_REJECT, reason, d.code)
        return d

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
        if d.kind == RELAY and choice == HIDDEN:  # asked for with this very call
            d.display = HIDDEN
            return True
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
