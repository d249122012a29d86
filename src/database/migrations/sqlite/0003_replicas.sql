-- Processes that may hold leases of the token store in Redis, and for how long (COHERENCE §3 STRICT).
CREATE TABLE replicas (
    id        TEXT PRIMARY KEY,
    bound_ms  INTEGER NOT NULL,             -- its staleness bound
    cached_ms INTEGER NOT NULL,             -- its longest allow_cached_for
    listings  INTEGER NOT NULL              -- how often it has listed itself
) STRICT;
