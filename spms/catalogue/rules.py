"""What may happen to a service, and which keywords it may not have. Pure."""

import re
from typing import Final

from spms.catalogue.model import CatalogueRules, Period, ServiceAction, ServiceKind, ServiceStatus

TRANSITIONS: dict[tuple[ServiceStatus, ServiceAction], ServiceStatus] = {
    (ServiceStatus.DRAFT, ServiceAction.BRING_ONLINE): ServiceStatus.ONLINE,
    (ServiceStatus.OFFLINE, ServiceAction.BRING_ONLINE): ServiceStatus.ONLINE,
    (ServiceStatus.ONLINE, ServiceAction.TAKE_OFFLINE): ServiceStatus.OFFLINE,
    (ServiceStatus.DRAFT, ServiceAction.WITHDRAW): ServiceStatus.WITHDRAWN,
    (ServiceStatus.OFFLINE, ServiceAction.WITHDRAW): ServiceStatus.WITHDRAWN,
}

ANSWERS: Final = frozenset({"Y", "YES", "N", "NO", "是", "否", "不"})
"""A yes or a no, which may be followed by the four digits of a prompt."""

RESERVED: Final = frozenset(
    {
        "0000", "00000", "OK", "OKAY", "YN", "NY", "YESNO", "好", "好的", "是的", "对", "對", "行",
        "嗯", "可以", "同意",
    }
)  # fmt: skip
"""Lists, leaves all, or answers without being a consent."""

PARTS: Final = (
    "确认", "確認", "退订", "退訂", "取消", "不是", "不要", "是否", "回复", "回覆",
)  # fmt: skip
"""A word around one of these is an answer, or our own prompt sent back."""

PLACE: Final = "{}"
"""In a template: up to `PLACE_MAX` characters that differ from person to person."""
PLACE_MAX: Final = 30
PLACES_MAX: Final = 10

_CODE: Final = re.compile("[0-9]{4}$")


def is_high(kind: ServiceKind, price_fen: int, rules: CatalogueRules) -> bool:
    """Whether a price is over the ordinary for its kind of service."""
    monthly = kind is ServiceKind.MONTHLY
    return price_fen > (rules.ordinary_month_fen if monthly else rules.ordinary_use_fen)


def keyword_allowed(keyword: str) -> bool:
    """Whether a canonical keyword cannot be mistaken for a command or an answer.

    `TD…` always leaves. The room that reads what is texted knows the same words; a test holds the
    two together.
    """
    return not (
        keyword in RESERVED
        or _CODE.sub("", keyword) in ANSWERS
        or keyword.startswith("TD")
        or any(part in keyword for part in PARTS)
    )


def period_of(kind: ServiceKind) -> Period:
    """Return what the price of such a service is for."""
    return Period.MONTH if kind is ServiceKind.MONTHLY else Period.USE


def leave_command(code: str) -> str:
    """Return how a person leaves a service: the same everywhere."""
    return f"TD {code}"


def wording_allowed(wording: str) -> bool:
    """Whether a template says something itself: more than places for whatever an SP likes."""
    parts = wording.split(PLACE)
    return (
        len(parts) - 1 <= PLACES_MAX
        and all(part.strip() for part in parts[1:-1])
        and any(part.strip() for part in parts)
    )
