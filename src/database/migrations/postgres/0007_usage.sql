-- How often each key was let through and refused. Rows stay when the key has ended.
CREATE TABLE usage_hours (
    key_id   TEXT COLLATE "C" NOT NULL,
    began_at BIGINT NOT NULL,  -- the hour
    rule     TEXT COLLATE "C" NOT NULL,  -- its id, which a reload does not change
    allowed  BIGINT NOT NULL,
    refused  BIGINT NOT NULL,
    limited  BIGINT NOT NULL,  -- refused because there were too many
    PRIMARY KEY (key_id, began_at, rule)
);
CREATE INDEX usage_hours_began ON usage_hours (began_at);

-- The number of the last portion that each process has added: none is added twice.
CREATE TABLE usage_writers (
    process TEXT COLLATE "C" PRIMARY KEY,
    written BIGINT NOT NULL,
    at      BIGINT NOT NULL
);
