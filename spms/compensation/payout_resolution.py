"""A payout that billing refused: one person says what is to be done, another agrees."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from spms.compensation import payout
from spms.compensation import payout_resolution_queries as queries
from spms.compensation.payout_resolution_model import (
    Outcome,
    RefusedPayout,
    Resolution,
    ResolutionState,
)
from spms.compensation.refusals import Moved, SamePerson
from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id
from spms.core.paging import Page, read_cursor, write_cursor
from spms.core.phone import mask


class After(NamedTuple):
    """Sort key of the last payout seen."""

    id: UUID


async def list_page(
    read: Connection, *, actor: Actor, cursor: str | None, limit: int
) -> Page[RefusedPayout]:
    """List what billing refused and nobody has resolved, numbers masked."""
    after = await read_cursor(read, actor, "refused_payouts", cursor, After)
    rows = await queries.refused(read, after=after and after.id, limit=limit + 1)
    items = [msgspec.structs.replace(row, number=mask(row.number)) for row in rows[:limit]]
    more = None
    if len(rows) > limit:
        more = await write_cursor(read, actor, "refused_payouts", [items[-1].id])
    return Page(items=items, next=more)


async def propose(
    tx: Connection, payout_id: UUID, outcome: Outcome, *, reason: str, actor: Actor, now: datetime
) -> Resolution:
    """Say what is to be done about a refused payout.

    Raises `NotFound` unless billing refused it, `Moved` when another proposal is open.
    """
    resolution_id = new_id()
    if not await queries.propose(
        tx, resolution_id, payout_id, outcome, reason=reason, actor=actor.label, now=now
    ):
        raise Moved if await queries.is_refused(tx, payout_id) else NotFound
    await audit.note(
        tx, f"payout.{outcome}_proposed", "payout", payout_id, actor=actor, now=now, reason=reason
    )
    return await _get(tx, resolution_id)


async def decide(
    tx: Connection,
    resolution_id: UUID,
    *,
    accept: bool,
    reason: str,
    actor: Actor,
    now: datetime,
) -> Resolution:
    """Agree, and it is done; or decline. Another person than who proposed it.

    Raises `NotFound`, `SamePerson`, `Moved` when it was decided before.
    """
    row = await _get(tx, resolution_id)
    if row.proposed_by == actor.label:
        raise SamePerson
    state = ResolutionState.AGREED if accept else ResolutionState.DECLINED
    if not await queries.decide(tx, resolution_id, state, actor=actor.label, now=now):
        raise Moved
    if accept:
        moved = await queries.resolve(tx, resolution_id, now=now)
        if moved is None:
            raise Moved
        if row.outcome is Outcome.PAID_BY_HAND:
            await payout.book(tx, [moved], actor=actor, now=now)
    await audit.note(
        tx, f"payout.{row.outcome}_{state}", "payout", row.payout_id, actor=actor, now=now,
        reason=reason,
    )  # fmt: skip
    return await _get(tx, resolution_id)


async def _get(read: Connection, resolution_id: UUID) -> Resolution:
    found = await queries.resolution(read, resolution_id)
    if found is None:
        raise NotFound
    return found
