"""The rows of the store: what a company's exchange consists of.

Each struct is a table of the same name (TABLES). A row belongs to a tenant unless it says that it
is the operator's. Numbers are E.164 with "+". Times of day are minutes, seconds carry `_s`.
Field names and their values are API.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

#: No controls, and nothing that turns, hides or breaks what is shown (a joiner of emoji may stay).
_SHOWN = r"^[^\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]*\Z"
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=_SHOWN)]
E164 = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{5,14}\Z", description="E.164 with +")]
Extension = Annotated[str, Meta(pattern=r"^[1-9][0-9]{1,5}\Z")]
RingSeconds = Annotated[int, Meta(ge=3, le=180)]
Id = Annotated[int, Meta(ge=1, lt=1 << 62)]
Country = Literal["SE", "FI"]
Language = Literal["sv", "en", "fi"]
TimeZone = Literal[
    "Europe/Stockholm", "Europe/Helsinki", "Europe/Mariehamn", "Europe/Oslo", "Europe/Copenhagen",
    "Europe/Tallinn", "Europe/London", "Europe/Berlin", "UTC",
]
DisplayChoice = Literal["main", "direct", "mobile", "support", "hidden"]
NumberClass = Literal["national", "mobile", "toll_free", "shared_cost", "premium",
                      "international", "special", "satellite"]
SkillName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,29}\Z")]
SkillLevel = Annotated[int, Meta(ge=1, le=5)]
Seconds = Annotated[int, Meta(ge=0, le=86_400)]
DeviceKind = Literal["desk", "soft", "mobile", "cordless"]
Media = Literal["auto", "always"]
Mail = Annotated[str, Meta(pattern=r"""^[^@\s<>"']{1,64}@[A-Za-z0-9.-]{1,190}\Z""")]
Webhook = Annotated[str, Meta(pattern=r"^https?://[!-~]{1,400}\Z")]
Text = Annotated[str, Meta(max_length=100, pattern=_SHOWN)]
Days = Annotated[int, Meta(ge=1, le=3660)]
#: What a person or a program may do; api/http/rights.py says what each is allowed.
Role = Literal["operator", "administrator", "supervisor", "attendant", "user", "machine"]
#: A right to read or to write some resources of the API, as "users:read".
Scope = Annotated[str, Meta(pattern=r"^[a-z][a-z_-]{0,39}:(read|write)\Z")]
#: What a plan lets a user have (A3).
Function = Literal["record", "voicemail", "call_functions", "call_waiting", "forwarding",
                   "direct_number", "mobile_number", "personal_contacts"]
Profile = Literal["agent", "attendant"]


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of configuration."""

    id: int = 0


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a call goes: to a user, a group, a service, an outside number, or busy."""

    kind: Literal["user", "group", "number", "busy", "service"]
    user: Id | None = None
    group: Id | None = None
    service: Id | None = None
    text: Annotated[str, Meta(max_length=32)] | None = None


class Area(Row, frozen=True, kw_only=True):
    """N4, the operator's: an emergency area."""

    name: Name
    country: Country = "SE"
    centre: Annotated[str, Meta(pattern=r"^(\+[1-9][0-9]{5,14}|[1-9][0-9]{2,9})\Z")] = "112"
    location: Annotated[str, Meta(max_length=100, pattern=r"^[!-~]*\Z",
                                  description="URI sent as Geolocation (RFC 6442)")] = ""
    trunk: Id | None = None


