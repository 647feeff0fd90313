"""The checks that only messages meet: hours, quotas, texts. Pure; see `rules`."""

from spms.authorisation.model import CapRules, Facts, Purpose

Outcome = bool | None
"""Passed, failed, or not judged."""


def own_service(facts: Facts) -> bool:
    """Whether the service is one of the SP that asks."""
    return facts.service is not None and facts.service.sp_id == facts.sp_id


def awake(facts: Facts, _: CapRules) -> Outcome:
    """What comes with a subscription by itself can wait; an order is answered at any hour."""
    if facts.purpose != Purpose.MESSAGE or not own_service(facts):
        return None
    if facts.service is None or facts.service.kind == "on_demand":
        return None
    return not facts.quiet


def within_quota(facts: Facts, _: CapRules) -> Outcome:
    """What the SP agreed with the operator for the day and the month."""
    quota, sent = facts.quota, facts.sent
    if facts.purpose != Purpose.MESSAGE or quota is None or sent is None:
        return None
    return _room(sent.day, quota.per_day) and _room(sent.month, quota.per_month)


def within_rate(facts: Facts, _: CapRules) -> Outcome:
    """What it agreed for the second; whoever waits a moment may send."""
    if facts.purpose != Purpose.MESSAGE or facts.quota is None or facts.sent is None:
        return None
    return _room(facts.sent.second, facts.quota.per_second)


def _room(sent: int, most: int | None) -> bool:
    return most is None or sent < most


def says_nothing_forbidden(facts: Facts, _: CapRules) -> Outcome:
    """No entry of the operator's lists is met."""
    if facts.content is None or not facts.content.given:
        return None
    return not facts.content.forbidden


def says_what_was_approved(facts: Facts, _: CapRules) -> Outcome:
    """A service with approved texts sends nothing else."""
    if facts.content is None or not facts.content.bound:
        return None
    return facts.content.template_id is not None
