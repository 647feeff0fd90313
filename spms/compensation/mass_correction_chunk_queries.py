"""A chunk of a mass correction as statements over sets: nothing of a charge leaves the database.

Writes what `refunding.refund` writes, by the same rules (`rules.judge`, `rules.outstanding`,
`refunding.share_to_unwind`, `journal_queries.POST`); a test holds the two against each other.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from spms.compensation.accounts import COMPENSATION, PRINCIPAL
from spms.compensation.mass_correction_model import Progress
from spms.compensation.model import CompensationRules
from spms.core.db import Connection

# The charges of a chunk: of the lane's numbers ($8 of $9), after its cursor ($6, $7) and up to the
# chunk's end.
_WINDOW = """
      FROM charge_record c
     WHERE c.sp_id = $1 AND c.service_id = $2 AND c.price_fen = $3
       AND c.charged_at >= COALESCE($6::timestamptz, $4::timestamptz) AND c.charged_at < $5
       AND ($6::timestamptz IS NULL OR (c.charged_at, c.id) > ($6, $7::uuid))
       AND (hashtext(c.msisdn) & 2147483647) % $9::integer = $8::integer
"""
_TO_ITS_END = """
       AND c.charged_at <= $10 AND (c.charged_at, c.id) <= ($10, $11::uuid)
"""


class Chunk(NamedTuple):
    """How far a chunk reaches, and how many charges are in it."""

    at: datetime
    id: UUID
    charges: int


END = f"""
    SELECT charged_at AS at, id, place AS charges
      FROM (SELECT charged_at, id, row_number() OVER (ORDER BY charged_at, id) AS place
              FROM (SELECT c.charged_at, c.id {_WINDOW} ORDER BY c.charged_at, c.id LIMIT $10) w) p
     ORDER BY place DESC LIMIT 1
"""


async def end(read: Connection, row: Progress, limit: int) -> Chunk | None:
    """Return where the next chunk of this many charges ends; None when there are no more."""
    found = await read.fetchrow(
        END, row.sp_id, row.service_id, row.wrong_fen, row.from_at, row.until_at, row.cursor_at,
        row.cursor_id, row.lane, row.lanes, limit,
    )  # fmt: skip
    return None if found is None else Chunk(*found)


BEGIN_HEADS = f"""
    INSERT INTO journal_head (msisdn, seq, sha256, at)
    SELECT msisdn, 0, ''::bytea, $12 FROM (SELECT DISTINCT c.msisdn {_WINDOW} {_TO_ITS_END}) n
     ORDER BY msisdn
    ON CONFLICT DO NOTHING
"""
HOLD_HEADS = f"""
    SELECT count(*) FROM (
        SELECT FROM journal_head WHERE msisdn IN (SELECT c.msisdn {_WINDOW} {_TO_ITS_END})
         ORDER BY msisdn FOR UPDATE) held
