-- Processes that may hold leases of the token store in Redis, and for how long (COHERENCE §3 STRICT).
CREATE TABLE replicas (
    id        TEXT COLLATE "C" PRIMARY KEY,
    bound_ms  BIGINT NOT NULL,              -- its staleness bound
    cached_ms BIGINT NOT NULL,              -- its longest allow_cached_for
    listings  BIGINT NOT NULL               -- how often it has listed itself
);
