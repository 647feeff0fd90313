-- A month is sealed part by part, each in a transaction of its own: what is on disk twice, and what
-- waits meanwhile, is one part; what is interrupted goes on with the part that was not finished.
-- Which parts are written anew the catalogue knows by itself: CLUSTER marks their index.

DROP FUNCTION seal_charge_month(date, timestamptz);

-- Closes the month at the first call, writes one part anew at each further one; false: nothing is left.
-- It reads the part once and sorts it, never row by row along the index: a part larger than memory
-- would be read from disk a page for each row.
CREATE FUNCTION seal_charge_part(wanted date, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET enable_indexscan = off SET maintenance_work_mem = '256MB' AS $$
DECLARE
    child text := 'charge_record_' || to_char(wanted, 'YYYYMM');
    part record;
BEGIN
    IF (date_trunc('month', wanted::timestamp) + interval '1 month') AT TIME ZONE 'Asia/Shanghai'
       > at - interval '3 days' THEN
        RAISE EXCEPTION 'the month % is not over', wanted;
    END IF;
    IF to_regclass(child) IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO charge_month (month, sealed_at) VALUES (date_trunc('month', wanted), at)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (false) NOT VALID',
                       child, child || '_sealed');
        RETURN true;
    END IF;
    SELECT i.indrelid::regclass AS rows, k.relname AS key INTO part
      FROM pg_partition_tree(to_regclass(child)) p
      JOIN pg_index i ON i.indrelid = p.relid AND i.indisprimary AND NOT i.indisclustered
      JOIN pg_class k ON k.oid = i.indexrelid
     WHERE p.isleaf ORDER BY i.indrelid LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('CLUSTER %s USING %I', part.rows, part.key);
    EXECUTE format('ANALYZE %s', part.rows);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION seal_charge_part(date, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION seal_charge_part(date, timestamptz) TO spms_app;
