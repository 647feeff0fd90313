"""What a wish to leave does, however it is written: TD, codes, places on a list, zeros."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.catalogue.model import ServiceKind
from spms.core import rulebook
from spms.core.access import subscriber_by_sms
from spms.core.db import Connection
from spms.messaging import actions as messaging
from spms.messaging.model import MessageIn, MessageKind
from spms.messaging.reading import LEAVING, Reading, ReadingKind
from spms.subscribers import actions as subscribers
from spms.subscriptions import leaving, notices, queries, talk_queries
from spms.subscriptions.leaving_model import LeavingRules, Zeros
from spms.subscriptions.model import Outcome, Status, Subscription
from spms.subscriptions.talk import DAY, FEW, Talk, say


async def leave(talk: Talk, reading: Reading) -> str:
    """TD and nothing else: prompts are refused; the only relation ends, several are listed."""
    if reading.choices and (ids := await chosen(talk, reading.choices)):
        return await end(talk, [one for one in talk.all + talk.gone if one.id in ids])
    if reading.codes:
        return await _leave_several(talk, reading.codes)
    if reading.code is not None:
        return await _leave_one(talk, reading.code)
    running = [
        one
        for one in talk.here
        if one.kind is ServiceKind.MONTHLY and one.status is not Status.AWAITING
    ]
    waiting = [one for one in talk.here if one.status is Status.AWAITING]
    if not running:
        return await end(talk, [*waiting, *_only(_here(talk))])
    if len(running) == 1:
        return await end(talk, [*waiting, *running])
    if waiting:
        await end(talk, waiting)
    return await show(talk, running)


async def _leave_one(talk: Talk, code: str) -> str:
    """TD and a code: that service, wherever it was sent; a keyword or a prompt's code will do."""
    named = _named(talk, code)
    if len({one.service_id for one in named}) > 1:
        return await show(talk, named)
    return await end(talk, named)


async def _leave_several(talk: Talk, codes: tuple[str, ...]) -> str:
    """TD and several codes: each that names one service ends; what is not clear stays."""
    wanted: list[Subscription] = []
    for code in codes:
        named = _named(talk, code)
        if len({one.service_id for one in named}) == 1:
            wanted += [one for one in named if one not in wanted]
    return await end(talk, wanted)


def _named(talk: Talk, code: str) -> list[Subscription]:
    """Return what a code names: a service anywhere, else an open prompt, else a keyword here."""
    return (
        [one for one in talk.all + talk.gone if one.service_code == code]
        or [one for one in talk.open if one.prompt_code == code]
        or [one for one in talk.here if one.keyword == code]
    )


async def end(talk: Talk, wanted: list[Subscription]) -> str:
    """End relations as of the message's receipt, and say so; or say that there was nothing."""
    ended = await leaving.end(
        talk.tx, wanted, at=talk.at, actor=talk.actor, now=talk.now, message_id=talk.message.id
    )
    if ended:
        await leaving.confirm_left(talk.tx, talk.number, ended, now=talk.now)
        return Outcome.LEFT
    text = notices.nothing_to_leave(
        operator=talk.rules.operator_number, language=talk.number.language
    )
    await say(talk, text, "nothing_to_leave", "", at_most=FEW)
    return Outcome.NOTHING_TO_LEAVE


async def show_all(talk: Talk, _: Reading) -> str:
    """`0000`: everything the called number stands for."""
    return await show(talk, talk.here)


async def leave_all(talk: Talk, _: Reading) -> str:
    """`00000`: what it does is the operator's profile."""
    profile = await rulebook.section(talk.tx, LeavingRules, at=talk.now)
    zeros = profile.zeros if talk.to_operator else profile.zeros_at_sp
    if zeros is Zeros.ALL:
        return await end(talk, talk.here + _here(talk))
    return await show(talk, talk.here)


