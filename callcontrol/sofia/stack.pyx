"""Sofia-SIP in a thread of its own: commands in, events out, nothing shared.

The stack's thread runs without the interpreter's lock and never waits for Python: its callback
copies what an event says into one block of memory, appends it to a list and, when the list was
empty, writes to a file descriptor that an asyncio loop reads. The other way round, a command is one
block that the thread picks up.

Lifetime, which every change here has to keep:
- A Leg (a SIP handle and its number) is made by `invite` from Python's side or by a request that
  came in. It is freed in the stack's thread by the command `destroy`, which Python gives exactly
  once, and by nothing else.
- Events name a leg by its number, so one that is under way when its leg is destroyed is harmless:
  the number is not in `self.legs` any more.
- A command is never given for a number that is not in `self.legs`.
"""

from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport intptr_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, strlen, strncasecmp

from callcontrol.sofia.sofia cimport *

import os
import threading

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        int whatever "__align"
    int pthread_mutex_init(pthread_mutex_t *, void *)
    int pthread_mutex_lock(pthread_mutex_t *)
    int pthread_mutex_unlock(pthread_mutex_t *)

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    const int CLOCK_MONOTONIC
    int clock_gettime(int, timespec *)
    int nanosleep(const timespec *, timespec *)

cdef extern from "<unistd.h>" nogil:
    ssize_t write(int, const void *, size_t)
    ssize_t read(int, void *, size_t)

#: Events that wait for Python; new calls are refused with 503 beyond it.
cdef enum:
    MAX_EVENTS = 20_000
    MAX_TAGS = 12
    MAX_COMMAND = 64_000
    IDLE_TURN_NS = 10_000    # a turn of the stack's loop in which nothing happened
    REST_NS = 250_000

cpdef enum Op:
    INVITE = 1
    RESPOND = 2
    ACK = 3
    BYE = 4
    CANCEL = 5
    UPDATE = 6
    INFO = 7
    REFER = 8
    NOTIFY = 9
    AUTHENTICATE = 10
    DESTROY = 11
    STOP = 12

cpdef enum Tag:
    FROM = 0
    TO = 1
    URL = 2
    CONTENT_TYPE = 3
    PAYLOAD = 4
    HEADER = 5
    EVENT = 6
    REFER_TO = 7
    REFERRED_BY = 8
    REPLACES = 9
    REASON = 10
    EXPIRES = 11
    RETRY_AFTER = 12
    CONTACT = 13
    AUTH = 14
    CALL_INFO = 15
    REQUIRE = 16
    SUBSCRIPTION = 17
    FIRST_NUMBER = 20
    EARLY_MEDIA = 20
    SUBSTATE = 21
    SESSION_TIMER = 22
    INVITE_TIMER = 23
    NEW_SUBSCRIPTION = 24

cpdef enum Kind:
    # What an event is about; the stack's own numbers differ from version to version.
    INVITED = 1          # a call, or a new offer in one
    CANCELLED = 2
    ACKED = 3
    TERMINATED = 4
    BYE_IN = 5
    REFERRED = 6
    INFO_IN = 7
    UPDATED = 8
    SUBSCRIBED = 9
    NOTIFIED = 10
    INVITE_REPLY = 11
    NOTIFY_REPLY = 16
    FORKED = 17
    FAULT = 18
    STOPPED = 19

cpdef enum Text:
    PHRASE = 0
    CALL_ID = 1
    FROM_TAG = 2
    TO_TAG = 3
    FROM_USER = 4
    FROM_NAME = 5
    TO_USER = 6
    REQUEST_USER = 7
    BODY_TYPE = 8
    BODY = 9
    DECISION = 10
    REPLACES_ID = 11
    REPLACES_TO = 12
    REPLACES_FROM = 13
    REFER_USER = 14
    REFER_HEADERS = 15
    EVENT_TYPE = 16
    REFERRER = 17
    ANSWERER = 18
    BOUNDARY = 19
    TEXTS = 20

cdef struct Leg:
    nua_handle_t *nh
    uint64_t number
    msg_t *request         # not an INVITE, that Python is to answer: it has to be named then
    bint up                # the call's INVITE is answered: no request of it is pending any more

