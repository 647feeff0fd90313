"""Which breaches the product finds by itself, and why people report the others. Pure.

Every kind of the catalogue stands in one of the two tables, and both in docs/penalties.md.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spms.inspections.model import Verdict
from spms.penalties.model import BreachKind, Source

K = BreachKind

FROM_VERDICT: Final[Mapping[Verdict, BreachKind]] = MappingProxyType(
    {
        Verdict.NUMBER_CHANGED: K.HOTLINE_CHANGED,
        Verdict.UNREACHABLE: K.HOTLINE_UNREACHABLE,
    }
)

FROM_ERROR: Final[Mapping[str, tuple[BreachKind, Source]]] = MappingProxyType(
    {
        "no_consent": (K.CHARGED_WITHOUT_CONSENT, Source.CONSENT_AUDIT),
        "after_transfer": (K.CHARGED_WITHOUT_CONSENT, Source.CONSENT_AUDIT),
        "other_service": (K.CHARGED_WITHOUT_CONSENT, Source.CONSENT_AUDIT),
        "mt_without_mo": (K.CHARGED_WITHOUT_CONSENT, Source.CONSENT_AUDIT),
        "no_decision": (K.CHARGED_WITHOUT_CONSENT, Source.CONSENT_AUDIT),
        "barred": (K.CHARGED_WITHOUT_CONSENT, Source.COMPENSATION),
        "after_unsubscribe": (K.CHARGED_AFTER_LEAVING, Source.COMPENSATION),
        "duplicate": (K.CHARGED_TWICE, Source.COMPENSATION),
        "price_mismatch": (K.CHARGED_OTHERWISE, Source.COMPENSATION),
        "price_raised": (K.PRICE_CHANGED_UNANNOUNCED, Source.COMPENSATION),
        "price_not_filed": (K.TARIFF_NOT_FILED, Source.COMPENSATION),
        "in_trial": (K.TRIAL_CHARGED, Source.CONSENT_AUDIT),
        "number_suspended": (K.CHARGED_WHILE_SUSPENDED, Source.COMPENSATION),
        "number_terminated": (K.CHARGED_WHILE_SUSPENDED, Source.COMPENSATION),
        "undelivered": (K.CHARGED_UNUSED, Source.COMPENSATION),
        "reserved_not_delivered": (K.CHARGED_UNUSED, Source.COMPENSATION),
        "over_cap": (K.CAP_EVADED, Source.COMPENSATION),
        "split_charges": (K.CAP_EVADED, Source.COMPENSATION),
    }
)
"""By the audit's finding; `price_raised` and `price_not_filed` are wrong prices seen closer."""

CONSENT_ERRORS: Final = frozenset(
    error for error, (kind, _) in FROM_ERROR.items() if kind is K.CHARGED_WITHOUT_CONSENT
)
"""Fewer of these on one day are a finding."""

FOUND_BY: Final[Mapping[BreachKind, str]] = MappingProxyType(
    {
        K.HOTLINE_CHANGED: "follow_inspections",
        K.HOTLINE_UNREACHABLE: "follow_inspections",
        K.HOTLINE_SLOW: "follow_inspections",
        K.CONTACT_UNREACHABLE: "follow_inspections",
        K.LEAVING_OBSTRUCTED: "follow_leavings",
        **{kind: "find_breaches" for kind, _ in FROM_ERROR.values()},
        K.SPAM: "find_breaches",
        K.BUNDLED_CONSENT: "find_breaches",
        K.COMPLAINT_UNANSWERED: "find_breaches",
        K.REFUND_REFUSED: "find_breaches",
        K.SENDER_HIDDEN: "find_breaches",
        K.PORT_SUBLET: "find_breaches",
        K.HOTLINES_TOO_FEW: "find_breaches",
        K.SELF_CONSUMPTION: "settle_months",
        K.SETTLEMENT_DATA_FALSE: "compare_counts",
    }
)
"""The job that finds a kind."""

_COMPLAINT = "seen by a person who complains: tickets are not kept here yet"
_OUTSIDE = "happens outside the operator's systems"
_OURS = "the operator's own part: texts, prompts, receipts and logs are not the SP's to change"
_CONTENT = "needs somebody who reads or hears it"

REPORTED_BY_PEOPLE: Final[Mapping[BreachKind, str]] = MappingProxyType(
    {
        K.PROMOTION_INACCURATE: _CONTENT,
        K.PROMOTION_FALSE: _CONTENT,
        K.TARIFF_NOT_SHOWN: _OUTSIDE,
        K.CONSENT_EVIDENCE_MISSING: "the evidence is the operator's own; asked of an SP that took"
        " an order elsewhere, a person judges its answer",
        K.CONSENT_FORGED: "no consent can be entered by an SP; a forged order elsewhere is reported",
        K.COMPLAINT_UNSOLVED: _COMPLAINT,
        K.COMPLAINTS_MANY: _COMPLAINT,
        K.COMPLAINTS_EXCESSIVE: _COMPLAINT,
        K.REPRISAL: _OUTSIDE,
        K.CONTENT_STALE: "content goes by the SP's own gateway",
        K.CONTENT_UNLAWFUL: _CONTENT,
        K.CONFIDENTIALITY: _OUTSIDE,
        K.BAD_PRESS: _OUTSIDE,
        K.TARIFF_NOTICE_INCOMPLETE: _OURS,
        K.NOTICE_ALTERED: _OURS,
        K.RECURRENCE_HIDDEN: _OUTSIDE,
        K.CONSENT_BY_SILENCE: "silence is refusal here; what an SP shows elsewhere is reported",
        K.LOGS_ALTERED: _OURS,
        K.LEAVING_CHARGED: _COMPLAINT,
        K.LEAVING_UNANSWERED: _OURS,
        K.REMINDER_MISSING: _OURS,
        K.COMPLAINT_PASSED_ON: _COMPLAINT,
        K.CALL_BACK_MISSED: _COMPLAINT,
        K.HOTLINE_MISHANDLED: _CONTENT,
        K.QUIET_HOURS: "a message in quiet hours is refused; one sent past the gate is reported",
        K.REFUSAL_IGNORED: "a prompt after a refusal is refused; one sent past the gate is reported",
        K.RECORDS_NOT_KEPT: "an SP's own records are looked at by a person",
    }
)
"""Why no job finds it."""
