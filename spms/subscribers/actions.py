"""The verbs about numbers. Each runs inside the caller's transaction and never ends it."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.core import access, audit, outbox
from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.errors import Conflict, Forbidden
from spms.core.instance import instance_secret
from spms.core.phone import mask
from spms.subscribers import queries, rules
from spms.subscribers.model import (
    Number,
    NumberEvent,
    NumberEventIn,
    NumberEventKind,
    NumberState,
    NumberView,
    Recorded,
)
from spms.subscribers.rules import Told

TOPIC = "number.changed"


class EventClash(Conflict):
    """Another event of this number is recorded for the same instant."""

    code = "event_clash"


async def get(read: Connection, msisdn: str) -> Number | None:
    """Return a number as it is after its latest event, or None when nobody ever had it."""
    return await queries.get(read, msisdn)


async def hold(tx: Connection, msisdn: str) -> Number | None:
    """Return a number and keep its owner and state as they are until the transaction ends."""
    return await queries.hold(tx, msisdn)


async def held(read: Connection, actor: Actor) -> Number:
    """Return the number the signed-in subscriber holds; `Forbidden` once another holds it."""
    number = await queries.get(read, actor.msisdn)
    if number is None or number.epoch != actor.epoch or number.state is NumberState.TERMINATED:
        raise Forbidden("this number is not yours any more")
    return number


async def state_at(read: Connection, msisdn: str, at: datetime) -> tuple[NumberState, int] | None:
    """Return state and epoch as of an instant, or None before the number's first event."""
    return await queries.state_at(read, msisdn, at)


def pseudonym(secret: bytes, sp_id: UUID, msisdn: str, epoch: int | None) -> str:
    """Return the name under which one SP sees a person: one holder of one number.

    No two SPs see the same, and the next holder of the number has another, which nothing ties to
    the one before. `epoch` is None where nobody held the number. `secret` is the instance's. 128
    bits of an HMAC: it cannot be turned back by trying all numbers.
    """
    message = b"pseudonym\x1f" + sp_id.bytes + f"{msisdn} {epoch or 0}".encode()
    return "n_" + hmac.new(secret, message, hashlib.sha256).hexdigest()[:32]


def audit_name(secret: bytes, msisdn: str) -> str:
    """Return what stands for a number in the audit log, where numbers must not appear."""
    return hmac.new(secret, b"audit\x1f" + msisdn.encode(), hashlib.sha256).hexdigest()[:32]


def view(number: Number) -> NumberView:
    """Return a number as a person is shown it."""
    return NumberView(
        number=mask(number.msisdn), state=number.state, state_since=number.state_since,
        held_since=number.epoch_since, language=number.language,
    )  # fmt: skip


async def record_event(
    tx: Connection, event: NumberEventIn, *, actor: Actor, now: datetime
) -> Number:
    """Record one event and return the number as it is after its latest one.

    Raises like `record_events`.
    """
    await record_events(tx, [event], actor=actor, now=now)
    number = await queries.get(tx, event.msisdn)
    assert number is not None  # noqa: S101 - it was recorded just now
    return number


async def record_events(
    tx: Connection, events: Sequence[NumberEventIn], *, actor: Actor, now: datetime
) -> Recorded:
    """Record events of the number registry, in any order and however late: all of them or none.

    An event that is known already, word for word, is counted and nothing more, so that a batch may
    be sent again. Raises `EventNotPossible`, `NumberUnknown`, `NotAllowed` (the timeline has no
    such move) or `EventClash` (two events of one number for one instant).
    """
    told: dict[str, dict[datetime, Told]] = {}
    for position, event in enumerate(events):
        one = Told(position=position, event=event)
        rules.check(one, now)
        known = told.setdefault(event.msisdn, {}).setdefault(event.effective_at, one)
        _same_or_clash(one, known.event)
    first = {msisdn: min(of_number) for msisdn, of_number in told.items()}
    numbers = await _lock(tx, told, first)
    recorded: dict[str, list[NumberEvent]] = {msisdn: [] for msisdn in told}
    for event_known in await queries.timelines(tx, first):
        recorded[event_known.msisdn].append(event_known)
    tops = await queries.epoch_tops(tx, list(told))
    written = 0
    changes: list[tuple[Number, Number, rules.Timeline]] = []
    for msisdn, of_number in told.items():
        new = _unknown(of_number, recorded[msisdn])
        if new:
            before = [e for e in recorded[msisdn] if e.effective_at < first[msisdn]]
            later = recorded[msisdn][len(before) :]
            last = before[-1] if before else None
            timeline = rules.place(last, later, new, tops.get(msisdn, 0))
            number = numbers[msisdn]
            changes.append((number, rules.after(number, timeline, new), timeline))
            written += len(new)
    await _write(tx, changes, actor=actor, now=now)
    return Recorded(recorded=written, repeated=len(events) - written)


