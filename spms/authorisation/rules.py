"""The decision itself: facts in, reasons out. Nothing here touches the world.

Each reason has one check; `judge` runs them all, so an answer names everything that is wrong. A
check answers True (passed), False (failed) or None (not judged: it does not apply, or what it
would need is missing and another check says so).

What is not judged, and why:
- about a service that is not the asking SP's, neither price nor relation: an SP learns nothing
  about what a person has with others;
- the relation of a terminated number: it ended with the number;
- caps on a price that is not the agreed one: it is not owed at all, and trying prices must not
  reveal what a person spends.
"""

from collections.abc import Callable, Iterable
from typing import Final

from spms.authorisation.caps import category_cap_fen, service_cap_fen, total_cap_fen
from spms.authorisation.message_rules import (
    Outcome,
    awake,
    own_service,
    says_nothing_forbidden,
    says_what_was_approved,
    within_quota,
    within_rate,
)
from spms.authorisation.model import CapRules, Facts, Purpose, Reason, RelationFact


def judge(facts: Facts, rules: CapRules) -> tuple[Reason, ...]:
    """Return every reason against it, in the order of `Reason`; none means it is allowed."""
    return tuple([reason for reason, check in CHECKS.items() if check(facts, rules) is False])


def outcomes(facts: Facts, rules: CapRules) -> tuple[tuple[Reason, Outcome], ...]:
    """Return each check's outcome, in the order of `Reason`."""
    return tuple((reason, check(facts, rules)) for reason, check in CHECKS.items())


def choose(
    relations: Iterable[RelationFact], *, epoch: int | None, link_id: str | None = None
) -> RelationFact | None:
    """Return the relation to judge; those of a number's earlier owner (epoch) do not count.

    The oldest live unused one, else the latest used one, else one that waits for its second yes;
    with a link id that order and no other.
    """
    own = [
        relation
        for relation in relations
        if relation.epoch == epoch and link_id in {None, relation.link_id}
    ]
    live = [relation for relation in own if relation.live]
    unused = [relation for relation in live if not relation.used]
    return next(iter(unused or live[-1:] or own), None)


def agreed_price(facts: Facts) -> int | None:
    """Return the price in fen that may be asked, or None when there is none to go by.

    The one the person agreed to in the relation, whatever the tariff says by now; without a
    relation the tariff's; a message is free.
    """
    if facts.purpose == Purpose.MESSAGE:
        return 0
    if facts.relation is not None:
        return facts.relation.price_fen
    return facts.service.tariff_price_fen if facts.service is not None else None


def agreed(facts: Facts) -> bool:
    """Whether a live relation rests on a consent: to an approved notice, and to its price."""
    relation = facts.relation
    return relation is not None and relation.live and relation.consent_kind is not None


def _sp_active(facts: Facts, _: CapRules) -> Outcome:
    return facts.sp_status == "active"


def _sp_not_offline(facts: Facts, _: CapRules) -> Outcome:
    return not any(
        held.measure == "offline" and held.service_id is None for held in facts.restrictions
    )


def _service_known(facts: Facts, _: CapRules) -> Outcome:
    return facts.service is not None


def _service_of_sp(facts: Facts, _: CapRules) -> Outcome:
    return None if facts.service is None else facts.service.sp_id == facts.sp_id


def _service_online(facts: Facts, _: CapRules) -> Outcome:
    return None if facts.service is None else facts.service.status == "online"


def _service_not_shielded(facts: Facts, _: CapRules) -> Outcome:
    """A service is shielded alone or with its whole SP; one taken offline alone counts as well."""
    if not own_service(facts):
        return None
    return not any(
        held.measure == "shielded" or (held.measure == "offline" and held.service_id is not None)
        for held in facts.restrictions
    )


def _notice_approved(facts: Facts, _: CapRules) -> Outcome:
    """Whoever agreed goes on by the notice she agreed to, whatever becomes of a later tariff's."""
    if facts.service is None:
        return None
    if agreed(facts):
        return True
    return facts.service.tariff_id is not None and facts.service.notice_id is not None


def _access_number_right(facts: Facts, _: CapRules) -> Outcome:
    if facts.service is None:
        return None
    if facts.access_number is None:
        if not own_service(facts):
            return None
        return None if facts.service.access_number_sp_id == facts.sp_id else False
    return (
        facts.access_number == facts.service.access_number
        and facts.service.access_number_sp_id == facts.sp_id
    )


def _price_agreed(facts: Facts, _: CapRules) -> Outcome:
    price_fen = agreed_price(facts)
    if not own_service(facts) or price_fen is None:
        return None
    consented = facts.relation.consent_price_fen if facts.relation is not None else None
    if facts.purpose == Purpose.CHARGE and consented not in {None, price_fen}:
        return False
    return facts.price_fen == price_fen


def _number_known(facts: Facts, _: CapRules) -> Outcome:
    return facts.number is not None


def _number_not_suspended(facts: Facts, _: CapRules) -> Outcome:
    return None if facts.number is None else facts.number.state != "suspended"


def _number_not_terminated(facts: Facts, _: CapRules) -> Outcome:
    return None if facts.number is None else facts.number.state != "terminated"


