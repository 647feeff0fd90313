"""Cuts that locked statements took for breaches quashed since: a credit of the next statement."""

from collections.abc import Sequence
from itertools import groupby
from uuid import UUID

import msgspec
from msgspec.structs import replace

from spms.core.db import Connection
from spms.core.money import share
from spms.core.rulebook import section_of
from spms.penalties.model import Grade
from spms.settlement import penalty_queries as queries
from spms.settlement.model import Cut, Item, MeasureCut, SettlementRules
from spms.settlement.penalty_queries import LockedCut
from spms.settlement.waterfall import cut_rate


def given_back(locked: Sequence[LockedCut], rules: SettlementRules) -> list[Item]:
    """Return what one locked statement would have cut less without its quashed breaches.

    One after the other, those first that were given back before: together they come to the cut as it
    was less the cut of what still stands, whatever the order in which they fell. A statement of the
    time before it said what each grade cuts is judged by `rules`.
    """
    inputs = locked[0].inputs
    cuts = msgspec.convert(inputs["breaches"], list[Cut])
    measures = msgspec.convert(inputs.get("measures", []), list[MeasureCut])
    # What both sides agreed to counts, whatever a rulebook says that was dated back since.
    if "grade_bp" in inputs:
        rules = replace(rules, cut_bp=msgspec.convert(inputs["grade_bp"], dict[Grade, int]))
    rate_bp, found = cut_rate(cuts, measures, rules), []
    for one in sorted(locked, key=lambda one: (not one.given_back, one.taken_at, one.breach_id)):
        before_bp = rate_bp
        cuts = [cut for cut in cuts if cut.breach_id != one.breach_id]
        rate_bp = cut_rate(cuts, measures, rules)
        back_fen = share(inputs["of_fen"], before_bp) - share(inputs["of_fen"], rate_bp)
        if not one.given_back:
            about = f"cut of {one.month:%Y-%m} for breach {one.breach_id}, quashed since"
            found.append(Item(id=one.breach_id, amount_fen=back_fen, about=about, cut_back=True))
    return found


async def cuts_back(read: Connection, sp_ids: Sequence[UUID]) -> dict[UUID, list[Item]]:
    """Load what some SPs' next statements give back of locked cuts."""
    rows = await queries.quashed_cuts(read, sp_ids)
    rules: dict[int, SettlementRules] = {}
    found: dict[UUID, list[Item]] = {}
    for _, group in groupby(rows, key=lambda row: row.settlement_id):
        locked = list(group)
        first = locked[0]
        version = first.rulebook_version
        if version not in rules:  # one of each month
            rules[version] = await section_of(read, SettlementRules, version)
        found.setdefault(first.sp_id, []).extend(given_back(locked, rules[version]))
    return found
