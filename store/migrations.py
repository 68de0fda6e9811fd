"""The tables of the embedded store, as steps that are applied once and in order.

A reference inside a tenant names the tenant too, so that the database itself refuses a row that
points at somebody else's.
"""

from sqlite_utils import Database, Migrations

from store import directory
from store.calls import index_call

migrations = Migrations("vaxel")


def _target(name: str) -> str:
    return f"""
    {name}_kind TEXT CHECK ({name}_kind IN ('user','group','number','busy','service')),
    {name}_user INTEGER, {name}_group INTEGER, {name}_text TEXT,"""


def _target_keys(name: str) -> str:
    return f""",
    FOREIGN KEY (tenant, {name}_user) REFERENCES user (tenant, id),
    FOREIGN KEY (tenant, {name}_group) REFERENCES ring_group (tenant, id)"""


@migrations()
def m001_configuration(db: Database) -> None:
    """Everything that a customer configures."""
    tables = f"""
CREATE TABLE trunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER REFERENCES tenant (id),
    name TEXT NOT NULL, kind TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL,
    transport TEXT NOT NULL, country TEXT NOT NULL, username TEXT NOT NULL, secret TEXT NOT NULL,
    realm TEXT NOT NULL, sources TEXT NOT NULL, identity TEXT NOT NULL, diversion TEXT NOT NULL,
    forwarded TEXT NOT NULL, format TEXT NOT NULL, media TEXT NOT NULL, ring_s INTEGER NOT NULL,
    ping INTEGER NOT NULL, enabled INTEGER NOT NULL);
CREATE INDEX trunk_tenant ON trunk (tenant);
CREATE TABLE area (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, country TEXT NOT NULL,
    centre TEXT NOT NULL, location TEXT NOT NULL, trunk INTEGER REFERENCES trunk (id));
CREATE TABLE tenant (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, country TEXT NOT NULL,
    language TEXT NOT NULL, time_zone TEXT NOT NULL, main_number TEXT, support_number TEXT,
    foreign_number TEXT NOT NULL, activity_end TEXT NOT NULL, area INTEGER REFERENCES area (id),
    barred INTEGER NOT NULL, media TEXT NOT NULL);
CREATE TABLE user (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL, extension TEXT, display TEXT NOT NULL, barred INTEGER NOT NULL,
    area INTEGER REFERENCES area (id), ring_s INTEGER NOT NULL, enabled INTEGER NOT NULL,
    record INTEGER NOT NULL, call_waiting INTEGER NOT NULL, language TEXT,
    UNIQUE (tenant, id), UNIQUE (tenant, extension));
CREATE TABLE device (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, user INTEGER NOT NULL,
    name TEXT NOT NULL, kind TEXT NOT NULL, username TEXT NOT NULL UNIQUE, secret TEXT NOT NULL,
    area INTEGER REFERENCES area (id), display TEXT, digest TEXT NOT NULL,
    enabled INTEGER NOT NULL, FOREIGN KEY (tenant, user) REFERENCES user (tenant, id));
CREATE INDEX device_user ON device (user);
CREATE TABLE activity (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL, code TEXT, reachable INTEGER NOT NULL, in_groups INTEGER NOT NULL,
    role TEXT NOT NULL, UNIQUE (tenant, id), UNIQUE (tenant, name), UNIQUE (tenant, code));
CREATE TABLE schedule (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL, time_zone TEXT NOT NULL, country TEXT NOT NULL, state TEXT NOT NULL,
    rules TEXT NOT NULL, UNIQUE (tenant, id), UNIQUE (tenant, name));
CREATE TABLE ring_group (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL, extension TEXT, kind TEXT NOT NULL, strategy TEXT NOT NULL,
    ring_s INTEGER NOT NULL, attempts INTEGER NOT NULL, skip_busy INTEGER NOT NULL,
    record INTEGER NOT NULL,{_target("no_answer")}{_target("nobody")}
    UNIQUE (tenant, id), UNIQUE (tenant, name), UNIQUE (tenant, extension)
    {_target_keys("no_answer")}{_target_keys("nobody")});
CREATE INDEX ring_group_no_answer_user ON ring_group (no_answer_user);
CREATE INDEX ring_group_no_answer_group ON ring_group (no_answer_group);
CREATE INDEX ring_group_nobody_user ON ring_group (nobody_user);
CREATE INDEX ring_group_nobody_group ON ring_group (nobody_group);
CREATE TABLE member (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, ring_group INTEGER NOT NULL,
    user INTEGER NOT NULL, priority INTEGER NOT NULL, device_kinds INTEGER NOT NULL,
    UNIQUE (ring_group, user), FOREIGN KEY (tenant, user) REFERENCES user (tenant, id),
    FOREIGN KEY (tenant, ring_group) REFERENCES ring_group (tenant, id));
CREATE INDEX member_user ON member (user);
CREATE TABLE number (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL REFERENCES tenant (id),
    e164 TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,{_target("target")}
    schedule INTEGER,{_target("closed_target")} record INTEGER NOT NULL,
    FOREIGN KEY (tenant, schedule) REFERENCES schedule (tenant, id)
    {_target_keys("target")}{_target_keys("closed_target")});
CREATE INDEX number_tenant ON number (tenant);
CREATE INDEX number_schedule ON number (schedule);
CREATE INDEX number_target_user ON number (target_user);
CREATE INDEX number_target_group ON number (target_group);
CREATE INDEX number_closed_target_user ON number (closed_target_user);
CREATE INDEX number_closed_target_group ON number (closed_target_group);
CREATE TABLE forward (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, user INTEGER NOT NULL,
    event TEXT NOT NULL, activity INTEGER, called TEXT NOT NULL,{_target("target")}
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, id),
    FOREIGN KEY (tenant, activity) REFERENCES activity (tenant, id){_target_keys("target")});
CREATE UNIQUE INDEX forward_event ON forward (user, event, ifnull(activity, 0), called);
CREATE INDEX forward_activity ON forward (activity);
CREATE INDEX forward_target_user ON forward (target_user);
CREATE INDEX forward_target_group ON forward (target_group);
CREATE TABLE caller_rule (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, user INTEGER NOT NULL,
    number TEXT NOT NULL, rule TEXT NOT NULL, UNIQUE (user, number),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, id));
CREATE TABLE route (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER REFERENCES tenant (id),
    prefix TEXT NOT NULL, trunk INTEGER NOT NULL REFERENCES trunk (id),
    position INTEGER NOT NULL, weight INTEGER NOT NULL);
CREATE INDEX route_tenant ON route (tenant);
CREATE INDEX route_trunk ON route (trunk);
CREATE TABLE api_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER REFERENCES tenant (id),
    name TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL);
CREATE TABLE revision (
    id INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL, at_ms INTEGER NOT NULL,
    note TEXT NOT NULL);
CREATE INDEX revision_at ON revision (at_ms);
CREATE TABLE change (
    revision INTEGER NOT NULL REFERENCES revision (id), position INTEGER NOT NULL,
    table_name TEXT NOT NULL, row_id INTEGER NOT NULL, before TEXT, after TEXT,
    PRIMARY KEY (revision, position)) WITHOUT ROWID;
CREATE INDEX change_row ON change (table_name, row_id);
"""
    for statement in tables.split(";\n"):
        if statement.strip():
            db.execute(statement)


