-- The deciding engine: a mark that says whether what it remembers of SPs and services still holds,
-- the month's spending of a number as one row, and charges held until they are captured.

-- A new mark with every commit that changes what a decision rests on besides the number itself. It
-- is read in the deciding statement, so that no decision rests on what is no longer so.
CREATE TABLE standing_mark (
    one boolean PRIMARY KEY DEFAULT true CONSTRAINT standing_mark_one CHECK (one),
    mark uuid NOT NULL
);
INSERT INTO standing_mark (mark) VALUES (gen_random_uuid());
GRANT SELECT ON standing_mark TO spms_app;

-- Deferred: the row is locked last and for the length of the commit, so that two who change the
-- catalogue never wait for each other crosswise. Once for each transaction.
CREATE FUNCTION mark_standing() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public AS $$
BEGIN
    IF current_setting('spms.standing_marked', true)
       IS DISTINCT FROM pg_current_xact_id()::text THEN
        PERFORM set_config('spms.standing_marked', pg_current_xact_id()::text, true);
        UPDATE standing_mark SET mark = gen_random_uuid();
    END IF;
    RETURN NULL;
END $$;
DO $$
DECLARE
    named text;
BEGIN
    FOREACH named IN ARRAY ARRAY['sp', 'sp_event', 'restriction', 'access_number', 'service',
                                 'service_event', 'tariff', 'notice', 'rulebook'] LOOP
        EXECUTE format(
            'CREATE CONSTRAINT TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %I
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mark_standing()',
            named || '_mark', named);
    END LOOP;
END $$;

-- What a number's month has come to. A decision that would add to it names the turn it has read:
-- of any number of decisions that read the same turn one is written, the others decide again.
CREATE TABLE month_spend (
    msisdn text COLLATE "C" NOT NULL,
    month date NOT NULL,            -- first day of the business month
    total_fen bigint NOT NULL CONSTRAINT month_spend_not_negative CHECK (total_fen >= 0),
    by_service jsonb NOT NULL,      -- service id: fen
    turn bigint NOT NULL,
    PRIMARY KEY (msisdn, month)
) WITH (fillfactor = 70);
GRANT SELECT, INSERT ON month_spend TO spms_app;
GRANT UPDATE (total_fen, by_service, turn) ON month_spend TO spms_app;
INSERT INTO month_spend (msisdn, month, total_fen, by_service, turn)
SELECT msisdn, month, sum(fen), jsonb_object_agg(service_id, fen), 1
  FROM (SELECT msisdn, date_trunc('month', decided_at AT TIME ZONE 'Asia/Shanghai')::date AS month,
               service_id, sum(price_fen) AS fen
          FROM authorisation WHERE allowed AND purpose = 'charge' GROUP BY 1, 2, 3) spent
 GROUP BY msisdn, month;

-- A charge that is decided and held (预占): it counts towards the caps until it is let go.
CREATE TABLE reservation (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,               -- of the decision
    reserved_at timestamptz NOT NULL,
    sp_id uuid NOT NULL,
    service_id uuid NOT NULL,
    reference text NOT NULL,        -- the SP's own: the same one again is the same reservation
    price_fen bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    state text NOT NULL CONSTRAINT reservation_state
        CHECK (state IN ('reserved', 'captured', 'released', 'expired')),
    closed_at timestamptz,
    closed_by text,
    CONSTRAINT reservation_closed
        CHECK ((state = 'reserved') = (closed_at IS NULL)
               AND (closed_at IS NULL) = (closed_by IS NULL)),
    CONSTRAINT reservation_ends CHECK (expires_at > reserved_at),
    -- What was not captured in time cannot be captured any more.
    CONSTRAINT reservation_captured_in_time CHECK (state <> 'captured' OR closed_at < expires_at),
    PRIMARY KEY (msisdn, id)
);
CREATE UNIQUE INDEX reservation_reference ON reservation (msisdn, sp_id, reference);
CREATE INDEX reservation_id ON reservation (id);
CREATE INDEX reservation_due ON reservation (expires_at) WHERE state = 'reserved';
GRANT SELECT, INSERT ON reservation TO spms_app;
GRANT UPDATE (state, closed_at, closed_by) ON reservation TO spms_app;
