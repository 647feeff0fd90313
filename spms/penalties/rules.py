"""Transitions, the ladder, working days. Pure."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from spms.core.clock import business_day, start_of_day
from spms.partners.model import Measure
from spms.penalties.model import Breach, BreachAction, BreachState, Consequence, PenaltyRules

SATURDAY = 5

TRANSITIONS: dict[tuple[BreachState, BreachAction], BreachState] = {
    (BreachState.PROPOSED, BreachAction.CONFIRM): BreachState.EFFECTIVE,
    (BreachState.PROPOSED, BreachAction.DISMISS): BreachState.DISMISSED,
    (BreachState.EFFECTIVE, BreachAction.APPEAL): BreachState.APPEALED,
    (BreachState.APPEALED, BreachAction.UPHOLD): BreachState.UPHELD,
    (BreachState.APPEALED, BreachAction.QUASH): BreachState.QUASHED,
}


def consequences(standing: Sequence[Breach], rules: PenaltyRules) -> list[Consequence]:
    """Return what the ladder gives for the breaches of one year that stand, oldest first.

    Each breach brings the rungs that the balance fell below with it; a shield falls on that
    breach's own services, every other measure on the SP. A breach that found the balance below
    the shield's rung already has its services shielded too.
    """
    left = rules.yearly_points
    found: list[Consequence] = []
    for breach in standing:
        before, left = left, left - breach.points
        for rung in rules.ladder:
            if left >= rung.below:
                continue
            if rung.measure is Measure.SHIELDED:
                found += [
                    Consequence(breach_id=breach.id, measure=rung.measure, service_id=service_id)
                    for service_id in breach.service_ids
                ]
            elif before >= rung.below:
                found.append(Consequence(breach_id=breach.id, measure=rung.measure))
    return found


def cause_of(breach_id: object, measure: Measure) -> str:
    """Name the cause of a restriction: the breach, and which of its measures."""
    return f"{breach_id}/{measure}"


def working_days_later(at: datetime, days: int) -> datetime:
    """Return the end (UTC) of the last of so many working days after the instant's own day.

    Monday to Friday in Asia/Shanghai. Public holidays are not known here: around them the
    deadline comes earlier than the calendar on the wall would have it.
    """
    day: date = business_day(at)
    while days:
        day += timedelta(days=1)
        if day.weekday() < SATURDAY:
            days -= 1
    return start_of_day(day + timedelta(days=1))