@migrations()
def m002_live(db: Database) -> None:
    """Live state that survives a restart."""
    db.execute("""
CREATE TABLE presence (
    user INTEGER PRIMARY KEY REFERENCES user (id) ON DELETE CASCADE,
    activity INTEGER REFERENCES activity (id) ON DELETE CASCADE, until INTEGER NOT NULL,
    note TEXT NOT NULL, source TEXT NOT NULL, changed_ms INTEGER NOT NULL)""")
    db.execute("CREATE INDEX presence_activity ON presence (activity)")
    db.execute("""
CREATE TABLE login (
    member INTEGER PRIMARY KEY REFERENCES member (id) ON DELETE CASCADE,
    logged_in INTEGER NOT NULL, changed_ms INTEGER NOT NULL)""")


@migrations()
def m003_calls(db: Database) -> None:
    """Call records and recordings."""
    db.execute("""
CREATE TABLE call_record (
    uid TEXT PRIMARY KEY, tenant INTEGER NOT NULL, direction TEXT NOT NULL, caller TEXT NOT NULL,
    called TEXT NOT NULL, shown TEXT NOT NULL, started_ms INTEGER NOT NULL,
    answered_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, caller_user INTEGER,
    answerer INTEGER, trunk INTEGER, rang TEXT NOT NULL, code INTEGER NOT NULL,
    ended_by TEXT NOT NULL, recorded INTEGER NOT NULL, revision INTEGER NOT NULL,
    decisions TEXT NOT NULL, call_id TEXT NOT NULL)""")
    db.execute("CREATE INDEX call_record_call_id ON call_record (call_id)")
    db.execute("CREATE INDEX call_record_tenant ON call_record (tenant, started_ms)")
    db.execute("""
CREATE TABLE call_party (
    user INTEGER NOT NULL, started_ms INTEGER NOT NULL, uid TEXT NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (user, started_ms, uid)) WITHOUT ROWID""")
    db.execute("""
CREATE TABLE recording (
    uid TEXT PRIMARY KEY, tenant INTEGER NOT NULL, path TEXT NOT NULL UNIQUE,
    started_ms INTEGER NOT NULL, duration_ms INTEGER NOT NULL, bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL, complete INTEGER NOT NULL)""")
    db.execute("CREATE INDEX recording_tenant ON recording (tenant, started_ms)")