def _same_or_clash(one: Told, known: NumberEventIn | NumberEvent) -> None:
    """Let an event pass that says what is known for its instant; refuse one that says other."""
    if (one.event.kind, one.event.reason) != (known.kind, known.reason):
        detail = "this instant has another event already"
        raise EventClash(detail, errors=[rules.fault(one.position, EventClash.code, detail)])


def _unknown(of_number: dict[datetime, Told], recorded: Sequence[NumberEvent]) -> list[Told]:
    """Return what is not recorded yet; raise `EventClash` for another event at its instant."""
    new = dict(of_number)
    for known in recorded:
        one = new.pop(known.effective_at, None)
        if one is not None:
            _same_or_clash(one, known)
    return list(new.values())


async def _lock(
    tx: Connection, told: dict[str, dict[datetime, Told]], first: dict[str, datetime]
) -> dict[str, Number]:
    """Hold the rows of all numbers, making those that are activated for the first time."""
    opened = {
        msisdn: first[msisdn]
        for msisdn, of_number in told.items()
        if any(one.event.kind is NumberEventKind.ACTIVATED for one in of_number.values())
    }
    if opened:
        await queries.open_numbers(tx, opened)
    numbers = await queries.lock(tx, list(told))
    for msisdn, of_number in told.items():
        if msisdn not in numbers:
            position = min(one.position for one in of_number.values())
            detail = "its first event must be activated"
            error = rules.fault(position, rules.NumberUnknown.code, detail)
            raise rules.NumberUnknown(detail, errors=[error])
    return numbers


async def _write(
    tx: Connection,
    changes: Sequence[tuple[Number, Number, rules.Timeline]],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Write the timelines, end what ended, and tell the rooms above."""
    if not changes:
        return
    new = [event for *_, timeline in changes for event in timeline.new]
    await queries.add_events(tx, new, actor=actor.label, now=now)
    await queries.store(tx, [number for _, number, _ in changes])
    rederived = [event for *_, timeline in changes for event in timeline.rederived]
    if rederived:
        await queries.rederive(tx, rederived, now=now)
        secret = await instance_secret(tx)
        for event in rederived:
            await audit.note(
                tx, "number.rederived", "number", audit_name(secret, event.msisdn), actor=actor,
                now=now, reason="an earlier event became known",
                detail={"event": event.id, "epoch_after": event.epoch_after},
            )  # fmt: skip
    for before, _, timeline in changes:
        await _tell(tx, before, timeline, actor=actor, now=now)


async def _tell(
    tx: Connection, before: Number, timeline: rules.Timeline, *, actor: Actor, now: datetime
) -> None:
    """Put the one thing that matters now into the outbox: the end of the ownership, or the last.

    Several events of one batch make one item, because items of one instant have no order. An event
    that was overtaken before it became known changes nothing of the present and makes none;
    neither does `activated`, since nothing can hang on a number that nobody held.
    """
    end = rules.ended(before, timeline)
    if end is not None:
        await access.revoke_subject(
            tx, ActorKind.SUBSCRIBER, before.msisdn, actor=actor, now=now
        )  # fmt: skip
    last = timeline.all[-1]
    news = end or (last if last in timeline.new else None)
    if news is None or news.kind is NumberEventKind.ACTIVATED:
        return
    payload = {
        "msisdn": news.msisdn, "kind": news.kind, "reason": news.reason,
        "effective_at": news.effective_at, "epoch": news.epoch_after,
        "ended_epoch": before.epoch if end else None,
    }  # fmt: skip
    await outbox.put(tx, TOPIC, payload, now=now)
