"""What-if: any month of any SP under other rules, or with more booked against it. Books nothing."""

from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from msgspec.structs import replace

from spms.core.body import fault
from spms.core.clock import business_month, month_range
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.rulebook import section, section_of, version_at
from spms.settlement import count_queries, draw_queries, lock_queries
from spms.settlement.drawing import gather
from spms.settlement.life_model import Preview, WhatIf
from spms.settlement.model import Cut, Facts, Item, SettlementRules, Stage, Window
from spms.settlement.months import BEGINNING, window_of
from spms.settlement.refusals import NotCounted, RulesUnreadable
from spms.settlement.restating import facts_behind
from spms.settlement.statement import stated, worked
from spms.settlement.waterfall import settle

FIELDS: Final = frozenset(field.name for field in msgspec.structs.fields(SettlementRules))


async def preview(read: Connection, data: WhatIf, *, now: datetime) -> Preview:
    """Work a month out twice: as it stands, and as it would be.

    A locked month is previewed from what its statement says, one that is counted from its figures,
    a later one from what is there now.
    Raises `NotFound` without such an SP, `NotCounted` for a month before the first or after this
    one, `RulesUnreadable` and `UnsoundRules` for overrides that cannot be settled by.
    """
    window = await _window(read, date.fromisoformat(f"{data.month}-01"), now)
    rules = await section_of(read, SettlementRules, window.rulebook_version)
    facts = await _locked(read, data.sp_id, window.month)
    counted = facts is not None or window.stage in {Stage.DRAW, Stage.SEND, Stage.SENT}
    if facts is None:
        facts = await _facts(read, data.sp_id, window, rules, counted=counted)
    other = overridden(rules, data.rules)
    before, after = settle(facts, rules), settle(_more(facts, data), other)
    return Preview(
        counted=counted, facts=facts, rules=other, now=before, then=after,
        difference_fen=after.payable_fen - before.payable_fen,
    )  # fmt: skip


async def _locked(read: Connection, sp_id: UUID, month: date) -> Facts | None:
    found = await lock_queries.locked_statements(read, sp_id, month)
    return facts_behind(worked(stated(found[0]))) if found else None


async def _facts(
    read: Connection, sp_id: UUID, window: Window, rules: SettlementRules, *, counted: bool
) -> Facts:
    rows = await draw_queries.these_sps(read, window, [sp_id])
    if not rows:
        raise NotFound
    figures = None if counted else await count_queries.count_now(read, window, sp_id)
    (found,) = await gather(read, rows, window=window, rules=rules, counted=figures)
    return found.facts


def overridden(rules: SettlementRules, changes: dict[str, Any]) -> SettlementRules:
    """Return rules with single fields changed; raise `RulesUnreadable`."""
    if unknown := set(changes) - FIELDS:
        known = ", ".join(sorted(FIELDS))
        raise RulesUnreadable(f"{len(unknown)} of these fields are none of the section's: {known}")
    try:
        return msgspec.convert(msgspec.to_builtins(rules) | changes, SettlementRules)
    except msgspec.ValidationError as error:
        wrong = fault(error)
        wrong = replace(wrong, pointer=f"/rules{wrong.pointer}")
        raise RulesUnreadable(
            "a value does not fit its field of the section", errors=[wrong]
        ) from error


def _more(facts: Facts, data: WhatIf) -> Facts:
    cuts = tuple(Cut(breach_id=uuid4(), grade=grade) for grade in data.cut_breaches)
    fines: tuple[Item, ...] = ()
    if data.fine_fen:
        fines = (Item(id=uuid4(), amount_fen=data.fine_fen, about="what if"),)
    return replace(
        facts, principal_fen=facts.principal_fen + data.refund_fen,
        owed_fen=facts.owed_fen + 2 * data.refund_fen, cuts=facts.cuts + cuts,
        fines=facts.fines + fines,
    )  # fmt: skip


async def _window(read: Connection, month: date, now: datetime) -> Window:
    window = await draw_queries.of_month(read, month)
    if window is not None:
        return window
    last = await draw_queries.latest(read)
    newest = business_month(now)
    first = business_month(month_range(newest)[0] - timedelta(days=1))
    if month > newest or month < first or (last is not None and month < last.month):
        raise NotCounted
    rules = await section(read, SettlementRules, at=now)
    before = BEGINNING if last is None else last.cut_off_at
    return window_of(month, before, rules, await version_at(read, now))
