"""The itemised bill: what a person was charged for, and why each line is there.

A bill shows the present holder's own charges only, whoever asks: nothing of a former holder is
hers, and an agent speaks for the person on the line.
"""

from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.charging import bill_queries, line_queries
from spms.charging.bill_model import Bill, BillFilter, HolderTotals, LineExplained
from spms.core import audit
from spms.core.access import Actor
from spms.core.clock import month_range
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.instance import instance_secret
from spms.core.paging import read_cursor, write_cursor
from spms.core.phone import mask
from spms.subscribers import actions as subscribers
from spms.subscribers import looks
from spms.subscribers.model import Number

LAST_ID = UUID(int=2**128 - 1)


async def own_bill(
    read: Connection,
    month: str,
    wanted: BillFilter,
    *,
    actor: Actor,
    cursor: str | None,
    limit: int,
) -> Bill:
    """Return the signed-in subscriber's bill of a month (`YYYY-MM`)."""
    number = await subscribers.held(read, actor)
    return await _bill(
        read, number, number.msisdn, month, wanted, actor=actor, cursor=cursor, limit=limit
    )


async def whole(
    read: Connection, month: str, wanted: BillFilter, *, limit: int, actor: Actor
) -> Bill:
    """Return the signed-in subscriber's whole bill of a month, up to so many lines."""
    number = await subscribers.held(read, actor)
    return await _bill(
        read, number, number.msisdn, month, wanted, actor=actor, cursor=None, limit=limit
    )


async def searched_whole(
    tx: Connection,
    msisdn: str,
    month: str,
    wanted: BillFilter,
    *,
    reason: str,
    limit: int,
    actor: Actor,
    now: datetime,
) -> Bill:
    """Return a number's whole bill to an agent, up to so many lines: one look, recorded first.

    Raises `LooksUsedUp`.
    """
    await looks.count(tx, msisdn, reason=reason, actor=actor, now=now)
    await _note(tx, "bill.exported", msisdn, month, reason=reason, actor=actor, now=now)
    number = await subscribers.get(tx, msisdn)
    return await _bill(
        tx, number, msisdn, month, wanted, actor=actor, cursor=None, limit=limit
    )  # fmt: skip


async def searched_bill(
    tx: Connection,
    msisdn: str,
    month: str,
    wanted: BillFilter,
    *,
    reason: str,
    cursor: str | None,
    limit: int,
    actor: Actor,
    now: datetime,
) -> Bill:
    """Return a number's bill to an agent; who looked and why is recorded first.

    A number that nobody holds has an empty bill, so that the look-up stays on record. A further
    page of the same bill is no further look. Raises `LooksUsedUp`.
    """
    if cursor is None:
        await looks.count(tx, msisdn, reason=reason, actor=actor, now=now)
    await _note(tx, "bill.looked_up", msisdn, month, reason=reason, actor=actor, now=now)
    number = await subscribers.get(tx, msisdn)
    return await _bill(tx, number, msisdn, month, wanted, actor=actor, cursor=cursor, limit=limit)


async def own_line(read: Connection, charge_id: UUID, *, actor: Actor) -> LineExplained:
    """Explain one line of the signed-in subscriber's bill; raise `NotFound`."""
    return await _explain(read, await subscribers.held(read, actor), charge_id)


async def searched_line(
    tx: Connection, msisdn: str, charge_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> LineExplained | None:
    """Explain one line of a number's bill to an agent; recorded first.

    None when its holder has no such line. That is no refusal: it says something, too, so the look
    must be committed. Raises `LooksUsedUp`.
    """
    await looks.count(tx, msisdn, reason=reason, actor=actor, now=now)
    about = str(charge_id)
    await _note(tx, "bill.line_looked_up", msisdn, about, reason=reason, actor=actor, now=now)
    try:
        return await _explain(tx, await subscribers.get(tx, msisdn), charge_id)
    except NotFound:
        return None


async def count_look(
    tx: Connection, charge_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> None:
    """Count an agent's look at what a charge rests on as one at its number's bill.

    Raises `LooksUsedUp`. An officer's look is on record and not counted.
    """
    found = await bill_queries.owner_of(tx, charge_id)
    if found is not None:
        await looks.count(tx, found.msisdn, reason=reason, actor=actor, now=now)


async def _bill(
    read: Connection,
    number: Number | None,
    msisdn: str,
    month: str,
    wanted: BillFilter,
    *,
    actor: Actor,
    cursor: str | None,
    limit: int,
) -> Bill:
    name = f"bill {month} {msisdn} {msgspec.json.encode(wanted).decode()}"
    key = await read_cursor(read, actor, name, cursor, tuple[datetime, UUID])
    if number is None:
        none = HolderTotals(
            lines=0, charged_fen=0, due_fen=0, refunded_fen=0, compensation_fen=0, points=0
        )  # fmt: skip
        return Bill(month=month, number=mask(msisdn), totals=none, items=[])
    first, end = month_range(date.fromisoformat(f"{month}-01"))
    period = (max(first, number.epoch_since), end)
    before = key or (end, LAST_ID)
    items = await bill_queries.lines(read, msisdn, period, wanted, before=before, limit=limit + 1)
    following = None
    if len(items) > limit:
        items = items[:limit]
        following = await write_cursor(read, actor, name, [items[-1].charged_at, items[-1].id])
    if number.epoch > 1:  # else there was nobody before her
        items = await bill_queries.hers(read, msisdn, items)
    return Bill(
        month=month,
        number=mask(msisdn),
        totals=await bill_queries.totals(read, msisdn, period, wanted),
        items=items,
        next=following,
    )


async def _explain(read: Connection, number: Number | None, charge_id: UUID) -> LineExplained:
    if number is None:
        raise NotFound
    return await explain(read, number.msisdn, charge_id, since=number.epoch_since)


async def explain(
    read: Connection, msisdn: str, charge_id: UUID, *, since: datetime
) -> LineExplained:
    """Explain one charge of a number, if it was made since an instant; raise `NotFound`."""
    line = await bill_queries.line(read, msisdn, charge_id, since=since)
    if line is None:
        raise NotFound
    key = (msisdn, charge_id, line.charged_at)
    return LineExplained(
        line=line,
        number=mask(msisdn),
        right=not line.findings,
        findings=await line_queries.findings(read, msisdn, charge_id),
        decisions=await line_queries.decisions(read, *key),
        tariff=await line_queries.tariff(read, *key),
        relation=await line_queries.relation(read, *key),
    )


async def _note(
    tx: Connection, act: str, msisdn: str, what: str, *, reason: str, actor: Actor, now: datetime
) -> None:
    name = subscribers.audit_name(await instance_secret(tx), msisdn)
    await audit.note(
        tx, act, "number", name, actor=actor, now=now, reason=reason, detail={"about": what}
    )
