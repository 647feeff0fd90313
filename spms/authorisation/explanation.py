"""A decision in words: one sentence per check, from the facts it was judged by."""

from collections.abc import Callable
from typing import Final

import msgspec

from spms.authorisation.model import Check, Facts, Purpose, Reason, RestrictionFact, Verdict
from spms.authorisation.rules import (
    agreed,
    agreed_price,
    category_cap_fen,
    outcomes,
    service_cap_fen,
    total_cap_fen,
)
from spms.core.money import yuan

VERDICTS: Final = {True: Verdict.PASSED, False: Verdict.FAILED, None: Verdict.NOT_JUDGED}


def checks(facts: Facts, *, show_total: bool) -> tuple[Check, ...]:
    """Return every check of the facts, in order, in plain words.

    Without `show_total` the sentence about the cap over all SPs keeps its amounts to itself: they
    say what the person spends with others.
    """
    wording = SENTENCES if show_total else SENTENCES | HIDDEN
    return tuple(
        Check(reason=reason, verdict=VERDICTS[passed], sentence=wording[reason](facts))
        for reason, passed in outcomes(facts, facts.caps)
    )


def differences(then: Facts, again: Facts) -> tuple[Reason, ...]:
    """Name the checks whose outcome is not the same on two sets of facts."""
    pairs = zip(outcomes(then, then.caps), outcomes(again, again.caps), strict=True)
    return tuple(reason for (reason, before), (_, after) in pairs if before is not after)


def for_sp(facts: Facts) -> Facts:
    """Leave out what the person spends with others, and the cap she set over all of them."""
    own_caps = msgspec.structs.replace(facts.own_caps, total_month_fen=None)
    return msgspec.structs.replace(
        facts, spent_total_fen=None, spent_category_fen=None, own_caps=own_caps
    )


def _sp_active(facts: Facts) -> str:
    return f"The SP's status is {facts.sp_status or 'unknown'}; only an active one may go on."


def _held(held: list[RestrictionFact], otherwise: str) -> str:
    if not held:
        return otherwise
    causes = ", ".join(f"{one.measure} ({one.cause_kind} {one.cause_id})" for one in held)
    return f"In force: {causes}."


def _sp_offline(facts: Facts) -> str:
    held = [one for one in facts.restrictions if one.measure == "offline" and not one.service_id]
    return _held(held, "No restriction takes the whole SP offline.")


def _service_known(facts: Facts) -> str:
    if facts.service is None:
        return "There is no service with this code."
    return f"Service {facts.service.code} is in the catalogue."


def _service_of_sp(facts: Facts) -> str:
    if facts.service is None:
        return NO_SERVICE
    whose = "the SP that asked" if facts.service.sp_id == facts.sp_id else "another SP"
    return f"The service belongs to {whose}."


def _service_online(facts: Facts) -> str:
    return NO_SERVICE if facts.service is None else f"The service was {facts.service.status}."


def _service_shielded(facts: Facts) -> str:
    if facts.service is None:
        return NO_SERVICE
    held = [
        one for one in facts.restrictions
        if one.measure == "shielded" or (one.measure == "offline" and one.service_id)
    ]  # fmt: skip
    return _held(held, "No restriction shields the service.")


def _notice(facts: Facts) -> str:
    service = facts.service
    if service is None:
        return NO_SERVICE
    if agreed(facts):
        return "The person agreed to a notice of her own terms; a later tariff changes nothing."
    if service.tariff_id is None or service.tariff_price_fen is None:
        return "The service had no tariff in force."
    tariff = f"tariff version {service.tariff_version} ({yuan(service.tariff_price_fen)} yuan)"
    if service.notice_id is None:
        return f"No notice was approved for {tariff}, the one in force."
    return f"Notice version {service.notice_version} was approved for {tariff}, the one in force."


def _access_number(facts: Facts) -> str:
    if facts.service is None:
        return NO_SERVICE
    if facts.access_number is None:
        return "The SP named no access number."
    return (
        f"The SP named access number {facts.access_number}; "
        f"the service's is {facts.service.access_number}."
    )


def _price(facts: Facts) -> str:
    asked = f"The SP asked for {yuan(facts.price_fen)} yuan"
    if facts.service is None or facts.service.sp_id != facts.sp_id:
        return f"{asked}; without a service of its own there is no price to hold it against."
    price_fen = agreed_price(facts)
    if price_fen is None:
        return f"{asked}; no price was in force."
    if facts.purpose == Purpose.MESSAGE:
        return f"{asked}; a message is free."
    if facts.relation is None:
        return f"{asked}; without a relation the tariff's {yuan(price_fen)} yuan would hold."
    consented = facts.relation.consent_price_fen
    if consented not in {None, price_fen}:
        return f"{asked}; relation and consent name different prices."
    return f"{asked}; the person agreed to {yuan(price_fen)} yuan."


def _number_state(facts: Facts) -> str:
    if facts.number is None:
        return "The number is not one of the operator's."
    return f"The number was {facts.number.state} (owner epoch {facts.number.epoch})."


def _consent(facts: Facts) -> str:
    relation = facts.relation
    if relation is None:
        return "The number's owner has no live relation with the service."
    if not relation.live:
        return f"Relation {relation.id} was not confirmed yet."
    since = f"Relation {relation.id} has been live since {relation.active_from:%F %T} UTC"
    if relation.consent_kind is None:
        return f"{since}, but no consent is on record for it."
    return f"{since}; the consent on record is the person's own {relation.consent_kind}."


