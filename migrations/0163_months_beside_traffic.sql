-- A month's table is made by itself and attached: that waits for nobody who reads or writes, and nobody
-- waits for it. Made as a part of its parent at once it shut everybody out of the parent, behind the
-- longest look at it there was just then, and two jobs that looked at several parents could each hold
-- what the other waited for.
CREATE OR REPLACE FUNCTION make_month_partition(parent text, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parts CONSTANT integer := 8;
    lower_edge timestamptz := (date_trunc('month', month::timestamp)) AT TIME ZONE 'Asia/Shanghai';
    upper_edge timestamptz := (date_trunc('month', month::timestamp) + interval '1 month')
        AT TIME ZONE 'Asia/Shanghai';
    child text := parent || '_' || to_char(month, 'YYYYMM');
    by_number text := '';
BEGIN
    IF parent NOT IN ('message_in', 'message_out', 'authorisation', 'decision_pack',
                      'charge_record') THEN
        RAISE EXCEPTION 'not a table with month partitions: %', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_month_partition'));
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    IF parent = 'charge_record' THEN
        by_number := ' PARTITION BY HASH (msisdn)';
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING GENERATED'
                   ' INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION)%s',
                   child, parent, by_number);
    IF by_number <> '' THEN
        FOR part IN 0 .. parts - 1 LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I'
                           ' FOR VALUES WITH (MODULUS %s, REMAINDER %s)'
                           ' WITH (autovacuum_vacuum_insert_scale_factor = 0.02)',
                           child || '_' || part, child, parts, part);
        END LOOP;
    END IF;
    -- Indexes, keys and triggers of the parent come with this.
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, child, lower_edge, upper_edge);
    RETURN true;
END
$$;
