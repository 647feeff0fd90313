"""The month's bill by SMS: what it came to, and where to sign in for its lines.

One message to each number and month, to whoever holds the number now and about her own charges
only; in her language; not to who does not want it. The link is the same for everybody, so it tells
nobody anything.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Final

import msgspec

from spms.charging import summary_queries
from spms.charging.summary_queries import Summed
from spms.core import rulebook
from spms.core.access import Actor
from spms.core.clock import business_day, business_month, month_range
from spms.core.db import Connection
from spms.core.money import yuan
from spms.messaging import actions as messaging
from spms.messaging import giving
from spms.messaging.giving import NoticeKey, NoticeKind
from spms.messaging.model import MessageKind, Outgoing
from spms.subscribers import actions as subscribers
from spms.subscribers import limits
from spms.subscribers.model import Language

CHUNK: Final = 500
DAYS: Final = 3
"""So many days the summaries go out, so that a day on which nothing ran is made up for."""


class SummaryRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rulebook section `summary`: the month's bill by SMS."""

    link: Annotated[str, msgspec.Meta(pattern=r"^https://[^\s?#@]{1,200}$(?!\n)")] | None = None
    """Where a person signs in for her bill; null: no summaries. Without query or fragment: the link
    of one person is that of all."""
    first_day: Annotated[int, msgspec.Meta(ge=4, le=25)] = 5
    """Day of the month from which the month before is told: records may come 72 hours late."""


class SummaryWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether to be told by SMS every month what the bill came to."""

    wanted: bool


TEXT: Final = {
    Language.ZH: "【账单】{month}信息服务代收费{lines}笔，共{charged}元{given}。"
    "详单请用短信验证码登录 {link} 查询。回复“关闭账单”不再接收本提醒。",
    Language.EN: "[Bill] {month}: {lines} charges collected for services, CNY {charged}{given}. "
    "Sign in with a code by SMS at {link} to see each of them. Reply BILL OFF to stop this message.",
}
GIVEN: Final = {
    Language.ZH: "，已退费{refunded}元、赔付{compensation}元",
    Language.EN: "; CNY {refunded} refunded and CNY {compensation} paid as compensation",
}


def month_due(now: datetime, rules: SummaryRules) -> date | None:
    """Return the month that is told at an instant: the one before, on its days."""
    day = business_day(now).day
    if rules.link is None or not rules.first_day <= day < rules.first_day + DAYS:
        return None
    return (business_month(now) - timedelta(days=1)).replace(day=1)


async def push(
    tx: Connection, position: str | None, *, now: datetime
) -> tuple[str | None, int]:  # fmt: skip
    """Tell the numbers after a position what the month before came to; return the next position.

    None: all are told, or it is not the time. Who was told this month is not told again, however
    often the numbers are gone through and by however many workers.
    """
    rules = await rulebook.section(tx, SummaryRules, at=now)
    month = month_due(now, rules)
    if month is None or rules.link is None:
        return None, 0
    found = await summary_queries.summed(tx, position or "", month_range(month), limit=CHUNK)
    told = await _tell(tx, found, f"{month:%Y-%m}", rules.link, now=now)
    return (found[-1].msisdn if len(found) == CHUNK else None), told


async def _tell(
    tx: Connection, found: Sequence[Summed], month: str, link: str, *, now: datetime
) -> int:
    due = {
        NoticeKey(one.msisdn, NoticeKind.BILL, f"{one.epoch}:{month}"): one
        for one in found
        if one.lines and one.wanted
    }
    new = await giving.claim(tx, list(due), now=now)
    messages = [
        Outgoing(
            msisdn=one.msisdn, text=text_of(one, month, link), kind=MessageKind.INFO,
            about_kind="month", about_id=month,
        )
        for key, one in due.items()
        if key in new
    ]  # fmt: skip
    return await messaging.send_many(tx, messages, now=now)


def text_of(one: Summed, month: str, link: str) -> str:
    """Write a summary in the holder's language; what was given back is said where there is any."""
    given = ""
    if one.refunded_fen or one.compensation_fen:
        given = GIVEN[one.language].format(
            refunded=yuan(one.refunded_fen), compensation=yuan(one.compensation_fen)
        )
    return TEXT[one.language].format(
        month=month, lines=one.lines, charged=yuan(one.charged_fen), given=given, link=link
    )


async def wish(read: Connection, *, actor: Actor) -> SummaryWish:
    """Return whether the signed-in subscriber is told every month."""
    number = await subscribers.held(read, actor)
    return SummaryWish(wanted=await limits.wants_summary(read, number))


async def set_wish(
    tx: Connection, wanted: SummaryWish, *, actor: Actor, now: datetime
) -> SummaryWish:
    """Switch the monthly message off or on; it counts for this holder of the number only."""
    await limits.set_summary(tx, actor.msisdn, wanted=wanted.wanted, actor=actor, now=now)
    return wanted
