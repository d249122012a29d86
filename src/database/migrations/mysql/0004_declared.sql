-- What `gatepost apply` made, under the name that the files give it: it changes and ends nothing else.
CREATE TABLE declared (
    kind VARCHAR(16) NOT NULL,              -- tenant | policy | principal | key
    name VARCHAR(320) NOT NULL,
    id   CHAR(32) NOT NULL,
    PRIMARY KEY (kind, name)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