def _pending(facts: Facts) -> str:
    if facts.relation is not None and not facts.relation.live:
        return f"Relation {facts.relation.id} still waits for the person's second yes."
    return "Nothing waits for the person's second yes."


def _bar(scope: str, what: str) -> Callable[[Facts], str]:
    def sentence(facts: Facts) -> str:
        if any(bar.scope == scope for bar in facts.bars):
            return f"The number's holder bars {what}."
        return f"The number's holder does not bar {what}."

    return sentence


def _leave_received(facts: Facts) -> str:
    if facts.leave_received_at is None:
        return "No wish to leave was waiting to be carried out."
    return (
        f"An SMS that may be a wish to leave came in at {facts.leave_received_at:%F %T} UTC and"
        " was not carried out yet."
    )


def _trial(facts: Facts) -> str:
    relation = facts.relation
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    if relation is None or relation.charge_from is None or not relation.live:
        return "There is no relation to be charged from an instant on."
    return f"Relation {relation.id} may be charged from {relation.charge_from:%F %T} UTC on."


def _order(facts: Facts) -> str:
    if (
        facts.purpose == Purpose.MESSAGE
        or facts.service is None
        or facts.service.kind != "on_demand"
    ):
        return "Only a charge for an on-demand service uses an order up."
    if facts.relation is None:
        return "There is no order to use."
    if facts.relation.used:
        return f"Order {facts.relation.id} has licensed a charge before; it licenses only one."
    return f"Order {facts.relation.id} has not licensed a charge before."


def _month(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    if facts.service is None or facts.service.kind != "monthly":
        return "Only a monthly service is charged once a month."
    if facts.spent_service_fen:
        return f"{yuan(facts.spent_service_fen)} yuan were charged or held for this month before."
    return "Nothing was charged or held for this month before."


def _service_cap(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    return (
        f"{yuan(facts.spent_service_fen)} yuan of the month's {yuan(service_cap_fen(facts, facts.caps))}"
        f" for this service were charged before; {yuan(facts.price_fen)} were asked for."
    )


def _quiet(facts: Facts) -> str:
    if facts.purpose == Purpose.CHARGE:
        return "Quiet hours are for messages only."
    if facts.service is not None and facts.service.kind == "on_demand":
        return "An order is answered at any hour."
    return "It was in the operator's quiet hours." if facts.quiet else "It was not in quiet hours."


def _category_cap(facts: Facts) -> str:
    cap_fen = category_cap_fen(facts, facts.caps)
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    if cap_fen is None:
        return "The service's category has no cap of its own."
    return (
        f"{yuan(facts.spent_category_fen or 0)} yuan of the month's {yuan(cap_fen)} for services"
        f" of this category were charged before; {yuan(facts.price_fen)} were asked for."
    )


def _category_hidden(facts: Facts) -> str:
    cap_fen = category_cap_fen(facts, facts.caps)
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    if cap_fen is None:
        return "The service's category has no cap of its own."
    return f"The month's cap for services of this category is {yuan(cap_fen)} yuan."


def _total_cap(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    return (
        f"{yuan(facts.spent_total_fen or 0)} yuan of the month's"
        f" {yuan(total_cap_fen(facts, facts.caps))} over all services were charged before;"
        f" {yuan(facts.price_fen)} were asked for."
    )


def _total_hidden(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    if facts.own_caps.total_month_fen is not None:
        return "The person set her own cap on a month over all services."
    return f"The month's cap over all services is {yuan(facts.caps.total_month_fen)} yuan."


NO_SERVICE: Final = "There is no service to look at."
FREE: Final = "A message is free and counts towards no cap."

SENTENCES: Final[dict[Reason, Callable[[Facts], str]]] = {
    Reason.SP_NOT_ACTIVE: _sp_active,
    Reason.SP_OFFLINE: _sp_offline,
    Reason.SERVICE_UNKNOWN: _service_known,
    Reason.SERVICE_NOT_OF_SP: _service_of_sp,
    Reason.SERVICE_NOT_ONLINE: _service_online,
    Reason.SERVICE_SHIELDED: _service_shielded,
    Reason.NO_NOTICE: _notice,
    Reason.ACCESS_NUMBER_WRONG: _access_number,
    Reason.PRICE_MISMATCH: _price,
    Reason.NUMBER_UNKNOWN: _number_state,
    Reason.NUMBER_SUSPENDED: _number_state,
    Reason.NUMBER_TERMINATED: _number_state,
    Reason.NO_CONSENT: _consent,
    Reason.CONSENT_PENDING: _pending,
    Reason.BARRED_ALL: _bar("all", "all value-added services"),
    Reason.BARRED_SP: _bar("sp", "this SP"),
    Reason.BARRED_CATEGORY: _bar("category", "the service's category"),
    Reason.LEAVE_RECEIVED: _leave_received,
    Reason.TRIAL: _trial,
    Reason.ORDER_USED: _order,
    Reason.MONTH_USED: _month,
    Reason.QUIET_HOURS: _quiet,
    Reason.CAP_SERVICE: _service_cap,
    Reason.CAP_CATEGORY: _category_cap,
    Reason.CAP_TOTAL: _total_cap,
}
HIDDEN: Final = {Reason.CAP_TOTAL: _total_hidden, Reason.CAP_CATEGORY: _category_hidden}
"""Instead of the sentences that would tell an SP what a person spends with others."""
