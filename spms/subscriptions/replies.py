"""What an incoming message does: the whole conversation with a person, decided message by message.

Money follows only from a yes to the operator's own number that fits exactly one open prompt, and
from an order to an SP's access number. Leaving is understood generously and from anywhere. What
counts is when a message was received, not when it was read.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from spms.catalogue import actions as catalogue
from spms.catalogue.model import Offer, ServiceKind
from spms.core import rulebook
from spms.core.access import Actor, subscriber_by_sms
from spms.core.db import Connection
from spms.core.errors import Refused
from spms.messaging import actions as messaging
from spms.messaging.model import MessageIn, MessageKind, MessagingRules
from spms.messaging.reading import Reading, ReadingKind, read
from spms.subscribers.model import Number, NumberState
from spms.subscriptions import leaving, notices, queries
from spms.subscriptions.model import Channel, Outcome, Status, Subscription
from spms.subscriptions.ordering import confirm, line_of, order, refuse, refused_by, request
from spms.subscriptions.rules import answerable

DAY = timedelta(hours=24)
LATE = timedelta(days=7)
"""How long after a prompt a yes is still taken for a late answer to it."""

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
        return self.message.called == self.rules.operator_number

    @property
    def open(self) -> list[Subscription]:
        """The prompts that this message could answer."""
        return [asked for asked in self.all if answerable(asked, at=self.at)]


async def handle_message(tx: Connection, message: MessageIn, *, now: datetime) -> str:
    """Do what a message asks for, mark it handled, and return what came of it.

    Handling a message again, also at the same moment elsewhere, does nothing and returns the same.
    Messages of one number are to be handled in the order they were received; out of order, leaving
    wins over a yes.
    """
    number = await queries.hold_number(tx, message.msisdn)
    before = await queries.outcome_of(tx, message)
    if before is not None:
        return before
    reading = read(message.text)
    outcome = await _outcome(tx, message, number, reading, now)
    await messaging.mark_handled(tx, message, reading=reading.kind, outcome=outcome, now=now)
    return outcome


async def _outcome(
    tx: Connection, message: MessageIn, number: Number | None, reading: Reading, now: datetime
) -> str:
    at = message.received_at
    if number is None or (number.state is NumberState.TERMINATED and at >= number.state_since):
        return Outcome.UNKNOWN_NUMBER
    if at < number.epoch_since:
        return Outcome.FORMER_OWNER
    rules = await rulebook.section(tx, MessagingRules, at=now)
    everything = [
        current
        for current in await queries.live(tx, number.msisdn)
        if current.epoch == number.epoch and current.asked_at <= at
    ]
    sp_id = None
    if message.called != rules.operator_number:
        sp_id = await queries.sp_behind(tx, message.called)
    here = [current for current in everything if sp_id in (None, current.sp_id)]
    talk = Talk(
        tx=tx, message=message, number=number, rules=rules, all=everything, here=here, now=now
    )
    return await ANSWERS[reading.kind](talk, reading)


async def _yes(talk: Talk, reading: Reading) -> str:
    """Confirm the one prompt that is meant; when in doubt, none."""
    code, language = reading.code, talk.number.language
    if not talk.to_operator:
        if talk.open:
            text = notices.not_to_operator(
                operator=talk.rules.operator_number, language=language
            )  # fmt: skip
            await _say(talk, text, "not_to_operator", talk.open[-1].id, at_most=ONCE)
        return Outcome.NOT_TO_OPERATOR
    meant = [asked for asked in talk.open if code in (None, asked.prompt_code)]
    if len(meant) == 1:
        return await confirm(talk.tx, talk.number, meant[0], talk.message, now=talk.now)
    past = await queries.recent_prompts(
        talk.tx, talk.number, since=talk.at - LATE, until=talk.at
    )  # fmt: skip
    answered = [asked for asked in past if code in (None, asked.prompt_code)]
    if talk.open and (code is None or not answered):
        lines = [line_of(asked, asked.prompt_code) for asked in talk.open]
        text = notices.ask_code(lines, language=language)
        await _say(talk, text, "code_needed", talk.open[-1].id, at_most=TWICE)
        return Outcome.CODE_NEEDED
    if not answered:
        return await _help(talk, reading)
    if answered[0].status in (Status.ACTIVE, Status.SUSPENDED):
        return Outcome.ALREADY_CONFIRMED
    text = notices.too_late([line_of(answered[0])], language=language)
    await _say(talk, text, "too_late", answered[0].id, at_most=ONCE)
    return Outcome.TOO_LATE


async def _no(talk: Talk, reading: Reading) -> str:
    """Refuse what is open: all of it, or the prompt that is named."""
    code = reading.code
    meant = [
        asked for asked in talk.here if asked in talk.open and code in (None, asked.prompt_code)
    ]
    if not meant:
        return await _help(talk, reading)
    await refuse(talk.tx, talk.number, meant, at=talk.at, now=talk.now)
    return Outcome.REFUSED


async def _leave(talk: Talk, reading: Reading) -> str:
    """TD and nothing else: prompts are refused; the only relation ends, several are listed."""
    if reading.code is not None:
        return await _leave_one(talk, reading.code)
    running = [
        one
        for one in talk.here
        if one.kind is ServiceKind.MONTHLY and one.status is not Status.AWAITING
    ]
    waiting = [one for one in talk.here if one.status is Status.AWAITING]
    if len(running) == 1 or not running:
        return await _end(talk, [*waiting, *running])
    if waiting:
        await _end(talk, waiting)
    return await _show(talk, running)


async def _leave_one(talk: Talk, code: str) -> str:
    """TD and a code: that service, wherever it was sent; a keyword or a prompt's code will do."""
    for named in (
        [one for one in talk.all if one.service_code == code],
        [one for one in talk.open if one.prompt_code == code],
        [one for one in talk.here if one.keyword == code],
    ):
        if len({one.service_id for one in named}) > 1:
            return await _show(talk, named)
        if named:
            return await _end(talk, named)
    return await _end(talk, [])


