"""What if another rulebook had been in force: who would have fared how. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from uuid import UUID, uuid5

import msgspec

from spms.core.clock import business_day
from spms.partners.model import Measure
from spms.penalties.catalogue import terms
from spms.penalties.model import Breach, BreachState, Grade, PenaltyRules, Remedy, Source
from spms.penalties.register_queries import Linked, Past
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


def compare(
    past: Sequence[Past], linked: Sequence[Linked], now: PenaltyRules, then: PenaltyRules
) -> list[Fared]:
    """Judge the same breaches by two rulebooks; `past` is sorted by SP and time.

    Both sides are worked out from the breaches, so that the difference is the rules' alone. An
    escalation is judged as the next grade of what it escalates, and what linkage carries over to a
    company's other SPs is carried over anew. What an appeal varied is judged by the catalogue again
    on both sides.
    """
    known = {one.sp_id: (one.sp_code, one.sp_name) for one in linked}
    known |= {one.sp_id: (one.sp_code, one.sp_name) for one in past}
    sides = judge(past, linked, now), judge(past, linked, then)
    found = []
    for sp_id in sides[0].keys() | sides[1].keys():
        own = [side.get(sp_id, []) for side in sides]
        fares = fare(own[0], now), fare(own[1], then)
        code, name = known[sp_id]
        found.append(
            Fared(
                sp_id=sp_id, code=code, name=name, breaches=max(map(len, own)), now=fares[0],
                then=fares[1], differs=fares[0] != fares[1],
            )
        )  # fmt: skip
    return sorted(found, key=lambda fared: (not fared.differs, fared.then.left, fared.code))


def judge(
    past: Sequence[Past], linked: Sequence[Linked], rules: PenaltyRules
) -> dict[UUID, list[Breach]]:
    """Judge all breaches by a rulebook; return each SP's, oldest first."""
    judged: dict[UUID, Breach] = {}
    for breach in past:
        if breach.source_kind is Source.LINKAGE:
            continue
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
    every = [*judged.values(), *_carried(judged.values(), linked, rules)]
    every.sort(key=lambda breach: breach.found_at)
    found: dict[UUID, list[Breach]] = {}
    for one in every:
        found.setdefault(one.sp_id, []).append(one)
    return found


def _carried(
    judged: Iterable[Breach], linked: Sequence[Linked], rules: PenaltyRules
) -> Iterator[Breach]:
    """Carry over what the rules say to the other SPs of each company."""
    if rules.linkage_from is None:
        return
    grades, company = list(Grade), {one.sp_id: one.company for one in linked}
    least = grades.index(rules.linkage_from)
    for breach in judged:
        if grades.index(breach.grade) < least or breach.sp_id not in company:
            continue
        for other in linked:
            if other.company == company[breach.sp_id] and other.sp_id != breach.sp_id:
                yield msgspec.structs.replace(
                    breach, id=uuid5(breach.id, str(other.sp_id)), sp_id=other.sp_id,
                    service_ids=[], source_kind=Source.LINKAGE, remedy=Remedy.VOID,
                )  # fmt: skip


def fare(own: Sequence[Breach], rules: PenaltyRules) -> Fare:
    """Sum up what one SP's breaches, oldest first, bring by a rulebook."""
    fine_fen = 0
    years: dict[int, list[Breach]] = {}
    for breach in own:
        brings = terms(breach.kind, rules, grade=breach.grade)
        falls_due = not brings.suspended or breach.remedy is Remedy.ESCALATED
        if breach.source_kind is not Source.LINKAGE and falls_due:
            fine_fen += brings.fine_fen
        years.setdefault(business_day(breach.found_at).year, []).append(breach)
    measures = {c.measure for each in years.values() for c in consequences(each, rules)}
    sums = [sum(one.points for one in each) for each in years.values()]
    return Fare(
        points=sum(sums), left=rules.yearly_points - max(sums, default=0), fine_fen=fine_fen,
        measures=[measure for measure in Measure if measure in measures],
    )  # fmt: skip


def months_before(month: date, count: int) -> date:
    """Return the first day of the month so many months earlier."""
    year, index = divmod(month.year * 12 + month.month - 1 - count, 12)
    return date(year, index + 1, 1)
