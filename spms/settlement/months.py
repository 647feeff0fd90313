"""The work on a month, one stage and one transaction at a time.

A stage and the recovery point behind it are one transaction: whoever is killed has done all of a
stage or nothing, and the next worker goes on from there. Nothing is counted twice, because a figure
has a key and the recovery point moves only once.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from spms.core.access import Actor
from spms.core.clock import business_month, month_range, next_month
from spms.core.db import Connection
from spms.core.rulebook import section, section_of, version_at
from spms.settlement import count_queries, draw_queries, findings, queries, report_queries
from spms.settlement.drawing import draw, gather
from spms.settlement.model import SettlementRules, Stage, Window
from spms.settlement.rules import due, object_until

SPS_AT_ONCE: Final = 100
STILL_LANDING: Final = timedelta(hours=1)
"""What came before the cut-off may be in a transaction that has not ended: nothing is counted yet."""
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""The cut-off before the first month: whatever came earlier and was never settled is late."""

Counting = Callable[[Connection, Window], Awaitable[int]]
Looking = Callable[[Connection, Window, SettlementRules], Awaitable[int]]
AFTER: Final[Mapping[Stage, Stage]] = dict(zip(list(Stage)[:-1], list(Stage)[1:], strict=True))
COUNTING: Final[Mapping[Stage, Counting]] = {
    Stage.COUNT_CHARGES: count_queries.count_charges,
    Stage.COUNT_CONTROLLED: count_queries.count_controlled,
    Stage.COUNT_ADVANCES: count_queries.count_advanced,
    Stage.COUNT_MESSAGES: count_queries.count_messages,
}
LOOKING: Final[Mapping[Stage, Looking]] = {
    Stage.LOOK_PAYERS: report_queries.look_at_payers,
    Stage.LOOK_ARREARS: report_queries.look_arrears,
}


def window_of(month: date, before: datetime, rules: SettlementRules, version: int) -> Window:
    """Return which records are a month's own, given the cut-off of the month before."""
    from_at, until_at = month_range(month)
    return Window(
        month=month, from_at=from_at, until_at=until_at, cut_off_before=before,
        cut_off_at=due(month, rules.cut_off_day), rulebook_version=version,
    )  # fmt: skip


async def open_months(tx: Connection, *, now: datetime) -> int:
    """Open every month whose cut-off has passed; return how many were.

    Missed ones are made up for, each with its own cut-off. The first ever is the last month.
    """
    newest = business_month(business_month_start(now) - timedelta(days=1))
    last = await draw_queries.latest(tx)
    month = newest if last is None else next_month(last.month)
    before = BEGINNING if last is None else last.cut_off_at
    opened = 0
    while month <= newest:
        rules = await section(tx, SettlementRules, at=month_range(month)[1])
        cut_off_at = due(month, rules.cut_off_day)
        if cut_off_at > now:
            break
        window = window_of(month, before, rules, await version_at(tx, cut_off_at))
        opened += await draw_queries.open_month(tx, window, now=now)
        month, before = next_month(month), cut_off_at
    return opened


def business_month_start(now: datetime) -> datetime:
    """Return the instant at which the running business month began."""
    return month_range(business_month(now))[0]


async def work(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Do the next stage of the oldest month that has one; 0 when there is nothing to do now."""
    for window in await draw_queries.take_open(tx):
        rules = await section_of(tx, SettlementRules, window.rulebook_version)
        if window.stage is Stage.COUNT_CHARGES and now < window.cut_off_at + STILL_LANDING:
            continue
        if window.stage is Stage.SEND and now < due(window.month, rules.statement_day):
            continue
        await count_queries.be_patient(tx)
        await _stage(tx, window, rules, actor=actor, now=now)
        return 1
    return 0


async def _stage(
    tx: Connection, window: Window, rules: SettlementRules, *, actor: Actor, now: datetime
) -> None:
    done_until, later = None, AFTER[window.stage]
    if window.stage in COUNTING:
        await COUNTING[window.stage](tx, window)
    elif window.stage in LOOKING:
        await LOOKING[window.stage](tx, window, rules)
    elif window.stage is Stage.DRAW:
        rows = await draw_queries.next_sps(tx, window, window.done_until, SPS_AT_ONCE)
        gathered = await gather(tx, rows, window=window, rules=rules)
        drawn = [draw(one, window=window, rules=rules) for one in gathered]
        if drawn:
            await draw_queries.keep(tx, drawn, now=now, actor=actor.label)
            sp_ids = [row.id for row in rows]
            await queries.hold_flagged(tx, window.month, sp_ids, now=now)
            await findings.report_flagged(tx, window.month, sp_ids, actor=actor, now=now)
        if len(rows) == SPS_AT_ONCE:
            done_until, later = rows[-1].id, Stage.DRAW
    else:
        until = object_until(window.month, rules, sent_at=now)
        await queries.send(tx, window.month, until=until, now=now, actor=actor.label)
    await draw_queries.advance(tx, window, later, done_until)
