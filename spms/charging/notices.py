"""What subscribers are told about their money: receipts, spending reminders, unusual bills.

All of it is free, given once, and in the number's language. It runs behind the landing of charges,
whole batches at a time, and never holds one up.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import msgspec

from spms.charging import notice_queries
from spms.charging.notice_queries import Spent, Untold
from spms.core import outbox, rulebook
from spms.core.clock import SHANGHAI, business_month, month_range, start_of_day
from spms.core.db import Connection
from spms.core.money import yuan
from spms.messaging import actions as messaging
from spms.messaging import giving
from spms.messaging.giving import NoticeKey, NoticeKind
from spms.messaging.model import MessageKind, MessagingRules, Outgoing
from spms.subscribers.model import Language

TOPIC_LANDED: Final = "charges.landed"
"""Outbox: {first, last}, the ids of a batch that landed; other batches may lie between them."""

ABOUT = "charge"
MONTHS_BEFORE: Final = 3


class NoticeRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rulebook section `notice`."""

    receipts: bool = True
    """One for every charge (domain R2)."""
    spending_step_fen: Annotated[int, msgspec.Meta(ge=100)] = 5_000
    """A reminder before the running month passes this, and each further one (domain R4, R5)."""
    unusual_factor: Annotated[int, msgspec.Meta(ge=1)] = 5
    """The month so far is unusual above this many times the mean of three (电信条例 art. 33)."""


RECEIPT = {
    Language.ZH: "【扣费通知】{at}，{sp}的“{service}”代收费{price}元。"
    "退订发送TD {code}到{operator}；如有疑问可在五个月内申诉。",
    Language.EN: '[Charge] CNY {price} for "{service}" by {sp} at {at}. '
    "To leave, send TD {code} to {operator}. You may dispute it within five months.",
}
SPENDING = {
    Language.ZH: "【消费提醒】您本月信息服务费已有{spent}元，即将或已经超过{mark}元。"
    "发送0000到{operator}可查询并退订在用业务。",
    Language.EN: "[Spending] CNY {spent} were charged for services this month: CNY {mark} is "
    "reached or next. Send 0000 to {operator} to see and leave what you have.",
}
UNUSUAL = {
    Language.ZH: "【异常提醒】您本月信息服务费{spent}元，超过前三个月平均值的{factor}倍。"
    "如非本人使用，请发送0000到{operator}查询，或致电客服。",
    Language.EN: "[Unusual bill] CNY {spent} were charged for services this month, more than "
    "{factor} times the mean of the three months before. If this was not you, send "
    "0000 to {operator} or call us.",
}


class Holder(NamedTuple):
    """A number in the hands of one holder, with what was charged last."""

    msisdn: str
    epoch: int
    language: Language
    largest_fen: int
    """Of the charges just made: the next one may be as much."""


def step_reached(spent_fen: int, next_fen: int, step_fen: int) -> int:
    """Return how many steps are passed, or would be with one more charge; 0 for none.

    So the reminder comes before a step is passed, also where prices do not divide it: at a step of
    50 and charges of 8, after the sixth (48), not after the seventh.
    """
    return max(0, spent_fen + max(0, next_fen) - 1) // step_fen


def unusual(month_fen: int, before_fen: int, factor: int) -> bool:
    """Whether a month so far is more than `factor` times the mean of the three before.

    Without any charge in those months there is nothing to compare with.
    """
    return before_fen > 0 and month_fen * MONTHS_BEFORE > factor * before_fen


async def landed(tx: Connection, charge_ids: Sequence[UUID], *, now: datetime) -> None:
    """Leave word that a batch landed, in its transaction; its notices follow."""
    if charge_ids:
        payload = {"first": min(charge_ids), "last": max(charge_ids)}
        await outbox.put(tx, TOPIC_LANDED, payload, now=now)


