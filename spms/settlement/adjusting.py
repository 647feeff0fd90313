"""Fines and late corrections: proposed by one, approved by another, taken by the next statement."""

from datetime import datetime
from uuid import UUID

from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id
from spms.partners import actions as partners
from spms.settlement import adjustment_queries as queries
from spms.settlement.life_model import Adjustment, AdjustmentDecision, NewAdjustment
from spms.settlement.refusals import AlreadyDecided, SamePerson


async def get(read: Connection, adjustment_id: UUID) -> Adjustment:
    """Return one; raise `NotFound`."""
    found = await queries.adjustment(read, adjustment_id)
    if found is None:
        raise NotFound
    return found


async def propose(
    tx: Connection, data: NewAdjustment, *, actor: Actor, now: datetime
) -> Adjustment:
    """Propose a fine or a correction; `corrects` is a locked settlement of the same SP."""
    await partners.get(tx, data.sp_id)
    if data.corrects is not None and await queries.sp_of_lock(tx, data.corrects) != data.sp_id:
        raise NotFound("no such locked settlement of this SP")
    new = Adjustment(
        id=new_id(), sp_id=data.sp_id, kind=data.kind, amount_fen=data.amount_fen,
        about=data.about, corrects=data.corrects, state="proposed", proposed_at=now,
        proposed_by=actor.label,
    )  # fmt: skip
    await queries.add(tx, new)
    return new


async def decide(
    tx: Connection, adjustment_id: UUID, data: AdjustmentDecision, *, actor: Actor, now: datetime
) -> Adjustment:
    """Approve or decline; raise `SamePerson` for its proposer, `AlreadyDecided` the second time."""
    found = await get(tx, adjustment_id)
    if found.proposed_by == actor.label:
        raise SamePerson
    state = "approved" if data.accept else "declined"
    if not await queries.decide(tx, adjustment_id, state, now=now, actor=actor.label):
        raise AlreadyDecided
    await audit.note(
        tx, f"adjustment {state}", "settlement_adjustment", adjustment_id, actor=actor, now=now,
        reason=data.reason,
    )  # fmt: skip
    return await get(tx, adjustment_id)