def _consented(facts: Facts, _: CapRules) -> Outcome:
    """A monthly service needs the second yes; an on-demand one a live order or a second yes."""
    if not _relation_matters(facts) or _waiting(facts):
        return None
    assert facts.service is not None  # noqa: S101 - _relation_matters has seen it
    enough = {"confirmation"} if facts.service.kind == "monthly" else {"confirmation", "order"}
    return facts.relation is not None and facts.relation.consent_kind in enough


def _not_waiting(facts: Facts, _: CapRules) -> Outcome:
    return not _waiting(facts) if _relation_matters(facts) else None


def _not_barred(scope: str) -> Callable[[Facts, CapRules], Outcome]:
    def check(facts: Facts, _: CapRules) -> Outcome:
        if not own_service(facts) or facts.number is None:
            return None
        return all(bar.scope != scope for bar in facts.bars)

    return check


def _no_leave_received(facts: Facts, _: CapRules) -> Outcome:
    """A wish to leave counts from its receipt, however slow we are to read it."""
    if facts.purpose != Purpose.CHARGE or not _relation_matters(facts):
        return None
    return facts.leave_received_at is None or facts.relation is None


def _trial_over(facts: Facts, _: CapRules) -> Outcome:
    """Before its first charge date a relation is free to have, and free to leave."""
    if facts.purpose != Purpose.CHARGE or not _relation_matters(facts):
        return None
    if facts.relation is None or not facts.relation.live:
        return None
    return not facts.relation.free


def _order_unused(facts: Facts, _: CapRules) -> Outcome:
    if facts.purpose != Purpose.CHARGE or not _relation_matters(facts):
        return None
    if facts.service is None or facts.service.kind != "on_demand" or facts.relation is None:
        return None
    return not facts.relation.used


def _month_unused(facts: Facts, _: CapRules) -> Outcome:
    """A month is paid once. What was given back leaves it unpaid again."""
    if not _owed(facts) or facts.service is None or facts.service.kind != "monthly":
        return None
    return facts.spent_service_fen == 0


def _within_service_cap(facts: Facts, rules: CapRules) -> Outcome:
    if not _caps_matter(facts, rules):
        return None
    return facts.spent_service_fen + facts.price_fen <= service_cap_fen(facts, rules)


def _within_category_cap(facts: Facts, rules: CapRules) -> Outcome:
    cap_fen = category_cap_fen(facts, rules)
    if cap_fen is None or facts.spent_category_fen is None or not _caps_matter(facts, rules):
        return None
    return facts.spent_category_fen + facts.price_fen <= cap_fen


def _within_total_cap(facts: Facts, rules: CapRules) -> Outcome:
    if facts.spent_total_fen is None or not _caps_matter(facts, rules):
        return None
    return facts.spent_total_fen + facts.price_fen <= total_cap_fen(facts, rules)


def _relation_matters(facts: Facts) -> bool:
    number = facts.number
    return own_service(facts) and number is not None and number.state != "terminated"


def _waiting(facts: Facts) -> bool:
    return facts.relation is not None and not facts.relation.live


def _owed(facts: Facts) -> bool:
    return facts.purpose == Purpose.CHARGE and facts.relation is not None and facts.relation.live


def _caps_matter(facts: Facts, rules: CapRules) -> bool:
    return _owed(facts) and _price_agreed(facts, rules) is True


CHECKS: Final[dict[Reason, Callable[[Facts, CapRules], Outcome]]] = {
    Reason.SP_NOT_ACTIVE: _sp_active,
    Reason.SP_OFFLINE: _sp_not_offline,
    Reason.SERVICE_UNKNOWN: _service_known,
    Reason.SERVICE_NOT_OF_SP: _service_of_sp,
    Reason.SERVICE_NOT_ONLINE: _service_online,
    Reason.SERVICE_SHIELDED: _service_not_shielded,
    Reason.NO_NOTICE: _notice_approved,
    Reason.ACCESS_NUMBER_WRONG: _access_number_right,
    Reason.PRICE_MISMATCH: _price_agreed,
    Reason.NUMBER_UNKNOWN: _number_known,
    Reason.NUMBER_SUSPENDED: _number_not_suspended,
    Reason.NUMBER_TERMINATED: _number_not_terminated,
    Reason.NO_CONSENT: _consented,
    Reason.CONSENT_PENDING: _not_waiting,
    Reason.BARRED_ALL: _not_barred("all"),
    Reason.BARRED_SP: _not_barred("sp"),
    Reason.BARRED_CATEGORY: _not_barred("category"),
    Reason.LEAVE_RECEIVED: _no_leave_received,
    Reason.TRIAL: _trial_over,
    Reason.ORDER_USED: _order_unused,
    Reason.MONTH_USED: _month_unused,
    Reason.QUIET_HOURS: awake,
    Reason.CAP_SERVICE: _within_service_cap,
    Reason.CAP_CATEGORY: _within_category_cap,
    Reason.CAP_TOTAL: _within_total_cap,
    Reason.SP_QUOTA: within_quota,
    Reason.SP_RATE: within_rate,
    Reason.CONTENT_FORBIDDEN: says_nothing_forbidden,
    Reason.CONTENT_NOT_APPROVED: says_what_was_approved,
}
"""The whole decision on one screen."""
