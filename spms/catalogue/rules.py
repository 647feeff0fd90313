"""What may happen to a service, and which keywords it may not have. Pure."""

from spms.catalogue.model import Period, ServiceAction, ServiceKind, ServiceStatus

TRANSITIONS: dict[tuple[ServiceStatus, ServiceAction], ServiceStatus] = {
    (ServiceStatus.DRAFT, ServiceAction.BRING_ONLINE): ServiceStatus.ONLINE,
    (ServiceStatus.OFFLINE, ServiceAction.BRING_ONLINE): ServiceStatus.ONLINE,
    (ServiceStatus.ONLINE, ServiceAction.TAKE_OFFLINE): ServiceStatus.OFFLINE,
    (ServiceStatus.DRAFT, ServiceAction.WITHDRAW): ServiceStatus.WITHDRAWN,
    (ServiceStatus.OFFLINE, ServiceAction.WITHDRAW): ServiceStatus.WITHDRAWN,
}

RESERVED = frozenset({"Y", "YES", "N", "NO", "0000", "00000", "是", "否", "确认", "取消", "退订"})
"""What a person texts to confirm, refuse or leave can never order something."""


def keyword_allowed(keyword: str) -> bool:
    """Whether a canonical keyword cannot be mistaken for a command (`TD…` always leaves)."""
    return keyword not in RESERVED and not keyword.startswith(("TD", "退订"))


def period_of(kind: ServiceKind) -> Period:
    """Return what the price of such a service is for."""
    return Period.MONTH if kind is ServiceKind.MONTHLY else Period.USE


def leave_command(code: str) -> str:
    """Return how a person leaves a service: the same everywhere."""
    return f"TD {code}"
