"""What an incoming message does: the whole conversation with a person, decided message by message.

Money follows only from a yes to the operator's own number that fits exactly one open prompt, and
from an order to an SP's access number. Leaving is understood generously and from anywhere. What
counts is when a message was received, not when it was read.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from spms.catalogue import actions as catalogue
from spms.catalogue.model import Offer, ServiceKind
from spms.core import rulebook
from spms.core.db import Connection
from spms.core.errors import Refused
from spms.messaging import actions as messaging
from spms.messaging.model import MessageIn, MessagingRules
from spms.messaging.reading import Reading, ReadingKind, read
from spms.subscribers import limits
from spms.subscribers.model import Language, Number, NumberState
from spms.subscriptions import leave_replies, notices, queries, talk_queries
from spms.subscriptions.model import Channel, Outcome, Status
from spms.subscriptions.ordering import confirm, line_of, order, refuse, refused_by, request
from spms.subscriptions.summary_reply import summary_set
from spms.subscriptions.talk import FEW, ONCE, TWICE, Talk, help_out, say

LATE = timedelta(days=7)
"""How long after a prompt a yes is still taken for a late answer to it."""


async def handle_message(tx: Connection, message: MessageIn, *, now: datetime) -> str:
    """Do what a message asks for, mark it handled, and return what came of it.

    Handling a message again, also at the same moment elsewhere, does nothing and returns the same.
    Messages of one number are to be handled in the order they were received; out of order, leaving
    wins over a yes.
    """
    number = await queries.hold_number(tx, message.msisdn)
    before = await talk_queries.outcome_of(tx, message)
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
    rules = await rulebook.section(tx, MessagingRules, at=now)
    sp_id = None
    if message.called not in ("", rules.operator_number):
        sp_id = await talk_queries.sp_behind(tx, message.called)
    if at < number.epoch_since or number.state is NumberState.TERMINATED:
        await leave_replies.leave_for_former(tx, message, reading, sp_id=sp_id, now=now)
        return Outcome.FORMER_OWNER
    everything = [
        current
        for current in await queries.live(tx, number.msisdn)
        if current.epoch == number.epoch and current.asked_at <= at
    ]
    here = [current for current in everything if sp_id in (None, current.sp_id)]
    gone = await leave_replies.gone(tx, message, reading, number.epoch)
    talk = Talk(
        tx=tx, message=message, number=number, rules=rules, all=everything, here=here, gone=gone,
        sp_id=sp_id, now=now,
    )  # fmt: skip
    return await ANSWERS[reading.kind](talk, reading)


async def _yes(talk: Talk, reading: Reading) -> str:
    """Confirm the one prompt that is meant; when in doubt, none."""
    code, language = reading.code, talk.number.language
    if not talk.to_operator:
        if talk.open:
            text = notices.not_to_operator(
                operator=talk.rules.operator_number, language=language
            )  # fmt: skip
            await say(talk, text, "not_to_operator", talk.open[-1].id, at_most=ONCE)
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
        await say(talk, text, "code_needed", talk.open[-1].id, at_most=TWICE)
        return Outcome.CODE_NEEDED
    if not answered:
        return await help_out(talk)
    if answered[0].status in (Status.ACTIVE, Status.SUSPENDED):
        return Outcome.ALREADY_CONFIRMED
    text = notices.too_late([line_of(answered[0])], language=language)
    await say(talk, text, "too_late", answered[0].id, at_most=ONCE)
    return Outcome.TOO_LATE


async def _no(talk: Talk, reading: Reading) -> str:
    """Refuse what is open: all of it, or the prompt that is named."""
    code = reading.code
    meant = [
        asked for asked in talk.here if asked in talk.open and code in (None, asked.prompt_code)
    ]
    if not meant:
        return await help_out(talk)
    await refuse(talk.tx, talk.number, meant, talk.message, now=talk.now)
    return Outcome.REFUSED


async def _language(talk: Talk, reading: Reading) -> str:
    """`EN`, `中文`: the language of our messages; at an SP's number it may be an order."""
    if not talk.to_operator:
        return await _keyword(talk, reading)
    language = Language(reading.code or "")
    await limits.set_language(talk.tx, talk.number.msisdn, language, actor=talk.actor)
    await say(talk, notices.language_set(language=language), "language", language, at_most=FEW)
    return Outcome.LANGUAGE_SET


async def _summary(talk: Talk, reading: Reading) -> str:
    """`关闭账单`, `开启账单`: the month's bill by SMS; at an SP's number it may be an order."""
    if not talk.to_operator:
        return await _keyword(talk, reading)
    wanted = reading.code == "on"
    await limits.set_summary(
        talk.tx, talk.number.msisdn, wanted=wanted, actor=talk.actor, now=talk.now
    )
    text = summary_set(wanted=wanted, language=talk.number.language)
    await say(talk, text, "summary", reading.code or "", at_most=FEW)
    return Outcome.SUMMARY_SET


async def _choice(talk: Talk, reading: Reading) -> str:
    """Numbers out of the list that the person saw; at an SP's number a digit may be an order."""
    offer = await _offered(talk, reading.keyword)
    if offer is not None:
        return await _order(talk, offer)
    done = await leave_replies.choose(talk, reading)
    return await help_out(talk) if done is None else done


async def _keyword(talk: Talk, reading: Reading) -> str:
    offer = await _offered(talk, reading.keyword)
    return await (help_out(talk) if offer is None else _order(talk, offer))


async def _offered(talk: Talk, keyword: str | None) -> Offer | None:
    # Nothing is for sale at the operator's own number, whoever was given it by mistake, nor at one
    # that could not be read.
    if keyword is None or talk.to_operator or not talk.message.called:
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
    await say(talk, text, "not_accepted", offer.service_id, at_most=FEW)
    return refused_by(code)


async def _unclear(talk: Talk, _: Reading) -> str:
    return await help_out(talk)


ANSWERS: dict[ReadingKind, Callable[[Talk, Reading], Awaitable[str]]] = {
    ReadingKind.YES: _yes,
    ReadingKind.NO: _no,
    ReadingKind.LEAVE: leave_replies.leave,
    ReadingKind.LIST: leave_replies.show_all,
    ReadingKind.LEAVE_ALL: leave_replies.leave_all,
    ReadingKind.LANGUAGE: _language,
    ReadingKind.SUMMARY: _summary,
    ReadingKind.CHOICE: _choice,
    ReadingKind.KEYWORD: _keyword,
    ReadingKind.UNCLEAR: _unclear,
}
