-- What is agreed besides scopes, as JSON. NULL = nothing.
ALTER TABLE api_keys ADD COLUMN terms TEXT;
ALTER TABLE principals ADD COLUMN terms TEXT;
ALTER TABLE policies ADD COLUMN terms TEXT;
