"""Transitions and the ladder. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

from spms.partners.model import Measure
from spms.penalties.catalogue import CATALOGUE, Terms
from spms.penalties.model import (
    Breach,
    BreachAction,
    BreachState,
    Consequence,
    Grade,
    PenaltyRules,
    Rank,
    Remedy,
    RemedyAction,
)

TRANSITIONS: dict[tuple[BreachState, BreachAction], BreachState] = {
    (BreachState.PROPOSED, BreachAction.CONFIRM): BreachState.EFFECTIVE,
    (BreachState.PROPOSED, BreachAction.DISMISS): BreachState.DISMISSED,
    (BreachState.EFFECTIVE, BreachAction.APPEAL): BreachState.APPEALED,
    (BreachState.APPEALED, BreachAction.UPHOLD): BreachState.UPHELD,
    (BreachState.APPEALED, BreachAction.VARY): BreachState.VARIED,
    (BreachState.APPEALED, BreachAction.QUASH): BreachState.QUASHED,
    # What it rested on fell: an objection was sustained, or the breach that it followed was quashed.
    (BreachState.EFFECTIVE, BreachAction.QUASH): BreachState.QUASHED,
    (BreachState.UPHELD, BreachAction.QUASH): BreachState.QUASHED,
    (BreachState.VARIED, BreachAction.QUASH): BreachState.QUASHED,
}

REMEDIES: dict[tuple[Remedy, RemedyAction], Remedy] = {
    (Remedy.DUE, RemedyAction.REPORT): Remedy.REPORTED,
    (Remedy.DUE, RemedyAction.CLOSE): Remedy.CLOSED,
    (Remedy.DUE, RemedyAction.ESCALATE): Remedy.ESCALATED,
    (Remedy.DUE, RemedyAction.DROP): Remedy.VOID,
    (Remedy.REPORTED, RemedyAction.CLOSE): Remedy.CLOSED,
    (Remedy.REPORTED, RemedyAction.FAIL): Remedy.DUE,
    (Remedy.REPORTED, RemedyAction.DROP): Remedy.VOID,
}

WORSE = {Grade.GENERAL: Grade.SERIOUS, Grade.SERIOUS: Grade.GRAVE, Grade.GRAVE: Grade.GRAVE}


def escalation_points(before: Terms, worse: Terms) -> int:
    """Return what an escalation deducts: all that the higher grade does beyond the lower.

    A grave breach that is not cured is another one.
    """
    if before.grade is Grade.GRAVE:
        return worse.points
    return max(1, worse.points - before.points)


def rank_of(left: int, rules: PenaltyRules) -> Rank:
    """Return what an SP with so many points left may apply for."""
    for rank in sorted(rules.ranks, key=lambda rank: -rank.at_least):
        if left >= rank.at_least:
            return rank
    return Rank(name="-", at_least=0, new_services=False, high_price=False, promotion=False)


RIGHTS: Final[dict[Measure, Callable[[Rank], bool]]] = {
    Measure.NO_NEW_SERVICES: lambda rank: rank.new_services,
    Measure.NO_HIGH_PRICES: lambda rank: rank.high_price,
    Measure.NO_PROMOTION: lambda rank: rank.promotion,
}
"""By which measure each right of a rank is taken away."""


def rights_lost(before: Rank, after: Rank) -> list[Measure]:
    """Return the measures that fall from one rank to another brings."""
    return [measure for measure, has in RIGHTS.items() if has(before) and not has(after)]


def consequences(standing: Sequence[Breach], rules: PenaltyRules) -> list[Consequence]:
    """Return what the ladder gives for the breaches of one year that stand, oldest first.

    Each breach brings the rungs that the balance fell below with it, and what takes away the rights
    of the ranks that it lost; a shield falls on that
    breach's own services, every other measure on the SP. A breach that found the balance below
    the shield's rung already has its services shielded too. What is cured needs no shield, nor
    what the catalogue adds for its kind; what follows from the balance stays.
    """
    left = rules.yearly_points
    found: list[Consequence] = []
    for breach in standing:
        before, left = left, left - breach.points
        for rung in rules.ladder:
            if left >= rung.below:
                continue
            if rung.measure is Measure.SHIELDED:
                if breach.remedy is Remedy.CLOSED:
                    continue
                found += [
                    Consequence(breach_id=breach.id, measure=rung.measure, service_id=service_id)
                    for service_id in breach.service_ids
                ]
            elif before >= rung.below:
                found.append(Consequence(breach_id=breach.id, measure=rung.measure))
        found += [
            Consequence(breach_id=breach.id, measure=measure)
            for measure in rights_lost(rank_of(before, rules), rank_of(left, rules))
        ]
        found += [
            Consequence(breach_id=breach.id, measure=measure)
            for measure in CATALOGUE[breach.kind].measures
            if breach.remedy is not Remedy.CLOSED
        ]
    return list(dict.fromkeys(found))


def cause_of(breach_id: object, measure: Measure) -> str:
    """Name the cause of a restriction: the breach, and which of its measures."""
    return f"{breach_id}/{measure}"
