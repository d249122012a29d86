-- How often each key was let through and refused. Rows stay when the key has ended.
CREATE TABLE usage_hours (
    key_id   CHAR(32) NOT NULL,
    began_at BIGINT NOT NULL,  -- the hour
    rule     VARCHAR(128) NOT NULL,  -- its id, which a reload does not change
    allowed  BIGINT NOT NULL,
    refused  BIGINT NOT NULL,
    limited  BIGINT NOT NULL,  -- refused because there were too many
    PRIMARY KEY (key_id, began_at, rule)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX usage_hours_began ON usage_hours (began_at);

-- The number of the last portion that each process has added: none is added twice.
CREATE TABLE usage_writers (
    process CHAR(32) PRIMARY KEY,
    written BIGINT NOT NULL,
    at      BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
