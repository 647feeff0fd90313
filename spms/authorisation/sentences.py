"""Each check in English: a sentence from the facts it was judged by."""

from collections.abc import Callable
from typing import Final

from spms.authorisation.caps import category_cap_fen, service_cap_fen, total_cap_fen
from spms.authorisation.model import Facts, Purpose, Reason, RestrictionFact
from spms.authorisation.rules import agreed, agreed_price
from spms.core.money import yuan


def _sp_active(facts: Facts) -> str:
    return f"The SP's status is {facts.sp_status or 'unknown'}; only an active one may go on."


def _held(held: list[RestrictionFact], otherwise: str) -> str:
    causes = ", ".join(f"{one.measure} ({one.cause_kind} {one.cause_id})" for one in held)
    return f"In force: {causes}." if held else otherwise


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
        moved = facts.service.access_number_sp_id != facts.service.sp_id
        return f"The SP named no access number; the service's is {'not ' if moved else ''}its own."
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
    if facts.relation.consent_price_fen not in {None, price_fen}:
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
        barred = any(bar.scope == scope for bar in facts.bars)
        return f"The number's holder {'bars' if barred else 'does not bar'} {what}."

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
    service = facts.service
    if facts.purpose == Purpose.MESSAGE or service is None or service.kind != "on_demand":
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
    spent = f"{yuan(facts.spent_service_fen)} yuan" if facts.spent_service_fen else "Nothing"
    return f"{spent} had been charged or held for this month."


def _spent(facts: Facts, spent_fen: int | None, cap_fen: int, what: str) -> str:
    return (
        f"{yuan(spent_fen or 0)} yuan of the month's {yuan(cap_fen)} {what} were charged before;"
        f" {yuan(facts.price_fen)} were asked for."
    )


def _service_cap(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    cap_fen = service_cap_fen(facts, facts.caps)
    return _spent(facts, facts.spent_service_fen, cap_fen, "for this service")


def _quota(facts: Facts) -> str:
    quota, sent = facts.quota, facts.sent
    if quota is None or sent is None:
        return NO_QUOTA
    told = [
        f"{sent_before} of {most} messages of the {what}"
        for what, most, sent_before in (
            ("day", quota.per_day, sent.day), ("month", quota.per_month, sent.month),
        )
        if most is not None
    ]  # fmt: skip
    words = f"the SP had sent {' and '.join(told)}" if told else "days and months have no limit"
    return f"By quota version {quota.version} {words}."


def _rate(facts: Facts) -> str:
    quota, sent = facts.quota, facts.sent
    if quota is None or sent is None:
        return NO_QUOTA
    most = "any number" if quota.per_second is None else quota.per_second
    by = f"By quota version {quota.version}"
    return f"{by} the SP had sent {sent.second} of {most} messages of that second."


def _forbidden(facts: Facts) -> str:
    content = facts.content
    if content is None or not content.given:
        return "No text was given."
    if content.forbidden:
        return f"The text meets the operator's entries {', '.join(content.forbidden)}."
    return "The text meets no entry of the operator's lists."


def _approved(facts: Facts) -> str:
    content = facts.content
    if content is None or not content.bound:
        return "The service is not bound to approved texts."
    if not content.given:
        return "The service may send approved texts only, and no text was given."
    if content.template_id is None:
        return "The text follows none of those approved for the service."
    return f"The text follows version {content.template_version} of those approved for the service."


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
        return NO_CATEGORY_CAP
    return _spent(facts, facts.spent_category_fen, cap_fen, "for services of this category")


def _category_hidden(facts: Facts) -> str:
    cap_fen = category_cap_fen(facts, facts.caps)
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    words = f"The month's cap for services of this category is {yuan(cap_fen or 0)} yuan."
    return NO_CATEGORY_CAP if cap_fen is None else words


def _total_cap(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    cap_fen = total_cap_fen(facts, facts.caps)
    return _spent(facts, facts.spent_total_fen, cap_fen, "over all services")


def _total_hidden(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    if facts.own_caps.total_month_fen is not None:
        return "The person set her own cap over all services."
    return f"The month's cap over all services is {yuan(facts.caps.total_month_fen)} yuan."


NO_QUOTA: Final = "No quota of messages applies."
NO_SERVICE: Final = "There is no service to look at."
NO_CATEGORY_CAP: Final = "The service's category has no cap of its own."
FREE: Final = "A message is free and counts towards no cap."

WORDS: Final[dict[Reason, Callable[[Facts], str]]] = {
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
    Reason.SP_QUOTA: _quota,
    Reason.SP_RATE: _rate,
    Reason.CONTENT_FORBIDDEN: _forbidden,
    Reason.CONTENT_NOT_APPROVED: _approved,
}
HIDDEN: Final = {Reason.CAP_TOTAL: _total_hidden, Reason.CAP_CATEGORY: _category_hidden}
"""Instead of the sentences that would tell an SP what a person spends with others."""