class Tenant(Row, frozen=True, kw_only=True):
    """A company."""

    name: Name
    country: Country = "SE"
    language: Language = "sv"
    time_zone: TimeZone = "Europe/Stockholm"
    main_number: E164 | None = None
    support_number: E164 | None = None
    foreign_number: Literal["refuse", "replace"] = "replace"
    activity_end: Literal["available", "inform"] = "available"
    area: Id | None = None
    barred: tuple[NumberClass, ...] = ()
    operator_barred: Annotated[tuple[NumberClass, ...], Meta(
        description="what the operator bars, besides")] = ()
    plan: Annotated[Id | None, Meta(
        description="the operator's: of the users that the company makes")] = None
    callback_classes: Annotated[tuple[NumberClass, ...], Meta(
        description="kinds of numbers that are called because a caller has given them: keyed for a "
                    "callback, or the caller's own")] = (
        "national", "mobile", "toll_free", "shared_cost")
    media: Media = "auto"
    attendant: Target | None = None
    hold_music: Id | None = None
    agent_licences: Annotated[int, Meta(
        ge=0, le=100_000, description="agents logged in at once; they float")] | None = None
    pause_reasons: Annotated[tuple[SkillName, ...], Meta(max_length=30)] = (
        "break", "lunch", "meeting", "training")
    attendant_licences: Annotated[int, Meta(
        ge=0, le=100_000, description="attendants at work at once; they float")] | None = None
    recordings_days: Annotated[Days, Meta(
        description="recordings are deleted when they are so old; none: kept")] | None = None
    messages_days: Annotated[Days, Meta(description="voice messages likewise")] | None = None
    calls_days: Annotated[Days, Meta(description="call records likewise")] | None = None
    second_factor: Annotated[bool, Meta(
        description="everybody's account needs a second factor")] = False


class Plan(Row, frozen=True, kw_only=True):
    """A3, the operator's: which functions and devices a user has. A user without a plan has all."""

    name: Name
    functions: tuple[Function, ...] = ()
    device_kinds: tuple[DeviceKind, ...] = ("desk", "soft", "mobile", "cordless")
    max_devices: Annotated[int, Meta(ge=0, le=6)] = 6


class User(Row, frozen=True, kw_only=True):
    """A person with an extension."""

    tenant: Id
    name: Name
    extension: Extension | None = None
    display: DisplayChoice = "direct"
    barred: tuple[NumberClass, ...] = ()
    area: Id | None = None
    ring_s: RingSeconds = 25
    enabled: bool = True
    record: bool = False
    call_waiting: bool = False
    language: Language | None = None
    call_functions: Annotated[bool, Meta(
        description="keypad codes, park, pickup and transfer of any call: call control carries "
                    "the user's calls")] = False
    colleague: Target | None = None
    plan: Id | None = None
    profiles: Annotated[tuple[Profile, ...], Meta(
        description="add-ons to the plan; their licences float")] = ()


class Device(Row, frozen=True, kw_only=True):
    """N5: a telephone of a user. The secret is made here: 128 bits as 26 base32 letters."""

    tenant: Id
    user: Id
    name: Name
    kind: DeviceKind = "desk"
    username: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{2,39}\Z")]
    secret: Annotated[str, Meta(pattern=r"^[a-z2-7]{26}\Z")]
    area: Id | None = None
    display: DisplayChoice | None = None
    digest: Annotated[Literal["both", "md5", "sha256"], Meta(
        description="the algorithms that are accepted of it (RFC 8760)")] = "both"
    contact: Annotated[Literal["source", "anywhere"], Meta(
        description="where it is called: at the host that it registers from, or wherever its "
                    "Contact says")] = "source"
    enabled: bool = True


class Allotment(Row, frozen=True, kw_only=True):
    """N9: numbers that the operator has given to a company: from first to last, of one length."""

    tenant: Id
    first: E164
    last: E164


class Number(Row, frozen=True, kw_only=True):
    """N1: a public number and where it leads."""

    tenant: Id
    e164: E164
    kind: Literal["main", "direct", "mobile", "support", "extra"] = "extra"
    target: Target | None = None
    schedule: Id | None = None
    closed_target: Target | None = None
    record: bool = False


class Activity(Row, frozen=True, kw_only=True):
    """P1: a presence activity."""

    tenant: Id
    name: Name
    code: Annotated[str, Meta(pattern=r"^[0-9]{1,3}\Z")] | None = None
    reachable: bool = False
    in_groups: bool = False
    role: Literal["none", "work", "mobile"] = "none"


class Forward(Row, frozen=True, kw_only=True):
    """P3: a forwarding of a user; the most particular one that fits applies."""

    tenant: Id
    user: Id
    event: Literal["always", "busy", "no_answer", "unreachable", "activity"]
    activity: Id | None = None
    called: Literal["any", "fixed", "mobile"] = "any"
    target: Target


class CallerRule(Row, frozen=True, kw_only=True):
    """P5: a favourite of a user. "+46..." is an outside number, digits are an extension."""

    tenant: Id
    user: Id
    number: Annotated[str, Meta(pattern=r"^(\+[1-9][0-9]{5,14}|[1-9][0-9]{1,5})\Z")]
    rule: Literal["vip", "blocked"]


class ScheduleRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a schedule is open or closed. Minutes of the local day; end <= start passes midnight.

    weekdays: 0 Monday to 6 Sunday; from_day, to_day: of the month; from_date, to_date: MM-DD
    (yearly) or YYYY-MM-DD (dates), both included. The highest priority decides.
    """

    kind: Literal["daily", "weekly", "monthly", "yearly", "holiday", "dates"]
    open: bool
    priority: Annotated[int, Meta(ge=0, le=250)] = 0
    start: Annotated[int, Meta(ge=0, le=1439)] = 0
    end: Annotated[int, Meta(ge=0, le=1440)] = 1440
    weekdays: tuple[Annotated[int, Meta(ge=0, le=6)], ...] = ()
    from_day: Annotated[int, Meta(ge=1, le=31)] = 1
    to_day: Annotated[int, Meta(ge=1, le=31)] = 31
    from_date: Annotated[str, Meta(pattern=r"^([0-9]{4}-)?[0-9]{2}-[0-9]{2}\Z")] | None = None
    to_date: Annotated[str, Meta(pattern=r"^([0-9]{4}-)?[0-9]{2}-[0-9]{2}\Z")] | None = None


class Schedule(Row, frozen=True, kw_only=True):
    """I4: opening hours; state "open" and "closed" are by hand."""

    tenant: Id
    name: Name
    time_zone: TimeZone = "Europe/Stockholm"
    country: Country = "SE"
    state: Literal["auto", "open", "closed"] = "auto"
    rules: Annotated[tuple[ScheduleRule, ...], Meta(max_length=100)] = ()


class RingGroup(Row, frozen=True, kw_only=True):
    """Q1, Q11: an answer group or a hunt group."""

    tenant: Id
    name: Name
    extension: Extension | None = None
    kind: Literal["answer", "hunt"] = "answer"
    strategy: Literal["parallel", "serial", "random"] = "parallel"
    ring_s: RingSeconds = 20
    attempts: Annotated[int, Meta(ge=1, le=10)] = 1
    skip_busy: bool = True
    record: bool = False
    no_answer: Target | None = None
    nobody: Target | None = None


class Member(Row, frozen=True, kw_only=True):
    """A user in a group; device_kinds: which of the user's devices ring (Q10)."""

    tenant: Id
    ring_group: Id
    user: Id
    priority: Annotated[int, Meta(ge=0, le=1000)] = 0
    device_kinds: tuple[DeviceKind, ...] = ("desk", "soft", "mobile", "cordless")


class Skill(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A skill of an agent, or one that a caller needs at least at that level (1-5)."""

    name: SkillName
    level: SkillLevel = 1


class QueueMember(Row, frozen=True, kw_only=True):
    """Q2, Q9: a user in a queue (`service`). tier: 0 is offered first; position: the order of the
    sequential strategy; by_presence: logged in whenever the activity allows it; device_kinds: which
    of the user's telephones ring (Q10)."""

    tenant: Id
    service: Id
    user: Id
    tier: Annotated[int, Meta(ge=0, le=3)] = 0
    position: Annotated[int, Meta(ge=0, le=10_000)] = 0
    skills: Annotated[tuple[Skill, ...], Meta(max_length=12)] = ()
    by_presence: bool = False
    device_kinds: tuple[DeviceKind, ...] = ("desk", "soft", "mobile", "cordless")


class Trunk(Row, frozen=True, kw_only=True):
    """N2: a carrier's SIP trunk; without a tenant it is shared and the operator's."""

    tenant: Id | None = None
    name: Name
    kind: Literal["address", "registration"] = "address"
    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:\[\]-]{1,95}\Z")]
    port: Annotated[int, Meta(ge=1, le=65535)] = 5060
    transport: Literal["udp", "tcp", "tls"] = "udp"
    country: Country = "SE"
    username: Annotated[str, Meta(max_length=64, pattern=r"^[!-~]*\Z")] = ""
    secret: Annotated[str, Meta(max_length=64, pattern=r"^[!-~]*\Z")] = ""
    realm: Annotated[str, Meta(max_length=64, pattern=r"^[!-~]*\Z")] = ""
    sources: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(ip:[0-9a-f.:]{3,45}|tls:[A-Za-z0-9.*-]{1,64})\Z")],
              ...],
        Meta(max_length=32, description="ip:<address> or tls:<name in the certificate>")] = ()
    identity: Literal["pai", "rpid", "from"] = "pai"
    diversion: Literal["diversion", "history", "none"] = "diversion"
    forwarded: Literal["original", "forwarder"] = "original"
    format: Literal["plus", "e164", "national"] = "plus"
    media: Media = "auto"
    ring_s: RingSeconds = 60
    ping: bool = True
    enabled: bool = True


