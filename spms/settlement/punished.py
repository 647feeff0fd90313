"""What an SP's breaches bring to its month: cuts that are due, cuts that wait, fines in the book."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

import msgspec

from spms.compensation.accounts import PostingReason
from spms.core.db import Connection
from spms.penalties.model import Grade
from spms.settlement import penalty_queries as queries
from spms.settlement.cuts_back import cuts_back
from spms.settlement.model import Cut, Item, MeasureCut, Window

PERCENT_BP = 100
FINE = "fine"
FIRST_MULTIPLE = str(PostingReason.CLAWBACK_FIRST)


class Punished(msgspec.Struct, frozen=True, kw_only=True):
    """One SP's share of what penalties decided."""

    cuts: tuple[Cut, ...] = ()
    waiting: tuple[Cut, ...] = ()
    measures: tuple[MeasureCut, ...] = ()
    fines: tuple[Item, ...] = ()
    owed_back: tuple[Item, ...] = ()
    """Fines whose breach fell after they were booked, recovered refunds that were a fraud, and
    cuts of locked statements whose breach was quashed since."""
    returned: tuple[Item, ...] = ()
    """Of recovered refunds that were a fraud, what came off before the share."""


async def punished(
    read: Connection, sp_ids: Sequence[UUID], window: Window
) -> dict[UUID, Punished]:
    """Load what penalties bring to some SPs' month; an SP without anything has an empty one."""
    cuts: dict[tuple[UUID, bool], list[Cut]] = defaultdict(list)
    for row in await queries.breaches(read, sp_ids, window.cut_off_at):
        cut_bp = None if row.cut_percent is None else row.cut_percent * PERCENT_BP
        cut = Cut(breach_id=row.id, grade=Grade(row.grade), cut_bp=cut_bp)
        cuts[row.sp_id, row.final].append(cut)
    measures: dict[UUID, list[MeasureCut]] = defaultdict(list)
    for measure in await queries.measures(read, sp_ids, window):
        cut_bp = measure.cut_percent * PERCENT_BP
        measures[measure.sp_id].append(MeasureCut(restriction_id=measure.id, cut_bp=cut_bp))
    fines: dict[tuple[UUID, bool], list[Item]] = defaultdict(list)
    returned: dict[UUID, list[Item]] = defaultdict(list)
    back = await cuts_back(read, sp_ids)
    rows, breaches = await queries.fines(read, sp_ids, window.cut_off_at)
    for fine in rows:
        about = "a refund taken back for fraud"
        if fine.reason == FINE:
            about = f"fine of breach {breaches.get(fine.entry_id, fine.entry_id)}"
        item = Item(id=fine.id, amount_fen=fine.amount_fen, about=about, booked=True)
        if fine.reason == FIRST_MULTIPLE:
            returned[fine.sp_id].append(item)
        else:
            fines[fine.sp_id, fine.back].append(item)
    return {
        sp_id: Punished(
            cuts=tuple(cuts[sp_id, True]), waiting=tuple(cuts[sp_id, False]),
            measures=tuple(measures[sp_id]), fines=tuple(fines[sp_id, False]),
            owed_back=(*fines[sp_id, True], *back.get(sp_id, ())),
            returned=tuple(returned[sp_id]),
        )
        for sp_id in sp_ids
    }  # fmt: skip
