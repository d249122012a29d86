-- Live tokens that came with a copy of another database and that the token store in Redis has not been given yet.
CREATE TABLE arrivals (
    token CHAR(32) PRIMARY KEY
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
