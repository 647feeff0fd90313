-- What the audit asks of a number's relations and decisions stands in the leaves of the indexes by
-- which it looks them up: for each charge that lands, two pages of the tables less to be read, and of
-- a million numbers' month those pages are more than the memory holds. (0101 did so for the bill.)

DROP INDEX subscription_history;
CREATE INDEX subscription_history ON subscription (msisdn, service_id, active_from DESC)
    INCLUDE (id, epoch, price_fen, tariff_id, ended_at, end_reason, charge_from, free_until,
             consented_id);

ALTER TABLE reservation DROP CONSTRAINT reservation_decision;
ALTER TABLE authorisation DROP CONSTRAINT authorisation_pkey;
ALTER TABLE authorisation ADD CONSTRAINT authorisation_pkey PRIMARY KEY (msisdn, decided_at, id)
    INCLUDE (service_id, purpose, allowed);
ALTER TABLE reservation ADD CONSTRAINT reservation_decision
    FOREIGN KEY (msisdn, reserved_at, id) REFERENCES authorisation (msisdn, decided_at, id);

-- An index answers alone for pages that vacuum has seen. A month of decisions only grows, as one of
-- charges does; relations change seldom once they run.
ALTER TABLE subscription SET (autovacuum_vacuum_insert_scale_factor = 0.02,
                              autovacuum_vacuum_scale_factor = 0.02);
DO $$
DECLARE
    child regclass;
BEGIN
    FOR child IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'authorisation'::regclass LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_vacuum_insert_scale_factor = 0.02)', child);
    END LOOP;
END
$$;
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
    ELSIF parent = 'authorisation' THEN
        EXECUTE format('ALTER TABLE %I SET (autovacuum_vacuum_insert_scale_factor = 0.02)', child);
    END IF;
    -- Indexes, keys and triggers of the parent come with this.
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, child, lower_edge, upper_edge);
    RETURN true;
END
$$;
