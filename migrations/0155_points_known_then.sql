-- A version of the rulebook that is dated back changes no points that were earned before it was entered:
-- a credit has told billing how many it takes back, and its debit has to give back as many. What was
-- known when the charge was made counts (0150 took the dates alone).
CREATE OR REPLACE VIEW point_rate AS
    SELECT from_at, until_at, per_yuan
      FROM (SELECT b.at AS from_at, lead(b.at, 1, 'infinity') OVER (ORDER BY b.at) AS until_at,
                   COALESCE((v.rules #>> '{points,per_yuan}')::numeric, 0)::bigint AS per_yuan
              FROM (SELECT DISTINCT GREATEST(effective_from, created_at) AS at FROM rulebook) b
             CROSS JOIN LATERAL (
                   SELECT rules FROM rulebook
                    WHERE effective_from <= b.at AND created_at <= b.at
                    ORDER BY effective_from DESC, version DESC LIMIT 1) v) rate
     WHERE per_yuan > 0;
