-- A page of twenty lines from an open month, whose rows lie in the order of arrival, touched twenty
-- pages of the table. With what a line shows in the leaves of the primary key it touches one or two,
-- and the table not at all where vacuum has been. What the index grows by (about 80 bytes a row)
-- costs a COPY of the same rows some five in a hundred (docs/performance.md).

DO $$
DECLARE
    reference record;
    kept text[] := '{}';
BEGIN
    FOR reference IN
        SELECT conrelid::regclass AS from_table, conname, pg_get_constraintdef(oid) AS definition
          FROM pg_constraint
         WHERE contype = 'f' AND confrelid = 'charge_record'::regclass AND conparentid = 0
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', reference.from_table, reference.conname);
        kept := kept || format('ALTER TABLE %s ADD CONSTRAINT %I %s', reference.from_table,
                               reference.conname, reference.definition);
    END LOOP;
    ALTER TABLE charge_record DROP CONSTRAINT charge_record_pkey;
    ALTER TABLE charge_record ADD CONSTRAINT charge_record_pkey PRIMARY KEY (msisdn, charged_at, id)
        INCLUDE (received_at, service_id, kind, price_fen, due_fen, delivery, consent_id,
                 authorisation_id);
    FOR reference IN SELECT unnest(kept) AS again LOOP
        EXECUTE reference.again;
    END LOOP;
END
$$;

-- An index answers alone for pages that vacuum has seen: a month that only grows is vacuumed each time
-- two rows in a hundred are new, not twenty. Only the new pages are read then.
CREATE OR REPLACE FUNCTION make_month_partition(parent text, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
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
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                   child, parent, lower_edge, upper_edge);
    IF parent = 'charge_record' THEN
        EXECUTE format('ALTER TABLE %I SET (autovacuum_vacuum_insert_scale_factor = 0.02)', child);
    END IF;
    RETURN true;
END
$$;

DO $$
DECLARE
    child regclass;
BEGIN
    FOR child IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'charge_record'::regclass LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_vacuum_insert_scale_factor = 0.02)', child);
    END LOOP;
END
$$;
