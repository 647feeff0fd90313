"""The rulebook's section on penalties: what the operator may set, and the defaults."""

from enum import StrEnum
from typing import Annotated

import msgspec

from spms.partners.model import Measure


class Grade(StrEnum):
    """How grave a breach is: 一般, 严重, 重大."""

    GENERAL = "general"
    SERIOUS = "serious"
    GRAVE = "grave"


class BreachKind(StrEnum):
    """The closed list of breaches; what each is and brings stands in `catalogue.py`."""

    HOTLINE_CHANGED = "hotline_changed"
    HOTLINE_UNREACHABLE = "hotline_unreachable"
    HOTLINE_SLOW = "hotline_slow"
    HOTLINES_TOO_FEW = "hotlines_too_few"
    CONTACT_UNREACHABLE = "contact_unreachable"
    PROMOTION_INACCURATE = "promotion_inaccurate"
    PROMOTION_FALSE = "promotion_false"
    TARIFF_NOT_SHOWN = "tariff_not_shown"
    CHARGED_OTHERWISE = "charged_otherwise"
    CHARGED_TWICE = "charged_twice"
    CHARGED_WITHOUT_CONSENT = "charged_without_consent"
    CHARGED_AFTER_LEAVING = "charged_after_leaving"
    CONSENT_EVIDENCE_MISSING = "consent_evidence_missing"
    CONSENT_FORGED = "consent_forged"
    LEAVING_OBSTRUCTED = "leaving_obstructed"
    COMPLAINT_UNANSWERED = "complaint_unanswered"
    COMPLAINT_UNSOLVED = "complaint_unsolved"
    COMPLAINTS_MANY = "complaints_many"
    COMPLAINTS_EXCESSIVE = "complaints_excessive"
    REPRISAL = "reprisal"
    SPAM = "spam"
    CONTENT_STALE = "content_stale"
    CONTENT_UNLAWFUL = "content_unlawful"
    SELF_CONSUMPTION = "self_consumption"
    SETTLEMENT_DATA_FALSE = "settlement_data_false"
    CONFIDENTIALITY = "confidentiality"
    BAD_PRESS = "bad_press"
    TARIFF_NOT_FILED = "tariff_not_filed"
    TARIFF_NOTICE_INCOMPLETE = "tariff_notice_incomplete"
    NOTICE_ALTERED = "notice_altered"
    RECURRENCE_HIDDEN = "recurrence_hidden"
    PRICE_CHANGED_UNANNOUNCED = "price_changed_unannounced"
    TRIAL_CHARGED = "trial_charged"
    BUNDLED_CONSENT = "bundled_consent"
    CONSENT_BY_SILENCE = "consent_by_silence"
    LOGS_ALTERED = "logs_altered"
    CHARGED_WHILE_SUSPENDED = "charged_while_suspended"
    CHARGED_UNUSED = "charged_unused"
    CAP_EVADED = "cap_evaded"
    LEAVING_CHARGED = "leaving_charged"
    LEAVING_UNANSWERED = "leaving_unanswered"
    REMINDER_MISSING = "reminder_missing"
    REFUND_REFUSED = "refund_refused"
    COMPLAINT_PASSED_ON = "complaint_passed_on"
    CALL_BACK_MISSED = "call_back_missed"
    HOTLINE_MISHANDLED = "hotline_mishandled"
    SENDER_HIDDEN = "sender_hidden"
    QUIET_HOURS = "quiet_hours"
    REFUSAL_IGNORED = "refusal_ignored"
    PORT_SUBLET = "port_sublet"
    RECORDS_NOT_KEPT = "records_not_kept"


