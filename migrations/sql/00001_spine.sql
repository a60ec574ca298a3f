-- The spine: cards, journal, alarms' registry and notifications, rules,
-- operators. Everything that must survive a crash is here; states are text whose
-- CHECK constraints repeat the state rules of package dispatch.

-- +goose Up

-- Registry of monitored facilities. ---------------------------------------

CREATE TABLE facilities (
    id         uuid PRIMARY KEY,
    code       text NOT NULL UNIQUE,             -- the registry's own id, what people and imports use
    name       text NOT NULL,
    category   text NOT NULL CHECK (category IN ('education', 'health', 'social', 'other')),
    address    text NOT NULL,
    district   text NOT NULL DEFAULT '',
    lat        double precision CHECK (lat BETWEEN -90 AND 90),
    lon        double precision CHECK (lon BETWEEN -180 AND 180),
    phone      text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK ((lat IS NULL) = (lon IS NULL))
);

CREATE TABLE panels (
    id           uuid PRIMARY KEY,
    facility_id  uuid NOT NULL REFERENCES facilities (id),
    account      text NOT NULL UNIQUE,           -- as the panel sends it, upper case
    protocol     text NOT NULL DEFAULT 'dc09',
    heartbeat_s  integer NOT NULL DEFAULT 0 CHECK (heartbeat_s >= 0), -- 0: none agreed
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    last_seen_at timestamptz                     -- flushed in batches, not per frame
);
CREATE INDEX panels_facility ON panels (facility_id);

CREATE TABLE zones (
    id       uuid PRIMARY KEY,
    panel_id uuid NOT NULL REFERENCES panels (id) ON DELETE CASCADE,
    area     text NOT NULL DEFAULT '',
    number   text NOT NULL,
    kind     text NOT NULL,                      -- a class of package alarms
    place    text NOT NULL DEFAULT '',
    UNIQUE (panel_id, area, number)
);

-- Cards. --------------------------------------------------------------------

CREATE SEQUENCE incident_numbers;

CREATE TABLE incidents (
    id               uuid PRIMARY KEY,
    number           bigint NOT NULL UNIQUE,
    state            text NOT NULL CHECK (state IN ('draft', 'registered', 'dispatched', 'under_way',
                                                    'worked', 'closed', 'reopened', 'cancelled')),
    origin           text NOT NULL CHECK (origin IN ('call', 'sms', 'ecall', 'alarm')),
    type             text NOT NULL DEFAULT '',
    class            text NOT NULL DEFAULT '',
    facility_id      uuid,
    facility_code    text NOT NULL DEFAULT '',
    facility_name    text NOT NULL DEFAULT '',
    facility_category text NOT NULL DEFAULT '',   -- a fact for the rules
    unknown_facility boolean NOT NULL DEFAULT false,
    place            text NOT NULL DEFAULT '',
    district         text NOT NULL DEFAULT '',
    lat              double precision,
    lon              double precision,
    description      text NOT NULL DEFAULT '',
    caller           text NOT NULL DEFAULT '',
    opened_at        timestamptz NOT NULL,
    registered_at    timestamptz,
    closed_at        timestamptz,
    close_reason     text NOT NULL DEFAULT '',
    last_signal_at   timestamptz,
    version          integer NOT NULL CHECK (version > 0),
    head             bytea NOT NULL CHECK (octet_length(head) = 32),
    CHECK (state <> 'draft' OR registered_at IS NULL),
    CHECK (state IN ('draft', 'closed', 'cancelled', 'reopened') OR (registered_at IS NOT NULL AND type <> '')),
    CHECK ((state IN ('closed', 'cancelled')) = (closed_at IS NOT NULL) OR state = 'reopened'),
    CHECK (state <> 'closed' OR close_reason <> ''),
    CHECK (NOT unknown_facility OR facility_id IS NULL),
    CHECK ((lat IS NULL) = (lon IS NULL))
);
CREATE INDEX incidents_open ON incidents (opened_at) WHERE state NOT IN ('closed', 'cancelled');
CREATE INDEX incidents_opened ON incidents (opened_at, id);
CREATE INDEX incidents_facility ON incidents (facility_id, opened_at) WHERE facility_id IS NOT NULL;

