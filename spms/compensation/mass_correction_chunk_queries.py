"""A chunk of a mass correction as statements over sets: nothing of a charge leaves the database.

Writes what `refunding.refund` writes, by the same rules (`rules.judge`, `rules.outstanding`,
`refunding.share_to_unwind`, `journal_queries.POST`), but what several charges bring one person is one
entry and one credit (docs/decisions/0013); a test holds the two against each other.
"""

from datetime import datetime

from spms.compensation.accounts import COMPENSATION, PRINCIPAL
from spms.compensation.mass_correction_model import Progress
from spms.compensation.model import CompensationRules
from spms.core.db import Connection
from spms.core.rulebook import InForce

# A chunk: the listed charges of the numbers after $2 and up to $3.
_CHUNK = """
      FROM mass_correction_charge c WHERE c.correction_id = $1 AND c.msisdn > $2 AND c.msisdn <= $3
"""
END = f"SELECT c.msisdn {_CHUNK} ORDER BY c.msisdn OFFSET $4 LIMIT 1"


async def end(read: Connection, row: Progress, limit: int) -> str:
    """Return the number that ends the next chunk of so many charges; nobody is split over two."""
    found: str | None = await read.fetchval(
        END, row.id, row.after_number, row.until_number, limit - 1
    )
    return found or row.until_number


BEGIN_HEADS = f"""
    INSERT INTO journal_head (msisdn, seq, sha256, at)
    SELECT msisdn, 0, ''::bytea, $4 FROM (SELECT DISTINCT c.msisdn {_CHUNK}) n ORDER BY msisdn
    ON CONFLICT DO NOTHING
"""
HOLD_HEADS = f"""
    SELECT count(*) FROM (
        SELECT FROM journal_head WHERE msisdn IN (SELECT c.msisdn {_CHUNK})
         ORDER BY msisdn FOR UPDATE) held
"""


async def hold_heads(tx: Connection, row: Progress, until: str, *, now: datetime) -> None:
    """Take the ends of the chunk's chains for this transaction, in the order of their keys.

    Whoever refunds takes them first, so nobody else refunds these numbers until it ends.
    """
    chunk = (row.id, row.after_number, until)
    await tx.execute(BEGIN_HEADS, *chunk, now)
    await tx.fetchval(HOLD_HEADS, *chunk)


# A joint refund's id is a hash of its claims and of what each pays: the chain that has it holds them too.
PART = """charge_id::text || ':' || round::text || ':' || principal_fen::text || ':'
           || compensation_fen::text"""
# Charges of the number's present holder of which nothing was shared out by itself.
_PLAIN = """(s.sp_fen <= 0 AND s.operator_fen <= 0 AND o.principal_fen + o.compensation_fen > 0
                AND (o.charged_at >= h.epoch_since) IS TRUE)"""
_WHOLE = """WINDOW whole AS (PARTITION BY msisdn, joint ORDER BY charge_id
                                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"""
