-- What was told of which key: nothing is told twice.
CREATE TABLE key_notices (
    key_id CHAR(32) NOT NULL,
    told   VARCHAR(64) NOT NULL,  -- expiring-30, expiring-7, expiring-1, unused, ended
    at     BIGINT NOT NULL,
    PRIMARY KEY (key_id, told)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What is on its way. A row goes when it was taken, or is given up.
CREATE TABLE deliveries (
    event   CHAR(32) NOT NULL,
    target  VARCHAR(64) NOT NULL,  -- mail, or SHA-256 of a webhook's address, hex
    body    TEXT NOT NULL,  -- JSON
    due_at  BIGINT NOT NULL,  -- when it is tried next; who tries moves it on first
    tries   BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (event, target)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX deliveries_due ON deliveries (due_at);

CREATE INDEX keys_expires ON api_keys (expires_at);
CREATE INDEX keys_created ON api_keys (created_at);
