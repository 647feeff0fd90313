"""Restrictions: dated facts with a cause. The effective state is the OR of those in force."""

from datetime import datetime
from uuid import UUID

import asyncpg

from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import Conflict, NotFound
from spms.core.ids import new_id
from spms.partners import restriction_queries
from spms.partners.model import Measure, Restriction

OFFICER = "officer"
"""Kind of cause of a restriction that an officer imposed on their own motion."""


class NotByHand(Conflict):
    """This restriction ends with its cause, not by hand."""

    code = "not_by_hand"


async def restrictions_at(read: Connection, sp_id: UUID, *, at: datetime) -> list[Restriction]:
    """List what holds an SP and its services back at an instant."""
    return await restriction_queries.restrictions_at(read, sp_id, at)


async def restriction(read: Connection, restriction_id: UUID) -> Restriction:
    """Return one restriction; raise `NotFound`."""
    found = await restriction_queries.restriction(read, restriction_id)
    if found is None:
        raise NotFound
    return found


async def restrict(
    tx: Connection,
    *,
    sp_id: UUID,
    service_id: UUID | None,
    measure: Measure,
    cause_kind: str,
    cause_id: str,
    reason: str,
    ends_at: datetime | None = None,
    cut_percent: int | None = None,
    actor: Actor,
    now: datetime,
) -> UUID:
    """Restrict an SP or one of its services from now on; once per cause and measure.

    The same cause again returns what it brought before; after a lift it restricts anew. Raises
    `NotFound` when there is no such SP, or the service is not one of its own. A settlement cut has
    its percentage, and nothing else has one.
    """
    wanted = new_id()
    try:
        async with tx.transaction():
            made = await restriction_queries.restrict(
                tx, wanted, sp_id=sp_id, service_id=service_id, measure=measure,
                cause_kind=cause_kind, cause_id=cause_id, reason=reason, starts_at=now,
                ends_at=ends_at, actor=actor.label, cut_percent=cut_percent,
            )  # fmt: skip
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound from error
    if made != wanted:
        return made
    detail = {"measure": measure, "cause": f"{cause_kind}:{cause_id}"}
    await audit.note(
        tx, "restricted", "sp", sp_id, actor=actor, now=now, reason=reason, detail=detail
    )
    return made


async def lift(
    tx: Connection, *, cause_kind: str, cause_id: str, reason: str, actor: Actor, now: datetime
) -> int:
    """End what this cause has brought and still holds; other causes' restrictions stay.

    Returns how many restrictions ended.
    """
    count = await restriction_queries.lift(
        tx, cause_kind, cause_id, at=now, actor=actor.label, reason=reason
    )
    if count:
        await audit.note(
            tx, "restrictions lifted", cause_kind, cause_id, actor=actor, now=now, reason=reason
        )
    return count


async def lift_by_hand(
    tx: Connection, restriction_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> Restriction:
    """End a restriction that an officer imposed; raise `NotByHand` for one with another cause."""
    found = await restriction(tx, restriction_id)
    if found.cause_kind != OFFICER:
        raise NotByHand
    await lift(tx, cause_kind=OFFICER, cause_id=found.cause_id, reason=reason, actor=actor, now=now)
    return await restriction(tx, restriction_id)
