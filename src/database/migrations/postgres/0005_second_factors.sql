-- The secret of a person's authenticator app; sealed, since whoever has it makes its codes.
CREATE TABLE second_factors (
    principal    TEXT COLLATE "C" PRIMARY KEY REFERENCES principals (uid),
    sealed       BYTEA NOT NULL,               -- nonce and ChaCha20-Poly1305 under a key derived from the secret key
    created_at   BIGINT NOT NULL,
    confirmed_at BIGINT,                       -- since when it counts; NULL = it is being set up
    last_step    BIGINT NOT NULL               -- the last step whose code was taken: none is taken twice
);

-- Codes that stand in for it, each once.
CREATE TABLE recovery_codes (
    code       BYTEA PRIMARY KEY,              -- SHA-256
    principal  TEXT COLLATE "C" NOT NULL REFERENCES principals (uid),
    created_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX recovery_codes_principal ON recovery_codes (principal);
