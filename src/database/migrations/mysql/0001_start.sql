-- Ids are 32 lower-case hex digits, times Unix milliseconds, scopes text with one space between.
-- `version` grows with every change of what a record says; `changed_at` is when (RECOVER reads by it).
-- Text compares byte by byte, but for spaces at the end, which no name may have.

-- Every act holds the one row of `turn` to its end: acts of all processes come one after the other.
CREATE TABLE turn (
    one BIGINT PRIMARY KEY CHECK (one = 1)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT INTO turn (one) VALUES (1);

CREATE TABLE installation (
    one        BIGINT PRIMARY KEY CHECK (one = 1),
    id         CHAR(32) NOT NULL,
    key_tag    VARBINARY(32) NOT NULL,    -- keys the 32-bit tag of API keys and refresh tokens
    epoch      VARCHAR(64),               -- the token store's epoch (COHERENCE §3); NULL before the first
    high_water BIGINT NOT NULL DEFAULT 0, -- the latest time any process has lived in
    served_by  CHAR(32)                   -- whose embedded token store serves, or served last; NULL = it stopped cleanly
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row for ever: who founded the installation. Never reopened.
CREATE TABLE founding (
    one       BIGINT PRIMARY KEY CHECK (one = 1),
    principal CHAR(32) NOT NULL,
    at        BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tenants (
    id         CHAR(32) PRIMARY KEY,
    name       VARCHAR(320) NOT NULL,
    blocked    BIGINT NOT NULL DEFAULT 0,
    version    BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX tenants_changed ON tenants (changed_at);

-- A row stays after deletion (ended_at), so that a name is never given to anyone else.
CREATE TABLE principals (
    uid            CHAR(32) PRIMARY KEY,
    tenant         CHAR(32) NOT NULL,
    parent         CHAR(32),
    role           VARCHAR(255) NOT NULL,
    user_name      VARCHAR(320) UNIQUE,
    email          VARCHAR(320) UNIQUE,
    email_verified BIGINT NOT NULL DEFAULT 0,
    phone          VARCHAR(320) UNIQUE,
    phone_verified BIGINT NOT NULL DEFAULT 0,
    password       VARCHAR(255),  -- argon2id, PHC string
    refresh_key    VARCHAR(255),  -- argon2id of a self-chosen refresh key, PHC string
    scopes         TEXT NOT NULL,
    blocked        BIGINT NOT NULL DEFAULT 0,
    ended_at       BIGINT,
    version        BIGINT NOT NULL DEFAULT 1,
    created_at     BIGINT NOT NULL,
    changed_at     BIGINT NOT NULL,
    FOREIGN KEY (tenant) REFERENCES tenants (id),
    FOREIGN KEY (parent) REFERENCES principals (uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX principals_changed ON principals (changed_at);
CREATE INDEX principals_tenant ON principals (tenant, created_at);
CREATE INDEX principals_parent ON principals (parent, created_at);

CREATE TABLE policies (
    id         CHAR(32) PRIMARY KEY,
    tenant     CHAR(32) NOT NULL,
    name       VARCHAR(320) NOT NULL,
    allow      TEXT NOT NULL,
    deny       TEXT NOT NULL,
    ended_at   BIGINT,
    version    BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    FOREIGN KEY (tenant) REFERENCES tenants (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX policies_changed ON policies (changed_at);

-- `source`: who attached it: empty = an admin, else the issuer whose claim grants it at each login.
CREATE TABLE principal_policies (
    principal CHAR(32) NOT NULL,
    policy    CHAR(32) NOT NULL,
    source    VARCHAR(255) NOT NULL DEFAULT '',
    PRIMARY KEY (principal, policy, source),
    FOREIGN KEY (principal) REFERENCES principals (uid),
    FOREIGN KEY (policy) REFERENCES policies (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX principal_policies_policy ON principal_policies (policy);

CREATE TABLE api_keys (
    id           CHAR(32) PRIMARY KEY,
    principal    CHAR(32) NOT NULL,
    name         VARCHAR(320) NOT NULL,
    scopes       TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    ended_at     BIGINT,
    version      BIGINT NOT NULL DEFAULT 1,
    changed_at   BIGINT NOT NULL,
    FOREIGN KEY (principal) REFERENCES principals (uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX keys_principal ON api_keys (principal, created_at);
CREATE INDEX keys_changed ON api_keys (changed_at);

-- The secrets of a key: the standing one (until IS NULL) and those in their rotation grace.
CREATE TABLE key_secrets (
    hash       VARBINARY(32) PRIMARY KEY,  -- SHA-256 of the whole API key
    key_id     CHAR(32) NOT NULL,
    until      BIGINT,
    created_at BIGINT NOT NULL,
    FOREIGN KEY (key_id) REFERENCES api_keys (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX key_secrets_key ON key_secrets (key_id);

-- Access tokens. With the embedded store `idle_end` is the truth; with Redis it is what it was at the mint.
CREATE TABLE tokens (
    id        CHAR(32) PRIMARY KEY,
    key_id    CHAR(32) NOT NULL,
    scopes    TEXT NOT NULL,
    format    VARCHAR(255) NOT NULL,  -- opaque | jwt
    signed_by VARCHAR(255) NOT NULL,
    issuer    TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    cap       BIGINT NOT NULL,
    idle_end  BIGINT NOT NULL,
    ended_at  BIGINT,
    FOREIGN KEY (key_id) REFERENCES api_keys (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX tokens_key ON tokens (key_id, issued_at);
CREATE INDEX tokens_cap ON tokens (cap);
CREATE INDEX tokens_ended ON tokens (ended_at);

CREATE TABLE sessions (
    id           CHAR(32) PRIMARY KEY,
    principal    CHAR(32) NOT NULL,
    created_at   BIGINT NOT NULL,
    ends_at      BIGINT NOT NULL,
    idle_ends_at BIGINT,  -- NULL = a login's JWT, which has none
    ended_at     BIGINT,
    version      BIGINT NOT NULL DEFAULT 1,
    changed_at   BIGINT NOT NULL,
    FOREIGN KEY (principal) REFERENCES principals (uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX sessions_principal ON sessions (principal, created_at);
CREATE INDEX sessions_changed ON sessions (changed_at);

CREATE TABLE refresh_tokens (
    hash       VARBINARY(32) PRIMARY KEY,  -- SHA-256 of the whole refresh token
    session    CHAR(32) NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT,
    FOREIGN KEY (session) REFERENCES sessions (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX refresh_tokens_session ON refresh_tokens (session);

-- What the token store must still be told. The row says which record; what it says is read when it is applied.
CREATE TABLE outbox (
    n       BIGINT AUTO_INCREMENT PRIMARY KEY,
    kind    VARCHAR(255) NOT NULL,  -- token | key | session | subject | policy
    id      CHAR(32) NOT NULL,
    at      BIGINT NOT NULL,
    done_at BIGINT
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX outbox_pending ON outbox (done_at, n);

CREATE TABLE audit (
    n      BIGINT AUTO_INCREMENT PRIMARY KEY,
    at     BIGINT NOT NULL,
    tenant CHAR(32),               -- whose; NULL = the installation's
    actor  VARCHAR(255) NOT NULL,  -- uid, `cli` or `system`
    action VARCHAR(255) NOT NULL,
    target TEXT NOT NULL,
    origin VARCHAR(255) NOT NULL,  -- the client's address
    result TEXT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX audit_tenant ON audit (tenant, n);

-- The codes that processes have printed for whoever founds the installation.
CREATE TABLE setup_codes (
    hash       VARBINARY(32) PRIMARY KEY,  -- SHA-256
    created_at BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Referrals. Who signs up with one joins the inviter's tenant below the inviter.
CREATE TABLE invitations (
    id         CHAR(32) PRIMARY KEY,
    tenant     CHAR(32) NOT NULL,
    inviter    CHAR(32) NOT NULL,
    role       VARCHAR(255) NOT NULL,
    scopes     TEXT NOT NULL,
    policies   TEXT NOT NULL,                  -- ids with one space between
    code       VARBINARY(32) NOT NULL UNIQUE,  -- SHA-256
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    used_by    CHAR(32),
    ended_at   BIGINT,
    FOREIGN KEY (tenant) REFERENCES tenants (id),
    FOREIGN KEY (inviter) REFERENCES principals (uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX invitations_inviter ON invitations (inviter, created_at);

-- One-time codes that were sent. Each is good for its own challenge only.
CREATE TABLE challenges (
    id         CHAR(32) PRIMARY KEY,
    name_kind  VARCHAR(255) NOT NULL,   -- email | phone
    name       VARCHAR(320) NOT NULL,
    code       VARBINARY(32) NOT NULL,  -- HMAC-SHA-256 under the installation's key
    tries      BIGINT NOT NULL DEFAULT 0,
    network    CHAR(32) NOT NULL,       -- who asked for it
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX challenges_network ON challenges (network, created_at);
CREATE INDEX challenges_name ON challenges (name_kind, name, created_at);
CREATE INDEX challenges_expires ON challenges (expires_at);

-- The e-mail and phone that a person says is theirs and has not proved yet. It blocks nobody.
CREATE TABLE pending_contacts (
    principal CHAR(32) NOT NULL,
    name_kind VARCHAR(16) NOT NULL,  -- email | phone
    name      VARCHAR(320) NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (principal, name_kind),
    FOREIGN KEY (principal) REFERENCES principals (uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX pending_contacts_name ON pending_contacts (name_kind, name);

-- E-mails and phones that were proved and then replaced: never given to anyone else.
CREATE TABLE former_contacts (
    name_kind VARCHAR(16) NOT NULL,  -- email | phone
    name      VARCHAR(320) NOT NULL,
    principal CHAR(32) NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (name_kind, name),
    FOREIGN KEY (principal) REFERENCES principals (uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who a person is at an OpenID provider (OpenID Connect Core §5.7: `iss` and `sub`, never the e-mail).
CREATE TABLE identities (
    issuer     VARCHAR(255) NOT NULL,
    subject    VARCHAR(255) NOT NULL,
    provider   VARCHAR(255) NOT NULL,
    principal  CHAR(32) NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject),
    FOREIGN KEY (principal) REFERENCES principals (uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX identities_principal ON identities (principal);

-- Logins under way at a provider. A row is deleted by its first use.
CREATE TABLE sign_ins (
    state      VARBINARY(32) PRIMARY KEY,  -- SHA-256 of `state`
    browser    VARBINARY(32) NOT NULL,     -- SHA-256 of the browser's cookie
    provider   VARCHAR(255) NOT NULL,
    nonce      VARCHAR(255) NOT NULL,
    verifier   VARCHAR(255) NOT NULL,      -- PKCE
    return_to  TEXT NOT NULL,
    invitation VARCHAR(255) NOT NULL,
    silent     BIGINT NOT NULL,            -- prompt=none
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX sign_ins_expires ON sign_ins (expires_at);

-- One-use codes that carry a browser's session to another host. A row is deleted by its first use.
CREATE TABLE host_codes (
    code       VARBINARY(32) PRIMARY KEY,  -- SHA-256
    session    CHAR(32) NOT NULL,
    host       VARCHAR(320) NOT NULL,
    return_to  TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    FOREIGN KEY (session) REFERENCES sessions (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX host_codes_expires ON host_codes (expires_at);
