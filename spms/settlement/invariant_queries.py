"""What must always be true of settlements, each as one statement that finds what breaks it."""

from collections.abc import Sequence
from typing import Final

from spms.core.invariants import Invariant

ALTERED = """
    SELECT l.settlement_id::text AS id
      FROM settlement_lock l
      LEFT JOIN settlement_statement t
        ON t.settlement_id = l.settlement_id AND t.revision = l.revision
      LEFT JOIN settlement s ON s.id = l.settlement_id
     WHERE t.body IS NULL OR l.sha256 <> sha256(l.follows || convert_to(t.body, 'UTF8'))
        OR s.state NOT IN ('locked', 'paid') OR s.revision <> l.revision
        OR s.payable_fen <> l.payable_fen
        OR (t.body::jsonb ->> 'payable_fen')::bigint <> l.payable_fen
"""
UNLOCKED = """
    SELECT s.id::text AS id FROM settlement s
     WHERE s.state IN ('locked', 'paid')
       AND NOT EXISTS (SELECT FROM settlement_lock l WHERE l.settlement_id = s.id)
"""
FORKED = """
    SELECT settlement_id::text AS id
      FROM (SELECT settlement_id, follows,
                   lag(sha256, 1, ''::bytea) OVER (PARTITION BY sp_id ORDER BY month) AS before
              FROM settlement_lock) l
     WHERE follows <> before
"""
STEPS = """
    SELECT t.settlement_id::text AS id
      FROM settlement_statement t
      LEFT JOIN settlement_step p
        ON p.settlement_id = t.settlement_id AND p.revision = t.revision
     GROUP BY t.settlement_id, t.revision, t.payable_fen, t.carried
    HAVING t.payable_fen + COALESCE((t.carried ->> 'brought')::bigint, 0) <> COALESCE(sum(
               CASE WHEN p.kind IN ('gross', 'returned', 'credits', 'brought') THEN p.arising_fen
                    WHEN p.kind <> 'deposit' THEN -p.taken_fen ELSE 0 END), 0)
"""
# What a lock's entry leaves with the SP is what its statement says is payable, less what the
# statements before had left already. Fines, and those taken back, are booked when they are decided
# and whole: the entry has only those that were not booked before it.
BOOKED = """
    SELECT l.settlement_id::text AS id
      FROM settlement_lock l
      LEFT JOIN posting p ON p.msisdn = 'sp:' || l.sp_id AND p.entry_id = l.entry_id
     GROUP BY l.settlement_id, l.revision, l.payable_fen, l.carried
    HAVING COALESCE(sum(CASE WHEN p.credit = 'sp_payable' THEN p.amount_fen
                             WHEN p.debit = 'sp_payable' THEN -p.amount_fen ELSE 0 END), 0)
           <> l.payable_fen + COALESCE((l.carried ->> 'brought')::bigint, 0)
              - COALESCE((SELECT t.arising_fen FROM settlement_step t
                           WHERE t.settlement_id = l.settlement_id AND t.revision = l.revision
                             AND t.kind = 'brought'), 0)
              + COALESCE((SELECT sum(CASE t.kind
                                         WHEN 'fines' THEN t.taken_fen - b.to_book_fen
                                         ELSE b.to_book_fen - t.arising_fen END)
                            FROM settlement_step t
                           CROSS JOIN LATERAL (
                                 SELECT (t.inputs ->> 'to_book_fen')::bigint AS to_book_fen) b
                           WHERE t.settlement_id = l.settlement_id AND t.revision = l.revision
                             AND t.kind IN ('fines', 'credits', 'returned')
                             AND t.inputs ? 'to_book_fen'), 0)
"""
PAID = """
    SELECT COALESCE(y.settlement_id, s.id)::text AS id
      FROM settlement_payment y
      FULL JOIN (SELECT id, sp_id, payable_fen FROM settlement WHERE state = 'paid') s
        ON s.id = y.settlement_id
     WHERE y.amount_fen IS DISTINCT FROM s.payable_fen
        OR NOT EXISTS (SELECT FROM posting p
                        WHERE p.msisdn = 'sp:' || s.sp_id AND p.reason = 'settlement_transfer'
                          AND p.amount_fen = y.amount_fen AND p.at = y.paid_at)
"""

# What was counted of a month that was drawn is in a statement of it.
UNSTATED = """
    SELECT f.month || ' ' || f.sp_id AS id
      FROM settlement_figure f
      JOIN settlement_month m ON m.month = f.month AND m.stage IN ('send', 'sent')
      LEFT JOIN settlement s ON s.sp_id = f.sp_id AND s.month = f.month
      LEFT JOIN settlement_step g ON g.settlement_id = s.id AND g.revision = s.revision
                                 AND g.kind = 'gross'
     WHERE f.kind IN ('charged', 'late')
     GROUP BY f.month, f.sp_id, g.arising_fen
    HAVING sum(f.amount_fen) IS DISTINCT FROM g.arising_fen
"""
# Of the month that was cut off last: what is there by now, beside what was counted then.
UNCOUNTED = """
    WITH newest AS (
        SELECT * FROM settlement_month WHERE stage <> 'count_charges' ORDER BY month DESC LIMIT 1
    ), there AS (
        SELECT c.sp_id, 'charged' AS kind, count(*) AS records, sum(c.price_fen) AS amount_fen
          FROM newest m JOIN charge_record c
            ON c.charged_at >= m.from_at AND c.charged_at < m.until_at
           AND c.received_at < m.cut_off_at
         GROUP BY c.sp_id
        UNION ALL
        SELECT c.sp_id, 'late', count(*), sum(c.price_fen)
          FROM newest m JOIN charge_record c
            ON c.charged_at < m.from_at AND c.received_at >= m.cut_off_before
           AND c.received_at < m.cut_off_at
         GROUP BY c.sp_id
    ), counted AS (
        SELECT f.sp_id, f.kind, f.records, f.amount_fen
          FROM newest m JOIN settlement_figure f ON f.month = m.month
         WHERE f.kind IN ('charged', 'late')
    )
    SELECT COALESCE(c.sp_id, t.sp_id) || ' ' || COALESCE(c.kind, t.kind) AS id
      FROM there t FULL JOIN counted c ON c.sp_id = t.sp_id AND c.kind = t.kind
     WHERE (t.records, t.amount_fen) IS DISTINCT FROM (c.records, c.amount_fen)
"""

INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        name="locked_statements_unchanged",
        promise="a locked statement hashes to what its lock says, and is the one in force",
        statement=ALTERED,
    ),
    Invariant(
        name="locked_have_locks",
        promise="what counts as locked or paid has a lock",
        statement=UNLOCKED,
    ),
    Invariant(
        name="locks_are_one_chain",
        promise="each SP's locked statements follow one another without a gap",
        statement=FORKED,
    ),
    Invariant(
        name="steps_add_up",
        promise="the steps of every statement come to its payable, to the fen",
        statement=STEPS,
    ),
    Invariant(
        name="figures_are_stated",
        promise="what was counted of a month is the gross of its statements (ids: month and SP)",
        statement=UNSTATED,
    ),
    Invariant(
        name="charges_are_counted",
        promise="the month cut off last counted every charge that is its own (ids: SP and figure)",
        statement=UNCOUNTED,
    ),
    Invariant(
        name="locks_are_booked",
        promise="the book owes an SP what its locked statements say",
        statement=BOOKED,
    ),
    Invariant(
        name="payments_are_booked",
        promise="what was paid is what was locked, and is in the book",
        statement=PAID,
    ),
)