CREATE TABLE assignments (
    id            uuid PRIMARY KEY,
    incident_id   uuid NOT NULL REFERENCES incidents (id),
    service       text NOT NULL CHECK (service ~ '^[a-z][a-z0-9_-]{0,31}$'),
    state         text NOT NULL CHECK (state IN ('added', 'published', 'received', 'accepted', 'refused',
                                                 'en_route', 'arrived', 'working', 'completed',
                                                 'work_refused', 'cancelled')),
    rule          text NOT NULL DEFAULT '',
    ruleset       integer NOT NULL DEFAULT 0,
    why           text NOT NULL,
    why_en        text NOT NULL DEFAULT '',
    added_by      text NOT NULL,
    order_number  text NOT NULL DEFAULT '',
    comment       text NOT NULL DEFAULT '',
    undeliverable text NOT NULL DEFAULT '',
    added_at      timestamptz NOT NULL,
    published_at  timestamptz,
    received_at   timestamptz,
    decided_at    timestamptz,
    en_route_at   timestamptz,
    arrived_at    timestamptz,
    working_at    timestamptz,
    finished_at   timestamptz,
    UNIQUE (incident_id, service),
    CHECK (state NOT IN ('refused', 'work_refused') OR comment <> ''),
    CHECK (state NOT IN ('accepted', 'refused', 'en_route', 'arrived', 'working', 'completed', 'work_refused')
           OR decided_at IS NOT NULL),
    CHECK ((state IN ('completed', 'work_refused', 'cancelled')) = (finished_at IS NOT NULL))
);
CREATE INDEX assignments_service ON assignments (service, added_at);

CREATE TABLE contacts (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('call', 'sms', 'ecall')),
    key          text NOT NULL UNIQUE,           -- SIP: Call-ID, From tag, CSeq (promise P2)
    run_id       uuid NOT NULL,                  -- the process that holds the line
    incident_id  uuid NOT NULL,
    caller       text NOT NULL DEFAULT '',
    called       text NOT NULL DEFAULT '',
    peer         text NOT NULL DEFAULT '',
    text         text NOT NULL DEFAULT '',
    body         bytea NOT NULL DEFAULT '',      -- an SMS's octets as received
    content_type text NOT NULL DEFAULT '',       -- what they were declared to be
    state        text NOT NULL CHECK (state IN ('ringing', 'answered', 'ended')),
    received_at  timestamptz NOT NULL,
    answered_at  timestamptz,
    ended_at     timestamptz,
    end_reason   text NOT NULL DEFAULT '',
    callback_due boolean NOT NULL DEFAULT false,
    CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    CHECK (state <> 'ended' OR end_reason <> ''),
    CHECK (state <> 'answered' OR answered_at IS NOT NULL)
);
CREATE INDEX contacts_incident ON contacts (incident_id);
CREATE INDEX contacts_live ON contacts (run_id) WHERE state <> 'ended';
CREATE INDEX contacts_callback ON contacts (ended_at) WHERE callback_due;
CREATE INDEX contacts_received ON contacts (received_at, id);

-- Notifications of panels. Months are made ahead by the engine's own clock; a
-- row in the default partition means that this failed, and raises an alarm.

CREATE TABLE notifications (
    id          uuid NOT NULL,
    received_at timestamptz NOT NULL,
    occurred_at timestamptz,
    account     text NOT NULL,
    panel_id    uuid,
    facility_id uuid,
    protocol    text NOT NULL,
    class       text NOT NULL,
    condition   text NOT NULL,
    code        text NOT NULL,
    area        text NOT NULL,
    zone        text NOT NULL,
    user_no     text NOT NULL,
    text        text NOT NULL,
    raw         bytea NOT NULL,                  -- the frame's octets as received
    peer        text NOT NULL,
    seq         text NOT NULL,                   -- the panel's own number; only a hint
    duplicate   boolean NOT NULL,
    dedup_key   text NOT NULL,
    incident_id uuid,
    why         text NOT NULL,                   -- what was decided and why, one sentence
    PRIMARY KEY (received_at, id)
) PARTITION BY RANGE (received_at);
CREATE INDEX notifications_account ON notifications (account, received_at);
-- A month has some two million rows; one facility's list must not walk them all.
-- Unknown accounts have no facility and cost nothing here.
CREATE INDEX notifications_facility ON notifications (facility_id, received_at) WHERE facility_id IS NOT NULL;
CREATE TABLE notifications_default PARTITION OF notifications DEFAULT;

-- The journal. --------------------------------------------------------------

CREATE TABLE events (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK (seq > 0),
    id          uuid NOT NULL UNIQUE,
    incident_id uuid NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    at          timestamptz NOT NULL,
    actor       text NOT NULL CHECK (actor <> ''),
    kind        text NOT NULL CHECK (kind <> ''),
    data        text,                            -- JSON kept as text: jsonb rewrites numbers. NULL: erased
    data_sha    bytea NOT NULL CHECK (octet_length(data_sha) = 32),
    prev_hash   bytea NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash        bytea NOT NULL CHECK (octet_length(hash) = 32),
    UNIQUE (incident_id, version)
);