class Route(Row, frozen=True, kw_only=True):
    """N2: numbers with this prefix leave over that trunk; the lowest position first, then by
    weight. A tenant's own routes come before everybody's."""

    tenant: Id | None = None
    prefix: Annotated[str, Meta(pattern=r"^[0-9]{0,14}\Z")] = ""
    trunk: Id
    position: Annotated[int, Meta(ge=0, le=1000)] = 0
    weight: Annotated[int, Meta(ge=1, le=1000)] = 1


class Prompt(Row, frozen=True, kw_only=True):
    """I3: something that callers hear. Uploaded or recorded audio is kept under its sha256;
    without audio, `text` is spoken."""

    tenant: Id
    name: Name
    text: Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*\Z")] = ""
    language: Language | None = None
    sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    duration_ms: Annotated[int, Meta(ge=0)] = 0


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="message"):
    """I1, I7: a prompt, then on to the next target; without one the call ends."""

    prompt: Id
    next: Target | None = None


class Choice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key of a menu."""

    key: Annotated[str, Meta(pattern=r"^[0-9*#]\Z")]
    target: Target


class Menu(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="menu"):
    """I2: keys lead on. After `tries` rounds without a valid key the call goes to `otherwise`, and
    ends without one. extensions: a short number may be dialled too."""

    prompt: Id
    choices: Annotated[tuple[Choice, ...], Meta(max_length=12)] = ()
    tries: Annotated[int, Meta(ge=1, le=10)] = 3
    first_digit_s: Annotated[int, Meta(ge=1, le=30)] = 6
    inter_digit_s: Annotated[int, Meta(ge=1, le=10)] = 3
    invalid_prompt: Id | None = None
    extensions: bool = False
    otherwise: Target | None = None


class Mailbox(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="mailbox"):
    """R3, R4: a voice mailbox, of a user or shared by its listeners. pin: 4 to 8 digits, kept as a
    digest. greeting: the general one, an own prompt, or the activity and its end (P2)."""

    user: Id | None = None
    listeners: Annotated[tuple[Id, ...], Meta(max_length=64)] = ()
    pin: Annotated[str, Meta(max_length=200)] = ""
    greeting: Literal["general", "own", "presence"] = "general"
    prompt: Id | None = None
    max_message_s: Annotated[int, Meta(ge=5, le=900)] = 180
    max_messages: Annotated[int, Meta(ge=1, le=500)] = 50
    email: Annotated[tuple[Mail, ...], Meta(max_length=10)] = ()
    sms: Annotated[tuple[E164, ...], Meta(max_length=10)] = ()
    attach: bool = True
    webhook: Webhook | None = None
    colleague: Target | None = None


class MailboxAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                    tag="mailbox_access"):
    """R3: listening to one's mailbox from any telephone, by extension and PIN."""


class CallbackMenu(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                   tag="callback_menu"):
    """I6: the caller keys a number, which is kept and sent by mail, by SMS or to a webhook."""

    prompt: Id | None = None
    email: Annotated[tuple[Mail, ...], Meta(max_length=10)] = ()
    sms: Annotated[tuple[E164, ...], Meta(max_length=10)] = ()
    webhook: Webhook | None = None


class PresenceMenu(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                   tag="presence_menu"):
    """P6: a person sets the own activity by telephone."""


class RecordPrompt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                   tag="record_prompt"):
    """I3: a person of the company records that prompt by telephone."""

    prompt: Id


class Relaxation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """After so long in the queue a caller needs only this much; nothing: anybody will do."""

    after_s: Annotated[int, Meta(ge=1, le=7200)]
    skills: Annotated[tuple[Skill, ...], Meta(max_length=3)] = ()