cdef struct Command:
    Command *next
    Leg *leg
    int op
    int status
    int n
    int tag[12]
    size_t at[12]          # of a text in `data`, or the number itself
    size_t size
    char data[1]

cdef struct Event:
    Event *next
    Leg *leg               # only to be looked at when the event brings a new leg
    uint64_t number
    int kind
    int status
    bint over
    unsigned int expires
    unsigned int cseq
    bint new
    bint reliable          # the other side can do 100rel
    bint updates           # and says that it takes an UPDATE
    size_t size[TEXTS]        # of each text; 0 = not there
    char data[1]

cdef tag_type_t tags_of[25]
tags_of[<int>FROM] = siptag_from_str
tags_of[<int>TO] = siptag_to_str
tags_of[<int>URL] = nutag_url
tags_of[<int>CONTENT_TYPE] = siptag_content_type_str
tags_of[<int>PAYLOAD] = siptag_payload_str
tags_of[<int>HEADER] = siptag_header_str
tags_of[<int>EVENT] = siptag_event_str
tags_of[<int>REFER_TO] = siptag_refer_to_str
tags_of[<int>REFERRED_BY] = siptag_referred_by_str
tags_of[<int>REPLACES] = siptag_replaces_str
tags_of[<int>REASON] = siptag_reason_str
tags_of[<int>EXPIRES] = siptag_expires_str
tags_of[<int>RETRY_AFTER] = siptag_retry_after_str
tags_of[<int>CONTACT] = siptag_contact_str
tags_of[<int>AUTH] = nutag_auth
tags_of[<int>CALL_INFO] = siptag_call_info_str
tags_of[<int>REQUIRE] = siptag_require_str
tags_of[<int>SUBSCRIPTION] = siptag_subscription_state_str
tags_of[<int>NEW_SUBSCRIPTION] = nutag_newsub
tags_of[<int>EARLY_MEDIA] = nutag_early_media
tags_of[<int>SUBSTATE] = nutag_substate
tags_of[<int>SESSION_TIMER] = nutag_session_timer
tags_of[<int>INVITE_TIMER] = nutag_invite_timer

#: The edge's signed decision.
cdef const char *DECISION_HEADER = b"X-Vaxel-Decision"
#: Who has answered a call of ours: user and device.
cdef const char *ANSWERER_HEADER = b"X-Vaxel-Answerer"


cdef class Record:
    """An event as Python sees it: `text[...]` is by Text, None where there is none."""

    cdef readonly uint64_t leg
    cdef readonly int kind, status
    cdef readonly unsigned int expires, cseq
    cdef readonly bint over
    cdef readonly bint new, reliable, updates
    cdef readonly list text

    def __repr__(self):
        return f"Record(leg={self.leg}, {Kind(self.kind).name}, {self.status})"


