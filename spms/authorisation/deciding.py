"""Deciding many questions of many SPs at once, in one transaction: read, judge, record.

What a month has come to is changed by one conditional statement: whoever adds to it names the turn
it has read. If somebody else was faster, nothing of this is written, the rows are taken in order,
and everything is decided again.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from spms.authorisation import (
    pack_queries,
    queries,
    quota,
    reservation_queries,
    round_queries,
    standing_queries,
)
from spms.authorisation.model import Purpose
from spms.authorisation.quota import Meters
from spms.authorisation.reservation_model import Answer, Ask, Reservation, ReservationState
from spms.authorisation.reservation_queries import Key
from spms.authorisation.round import Asker, Round
from spms.core.access import Actor, Role
from spms.core.db import Connection
from spms.core.errors import Forbidden, Refused, Unauthenticated, Unavailable, Unprocessable

TRIES: Final = 4
RETRY: Final = {"Retry-After": "1"}
TOKEN_WRONG: Final = "the token is unknown, expired or revoked"  # noqa: S105 - words
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer error="invalid_token"'}

Outcome = Answer | Refused


class ReferenceReused(Unprocessable):
    """This reference of yours names a reservation of another service or price."""

    code = "reference_reused"


class Raced(Exception):  # noqa: N818 - no error: somebody else was faster
    """Somebody else decided about one of the numbers' money in between."""


async def decide_all(
    tx: Connection, asks: Sequence[Ask], *, now: datetime, heard: dict[bytes, UUID] | None = None
) -> list[Outcome]:
    """Answer questions of any number of SPs in their order, and record the answers.

    An outcome is an answer, or the refusal of one question (a token that is not valid, a reference
    that was used otherwise), which never changes the others. A reference that holds a charge
    already gets the first answer again. `heard` is told which SP each token is of. Raises
    `Unavailable` when others are faster all the time.
    """
    if not asks:
        return []
    charged = {ask.request.msisdn for ask in asks if ask.request.purpose is Purpose.CHARGE}
    if not charged and not quota.metered(asks, await standing_queries.whole(tx), now):
        with suppress(Raced):  # a quota was agreed just now; nothing is written yet
            return await _decide(tx, asks, now, set(), look=False, heard=heard)
    for attempt in range(TRIES):
        sps = quota.metered(asks, await standing_queries.whole(tx), now)
        try:
            async with tx.transaction():
                # Months before quotas, for everybody: so nobody waits for each other crosswise.
                if charged and (attempt or sps):
                    await queries.hold_months(tx, charged, at=now)
                return await _decide(tx, asks, now, sps, look=attempt > 0, heard=heard)
        except (Raced, asyncpg.UniqueViolationError):
            continue
    raise Unavailable("others decide about the same numbers all the time", headers=RETRY)


def given(outcome: Outcome) -> Answer:
    """Return the answer; raise the refusal."""
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


async def _decide(
    tx: Connection, asks: Sequence[Ask], now: datetime, sps: set[UUID], *, look: bool,
    heard: dict[bytes, UUID] | None,
) -> list[Outcome]:  # fmt: skip
    meters = await quota.hold(tx, sps, now)
    made, actors = await _gather(tx, asks, now, meters)
    if heard is not None:
        heard.update({token: who.sp_id for token, who in actors.items() if who.has(Role.SP)})
    # Not before the facts: a reservation that these already count must be found under its name.
    # At first nobody looks: a name that came before is refused by its key, and then they do.
    kept = await _kept(tx, asks) if look else {}
    if not quota.metered(asks, made.standing, now) <= sps:
        raise Raced
    try:
        outcomes = await _answered(tx, made, asks, actors, kept, look=look)
        packs = made.packs()
    finally:
        made.let_go()
    if made.decided and not await queries.add(tx, made.decided, made.charged(), now=now):
        raise Raced
    if not await quota.write(tx, meters, now):
        raise Raced
    if packs:
        await pack_queries.keep(tx, packs, now=now)
    return outcomes


async def _answered(
    tx: Connection, made: Round, asks: Sequence[Ask], actors: Mapping[bytes, Actor],
    kept: dict[Key, Answer], *, look: bool,
) -> list[Outcome]:  # fmt: skip
    outcomes, denied = _answers(made, asks, actors, kept)
    if denied and not look:
        await _first_answers(tx, made, denied, outcomes)
    return outcomes


