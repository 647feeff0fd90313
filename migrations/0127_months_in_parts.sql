-- A month of charge records lies in eight parts by number. Rows of an open month lie in the order of
-- arrival, so that a page of a bill met one page of the visibility map for each 1.2 million rows of the
-- month; now for each 1.2 million of its part. A part is also what is sealed at once: a month is never
-- on disk twice. Whatever asks for one number meets one part; months that have rows stay as they are.

CREATE OR REPLACE FUNCTION make_month_partition(parent text, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parts CONSTANT integer := 8;
    lower_edge timestamptz := (date_trunc('month', month::timestamp)) AT TIME ZONE 'Asia/Shanghai';
    upper_edge timestamptz := (date_trunc('month', month::timestamp) + interval '1 month')
        AT TIME ZONE 'Asia/Shanghai';
    child text := parent || '_' || to_char(month, 'YYYYMM');
BEGIN
    IF parent NOT IN ('message_in', 'message_out', 'authorisation', 'decision_pack',
                      'charge_record') THEN
        RAISE EXCEPTION 'not a table with month partitions: %', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_month_partition'));
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    IF parent <> 'charge_record' THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                       child, parent, lower_edge, upper_edge);
        RETURN true;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)'
                   ' PARTITION BY HASH (msisdn)', child, parent, lower_edge, upper_edge);
    FOR part IN 0 .. parts - 1 LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS %s, REMAINDER %s)'
                       ' WITH (autovacuum_vacuum_insert_scale_factor = 0.02)',
                       child || '_' || part, child, parts, part);
    END LOOP;
    RETURN true;
END
$$;

-- Months made ahead that have no row yet are made again, in parts.
DO $$
DECLARE
    child record;
    used boolean;
BEGIN
    FOR child IN
        SELECT c.oid::regclass AS name, to_date(right(c.relname, 6), 'YYYYMM') AS month
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'charge_record'::regclass AND c.relkind = 'r'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', child.name) INTO used;
        CONTINUE WHEN used OR EXISTS (SELECT FROM charge_month m WHERE m.month = child.month);
        EXECUTE format('ALTER TABLE charge_record DETACH PARTITION %s', child.name);
        EXECUTE format('DROP TABLE %s', child.name);
        PERFORM make_month_partition('charge_record', child.month);
    END LOOP;
END
$$;
