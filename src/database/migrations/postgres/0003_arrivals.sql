-- Live tokens that came with a copy of another database and that the token store in Redis has not been given yet.
CREATE TABLE arrivals (
    token TEXT COLLATE "C" PRIMARY KEY
);
