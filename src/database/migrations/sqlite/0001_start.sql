-- Ids are 32 lower-case hex digits, times Unix milliseconds, scopes text with one space between.
-- `version` grows with every change of what a record says; `changed_at` is when (RECOVER reads by it).

CREATE TABLE installation (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    id         TEXT NOT NULL,
    key_tag    BLOB NOT NULL,               -- keys the 32-bit tag of API keys and refresh tokens
    epoch      TEXT,                        -- the token store's epoch (COHERENCE §3); NULL before the first
    high_water INTEGER NOT NULL DEFAULT 0   -- the latest time any process has lived in
) STRICT;

-- One row for ever: who founded the installation. Never reopened.
CREATE TABLE founding (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    principal TEXT NOT NULL,
    at        INTEGER NOT NULL
) STRICT;

CREATE TABLE tenants (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    blocked    INTEGER NOT NULL DEFAULT 0,
    version    INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tenants_changed ON tenants (changed_at);

-- A row stays after deletion (ended_at), so that a name is never given to anyone else.
CREATE TABLE principals (
    uid            TEXT PRIMARY KEY,
    tenant         TEXT NOT NULL REFERENCES tenants (id),
    parent         TEXT REFERENCES principals (uid),
    role           TEXT NOT NULL,
    user           TEXT UNIQUE,
    email          TEXT UNIQUE,
    email_verified INTEGER NOT NULL DEFAULT 0,
    phone          TEXT UNIQUE,
    phone_verified INTEGER NOT NULL DEFAULT 0,
    password       TEXT,                    -- argon2id, PHC string
    scopes         TEXT NOT NULL,
    blocked        INTEGER NOT NULL DEFAULT 0,
    ended_at       INTEGER,
    version        INTEGER NOT NULL DEFAULT 1,
    created_at     INTEGER NOT NULL,
    changed_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX principals_changed ON principals (changed_at);

CREATE TABLE policies (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL REFERENCES tenants (id),
    name       TEXT NOT NULL,
    allow      TEXT NOT NULL,
    deny       TEXT NOT NULL,
    ended_at   INTEGER,
    version    INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX policies_changed ON policies (changed_at);

CREATE TABLE principal_policies (
    principal TEXT NOT NULL REFERENCES principals (uid),
    policy    TEXT NOT NULL REFERENCES policies (id),
    PRIMARY KEY (principal, policy)
) STRICT;

CREATE TABLE keys (
    id           TEXT PRIMARY KEY,
    principal    TEXT NOT NULL REFERENCES principals (uid),
    name         TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    ended_at     INTEGER,
    version      INTEGER NOT NULL DEFAULT 1,
    changed_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX keys_principal ON keys (principal, created_at);
CREATE INDEX keys_changed ON keys (changed_at);

-- The secrets of a key: the standing one (until IS NULL) and those in their rotation grace.
CREATE TABLE key_secrets (
    hash       BLOB PRIMARY KEY,            -- SHA-256 of the whole API key
    key        TEXT NOT NULL REFERENCES keys (id),
    until      INTEGER,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX key_secrets_key ON key_secrets (key);

-- Access tokens. With the embedded store `idle_end` is the truth; with Redis it is what it was at the mint.
CREATE TABLE tokens (
    id        TEXT PRIMARY KEY,
    key       TEXT NOT NULL REFERENCES keys (id),
    scopes    TEXT NOT NULL,
    format    TEXT NOT NULL,                -- opaque | jwt
    signed_by TEXT NOT NULL,
    issuer    TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    cap       INTEGER NOT NULL,
    idle_end  INTEGER NOT NULL,
    ended_at  INTEGER
) STRICT;
CREATE INDEX tokens_key ON tokens (key, issued_at);
CREATE INDEX tokens_cap ON tokens (cap);
CREATE INDEX tokens_ended ON tokens (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    principal  TEXT NOT NULL REFERENCES principals (uid),
    created_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    ended_at   INTEGER,
    version    INTEGER NOT NULL DEFAULT 1,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_principal ON sessions (principal, created_at);
CREATE INDEX sessions_changed ON sessions (changed_at);

CREATE TABLE refresh_tokens (
    hash       BLOB PRIMARY KEY,            -- SHA-256 of the whole refresh token
    session    TEXT NOT NULL REFERENCES sessions (id),
    created_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT;
CREATE INDEX refresh_tokens_session ON refresh_tokens (session);

-- What the token store must still be told. The row says which record; what it says is read when it is applied.
CREATE TABLE outbox (
    n       INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT NOT NULL,                  -- token | key | session | subject | policy
    id      TEXT NOT NULL,
    at      INTEGER NOT NULL,
    done_at INTEGER
) STRICT;
CREATE INDEX outbox_pending ON outbox (n) WHERE done_at IS NULL;

CREATE TABLE audit (
    n      INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,                   -- uid, `cli` or `system`
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    origin TEXT NOT NULL,                   -- the client's address
    result TEXT NOT NULL
) STRICT;