cdef class Stack:
    """A user agent bound to one address.

    url: "sip:127.0.0.1:5080;transport=udp". session_s: RFC 4028's interval asked for, 0 = none.
    `fileno()` is readable when `drain()` has something.
    """

    cdef pthread_mutex_t events_lock, commands_lock
    cdef Event *first_event
    cdef Event *last_event
    cdef Command *first_command
    cdef Command *last_command
    cdef size_t waiting
    cdef long long turned_ns
    cdef int idle_turns
    cdef int event_fd, command_fd
    cdef su_root_t *root
    cdef nua_t *nua
    cdef uint64_t incoming, outgoing
    cdef bytes url
    cdef unsigned int session_s, min_session_s
    cdef dict legs           # number → address of its Leg
    cdef object thread, up
    cdef bint started, failed
    cdef readonly size_t refused

    def __cinit__(self, str url not None, unsigned int session_s=1800):
        pthread_mutex_init(&self.events_lock, NULL)
        pthread_mutex_init(&self.commands_lock, NULL)
        self.event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.command_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.url = url.encode()
        self.session_s = session_s
        self.min_session_s = 90              # RFC 4028 section 5: the least there is
        self.legs = {}
        self.outgoing = 1
        self.incoming = 2

    def __dealloc__(self):
        cdef Event *event = self.first_event
        cdef Event *next
        while event != NULL:
            next = event.next
            free(event)
            event = next
        os.close(self.event_fd)
        os.close(self.command_fd)

    # -- the thread ---------------------------------------------------------------------------

    def start(self):
        """Bind and run; OSError when the address cannot be had."""
        self.up = threading.Event()
        self.thread = threading.Thread(target=self._run, name="sip", daemon=True)
        self.thread.start()
        self.up.wait()
        if self.failed:
            self.thread.join()
            raise OSError(f"{self.url.decode()} cannot be bound: is it in use?")

    def _run(self):
        cdef tagi_t tags[20]
        cdef su_wait_t wait[1]
        cdef int n = 0
        su_init()
        su_log_set_level(su_log_default, 0)
        self.root = su_root_create(<void *>self)
        su_root_threading(self.root, 0)
        for tag, value in ((<intptr_t>nutag_media_enable, 0), (<intptr_t>nutag_autoalert, 0),
                           (<intptr_t>nutag_autoanswer, 0), (<intptr_t>nutag_update_refresh, 1),
                           (<intptr_t>nutag_session_timer, self.session_s),
                           (<intptr_t>nutag_min_se, self.min_session_s),
                           (<intptr_t>nutag_path_enable, 0), (<intptr_t>nutag_enablemessage, 0),
                           (<intptr_t>nutag_service_route_enable, 0),
                           (<intptr_t>nutag_retry_count, 0),
                           (<intptr_t>nutag_refresh_without_sdp, 1),
                           (<intptr_t>ntatag_udp_mtu, 65500), (<intptr_t>ntatag_maxsize, 65500)):
            tags[n].t_tag = <tag_type_t><intptr_t>tag
            tags[n].t_value = value
            n += 1
        # What the application answers itself. (The stack would take an UPDATE's SDP unseen.)
        cdef bytes methods = b"INFO, UPDATE, REFER, SUBSCRIBE"
        cdef bytes allow = b"INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, REFER, " \
            b"NOTIFY, SUBSCRIBE"
        cdef bytes supported = b"timer, 100rel, replaces"
        cdef bytes events = b"dialog, message-summary, refer"
        cdef bytes agent = b"vaxel"
        for tag, value in ((<intptr_t>nutag_url, self.url), (<intptr_t>nutag_appl_method, methods),
                           (<intptr_t>nutag_allow, allow), (<intptr_t>nutag_supported, supported),
                           (<intptr_t>nutag_allow_events, events),
                           (<intptr_t>nutag_user_agent, agent)):
            tags[n].t_tag = <tag_type_t><intptr_t>tag
            tags[n].t_value = <tag_value_t><const char *><bytes>value
            n += 1
        tags[n].t_tag = NULL
        tags[n].t_value = 0
        self.nua = nua_create(self.root, _heard, <void *>self, tag_next, <tag_value_t>&tags[0])
        self.failed = self.nua == NULL
        if not self.failed:
            su_wait_create(wait, self.command_fd, SU_WAIT_IN)
            su_root_register(self.root, wait, _commanded, <void *>self, 0)
        self.started = not self.failed
        self.up.set()
        with nogil:
            if not self.failed:
                su_root_add_prepoll(self.root, _turned, <void *>self)
                su_root_run(self.root)
                nua_destroy(self.nua)
            su_root_destroy(self.root)

    def stop(self):
        """End all calls and the thread; the caller drains until it has ended."""
        if self.started:
            self._send(STOP, NULL, 0, ())

    def join(self, timeout=None):
        """Wait for the thread; True when it has ended."""
        self.thread.join(timeout)
        return not self.thread.is_alive()

    def fileno(self):
        return self.event_fd

    @property
    def count(self):
        """Legs that are not destroyed."""
        return len(self.legs)

    # -- commands -----------------------------------------------------------------------------

    def invite(self, tuple tags not None):
        """A new leg that calls; its number. tags: ((Tag, str or int), ...)."""
        cdef Leg *leg = <Leg *>calloc(1, sizeof(Leg))
        if leg == NULL:
            raise MemoryError
        cdef uint64_t number = self.outgoing
        leg.number = number
        self.outgoing += 2
        try:
            self._send(INVITE, leg, 0, tags)
        except BaseException:
            free(leg)
            raise
        self.legs[number] = <intptr_t>leg
        return number

    def send(self, int op, uint64_t number, int status=0, tuple tags=()):
        """A command for a leg; ValueError when it is not there (any more)."""
        cdef object found = self.legs.get(number)
        if found is None:
            raise ValueError(f"no leg {number}")
        self._send(op, <Leg *><intptr_t>found, status, tags)

    def destroy(self, uint64_t number):
        """Forget the leg; what it still has going on is ended by the stack. Twice is once."""
        cdef object found = self.legs.pop(number, None)
        if found is not None:
            self._send(DESTROY, <Leg *><intptr_t>found, 0, ())

    cdef int _send(self, int op, Leg *leg, int status, tuple tags) except -1:
        cdef Py_ssize_t size = 0
        cdef size_t total
        cdef const char *text
        cdef Command *command
        cdef size_t at
        cdef bint first
        cdef uint64_t one = 1
        if len(tags) > MAX_TAGS:
            raise ValueError("too many headers")
        total = 1
        for tag, value in tags:
            if <int>tag < FIRST_NUMBER:
                PyUnicode_AsUTF8AndSize(value, &size)
                total += size + 1
        if total > MAX_COMMAND:
            raise ValueError("headers and body are too long")
        command = <Command *>calloc(1, sizeof(Command) + total)
        if command == NULL:
            raise MemoryError
        command.op = op
        command.leg = leg
        command.status = status
        at = 0
        for tag, value in tags:
            command.tag[command.n] = tag
            if <int>tag < FIRST_NUMBER:
                text = PyUnicode_AsUTF8AndSize(value, &size)
                memcpy(command.data + at, text, size)
                command.at[command.n] = at
                at += size + 1
            else:
                command.at[command.n] = value
            command.n += 1
        pthread_mutex_lock(&self.commands_lock)
        first = self.first_command == NULL
        if first:
            self.first_command = command
        else:
            self.last_command.next = command
        self.last_command = command
        pthread_mutex_unlock(&self.commands_lock)
        if first:
            write(self.command_fd, &one, 8)
        return 0

    cdef void rest(self) noexcept nogil:
        """Before the stack waits: it does so in whole milliseconds, and for a timer that is due in
        less it turns round and round. Two turns that did nothing are one too many: then it rests,
        for less than a timer may be late."""
        cdef timespec now
        cdef timespec pause
        clock_gettime(CLOCK_MONOTONIC, &now)
        cdef long long at_ns = <long long>now.tv_sec * 1_000_000_000 + now.tv_nsec
        if at_ns - self.turned_ns < IDLE_TURN_NS:
            self.idle_turns += 1
        else:
            self.idle_turns = 0
        if self.idle_turns >= 2:
            pause.tv_sec = 0
            pause.tv_nsec = REST_NS
            nanosleep(&pause, NULL)
            clock_gettime(CLOCK_MONOTONIC, &now)
            at_ns = <long long>now.tv_sec * 1_000_000_000 + now.tv_nsec
        self.turned_ns = at_ns

    cdef void carry_out(self) noexcept nogil:
        """In the stack's thread: everything that was asked."""
        cdef uint64_t count
        cdef Command *command
        cdef Command *next
        read(self.command_fd, &count, 8)
        pthread_mutex_lock(&self.commands_lock)
        command = self.first_command
        self.first_command = NULL
        self.last_command = NULL
        pthread_mutex_unlock(&self.commands_lock)
        while command != NULL:
            next = command.next
            self.one(command)
            free(command)
            command = next

    cdef void one(self, Command *command) noexcept nogil:
        """Sofia copies the tags; of an answer's phrase it keeps the pointer, so it gets its own."""
        cdef tagi_t tags[13]
        cdef int i
        cdef Leg *leg = command.leg
        cdef int op = command.op
        cdef nua_handle_t *nh
        for i in range(command.n):
            tags[i].t_tag = tags_of[command.tag[i]]
            tags[i].t_value = <tag_value_t>(command.data + command.at[i]) \
                if command.tag[i] < FIRST_NUMBER else <tag_value_t>command.at[i]
        tags[command.n].t_tag = NULL
        tags[command.n].t_value = 0
        if op == STOP:
            nua_shutdown(self.nua)
            return
        if op == INVITE and leg.nh == NULL:
            leg.nh = nua_handle(self.nua, leg, <tag_type_t>NULL, 0)
        nh = leg.nh
        if nh == NULL:
            if op == DESTROY:
                free(leg)
            return
        if op == INVITE:
            nua_invite(nh, tag_next, <tag_value_t>&tags[0])
        elif op == RESPOND and leg.request != NULL:
            nua_respond(nh, command.status, sip_status_phrase(command.status), nutag_with,
                        <tag_value_t>leg.request, tag_next, <tag_value_t>&tags[0])
            msg_destroy(leg.request)
            leg.request = NULL
        elif op == RESPOND:
            nua_respond(nh, command.status, sip_status_phrase(command.status), tag_next,
                        <tag_value_t>&tags[0])
        elif op == BYE:
            nua_bye(nh, tag_next, <tag_value_t>&tags[0])
        elif op == CANCEL:
            nua_cancel(nh, tag_next, <tag_value_t>&tags[0])
        elif op == ACK:
            nua_ack(nh, tag_next, <tag_value_t>&tags[0])
        elif op == UPDATE:
            nua_update(nh, tag_next, <tag_value_t>&tags[0])
        elif op == INFO:
            nua_info(nh, tag_next, <tag_value_t>&tags[0])
        elif op == REFER:
            nua_refer(nh, tag_next, <tag_value_t>&tags[0])
        elif op == NOTIFY:
            nua_notify(nh, tag_next, <tag_value_t>&tags[0])
        elif op == AUTHENTICATE:
            nua_authenticate(nh, tag_next, <tag_value_t>&tags[0])
        elif op == DESTROY:
            nua_handle_bind(nh, NULL)
            nua_handle_destroy(nh)
            if leg.request != NULL:
                msg_destroy(leg.request)
            free(leg)

    # -- events -------------------------------------------------------------------------------

    cdef void heard(self, nua_event_t what, int status, const char *phrase, nua_handle_t *nh,
                    Leg *leg, const sip_t *sip, tagi_t *tags) noexcept nogil:
        """In the stack's thread: keep what the event says."""
        cdef int kind = 0
        cdef bint new = False
        cdef const char *at[TEXTS]
        cdef size_t size[TEXTS]
        cdef size_t total = 0
        cdef Event *event
        cdef tagi_t *substate
        cdef int i
        if what == nua_i_invite:
            kind = INVITED
        elif what == nua_r_invite:
            kind = INVITE_REPLY
        elif what == nua_i_ack:
            kind = ACKED
        elif what == nua_i_bye:
            kind = BYE_IN
        elif what == nua_i_terminated:
            kind = TERMINATED
        elif what == nua_i_cancel:
            kind = CANCELLED
        elif what == nua_i_refer:
            kind = REFERRED
        elif what == nua_i_info:
            kind = INFO_IN
        elif what == nua_i_update:
            kind = UPDATED
        elif what == nua_i_subscribe:
            kind = SUBSCRIBED
        elif what == nua_i_notify:
            kind = NOTIFIED
        elif what == nua_r_notify:
            kind = NOTIFY_REPLY
        elif what == nua_i_fork:
            kind = FORKED
        elif what == nua_r_shutdown:
            if status >= 200:
                su_root_break(self.root)
                kind = STOPPED
            else:
                return
        elif what == nua_i_error:
            return
        else:
            return
        if leg == NULL and kind != STOPPED:
            if nh == NULL:
                return
            if kind == FORKED:               # a second answer to our INVITE: one call is enough
                nua_ack(nh, <tag_type_t>NULL, 0)
                nua_bye(nh, <tag_type_t>NULL, 0)
                nua_handle_destroy(nh)
                return
            if kind != INVITED and kind != SUBSCRIBED:
                if kind == REFERRED or kind == INFO_IN or kind == UPDATED:
                    nua_respond(nh, 481, b"Call/Transaction Does Not Exist", <tag_type_t>NULL, 0)
                return
            if self.waiting >= MAX_EVENTS:
                self.refused += 1
                nua_respond(nh, 503, b"Too Many Calls", <tag_type_t>NULL, 0)
                nua_handle_destroy(nh)
                return
            leg = <Leg *>calloc(1, sizeof(Leg))
            if leg == NULL:
                nua_respond(nh, 503, b"No Memory", <tag_type_t>NULL, 0)
                nua_handle_destroy(nh)
                return
            leg.nh = nh
            leg.number = self.incoming
            self.incoming += 2
            nua_handle_bind(nh, leg)
            new = True
        if leg != NULL and not self.at_once(kind, status, nh, leg, sip):
            return
        for i in range(TEXTS):
            at[i] = NULL
            size[i] = 0
        at[<int>PHRASE] = phrase
        if sip != NULL:
            texts_of(sip, kind, at, size)
        for i in range(TEXTS):
            if at[i] != NULL and size[i] == 0:
                size[i] = strlen(at[i])
            total += size[i]
        event = <Event *>malloc(sizeof(Event) + total)
        if event == NULL:
            return
        event.next = NULL
        event.leg = leg
        event.number = leg.number if leg != NULL else 0
        event.kind = kind
        event.status = status
        event.new = new
        event.expires = 0
        event.over = False
        event.cseq = 0
        event.reliable = False
        event.updates = False
        if kind == NOTIFY_REPLY:
            substate = tl_find(tags, nutag_substate)
            event.over = substate != NULL and substate.t_value == nua_substate_terminated
        if sip != NULL:
            if sip.sip_expires != NULL:
                event.expires = <unsigned int>sip.sip_expires.ex_delta
            if sip.sip_cseq != NULL:
                event.cseq = sip.sip_cseq.cs_seq
            if kind == INVITED and sip.sip_supported != NULL:
                event.reliable = sip_has_feature(sip.sip_supported, b"100rel")
            event.updates = sip.sip_allow != NULL and sip_is_allowed(
                sip.sip_allow, sip_method_update, b"UPDATE")
        total = 0
        for i in range(TEXTS):
            event.size[i] = size[i]
            if size[i]:
                memcpy(event.data + total, at[i], size[i])
                total += size[i]
        self.keep(event)

    cdef bint at_once(self, int kind, int status, nua_handle_t *nh, Leg *leg,
                      const sip_t *sip) noexcept nogil:
        """What must be answered by name: an answer that does not say to which request is taken for
        the oldest, and that may be the INVITE. False when nobody else needs to know."""
        cdef bint body = sip != NULL and sip.sip_payload != NULL and sip.sip_payload.pl_len > 0
        if kind == ACKED or (kind == INVITE_REPLY and 200 <= status < 300):
            leg.up = True
        if kind == INFO_IN:
            nua_respond(nh, 200, b"OK", nutag_with, <tag_value_t>nua_current_request(self.nua),
                        <tag_type_t>NULL)
        elif kind == REFERRED:
            nua_respond(nh, 202, b"Accepted", nutag_with,
                        <tag_value_t>nua_current_request(self.nua), <tag_type_t>NULL)
        elif kind == UPDATED and (not body or not leg.up):
            nua_respond(nh, 491 if body else 200, b"Request Pending" if body else b"OK",
                        nutag_with, <tag_value_t>nua_current_request(self.nua), <tag_type_t>NULL)
            return False
        elif kind == UPDATED or kind == SUBSCRIBED:
            if leg.request != NULL:
                msg_destroy(leg.request)
            leg.request = msg_ref_create(nua_current_request(self.nua))
        return True

    cdef void keep(self, Event *event) noexcept nogil:
        cdef uint64_t one = 1
        cdef bint first
        pthread_mutex_lock(&self.events_lock)
        first = self.first_event == NULL
        if first:
            self.first_event = event
        else:
            self.last_event.next = event
        self.last_event = event
        self.waiting += 1
        pthread_mutex_unlock(&self.events_lock)
        if first:
            write(self.event_fd, &one, 8)

    def drain(self):
        """The events so far, in order."""
        cdef uint64_t count
        cdef Event *event
        cdef Event *next
        cdef Record record
        cdef list found = []
        cdef size_t at
        cdef int i
        read(self.event_fd, &count, 8)
        pthread_mutex_lock(&self.events_lock)
        event = self.first_event
        self.first_event = NULL
        self.last_event = NULL
        self.waiting = 0
        pthread_mutex_unlock(&self.events_lock)
        while event != NULL:
            next = event.next
            if event.new:
                self.legs[event.number] = <intptr_t>event.leg
            if event.kind == STOPPED or event.number in self.legs:
                record = Record.__new__(Record)
                record.leg = event.number
                record.kind = event.kind
                record.status = event.status
                record.expires = event.expires
                record.over = event.over
                record.cseq = event.cseq
                record.new = event.new
                record.reliable = event.reliable
                record.updates = event.updates
                record.text = [None] * TEXTS
                at = 0
                for i in range(TEXTS):
                    if event.size[i]:
                        record.text[i] = PyUnicode_DecodeUTF8(event.data + at, event.size[i],
                                                              b"replace")
                        at += event.size[i]
                found.append(record)
            free(event)
            event = next
        return found


