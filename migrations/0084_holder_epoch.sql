-- Whose number it was at an instant, by what was known at another: which ownership (epoch). Null
-- before the number's first event. An SP's name for a person hangs on it, so it never changes with
-- what becomes known later.
CREATE FUNCTION holder_epoch(of_number text, at timestamptz, known_at timestamptz) RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT epoch_after FROM number_event
     WHERE msisdn = $1 COLLATE "C" AND effective_at <= $2 AND recorded_at <= $3
     ORDER BY effective_at DESC LIMIT 1
$$;
