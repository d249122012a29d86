-- What was told of which key: nothing is told twice.
CREATE TABLE key_notices (
    key_id TEXT NOT NULL,
    told   TEXT NOT NULL,  -- expiring-30, expiring-7, expiring-1, unused, ended
    at     INTEGER NOT NULL,
    PRIMARY KEY (key_id, told)
) STRICT;

-- What is on its way. A row goes when it was taken, or is given up.
CREATE TABLE deliveries (
    event   TEXT NOT NULL,
    target  TEXT NOT NULL,  -- mail, or SHA-256 of a webhook's address, hex
    body    TEXT NOT NULL,  -- JSON
    due_at  INTEGER NOT NULL,  -- when it is tried next; who tries moves it on first
    tries   INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (event, target)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due_at);

CREATE INDEX keys_expires ON api_keys (expires_at);
CREATE INDEX keys_created ON api_keys (created_at);
