-- What a page of a bill says of findings and refunds is looked up by the number, whatever the planner
-- believes of the tables' size. A plan that a connection keeps was made for the tables as they were
-- then: of a book that was empty it reads the whole table for each page, and the first mass correction
-- made bills fifty times slower until the next ANALYZE. Within these the tables cannot be read through.
CREATE FUNCTION bill_found(of_number text, of_month timestamptz, low uuid, high uuid)
RETURNS TABLE (charge_id uuid, due_fen bigint, kinds text[])
LANGUAGE plpgsql STABLE ROWS 20 SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF EXISTS (SELECT FROM public.charge_finding f
                WHERE public.bill_key(f.msisdn, f.charged_at) = public.bill_key(of_number, of_month))
    THEN
        RETURN QUERY
            SELECT f.charge_id, min(f.due_fen), array_agg(f.kind ORDER BY f.found_at, f.kind)
              FROM public.charge_finding f
             WHERE f.msisdn = of_number AND f.charge_id >= low AND f.charge_id <= high
             GROUP BY f.charge_id;
    END IF;
END
$$;
CREATE FUNCTION bill_given(of_number text, of_month timestamptz, low uuid, high uuid)
RETURNS TABLE (charge_id uuid, corrections jsonb, refunded_fen bigint, compensation_fen bigint)
LANGUAGE plpgsql STABLE ROWS 20 SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF EXISTS (SELECT FROM public.claim k
                WHERE public.bill_key(k.msisdn, k.charged_at) = public.bill_key(of_number, of_month)
                  AND k.state = 'refunded')
    THEN
        RETURN QUERY
            SELECT r.charge_id,
                   jsonb_agg(jsonb_build_object('kind', r.kind, 'amount_fen', r.amount_fen,
                                                'at', r.at) ORDER BY r.at, r.kind DESC),
                   COALESCE(sum(r.amount_fen) FILTER (WHERE r.kind = 'principal'), 0)::bigint,
                   COALESCE(sum(r.amount_fen) FILTER (WHERE r.kind = 'compensation'), 0)::bigint
              FROM public.refund r
             WHERE r.msisdn = of_number AND r.charge_id >= low AND r.charge_id <= high
             GROUP BY r.charge_id;
    END IF;
END
$$;
