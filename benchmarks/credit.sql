\set aid random(1, 500000)
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