async def tell(tx: Connection, *, now: datetime, limit: int = 5) -> int:
    """Give the notices of some batches that landed; return how many batches that were.

    Any number of workers may do this at once; each notice is given once.
    """
    items = await outbox.take(tx, TOPIC_LANDED, now=now, limit=limit)
    if not items:
        return 0
    ranges = [(UUID(item.payload["first"]), UUID(item.payload["last"])) for item in items]
    charges = await notice_queries.untold(tx, ranges)
    rules = await rulebook.section(tx, NoticeRules, at=now)
    operator = (await rulebook.section(tx, MessagingRules, at=now)).operator_number
    keys = {NoticeKey(one.msisdn, NoticeKind.RECEIPT, str(one.id)): one for one in charges}
    new = await giving.claim(tx, list(keys), now=now)
    fresh = [one for key, one in keys.items() if key in new]
    messages = [_receipt(one, operator) for one in fresh] if rules.receipts else []
    messages += await _about_the_month(tx, fresh, rules, operator=operator, now=now)
    await messaging.send_many(tx, messages, now=now)
    await outbox.done(tx, items, now=now)
    return len(items)


async def _about_the_month(
    tx: Connection, fresh: Sequence[Untold], rules: NoticeRules, *, operator: str, now: datetime
) -> list[Outgoing]:
    """Write the reminders that charges of the running month make due, of each number at most two.

    A step that is passed together with a further one is claimed with it: one message says both.
    """
    month = business_month(now)
    holders = _holders([one for one in fresh if business_month(one.charged_at) == month])
    if not holders:
        return []
    back = month
    for _ in range(MONTHS_BEFORE):
        back = (back - timedelta(days=1)).replace(day=1)
    rows = await notice_queries.spent(tx, list(holders), month_range(month), start_of_day(back))
    due: dict[NoticeKey, Outgoing | None] = {}
    for row in rows:
        due |= _due(holders[row.msisdn], row, rules, f"{month:%Y-%m}", operator)
    new = await giving.claim(tx, list(due), now=now)
    return [text for key, text in due.items() if key in new and text is not None]


def _holders(charges: Sequence[Untold]) -> dict[str, Holder]:
    largest: defaultdict[str, int] = defaultdict(int)
    for one in charges:
        largest[one.msisdn] = max(largest[one.msisdn], one.due_fen)
    return {
        one.msisdn: Holder(one.msisdn, one.epoch, one.language, largest[one.msisdn])
        for one in charges
    }


def _due(
    holder: Holder, row: Spent, rules: NoticeRules, month: str, operator: str
) -> dict[NoticeKey, Outgoing | None]:
    """Return what a holder is to be told, by its key; None is said by a later step's message."""
    due: dict[NoticeKey, Outgoing | None] = {}
    step = rules.spending_step_fen
    about = f"{holder.epoch}:{month}"
    top = step_reached(row.month_fen, holder.largest_fen, step) if row.month_fen else 0
    for place in range(1, top + 1):
        key = NoticeKey(holder.msisdn, NoticeKind.SPENDING, f"{about}:{place * step}")
        due[key] = None if place < top else _message(
            holder, SPENDING[holder.language].format(
                spent=yuan(row.month_fen), mark=yuan(place * step), operator=operator
            ), month
        )  # fmt: skip
    if unusual(row.month_fen, row.before_fen, rules.unusual_factor):
        key = NoticeKey(holder.msisdn, NoticeKind.UNUSUAL_BILL, about)
        due[key] = _message(
            holder, UNUSUAL[holder.language].format(
                spent=yuan(row.month_fen), factor=rules.unusual_factor, operator=operator
            ), month
        )  # fmt: skip
    return due


def _message(holder: Holder, text: str, month: str) -> Outgoing:
    return Outgoing(
        msisdn=holder.msisdn, text=text, kind=MessageKind.REMINDER, about_kind="month",
        about_id=month,
    )  # fmt: skip


def _receipt(one: Untold, operator: str) -> Outgoing:
    text = RECEIPT[one.language].format(
        at=f"{one.charged_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}", sp=one.sp_name,
        service=one.service_name, price=yuan(one.price_fen), code=one.service_code,
        operator=operator,
    )  # fmt: skip
    return Outgoing(
        msisdn=one.msisdn, text=text, kind=MessageKind.RECEIPT, about_kind=ABOUT, about_id=one.id
    )
