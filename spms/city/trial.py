"""When the city's companies may first charge: the rulebook's defaults, counted on their own.

Ordered on the 1st to the 20th a monthly service is free for 72 hours, from the 21st on for the rest
of the month. Nobody in the city orders a service twice.
"""

from datetime import datetime, timedelta

from spms.core.clock import business_day, business_month, next_month, start_of_day

LAST_DAY = 20
FREE = timedelta(hours=72)
SLACK = timedelta(minutes=10)
"""How much later than planned a yes may be read: over midnight, another rule would hold."""


def charged_from(confirmed_at: datetime) -> datetime:
    """Return an instant from which on a relation may be charged in any case."""
    return max(_first_charge(confirmed_at), _first_charge(confirmed_at + SLACK))


def free_until(confirmed_at: datetime) -> datetime:
    """Return an instant up to which a relation may not be charged in any case."""
    return min(_first_charge(confirmed_at), _first_charge(confirmed_at + SLACK))


def _first_charge(at: datetime) -> datetime:
    if business_day(at).day <= LAST_DAY:
        return at + FREE
    return start_of_day(next_month(business_month(at)))
