-- What is denied though another issuer would let it in. `id` is a hash over issuer, kind and value.
CREATE TABLE denials (
    id         TEXT PRIMARY KEY,
    bucket     TEXT NOT NULL,       -- some bits of the id
    issuer     TEXT NOT NULL,       -- the `iss` of the tokens
    kind       TEXT NOT NULL,       -- jti | sub
    value      TEXT NOT NULL,
    until_at   INTEGER,             -- NULL = until it is lifted
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX denials_bucket ON denials (bucket);
CREATE INDEX denials_issuer ON denials (issuer, created_at);

-- A bucket is a record of the token store. One that has no row holds nothing and is of version 1.
CREATE TABLE denial_buckets (
    id         TEXT PRIMARY KEY,
    version    INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX denial_buckets_changed ON denial_buckets (changed_at);
