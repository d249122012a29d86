-- Who asks to found the token store's next epoch, having known nothing of the one there is. A row goes when its epoch was founded, or is given up.
CREATE TABLE claims (
    epoch      CHAR(32) PRIMARY KEY,  -- the epoch to come
    store      TEXT NOT NULL,         -- the token store of whoever asks, without its password
    refused_by TEXT,                  -- the token store of whoever holds the epoch there is; NULL = nobody has said so
    made_at    BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
