-- Who bears which multiple of a double refund is the rulebook's (`compensation.bearers`: for a cause one
-- who bears both, or each its own), as it was in force when the charge was made. A claim keeps by which
-- version it was decided. Null in `second_bearer`: whoever bears the first; in `rulebook_version`: from
-- before it was kept.
ALTER TABLE claim
    ADD COLUMN second_bearer text
        CONSTRAINT claim_second_bearer CHECK (second_bearer IN ('sp', 'operator')),
    ADD COLUMN rulebook_version integer;
ALTER TABLE verification
    ADD COLUMN second_bearer text
        CONSTRAINT verification_second_bearer CHECK (second_bearer IN ('sp', 'operator')),
    ADD COLUMN rulebook_version integer;
ALTER TABLE mass_correction
    ADD COLUMN second_bearer text
        CONSTRAINT mass_correction_second_bearer CHECK (second_bearer IN ('sp', 'operator')),
    ADD COLUMN rulebook_version integer;

CREATE OR REPLACE VIEW refund AS
    SELECT k.msisdn, k.charge_id, l.kind, k.id AS claim_id, k.sp_id, l.amount_fen,
           k.opened_at AS at, k.round, l.bearer
      FROM claim k
     CROSS JOIN LATERAL (VALUES ('principal', k.principal_fen, k.bearer),
                                ('compensation', k.compensation_fen,
                                 COALESCE(k.second_bearer, k.bearer))) AS l (kind, amount_fen, bearer)
     WHERE k.state = 'refunded' AND l.amount_fen > 0;

-- A rulebook that cannot be read would stop every refund.
CREATE FUNCTION bearers_are_sound(said jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN said IS NULL THEN true
        WHEN jsonb_typeof(said) <> 'object' THEN false
        ELSE NOT EXISTS (
            SELECT FROM jsonb_each(said) AS of (cause, bearer)
             WHERE cause NOT IN ('operator_fault', 'sp_fault', 'metering', 'not_as_published',
                                 'promised_discount', 'not_opened')
                OR NOT (bearer IN ('"sp"', '"operator"')
                        OR bearer IN ('{"first": "sp", "second": "sp"}',
                                      '{"first": "sp", "second": "operator"}',
                                      '{"first": "operator", "second": "sp"}',
                                      '{"first": "operator", "second": "operator"}'))) END
$$;
ALTER TABLE rulebook ADD CONSTRAINT rulebook_bearers
    CHECK (bearers_are_sound(rules #> '{compensation,bearers}'));