cdef void texts_of(const sip_t *sip, int kind, const char **at, size_t *size) noexcept nogil:
    """Where in the message the texts of an event of this kind are."""
    cdef const sip_unknown_t *other
    if kind == INVITED or kind == INVITE_REPLY or kind == SUBSCRIBED or kind == ACKED:
        if sip.sip_call_id != NULL:
            at[<int>CALL_ID] = sip.sip_call_id.i_id
        if sip.sip_from != NULL:
            at[<int>FROM_TAG] = sip.sip_from.a_tag
        if sip.sip_to != NULL:
            at[<int>TO_TAG] = sip.sip_to.a_tag
        other = sip.sip_unknown
        while other != NULL:
            if other.un_name != NULL and strlen(other.un_name) == 16:
                if strncasecmp(other.un_name, DECISION_HEADER, 16) == 0:
                    at[<int>DECISION] = other.un_value
                elif strncasecmp(other.un_name, ANSWERER_HEADER, 16) == 0:
                    at[<int>ANSWERER] = other.un_value
            other = other.un_next
    if kind == INVITED or kind == SUBSCRIBED:
        if sip.sip_from != NULL:
            at[<int>FROM_USER] = sip.sip_from.a_url[0].url_user
            at[<int>FROM_NAME] = sip.sip_from.a_display
        if sip.sip_to != NULL:
            at[<int>TO_USER] = sip.sip_to.a_url[0].url_user
        if sip.sip_request != NULL:
            at[<int>REQUEST_USER] = sip.sip_request.rq_url[0].url_user
        if sip.sip_replaces != NULL:
            at[<int>REPLACES_ID] = sip.sip_replaces.rp_call_id
            at[<int>REPLACES_TO] = sip.sip_replaces.rp_to_tag
            at[<int>REPLACES_FROM] = sip.sip_replaces.rp_from_tag
    if kind == REFERRED:
        if sip.sip_refer_to != NULL:
            at[<int>REFER_USER] = sip.sip_refer_to.r_url[0].url_user
            at[<int>REFER_HEADERS] = sip.sip_refer_to.r_url[0].url_headers
        if sip.sip_referred_by != NULL:
            at[<int>REFERRER] = sip.sip_referred_by.b_url[0].url_user
    if sip.sip_event != NULL:
        at[<int>EVENT_TYPE] = sip.sip_event.o_type
    if sip.sip_payload != NULL and sip.sip_payload.pl_len:
        at[<int>BODY] = sip.sip_payload.pl_data
        size[<int>BODY] = sip.sip_payload.pl_len
        if sip.sip_content_type != NULL:
            at[<int>BODY_TYPE] = sip.sip_content_type.c_type
            if sip.sip_content_type.c_params != NULL:
                at[<int>BOUNDARY] = msg_params_find(sip.sip_content_type.c_params,
                                                    b"boundary=")


cdef void _heard(nua_event_t what, int status, const char *phrase, nua_t *nua, void *magic,
                 nua_handle_t *nh, void *leg, const sip_t *sip, tagi_t *tags) noexcept nogil:
    (<Stack>magic).heard(what, status, phrase, nh, <Leg *>leg, sip, tags)


cdef void _turned(void *magic, su_root_t *root) noexcept nogil:
    (<Stack>magic).rest()


cdef int _commanded(void *root, su_wait_t *wait, void *magic) noexcept nogil:
    (<Stack>magic).carry_out()
    return 0
