"""What if another rulebook had been in force: who would have fared how. Pure."""

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from uuid import UUID

import msgspec

from spms.core.clock import business_day
from spms.partners.model import Measure
from spms.penalties.catalogue import terms
from spms.penalties.model import Breach, BreachState, PenaltyRules, Source
from spms.penalties.register_queries import Past
from spms.penalties.rules import WORSE, consequences, escalation_points


class Fare(msgspec.Struct, frozen=True, kw_only=True):
    """How an SP fares under one rulebook."""

    points: int
    left: int
    """Of the worst year in the time looked at."""
    fine_fen: int
    measures: list[Measure]


class Fared(msgspec.Struct, frozen=True, kw_only=True):
    """How one SP fared, and would have fared."""

    sp_id: UUID
    code: str
    name: str
    breaches: int
    now: Fare
    then: Fare
    differs: bool


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """The SPs with breaches in the time looked at: those that would have fared otherwise first."""

    months: int
    breaches: int
    sps: list[Fared]


def compare(past: Sequence[Past], now: PenaltyRules, then: PenaltyRules) -> list[Fared]:
    """Judge the same breaches by two rulebooks; `past` is sorted by SP and time.

    Both sides are worked out from the breaches, so that the difference is the rules' alone. An
    escalation is judged as the next grade of what it escalates. What an appeal varied is judged by
    the catalogue again on both sides.
    """
    found = []
    for sp_id, group in groupby(past, key=lambda breach: breach.sp_id):
        own = list(group)
        fares = fare(own, now), fare(own, then)
        found.append(
            Fared(
                sp_id=sp_id,
                code=own[0].sp_code,
                name=own[0].sp_name,
                breaches=len(own),
                now=fares[0],
                then=fares[1],
                differs=fares[0] != fares[1],
            )
        )
    return sorted(found, key=lambda fared: (not fared.differs, fared.then.left, fared.code))


def fare(past: Sequence[Past], rules: PenaltyRules) -> Fare:
    """Judge one SP's breaches, oldest first, by a rulebook."""
    judged: dict[UUID, Breach] = {}
    fine_fen = 0
    for breach in past:
        cause = judged.get(breach.caused_by) if breach.caused_by else None
        brings = terms(breach.kind, rules, grade=WORSE[cause.grade] if cause else None)
        points = brings.points
        if cause:
            points = escalation_points(terms(cause.kind, rules, grade=cause.grade), brings)
        judged[breach.id] = Breach(
            id=breach.id, sp_id=breach.sp_id, kind=breach.kind, grade=brings.grade, points=points,
            service_ids=breach.service_ids, source_kind=breach.source_kind, source_id="",
            statement="", state=BreachState.EFFECTIVE, found_at=breach.decided_at, proposed_by="",
            remedy=breach.remedy,
        )  # fmt: skip
        if breach.source_kind is not Source.LINKAGE and not brings.suspended:
            fine_fen += brings.fine_fen
    decided = {breach.id: breach.decided_at for breach in past}
    years: dict[int, list[Breach]] = {}
    for one in judged.values():
        years.setdefault(business_day(decided[one.id]).year, []).append(one)
    measures = {c.measure for own in years.values() for c in consequences(own, rules)}
    sums = [sum(one.points for one in own) for own in years.values()]
    return Fare(
        points=sum(sums), left=rules.yearly_points - max(sums, default=0), fine_fen=fine_fen,
        measures=[measure for measure in Measure if measure in measures],
    )  # fmt: skip


def months_before(month: date, count: int) -> date:
    """Return the first day of the month so many months earlier."""
    year, index = divmod(month.year * 12 + month.month - 1 - count, 12)
    return date(year, index + 1, 1)
