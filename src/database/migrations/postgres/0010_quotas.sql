-- How much of a quota was leased in a day or month.
CREATE TABLE quotas (
    who      TEXT COLLATE "C" NOT NULL,     -- key, principal or tenant
    limit_of TEXT COLLATE "C" NOT NULL,     -- key, policy or rule that limits
    begins   BIGINT NOT NULL,               -- the day or month, Unix ms
    used     BIGINT NOT NULL,
    PRIMARY KEY (who, limit_of, begins)
);
