-- How often each key was let through and refused. Rows stay when the key has ended.
CREATE TABLE usage_hours (
    key_id   TEXT NOT NULL,
    began_at INTEGER NOT NULL,  -- the hour
    rule     TEXT NOT NULL,  -- its id, which a reload does not change
    allowed  INTEGER NOT NULL,
    refused  INTEGER NOT NULL,
    limited  INTEGER NOT NULL,  -- refused because there were too many
    PRIMARY KEY (key_id, began_at, rule)
) STRICT;
CREATE INDEX usage_hours_began ON usage_hours (began_at);

-- The number of the last portion that each process has added: none is added twice.
CREATE TABLE usage_writers (
    process TEXT PRIMARY KEY,
    written INTEGER NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