class Marks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A latch: closes at >= high, opens at < low."""

    high: Annotated[int, Meta(ge=1, le=100_000)]
    low: Annotated[int, Meta(ge=1, le=100_000)]


class Overflow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Q6: what keeps a caller out of a queue, or makes one leave it, and where each goes. A reason
    without a target: the caller is told and the call ends. rush_*: marks of the latch, of callers
    that wait and of seconds; grace_s: how long nobody may be there before those who wait leave;
    pauses_present: pauses that count as somebody being there; leave_at_close: those who wait when
    the queue closes leave it."""

    night: Target | None = None
    closed: Target | None = None
    no_agents: Target | None = None
    grace_s: Seconds = 30
    pauses_present: Annotated[tuple[str, ...], Meta(max_length=30)] = ()
    rush: Target | None = None
    rush_length: Marks | None = None
    rush_wait_s: Marks | None = None
    rush_estimate_s: Marks | None = None
    dwell_s: Annotated[int, Meta(ge=1, le=3600)] = 30
    timed_s: Annotated[int, Meta(ge=5, le=14_400)] | None = None
    timed: Target | None = None
    attempts: Annotated[int, Meta(ge=1, le=100)] | None = None
    no_answer: Target | None = None
    leave_at_close: bool = False


class Announcements(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Q3: what those who wait hear. welcome: before the queue; first: once in it; repeated: at an
    interval from the end of the previous one; position and estimate: on change or with the
    repeated one, never closer than min_gap_s, with only_better only when they got better; music:
    the company's without one."""

    welcome: Id | None = None
    first: Id | None = None
    repeated: Id | None = None
    interval_s: Annotated[int, Meta(ge=5, le=3600)] = 60
    position: bool = False
    estimate: bool = False
    min_gap_s: Annotated[int, Meta(ge=5, le=3600)] = 30
    only_better: bool = False
    music: Id | None = None


class QueueCallback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Q7: a callback that keeps the place. Offered when the wait (or the estimate) is at least so
    long, or by key at any time. customer_first: the caller is dialled before the agent; schedule:
    hours in which callers may be dialled; planned: a time is computed and told (Q13)."""

    after_s: Seconds | None = None
    estimate_s: Seconds | None = None
    key: Annotated[str, Meta(pattern=r"^[0-9*#]\Z")] | None = None
    customer_first: bool = False
    ring_s: RingSeconds = 30
    tries: Annotated[int, Meta(ge=1, le=10)] = 3
    gap_s: Annotated[int, Meta(ge=30, le=86_400)] = 900
    lifetime_s: Annotated[int, Meta(ge=300, le=604_800)] = 86_400
    schedule: Id | None = None
    planned: bool = False
    slot_s: Annotated[int, Meta(ge=300, le=14_400)] = 1800


class Queue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="queue"):
    """Q2-Q9, Q13: callers wait in order for agents (docs/queues.md).

    parallel: how many are offered a call at once with that strategy; tiers_s: when the tiers below
    the first open for a caller; weight: counts as priority against other queues; delays: seconds
    before the next offer after a miss of that kind; on_misses: what happens after max_misses in a
    row (0: never); return_s: a caller who was cut off and calls back within that time gets the
    place back; keys: where a key leads while waiting (a menu: one may come back to the place);
    prolong_s: how much longer an agent may make a wrap-up; closures: temporary schedules, of which
    none may be closed (I4); service_level_s: T of the service level.
    """

    strategy: Literal["longest_idle", "fair", "skill", "random", "sequential", "parallel"] = \
        "longest_idle"
    parallel: Annotated[int, Meta(ge=1, le=10)] = 3
    ring_s: RingSeconds = 20
    tiers_s: Annotated[tuple[Annotated[int, Meta(ge=0, le=7200)], ...], Meta(max_length=3)] = ()
    weight: Annotated[int, Meta(ge=0, le=100)] = 0
    wrap_up_s: Annotated[int, Meta(ge=0, le=3600)] = 0
    prolong_s: Annotated[int, Meta(ge=0, le=7200)] = 600
    rest_s: Annotated[int, Meta(ge=0, le=3600)] = 0
    max_misses: Annotated[int, Meta(ge=0, le=100)] = 2
    on_misses: Literal["log_out", "pause"] = "log_out"
    no_answer_delay_s: Annotated[int, Meta(ge=0, le=3600)] = 10
    rejected_delay_s: Annotated[int, Meta(ge=0, le=3600)] = 30
    busy_delay_s: Annotated[int, Meta(ge=0, le=3600)] = 5
    unreachable_delay_s: Annotated[int, Meta(ge=0, le=3600)] = 60
    schedule: Id | None = None
    closures: Annotated[tuple[Id, ...], Meta(max_length=16)] = ()
    state: Literal["auto", "open", "closed"] = "auto"
    overflow: Overflow = field(default_factory=Overflow)
    announcements: Announcements = field(default_factory=Announcements)
    keys: Annotated[tuple[Choice, ...], Meta(max_length=12)] = ()
    callback: QueueCallback | None = None
    return_s: Seconds = 300
    record: bool = False
    supervisor: Id | None = None
    service_level_s: Annotated[int, Meta(ge=1, le=3600)] = 20
    max_waiting: Annotated[int, Meta(ge=1, le=10_000)] = 1000


class QueueEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
                 tag="queue_entry"):
    """A way into a queue: with a priority, and with skills that the agent must have, which are
    relaxed in timed steps."""

    queue: Id
    priority: Annotated[int, Meta(ge=0, le=100)] = 0
    skills: Annotated[tuple[Skill, ...], Meta(max_length=3)] = ()
    relaxations: Annotated[tuple[Relaxation, ...], Meta(max_length=3)] = ()


class AgentMenu(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="agent_menu"):
    """Q8: an agent logs in to and out of the own queues, pauses and goes on, by telephone."""


ServiceSettings = (Message | Menu | Mailbox | MailboxAccess | CallbackMenu | PresenceMenu
                   | RecordPrompt | Queue | QueueEntry | AgentMenu)


class Service(Row, frozen=True, kw_only=True):
    """Something that call control answers; `settings.type` says what."""

    tenant: Id
    name: Name
    extension: Extension | None = None
    settings: ServiceSettings


class ApiKey(Row, frozen=True, kw_only=True):
    """A key to the API; without a tenant it is the operator's. Only its digest is kept. scopes: of
    what the role may, only this; none: all of it. user: whose, for the role user; until: Unix
    seconds, 0: for ever; rate_per_s: requests, the exchange's own limit without it."""

    tenant: Id | None = None
    name: Name
    role: Role = "administrator"
    scopes: Annotated[tuple[Scope, ...], Meta(max_length=60)] = ()
    user: Id | None = None
    until: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0
    rate_per_s: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    digest: str
    created_ms: int


class Account(Row, frozen=True, kw_only=True):
    """U5: somebody who signs in; without a tenant, at the operator. user: the person's telephones;
    queues: those that a supervisor has, none: all; phone: where codes are sent by SMS."""

    tenant: Id | None = None
    email: Mail
    name: Name
    role: Role
    user: Id | None = None
    queues: Annotated[tuple[Id, ...], Meta(max_length=100)] | None = None
    phone: E164 | None = None
    second_factor: Annotated[bool, Meta(description="needs one to sign in")] = False
    language: Language | None = None
    enabled: bool = True


class Provider(Row, frozen=True, kw_only=True):
    """Sign-in by OpenID Connect: an account whose e-mail the provider has verified."""

    tenant: Id | None = None
    name: Name
    issuer: Annotated[str, Meta(pattern=r"^https?://[!-~]{1,200}\Z")]
    client_id: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[!-~]*\Z")]
    secret: Annotated[str, Meta(max_length=200, pattern=r"^[!-~]*\Z")] = ""
    second_factor: Annotated[bool, Meta(
        description="the provider has asked for one: none is asked for here")] = False
    enabled: bool = True


class ContactNumber(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number of a contact."""

    kind: Literal["work", "mobile", "home", "other"] = "work"
    e164: E164


class Contact(Row, frozen=True, kw_only=True):
    """U2: an entry of a directory. Without a user it is the company's; a user's own is seen by
    nobody else unless it is shared."""

    tenant: Id
    user: Id | None = None
    shared: bool = False
    name: Name
    company: Text = ""
    title: Text = ""
    department: Text = ""
    numbers: Annotated[tuple[ContactNumber, ...], Meta(max_length=10)] = ()
    email: Mail | None = None
    note: Annotated[str, Meta(max_length=500, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*\Z")] = ""


class EventHook(Row, frozen=True, kw_only=True):
    """X8: where a company's events are sent: those of these kinds, none: all. The secret signs
    (Standard Webhooks)."""

    tenant: Id
    name: Name
    url: Webhook
    kinds: Annotated[tuple[Annotated[str, Meta(pattern=r"^[a-z_]{1,40}\Z")], ...],
                     Meta(max_length=30)] = ()
    secret: Annotated[str, Meta(pattern=r"^whsec_[A-Za-z0-9+/=]{32,88}\Z")]
    enabled: bool = True


TABLES: Final[dict[str, type[Row]]] = {
    "area": Area, "tenant": Tenant, "user": User, "device": Device,
    "allotment": Allotment, "number": Number,
    "activity": Activity, "forward": Forward, "caller_rule": CallerRule, "schedule": Schedule,
    "ring_group": RingGroup, "member": Member, "trunk": Trunk, "route": Route, "api_key": ApiKey,
    "prompt": Prompt, "service": Service, "queue_member": QueueMember,
    "plan": Plan, "account": Account, "provider": Provider, "contact": Contact,
    "webhook": EventHook,
}


class Presence(Struct, frozen=True, kw_only=True):
    """What a person is doing; live state that survives a restart. until: Unix seconds, 0 = open."""

    user: int
    activity: int | None
    until: int = 0
    note: str = ""
    source: str = "api"
    changed_ms: int = 0


class CallRecord(Struct, frozen=True, kw_only=True):
    """U3: one call, written exactly once. Times are Unix milliseconds, 0 = did not happen."""

    uid: str
    tenant: int
    direction: Literal["in", "out", "internal", "emergency", "unknown"]
    caller: str
    called: str
    shown: str = ""
    started_ms: int
    answered_ms: int = 0
    ended_ms: int = 0
    caller_user: int | None = None
    answerer: int | None = None
    trunk: int | None = None
    rang: tuple[int, ...] = ()
    code: int = 0
    ended_by: str = ""
    recorded: bool = False
    revision: int = 0
    decisions: Any = None
    call_id: str = ""
    conversation: str = ""  # of the call that this one is a part of, when call control made it


class Recording(Struct, frozen=True, kw_only=True):
    """R1: an audio file of a call; the caller is the left channel."""

    uid: str
    tenant: int
    path: str
    started_ms: int
    duration_ms: int
    bytes: int
    sha256: str
    complete: bool = True


class VoiceMessage(Struct, frozen=True, kw_only=True):
    """R3: a message left in a mailbox. state "recording" until its audio is kept; path: of the
    FLAC, relative to the state directory."""

    uid: str
    tenant: int
    mailbox: int
    caller: str = ""
    caller_name: str = ""
    created_ms: int
    duration_ms: int = 0
    path: str = ""
    sha256: str = ""
    state: Literal["recording", "new", "saved", "deleted"] = "recording"


class CallbackRequest(Struct, frozen=True, kw_only=True):
    """I6: a caller who wants to be called."""

    id: int = 0
    tenant: int
    service: int
    number: str
    caller: str = ""
    created_ms: int
    done_ms: int = 0


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened, in the order it happened. call: a call's uid."""

    seq: int = 0
    tenant: int
    at_ms: int
    kind: str
    call: str = ""
    data: Any = None


class Delivery(Struct, frozen=True, kw_only=True):
    """A mail, an SMS or a webhook call that is to be sent. to: address, number or URL; subject: of
    an SMS its sender, "" the exchange's own; attachment: a path relative to the state directory."""

    id: int = 0
    tenant: int
    kind: Literal["mail", "sms", "webhook"]
    to: str
    subject: str = ""
    body: Any = None
    attachment: str = ""
    created_ms: int
    tries: int = 0
    next_ms: int = 0
    done_ms: int = 0
    error: str = ""


class Change(Struct, frozen=True, kw_only=True):
    """One row of a revision; before None: created, after None: deleted."""

    table: str
    id: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Revision(Struct, frozen=True, kw_only=True):
    """A change of the configuration."""

    id: int
    author: str
    at_ms: int
    note: str
    by: str = ""
    tenant: int | None = None  # whose rows were changed; None: the operator's, or several's
    changes: list[Change] = field(default_factory=list)
