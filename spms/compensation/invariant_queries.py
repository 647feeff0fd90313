"""What must always be true of the money, each as one statement that finds what breaks it."""

from collections.abc import Sequence
from typing import Final

from spms.compensation.mass_correction_chunk_queries import PART
from spms.core.invariants import Invariant

UNBALANCED = """
    SELECT entry_id::text AS id
      FROM (SELECT msisdn, entry_id, amount_fen FROM posting WHERE debit IS NOT NULL
            UNION ALL
            SELECT msisdn, entry_id, -amount_fen FROM posting WHERE credit IS NOT NULL) leg
     GROUP BY msisdn, entry_id HAVING sum(amount_fen) <> 0
"""
NOT_WHOLE = """
    SELECT COALESCE(e.id, p.entry_id)::text AS id
      FROM journal_entry e
      FULL JOIN (SELECT msisdn, entry_id, count(*) AS lines, sum(amount_fen) AS amount_fen
                   FROM posting GROUP BY msisdn, entry_id) p
        ON p.msisdn = e.msisdn AND p.entry_id = e.id
     WHERE e.lines IS DISTINCT FROM p.lines OR e.amount_fen IS DISTINCT FROM p.amount_fen
"""
ENDS = """
    SELECT sha256(convert_to(msisdn, 'UTF8'))::text AS id
      FROM journal_head h
     WHERE seq <> (SELECT COALESCE(max(e.seq), 0) FROM journal_entry e WHERE e.msisdn = h.msisdn)
"""
OVER_POLICY = """
    SELECT t.charge_id::text AS id
      FROM refund_total t
      LEFT JOIN (SELECT msisdn, charge_id, min(due_fen) AS due_fen FROM claim
                  WHERE state = 'refunded' GROUP BY msisdn, charge_id) k
        ON k.msisdn = t.msisdn AND k.charge_id = t.charge_id
     WHERE k.due_fen IS NULL OR t.principal_fen > t.charged_fen - k.due_fen
        OR t.compensation_fen > t.charged_fen - k.due_fen
"""
TOTALS = """
    SELECT COALESCE(t.charge_id, r.charge_id)::text AS id
      FROM refund_total t
      FULL JOIN (SELECT msisdn, charge_id,
                        sum(amount_fen) FILTER (WHERE kind = 'principal') AS principal_fen,
                        sum(amount_fen) FILTER (WHERE kind = 'compensation') AS compensation_fen
                   FROM refund GROUP BY msisdn, charge_id) r
        ON r.msisdn = t.msisdn AND r.charge_id = t.charge_id
     WHERE COALESCE(t.principal_fen, 0) <> COALESCE(r.principal_fen, 0)
        OR COALESCE(t.compensation_fen, 0) <> COALESCE(r.compensation_fen, 0)
"""
# A refund has the entry of its claim, or the joint one that its claim names.
UNBOOKED = """
    SELECT COALESCE(r.charge_id, p.charge_id, r.entry_id::text, p.entry_id::text) AS id
      FROM (SELECT msisdn, COALESCE(joint_id, id) AS entry_id,
                   CASE WHEN count(joint_id) = 0 THEN min(charge_id::text) END AS charge_id,
                   sum(principal_fen) AS principal_fen, sum(compensation_fen) AS compensation_fen
              FROM claim WHERE state = 'refunded' AND principal_fen + compensation_fen > 0
             GROUP BY msisdn, COALESCE(joint_id, id)) r
      FULL JOIN (SELECT msisdn, entry_id, min(charge_id::text) AS charge_id,
                        COALESCE(sum(amount_fen) FILTER (WHERE reason = 'refund_principal'), 0)
                            AS principal_fen,
                        COALESCE(sum(amount_fen) FILTER (WHERE reason = 'refund_compensation'), 0)
                            AS compensation_fen
                   FROM posting WHERE credit = 'subscriber_payable' AND reverses IS NULL
                    AND reason IN ('refund_principal', 'refund_compensation')
                  GROUP BY msisdn, entry_id) p
        ON p.msisdn = r.msisdn AND p.entry_id = r.entry_id
     WHERE (r.charge_id, r.principal_fen, r.compensation_fen)
           IS DISTINCT FROM (p.charge_id, p.principal_fen, p.compensation_fen)
"""
# The id of a joint refund is a hash of its claims and of what each of them pays.
MISJOINED = f"""
    SELECT joint_id::text AS id FROM claim WHERE joint_id IS NOT NULL
     GROUP BY msisdn, joint_id
    HAVING joint_id <> hashed_id('joint:' || string_agg({PART}, ',' ORDER BY charge_id))
"""
# A reversal takes back an entry, or of a joint refund or its payout what one claim has of it.
OVERTAKEN = """
    SELECT e.id::text AS id FROM journal_entry e
     WHERE e.reverses IS NOT NULL
       AND NOT EXISTS (SELECT FROM journal_entry o
                        WHERE o.msisdn = e.msisdn AND o.id = e.reverses AND o.amount_fen = e.amount_fen
                          AND (o.charge_id IS NOT NULL OR o.kind NOT IN ('refund', 'payout')))
       AND NOT EXISTS (SELECT FROM claim k
                        WHERE k.msisdn = e.msisdn AND k.charge_id = e.charge_id
                          AND k.joint_id IS NOT NULL
                          AND e.reverses IN (k.id, hashed_id(
                              'payout:' || k.charge_id::text || ':' || k.round::text))
                          AND e.amount_fen = k.principal_fen + k.compensation_fen)
"""
RECEIVABLE = """
    WITH advance AS (
        SELECT sp_id, sum(amount_fen) AS fen FROM refund WHERE bearer = 'sp' GROUP BY sp_id
    ), moved AS (
        SELECT sp_id,
               COALESCE(sum(amount_fen) FILTER (WHERE debit = 'sp_receivable'), 0) AS debit_fen,
               COALESCE(sum(amount_fen) FILTER (WHERE credit = 'sp_receivable'), 0) AS credit_fen,
               COALESCE(sum(amount_fen) FILTER (WHERE debit = 'sp_receivable'
                   AND (reason NOT IN ('refund_principal', 'refund_compensation')
                        OR reverses IS NOT NULL)), 0) AS other_fen
          FROM posting WHERE 'sp_receivable' IN (debit, credit) GROUP BY sp_id
    )
    SELECT COALESCE(m.sp_id, a.sp_id)::text AS id
      FROM moved m FULL JOIN advance a ON a.sp_id = m.sp_id
     WHERE COALESCE(m.debit_fen - m.other_fen, 0) <> COALESCE(a.fen, 0)
        OR m.credit_fen > m.debit_fen
"""
UNLICENSED = """
    SELECT c.id::text AS id
      FROM charge_record c
      LEFT JOIN consent v ON v.msisdn = c.msisdn AND v.subscription_id = c.consent_id
      LEFT JOIN service s ON s.id = c.service_id AND s.sp_id = c.sp_id
     WHERE s.id IS NULL
        OR (v.subscription_id IS NULL
            AND (c.consent_id IS NOT NULL OR cardinality(c.findings) = 0))
"""
DRIFTED = """
    SELECT s.sp_id || ' ' || s.account AS id
      FROM balance_snapshot s
      LEFT JOIN posting p ON p.sp_id = s.sp_id AND p.at < s.until_at
                         AND (p.debit = s.account OR p.credit = s.account)
     GROUP BY s.sp_id, s.account, s.until_at, s.debit_fen, s.credit_fen
    HAVING COALESCE(sum(p.amount_fen) FILTER (WHERE p.debit = s.account), 0) <> s.debit_fen
        OR COALESCE(sum(p.amount_fen) FILTER (WHERE p.credit = s.account), 0) <> s.credit_fen
"""