-- Readers follow the journal by «seq greater than mine». That is only safe when
-- numbers become visible in their order, so whoever inserts holds one lock from
-- before the first number is drawn until the commit is visible. A statement
-- trigger fires before any row's defaults are computed, for INSERT and COPY.
-- +goose StatementBegin
CREATE FUNCTION events_in_commit_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7236837);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER events_in_commit_order BEFORE INSERT ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_in_commit_order();

-- Append-only: a row trigger would let TRUNCATE pass, so these are statement
-- triggers for all three.
-- +goose StatementBegin
CREATE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_append_only();

-- What the file of signed heads held, remembered here as well: whoever shortens
-- the file is found by the table, whoever cuts the journal by the file.
CREATE TABLE audit_heads (
    number integer PRIMARY KEY CHECK (number > 0), -- its line in the file
    at     timestamptz NOT NULL,
    seq    bigint NOT NULL,
    sig    text NOT NULL
);

-- Rules. --------------------------------------------------------------------

CREATE TABLE rulesets (
    number       integer PRIMARY KEY CHECK (number > 0),
    body         text NOT NULL,                  -- the YAML as published
    sha          bytea NOT NULL CHECK (octet_length(sha) = 32),
    published_at timestamptz NOT NULL,
    published_by text NOT NULL
);

-- People and machines that may come in. --------------------------------------

CREATE TABLE operators (
    id            uuid PRIMARY KEY,
    login         text NOT NULL UNIQUE CHECK (login <> ''),
    name          text NOT NULL,
    role          text NOT NULL CHECK (role IN ('operator', 'duty', 'supervisor', 'admin', 'auditor')),
    service       text NOT NULL DEFAULT '',      -- of a duty officer
    password_hash text NOT NULL,                 -- argon2id, PHC string
    created_at    timestamptz NOT NULL,
    disabled_at   timestamptz,
    CHECK ((role = 'duty') = (service <> ''))
);

CREATE TABLE sessions (
    token_sha   bytea PRIMARY KEY CHECK (octet_length(token_sha) = 32), -- the cookie itself is never stored
    operator_id uuid NOT NULL REFERENCES operators (id),
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    peer        text NOT NULL DEFAULT ''
);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE tokens (
    token_sha  bytea PRIMARY KEY CHECK (octet_length(token_sha) = 32),
    name       text NOT NULL,
    role       text NOT NULL CHECK (role IN ('operator', 'duty', 'supervisor', 'admin', 'auditor')),
    service    text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    CHECK ((role = 'duty') = (service <> ''))
);

-- What a console's command did, stored with its effect: a resend is harmless.
CREATE TABLE commands (
    actor  text NOT NULL,
    id     uuid NOT NULL,                        -- made by the client
    at     timestamptz NOT NULL,
    result text NOT NULL,                        -- JSON that the first sending was answered with
    PRIMARY KEY (actor, id)
);

-- Machinery. ----------------------------------------------------------------

-- How far each topic has been published, kept after the broker confirmed.
CREATE TABLE outbox_cursors (
    topic      text PRIMARY KEY,
    seq        bigint NOT NULL CHECK (seq >= 0),
    updated_at timestamptz NOT NULL
);

-- Replies of services that were taken, so that a repeat changes nothing. The
-- same source and id for another incident is no repeat, but a mistake to report.
CREATE TABLE service_replies (
    service       text NOT NULL,
    source_sha256 bytea NOT NULL CHECK (length(source_sha256) = 32), -- the source may be longer than an index can hold
    reply_id      text NOT NULL,
    incident_id   uuid NOT NULL REFERENCES incidents (id),
    at            timestamptz NOT NULL,
    PRIMARY KEY (service, source_sha256, reply_id)
);

-- Who does what only one node may do. The database's clock rules.
CREATE TABLE leases (
    name   text PRIMARY KEY,
    holder uuid NOT NULL,
    until  timestamptz NOT NULL
);

-- The lives of engines. Whoever is not heard for a while is dead, and the calls
-- that it held are lost; the database's clock rules.
CREATE TABLE runs (
    id          uuid PRIMARY KEY,
    node        text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    heard_since timestamptz NOT NULL DEFAULT clock_timestamp(), -- no gap between heartbeats since then
    ended_at    timestamptz,                      -- NULL: alive
    ended_by    uuid                              -- itself, or the run that missed it
);

-- The last batch of each group-commit writer: after a commit whose answer was
-- lost, this row tells whether it happened.
CREATE TABLE writers (
    id    uuid PRIMARY KEY,
    batch bigint NOT NULL,
    at    timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE writers, runs, audit_heads, leases, service_replies, outbox_cursors, commands, tokens, sessions, operators,
           rulesets, events, notifications, contacts, assignments, incidents, zones, panels, facilities;
DROP SEQUENCE incident_numbers;
DROP FUNCTION events_append_only, events_in_commit_order;