async def show(talk: Talk, relations: list[Subscription]) -> str:
    """Answer with the numbered list of those relations that renew themselves."""
    profile = await rulebook.section(talk.tx, LeavingRules, at=talk.now)
    sent = await messaging.count_sent(
        talk.tx, talk.number.msisdn, MessageKind.LIST, since=talk.now - DAY
    )
    if sent >= profile.lists_per_day:
        return Outcome.IGNORED
    running = [one for one in relations if one.status is not Status.AWAITING]
    # The answer comes to the operator's number, where `00000` is about everything.
    zeros = profile.zeros is Zeros.ALL and talk.to_operator and relations == talk.all
    text = await leaving.make_list(talk.tx, talk.number, running, zeros=zeros, now=talk.now)
    await messaging.send(
        talk.tx, msisdn=talk.number.msisdn, text=text, kind=MessageKind.LIST,
        about_kind="message", about_id=talk.message.id, now=talk.now,
    )  # fmt: skip
    return Outcome.LISTED


async def chosen(talk: Talk, choices: Sequence[int]) -> set[UUID] | None:
    """Return what places on the list that the person saw stand for; None without an open list."""
    ids = await talk_queries.open_list(
        talk.tx, talk.number.msisdn, since=talk.number.epoch_since, at=talk.at
    )
    return None if ids is None else {ids[place - 1] for place in choices if place <= len(ids)}


async def choose(talk: Talk, reading: Reading) -> str | None:
    """End what was chosen from an open list; places off the list show it again."""
    ids = await chosen(talk, reading.choices)
    if ids is None:
        return None
    if not ids:
        return await show(talk, talk.here)
    return await end(talk, [one for one in talk.all + talk.gone if one.id in ids])


async def gone(
    read: Connection, message: MessageIn, reading: Reading, epoch: int
) -> list[Subscription]:  # fmt: skip
    """Return what an owner had at a wish to leave and what ended before it was read.

    It has ended when the wish came in, whatever ended it later: charging stopped then.
    """
    if reading.kind not in LEAVING:
        return []
    ended = await queries.ended_since(read, message.msisdn, message.received_at)
    return [one for one in ended if one.epoch == epoch]


async def leave_for_former(
    tx: Connection, message: MessageIn, reading: Reading, *, sp_id: UUID | None, now: datetime
) -> None:
    """Do a former owner's wish that was read after the number had left her, without a word.

    Only what it clearly means: whoever has the number now is neither asked nor shown a list.
    """
    held = await subscribers.state_at(tx, message.msisdn, message.received_at)
    if held is None or reading.kind not in LEAVING:
        return
    epoch = held[1]
    live = [one for one in await queries.live(tx, message.msisdn) if one.epoch == epoch]
    had = [
        one
        for one in live + await gone(tx, message, reading, epoch)
        if one.asked_at <= message.received_at
    ]
    here = [one for one in had if sp_id in (None, one.sp_id)]
    codes = reading.codes or ((reading.code,) if reading.code is not None else ())
    wanted = [one for one in had if one.service_code in codes]
    if reading.kind is ReadingKind.LEAVE_ALL:
        profile = await rulebook.section(tx, LeavingRules, at=now)
        zeros = profile.zeros if sp_id is None else profile.zeros_at_sp
        wanted = here if zeros is Zeros.ALL else []
    elif reading.kind is ReadingKind.LEAVE and not codes:
        wanted = _only(here)
    await leaving.end(
        tx, wanted, at=message.received_at, actor=subscriber_by_sms(message.msisdn, epoch),
        now=now, message_id=message.id,
    )  # fmt: skip


def _here(talk: Talk) -> list[Subscription]:
    """Return what is gone of what the called number stands for."""
    return [one for one in talk.gone if talk.sp_id in (None, one.sp_id)]


def _only(relations: list[Subscription]) -> list[Subscription]:
    """Return the one monthly relation, if it is the only one: what `TD` alone means."""
    monthly = [one for one in relations if one.kind is ServiceKind.MONTHLY]
    return monthly if len(monthly) == 1 else []
