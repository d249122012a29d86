-- What `gatepost apply` made, under the name that the files give it: it changes and ends nothing else.
CREATE TABLE declared (
    kind TEXT COLLATE "C" NOT NULL,         -- tenant | policy | principal | key
    name TEXT COLLATE "C" NOT NULL,
    id   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, name)
);
