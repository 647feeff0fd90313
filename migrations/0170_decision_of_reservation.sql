-- A reservation is a decision that is on record. As a foreign key that was looked up and locked row by
-- row, a tenth of what it costs to decide and reserve; it is seen a statement at a time now, as what a
-- charge cites is (docs/decisions/0012). Its id being the decision's, it is found by the decision's index.

-- In the order in which a round of decisions takes them.
LOCK TABLE reservation, authorisation IN ACCESS EXCLUSIVE MODE;

CREATE FUNCTION reservations_have_decisions() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM added r
                WHERE NOT EXISTS (SELECT FROM authorisation a
                                   WHERE a.msisdn = r.msisdn AND a.decided_at = r.reserved_at
                                     AND a.id = r.id OFFSET 0)) THEN
        RAISE EXCEPTION 'a reservation is a recorded decision of its number'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'reservation_decision';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER reservation_decision AFTER INSERT ON reservation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION reservations_have_decisions();

-- Closing one changes none of its names.
CREATE FUNCTION reservation_is_renamed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a reservation stays the one of its decision'
        USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'reservation_decision';
END
$$;
CREATE TRIGGER reservation_decision_still AFTER UPDATE ON reservation FOR EACH ROW
    WHEN (OLD.msisdn <> NEW.msisdn OR OLD.reserved_at <> NEW.reserved_at OR OLD.id <> NEW.id)
    EXECUTE FUNCTION reservation_is_renamed();

-- Whoever takes a decision away waits for the reservations that are just made, and sees them.
CREATE FUNCTION refuse_while_reserved() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET search_path = public, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'a decision is taken from % under READ COMMITTED only', TG_TABLE_NAME
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    LOCK TABLE reservation IN SHARE ROW EXCLUSIVE MODE;
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM FROM reservation LIMIT 1;
    ELSE
        PERFORM FROM reservation
          WHERE msisdn = OLD.msisdn AND id = OLD.id AND reserved_at = OLD.decided_at LIMIT 1;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION 'a reservation rests on what is to be taken from %', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'reservation_decision',
                  TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER authorisation_is_reserved AFTER DELETE ON authorisation
    FOR EACH ROW EXECUTE FUNCTION refuse_while_reserved();
CREATE TRIGGER authorisation_is_reserved_still AFTER UPDATE ON authorisation FOR EACH ROW
    WHEN (OLD.msisdn <> NEW.msisdn OR OLD.decided_at <> NEW.decided_at OR OLD.id <> NEW.id)
    EXECUTE FUNCTION refuse_while_reserved();

-- A statement's triggers are those of the table it names: each month has its own.
CREATE FUNCTION hold_to_what_is_reserved(part regclass) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER authorisations_are_reserved BEFORE TRUNCATE ON %s'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_while_reserved()', part);
END
$$;
REVOKE ALL ON FUNCTION hold_to_what_is_reserved(regclass) FROM PUBLIC;
SELECT hold_to_what_is_reserved(relid) FROM pg_partition_tree('authorisation');

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
        PERFORM hold_to_what_is_reserved(to_regclass(child));
    END IF;
    -- Indexes, keys and triggers for each row of the parent come with this.
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, child, lower_edge, upper_edge);
    RETURN true;
END
$$;

ALTER TABLE reservation DROP CONSTRAINT reservation_decision;
DROP INDEX reservation_id;
