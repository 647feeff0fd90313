"""The reminder before a month renews (续订提醒): what will be charged, and how to leave before.

A monthly relation renews with the business month. Each relation is reminded of each month once, a
day and more before it begins; several of one number come in one message.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Annotated, Final
from uuid import UUID

import msgspec

from spms.core import rulebook
from spms.core.clock import business_month, month_range, next_month
from spms.core.db import Connection
from spms.core.money import yuan
from spms.messaging import actions as messaging
from spms.messaging import giving, withdrawals
from spms.messaging.giving import NoticeKey, NoticeKind
from spms.messaging.model import MessageKind, MessagingRules, Outgoing
from spms.subscribers.model import Language
from spms.subscriptions import reminder_queries
from spms.subscriptions.model import Status
from spms.subscriptions.reminder_queries import Renewing

BATCH: Final = 1000
ITEMS_MAX: Final = 8
"""Services named in one message; a further one starts the next message."""


class RenewalRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rulebook section `renewal`."""

    hours_before: Annotated[int, msgspec.Meta(ge=1, le=240)] = 24
    """By then at the latest the reminder is out (domain R3)."""
    starts_before_hours: Annotated[int, msgspec.Meta(ge=1, le=240)] = 36
    """From then on reminders go out: 36 h before midnight is noon, when people are awake."""


RENEWAL = {
    Language.ZH: "【续订提醒】以下业务将于{day}续订并扣费：{items}。"
    "不需要请在此前发送TD加业务代码到{operator}退订，免费且即时生效。",
    Language.EN: "[Renewal] On {day} these renew and are charged: {items}. If you do not want one, "
    "send TD and its code to {operator} before; it is free and works at once.",
}
ITEM = {
    Language.ZH: "{sp}的“{service}”{price}元/月（TD {code}）",
    Language.EN: '"{service}" by {sp}, CNY {price} a month (TD {code})',
}
JOIN = {Language.ZH: "；", Language.EN: "; "}


async def remind(tx: Connection, *, now: datetime, limit: int = 20_000) -> int:
    """Remind of the renewals that come with the next month; return how many relations that were.

    Does nothing before its time. One that begins after the reminders went out is reminded late
    rather than never: its welcome said the same a moment ago.
    """
    month = await _month(tx, now)
    if month is None:
        return 0
    operator = (await rulebook.section(tx, MessagingRules, at=now)).operator_number
    name, after, told = f"{month:%Y-%m}", ("", UUID(int=0)), 0
    while told < limit:
        found = await reminder_queries.renewing(
            tx, now=now, after=after, month=name, begins=month_range(month)[0], limit=BATCH
        )  # fmt: skip
        if not found:
            break
        keys = {
            NoticeKey(each.relation.msisdn, NoticeKind.RENEWAL, f"{each.relation.id}:{name}"): each
            for each in found
        }
        new = await giving.claim(tx, list(keys), now=now)
        due = [each for key, each in keys.items() if key in new]
        await messaging.send_many(tx, _messages(due, f"{month:%Y-%m-%d}", operator), now=now)
        told += len(due)
        after = (found[-1].relation.msisdn, found[-1].relation.id)
    return told


async def take_back(tx: Connection, over: Sequence[tuple[str, UUID]], *, now: datetime) -> None:
    """Let no reminder leave any more that names relations that are over: pairs of number and id.

    What it named beside them goes on, and is reminded of anew.
    """
    month = await _month(tx, now)
    if month is None or not over:
        return
    numbers = sorted({msisdn for msisdn, _ in over})
    reminded = await reminder_queries.reminded(tx, numbers, month=f"{month:%Y-%m}")
    ended = set(over)
    touched = {each.relation.msisdn for each in reminded
               if (each.relation.msisdn, each.relation.id) in ended}  # fmt: skip
    named = [each for each in reminded if each.relation.msisdn in touched]
    taken_back = await withdrawals.withdraw_many(
        tx, [(each.relation.msisdn, each.relation.id) for each in named],
        about_kind="subscription", kinds=[MessageKind.REMINDER], now=now,
    )  # fmt: skip
    rest = [each for each in named if each.relation.status is Status.ACTIVE]
    if taken_back and rest:
        operator = (await rulebook.section(tx, MessagingRules, at=now)).operator_number
        await messaging.send_many(tx, _messages(rest, f"{month:%Y-%m-%d}", operator), now=now)


async def _month(read: Connection, now: datetime) -> date | None:
    """Return the month that is reminded of now; None while it is too far away."""
    rules = await rulebook.section(read, RenewalRules, at=now)
    month = next_month(business_month(now))
    early = timedelta(hours=max(rules.hours_before, rules.starts_before_hours))
    return month if now >= month_range(month)[0] - early else None


def _messages(due: list[Renewing], day: str, operator: str) -> list[Outgoing]:
    """Write the messages, of each number as few as hold all of its services."""
    messages = []
    for _, group in groupby(due, key=lambda each: each.relation.msisdn):
        of_number = list(group)
        messages += [
            _message(of_number[start : start + ITEMS_MAX], day, operator)
            for start in range(0, len(of_number), ITEMS_MAX)
        ]
    return messages


def _message(of_number: list[Renewing], day: str, operator: str) -> Outgoing:
    first, language = of_number[0].relation, of_number[0].language
    items = JOIN[language].join(
        ITEM[language].format(
            sp=each.relation.sp_name, service=each.relation.service_name,
            price=yuan(each.relation.price_fen), code=each.relation.service_code,
        )
        for each in of_number
    )  # fmt: skip
    text = RENEWAL[language].format(day=day, items=items, operator=operator)
    return Outgoing(
        msisdn=first.msisdn, text=text, kind=MessageKind.REMINDER, about_kind="subscription",
        about_id=first.id,
    )  # fmt: skip
