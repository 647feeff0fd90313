"""One message and all that decides what it means, and the two ways to answer it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from spms.core import rulebook
from spms.core.access import Actor, subscriber_by_sms
from spms.core.db import Connection
from spms.messaging import actions as messaging
from spms.messaging.model import MessageIn, MessageKind, MessagingRules
from spms.subscribers.model import Number
from spms.subscriptions import notices, talk_queries
from spms.subscriptions.leaving_model import LeavingRules, Zeros
from spms.subscriptions.model import Outcome, Subscription
from spms.subscriptions.rules import answerable

DAY = timedelta(hours=24)

ONCE, TWICE, FEW = 1, 2, 3
"""How often one thing is said to one number within 24 hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One message, and all that decides what it means. The number is held."""

    tx: Connection
    message: MessageIn
    number: Number
    rules: MessagingRules
    all: list[Subscription]
    """The owner's relations that are not over and were asked for before the message came."""
    here: list[Subscription]
    """Those of them that the called number stands for: one SP's, or all."""
    gone: list[Subscription]
    """To a wish to leave: the others that she had then, which ended before it was read."""
    sp_id: UUID | None
    """Whose number was called; None for the operator's, or one that could not be read."""
    now: datetime

    @property
    def at(self) -> datetime:
        """When the message was received."""
        return self.message.received_at

    @property
    def actor(self) -> Actor:
        """The person, speaking through the operator's own link."""
        return subscriber_by_sms(self.number.msisdn, self.number.epoch)

    @property
    def to_operator(self) -> bool:
        """Whether it was sent to the operator's own number, where prompts come from."""
        return self.message.called != "" and self.message.called == self.rules.operator_number

    @property
    def open(self) -> list[Subscription]:
        """The prompts that this message could answer."""
        return [asked for asked in self.all if answerable(asked, at=self.at)]


async def help_out(talk: Talk) -> str:
    """Say what is understood, seldom enough that two robots fall silent."""
    told = await messaging.count_sent(
        talk.tx, talk.number.msisdn, MessageKind.HELP, since=talk.now - DAY
    )
    if told >= talk.rules.help_per_day:
        return Outcome.IGNORED
    profile = await rulebook.section(talk.tx, LeavingRules, at=talk.now)
    text = notices.help_text(
        operator=talk.rules.operator_number, zeros=profile.zeros is Zeros.ALL,
        language=talk.number.language,
    )  # fmt: skip
    await messaging.send(
        talk.tx, msisdn=talk.number.msisdn, text=text, kind=MessageKind.HELP,
        about_kind="message", about_id=talk.message.id, now=talk.now,
    )  # fmt: skip
    return Outcome.HELP


async def say(talk: Talk, text: str, about: str, about_id: UUID | str, *, at_most: int) -> None:
    """Answer, unless the same was said often enough within 24 hours."""
    told = await talk_queries.times_told(
        talk.tx, talk.number.msisdn, about, str(about_id), since=talk.now - DAY
    )
    if told < at_most:
        await messaging.send(
            talk.tx, msisdn=talk.number.msisdn, text=text, kind=MessageKind.INFO,
            about_kind=about, about_id=about_id, now=talk.now,
        )  # fmt: skip
