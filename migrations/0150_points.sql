-- Points (积分) follow from what a charge cost and what of it came back; they are kept nowhere, so they
-- cannot drift. How many a yuan earns is the rulebook's section `points` (`per_yuan`; 0: none are given),
-- as it was in force when the charge was made.
ALTER TABLE rulebook ADD CONSTRAINT rulebook_points CHECK (
    CASE WHEN jsonb_typeof(rules #> '{points,per_yuan}') = 'number'
         THEN (rules #>> '{points,per_yuan}')::numeric BETWEEN 0 AND 1000
              AND (rules #>> '{points,per_yuan}')::numeric % 1 = 0
         ELSE rules #> '{points,per_yuan}' IS NULL END);

-- Since when until when charges earn points, and how many a yuan.
CREATE VIEW point_rate AS
    SELECT effective_from AS from_at, until_at, per_yuan
      FROM (SELECT effective_from, COALESCE((rules #>> '{points,per_yuan}')::numeric, 0)::bigint
                       AS per_yuan,
                   lead(effective_from, 1, 'infinity') OVER (ORDER BY effective_from) AS until_at
              FROM (SELECT DISTINCT ON (effective_from) effective_from, rules FROM rulebook
                     ORDER BY effective_from, version DESC) version) rate
     WHERE per_yuan > 0;

-- Of each charge by itself, whole points, rounded down.
CREATE FUNCTION points_of(fen bigint, per_yuan bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT fen * per_yuan / 100 $$;

-- What each round of a refund takes back: what the charge earned before it less what it earns after.
-- All rounds together take exactly the points of all that came back, however it came. Compensation
-- is not part of it: it is nothing that was paid, and earns nothing.
CREATE VIEW points_taken_back AS
    SELECT k.msisdn, k.charge_id, k.round, k.id AS claim_id,
           points_of(k.charged_fen - k.principal_so_far_fen + k.principal_fen, r.per_yuan)
           - points_of(k.charged_fen - k.principal_so_far_fen, r.per_yuan) AS points
      FROM claim k
      JOIN point_rate r ON k.charged_at >= r.from_at AND k.charged_at < r.until_at
     WHERE k.state = 'refunded';
GRANT SELECT ON point_rate, points_taken_back TO spms_app;

-- The same for a bill, by its number and never by reading a table through (0119). What fraud got and
-- was taken back from its taker was paid after all, and earns again.
CREATE FUNCTION bill_points_back(of_number text, of_month timestamptz, low uuid, high uuid)
RETURNS TABLE (charge_id uuid, points bigint)
LANGUAGE plpgsql STABLE ROWS 20 SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF EXISTS (SELECT FROM public.claim k
                WHERE public.bill_key(k.msisdn, k.charged_at) = public.bill_key(of_number, of_month)
                  AND k.state = 'refunded')
    THEN
        RETURN QUERY
            SELECT t.charge_id, sum(t.points)::bigint FROM public.points_taken_back t
             WHERE t.msisdn = of_number AND t.charge_id >= low AND t.charge_id <= high
               AND NOT EXISTS (SELECT FROM public.clawback c
                                WHERE c.msisdn = t.msisdn AND c.claim_id = t.claim_id
                                  AND c.state = 'agreed')
             GROUP BY t.charge_id;
    END IF;
END
$$;
