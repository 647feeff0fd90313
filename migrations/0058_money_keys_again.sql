-- What a line and a refund belong to rests on keys again, not on triggers over a statement's rows.
-- Their price is in docs/money.md. What two rows cannot say to each other by a key, that an entry
-- has all its lines and its amount, stays with `journal_entry_whole` and `posting_whole`.

-- A claim that stands has no round, and NULLs are distinct: the same rows as the partial index held,
-- in a form that a key can refer to.
DROP INDEX claim_refunded_once;
ALTER TABLE claim ADD CONSTRAINT claim_refunded_once UNIQUE (msisdn, charge_id, round);

-- A refund pays the one claim that refunds its charge in its round, and counts in its total.
DROP TRIGGER refund_claim ON refund;
DROP FUNCTION refunds_belong();
ALTER TABLE refund ADD CONSTRAINT refund_claim FOREIGN KEY (msisdn, charge_id, round)
    REFERENCES claim (msisdn, charge_id, round);
ALTER TABLE refund ADD CONSTRAINT refund_within_total FOREIGN KEY (msisdn, charge_id)
    REFERENCES refund_total (msisdn, charge_id);
-- A line belongs to an entry of its own chain.
ALTER TABLE posting ADD CONSTRAINT posting_entry FOREIGN KEY (msisdn, entry_id)
    REFERENCES journal_entry (msisdn, id);
