-- When a month's charges were last read through and found to be what was counted, and what the tables
-- looked like then. While they look the same there is nothing to read again.
CREATE TABLE settlement_recount (
    month date PRIMARY KEY,
    seen text NOT NULL,             -- a hash, taken before the charges were read
    read_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE (seen, read_at) ON settlement_recount TO spms_app;
