-- The secret of a person's authenticator app; sealed, since whoever has it makes its codes.
CREATE TABLE second_factors (
    principal    TEXT PRIMARY KEY REFERENCES principals (uid),
    sealed       BLOB NOT NULL,                -- nonce and ChaCha20-Poly1305 under a key derived from the secret key
    created_at   INTEGER NOT NULL,
    confirmed_at INTEGER,                      -- since when it counts; NULL = it is being set up
    last_step    INTEGER NOT NULL              -- the last step whose code was taken: none is taken twice
) STRICT;

-- Codes that stand in for it, each once.
CREATE TABLE recovery_codes (
    code       BLOB PRIMARY KEY,               -- SHA-256
    principal  TEXT NOT NULL REFERENCES principals (uid),
    created_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT;
CREATE INDEX recovery_codes_principal ON recovery_codes (principal);