"""


async def hold_heads(tx: Connection, row: Progress, chunk: Chunk, *, now: datetime) -> None:
    """Take the ends of the chunk's chains for this transaction, in the order of their keys.

    Whoever refunds takes them first, so nobody else refunds these numbers until it ends.
    """
    window = (
        row.sp_id, row.service_id, row.wrong_fen, row.from_at, row.until_at, row.cursor_at,
        row.cursor_id, row.lane, row.lanes, chunk.at, chunk.id,
    )  # fmt: skip
    await tx.execute(BEGIN_HEADS, *window, now)
    await tx.fetchval(HOLD_HEADS, *window)


REFUND = f"""
    WITH RECURSIVE part AS MATERIALIZED (
        SELECT c.msisdn, c.id AS charge_id, c.charged_at, c.sp_id, c.price_fen AS charged_fen,
               LEAST($12::bigint, f.due_fen) AS due_fen, COALESCE(t.round, 0) + 1 AS round,
               COALESCE(t.principal_fen, 0) AS had_principal_fen,
               COALESCE(t.compensation_fen, 0) AS had_compensation_fen,
               COALESCE(t.honoured_due_fen, c.price_fen) AS honoured_due_fen
          FROM (SELECT * {_WINDOW} {_TO_ITS_END}) c
         CROSS JOIN LATERAL (SELECT min(due_fen) AS due_fen FROM charge_finding
                              WHERE msisdn = c.msisdn AND charge_id = c.id) f
          LEFT JOIN LATERAL (
               SELECT principal_fen, compensation_fen, honoured_due_fen,
                      (SELECT max(k.round) FROM claim k
                        WHERE k.msisdn = c.msisdn AND k.charge_id = c.id
                          AND k.state = 'refunded') AS round
                 FROM refund_total WHERE msisdn = c.msisdn AND charge_id = c.id OFFSET 0) t ON true
    ), owed AS MATERIALIZED (
        SELECT p.*, gen_random_uuid() AS id,
               GREATEST(0, charged_fen - due_fen - had_principal_fen) AS principal_fen,
               GREATEST(0, LEAST((charged_fen - due_fen) * $13::bigint, $14::bigint)
                           - had_compensation_fen) AS compensation_fen
          FROM part p WHERE due_fen < honoured_due_fen
    ), booked AS MATERIALIZED (
        SELECT o.*, principal_fen + compensation_fen AS refunded_fen,
               hashed_id('posting:' || charge_id::text || ':principal:' || round::text)
                   AS principal_id,
               hashed_id('posting:' || charge_id::text || ':compensation:' || round::text)
                   AS compensation_id,
               CASE WHEN s.sp_fen > 0 THEN hashed_id(
                   'unwind:' || charge_id::text || ':sp_payable:' || round::text) END AS sp_share_id,
               CASE WHEN s.operator_fen > 0 THEN hashed_id(
                   'unwind:' || charge_id::text || ':operator_share:' || round::text) END
                   AS operator_share_id,
               GREATEST(0, s.sp_fen) AS sp_share_fen,
               GREATEST(0, s.operator_fen) AS operator_share_fen,
               row_number() OVER (PARTITION BY msisdn ORDER BY charged_at, charge_id) AS n
          FROM owed o
         CROSS JOIN LATERAL (
               SELECT COALESCE(sum(amount_fen) FILTER (WHERE debit = 'subscriber_balance'
                                                   AND credit = 'sp_payable'), 0)::bigint
                          * (o.had_principal_fen + o.principal_fen) / o.charged_fen
                      - COALESCE(sum(amount_fen) FILTER (WHERE debit = 'sp_payable'
                                                   AND credit = 'sp_receivable'), 0)::bigint
                          AS sp_fen,
                      COALESCE(sum(amount_fen) FILTER (WHERE debit = 'subscriber_balance'
                                                   AND credit = 'operator_share'), 0)::bigint
                          * (o.had_principal_fen + o.principal_fen) / o.charged_fen
                      - COALESCE(sum(amount_fen) FILTER (WHERE debit = 'operator_share'
                                                   AND credit = 'sp_receivable'), 0)::bigint
                          AS operator_fen
                 FROM posting
                WHERE msisdn = o.msisdn AND charge_id = o.charge_id
                  AND o.principal_fen > 0 AND $15::text = 'sp') s
         WHERE principal_fen + compensation_fen > 0
    ), told AS (
        SELECT b.*, h.seq + b.n AS seq, h.sha256 AS head,
               refunded_fen + sp_share_fen + operator_share_fen AS amount_fen,
               (principal_fen > 0)::int + (compensation_fen > 0)::int + (sp_share_fen > 0)::int
                   + (operator_share_fen > 0)::int AS lines,
               concat_ws(',',
                   CASE WHEN principal_fen > 0 THEN journal_line(
                       principal_id, $16, 'subscriber_payable', sp_id, principal_fen,
                       'refund_principal', NULL) END,
                   CASE WHEN compensation_fen > 0 THEN journal_line(
                       compensation_id, $17, 'subscriber_payable', sp_id, compensation_fen,
                       'refund_compensation', NULL) END,
                   CASE WHEN sp_share_fen > 0 THEN journal_line(
                       sp_share_id, 'sp_payable', 'sp_receivable', sp_id, sp_share_fen,
                       'unwind_sp_share', NULL) END,
                   CASE WHEN operator_share_fen > 0 THEN journal_line(
                       operator_share_id, 'operator_share', 'sp_receivable', sp_id,
                       operator_share_fen, 'unwind_operator_share', NULL) END) AS lines_text
          FROM booked b JOIN journal_head h ON h.msisdn = b.msisdn
    ), entry AS MATERIALIZED (
        SELECT msisdn, id, charge_id, seq, n, head, lines, amount_fen,
               journal_text(msisdn, seq, id, 'refund', charge_id, NULL, amount_fen, $18, lines_text,
                            $19) AS text
          FROM told
    ), chained AS (
        SELECT e.*, e.head AS prev, sha256(e.head || e.text) AS sha FROM entry e WHERE e.n = 1
        UNION ALL
        SELECT e.*, c.sha, sha256(c.sha || e.text)
          FROM chained c JOIN entry e ON e.msisdn = c.msisdn AND e.n = c.n + 1
    ), claimed AS (
        INSERT INTO claim (msisdn, id, charge_id, charged_at, sp_id, source, reason, state,
                           charged_fen, due_fen, round, cause, opened_at, opened_by)
        SELECT msisdn, id, charge_id, charged_at, sp_id, 'batch', $20, 'refunded', charged_fen,
               due_fen, round, $21, $18, $19
          FROM owed ORDER BY msisdn, charge_id
    ), totalled AS (
        INSERT INTO refund_total (msisdn, charge_id, charged_fen, refunded_fen, principal_fen,
                                  compensation_fen, honoured_due_fen)
        SELECT msisdn, charge_id, charged_fen, principal_fen + compensation_fen, principal_fen,
               compensation_fen, due_fen
          FROM owed WHERE round = 1 ORDER BY msisdn, charge_id
    ), added AS (
        UPDATE refund_total t
           SET refunded_fen = t.refunded_fen + o.principal_fen + o.compensation_fen,
               principal_fen = t.principal_fen + o.principal_fen,
               compensation_fen = t.compensation_fen + o.compensation_fen,
               honoured_due_fen = LEAST(t.honoured_due_fen, o.due_fen)
          FROM owed o
         WHERE o.round > 1 AND t.msisdn = o.msisdn AND t.charge_id = o.charge_id
    ), paid AS (
        INSERT INTO refund (msisdn, charge_id, kind, round, claim_id, sp_id, amount_fen, at, bearer)
        SELECT b.msisdn, b.charge_id, l.kind, b.round, b.id, b.sp_id, l.fen, $18, $15
          FROM booked b CROSS JOIN LATERAL (VALUES ('principal', principal_fen),
                                                   ('compensation', compensation_fen)) l (kind, fen)
         WHERE l.fen > 0
    ), entered AS (
        INSERT INTO journal_entry (msisdn, id, seq, kind, charge_id, lines, amount_fen, at, actor,
                                   prev_sha256, sha256)
        SELECT msisdn, id, seq, 'refund', charge_id, lines, amount_fen, $18, $19, prev, sha
          FROM chained
    ), posted AS (
        INSERT INTO posting (msisdn, id, entry_id, line_no, of_lines, debit, credit, sp_id,
                             amount_fen, reason, charge_id, at, actor)
        SELECT b.msisdn, l.id, b.id, row_number() OVER (PARTITION BY b.msisdn, b.n ORDER BY l.no),
               (principal_fen > 0)::int + (compensation_fen > 0)::int + (sp_share_fen > 0)::int
                   + (operator_share_fen > 0)::int,
               l.debit, l.credit, b.sp_id, l.fen, l.reason, b.charge_id, $18, $19
          FROM booked b CROSS JOIN LATERAL (VALUES
               (1, principal_id, principal_fen, $16::text, 'subscriber_payable',
                'refund_principal'),
               (2, compensation_id, compensation_fen, $17::text, 'subscriber_payable',
                'refund_compensation'),
               (3, sp_share_id, sp_share_fen, 'sp_payable', 'sp_receivable', 'unwind_sp_share'),
               (4, operator_share_id, operator_share_fen, 'operator_share', 'sp_receivable',
                'unwind_operator_share')) l (no, id, fen, debit, credit, reason)
         WHERE l.fen > 0
    ), queued AS (
        INSERT INTO payout (msisdn, id, charge_id, round, charged_at, sp_id, amount_fen, state,
                            due_at, queued_at)
        SELECT msisdn, hashed_id('payout:' || charge_id::text || ':' || round::text), charge_id,
               round, charged_at, sp_id, refunded_fen, 'queued', $18, $18
          FROM booked
    ), moved AS (
        UPDATE journal_head h SET seq = c.seq, sha256 = c.sha, at = $18
          FROM (SELECT DISTINCT ON (msisdn) msisdn, seq, sha FROM chained
                 ORDER BY msisdn, n DESC) c
         WHERE h.msisdn = c.msisdn
    ), people AS (
        INSERT INTO mass_correction_person AS p (msisdn, correction_id, charges, amount_fen)
        SELECT msisdn, $22, count(*), sum(principal_fen + compensation_fen)::bigint FROM owed
         GROUP BY msisdn ORDER BY msisdn
        ON CONFLICT (msisdn, correction_id) DO UPDATE
           SET charges = p.charges + EXCLUDED.charges,
               amount_fen = p.amount_fen + EXCLUDED.amount_fen
    )
    UPDATE mass_correction_lane
       SET cursor_at = $10, cursor_id = $11, charges_done = charges_done + seen.charges,
           refunded = mass_correction_lane.refunded + sums.refunded,
           refunded_fen = mass_correction_lane.refunded_fen + sums.fen
      FROM (SELECT count(*) AS charges FROM part) seen,
           (SELECT count(*) AS refunded,
                   COALESCE(sum(principal_fen + compensation_fen), 0)::bigint AS fen FROM owed) sums
     WHERE correction_id = $22 AND lane = $8
    RETURNING seen.charges
"""
WAKE = "SELECT pg_notify('spms_work', 'payout')"


async def refund(
    tx: Connection,
    row: Progress,
    chunk: Chunk,
    rules: CompensationRules,
    *,
    actor: str,
    now: datetime,
) -> int:
    """Refund what is missing of each charge of the chunk, book it, queue what it pays.

    The chains' heads are held. Returns how many charges were looked at: another number than the
    chunk's means that a charge landed in it meanwhile, and the transaction must not stand.
    """
    seen: int = await tx.fetchval(
        REFUND, row.sp_id, row.service_id, row.wrong_fen, row.from_at, row.until_at, row.cursor_at,
        row.cursor_id, row.lane, row.lanes, chunk.at, chunk.id, row.due_fen, rules.multiplier - 1,
        rules.compensation_cap_fen, row.bearer, PRINCIPAL[row.bearer].debit,
        COMPENSATION[row.bearer].debit, now, actor, row.reason, row.cause, row.id,
    )  # fmt: skip
    await tx.execute(WAKE)
    return seen
