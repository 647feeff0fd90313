"""Statements that derive what SPs owe, by age, and what of a charge was shared out."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from spms.compensation.accounts import Account
from spms.compensation.clawback_model import Firsts
from spms.compensation.model import Ageing
from spms.core.db import Connection, many

# What was recovered is taken off the oldest advances first.
AGEING = """
    WITH moved AS (
        SELECT sp_id, at, id,
               CASE WHEN debit = 'sp_receivable' THEN amount_fen ELSE 0 END AS debit_fen,
               CASE WHEN credit = 'sp_receivable' THEN amount_fen ELSE 0 END AS credit_fen
          FROM posting
         WHERE 'sp_receivable' IN (debit, credit) AND ($1::uuid IS NULL OR sp_id = $1) AND at <= $2
    ), summed AS (
        SELECT sp_id, at, debit_fen,
               sum(debit_fen) OVER (PARTITION BY sp_id ORDER BY at, id) AS so_far_fen,
               sum(credit_fen) OVER (PARTITION BY sp_id) AS recovered_fen
          FROM moved
    ), left_over AS (
        SELECT sp_id, at,
               GREATEST(0, LEAST(debit_fen, so_far_fen - recovered_fen)) AS open_fen
          FROM summed WHERE debit_fen > 0
    )
    SELECT sp_id, sum(open_fen)::bigint AS receivable_fen,
           COALESCE(sum(open_fen) FILTER (WHERE at > $2::timestamptz - interval '30 days'), 0)
               ::bigint AS to_30_days_fen,
           COALESCE(sum(open_fen) FILTER (WHERE at <= $2::timestamptz - interval '30 days'
                                            AND at > $2::timestamptz - interval '60 days'), 0)
               ::bigint AS to_60_days_fen,
           COALESCE(sum(open_fen) FILTER (WHERE at <= $2::timestamptz - interval '60 days'
                                            AND at > $2::timestamptz - interval '90 days'), 0)
               ::bigint AS to_90_days_fen,
           COALESCE(sum(open_fen) FILTER (WHERE at <= $2::timestamptz - interval '90 days'), 0)
               ::bigint AS older_fen
      FROM left_over GROUP BY sp_id ORDER BY sp_id
"""


async def ageing(read: Connection, sp_id: UUID | None, *, at: datetime) -> list[Ageing]:
    """Derive it for one SP, or for all that ever owed anything."""
    return many(Ageing, await read.fetch(AGEING, sp_id, at))


# A refund's entry has the id of its claim; the others are found by the charge that they are about. A
# joint refund is of charges of which nothing was shared out.
SHARES = """
    WITH about AS (
        SELECT msisdn, id FROM journal_entry
         WHERE msisdn = ANY($1::text[]) AND charge_id = ANY($2::uuid[]) AND kind <> 'refund'
        UNION ALL
        SELECT msisdn, id FROM claim
         WHERE msisdn = ANY($1::text[]) AND charge_id = ANY($2::uuid[]) AND round > 0
    ), booked AS (
        SELECT p.msisdn, p.charge_id, p.debit, p.credit, p.amount_fen
          FROM about e JOIN posting p ON p.msisdn = e.msisdn AND p.entry_id = e.id
    )
    SELECT s.charge_id, s.credit AS account, sum(s.amount_fen)::bigint AS fen,
           COALESCE((SELECT sum(u.amount_fen) FROM booked u
                      WHERE u.msisdn = s.msisdn AND u.charge_id = s.charge_id
                        AND u.debit = s.credit AND u.credit = 'sp_receivable'), 0)::bigint
               AS unwound_fen
      FROM booked s
     WHERE s.debit = 'subscriber_balance' AND s.credit IN ('sp_payable', 'operator_share')
     GROUP BY s.msisdn, s.charge_id, s.credit ORDER BY s.msisdn, s.charge_id, s.credit DESC
"""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What of a charge was shared out to one account, and what of it a refund took back."""

    charge_id: UUID
    account: Account
    fen: int
    unwound_fen: int


async def shares(
    read: Connection, msisdns: Sequence[str], charge_ids: Sequence[UUID]
) -> list[Share]:
    """Load how some charges were shared out; nothing for those that were not."""
    return many(Share, await read.fetch(SHARES, list(msisdns), list(charge_ids)))


EXACT_BALANCE = """
    SELECT (SELECT COALESCE(sum(CASE WHEN debit = $2 THEN amount_fen ELSE -amount_fen END), 0)
              FROM posting WHERE sp_id = $1 AND $2 IN (debit, credit))::bigint
"""


async def exact_balance(tx: Connection, sp_id: UUID, account: Account) -> int:
    """Return debits less credits from the postings alone, in fen."""
    fen: int = await tx.fetchval(EXACT_BALANCE, sp_id, account)
    return fen


# A refund of the same instant counts as older. What was reversed waits for nobody.
FIRSTS = """
    WITH moved AS (
        SELECT msisdn, entry_id, at, reverses, reason,
               CASE WHEN debit = 'sp_receivable' THEN amount_fen ELSE -amount_fen END AS fen
          FROM posting WHERE sp_id = $1 AND 'sp_receivable' IN (debit, credit)
    ), firsts AS (
        SELECT m.fen,
               CASE WHEN m.reverses IS NULL THEN m.at
                    ELSE (SELECT COALESCE(o.at, k.opened_at) FROM journal_entry b
                            LEFT JOIN journal_entry o ON o.msisdn = b.msisdn AND o.id = b.reverses
                            LEFT JOIN claim k ON k.msisdn = b.msisdn AND k.id = b.reverses
                           WHERE b.msisdn = m.msisdn AND b.id = m.entry_id) END AS refunded_at
          FROM moved m
         WHERE reason IN ('refund_principal', 'unwind_sp_share', 'unwind_operator_share')
    ), taken AS (
        SELECT COALESCE(-sum(fen), 0)::bigint AS fen FROM moved
         WHERE reason IN ('settlement_refunds', 'clawback_first')
    )
    SELECT (SELECT COALESCE(sum(fen), 0) FROM moved)::bigint AS owed_fen,
           (SELECT COALESCE(sum(fen), 0) FROM firsts)::bigint - t.fen AS waiting_fen,
           (SELECT COALESCE(sum(f.fen), 0) FROM firsts f
             WHERE f.refunded_at > (SELECT opened_at FROM claim WHERE msisdn = $2 AND id = $3))::bigint
               AS younger_fen,
           t.fen AS taken_fen
      FROM taken t
"""


async def firsts(tx: Connection, sp_id: UUID, msisdn: str, claim_id: UUID) -> Firsts:
    """Derive it from the postings alone, for a claim that refunded something."""
    (found,) = many(Firsts, await tx.fetch(FIRSTS, sp_id, msisdn, claim_id))
    return found


WRITTEN_OFF = """
    SELECT COALESCE(sum(CASE WHEN debit = 'bad_debt' THEN amount_fen ELSE -amount_fen END), 0)::bigint
      FROM posting
     WHERE sp_id = $1 AND (debit, credit) IN (('bad_debt', 'sp_receivable'),
                                              ('sp_receivable', 'bad_debt'))
"""


async def written_off(tx: Connection, sp_id: UUID) -> int:
    """Return what of an SP's debt is given up as bad, in fen."""
    fen: int = await tx.fetchval(WRITTEN_OFF, sp_id)
    return fen
