-- Four doors that the foreign keys of charges had shut and 0164 left ajar, for an owner's hand: a charge
-- written straight into a month or one of its parts, which is how data are repaired; a consent taken away
-- just while a charge for it lands; a key that another trigger changed; and, the other way about, a key
-- set to what it was, which is no change. No charge that lands pays for it.

-- A statement's triggers are those of the table it names.
CREATE FUNCTION hold_to_what_is_cited(part regclass) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER charge_record_cites AFTER INSERT ON %s'
                   ' REFERENCING NEW TABLE AS added FOR EACH STATEMENT'
                   ' EXECUTE FUNCTION charges_cite_what_is_there()', part);
    EXECUTE format('CREATE TRIGGER charge_record_cites_still AFTER UPDATE ON %s'
                   ' REFERENCING NEW TABLE AS added FOR EACH STATEMENT'
                   ' EXECUTE FUNCTION charges_cite_what_is_there()', part);
END
$$;
REVOKE ALL ON FUNCTION hold_to_what_is_cited(regclass) FROM PUBLIC;
SELECT hold_to_what_is_cited(relid) FROM pg_partition_tree('charge_record') WHERE level > 0;

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
        PERFORM hold_to_what_is_cited(relid) FROM pg_partition_tree(to_regclass(child));
    ELSIF parent = 'authorisation' THEN
        EXECUTE format('ALTER TABLE %I SET (autovacuum_vacuum_insert_scale_factor = 0.02)', child);
    END IF;
    -- Indexes, keys and triggers for each row of the parent come with this.
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, child, lower_edge, upper_edge);
    RETURN true;
END
$$;

-- Whoever takes away waits for the charges that are just landing, sees them, and lets none in before
-- it is over. A transaction that sees one moment throughout would not see them.
CREATE OR REPLACE FUNCTION refuse_while_cited() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'what a charge may cite is taken from % under READ COMMITTED only',
            TG_TABLE_NAME USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    LOCK TABLE charge_record IN SHARE ROW EXCLUSIVE MODE;
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM FROM charge_record WHERE TG_TABLE_NAME = 'service' OR consent_id IS NOT NULL LIMIT 1;
    ELSIF TG_TABLE_NAME = 'consent' THEN
        PERFORM FROM charge_record
          WHERE msisdn = OLD.msisdn AND consent_id = OLD.subscription_id LIMIT 1;
    ELSE
        PERFORM FROM charge_record WHERE sp_id = OLD.sp_id AND service_id = OLD.id LIMIT 1;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION 'a charge cites what is to be taken from %', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'charge_record_cites',
                  TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

DROP TRIGGER consent_is_cited ON consent;
DROP TRIGGER service_is_cited ON service;
CREATE TRIGGER consent_is_cited AFTER DELETE ON consent
    FOR EACH ROW EXECUTE FUNCTION refuse_while_cited();
CREATE TRIGGER consent_is_cited_still AFTER UPDATE ON consent FOR EACH ROW
    WHEN (OLD.msisdn <> NEW.msisdn OR OLD.subscription_id <> NEW.subscription_id)
    EXECUTE FUNCTION refuse_while_cited();
CREATE TRIGGER service_is_cited AFTER DELETE ON service
    FOR EACH ROW EXECUTE FUNCTION refuse_while_cited();
CREATE TRIGGER service_is_cited_still AFTER UPDATE ON service FOR EACH ROW
    WHEN (OLD.id <> NEW.id OR OLD.sp_id <> NEW.sp_id) EXECUTE FUNCTION refuse_while_cited();