def _later_target(db: Database, table: str, name: str) -> None:
    """The four columns of a target in a table that is there already."""
    for column in (f"{name}_kind TEXT CHECK ({name}_kind IN "
                   "('user','group','number','busy','service'))",
                   f"{name}_user INTEGER REFERENCES user (id)",
                   f"{name}_group INTEGER REFERENCES ring_group (id)", f"{name}_text TEXT"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    for to in ("user", "group"):
        _index(db, table, f"{name}_{to}")


def _to_service(db: Database, table: str, name: str) -> None:
    """A target's text is the id of a service when its kind says so; then it is a reference."""
    db.execute(f"ALTER TABLE {table} ADD COLUMN {name}_service INTEGER REFERENCES service (id) "
               f"GENERATED ALWAYS AS (CASE {name}_kind WHEN 'service' THEN "
               f"CAST({name}_text AS INTEGER) END) VIRTUAL")
    _index(db, table, f"{name}_service")


def _index(db: Database, table: str, column: str) -> None:
    db.execute(f"CREATE INDEX {table}_{column} ON {table} ({column}) WHERE {column} IS NOT NULL")


@migrations()
def m004_services(db: Database) -> None:
    """What call control answers: prompts, services, and targets that lead to them.

    service_link: what a service's settings name, so that it cannot be deleted under them.
    """
    db.execute("""
CREATE TABLE prompt (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL, text TEXT NOT NULL, language TEXT, sha256 TEXT NOT NULL,
    duration_ms INTEGER NOT NULL, UNIQUE (tenant, id))""")
    db.execute("""
CREATE TABLE service (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL, extension TEXT, settings TEXT NOT NULL,
    kind TEXT GENERATED ALWAYS AS (json_extract(settings, '$.type')) VIRTUAL,
    mailbox_user INTEGER GENERATED ALWAYS AS (json_extract(settings, '$.user')) VIRTUAL UNIQUE,
    UNIQUE (tenant, id), UNIQUE (tenant, extension))""")
    db.execute("""
CREATE TABLE service_link (
    tenant INTEGER NOT NULL, owner INTEGER NOT NULL, field TEXT NOT NULL, user INTEGER,
    ring_group INTEGER, service INTEGER, prompt INTEGER, PRIMARY KEY (owner, field),
    FOREIGN KEY (tenant, owner) REFERENCES service (tenant, id),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, id),
    FOREIGN KEY (tenant, ring_group) REFERENCES ring_group (tenant, id),
    FOREIGN KEY (tenant, service) REFERENCES service (tenant, id),
    FOREIGN KEY (tenant, prompt) REFERENCES prompt (tenant, id)) WITHOUT ROWID""")
    for column in ("user", "ring_group", "service", "prompt"):
        _index(db, "service_link", column)
    _later_target(db, "tenant", "attendant")
    db.execute("ALTER TABLE tenant ADD COLUMN hold_music INTEGER REFERENCES prompt (id)")
    _index(db, "tenant", "hold_music")
    db.execute("ALTER TABLE user ADD COLUMN call_functions INTEGER NOT NULL DEFAULT 0")
    _later_target(db, "user", "colleague")
    for table, name in (("number", "target"), ("number", "closed_target"), ("forward", "target"),
                        ("ring_group", "no_answer"), ("ring_group", "nobody"),
                        ("tenant", "attendant"), ("user", "colleague")):
        _to_service(db, table, name)


@migrations()
def m005_messages(db: Database) -> None:
    """What services bring about: voice messages, callbacks, events, what is to be sent; and calls
    that are part of another."""
    db.execute("ALTER TABLE call_record ADD COLUMN conversation TEXT NOT NULL DEFAULT ''")
    db.execute("CREATE INDEX call_record_conversation ON call_record (conversation) "
               "WHERE conversation != ''")
    db.execute("""
CREATE TABLE voice_message (
    uid TEXT PRIMARY KEY, tenant INTEGER NOT NULL, mailbox INTEGER NOT NULL, caller TEXT NOT NULL,
    caller_name TEXT NOT NULL, created_ms INTEGER NOT NULL, duration_ms INTEGER NOT NULL,
    path TEXT NOT NULL, sha256 TEXT NOT NULL, changed_ms INTEGER NOT NULL DEFAULT 0,
    call_id TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL CHECK (state IN ('recording','new','saved','deleted')))""")
    db.execute("CREATE INDEX voice_message_mailbox ON voice_message (mailbox, state, created_ms)")
    db.execute("CREATE INDEX voice_message_state ON voice_message (state, changed_ms)")
    db.execute("""
CREATE TABLE callback_request (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, service INTEGER NOT NULL,
    number TEXT NOT NULL, caller TEXT NOT NULL, created_ms INTEGER NOT NULL,
    done_ms INTEGER NOT NULL, told INTEGER NOT NULL DEFAULT 0)""")
    db.execute("CREATE INDEX callback_request_tenant ON callback_request (tenant, id)")
    db.execute("CREATE INDEX callback_request_service ON callback_request (service, id)")
    db.execute("CREATE INDEX callback_request_told ON callback_request (id) WHERE told = 0")
    db.execute("""
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL, call TEXT NOT NULL, data TEXT NOT NULL)""")
    db.execute("CREATE INDEX event_tenant ON event (tenant, seq)")
    db.execute("""
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('mail','webhook')), "to" TEXT NOT NULL,
    subject TEXT NOT NULL, body TEXT NOT NULL, attachment TEXT NOT NULL,
    created_ms INTEGER NOT NULL, tries INTEGER NOT NULL, next_ms INTEGER NOT NULL,
    done_ms INTEGER NOT NULL, error TEXT NOT NULL)""")
    db.execute("CREATE INDEX delivery_due ON delivery (next_ms) WHERE done_ms = 0")
    db.execute("CREATE INDEX delivery_done ON delivery (done_ms) WHERE done_ms != 0")
    db.execute("CREATE INDEX delivery_tenant ON delivery (tenant, id)")


@migrations()
def m006_queues(db: Database) -> None:
    """Members of queues, a company's agents, and services that name schedules."""
    db.execute("""
CREATE TABLE queue_member (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, service INTEGER NOT NULL,
    user INTEGER NOT NULL, tier INTEGER NOT NULL, position INTEGER NOT NULL,
    skills TEXT NOT NULL, by_presence INTEGER NOT NULL, device_kinds INTEGER NOT NULL,
    UNIQUE (service, user), FOREIGN KEY (tenant, user) REFERENCES user (tenant, id),
    FOREIGN KEY (tenant, service) REFERENCES service (tenant, id))""")
    db.execute("CREATE INDEX queue_member_user ON queue_member (user)")
    db.execute("CREATE INDEX queue_member_tenant ON queue_member (tenant)")
    db.execute("ALTER TABLE tenant ADD COLUMN agent_licences INTEGER")
    db.execute("ALTER TABLE tenant ADD COLUMN pause_reasons TEXT NOT NULL "
               """DEFAULT '["break","lunch","meeting","training"]'""")
    db.execute("ALTER TABLE service_link RENAME TO earlier_link")
    db.execute("""
CREATE TABLE service_link (
    tenant INTEGER NOT NULL, owner INTEGER NOT NULL, field TEXT NOT NULL, user INTEGER,
    ring_group INTEGER, service INTEGER, prompt INTEGER, schedule INTEGER,
    PRIMARY KEY (owner, field),
    FOREIGN KEY (tenant, owner) REFERENCES service (tenant, id),
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, id),
    FOREIGN KEY (tenant, ring_group) REFERENCES ring_group (tenant, id),
    FOREIGN KEY (tenant, service) REFERENCES service (tenant, id),
    FOREIGN KEY (tenant, prompt) REFERENCES prompt (tenant, id),
    FOREIGN KEY (tenant, schedule) REFERENCES schedule (tenant, id)) WITHOUT ROWID""")
    db.execute("INSERT INTO service_link SELECT tenant, owner, field, user, ring_group, service, "
               "prompt, NULL FROM earlier_link")
    db.execute("DROP TABLE earlier_link")
    for column in ("user", "ring_group", "service", "prompt", "schedule"):
        _index(db, "service_link", column)


@migrations()
def m007_product(db: Database) -> None:
    """Who may do what, directories, webhooks; what was done, is planned and was deleted."""
    for column in ("attendant_licences INTEGER", "recordings_days INTEGER",
                   "messages_days INTEGER", "calls_days INTEGER",
                   "second_factor INTEGER NOT NULL DEFAULT 0"):
        db.execute(f"ALTER TABLE tenant ADD COLUMN {column}")
    db.execute("""
CREATE TABLE plan (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, functions TEXT NOT NULL,
    device_kinds INTEGER NOT NULL, max_devices INTEGER NOT NULL)""")
    db.execute("ALTER TABLE user ADD COLUMN plan INTEGER REFERENCES plan (id)")
    _index(db, "user", "plan")
    db.execute("ALTER TABLE user ADD COLUMN profiles TEXT NOT NULL DEFAULT '[]'")
    for column in ("role TEXT NOT NULL DEFAULT 'administrator'",
                   "scopes TEXT NOT NULL DEFAULT '[]'", "user INTEGER REFERENCES user (id)",
                   "until INTEGER NOT NULL DEFAULT 0", "rate_per_s INTEGER"):
        db.execute(f"ALTER TABLE api_key ADD COLUMN {column}")
    db.execute("UPDATE api_key SET role = 'operator' WHERE tenant IS NULL")
    _index(db, "api_key", "user")
    db.execute("""
CREATE TABLE account (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER REFERENCES tenant (id),
    email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL, user INTEGER, queues TEXT,
    phone TEXT, second_factor INTEGER NOT NULL, language TEXT, enabled INTEGER NOT NULL,
    FOREIGN KEY (tenant, user) REFERENCES user (tenant, id))""")
    db.execute("CREATE INDEX account_tenant ON account (tenant)")
    _index(db, "account", "user")
    db.execute("""
CREATE TABLE provider (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER REFERENCES tenant (id),
    name TEXT NOT NULL, issuer TEXT NOT NULL, client_id TEXT NOT NULL, secret TEXT NOT NULL,
    second_factor INTEGER NOT NULL, enabled INTEGER NOT NULL)""")
    db.execute("CREATE INDEX provider_tenant ON provider (tenant)")
    db.execute("""
CREATE TABLE contact (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL REFERENCES tenant (id),
    user INTEGER, shared INTEGER NOT NULL, name TEXT NOT NULL, company TEXT NOT NULL,
    title TEXT NOT NULL, department TEXT NOT NULL, numbers TEXT NOT NULL, email TEXT,
    note TEXT NOT NULL, FOREIGN KEY (tenant, user) REFERENCES user (tenant, id))""")
    db.execute("CREATE INDEX contact_tenant ON contact (tenant, id)")
    _index(db, "contact", "user")
    db.execute("""
CREATE TABLE webhook (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL REFERENCES tenant (id),
    name TEXT NOT NULL, url TEXT NOT NULL, kinds TEXT NOT NULL, secret TEXT NOT NULL,
    enabled INTEGER NOT NULL)""")
    db.execute("CREATE INDEX webhook_tenant ON webhook (tenant)")
    # A revision's company, so that each sees its own.
    db.execute("ALTER TABLE revision ADD COLUMN by TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE revision ADD COLUMN tenant INTEGER")
    db.execute("""
UPDATE revision SET tenant = (
    SELECT CASE WHEN count(DISTINCT ifnull(of, 0)) = 1 THEN min(of) END FROM (
        SELECT CASE table_name WHEN 'tenant' THEN row_id
               ELSE json_extract(ifnull(after, before), '$.tenant') END AS of
        FROM change WHERE change.revision = revision.id))""")
    db.execute("CREATE INDEX revision_tenant ON revision (tenant, id)")


@migrations()
def m014_answers(db: Database) -> None:
    """What the API remembers of requests, and changes that are to be made later."""
    db.execute("""
CREATE TABLE answer (
    owner TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL, sealed BLOB NOT NULL,
    at_ms INTEGER NOT NULL, PRIMARY KEY (owner, key))""")
    db.execute("CREATE INDEX answer_at ON answer (at_ms)")
    db.execute("""
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, tenant INTEGER, by TEXT NOT NULL,
    name TEXT NOT NULL, role TEXT NOT NULL, address TEXT NOT NULL, method TEXT NOT NULL,
    path TEXT NOT NULL, status INTEGER NOT NULL, said TEXT NOT NULL)""")
    db.execute("CREATE INDEX audit_tenant ON audit (tenant, id)")
    db.execute("CREATE INDEX audit_at ON audit (at_ms)")
    db.execute("""
CREATE TABLE planned (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER, at_ms INTEGER NOT NULL,
    by TEXT NOT NULL, name TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    body TEXT NOT NULL, created_ms INTEGER NOT NULL, state TEXT NOT NULL
        CHECK (state IN ('waiting','done','failed','cancelled')),
    done_ms INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '')""")
    db.execute("CREATE INDEX planned_due ON planned (at_ms) WHERE state = 'waiting'")
    db.execute("CREATE INDEX planned_tenant ON planned (tenant, id)")


@migrations()
def m008_access(db: Database) -> None:
    """How people sign in: what belongs to an account goes with it."""
    db.execute("""
CREATE TABLE account_credential (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('password','totp','passkey','recovery')),
    name TEXT NOT NULL, data TEXT NOT NULL, handle TEXT UNIQUE, counter INTEGER NOT NULL,
    created_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL)""")
    db.execute("CREATE INDEX account_credential_account ON account_credential (account)")
    db.execute("CREATE UNIQUE INDEX account_credential_one ON account_credential (account, kind) "
               "WHERE kind IN ('password','totp')")
    db.execute("""
CREATE TABLE account_session (
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL UNIQUE,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
    idle_ms INTEGER NOT NULL, factors TEXT NOT NULL, second INTEGER NOT NULL,
    agent TEXT NOT NULL, address TEXT NOT NULL)""")
    db.execute("CREATE INDEX account_session_account ON account_session (account)")
    db.execute("""
CREATE TABLE account_pending (
    digest TEXT PRIMARY KEY, kind TEXT NOT NULL,
    account INTEGER REFERENCES account (id) ON DELETE CASCADE, data TEXT NOT NULL,
    created_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL)""")
    db.execute("CREATE INDEX account_pending_account ON account_pending (account, kind, "
               "created_ms)")
    db.execute("""
CREATE TABLE account_address (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE, address TEXT NOT NULL,
    seen_ms INTEGER NOT NULL, PRIMARY KEY (account, address)) WITHOUT ROWID""")
    db.execute("CREATE INDEX account_domain ON account (substr(email, instr(email, '@') + 1))")


@migrations()
def m009_hooks(db: Database) -> None:
    """Where each webhook is in the events of its company, what was tried, what was given up; and
    deliveries by SMS.

    A webhook begins with what happens after it was made, and again when it is saved.
    """
    db.execute("""
CREATE TABLE webhook_state (
    webhook INTEGER PRIMARY KEY REFERENCES webhook (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, next_ms INTEGER NOT NULL DEFAULT 0,
    gone_ms INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
    version INTEGER NOT NULL DEFAULT 1,
    old_secret TEXT NOT NULL DEFAULT '', old_until_ms INTEGER NOT NULL DEFAULT 0)""")
    newest = "(SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'event')"
    db.execute("INSERT INTO webhook_state (webhook, seq) "  # noqa: S608
               f"SELECT id, {newest} FROM webhook")
    db.execute(f"""
CREATE TRIGGER webhook_made AFTER INSERT ON webhook BEGIN
    INSERT INTO webhook_state (webhook, seq) VALUES (new.id, {newest}); END""")  # noqa: S608
    db.execute("""
CREATE TRIGGER webhook_saved AFTER UPDATE ON webhook BEGIN
    UPDATE webhook_state SET tries = 0, next_ms = 0, gone_ms = 0, error = '',
        version = version + 1 WHERE webhook = new.id; END""")
    db.execute("""
CREATE TABLE webhook_attempt (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook INTEGER NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    event INTEGER NOT NULL, at_ms INTEGER NOT NULL, took_ms INTEGER NOT NULL,
    status INTEGER NOT NULL, error TEXT NOT NULL)""")
    db.execute("CREATE INDEX webhook_attempt_webhook ON webhook_attempt (webhook, id)")
    db.execute("""
CREATE TABLE dead_letter (
    webhook INTEGER NOT NULL REFERENCES webhook (id) ON DELETE CASCADE, event INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, tries INTEGER NOT NULL, status INTEGER NOT NULL, error TEXT NOT NULL,
    again INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (webhook, event)) WITHOUT ROWID""")
    db.execute("CREATE INDEX dead_letter_again ON dead_letter (webhook, event) WHERE again = 1")
    db.execute("ALTER TABLE delivery RENAME TO earlier_delivery")
    db.execute("""
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('mail','sms','webhook')), "to" TEXT NOT NULL,
    subject TEXT NOT NULL, body TEXT NOT NULL, attachment TEXT NOT NULL,
    created_ms INTEGER NOT NULL, tries INTEGER NOT NULL, next_ms INTEGER NOT NULL,
    done_ms INTEGER NOT NULL, error TEXT NOT NULL)""")
    db.execute("INSERT INTO delivery SELECT * FROM earlier_delivery")
    # The ids go on: they are in what others got as Message-ID and Idempotency-Key.
    db.execute("UPDATE sqlite_sequence SET seq = (SELECT ifnull(max(seq), 0) FROM "
               "sqlite_sequence WHERE name = 'earlier_delivery') WHERE name = 'delivery'")
    db.execute("DROP TABLE earlier_delivery")
    db.execute("CREATE INDEX delivery_due ON delivery (next_ms) WHERE done_ms = 0")
    db.execute("CREATE INDEX delivery_done ON delivery (done_ms) WHERE done_ms != 0")
    db.execute("CREATE INDEX delivery_tenant ON delivery (tenant, id)")
    db.execute("CREATE INDEX delivery_sms ON delivery (tenant, created_ms) WHERE kind = 'sms'")


@migrations()
def m012_retention(db: Database) -> None:
    """What was deleted, as a chain of lines that can only grow, and what is being deleted; what is
    kept whatever the company's policy says."""
    for table in ("recording", "call_record"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN keep INTEGER NOT NULL DEFAULT 0")
    db.execute("CREATE INDEX voice_message_tenant ON voice_message (tenant, created_ms)")
    columns = ("kind TEXT NOT NULL, uid TEXT NOT NULL, sha256 TEXT NOT NULL, "
               "bytes INTEGER NOT NULL, made_ms INTEGER NOT NULL, why TEXT NOT NULL, "
               "by TEXT NOT NULL, at_ms INTEGER NOT NULL")
    db.execute(f"""
CREATE TABLE deleting (
    tenant INTEGER NOT NULL, {columns}, path TEXT NOT NULL,
    PRIMARY KEY (kind, uid)) WITHOUT ROWID""")
    db.execute(f"""
CREATE TABLE deletion (
    tenant INTEGER NOT NULL, seq INTEGER NOT NULL, {columns}, previous TEXT NOT NULL,
    hash TEXT NOT NULL, PRIMARY KEY (tenant, seq)) WITHOUT ROWID""")
    for what in ("UPDATE", "DELETE"):
        db.execute(f"CREATE TRIGGER deletion_no_{what.lower()} BEFORE {what} ON deletion BEGIN "
                   "SELECT RAISE(ABORT, 'lines are only added'); END")


@migrations()
def m011_jobs(db: Database) -> None:
    """Long pieces of work that are asked for by the API."""
    db.execute("""
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL, by TEXT NOT NULL,
    name TEXT NOT NULL, question TEXT NOT NULL, created_ms INTEGER NOT NULL,
    began_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, tries INTEGER NOT NULL,
    error TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting','running','done','failed')))""")
    db.execute("CREATE INDEX job_tenant ON job (tenant, id)")
    db.execute("CREATE INDEX job_state ON job (state, id)")


@migrations()
def m013_figures(db: Database) -> None:
    """Calls as they are listed, with what they came to; what is counted of queues and calls.

    The call records of before are put into the index; where they came to is not known.
    """
    db.execute("""
CREATE TABLE call_item (
    id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, started_ms INTEGER NOT NULL,
    uid TEXT NOT NULL UNIQUE, part INTEGER NOT NULL, direction TEXT NOT NULL, number TEXT NOT NULL,
    other TEXT NOT NULL, outcome TEXT NOT NULL, wait_ms INTEGER NOT NULL, talk_ms INTEGER NOT NULL,
    trunk INTEGER, recorded INTEGER NOT NULL, caller_user INTEGER)""")
    db.execute("CREATE INDEX call_item_time ON call_item (tenant, started_ms)")
    for column, there in (("number", "number != ''"), ("other", "other != ''"),
                          ("trunk", "trunk IS NOT NULL"), ("outcome", ""), ("direction", ""),
                          ("recorded", "recorded = 1")):
        db.execute(f"CREATE INDEX call_item_{column} ON call_item (tenant, {column}, started_ms) "
                   f"WHERE part = 0{there and ' AND ' + there}")
    db.execute("""
CREATE TABLE call_place (
    kind TEXT NOT NULL, subject INTEGER NOT NULL, started_ms INTEGER NOT NULL,
    item INTEGER NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (kind, subject, started_ms, item)) WITHOUT ROWID""")
    db.execute("CREATE INDEX call_place_item ON call_place (item)")
    db.execute("""
CREATE TABLE call_way (
    uid TEXT NOT NULL, kind TEXT NOT NULL, subject INTEGER NOT NULL,
    PRIMARY KEY (uid, kind, subject)) WITHOUT ROWID""")
    db.execute("""
CREATE TRIGGER call_record_gone AFTER DELETE ON call_record BEGIN
    DELETE FROM call_place WHERE item = (SELECT id FROM call_item WHERE uid = old.uid);
    DELETE FROM call_item WHERE uid = old.uid;
    DELETE FROM call_way WHERE uid = old.uid;
END""")
    db.execute("""
CREATE TABLE figure (
    tenant INTEGER NOT NULL, kind TEXT NOT NULL, subject INTEGER NOT NULL,
    span_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (tenant, kind, subject, span_ms, at_ms)) WITHOUT ROWID""")
    db.execute("CREATE INDEX figure_at ON figure (tenant, at_ms)")
    db.execute("CREATE TABLE figure_state (tenant INTEGER PRIMARY KEY, seq INTEGER NOT NULL, "
               "data BLOB NOT NULL)")
    db.execute("CREATE TABLE figure_due (tenant INTEGER NOT NULL, at_ms INTEGER NOT NULL, "
               "changes INTEGER NOT NULL, PRIMARY KEY (tenant, at_ms)) WITHOUT ROWID")
    for uid, in db.execute("SELECT uid FROM call_record").fetchall():
        index_call(db.conn, uid)
    db.execute("DROP TABLE call_party")


@migrations()
def m015_deleted_by(db: Database) -> None:
    """Who has deleted a voice message that can still be taken back."""
    db.execute("ALTER TABLE voice_message ADD COLUMN deleted_by TEXT NOT NULL DEFAULT ''")


@migrations()
def m010_directory(db: Database) -> None:
    """Whom people may look for, by the beginnings of words."""
    db.execute(directory.TABLE)
    directory.index_everything(db.conn)


@migrations()
def m016_contact(db: Database) -> None:
    """Devices that may be called at another host than the one that they register from."""
    db.execute("ALTER TABLE device ADD COLUMN contact TEXT NOT NULL DEFAULT 'source'")


@migrations()
def m017_callback_classes(db: Database) -> None:
    """Kinds of numbers that callers may have a company call: by default those that cost little,
    the first four (15)."""
    db.execute("ALTER TABLE tenant ADD COLUMN callback_classes INTEGER NOT NULL DEFAULT 15")


@migrations()
def m018_planned_condition(db: Database) -> None:
    """What has to be as it was when a planned change is made."""
    db.execute("ALTER TABLE planned ADD COLUMN if_match TEXT")


@migrations()
def m019_operators_fields(db: Database) -> None:
    """What the operator bars for a company, and the plan of the users that it makes."""
    db.execute("ALTER TABLE tenant ADD COLUMN operator_barred INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE tenant ADD COLUMN plan INTEGER REFERENCES plan (id)")


@migrations()
def m020_allotment(db: Database) -> None:
    """Whose numbers are: every number that there is belongs to the company that has it."""
    db.execute("""
CREATE TABLE allotment (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL REFERENCES tenant (id),
    first TEXT NOT NULL UNIQUE, last TEXT NOT NULL)""")
    db.execute("CREATE INDEX allotment_tenant ON allotment (tenant)")
    db.execute("CREATE INDEX allotment_last ON allotment (length(first), last)")
    db.execute("INSERT INTO allotment (tenant, first, last) "
               "SELECT tenant, e164, e164 FROM number ORDER BY id")


@migrations()
def m021_presence_until(db: Database) -> None:
    """Whose activity is to end, by its time."""
    db.execute("CREATE INDEX presence_until ON presence (until) WHERE until > 0")