async def _end(talk: Talk, wanted: list[Subscription]) -> str:
    ended = await leaving.end(talk.tx, wanted, at=talk.at, actor=talk.actor, now=talk.now)
    if ended:
        await leaving.confirm_left(talk.tx, talk.number, ended, now=talk.now)
        return Outcome.LEFT
    text = notices.nothing_to_leave(
        operator=talk.rules.operator_number, language=talk.number.language
    )
    await _say(talk, text, "nothing_to_leave", "", at_most=FEW)
    return Outcome.NOTHING_TO_LEAVE


async def _list(talk: Talk, _: Reading) -> str:
    return await _show(talk, talk.here)


async def _leave_all(talk: Talk, _: Reading) -> str:
    return await _end(talk, talk.here)


async def _show(talk: Talk, relations: list[Subscription]) -> str:
    """Answer with the numbered list of those relations that renew themselves."""
    running = [one for one in relations if one.status is not Status.AWAITING]
    text = await leaving.make_list(talk.tx, talk.number, running, now=talk.now)
    await messaging.send(
        talk.tx, msisdn=talk.number.msisdn, text=text, kind=MessageKind.LIST,
        about_kind="message", about_id=talk.message.id, now=talk.now,
    )  # fmt: skip
    return Outcome.LISTED


async def _choice(talk: Talk, reading: Reading) -> str:
    """Numbers out of the list that the person saw; at an SP's number a digit may be an order."""
    offer = await _offered(talk, reading.keyword)
    if offer is not None:
        return await _order(talk, offer)
    ids = await queries.open_list(
        talk.tx, talk.number.msisdn, since=talk.number.epoch_since, at=talk.at
    )
    if ids is None:
        return await _help(talk, reading)
    chosen = {ids[place - 1] for place in reading.choices if place <= len(ids)}
    if not chosen:
        return await _show(talk, talk.here)
    return await _end(talk, [one for one in talk.all if one.id in chosen])


async def _keyword(talk: Talk, reading: Reading) -> str:
    offer = await _offered(talk, reading.keyword)
    return await (_help(talk, reading) if offer is None else _order(talk, offer))


async def _offered(talk: Talk, keyword: str | None) -> Offer | None:
    if keyword is None:
        return None
    return await catalogue.offer_by_keyword(talk.tx, talk.message.called, keyword, at=talk.at)


async def _order(talk: Talk, offer: Offer) -> str:
    """Order what a keyword stands for: on demand at once, monthly only after a second yes."""
    try:
        if offer.kind is ServiceKind.ON_DEMAND:
            await order(talk.tx, talk.message, offer, number=talk.number, now=talk.now)
            return Outcome.ORDERED
        await request(
            talk.tx, msisdn=talk.number.msisdn, service_id=offer.service_id, channel=Channel.SMS,
            request_text=talk.message.text or "", actor=talk.actor, now=talk.now,
            message=talk.message,
        )  # fmt: skip
        return Outcome.PROMPTED
    except Refused as refusal:
        code = refusal.instance_code
    text = notices.not_accepted(offer.service_name, code, language=talk.number.language)
    await _say(talk, text, "not_accepted", offer.service_id, at_most=FEW)
    return refused_by(code)


async def _help(talk: Talk, _: Reading) -> str:
    """Say what is understood, seldom enough that two robots fall silent."""
    told = await messaging.count_sent(
        talk.tx, talk.number.msisdn, MessageKind.HELP, since=talk.now - DAY
    )
    if told >= talk.rules.help_per_day:
        return Outcome.IGNORED
    text = notices.help_text(operator=talk.rules.operator_number, language=talk.number.language)
    await messaging.send(
        talk.tx, msisdn=talk.number.msisdn, text=text, kind=MessageKind.HELP,
        about_kind="message", about_id=talk.message.id, now=talk.now,
    )  # fmt: skip
    return Outcome.HELP


async def _say(talk: Talk, text: str, about: str, about_id: UUID | str, *, at_most: int) -> None:
    """Answer, unless the same was said often enough within 24 hours."""
    told = await queries.times_told(
        talk.tx, talk.number.msisdn, about, str(about_id), since=talk.now - DAY
    )
    if told < at_most:
        await messaging.send(
            talk.tx, msisdn=talk.number.msisdn, text=text, kind=MessageKind.INFO,
            about_kind=about, about_id=about_id, now=talk.now,
        )  # fmt: skip


ANSWERS: dict[ReadingKind, Callable[[Talk, Reading], Awaitable[str]]] = {
    ReadingKind.YES: _yes,
    ReadingKind.NO: _no,
    ReadingKind.LEAVE: _leave,
    ReadingKind.LIST: _list,
    ReadingKind.LEAVE_ALL: _leave_all,
    ReadingKind.CHOICE: _choice,
    ReadingKind.KEYWORD: _keyword,
    ReadingKind.UNCLEAR: _help,
}
