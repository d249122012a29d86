-- Who asks to found the token store's next epoch, having known nothing of the one there is. A row goes when its epoch was founded, or is given up.
CREATE TABLE claims (
    epoch      TEXT COLLATE "C" PRIMARY KEY,  -- the epoch to come
    store      TEXT COLLATE "C" NOT NULL,     -- the token store of whoever asks, without its password
    refused_by TEXT COLLATE "C",              -- the token store of whoever holds the epoch there is; NULL = nobody has said so
    made_at    BIGINT NOT NULL
);
