-- What `gatepost apply` made, under the name that the files give it: it changes and ends nothing else.
CREATE TABLE declared (
    kind TEXT NOT NULL,                     -- tenant | policy | principal | key
    name TEXT NOT NULL,
    id   TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT;
