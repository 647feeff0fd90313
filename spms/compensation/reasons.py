"""The reason catalogue: the codes people claim under, their words, and the cause each stands for.

The six causes are the law's and fixed (reference domain §1.7, F2); what people call their claim is
the operator's. At first each cause is its own code.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from spms.compensation.accounts import Bearer, Cause
from spms.compensation.refusals import ReasonUnknown

ReasonCode = Annotated[
    str,
    msgspec.Meta(
        pattern="^[a-z][a-z_]{1,39}$",
        description="A code of the reason catalogue: GET /claim-reasons has those in force",
    ),
]
Said = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"\S")]


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """A reason in words."""

    zh: Said
    en: Said


class Reason(Wording, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a code says, and the cause it stands for: that one decides who bears which multiple."""

    cause: Cause


class ClaimReason(Wording, frozen=True, kw_only=True):
    """A code one may claim under."""

    code: ReasonCode
    cause: Cause
    bearer: Bearer
    """Of the first multiple, of a charge made now."""
    second_bearer: Bearer


Reasons = Annotated[dict[ReasonCode, Reason], msgspec.Meta(min_length=1, max_length=100)]

REASONS: Final[Mapping[str, Reason]] = {
    cause: Reason(cause=cause, zh=zh, en=en)
    for cause, zh, en in (
        (Cause.OPERATOR_FAULT, "运营商差错", "The operator made a mistake"),
        (Cause.SP_FAULT, "服务提供商差错", "The service provider made a mistake"),
        (Cause.METERING, "计量有误", "Counted or measured wrongly"),
        (Cause.NOT_AS_PUBLISHED, "未按公布的资费收费", "Charged at another price than published"),
        (Cause.PROMISED_DISCOUNT, "承诺的优惠未兑现", "A promised discount was not given"),
        (Cause.NOT_OPENED, "业务未开通或未使用", "The service was never opened or used"),
    )
}
"""The catalogue, unless the rulebook has one."""


def own_names() -> dict[str, Reason]:
    """Return the six causes under their own names."""
    return {str(cause): reason for cause, reason in REASONS.items()}


def cause_named(reasons: Mapping[str, Reason], code: str) -> Cause:
    """Return the cause a code stands for; raise `ReasonUnknown` naming the codes there are."""
    if code not in reasons:
        raise ReasonUnknown(f"the codes in force are: {', '.join(sorted(reasons))}")
    return reasons[code].cause
