-- A refund that was given up as bad debt and is taken back for fraud later: the SP never paid it, so it is
-- the operator's loss that comes back, not the SP's due.
ALTER TABLE posting DROP CONSTRAINT posting_accounts;
ALTER TABLE posting ADD CONSTRAINT posting_accounts CHECK (
    CASE WHEN reverses IS NULL THEN debit || '>' || credit ELSE credit || '>' || debit END IN (
        'sp_receivable>subscriber_payable', 'operator_share>subscriber_payable',
        'goodwill>subscriber_payable', 'subscriber_payable>subscriber_balance',
        'subscriber_balance>sp_payable', 'subscriber_balance>operator_share',
        'sp_payable>sp_receivable', 'operator_share>sp_receivable', 'deposits>sp_receivable',
        'bad_debt>sp_receivable', 'sp_payable>fines', 'deposits>fines', 'sp_receivable>fines',
        'sp_payable>operator_share', 'sp_payable>bad_debt', 'sp_payable>bank', 'bank>deposits',
        'operator_share>sp_payable', 'deposits>bank', 'sp_receivable>sp_payable',
        'sp_receivable>bad_debt'));

-- A bill says what was given back for a charge, and what of that was taken back for fraud: below nothing,
-- so that what stands is their sum wherever it is summed up. Until now it went on saying 'refunded'.
CREATE VIEW bill_correction AS
    SELECT r.msisdn, r.charge_id, r.kind, r.amount_fen, r.at FROM refund r
     UNION ALL
    SELECT c.msisdn, c.charge_id, l.kind, -l.amount_fen, c.decided_at
      FROM clawback c
      JOIN claim k ON k.msisdn = c.msisdn AND k.id = c.claim_id
     CROSS JOIN LATERAL (VALUES ('principal', k.principal_fen),
                                ('compensation', k.compensation_fen)) AS l (kind, amount_fen)
     WHERE c.state = 'agreed' AND l.amount_fen > 0;
GRANT SELECT ON bill_correction TO spms_app;

CREATE OR REPLACE FUNCTION bill_given(of_number text, of_month timestamptz, low uuid, high uuid)
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
                                                'at', r.at)
                             ORDER BY r.at, r.amount_fen < 0, r.kind DESC),
                   COALESCE(sum(r.amount_fen) FILTER (WHERE r.kind = 'principal'), 0)::bigint,
                   COALESCE(sum(r.amount_fen) FILTER (WHERE r.kind = 'compensation'), 0)::bigint
              FROM public.bill_correction r
             WHERE r.msisdn = of_number AND r.charge_id >= low AND r.charge_id <= high
             GROUP BY r.charge_id;
    END IF;
END
$$;