class Rank(msgspec.Struct, frozen=True, kw_only=True):
    """What an SP may apply for while at least so many points are left (domain P7)."""

    name: str
    at_least: int
    new_services: bool
    high_price: bool
    """Tariffs above the ordinary."""
    promotion: bool
    """Joint promotion with the operator."""


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of the ladder: a measure that holds while fewer points are left."""

    below: int
    measure: Measure


Points = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Fen = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Days = Annotated[int, msgspec.Meta(ge=0, le=250)]


def by_grade(general: int, serious: int, grave: int) -> dict[Grade, int]:
    """Return a table by grade."""
    return {Grade.GENERAL: general, Grade.SERIOUS: serious, Grade.GRAVE: grave}


class PenaltyRules(msgspec.Struct, frozen=True, kw_only=True):
    """Section `penalty` of the rulebook."""

    yearly_points: Points = 100
    points: dict[Grade, Points] = msgspec.field(default_factory=lambda: by_grade(10, 30, 60))
    grades: dict[BreachKind, Grade] = {}
    """Grades that differ from the catalogue's."""
    cut_percent: dict[Grade, Percent] = msgspec.field(default_factory=lambda: by_grade(10, 30, 50))
    """Settlement cut, once the breach is final: domain P1."""
    fine_fen: dict[Grade, Fen] = msgspec.field(
        default_factory=lambda: by_grade(500_000, 1_000_000, 20_000_000)
    )
    """Of general breaches it is suspended: it falls due when the cure date passes (domain P12,
    P19)."""
    cure_working_days: dict[Grade, Days] = msgspec.field(default_factory=lambda: by_grade(5, 3, 0))
    """Nought: at once."""
    cure_grace_hours: Annotated[int, msgspec.Meta(ge=0, le=720)] = 24
    """So long after the cure date silence escalates."""
    ladder: Annotated[list[Rung], msgspec.Meta(max_length=20)] = msgspec.field(
        default_factory=lambda: [
            Rung(below=80, measure=Measure.NO_NEW_SERVICES),
            Rung(below=60, measure=Measure.SHIELDED),
            Rung(below=40, measure=Measure.NO_NEW_SUBSCRIPTIONS),
            Rung(below=20, measure=Measure.SETTLEMENT_HELD),
            Rung(below=1, measure=Measure.OFFLINE),
        ]
    )
    """Sichuan Unicom's and China Mobile's ladders in one: domain P1, P2."""
    ranks: Annotated[list[Rank], msgspec.Meta(min_length=1, max_length=10)] = msgspec.field(
        default_factory=lambda: [
            Rank(name="A", at_least=95, new_services=True, high_price=True, promotion=True),
            Rank(name="B", at_least=80, new_services=True, high_price=False, promotion=True),
            Rank(name="C", at_least=60, new_services=False, high_price=False, promotion=False),
        ]
    )
    """From the best; with fewer points than the last asks for, an SP may apply for nothing. What a
    rank may not apply for is refused by a measure that the breach brings which lost the right."""
    appeal_working_days: Annotated[int, msgspec.Meta(ge=1, le=250)] = 5
    statement_working_days: Days = 5
    """How long the SP may speak before a breach is decided without it (domain K9, L10)."""
    interim_working_days: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10
    """Longest interim shield while a breach waits for its decision."""
    bad_credit_years: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2
    """Domain P5."""
    linkage_from: Grade | None = None
    """联动: from this grade on, the company's other provinces lose the same points (domain P4);
    null: no linkage."""
    wrong_charges_a_day: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 20
    """So many refunded charges of one service with one kind of error on one day are a finding."""
    unconsented_charges_a_day: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 5
    """The same of charges that nobody agreed to."""
    unwanted_prompts_least: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 50
    unwanted_prompts_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 90
    """Of at least so many prompts that an SP asked for on one day, so many in a hundred refused or
    left unanswered are a finding (domain P13)."""
    bundled_numbers_a_day: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 10
    bundle_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 5
    """So many numbers that an SP asked for several services within so many minutes (domain C11)."""
    silent_claims_a_day: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 5
    """So many claims on one day that an SP let pass in silence (domain K3)."""
    lost_objections_a_day: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 5
    """So many objections to refunds that were overruled on one day (domain F3)."""
    foreign_questions_a_day: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = 100
    """So many questions on one day about access numbers, or services, of others (domain S8)."""
