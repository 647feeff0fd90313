-- A page of a bill asks whether anything was found wrong with the number's charges of the month, and
-- whether any of it was given back. For most numbers the answer is no: a hash index says so with
-- one page, where a B-tree takes three or four.

CREATE FUNCTION bill_key(msisdn text, at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN hashtextextended(msisdn,
    (extract(year FROM at AT TIME ZONE 'Asia/Shanghai') * 12
     + extract(month FROM at AT TIME ZONE 'Asia/Shanghai'))::bigint);

CREATE INDEX charge_finding_bill ON charge_finding USING hash (bill_key(msisdn, charged_at));
CREATE INDEX claim_bill ON claim USING hash (bill_key(msisdn, charged_at)) WHERE state = 'refunded';
