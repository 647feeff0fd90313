-- A month is written anew by reading it once and sorting it, never row by row along the index: a month
-- larger than memory would be read from disk a page for each row.
ALTER FUNCTION seal_charge_month(date, timestamptz) SET enable_indexscan = off;
ALTER FUNCTION seal_charge_month(date, timestamptz) SET maintenance_work_mem = '256MB';