def _answers(
    made: Round, asks: Sequence[Ask], actors: Mapping[bytes, Actor],
    kept: dict[Key, Answer],
) -> tuple[list[Outcome], dict[int, queries.Decided]]:  # fmt: skip
    """Decide one after another; tell by their places which were denied what they have a name for."""
    outcomes: list[Outcome] = []
    denied: dict[int, queries.Decided] = {}
    askers: dict[bytes | tuple[UUID | None, str], Asker | Refused] = {}
    last: Ask | None = None
    asker: Asker | Refused = Forbidden()
    for ask in asks:
        if (
            last is None or ask.token is not last.token or ask.sp_id is not last.sp_id
            or ask.actor is not last.actor
        ):  # fmt: skip
            last, who = ask, ask.token or (ask.sp_id, ask.actor)
            asker = askers.get(who) or askers.setdefault(who, _asker(made, ask, actors))
        if isinstance(asker, Refused):
            outcomes.append(asker)
        elif ask.reference is None:
            outcomes.append(Answer(decision=made.decide(ask, asker)))
        else:
            outcome = _held(made, ask, asker, kept)
            if isinstance(outcome, Answer) and outcome.reservation is None:
                denied[len(outcomes)] = made.decided[-1]
            outcomes.append(outcome)
    return outcomes, denied


async def _kept(tx: Connection, asks: Iterable[Ask]) -> dict[Key, Answer]:
    named = [(ask.request.msisdn, ask.reference) for ask in asks if ask.reference is not None]
    return await reservation_queries.kept(tx, named)


async def _first_answers(
    tx: Connection, made: Round, denied: Mapping[int, queries.Decided], outcomes: list[Outcome]
) -> None:
    """Give their first answers to those who were denied what they hold already.

    A denial changes nothing for the questions after it, so it can be taken back alone. What was
    allowed is stored under its name, and the name's key finds what is stored already.
    """
    kept = await _kept(tx, [one.ask for one in denied.values()])
    for place, one in denied.items():
        first = kept.get((one.ask.request.msisdn, one.sp_id, one.ask.reference or ""))
        if first is not None:
            made.decided[:] = [other for other in made.decided if other is not one]
            outcomes[place] = _again(one.ask, first)


def _asker(made: Round, ask: Ask, actors: Mapping[bytes, Actor]) -> Asker | Refused:
    """Return who asks; the refusal when a token is nobody's, or not an SP's."""
    if ask.sp_id is not None:
        return made.asker(ask.sp_id, ask.actor)
    holder = actors.get(ask.token or b"")
    if holder is None:
        return Unauthenticated(TOKEN_WRONG, headers=CHALLENGE)
    return made.asker(holder.sp_id, holder.label) if holder.has(Role.SP) else Forbidden()


def _held(made: Round, ask: Ask, asker: Asker, kept: dict[Key, Answer]) -> Outcome:
    """Decide and hold; what was held under the same reference is answered again."""
    key = (ask.request.msisdn, asker.sp_id, ask.reference or "")
    if key in kept:
        return _again(ask, kept[key])
    decision = made.decide(ask, asker)
    answer = Answer(decision=decision, reservation=_reservation(made.decided[-1]))
    if answer.reservation is not None:
        kept[key] = answer
    return answer


async def _gather(
    tx: Connection, asks: Sequence[Ask], now: datetime, meters: Meters
) -> tuple[Round, dict[bytes, Actor]]:
    """Read everything about the numbers, beside what is known of SPs and services at that moment.

    What is remembered is held against the database's mark in the very statement that reads the
    numbers: a change that was committed before it is never overlooked.
    """
    tokens = list(dict.fromkeys([ask.token for ask in asks if ask.token is not None]))
    numbers = sorted({ask.request.msisdn for ask in asks})  # neighbours lie near each other
    charged = list(
        dict.fromkeys([ask.request.msisdn for ask in asks if ask.request.purpose is Purpose.CHARGE])
    )
    standing = await standing_queries.whole(tx)
    for _ in range(TRIES):
        ordering = [
            ask.request.msisdn for ask in asks if standing.on_demand(ask.request.service_code)
        ]
        read = None
        if not charged and not ordering:
            read = await round_queries.gather_kept(tx, numbers, at=now, tokens=tokens)
        if read is None:
            read = await round_queries.gather(tx, numbers, charged, ordering, at=now, tokens=tokens)
        if read.mark == standing.mark:
            return Round(standing, charged, read, now, meters), read.actors
        standing = await standing_queries.whole(tx, read.mark)
    raise Unavailable("the catalogue changes all the time", headers=RETRY)


def _reservation(made: queries.Decided) -> Reservation | None:
    if made.ask.reference is None or not made.decision.allowed or made.expires_at is None:
        return None
    return Reservation(
        id=made.decision.id, reference=made.ask.reference, state=ReservationState.RESERVED,
        service_code=made.ask.request.service_code, price_fen=made.ask.request.price_fen,
        reserved_at=made.decision.decided_at, expires_at=made.expires_at,
    )  # fmt: skip


def _again(ask: Ask, first: Answer) -> Outcome:
    """Give the first answer again, if the question is the same."""
    held, asked = first.reservation, ask.request
    same = held is not None and (held.service_code, held.price_fen) == (
        asked.service_code, asked.price_fen,
    )  # fmt: skip
    return first if same else ReferenceReused()