# What is worked off is taken off the list with it: nothing is left to clear away when a lane ends.
REFUND = f"""
    WITH taken AS (
        DELETE {_CHUNK} RETURNING c.msisdn, c.charge_id, c.charged_at
    ), part AS MATERIALIZED (
        SELECT c.msisdn, c.charge_id, c.charged_at, $15::uuid AS sp_id, $16::bigint AS charged_fen,
               LEAST($4::bigint, f.due_fen) AS due_fen, COALESCE(t.round, 0) + 1 AS round,
               COALESCE(t.principal_so_far_fen, 0) AS had_principal_fen,
               COALESCE(t.compensation_so_far_fen, 0) AS had_compensation_fen,
               COALESCE(t.honoured_due_fen, $16) AS honoured_due_fen
          FROM taken c
         CROSS JOIN LATERAL (SELECT min(due_fen) AS due_fen FROM charge_finding
                              WHERE msisdn = c.msisdn AND charge_id = c.charge_id) f
          LEFT JOIN LATERAL (
               SELECT round, principal_so_far_fen, compensation_so_far_fen, honoured_due_fen
                 FROM claim
                WHERE msisdn = c.msisdn AND charge_id = c.charge_id AND round > 0
                ORDER BY round DESC LIMIT 1) t ON true
    ), owed AS MATERIALIZED (
        SELECT p.*, hashed_id('claim:' || charge_id::text || ':' || round::text) AS id,
               GREATEST(0, charged_fen - due_fen - had_principal_fen) AS principal_fen,
               GREATEST(0, LEAST((charged_fen - due_fen) * $5::bigint, $6::bigint)
                           - had_compensation_fen) AS compensation_fen
          FROM part p WHERE due_fen < honoured_due_fen
    ), shared AS (
        SELECT o.*, GREATEST(0, s.sp_fen) AS sp_share_fen,
               GREATEST(0, s.operator_fen) AS operator_share_fen,
               count(*) FILTER (WHERE {_PLAIN}) OVER (PARTITION BY o.msisdn) > 1 AND {_PLAIN} AS joint
          FROM owed o
          LEFT JOIN number h ON h.msisdn = o.msisdn
         CROSS JOIN LATERAL (
               SELECT COALESCE(sum(p.amount_fen) FILTER (WHERE debit = 'subscriber_balance'
                                                   AND credit = 'sp_payable'), 0)::bigint
                          * (o.had_principal_fen + o.principal_fen) / o.charged_fen
                      - COALESCE(sum(p.amount_fen) FILTER (WHERE debit = 'sp_payable'
                                                   AND credit = 'sp_receivable'), 0)::bigint
                          AS sp_fen,
                      COALESCE(sum(p.amount_fen) FILTER (WHERE debit = 'subscriber_balance'
                                                   AND credit = 'operator_share'), 0)::bigint
                          * (o.had_principal_fen + o.principal_fen) / o.charged_fen
                      - COALESCE(sum(p.amount_fen) FILTER (WHERE debit = 'operator_share'
                                                   AND credit = 'sp_receivable'), 0)::bigint
                          AS operator_fen
                 FROM (SELECT id FROM journal_entry
                        WHERE msisdn = o.msisdn AND charge_id = o.charge_id AND kind <> 'refund'
                       UNION ALL
                       SELECT id FROM claim
                        WHERE msisdn = o.msisdn AND charge_id = o.charge_id AND o.round > 1
                          AND round < o.round) e
                 JOIN posting p ON p.msisdn = o.msisdn AND p.entry_id = e.id
                WHERE o.principal_fen > 0 AND $7::text = 'sp') s
    ), booked AS MATERIALIZED (
        SELECT j.*, first_value(first_joint_id) OVER whole AS joint_id
          FROM (SELECT s.*, CASE WHEN joint AND row_number() OVER whole = 1
                                 THEN hashed_id('joint:' || string_agg({PART}, ',') OVER whole) END
                                AS first_joint_id
                  FROM shared s {_WHOLE}) j {_WHOLE}
    ), paid AS (
        SELECT msisdn, id, NULL::uuid AS joint_id, charge_id, round, charged_at, principal_fen,
               compensation_fen, sp_share_fen, operator_share_fen
          FROM booked WHERE NOT joint AND principal_fen + compensation_fen > 0
         UNION ALL
        SELECT msisdn, joint_id, joint_id, NULL, NULL, max(charged_at), sum(principal_fen)::bigint,
               sum(compensation_fen)::bigint, 0, 0
          FROM booked WHERE joint GROUP BY msisdn, joint_id
    ), counted AS MATERIALIZED (
        SELECT p.*, $15::uuid AS sp_id, principal_fen + compensation_fen AS refunded_fen,
               md5('compensation:' || id::text)::uuid AS compensation_id,
               CASE WHEN sp_share_fen > 0 THEN gen_random_uuid() END AS sp_share_id,
               CASE WHEN operator_share_fen > 0 THEN gen_random_uuid() END AS operator_share_id,
               (principal_fen > 0)::int + (compensation_fen > 0)::int
                   + (sp_share_fen > 0)::int + (operator_share_fen > 0)::int AS lines,
               (sp_share_fen > 0)::int + (operator_share_fen > 0)::int AS shares,
               row_number() OVER chain AS n, count(*) OVER (PARTITION BY msisdn) AS of
          FROM paid p WINDOW chain AS (PARTITION BY msisdn ORDER BY charged_at, id)
    ), told AS (
        SELECT b.*, h.seq + b.n AS seq, h.sha256 AS head,
               refunded_fen + sp_share_fen + operator_share_fen AS amount_fen,
               concat_ws(',',
                   CASE WHEN principal_fen > 0 THEN journal_line(
                       id, $8, 'subscriber_payable', sp_id, principal_fen,
                       'refund_principal', NULL) END,
                   CASE WHEN compensation_fen > 0 THEN journal_line(
                       compensation_id, $9, 'subscriber_payable', sp_id, compensation_fen,
                       'refund_compensation', NULL) END,
                   CASE WHEN sp_share_fen > 0 THEN journal_line(
                       sp_share_id, 'sp_payable', 'sp_receivable', sp_id, sp_share_fen,
                       'unwind_sp_share', NULL) END,
                   CASE WHEN operator_share_fen > 0 THEN journal_line(
                       operator_share_id, 'operator_share', 'sp_receivable', sp_id,
                       operator_share_fen, 'unwind_operator_share', NULL) END) AS lines_text
          FROM counted b JOIN journal_head h ON h.msisdn = b.msisdn
    ), linked AS (
        SELECT t.*, journal_chain(head, journal_text(
                   msisdn, seq, id, 'refund', charge_id, NULL, amount_fen, $10, lines_text, $11))
                   OVER (PARTITION BY msisdn ORDER BY n) AS sha
          FROM told t
    ), entry AS MATERIALIZED (
        SELECT msisdn, id, charge_id, seq, n, of, lines, amount_fen, sha,
               lag(sha, 1, head) OVER (PARTITION BY msisdn ORDER BY n) AS prev
          FROM linked
    ), claimed AS (
        INSERT INTO claim (msisdn, id, charge_id, charged_at, sp_id, source, reason, state,
                           charged_fen, due_fen, round, cause, opened_at, opened_by, bearer,
                           principal_fen, compensation_fen, principal_so_far_fen,
                           compensation_so_far_fen, honoured_due_fen, second_bearer,
                           rulebook_version, joint_id)
        SELECT msisdn, id, charge_id, charged_at, sp_id, 'batch', $12, 'refunded', charged_fen,
               due_fen, round, $13, $10, $11, $7, principal_fen, compensation_fen,
               had_principal_fen + principal_fen, had_compensation_fen + compensation_fen, due_fen,
               $17::text, $18::integer, joint_id
          FROM booked ORDER BY msisdn, charge_id
    ), entered AS (
        INSERT INTO journal_entry (msisdn, id, seq, kind, charge_id, lines, amount_fen, at, actor,
                                   prev_sha256, sha256)
        SELECT msisdn, id, seq, 'refund', charge_id, lines, amount_fen, $10, $11, prev, sha
          FROM entry
    ), posted AS (
        INSERT INTO posting (msisdn, id, entry_id, line_no, of_lines, debit, credit, sp_id,
                             amount_fen, reason, charge_id, at, actor)
        SELECT msisdn, id, id, 1, lines, $8, 'subscriber_payable', sp_id,
               principal_fen, 'refund_principal', charge_id, $10, $11
          FROM counted WHERE principal_fen > 0
         UNION ALL
        SELECT msisdn, compensation_id, id, lines - shares, lines, $9, 'subscriber_payable', sp_id,
               compensation_fen, 'refund_compensation', charge_id, $10, $11
          FROM counted WHERE compensation_fen > 0
         UNION ALL
        SELECT msisdn, sp_share_id, id, lines - shares + 1, lines, 'sp_payable', 'sp_receivable', sp_id,
               sp_share_fen, 'unwind_sp_share', charge_id, $10, $11
          FROM counted WHERE sp_share_fen > 0
         UNION ALL
        SELECT msisdn, operator_share_id, id, lines, lines, 'operator_share', 'sp_receivable', sp_id,
               operator_share_fen, 'unwind_operator_share', charge_id, $10, $11
          FROM counted WHERE operator_share_fen > 0
    ), queued AS (
        INSERT INTO payout (msisdn, id, charge_id, round, joint_id, charged_at, sp_id, amount_fen,
                            state, due_at, queued_at)
        SELECT msisdn,
               hashed_id('payout:' || COALESCE(joint_id::text, charge_id::text || ':' || round::text)),
               charge_id, round, joint_id, charged_at, sp_id, refunded_fen, 'queued', $10, $10
          FROM counted
    ), moved AS (
        UPDATE journal_head h SET seq = c.seq, sha256 = c.sha, at = $10
          FROM entry c WHERE c.n = c.of AND h.msisdn = c.msisdn
    ), people AS (
        INSERT INTO mass_correction_person AS p (msisdn, correction_id, charges, amount_fen)
        SELECT msisdn, $1, count(*), sum(principal_fen + compensation_fen)::bigint FROM owed
         GROUP BY msisdn ORDER BY msisdn
        ON CONFLICT (msisdn, correction_id) DO UPDATE
           SET charges = p.charges + EXCLUDED.charges,
               amount_fen = p.amount_fen + EXCLUDED.amount_fen
    )
    UPDATE mass_correction_lane
       SET after_number = $3, charges_done = charges_done + seen.charges,
           refunded = mass_correction_lane.refunded + sums.refunded,
           refunded_fen = mass_correction_lane.refunded_fen + sums.fen
      FROM (SELECT count(*) AS charges FROM part) seen,
           (SELECT count(*) AS refunded,
                   COALESCE(sum(principal_fen + compensation_fen), 0)::bigint AS fen FROM owed) sums
     WHERE correction_id = $1 AND lane = $14
    RETURNING seen.charges
"""
WAKE = "SELECT pg_notify('spms_work', 'payout')"


async def refund(
    tx: Connection,
    row: Progress,
    until: str,
    in_force: InForce[CompensationRules],
    *,
    actor: str,
    now: datetime,
) -> int:
    """Refund what is missing of each charge of the chunk, book it, queue what it pays.

    The chains' heads are held. Returns how many charges were looked at.
    """
    version, rules = in_force
    seen: int = await tx.fetchval(
        REFUND, row.id, row.after_number, until, row.due_fen, rules.multiplier - 1,
        rules.compensation_cap_fen, row.bearer, PRINCIPAL[row.bearer].debit,
        COMPENSATION[row.second_bearer].debit, now, actor, row.reason, row.cause, row.lane, row.sp_id,
        row.wrong_fen, row.second_bearer, version,
    )  # fmt: skip
    await tx.execute(WAKE)
    return seen
