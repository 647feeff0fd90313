-- What is settled stays as it is, though the application's role may write the columns that settle it.
CREATE FUNCTION row_is_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row of % that is settled does not change (%)', TG_TABLE_NAME, TG_NAME
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

-- What is over stays over, and its end only ever moves forward in time towards its start: when a wish
-- to leave that came in before it is settled after it. Nor does a relation that has begun get another
-- beginning.
CREATE TRIGGER subscription_settled BEFORE UPDATE ON subscription FOR EACH ROW
    WHEN (OLD.status <> 'awaiting' AND (
              NEW.active_from IS DISTINCT FROM OLD.active_from
              OR NEW.charge_from IS DISTINCT FROM OLD.charge_from
              OR NEW.charge_rule IS DISTINCT FROM OLD.charge_rule
              OR NEW.status = 'awaiting')
          OR OLD.ended_at IS NOT NULL AND (
              NEW.status <> OLD.status OR NEW.ended_at IS NULL OR NEW.ended_at > OLD.ended_at))
    EXECUTE FUNCTION row_is_settled();

-- A wish to leave is settled once: what authorisation answered until then hangs on it.
CREATE TRIGGER leave_wish_settled_once BEFORE UPDATE ON leave_wish FOR EACH ROW
    WHEN (OLD.settled_at IS NOT NULL) EXECUTE FUNCTION row_is_settled();

-- A clock that ran out stays run out, and one that was stopped stays stopped.
CREATE TRIGGER leaving_duty_settled BEFORE UPDATE ON leaving_duty FOR EACH ROW
    WHEN (OLD.met_at IS NOT NULL AND (NEW.met_at, NEW.met_by) IS DISTINCT FROM (OLD.met_at, OLD.met_by)
          OR OLD.breached_at IS NOT NULL AND (
              NEW.breached_at IS DISTINCT FROM OLD.breached_at OR NEW.met_at < OLD.due_at))
    EXECUTE FUNCTION row_is_settled();

-- An event keeps its place in the feed: a reader that has gone on behind it would never see it again.
CREATE TRIGGER partner_event_placed BEFORE UPDATE ON partner_event FOR EACH ROW
    WHEN (OLD.position IS NOT NULL) EXECUTE FUNCTION row_is_settled();
