-- How much of a quota was leased in a day or month.
CREATE TABLE quotas (
    who      TEXT NOT NULL,                 -- key, principal or tenant
    limit_of TEXT NOT NULL,                 -- key, policy or rule that limits
    begins   INTEGER NOT NULL,              -- the day or month, Unix ms
    used     INTEGER NOT NULL,
    PRIMARY KEY (who, limit_of, begins)
) STRICT;
