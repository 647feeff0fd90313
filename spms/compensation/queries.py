"""Statements on disputes, claims and refunds. Writes `claim` only.

The book's statements are in `journal_queries`, what is shown of claims in `claim_queries`.
"""

from datetime import datetime
from uuid import UUID

from spms.compensation.model import Disputed, Opening, RefundKind, Source
from spms.core.db import Connection, many, one

DISPUTED = """
    SELECT c.msisdn, c.id AS charge_id, c.charged_at, c.sp_id, s.name AS service_name,
           c.price_fen AS charged_fen, n.epoch, n.epoch_since, n.state AS number_state, n.language,
           COALESCE((SELECT jsonb_agg(jsonb_build_object('kind', f.kind, 'due_fen', f.due_fen))
                       FROM charge_finding f
                      WHERE f.msisdn = c.msisdn AND f.charge_id = c.id), '[]') AS faults,
           COALESCE((SELECT max(k.round) FROM claim k
                      WHERE k.msisdn = c.msisdn AND k.charge_id = c.id), 0) AS round,
           COALESCE(t.principal_fen, 0) AS principal_fen,
           COALESCE(t.compensation_fen, 0) AS compensation_fen,
           COALESCE(t.honoured_due_fen, c.price_fen) AS honoured_due_fen
      FROM charge_record c
      JOIN service s ON s.id = c.service_id
      LEFT JOIN number n ON n.msisdn = c.msisdn
      LEFT JOIN refund_total t ON t.msisdn = c.msisdn AND t.charge_id = c.id
     WHERE c.msisdn = ANY($1::text[]) AND c.id = ANY($2::uuid[])
"""


async def disputed_many(
    read: Connection, msisdns: list[str], charge_ids: list[UUID]
) -> list[Disputed]:
    """Load charges of some numbers with everything found about them so far."""
    return many(Disputed, await read.fetch(DISPUTED, msisdns, charge_ids))


async def disputed(read: Connection, msisdn: str, charge_id: UUID) -> Disputed | None:
    """Load one number's charge with everything found about it so far."""
    return one(Disputed, await read.fetchrow(DISPUTED, [msisdn], [charge_id]))


# Walks findings and claims side by side in the order of their keys. Each charge is fetched by its
# own key (OFFSET keeps the planner from joining all charges first), so a batch stops at its limit.
OPEN_FINDINGS = """
    SELECT open.msisdn, open.charge_id, open.charged_at, c.sp_id, s.name AS service_name,
           c.price_fen AS charged_fen, n.epoch, n.epoch_since, n.state AS number_state, n.language,
           open.faults, COALESCE(k.round, 0) AS round,
           COALESCE(t.principal_fen, 0) AS principal_fen,
           COALESCE(t.compensation_fen, 0) AS compensation_fen,
           COALESCE(t.honoured_due_fen, c.price_fen) AS honoured_due_fen
      FROM (SELECT f.msisdn, f.charge_id, min(f.charged_at) AS charged_at,
                   min(f.due_fen) AS due_fen,
                   jsonb_agg(jsonb_build_object('kind', f.kind, 'due_fen', f.due_fen)) AS faults
              FROM charge_finding f
             WHERE NOT EXISTS (
                       SELECT FROM refund_total t
                        WHERE t.msisdn = f.msisdn AND t.charge_id = f.charge_id
                          AND t.honoured_due_fen <= f.due_fen)
             GROUP BY f.msisdn, f.charge_id
             ORDER BY f.msisdn, f.charge_id) open
     CROSS JOIN LATERAL (
           SELECT sp_id, service_id, price_fen FROM charge_record
            WHERE msisdn = open.msisdn AND charged_at = open.charged_at AND id = open.charge_id
              AND price_fen > open.due_fen
           OFFSET 0) c
     CROSS JOIN LATERAL (SELECT name FROM service WHERE id = c.service_id OFFSET 0) s
      LEFT JOIN LATERAL (
           SELECT epoch, epoch_since, state, language FROM number
            WHERE msisdn = open.msisdn OFFSET 0) n ON true
      LEFT JOIN LATERAL (
           SELECT max(round) AS round FROM claim
            WHERE msisdn = open.msisdn AND charge_id = open.charge_id) k ON true
      LEFT JOIN LATERAL (
           SELECT principal_fen, compensation_fen, honoured_due_fen FROM refund_total
            WHERE msisdn = open.msisdn AND charge_id = open.charge_id OFFSET 0) t ON true
     ORDER BY open.msisdn, open.charge_id
     LIMIT $1
"""


