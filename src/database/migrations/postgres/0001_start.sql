-- Ids are 32 lower-case hex digits, times Unix milliseconds, scopes text with one space between.
-- `version` grows with every change of what a record says; `changed_at` is when (RECOVER reads by it).

-- Every act holds the one row of `turn` to its end: acts of all processes come one after the other.
CREATE TABLE turn (
    one BIGINT PRIMARY KEY CHECK (one = 1)
);
INSERT INTO turn (one) VALUES (1);

CREATE TABLE installation (
    one        BIGINT PRIMARY KEY CHECK (one = 1),
    id         TEXT COLLATE "C" NOT NULL,
    key_tag    BYTEA NOT NULL,            -- keys the 32-bit tag of API keys and refresh tokens
    epoch      TEXT COLLATE "C",          -- the token store's epoch (COHERENCE §3); NULL before the first
    high_water BIGINT NOT NULL DEFAULT 0, -- the latest time any process has lived in
    served_by  TEXT COLLATE "C"           -- whose embedded token store serves, or served last; NULL = it stopped cleanly
);

-- One row for ever: who founded the installation. Never reopened.
CREATE TABLE founding (
    one       BIGINT PRIMARY KEY CHECK (one = 1),
    principal TEXT COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL
);

CREATE TABLE tenants (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    blocked    BIGINT NOT NULL DEFAULT 0,
    version    BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX tenants_changed ON tenants (changed_at);

-- A row stays after deletion (ended_at), so that a name is never given to anyone else.
CREATE TABLE principals (
    uid            TEXT COLLATE "C" PRIMARY KEY,
    tenant         TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    parent         TEXT COLLATE "C" REFERENCES principals (uid),
    role           TEXT COLLATE "C" NOT NULL,
    user_name      TEXT COLLATE "C" UNIQUE,
    email          TEXT COLLATE "C" UNIQUE,
    email_verified BIGINT NOT NULL DEFAULT 0,
    phone          TEXT COLLATE "C" UNIQUE,
    phone_verified BIGINT NOT NULL DEFAULT 0,
    password       TEXT COLLATE "C",  -- argon2id, PHC string
    refresh_key    TEXT COLLATE "C",  -- argon2id of a self-chosen refresh key, PHC string
    scopes         TEXT COLLATE "C" NOT NULL,
    blocked        BIGINT NOT NULL DEFAULT 0,
    ended_at       BIGINT,
    version        BIGINT NOT NULL DEFAULT 1,
    created_at     BIGINT NOT NULL,
    changed_at     BIGINT NOT NULL
);
CREATE INDEX principals_changed ON principals (changed_at);
CREATE INDEX principals_tenant ON principals (tenant, created_at);
CREATE INDEX principals_parent ON principals (parent, created_at);

CREATE TABLE policies (
    id         TEXT COLLATE "C" PRIMARY KEY,
    tenant     TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    name       TEXT COLLATE "C" NOT NULL,
    allow      TEXT COLLATE "C" NOT NULL,
    deny       TEXT COLLATE "C" NOT NULL,
    ended_at   BIGINT,
    version    BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX policies_changed ON policies (changed_at);

-- `source`: who attached it: empty = an admin, else the issuer whose claim grants it at each login.
CREATE TABLE principal_policies (
    principal TEXT COLLATE "C" NOT NULL REFERENCES principals (uid),
    policy    TEXT COLLATE "C" NOT NULL REFERENCES policies (id),
    source    TEXT COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (principal, policy, source)
);
CREATE INDEX principal_policies_policy ON principal_policies (policy);

CREATE TABLE api_keys (
    id           TEXT COLLATE "C" PRIMARY KEY,
    principal    TEXT COLLATE "C" NOT NULL REFERENCES principals (uid),
    name         TEXT COLLATE "C" NOT NULL,
    scopes       TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    ended_at     BIGINT,
    version      BIGINT NOT NULL DEFAULT 1,
    changed_at   BIGINT NOT NULL
);
CREATE INDEX keys_principal ON api_keys (principal, created_at);
CREATE INDEX keys_changed ON api_keys (changed_at);

-- The secrets of a key: the standing one (until IS NULL) and those in their rotation grace.
CREATE TABLE key_secrets (
    hash       BYTEA PRIMARY KEY,  -- SHA-256 of the whole API key
    key_id     TEXT COLLATE "C" NOT NULL REFERENCES api_keys (id),
    until      BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX key_secrets_key ON key_secrets (key_id);

-- Access tokens. With the embedded store `idle_end` is the truth; with Redis it is what it was at the mint.
CREATE TABLE tokens (
    id        TEXT COLLATE "C" PRIMARY KEY,
    key_id    TEXT COLLATE "C" NOT NULL REFERENCES api_keys (id),
    scopes    TEXT COLLATE "C" NOT NULL,
    format    TEXT COLLATE "C" NOT NULL,  -- opaque | jwt
    signed_by TEXT COLLATE "C" NOT NULL,
    issuer    TEXT COLLATE "C" NOT NULL,
    issued_at BIGINT NOT NULL,
    cap       BIGINT NOT NULL,
    idle_end  BIGINT NOT NULL,
    ended_at  BIGINT
);
CREATE INDEX tokens_key ON tokens (key_id, issued_at);
CREATE INDEX tokens_cap ON tokens (cap);
CREATE INDEX tokens_ended ON tokens (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE sessions (
    id           TEXT COLLATE "C" PRIMARY KEY,
    principal    TEXT COLLATE "C" NOT NULL REFERENCES principals (uid),
    created_at   BIGINT NOT NULL,
    ends_at      BIGINT NOT NULL,
    idle_ends_at BIGINT,  -- NULL = a login's JWT, which has none
    ended_at     BIGINT,
    version      BIGINT NOT NULL DEFAULT 1,
    changed_at   BIGINT NOT NULL
);
CREATE INDEX sessions_principal ON sessions (principal, created_at);
CREATE INDEX sessions_changed ON sessions (changed_at);

CREATE TABLE refresh_tokens (
    hash       BYTEA PRIMARY KEY,  -- SHA-256 of the whole refresh token
    session    TEXT COLLATE "C" NOT NULL REFERENCES sessions (id),
    created_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session);

-- What the token store must still be told. The row says which record; what it says is read when it is applied.
CREATE TABLE outbox (
    n       BIGSERIAL PRIMARY KEY,
    kind    TEXT COLLATE "C" NOT NULL,  -- token | key | session | subject | policy
    id      TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    done_at BIGINT
);
CREATE INDEX outbox_pending ON outbox (n) WHERE done_at IS NULL;

CREATE TABLE audit (
    n      BIGSERIAL PRIMARY KEY,
    at     BIGINT NOT NULL,
    tenant TEXT COLLATE "C",           -- whose; NULL = the installation's
    actor  TEXT COLLATE "C" NOT NULL,  -- uid, `cli` or `system`
    action TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,  -- the client's address
    result TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_tenant ON audit (tenant, n);

-- The codes that processes have printed for whoever founds the installation.
CREATE TABLE setup_codes (
    hash       BYTEA PRIMARY KEY,  -- SHA-256
    created_at BIGINT NOT NULL
);

-- Referrals. Who signs up with one joins the inviter's tenant below the inviter.
CREATE TABLE invitations (
    id         TEXT COLLATE "C" PRIMARY KEY,
    tenant     TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    inviter    TEXT COLLATE "C" NOT NULL REFERENCES principals (uid),
    role       TEXT COLLATE "C" NOT NULL,
    scopes     TEXT COLLATE "C" NOT NULL,
    policies   TEXT COLLATE "C" NOT NULL,  -- ids with one space between
    code       BYTEA NOT NULL UNIQUE,      -- SHA-256
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    used_by    TEXT COLLATE "C",
    ended_at   BIGINT
);
CREATE INDEX invitations_inviter ON invitations (inviter, created_at);

-- One-time codes that were sent. Each is good for its own challenge only.
CREATE TABLE challenges (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name_kind  TEXT COLLATE "C" NOT NULL,  -- email | phone
    name       TEXT COLLATE "C" NOT NULL,
    code       BYTEA NOT NULL,             -- HMAC-SHA-256 under the installation's key
    tries      BIGINT NOT NULL DEFAULT 0,
    network    TEXT COLLATE "C" NOT NULL,  -- who asked for it
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX challenges_network ON challenges (network, created_at);
CREATE INDEX challenges_name ON challenges (name_kind, name, created_at);
CREATE INDEX challenges_expires ON challenges (expires_at);

-- The e-mail and phone that a person says is theirs and has not proved yet. It blocks nobody.
CREATE TABLE pending_contacts (
    principal TEXT COLLATE "C" NOT NULL REFERENCES principals (uid),
    name_kind TEXT COLLATE "C" NOT NULL,  -- email | phone
    name      TEXT COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (principal, name_kind)
);
CREATE INDEX pending_contacts_name ON pending_contacts (name_kind, name);

-- E-mails and phones that were proved and then replaced: never given to anyone else.
CREATE TABLE former_contacts (
    name_kind TEXT COLLATE "C" NOT NULL,  -- email | phone
    name      TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL REFERENCES principals (uid),
    at        BIGINT NOT NULL,
    PRIMARY KEY (name_kind, name)
);

-- Who a person is at an OpenID provider (OpenID Connect Core §5.7: `iss` and `sub`, never the e-mail).
CREATE TABLE identities (
    issuer     TEXT COLLATE "C" NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    provider   TEXT COLLATE "C" NOT NULL,
    principal  TEXT COLLATE "C" NOT NULL REFERENCES principals (uid),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_principal ON identities (principal);

-- Logins under way at a provider. A row is deleted by its first use.
CREATE TABLE sign_ins (
    state      BYTEA PRIMARY KEY,          -- SHA-256 of `state`
    browser    BYTEA NOT NULL,             -- SHA-256 of the browser's cookie
    provider   TEXT COLLATE "C" NOT NULL,
    nonce      TEXT COLLATE "C" NOT NULL,
    verifier   TEXT COLLATE "C" NOT NULL,  -- PKCE
    return_to  TEXT COLLATE "C" NOT NULL,
    invitation TEXT COLLATE "C" NOT NULL,
    silent     BIGINT NOT NULL,            -- prompt=none
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_ins_expires ON sign_ins (expires_at);

-- One-use codes that carry a browser's session to another host. A row is deleted by its first use.
CREATE TABLE host_codes (
    code       BYTEA PRIMARY KEY,  -- SHA-256
    session    TEXT COLLATE "C" NOT NULL REFERENCES sessions (id),
    host       TEXT COLLATE "C" NOT NULL,
    return_to  TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX host_codes_expires ON host_codes (expires_at);
