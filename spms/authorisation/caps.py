"""Which cap on a month holds: the person's own, or the operator's. Pure."""

from spms.authorisation.model import CapRules, Facts


def service_cap_fen(facts: Facts, rules: CapRules) -> int:
    """Return the month's cap for the service: the person's own, or the operator's."""
    own_fen = facts.own_caps.service_month_fen
    return rules.service_month_fen if own_fen is None else own_fen


def category_cap_fen(facts: Facts, rules: CapRules) -> int | None:
    """Return the operator's cap on a month over the service's category, if there is one."""
    if facts.service is None or facts.service.category is None:
        return None
    return rules.category_month_fen.get(facts.service.category)


def total_cap_fen(facts: Facts, rules: CapRules) -> int:
    """Return the month's cap over all services: the person's own, or the operator's."""
    own_fen = facts.own_caps.total_month_fen
    return rules.total_month_fen if own_fen is None else own_fen
