-- Decisions about messages, all of one SP's round in one row. Nobody's money hangs on them, and no
-- room looks for one by its number, so that a row with its keys for each would cost more than the
-- decision. They are read by id (the pack's, with the place in it as its last 16 bits) and by SP.
-- Decisions about charges stay rows of their own in `authorisation`.

CREATE TABLE decision_pack (
    sp_id uuid NOT NULL,
    id uuid NOT NULL,               -- of the first decision in it
    decided_at timestamptz NOT NULL,
    decisions integer NOT NULL CONSTRAINT decision_pack_size CHECK (decisions BETWEEN 1 AND 65536),
    numbers text COLLATE "C" NOT NULL,  -- that were asked about, in order, with commas between
    denied integer[] NOT NULL,      -- the places, from 1, of those that were denied
    -- MessagePack, read by spms.authorisation.packs: questions, answers, and all they rest on.
    body bytea NOT NULL,
    requested_by text NOT NULL,
    CONSTRAINT decision_pack_numbers CHECK (length(numbers) = 14 * decisions - 1),
    CONSTRAINT decision_pack_denied CHECK (cardinality(denied) <= decisions),
    PRIMARY KEY (sp_id, id, decided_at)
) PARTITION BY RANGE (decided_at);
-- Ids grow with time, and so does the table: where one is, is known without an entry for each.
CREATE INDEX decision_pack_id ON decision_pack USING brin (id)
    WITH (pages_per_range = 16, autosummarize = on);
-- To compress costs more than to write.
ALTER TABLE decision_pack ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE decision_pack ALTER COLUMN numbers SET STORAGE EXTERNAL;
GRANT SELECT, INSERT ON decision_pack TO spms_app;

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
    RETURN true;
END
$$;
-- Every month that has a partition of the one needs one of the other.
DO $$
DECLARE
    child text;
BEGIN
    FOR child IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                  WHERE i.inhparent = 'authorisation'::regclass LOOP
        PERFORM make_month_partition('decision_pack', to_date(right(child, 6), 'YYYYMM'));
    END LOOP;
END $$;
