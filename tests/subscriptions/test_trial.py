"""From when a relation may be charged: worked dates, and what holds for any date."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core.clock import SHANGHAI, business_month, month_range
from spms.subscriptions.trial import ChargeRule, TrialRules, first_charge, not_before

RULES = TrialRules()
HALF = TrialRules(half_month=True)
EARLIEST, LATEST = datetime(2020, 1, 1), datetime(2032, 12, 31)
INSTANTS = st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC))


def at(text: str) -> datetime:
    """Read an instant of the Shanghai calendar."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("confirmed", "before", "category", "rules", "charged", "rule"),
    [
        # H1: the 1st to the 20th, 72 hours, to the second.
        ("2026-03-01 00:00:00", None, "news", RULES, "2026-03-04 00:00:00", "free_hours"),
        ("2026-03-20 23:59:59", None, "news", RULES, "2026-03-23 23:59:59", "free_hours"),
        # H2: from the 21st the month is free, whatever its length.
        ("2026-03-21 00:00:00", None, "news", RULES, "2026-04-01 00:00:00", "free_month"),
        ("2026-03-31 23:59:59", None, "news", RULES, "2026-04-01 00:00:00", "free_month"),
        ("2026-12-31 23:59:59", None, "news", RULES, "2027-01-01 00:00:00", "free_month"),
        # February, short and long.
        ("2026-02-20 23:59:59", None, "news", RULES, "2026-02-23 23:59:59", "free_hours"),
        ("2026-02-21 00:00:00", None, "news", RULES, "2026-03-01 00:00:00", "free_month"),
        ("2028-02-29 12:00:00", None, "news", RULES, "2028-03-01 00:00:00", "free_month"),
        # H3: ordered on the 5th, left on the 6th, ordered on the 7th: charged at once.
        ("2026-03-07 09:00:00", "2026-03-05 09:00:00", "news", RULES,
         "2026-03-07 09:00:00", "ordered_again"),
        ("2026-03-20 23:59:59", "2026-03-01 00:00:00", "news", RULES,
         "2026-03-20 23:59:59", "ordered_again"),
        # … but not over the turn of the month, nor from the 21st on.
        ("2026-03-01 00:00:00", "2026-02-28 23:59:59", "news", RULES,
         "2026-03-04 00:00:00", "free_hours"),
        ("2026-03-22 09:00:00", "2026-03-05 09:00:00", "news", RULES,
         "2026-04-01 00:00:00", "free_month"),
        ("2026-04-02 09:00:00", "2026-03-25 09:00:00", "news", RULES,
         "2026-04-05 09:00:00", "free_hours"),
        # H4: WAP has its first month free; a second order there as well is charged at once.
        ("2026-03-02 09:00:00", None, "wap", RULES, "2026-04-01 00:00:00", "free_month"),
        ("2026-03-09 09:00:00", "2026-03-02 09:00:00", "wap", RULES,
         "2026-03-09 09:00:00", "ordered_again"),
        # H5, where it is in force: the second half of a month is not charged as a month.
        ("2026-03-16 11:59:59", None, "news", HALF, "2026-03-19 11:59:59", "free_hours"),
        ("2026-03-16 12:00:00", None, "news", HALF, "2026-04-01 00:00:00", "free_month"),
        ("2026-02-15 00:00:00", None, "news", HALF, "2026-03-01 00:00:00", "free_month"),
    ],
)  # fmt: skip
def test_worked_dates(
    confirmed: str, before: str | None, category: str, rules: TrialRules, charged: str, rule: str
) -> None:
    first = first_charge(
        at(confirmed), ordered_before=at(before) if before else None, category=category,
        rules=rules,
    )  # fmt: skip
    assert (first.at, first.rule) == (at(charged), rule)


@given(INSTANTS)
def test_a_first_order_is_free_for_at_least_three_days_or_to_the_end_of_the_month(
    confirmed: datetime,
) -> None:
    first = first_charge(confirmed, ordered_before=None, category="news", rules=RULES)
    _, end = month_range(business_month(confirmed))
    assert first.at in {confirmed + timedelta(hours=72), end}
    assert confirmed < first.at <= end


@given(INSTANTS, st.timedeltas(timedelta(), timedelta(days=70)), st.sampled_from(["news", "wap"]))
def test_a_later_yes_is_never_charged_earlier_than_the_prompt_named(
    asked: datetime, later: timedelta, category: str
) -> None:
    """Over every boundary that lies between the prompt and the yes."""
    for ordered_before in (None, asked - timedelta(days=1)):
        told, then = (
            first_charge(one, ordered_before=ordered_before, category=category, rules=RULES)
            for one in (asked, asked + later)
        )
        assert then.at >= told.at


def test_under_any_rules_the_date_that_the_prompt_named_holds() -> None:
    """An operator with a whole free month: a yes after midnight must not bring the charge near."""
    rules = TrialRules(free_hours=744)
    told, then = (
        first_charge(one, ordered_before=None, category="news", rules=rules)
        for one in (at("2026-03-20 23:59:00"), at("2026-03-21 00:01:00"))
    )
    assert then.at < told.at
    assert not_before(then, told.at).at == told.at
    assert not_before(told, then.at).at == told.at


def test_an_earlier_order_after_the_instant_does_not_count() -> None:
    first = first_charge(
        at("2026-03-05 09:00:00"), ordered_before=at("2026-03-05 09:00:01"), category="news",
        rules=RULES,
    )  # fmt: skip
    assert first.rule is ChargeRule.FREE_HOURS
