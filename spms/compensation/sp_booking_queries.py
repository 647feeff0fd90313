"""Statements about what people book on an SP's account. Writes `sp_booking`."""

from datetime import datetime
from uuid import UUID

from spms.compensation.sp_booking_model import BookingState, SpBooking, SpBookingRequest
from spms.core.db import Connection, many, one

PROPOSE = """
    INSERT INTO sp_booking (id, sp_id, kind, amount_fen, reference, reason, state, proposed_at,
                            proposed_by)
    VALUES ($1, $2, $3, $4, $5, $6, 'proposed', $7, $8) ON CONFLICT DO NOTHING RETURNING id
"""


async def propose(
    tx: Connection, booking_id: UUID, data: SpBookingRequest, *, actor: str, now: datetime
) -> bool:
    """Write a proposal; False when this SP has one of this kind with this reference."""
    made = await tx.fetchval(
        PROPOSE, booking_id, data.sp_id, data.kind, data.amount_fen, data.reference, data.reason,
        now, actor,
    )  # fmt: skip
    return made is not None


_BOOKING = """
    SELECT id, sp_id, kind, amount_fen, reference, reason, state, proposed_at, proposed_by,
           decided_at, decided_by, entry_id, booked_fen
      FROM sp_booking
"""
# The row is held: two who decide wait for one another.
HOLD = f"{_BOOKING} WHERE id = $1 FOR UPDATE"
# An SP sees what was booked.
PAGE = f"""
    {_BOOKING}
     WHERE ($1::uuid IS NULL OR (sp_id = $1 AND state = 'agreed'))
       AND ($2::timestamptz IS NULL OR (proposed_at, id) < ($2, $3::uuid))
     ORDER BY proposed_at DESC, id DESC LIMIT $4
"""
DECIDE = """
    UPDATE sp_booking
       SET state = $2, decided_at = $3, decided_by = $4, entry_id = $5, booked_fen = $6
     WHERE id = $1 AND state = 'proposed' AND proposed_by <> $4
    RETURNING id
"""


async def hold(tx: Connection, booking_id: UUID) -> SpBooking | None:
    """Take one for this transaction."""
    return one(SpBooking, await tx.fetchrow(HOLD, booking_id))


async def page(
    read: Connection, sp_id: UUID | None, after: tuple[datetime, UUID] | None, limit: int
) -> list[SpBooking]:
    """List them, newest first: one SP's that were agreed, or all."""
    last = after or (None, None)
    return many(SpBooking, await read.fetch(PAGE, sp_id, *last, limit))


async def decide(
    tx: Connection,
    booking_id: UUID,
    state: BookingState,
    *,
    entry_id: UUID | None,
    booked_fen: int | None,
    actor: str,
    now: datetime,
) -> bool:
    """Agree or decline; False when that was done before, or by who proposed it."""
    decided = await tx.fetchval(DECIDE, booking_id, state, now, actor, entry_id, booked_fen)
    return decided is not None
