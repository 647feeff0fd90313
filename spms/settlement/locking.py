"""The 24th and the 26th: what is confirmed is locked and booked, and what is approved is paid.

A lock, its entry in the book and what it took are one transaction. The statement's own text says
what is booked: it is what both sides agreed to.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from spms.compensation import journal
from spms.core import audit
from spms.core.access import Actor
from spms.core.clock import business_day, business_month, start_of_day
from spms.core.db import Connection
from spms.core.errors import FieldError, NotFound
from spms.core.rulebook import section, section_of
from spms.settlement import advance_queries, draw_queries, lock_queries, queries
from spms.settlement.advance_queries import Advanced
from spms.settlement.drawing import draw, gather
from spms.settlement.life_model import (
    Paid,
    Payment,
    PayoutList,
    PayoutMonth,
    Settlement,
    State,
    Statement,
)
from spms.settlement.lock_queries import Standing, ToLock
from spms.settlement.model import Kind, SettlementRules, Step
from spms.settlement.refusals import AlreadyDecided, NotPayable
from spms.settlement.rules import entry, object_until, payment
from spms.settlement.statement import worked

LOCKS_AT_ONCE: Final = 100
TAKING_ITEMS: Final = frozenset({Kind.FINES, Kind.DEBITS, Kind.CREDITS, Kind.RETURNED})
CHANGED: Final = "the month before was locked, or something was paid, after this was drawn"


class FiguresMovedError(Exception):
    """Less is owed, or left as security, than these SPs' statements take."""

    def __init__(self, sp_ids: set[UUID]) -> None:
        """Name the SPs."""
        super().__init__(", ".join(sorted(str(sp_id) for sp_id in sp_ids)))
        self.sp_ids = sp_ids


