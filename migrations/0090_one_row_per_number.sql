-- What a decision rests on about a number, as one row: its events, what it has or is asked to
-- confirm, what its holder bars and caps. Nobody writes it but the database, in the transaction that
-- changes any of it, so that the deciding statement finds everything with one look.

CREATE TABLE number_standing (
    msisdn text COLLATE "C" PRIMARY KEY,
    -- JSON, read by spms.authorisation.number; instants are microseconds since 1970.
    body text NOT NULL
) WITH (fillfactor = 80);
GRANT SELECT ON number_standing TO spms_app;

CREATE FUNCTION microseconds(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (extract(epoch FROM at) * 1000000)::bigint;

-- What each row has to say. A relation that has ended is over, whatever instant its end carries; so
-- is a bar that was lifted.
CREATE VIEW number_standing_due AS
    SELECT k.msisdn, json_build_array(
        (SELECT COALESCE(json_agg(json_build_array(microseconds(effective_at),
                    microseconds(recorded_at), state_after, epoch_after, id)
                    ORDER BY effective_at DESC), '[]')
           FROM number_event e WHERE e.msisdn = k.msisdn),
        (SELECT COALESCE(json_agg(json_build_array(x.service_id, x.id, x.kind, x.epoch,
                    x.price_fen, microseconds(COALESCE(x.request_received_at, x.requested_at)),
                    microseconds(x.requested_at), microseconds(x.confirm_by),
                    microseconds(x.active_from), microseconds(x.charge_from),
                    microseconds(x.free_until), x.link_id, c.kind, c.price_fen)
                    ORDER BY x.active_from NULLS LAST, x.id), '[]')
           FROM subscription x
           LEFT JOIN consent c ON c.msisdn = x.msisdn AND c.subscription_id = x.id
          WHERE x.msisdn = k.msisdn AND x.ended_at IS NULL),
        (SELECT COALESCE(json_agg(json_build_array(epoch, id, scope, target,
                    microseconds(starts_at)) ORDER BY starts_at, id), '[]')
           FROM number_bar b WHERE b.msisdn = k.msisdn AND b.ends_at IS NULL),
        (SELECT COALESCE(json_agg(json_build_array(epoch, scope, service_id, limit_fen,
                    microseconds(starts_at)) ORDER BY starts_at DESC, id DESC), '[]')
           FROM number_cap c WHERE c.msisdn = k.msisdn))::text AS body
      FROM number_standing k;
GRANT SELECT ON number_standing_due TO spms_app;

-- The rows are held first, in one order, and read in a statement of their own after that: of two who
-- change facts of one number at once, the later sees what the earlier has done.
CREATE FUNCTION keep_number_standing() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    numbers text[] := ARRAY(SELECT DISTINCT msisdn FROM changed);
BEGIN
    INSERT INTO number_standing (msisdn, body)
    SELECT msisdn, '[[],[],[],[]]' FROM unnest(numbers) AS changed (msisdn) ORDER BY msisdn
    ON CONFLICT (msisdn) DO UPDATE SET body = number_standing.body WHERE false;
    UPDATE number_standing k SET body = d.body
      FROM unnest(numbers) AS changed (msisdn)
      JOIN number_standing_due d ON d.msisdn = changed.msisdn
     WHERE k.msisdn = changed.msisdn AND k.body <> d.body;
    RETURN NULL;
END $$;
DO $$
DECLARE
    named text;
BEGIN
    FOREACH named IN ARRAY ARRAY['number_event', 'subscription', 'consent', 'number_bar',
                                 'number_cap'] LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON %I REFERENCING NEW TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION keep_number_standing()',
            named || '_standing_added', named);
        EXECUTE format('CREATE TRIGGER %I AFTER UPDATE ON %I REFERENCING NEW TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION keep_number_standing()',
            named || '_standing_changed', named);
        EXECUTE format('CREATE TRIGGER %I AFTER DELETE ON %I REFERENCING OLD TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION keep_number_standing()',
            named || '_standing_removed', named);
    END LOOP;
END $$;
INSERT INTO number_standing (msisdn, body)
SELECT msisdn, '[[],[],[],[]]' FROM number_event GROUP BY msisdn ORDER BY msisdn;
UPDATE number_standing k SET body = d.body FROM number_standing_due d WHERE d.msisdn = k.msisdn;
