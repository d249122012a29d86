-- Which import brought a key that was made elsewhere: imports are counted from 1. NULL = made here.
ALTER TABLE api_keys ADD COLUMN imported BIGINT;
CREATE INDEX keys_imported ON api_keys (imported);