SECURITY = """
    SELECT sp_id::text AS id FROM posting
     WHERE sp_id IS NOT NULL AND 'deposits' IN (debit, credit) GROUP BY sp_id
    HAVING sum(CASE WHEN credit = 'deposits' THEN amount_fen ELSE -amount_fen END) < 0
"""
BY_HAND = """
    SELECT b.id::text AS id
      FROM sp_booking b
      LEFT JOIN posting p ON p.msisdn = 'sp:' || b.sp_id AND p.entry_id = b.entry_id
     WHERE b.state = 'agreed'
       AND (p.amount_fen, p.reason, p.sp_id) IS DISTINCT FROM (b.booked_fen, b.kind, b.sp_id)
"""

# A version without a catalogue has each cause under its own name.
MISNAMED = """
    SELECT k.id::text AS id
      FROM (SELECT id, code, code_version, cause FROM verification WHERE code IS NOT NULL
             UNION ALL
            SELECT id, code, code_version, cause FROM mass_correction WHERE code IS NOT NULL) k
      LEFT JOIN rulebook b ON b.version = k.code_version
     WHERE b.version IS NULL
        OR CASE WHEN b.rules #> '{compensation,reasons}' IS NULL THEN k.code
                ELSE b.rules #>> ARRAY['compensation', 'reasons', k.code, 'cause'] END
           IS DISTINCT FROM k.cause
"""

INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        name="entries_sum_to_zero",
        promise="debits less credits of every entry are zero",
        statement=UNBALANCED,
    ),
    Invariant(
        name="entries_are_whole",
        promise="an entry has the lines and the amount it says",
        statement=NOT_WHOLE,
    ),
    Invariant(
        name="chains_end_at_their_head",
        promise="the last entry of a chain is the one its head names (ids: hash of the chain)",
        statement=ENDS,
    ),
    Invariant(
        name="refunded_within_policy",
        promise="neither multiple is more than what was charged less what was found due",
        statement=OVER_POLICY,
    ),
    Invariant(
        name="refunds_add_up",
        promise="a charge's total is the sum of its refunds",
        statement=TOTALS,
    ),
    Invariant(
        name="refunds_are_booked",
        promise="what claims refund is in the book, in their entries, and nothing else is",
        statement=UNBOOKED,
    ),
    Invariant(
        name="joint_refunds_name_their_claims",
        promise="a joint refund has the claims, and each of them the amounts, that it was booked with",
        statement=MISJOINED,
    ),
    Invariant(
        name="reversals_take_back_what_was_booked",
        promise="a reversal takes back an entry, or of a joint one a claim's part, and no more than that",
        statement=OVERTAKEN,
    ),
    Invariant(
        name="receivable_is_advances_less_recoveries",
        promise="an SP owes what was advanced for it less what was recovered, and never less than 0",
        statement=RECEIVABLE,
    ),
    Invariant(
        name="deposits_are_never_negative",
        promise="no more is taken out of an SP's deposit than it left",
        statement=SECURITY,
    ),
    Invariant(
        name="sp_bookings_are_booked",
        promise="what two people agreed to book on an SP's account is in the book",
        statement=BY_HAND,
    ),
    Invariant(
        name="codes_stand_for_their_causes",
        promise="what a claim or correction was opened under stood for its cause",
        statement=MISNAMED,
    ),
    Invariant(
        name="no_charge_without_decision",
        promise="a charge found right cites a consent, and what a charge cites is there",
        statement=UNLICENSED,
    ),
    Invariant(
        name="snapshots_match",
        promise="a kept balance is what the postings say",
        statement=DRIFTED,
    ),
)
