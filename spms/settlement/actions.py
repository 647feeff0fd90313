"""The verbs of a settlement's life between both sides: confirm, object, decide, hold, clear."""

from datetime import datetime
from uuid import UUID

from spms.core import audit
from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id
from spms.core.machine import advance
from spms.core.rulebook import section_of
from spms.settlement import draw_queries, queries
from spms.settlement.life_model import (
    Action,
    Hold,
    NewObjection,
    Objection,
    ObjectionDecision,
    Settlement,
    State,
)
from spms.settlement.locking import redraw
from spms.settlement.model import SettlementRules
from spms.settlement.queries import Locked
from spms.settlement.refusals import (
    AlreadyDecided,
    AlreadyHeld,
    AlreadyPaid,
    ObjectionTooLate,
    SamePerson,
)
from spms.settlement.rules import TRANSITIONS, object_until


async def get(read: Connection, settlement_id: UUID, *, actor: Actor, now: datetime) -> Settlement:
    """Return a settlement; to an SP, another's or one not sent looks like nothing at all."""
    found = await queries.settlement(read, settlement_id, at=now)
    if found is None or not _visible(found.sp_id, found.state, actor):
        raise NotFound
    return found


def _visible(sp_id: UUID, state: State, actor: Actor) -> bool:
    return actor.kind is not ActorKind.SP or (actor.sp_id == sp_id and state is not State.DRAFT)


async def _held(tx: Connection, settlement_id: UUID, actor: Actor) -> Locked:
    row = await queries.hold_row(tx, settlement_id)
    if row is None or not _visible(row.sp_id, row.state, actor):
        raise NotFound
    return row


async def confirm(
    tx: Connection, settlement_id: UUID, *, actor: Actor, now: datetime
) -> Settlement:
    """Let the SP agree; agreeing twice is agreeing once."""
    row = await _held(tx, settlement_id, actor)
    if row.state is not State.CONFIRMED:
        after = advance(TRANSITIONS, row.state, Action.CONFIRM)
        await queries.move(tx, row, Action.CONFIRM, after, now=now, actor=actor.label)
    return await get(tx, settlement_id, actor=actor, now=now)


async def object_to(
    tx: Connection, settlement_id: UUID, data: NewObjection, *, actor: Actor, now: datetime
) -> Objection:
    """Let the SP object with its own figures, line by line; nothing is locked meanwhile."""
    row = await _held(tx, settlement_id, actor)
    after = advance(TRANSITIONS, row.state, Action.OBJECT)
    if row.object_until is not None and now >= row.object_until:
        raise ObjectionTooLate
    new = Objection(
        id=new_id(), settlement_id=row.id, revision=row.revision, statement=data.statement,
        lines=data.lines, opened_at=now, opened_by=actor.label,
    )  # fmt: skip
    if not await queries.add_objection(tx, new):
        raise AlreadyDecided("this revision was objected to before")
    await queries.move(
        tx, row, Action.OBJECT, after, now=now, actor=actor.label, reason=data.statement
    )
    return new


async def decide_objection(
    tx: Connection, settlement_id: UUID, data: ObjectionDecision, *, actor: Actor, now: datetime
) -> Settlement:
    """Draw the statement again with the corrections approved meanwhile, or leave it as it is.

    Either way the SP sees it once more, with at least its days (those of the rulebook that the month
    was opened with) to object or to be silent; one revision is objected to once.
    """
    row = await _held(tx, settlement_id, actor)
    action = Action.REDRAW if data.redraw else Action.REJECT
    after = advance(TRANSITIONS, row.state, action)
    decision = "redrawn" if data.redraw else "rejected"
    if not await queries.decide_objection(
        tx, row, decision, now=now, actor=actor.label, reason=data.reason
    ):
        raise AlreadyDecided
    if data.redraw:
        await redraw(tx, settlement_id, reason=data.reason, actor=actor, now=now)
    else:
        window = await draw_queries.of_month(tx, row.month)
        assert window is not None  # noqa: S101 - it has a statement
        rules = await section_of(tx, SettlementRules, window.rulebook_version)
        until = max(row.object_until or now, object_until(row.month, rules, sent_at=now))
        await queries.move(
            tx, row, action, after, now=now, actor=actor.label, reason=data.reason, until=until
        )
    return await get(tx, settlement_id, actor=actor, now=now)


async def place_hold(
    tx: Connection, settlement_id: UUID, reason: str, *, actor: Actor, now: datetime
) -> Hold:
    """Keep a settlement from being paid until somebody else lets it go; no use once it is."""
    if (await _held(tx, settlement_id, actor)).state is State.PAID:
        raise AlreadyPaid
    hold_id = new_id()
    if not await queries.place_hold(tx, hold_id, settlement_id, reason, now=now, actor=actor.label):
        raise AlreadyHeld
    await audit.note(
        tx, "settlement held", "settlement", settlement_id, actor=actor, now=now, reason=reason
    )
    return await _hold(tx, hold_id)


async def clear_hold(
    tx: Connection, hold_id: UUID, reason: str, *, actor: Actor, now: datetime
) -> Hold:
    """End a hold, a report's too, having looked; not by whoever placed it."""
    found = await _hold(tx, hold_id)
    if found.placed_by == actor.label:
        raise SamePerson
    if not await queries.clear_hold(tx, hold_id, reason, now=now, actor=actor.label):
        raise AlreadyDecided
    await audit.note(
        tx, "settlement hold cleared", "settlement", found.settlement_id, actor=actor, now=now,
        reason=reason,
    )  # fmt: skip
    return await _hold(tx, hold_id)


async def _hold(read: Connection, hold_id: UUID) -> Hold:
    found = await queries.hold(read, hold_id)
    if found is None:
        raise NotFound
    return found
