-- Processes that may hold leases of the token store in Redis, and for how long (COHERENCE §3 STRICT).
CREATE TABLE replicas (
    id        CHAR(32) PRIMARY KEY,
    bound_ms  BIGINT NOT NULL,              -- its staleness bound
    cached_ms BIGINT NOT NULL,              -- its longest allow_cached_for
    listings  BIGINT NOT NULL               -- how often it has listed itself
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
