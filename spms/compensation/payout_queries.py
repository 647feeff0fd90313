"""Statements about payouts. Writes `payout` and `payout_query`."""

from datetime import datetime, timedelta
from uuid import UUID

from spms.compensation.gateways import Answer, Payout
from spms.compensation.model import Opening
from spms.core.db import Connection, many
from spms.core.ids import hashed_id, new_id

ENQUEUE = """
    WITH queued AS (
        INSERT INTO payout (msisdn, id, charge_id, round, charged_at, sp_id, amount_fen, state,
                            due_at, queued_at)
        SELECT msisdn, id, charge_id, round, charged_at, sp_id, amount_fen, 'queued', $7, $7
          FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::integer[], $5::uuid[], $6::bigint[],
                      $8::timestamptz[])
            AS p (msisdn, id, charge_id, round, sp_id, amount_fen, charged_at)
        RETURNING 1)
    SELECT pg_notify('spms_work', 'payout') FROM queued LIMIT 1
"""


async def enqueue(tx: Connection, openings: list[Opening], *, now: datetime) -> None:
    """Queue what each refund round pays; the id follows from charge and round."""
    about = [opening.disputed for opening in openings]
    await tx.execute(
        ENQUEUE,
        [charge.msisdn for charge in about],
        [hashed_id("payout", one.disputed.charge_id, one.round) for one in openings],
        [charge.charge_id for charge in about],
        [opening.round for opening in openings],
        [charge.sp_id for charge in about],
        [sum(line.booking.amount_fen for line in opening.lines) for opening in openings],
        now,
        [charge.charged_at for charge in about],
    )


# What a claim brought is debited again: all of its credit, or its part of a joint one.
TAKE_BACK = """
    WITH queued AS (
        INSERT INTO payout (msisdn, id, charge_id, round, charged_at, sp_id, amount_fen, state,
                            due_at, queued_at, takes_back)
        SELECT k.msisdn, $3, k.charge_id, k.round, p.charged_at, k.sp_id,
               k.principal_fen + k.compensation_fen, 'queued', $4, $4, p.id
          FROM claim k
          JOIN payout p ON p.msisdn = k.msisdn AND p.takes_back IS NULL
                       AND (p.joint_id = k.joint_id
                            OR (p.charge_id = k.charge_id AND p.round = k.round))
         WHERE k.msisdn = $1 AND k.id = $2 AND p.state = 'settled'
        RETURNING 1)
    SELECT pg_notify('spms_work', 'payout') FROM queued LIMIT 1
"""


async def take_back(
    tx: Connection, msisdn: str, claim_id: UUID, debit_id: UUID, *, now: datetime
) -> None:
    """Queue the debit that takes what a claim brought off the bill again; once, its key says."""
    await tx.execute(TAKE_BACK, msisdn, claim_id, debit_id, now)


# The claims that a payout `p` pays, or of a debit the one that it takes back: one by its key, or those of
# a joint one among the number's.
CLAIMS = """(
               SELECT msisdn, charge_id, round, charged_at, principal_fen, compensation_fen FROM claim
                WHERE p.joint_id IS NULL
                  AND msisdn = p.msisdn AND charge_id = p.charge_id AND round = p.round
               UNION ALL
               SELECT msisdn, charge_id, round, charged_at, principal_fen, compensation_fen FROM claim
                WHERE p.joint_id IS NOT NULL AND msisdn = p.msisdn AND joint_id = p.joint_id) k"""
ABOUT = f"""
           COALESCE((SELECT jsonb_agg(jsonb_build_object(
                       'id', k.charge_id, 'charged_at', k.charged_at,
                       'amount_fen', k.principal_fen + k.compensation_fen)
                       ORDER BY k.charged_at, k.charge_id) FROM {CLAIMS}), '[]') AS charges,
           COALESCE((SELECT sum(k.principal_fen) FROM {CLAIMS}), 0)::bigint AS principal_fen,
           COALESCE((SELECT sum(b.points) FROM {CLAIMS}
                       JOIN points_taken_back b ON b.msisdn = k.msisdn AND b.charge_id = k.charge_id
                                               AND b.round = k.round), 0)::bigint AS points,
           EXISTS (SELECT FROM payout c WHERE c.msisdn = p.msisdn AND c.id = p.takes_back
                                          AND c.joint_id IS NOT NULL) AS is_part
"""
TAKE = f"""
    WITH due AS (
        SELECT msisdn, id, state FROM payout
         WHERE state IN ('queued', 'sending', 'unknown') AND due_at <= $1
         ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE payout p
       SET state = CASE d.state WHEN 'queued' THEN 'sending' ELSE 'unknown' END,
           attempts = p.attempts + 1, due_at = $1::timestamptz + $3::interval
      FROM due d WHERE p.msisdn = d.msisdn AND p.id = d.id
    RETURNING p.msisdn, p.id, p.charge_id, p.round, p.charged_at, p.sp_id, p.amount_fen,
              p.attempts, d.state <> 'queued' AS ask, p.takes_back, {ABOUT}
"""


async def take(tx: Connection, *, now: datetime, limit: int, lease: timedelta) -> list[Payout]:
    """Lease payouts: fresh ones to be sent, and those of unknown outcome to be asked about.

    One that was being sent when its lease ended is of unknown outcome: its courier died.
    """
    return many(Payout, await tx.fetch(TAKE, now, limit, lease))


ENDED = """
    UPDATE payout p
       SET state = e.state, due_at = e.due_at, detail = e.detail,
           ended_at = CASE WHEN e.state IN ('settled', 'refused') THEN $1::timestamptz END
      FROM unnest($2::text[], $3::uuid[], $4::text[], $5::timestamptz[], $6::text[], $7::text[])
        AS e (msisdn, id, state, due_at, detail, before)
     WHERE p.msisdn = e.msisdn AND p.id = e.id AND p.state = e.before
    RETURNING p.msisdn, p.id
"""
ASKED = """
    INSERT INTO payout_query (msisdn, payout_id, asked_at, id, answer)
    SELECT msisdn, payout_id, $5, id, answer
      FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[])
        AS q (msisdn, payout_id, id, answer)
"""
STATES = {Answer.DONE: "settled", Answer.REFUSED: "refused", Answer.NOT_DONE: "queued"}


async def record(
    tx: Connection, ended: list[tuple[Payout, Answer]], *, now: datetime, ask_again: timedelta
) -> list[Payout]:
    """Keep what the gateway answered; return the payouts that are settled by it.

    Only an answer moves a payout out of `unknown`, and the question is kept with it. One that was
    certainly not done is sent again.
    """
    asked = [(payout, answer) for payout, answer in ended if payout.ask]
    await tx.execute(
        ASKED,
        [payout.msisdn for payout, _ in asked],
        [payout.id for payout, _ in asked],
        [new_id() for _ in asked],
        [answer for _, answer in asked],
        now,
    )
    rows = await tx.fetch(
        ENDED,
        now,
        [payout.msisdn for payout, _ in ended],
        [payout.id for payout, _ in ended],
        [STATES.get(answer, "unknown") for _, answer in ended],
        [now if answer is Answer.NOT_DONE else now + ask_again for _, answer in ended],
        [answer for _, answer in ended],
        ["unknown" if payout.ask else "sending" for payout, _ in ended],
    )
    moved = {row["id"] for row in rows}
    return [one for one, answer in ended if answer is Answer.DONE and one.id in moved]