async def open_findings(read: Connection, limit: int) -> list[Disputed]:
    """Load charges found worse than they were refunded for, in the order of their keys.

    The state of the rows decides, not a mark of how far the last run came: a finding whose
    transaction committed late is not passed over.
    """
    return many(Disputed, await read.fetch(OPEN_FINDINGS, limit))


REFUND = """
    INSERT INTO claim (msisdn, id, charge_id, charged_at, sp_id, source, reason, state, charged_fen,
                       due_fen, round, cause, opened_at, opened_by, bearer, principal_fen,
                       compensation_fen, principal_so_far_fen, compensation_so_far_fen,
                       honoured_due_fen, second_bearer, rulebook_version)
    SELECT msisdn, id, charge_id, charged_at, sp_id, $14, reason, 'refunded', charged_fen, due_fen,
           round, cause, $15, $16, bearer, principal_fen, compensation_fen,
           had_principal_fen + principal_fen, had_compensation_fen + compensation_fen,
           honoured_due_fen, second_bearer, rulebook_version
      FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[],
                  $6::text[], $7::bigint[], $8::bigint[], $9::integer[], $10::text[],
                  $11::bigint[], $12::bigint[], $13::bigint[], $17::text[], $18::bigint[],
                  $19::bigint[], $20::text[], $21::integer[])
        AS w (msisdn, id, charge_id, charged_at, sp_id, reason, charged_fen, due_fen, round,
              cause, honoured_due_fen, principal_fen, compensation_fen, bearer,
              had_principal_fen, had_compensation_fen, second_bearer, rulebook_version)
     ORDER BY msisdn, charge_id
    ON CONFLICT DO NOTHING
    RETURNING id
"""


async def refund(
    tx: Connection, openings: list[Opening], *, source: Source, now: datetime, actor: str
) -> set[UUID]:
    """Write claims with what they pay; return the ids of those that are the first of their round.

    A round that another claim has opened before, or opens at this moment, is left alone: the key
    of the claim decides, and waits for the other's transaction to end. What a round pays was
    reckoned from the rounds before it, so whoever lost must look again. Keys are taken in order,
    so that two batches cannot block each other. The keys of posting and payout, the key to the
    round before and the CHECK on the multiples have nothing to refuse then; they refuse loudly if
    that should ever be wrong.
    """
    about = [opening.disputed for opening in openings]
    rows = await tx.fetch(
        REFUND,
        [charge.msisdn for charge in about],
        [opening.id for opening in openings],
        [charge.charge_id for charge in about],
        [charge.charged_at for charge in about],
        [charge.sp_id for charge in about],
        [opening.reason for opening in openings],
        [charge.charged_fen for charge in about],
        [opening.due_fen for opening in openings],
        [opening.round for opening in openings],
        [opening.cause for opening in openings],
        [min(charge.honoured_due_fen, opening.honoured_due_fen)
         for charge, opening in zip(about, openings, strict=True)],
        [opening.paid_fen(RefundKind.PRINCIPAL) for opening in openings],
        [opening.paid_fen(RefundKind.COMPENSATION) for opening in openings],
        source,
        now,
        actor,
        [opening.bearers.first for opening in openings],
        [charge.principal_fen for charge in about],
        [charge.compensation_fen for charge in about],
        [opening.bearers.second for opening in openings],
        [opening.rulebook_version for opening in openings],
    )  # fmt: skip
    return {row["id"] for row in rows}


STAND = """
    INSERT INTO claim (msisdn, id, charge_id, charged_at, sp_id, source, reason, state,
                       charged_fen, due_fen, turn, opened_at, opened_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'stands', $8, $8, $9, $10, $11)
    ON CONFLICT DO NOTHING RETURNING id
"""


async def stand(
    tx: Connection,
    claim_id: UUID,
    charge: Disputed,
    *,
    turn: int,
    source: Source,
    reason: str,
    now: datetime,
    actor: str,
) -> bool:
    """Write a claim that found the charge right; False when that turn is taken."""
    made = await tx.fetchval(
        STAND, charge.msisdn, claim_id, charge.charge_id, charge.charged_at, charge.sp_id, source,
        reason, charge.charged_fen, turn, now, actor,
    )  # fmt: skip
    return made is not None