async def lock_due(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Lock some of what was confirmed by the invoice cut-off, once the payment day has come.

    Returns how much was done; when nothing is left, the month's sheet is closed. What follows a
    lock that was not there when it was drawn is drawn and sent again instead.
    """
    month = business_month(now)
    rules = await section(tx, SettlementRules, at=now)
    missed = business_day(now).day < rules.payment_day
    if missed:  # The sheet of the month before, where nobody worked from its 24th on.
        month = business_month(start_of_day(month) - timedelta(days=1))
    if await lock_queries.payout(tx, month):
        return 0
    # Silence is dated: whoever comes first after the 21st, no assent misses this payment.
    await queries.confirm_silent(tx, now=now, actor=actor.label)
    confirmed_by = start_of_day(month.replace(day=rules.invoice_day)) + timedelta(days=1)
    rows = await lock_queries.to_lock(tx, confirmed_by, LOCKS_AT_ONCE)
    if not rows:
        if missed and not await lock_queries.pays_anything(tx, month):
            return 0
        return int(await lock_queries.make_payout(tx, month, now=now, actor=actor.label))
    stale = {row.sp_id for row in rows if row.follows != row.chain_end}
    try:
        async with tx.transaction():
            fresh = [row for row in rows if row.sp_id not in stale]
            await _lock(tx, fresh, pay_month=month, actor=actor, now=now)
    except FiguresMovedError as moved:
        stale |= moved.sp_ids  # the others are locked with the next call
    for row in rows:
        if row.sp_id in stale:
            await redraw(tx, row.id, reason=CHANGED, actor=actor, now=now)
    return len(rows)


async def _lock(
    tx: Connection, rows: Sequence[ToLock], *, pay_month: date, actor: Actor, now: datetime
) -> None:
    if not rows:
        return
    stated = {row.id: msgspec.json.decode(row.body, type=Statement) for row in rows}
    steps = {row.id: worked(stated[row.id]) for row in rows}
    drafts = {row.id: entry(row.id, row.sp_id, steps[row.id]) for row in rows}
    booked = [draft for draft in drafts.values() if draft is not None]
    await journal.post(tx, booked, actor=actor, now=now)
    # The chains are held from here on, so what is read now stays true until the lock is there.
    moved = {
        each.sp_id
        for each in await lock_queries.balances(tx, [row.sp_id for row in rows])
        if each.receivable_fen < 0 or each.deposit_fen < 0
    } | {
        stated[each.id].sp.id
        for each in await advance_queries.advanced(tx, list(stated))
        if takes_too_much(steps[each.id].step(Kind.REFUNDS), each)
    }
    if moved:
        raise FiguresMovedError(moved)
    await lock_queries.lock(
        tx,
        [(row.id, draft.id if (draft := drafts[row.id]) else None) for row in rows],
        [use for row in rows for use in uses(stated[row.id])],
        pay_month=pay_month, now=now, actor=actor.label,
    )  # fmt: skip


def takes_too_much(refunds: Step, now: Advanced) -> bool:
    """Whether first multiples were taken back since, and the next statement could not make up for it.

    What is owed after this one is never less than the first multiples that the next one is to take.
    """
    if now.counted_fen != refunds.inputs["advanced_fen"]:
        return True
    left_fen = refunds.carried_fen + now.after_fen
    return now.taken_back and not 0 <= left_fen <= now.owed_fen


def uses(stated: Statement) -> list[tuple[str, UUID, UUID]]:
    """Return what a statement takes for good: breaches, fines, corrections, cuts given back."""
    steps = worked(stated)
    found = [
        ("breach", UUID(cut["breach_id"]))
        for cut in steps.step(Kind.GRADE_CUT).inputs["breaches"]
    ]  # fmt: skip
    for step in steps.steps:
        if step.kind in TAKING_ITEMS:
            found += [(_use_of(item), UUID(item["id"])) for item in step.inputs["items"]]
    return [(kind, source_id, stated.settlement_id) for kind, source_id in found]


def _use_of(item: dict[str, Any]) -> str:
    if item.get("cut_back"):
        return "cut_back"
    return "posting" if item.get("booked") else "adjustment"


async def redraw(
    tx: Connection, settlement_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> None:
    """Draw one statement again from what was counted, and send it with a new time to object."""
    row = await queries.hold_row(tx, settlement_id)
    window = None if row is None else await draw_queries.of_month(tx, row.month)
    if row is None or window is None:
        raise NotFound
    rules = await section_of(tx, SettlementRules, window.rulebook_version)
    rows = await draw_queries.these_sps(tx, window, [row.sp_id])
    (gathered,) = await gather(tx, rows, window=window, rules=rules)
    drawn = draw(gathered, window=window, rules=rules)
    if await draw_queries.keep(tx, [drawn], now=now, actor=actor.label, reason=reason) != 1:
        raise AlreadyDecided
    until = object_until(window.month, rules, sent_at=now)
    await queries.send_one(tx, settlement_id, until=until, now=now, actor=actor.label)


async def payout_month(read: Connection, month: date, *, now: datetime) -> PayoutMonth:
    """Show the three lists that drive a calendar month's payment."""
    sheet = await lock_queries.payout(read, month)
    waiting = await lock_queries.unpaid(read, month, at=now)
    return PayoutMonth(
        month=month,
        made_at=sheet.made_at if sheet else None,
        approved_at=sheet.approved_at if sheet else None,
        approved_by=sheet.approved_by if sheet else None,
        to_finance_at=sheet.to_finance_at if sheet else None,
        newly_payable=_listed(
            [each for each in waiting if not each.held and each.pay_month == month]
        ),
        resumed=_listed([each for each in waiting if not each.held and each.pay_month != month]),
        held=_listed([each for each in waiting if each.held]),
    )  # fmt: skip


def _listed(items: list[Settlement]) -> PayoutList:
    return PayoutList(
        settlements=len(items), amount_fen=sum(each.payable_fen for each in items), items=items
    )


async def approve_payout(tx: Connection, month: date, *, actor: Actor, now: datetime) -> None:
    """Approve a calendar month's sheet; raise `NotFound` before it is made, `AlreadyDecided` after."""
    if await lock_queries.payout(tx, month) is None:
        raise NotFound
    if not await lock_queries.approve_payout(tx, month, now=now, actor=actor.label):
        raise AlreadyDecided
    await audit.note(tx, "payout approved", "settlement_payout", month, actor=actor, now=now)


async def hand_over(tx: Connection, *, now: datetime) -> int:
    """Mark approved sheets as with finance, from the finance day on; return how many."""
    rules = await section(tx, SettlementRules, at=now)
    month = business_month(now)
    if business_day(now).day < rules.finance_day:
        month = business_month(start_of_day(month) - timedelta(days=1))
    return await lock_queries.hand_over(tx, month, now=now)


def _not_payable(found: Standing | None) -> str | None:
    """Say what keeps a settlement from being paid; None: nothing does."""
    if found is None:
        return "unknown"
    if found.state is not State.LOCKED:
        return "paid_before" if found.state is State.PAID else "not_locked"
    if found.payable_fen == 0:
        return "nothing_payable"
    if found.held:
        return "held"
    return None if found.approved else "not_approved"


async def pay(tx: Connection, data: Payment, *, actor: Actor, now: datetime) -> Paid:
    """Book what the bank transferred, all or nothing; raise `NotPayable`."""
    wanted = sorted(set(data.settlement_ids))
    found = {each.id: each for each in await lock_queries.hold_these(tx, wanted, at=now)}
    refused = [
        FieldError(pointer=f"/settlement_ids/{n}", code=why)
        for n, of in enumerate(data.settlement_ids)
        if (why := _not_payable(found.get(of)))
    ]
    if refused:
        raise NotPayable(errors=refused)
    done = await lock_queries.pay(tx, wanted, data.reference, now=now, actor=actor.label)
    if len(done) != len(wanted):
        raise NotPayable
    await journal.post(tx, [payment(*each) for each in done], actor=actor, now=now)
    return Paid(settlements=len(done), amount_fen=sum(fen for _, _, fen in done))
