-- Names that are words of no engine: `user`, `key` and `keys` are in PostgreSQL or MySQL.
ALTER TABLE keys RENAME TO api_keys;
ALTER TABLE principals RENAME COLUMN user TO user_name;
ALTER TABLE key_secrets RENAME COLUMN key TO key_id;
ALTER TABLE tokens RENAME COLUMN key TO key_id;

-- Whose embedded token store serves, or served last; NULL = it stopped cleanly.
ALTER TABLE installation ADD COLUMN served_by TEXT;

-- The codes that processes have printed for whoever founds the installation.
CREATE TABLE setup_codes (
    hash       BLOB PRIMARY KEY,            -- SHA-256
    created_at INTEGER NOT NULL
) STRICT;

-- argon2id of a self-chosen refresh key, PHC string.
ALTER TABLE principals ADD COLUMN refresh_key TEXT;
CREATE INDEX principals_tenant ON principals (tenant, created_at);
CREATE INDEX principals_parent ON principals (parent, created_at);

-- A browser's session ends when it is idle; a login's JWT has no idle end.
ALTER TABLE sessions ADD COLUMN idle_ends_at INTEGER;

-- Whose tenant an entry belongs to; NULL = the installation's.
ALTER TABLE audit ADD COLUMN tenant TEXT;
CREATE INDEX audit_tenant ON audit (tenant, n);

-- `source`: who attached it: empty = an admin, else the issuer whose claim grants it at each login.
CREATE TABLE attached (
    principal TEXT NOT NULL REFERENCES principals (uid),
    policy    TEXT NOT NULL REFERENCES policies (id),
    source    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (principal, policy, source)
) STRICT;
INSERT INTO attached (principal, policy) SELECT principal, policy FROM principal_policies;
DROP TABLE principal_policies;
ALTER TABLE attached RENAME TO principal_policies;
CREATE INDEX principal_policies_policy ON principal_policies (policy);

-- Referrals. Who signs up with one joins the inviter's tenant below the inviter.
CREATE TABLE invitations (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL REFERENCES tenants (id),
    inviter    TEXT NOT NULL REFERENCES principals (uid),
    role       TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    policies   TEXT NOT NULL,               -- ids with one space between
    code       BLOB NOT NULL UNIQUE,        -- SHA-256
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    used_by    TEXT,
    ended_at   INTEGER
) STRICT;
CREATE INDEX invitations_inviter ON invitations (inviter, created_at);

-- One-time codes that were sent. Each is good for its own challenge only.
CREATE TABLE challenges (
    id         TEXT PRIMARY KEY,
    name_kind  TEXT NOT NULL,               -- email | phone
    name       TEXT NOT NULL,
    code       BLOB NOT NULL,               -- HMAC-SHA-256 under the installation's key
    tries      INTEGER NOT NULL DEFAULT 0,
    network    TEXT NOT NULL,               -- who asked for it
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT;
CREATE INDEX challenges_network ON challenges (network, created_at);
CREATE INDEX challenges_name ON challenges (name_kind, name, created_at);
CREATE INDEX challenges_expires ON challenges (expires_at);

-- The e-mail and phone that a person says is theirs and has not proved yet. It blocks nobody.
CREATE TABLE pending_contacts (
    principal TEXT NOT NULL REFERENCES principals (uid),
    name_kind TEXT NOT NULL,                -- email | phone
    name      TEXT NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (principal, name_kind)
) STRICT;
CREATE INDEX pending_contacts_name ON pending_contacts (name_kind, name);

-- E-mails and phones that were proved and then replaced: never given to anyone else.
CREATE TABLE former_contacts (
    name_kind TEXT NOT NULL,                -- email | phone
    name      TEXT NOT NULL,
    principal TEXT NOT NULL REFERENCES principals (uid),
    at        INTEGER NOT NULL,
    PRIMARY KEY (name_kind, name)
) STRICT;

-- Who a person is at an OpenID provider (OpenID Connect Core §5.7: `iss` and `sub`, never the e-mail).
CREATE TABLE identities (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    provider   TEXT NOT NULL,
    principal  TEXT NOT NULL REFERENCES principals (uid),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT;
CREATE INDEX identities_principal ON identities (principal);

-- Logins under way at a provider. A row is deleted by its first use.
CREATE TABLE sign_ins (
    state      BLOB PRIMARY KEY,            -- SHA-256 of `state`
    browser    BLOB NOT NULL,               -- SHA-256 of the browser's cookie
    provider   TEXT NOT NULL,
    nonce      TEXT NOT NULL,
    verifier   TEXT NOT NULL,               -- PKCE
    return_to  TEXT NOT NULL,
    invitation TEXT NOT NULL,
    silent     INTEGER NOT NULL,            -- prompt=none
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_ins_expires ON sign_ins (expires_at);

-- One-use codes that carry a browser's session to another host. A row is deleted by its first use.
CREATE TABLE host_codes (
    code       BLOB PRIMARY KEY,            -- SHA-256
    session    TEXT NOT NULL REFERENCES sessions (id),
    host       TEXT NOT NULL,
    return_to  TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX host_codes_expires ON host_codes (expires_at);
