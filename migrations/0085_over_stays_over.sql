-- What is over stays over, and its end only ever moves forward in time towards its start: when a wish
-- to leave that came in before it is settled after it. Nor does a relation that has begun get another
-- beginning. The application's role may write these columns, so the row itself refuses.
CREATE FUNCTION subscription_is_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a relation that is over stays over, and one that began keeps its beginning'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_settled',
              TABLE = 'subscription';
END $$;
CREATE TRIGGER subscription_settled BEFORE UPDATE ON subscription FOR EACH ROW
    WHEN (OLD.status <> 'awaiting' AND (
              NEW.active_from IS DISTINCT FROM OLD.active_from
              OR NEW.charge_from IS DISTINCT FROM OLD.charge_from
              OR NEW.status = 'awaiting')
          OR OLD.ended_at IS NOT NULL AND (
              NEW.status <> OLD.status OR NEW.ended_at IS NULL OR NEW.ended_at > OLD.ended_at))
    EXECUTE FUNCTION subscription_is_settled();
