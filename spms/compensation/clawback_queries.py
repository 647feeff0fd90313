"""Statements about refunds that are taken back. Writes `clawback`."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from spms.compensation.clawback_model import Clawback, ClawbackRequest, ClawbackState
from spms.core.db import Connection, many

_CLAWBACK = """
    SELECT c.id, c.msisdn AS number, c.claim_id, c.charge_id, c.amount_fen, c.proof, c.reference,
           c.document_sha256, c.reason, c.state, c.proposed_at, c.proposed_by, c.decided_at,
           c.decided_by, c.reversal_id, p.state AS debit
      FROM clawback c
      LEFT JOIN payout p ON p.msisdn = c.msisdn AND p.id = hashed_id('debit:' || c.id::text)
"""
ONE = f"{_CLAWBACK} WHERE c.id = $1"
PAGE = f"""
    {_CLAWBACK}
     WHERE ($1::uuid IS NULL OR c.id > $1) ORDER BY c.id LIMIT $2
"""


async def clawback(read: Connection, clawback_id: UUID) -> Clawback | None:
    """Load one, with its number in full."""
    found = many(Clawback, await read.fetch(ONE, clawback_id))
    return found[0] if found else None


async def page(read: Connection, *, after: UUID | None, limit: int) -> list[Clawback]:
    """Load them in the order of their ids, with their numbers in full."""
    return many(Clawback, await read.fetch(PAGE, after, limit))


class Refunded(NamedTuple):
    """What a claim brought the subscriber, and whether billing has confirmed it."""

    charge_id: UUID
    round: int
    sp_id: UUID
    principal_fen: int
    compensation_fen: int
    settled: bool
    joint_id: UUID | None
    """The joint refund that it is a part of."""

    @property
    def fen(self) -> int:
        """Both multiples."""
        return self.principal_fen + self.compensation_fen


# The payout's row is held: what is settled stays so.
REFUNDED = """
    SELECT k.charge_id, k.round, k.sp_id, k.principal_fen, k.compensation_fen, p.state = 'settled' AS settled,
           k.joint_id
      FROM claim k
      JOIN payout p ON p.msisdn = k.msisdn AND p.takes_back IS NULL
                   AND (p.joint_id = k.joint_id OR (p.charge_id = k.charge_id AND p.round = k.round))
     WHERE k.msisdn = $1 AND k.id = $2 AND k.state = 'refunded'
       FOR UPDATE OF p
"""


async def refunded(tx: Connection, msisdn: str, claim_id: UUID) -> Refunded | None:
    """Load what a claim brought; None unless it refunded something."""
    row = await tx.fetchrow(REFUNDED, msisdn, claim_id)
    return None if row is None else Refunded(*row)


PROPOSE = """
    INSERT INTO clawback (msisdn, id, claim_id, charge_id, amount_fen, proof, reference,
                          document_sha256, reason, state, proposed_at, proposed_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'proposed', $10, $11)
    ON CONFLICT DO NOTHING RETURNING id
"""


async def propose(
    tx: Connection,
    clawback_id: UUID,
    data: ClawbackRequest,
    about: Refunded,
    *,
    actor: str,
    now: datetime,
) -> bool:
    """Write a proposal; False when one for this claim is open or agreed."""
    made = await tx.fetchval(
        PROPOSE, data.msisdn, clawback_id, data.claim_id, about.charge_id, about.fen, data.proof,
        data.reference, data.document_sha256, data.reason, now, actor,
    )  # fmt: skip
    return made is not None


DECIDE = """
    UPDATE clawback SET state = $2, decided_at = $3, decided_by = $4, reversal_id = $5
     WHERE id = $1 AND state = 'proposed' AND proposed_by <> $4
    RETURNING id
"""


async def decide(
    tx: Connection,
    clawback_id: UUID,
    state: ClawbackState,
    *,
    reversal_id: UUID | None,
    actor: str,
    now: datetime,
) -> bool:
    """Agree or decline; False when that was done before, or by who proposed it."""
    return await tx.fetchval(DECIDE, clawback_id, state, now, actor, reversal_id) is not None
