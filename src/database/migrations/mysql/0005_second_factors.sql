-- The secret of a person's authenticator app; sealed, since whoever has it makes its codes.
CREATE TABLE second_factors (
    principal    CHAR(32) PRIMARY KEY,
    sealed       VARBINARY(255) NOT NULL,      -- nonce and ChaCha20-Poly1305 under a key derived from the secret key
    created_at   BIGINT NOT NULL,
    confirmed_at BIGINT,                       -- since when it counts; NULL = it is being set up
    last_step    BIGINT NOT NULL,              -- the last step whose code was taken: none is taken twice
    FOREIGN KEY (principal) REFERENCES principals (uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Codes that stand in for it, each once.
CREATE TABLE recovery_codes (
    code       VARBINARY(32) PRIMARY KEY,      -- SHA-256
    principal  CHAR(32) NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT,
    FOREIGN KEY (principal) REFERENCES principals (uid)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
