"""Opening a hold to the numbers it is about: for an officer, with a reason that is recorded."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec

from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.instance import instance_secret
from spms.core.paging import PAGE_SIZE_MAX, Page, read_cursor, write_cursor
from spms.core.phone import mask
from spms.core.rulebook import section_of
from spms.settlement import actions, count_queries, draw_queries, held_queries, queries
from spms.settlement.model import SettlementRules
from spms.settlement.refusals import NumbersNotListed
from spms.subscribers import actions as subscribers

OFFICER: Final = "officer"
"""The cause of a hold that rests on no report."""


class HoldLook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the numbers under a hold are looked at, and from where on."""

    reason: Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]
    """Kept on record."""
    after: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    """`next` of the page before this one."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_SIZE_MAX)] = 50


class HeldNumber(msgspec.Struct, frozen=True, kw_only=True):
    """One number under a report that holds a settlement."""

    number: str
    """Masked."""
    name: str
    """Stands for its holder at its last charge, for this SP: as in the settlement's records."""
    charges: int
    amount_fen: int
    """What it paid the SP in the month."""
    last_charged_at: datetime


async def list_next(tx: Connection, *, now: datetime) -> int:
    """List the numbers under the next report's hold that has no list; 0 when there is none to do.

    Of one SP, by what its report went by: a month whose drafts are drawn is not kept waiting for it.
    """
    hold = await held_queries.next_unlisted(tx)
    if hold is None:
        return 0
    window = await draw_queries.of_month(tx, hold.month)
    if window is not None:
        await count_queries.be_patient(tx)
        rules = await section_of(tx, SettlementRules, window.rulebook_version)
        await held_queries.list_numbers(tx, hold, window, rules.heavy_fen)
    await held_queries.listed(tx, hold.id, now=now)
    return 1


async def look(
    tx: Connection, hold_id: UUID, asked: HoldLook, *, actor: Actor, now: datetime
) -> Page[HeldNumber]:
    """List the numbers under a hold as the report found them, who paid most first.

    The look is on record with the hold, and with each number that is shown. An officer's own hold
    is about none. Raises `NotFound`, `NumbersNotListed`, `CursorInvalid`.
    """
    hold = await queries.hold(tx, hold_id)
    if hold is None:
        raise NotFound
    found = await actions.get(tx, hold.settlement_id, actor=actor, now=now)
    window = await draw_queries.of_month(tx, found.month)
    name = f"hold {hold_id}"
    after = await read_cursor(tx, actor, name, asked.after, tuple[int])
    await audit.note(
        tx, "settlement_hold.looked_into", "settlement_hold", hold_id, actor=actor, now=now,
        reason=asked.reason, detail={"settlement": found.id, "cause": hold.cause},
    )  # fmt: skip
    if hold.cause == OFFICER or window is None:
        return Page(items=[])
    rows = await held_queries.numbers(
        tx, window, found.sp_id, hold.cause, after=after[0] if after else 0, limit=asked.limit + 1
    )
    if not rows and after is None:
        raise NumbersNotListed  # a report holds nothing that is about no number
    secret, shown = await instance_secret(tx), rows[: asked.limit]
    await audit.note_each(
        tx, "number.seen_under_hold", "number",
        [subscribers.audit_name(secret, row.msisdn) for row in shown], actor=actor, now=now,
        reason=asked.reason, detail={"hold": hold_id},
    )  # fmt: skip
    items = [
        HeldNumber(
            number=mask(row.msisdn),
            name=subscribers.pseudonym(secret, found.sp_id, row.msisdn, row.epoch),
            charges=row.charges, amount_fen=row.amount_fen, last_charged_at=row.last_charged_at,
        )
        for row in shown
    ]  # fmt: skip
    more = len(rows) > asked.limit
    return Page(
        items=items, next=await write_cursor(tx, actor, name, [shown[-1].place]) if more else None
    )
