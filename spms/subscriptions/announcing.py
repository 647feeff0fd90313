"""What a person is told when a relation begins: built from the approved notice, queued as an SMS.

And taken back when the relation is over before it left.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.core import rulebook
from spms.core.db import Connection
from spms.messaging import actions as messaging
from spms.messaging import withdrawals
from spms.messaging.model import MessageKind, MessagingRules
from spms.subscribers.model import Number
from spms.subscriptions import notices, queries
from spms.subscriptions.model import ConsentRules, Subscription
from spms.subscriptions.notices import NoticeIncomplete
from spms.subscriptions.prompts import Start, prompt

ABOUT = "subscription"
"""What our messages and audit lines are about."""

UNWANTED = (MessageKind.PROMPT, MessageKind.WELCOME)
"""What nobody wants about a relation that is over. A reminder may name others, which go on."""


async def prompt_of(
    tx: Connection, number: Number, draft: Subscription, rules: ConsentRules,
    running: Subscription | None, *, now: datetime,
) -> str:  # fmt: skip
    """Write the prompt from the notice as approved; raise `NoticeIncomplete`."""
    terms = await queries.terms(tx, draft.notice_id)
    if terms is None or terms.price_fen != draft.price_fen:
        raise NoticeIncomplete("no approved notice names this price")
    operator = (await rulebook.section(tx, MessagingRules, at=now)).operator_number
    later = draft.charge_from is not None and draft.charge_from > now
    start = Start(
        charge_from=draft.charge_from if later else None, free_until=draft.free_until,
        running_fen=running.price_fen if running and running.free_until is None else None,
    )  # fmt: skip
    return prompt(
        terms, start, draft.prompt_code or "", rules.window_minutes, operator=operator,
        language=number.language,
    )  # fmt: skip


async def welcome(tx: Connection, number: Number, begun: Subscription, *, now: datetime) -> None:
    """Tell that a relation is live, since when, and from when it is charged."""
    operator = (await rulebook.section(tx, MessagingRules, at=now)).operator_number
    terms = await queries.terms(tx, begun.notice_id)
    if terms is None:
        raise NoticeIncomplete("no approved notice")
    text = notices.welcome(
        terms, begun.active_from or now, charge_from=begun.charge_from,
        free_until=begun.free_until, operator=operator, language=number.language,
    )  # fmt: skip
    await send(tx, number, MessageKind.WELCOME, begun.id, text, now=now)


async def send(
    tx: Connection, number: Number, kind: MessageKind, about: UUID, text: str, *, now: datetime
) -> None:
    """Queue a text about a relation."""
    await messaging.send(
        tx, msisdn=number.msisdn, text=text, kind=kind, about_kind=ABOUT, about_id=about,
        now=now,
    )  # fmt: skip


async def take_back(
    tx: Connection, over: Sequence[tuple[str, UUID]], *, now: datetime
) -> None:  # fmt: skip
    """Let what asks about relations that are over, or welcomes them, not leave any more."""
    await withdrawals.withdraw_many(tx, over, about_kind=ABOUT, kinds=UNWANTED, now=now)
