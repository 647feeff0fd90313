"""Statements about refused payouts. Writes `payout_resolution` and ends or requeues `payout`."""

from datetime import datetime
from uuid import UUID

from spms.compensation.gateways import Payout
from spms.compensation.payout_queries import ABOUT
from spms.compensation.payout_resolution_model import (
    Outcome,
    RefusedPayout,
    Resolution,
    ResolutionState,
)
from spms.core.db import Connection, many, one

REFUSED = f"""
    SELECT p.id, p.msisdn AS number, p.sp_id, p.amount_fen, p.ended_at AS refused_at, {ABOUT},
           p.attempts, p.takes_back, r.id AS resolution_id, r.outcome, r.reason, r.proposed_by
      FROM payout p
      LEFT JOIN payout_resolution r
        ON r.msisdn = p.msisdn AND r.payout_id = p.id AND r.state = 'proposed'
     WHERE p.state = 'refused' AND ($1::uuid IS NULL OR p.id > $1)
     ORDER BY p.id LIMIT $2
"""


async def refused(read: Connection, *, after: UUID | None, limit: int) -> list[RefusedPayout]:
    """Load refused payouts in the order of their ids, with their numbers in full."""
    return many(RefusedPayout, await read.fetch(REFUSED, after, limit))


# The payout's row is held: nobody else moves it meanwhile.
PROPOSE = """
    WITH refused AS (
        SELECT msisdn, id FROM payout WHERE id = $2 AND state = 'refused' FOR UPDATE)
    INSERT INTO payout_resolution (msisdn, id, payout_id, outcome, reason, state, proposed_at,
                                   proposed_by)
    SELECT msisdn, $1, id, $3, $4, 'proposed', $5, $6 FROM refused
    ON CONFLICT DO NOTHING
    RETURNING id
"""


async def propose(
    tx: Connection,
    resolution_id: UUID,
    payout_id: UUID,
    outcome: Outcome,
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> bool:
    """Write a proposal; False when that payout is not refused, or has one that is open."""
    made = await tx.fetchval(PROPOSE, resolution_id, payout_id, outcome, reason, now, actor)
    return made is not None


KNOWN = "SELECT EXISTS (SELECT FROM payout WHERE id = $1 AND state = 'refused')"


async def is_refused(read: Connection, payout_id: UUID) -> bool:
    """Whether there is such a payout that waits for people."""
    found: bool = await read.fetchval(KNOWN, payout_id)
    return found


RESOLUTION = """
    SELECT id, payout_id, outcome, reason, state, proposed_at, proposed_by, decided_at, decided_by
      FROM payout_resolution WHERE id = $1
"""


async def resolution(read: Connection, resolution_id: UUID) -> Resolution | None:
    """Load a proposal."""
    return one(Resolution, await read.fetchrow(RESOLUTION, resolution_id))


DECIDE = """
    UPDATE payout_resolution SET state = $2, decided_at = $3, decided_by = $4
     WHERE id = $1 AND state = 'proposed' AND proposed_by <> $4
    RETURNING id
"""


async def decide(
    tx: Connection, resolution_id: UUID, state: ResolutionState, *, actor: str, now: datetime
) -> bool:
    """Agree or decline; False when that was done before, or by who proposed it."""
    return await tx.fetchval(DECIDE, resolution_id, state, now, actor) is not None


RESOLVE = f"""
    UPDATE payout p
       SET state = CASE r.outcome WHEN 'send_again' THEN 'queued' ELSE 'settled' END,
           ended_at = CASE r.outcome WHEN 'send_again' THEN NULL ELSE $2::timestamptz END,
           due_at = $2, detail = r.outcome
      FROM payout_resolution r
     WHERE r.id = $1 AND p.msisdn = r.msisdn AND p.id = r.payout_id AND p.state = 'refused'
    RETURNING p.msisdn, p.id, p.charge_id, p.round, p.charged_at, p.sp_id, p.amount_fen,
              p.attempts, false AS ask, p.takes_back, {ABOUT}
"""


async def resolve(tx: Connection, resolution_id: UUID, *, now: datetime) -> Payout | None:
    """Do what was agreed; None when the payout is not refused any more."""
    return one(Payout, await tx.fetchrow(RESOLVE, resolution_id, now))
