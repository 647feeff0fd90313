"""From when a relation may be charged (首订免费退订): pure; instants and rules are arguments.

A monthly service that is ordered for the first time can be left free of charge for a while
(domain H1 to H5). What counts is the instant of the second yes, on the calendar of Shanghai:

- confirmed on the 1st to the 20th: free for 72 hours, charged from then (H1);
- confirmed from the 21st on: this month is free, charged from the first of the next (H2);
- confirmed again on the 1st to the 20th after a first time in the same days of the same month,
  whatever became of that: charged at once (H3);
- of some categories (WAP) the whole month of a first order is free, whenever it is made (H4);
- where the operator's price list says that a month is paid for only when more than half of it is
  left, a first order in its second half is free until the next (H5; off unless set).
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from spms.core.clock import business_day, business_month, month_range


class TrialRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rulebook's section about free first days."""

    last_day: Annotated[int, msgspec.Meta(ge=0, le=31)] = 20
    """Last day of the month on which the hours count; later orders have the month free."""
    free_hours: Annotated[int, msgspec.Meta(ge=0, le=744)] = 72
    month_free_categories: tuple[str, ...] = ("wap",)
    """Categories of services whose first order has its whole month free (H4)."""
    half_month: bool = False
    """Whether a first order in the second half of a month has the rest of it free (H5)."""


class ChargeRule(StrEnum):
    """Why a relation is first charged when it is."""

    FREE_HOURS = "free_hours"
    """A first order on the 1st to the 20th."""
    FREE_MONTH = "free_month"
    """A first order whose month is free."""
    ORDERED_AGAIN = "ordered_again"
    AT_ONCE = "at_once"
    """On demand: the order is charged when it is served."""
    TAKEN_OVER = "taken_over"
    """New terms of a running relation: as that one, and never earlier than the yes."""
    AFTER_CONSENT = "after_consent"
    """An SP's own free trial: never; going on needs a fresh yes, which makes another relation."""


class FirstCharge(msgspec.Struct, frozen=True, kw_only=True):
    """From when a relation may be charged, and by which rule."""

    at: datetime
    rule: ChargeRule


def first_charge(
    confirmed_at: datetime, *, ordered_before: datetime | None, category: str, rules: TrialRules
) -> FirstCharge:
    """Return from when a monthly relation may be charged that is confirmed at an instant.

    `ordered_before` is when the same owner of the number last began this service, however it
    ended; None for never. From the 21st on an earlier order changes nothing: the month is free
    to its end either way.
    """
    month = business_month(confirmed_at)
    begin, end = month_range(month)
    if business_day(confirmed_at).day > rules.last_day:
        return FirstCharge(at=end, rule=ChargeRule.FREE_MONTH)
    if ordered_before is not None and begin <= ordered_before <= confirmed_at:
        return FirstCharge(at=confirmed_at, rule=ChargeRule.ORDERED_AGAIN)
    late = rules.half_month and confirmed_at - begin >= (end - begin) / 2
    if late or category in rules.month_free_categories:
        return FirstCharge(at=end, rule=ChargeRule.FREE_MONTH)
    hours = timedelta(hours=rules.free_hours)
    return FirstCharge(at=confirmed_at + hours, rule=ChargeRule.FREE_HOURS)


def not_before(decided: FirstCharge, told: datetime | None) -> FirstCharge:
    """Return the later of what the rules say now and what the prompt had named."""
    if told is None or told <= decided.at:
        return decided
    return msgspec.structs.replace(decided, at=told)
