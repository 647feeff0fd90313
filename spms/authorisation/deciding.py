"""Deciding many questions of many SPs at once, in one transaction: read, judge, record.

What a month has come to is changed by one conditional statement: whoever adds to it names the turn
it has read. If somebody else was faster, nothing of this is written, the rows are taken in order,
and everything is decided again.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from spms.authorisation import queries, quota, reservation_queries, standing_queries
from spms.authorisation.dossier import Dossier
from spms.authorisation.model import Decision, Purpose
from spms.authorisation.reservation_model import Answer, Ask, Reservation, ReservationState
from spms.authorisation.rules import judge
from spms.authorisation.standing import Standing
from spms.core.access import Role
from spms.core.db import Connection
from spms.core.errors import Forbidden, Refused, Unauthenticated, Unavailable, Unprocessable
from spms.core.ids import new_id

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


async def decide_all(tx: Connection, asks: Sequence[Ask], *, now: datetime) -> list[Outcome]:
    """Answer questions of any number of SPs in their order, and record the answers.

    An outcome is an answer, or the refusal of one question (a token that is not valid, a reference
    that was used otherwise), which never changes the others. A reference that holds a charge
    already gets the first answer again. Raises `Unavailable` when others are faster all the time.
    """
    if not asks:
        return []
    charged = {ask.request.msisdn for ask in asks if ask.request.purpose is Purpose.CHARGE}
    if not charged and not quota.metered(asks, await standing_queries.whole(tx), now):
        with suppress(Raced):  # a quota was agreed just now; nothing is written yet
            return await _decide(tx, asks, now, set())
    for attempt in range(TRIES):
        sps = quota.metered(asks, await standing_queries.whole(tx), now)
        try:
            async with tx.transaction():
                # Months before quotas, for everybody: so nobody waits for each other crosswise.
                if charged and (attempt or sps):
                    await queries.hold_months(tx, charged, at=now)
                return await _decide(tx, asks, now, sps)
        except (Raced, asyncpg.UniqueViolationError):
            continue
    raise Unavailable("others decide about the same numbers all the time", headers=RETRY)


def given(outcome: Outcome) -> Answer:
    """Return the answer; raise the refusal."""
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def orders_since(standing: Standing, at: datetime) -> datetime:
    """Return the instant at which an order that ends at `at` was made."""
    return at - timedelta(hours=standing.rules(at).consent.on_demand_hours)


async def _decide(
    tx: Connection, asks: Sequence[Ask], now: datetime, sps: set[UUID]
) -> list[Outcome]:
    meters = await quota.hold(tx, sps, now)
    standing, gathered, tokens = await _gather(tx, asks, now)
    # Not before the facts: a reservation that these already count must be found under its name.
    kept = await reservation_queries.kept(
        tx, [(ask.request.msisdn, ask.reference) for ask in asks if ask.reference is not None]
    )
    if not quota.metered(asks, standing, now) <= sps:
        raise Raced
    dossier = Dossier(gathered.rows, standing, now, meters)
    actors = {tokens[row.n]: row for row in gathered.actors}
    outcomes: list[Outcome] = []
    decided: list[queries.Decided] = []
    for ask in asks:
        sp_id, actor = ask.sp_id, ask.actor
        if sp_id is None:
            holder = actors.get(ask.token or b"")
            if holder is None or not holder.has(Role.SP):
                outcomes.append(
                    Unauthenticated(TOKEN_WRONG, headers=CHALLENGE) if holder is None
                    else Forbidden()
                )  # fmt: skip
                continue
            sp_id, actor = holder.sp_id, holder.label
        key = (ask.request.msisdn, sp_id, ask.reference or "")
        if ask.reference is None or key not in kept:
            made = _judge(dossier, ask, sp_id, actor, now)
            decided.append(made)
            answer = Answer(decision=made.decision, reservation=_reservation(made))
            if answer.reservation is not None:
                kept[key] = answer
            outcomes.append(answer)
        else:
            outcomes.append(_again(ask, kept[key]))
    if decided and not (
        await queries.add(tx, decided, dossier.charged(), now=now)
        and await quota.write(tx, meters, now)
    ):
        raise Raced
    return outcomes


async def _gather(
    tx: Connection, asks: Sequence[Ask], now: datetime
) -> tuple[Standing, queries.Gathered, list[bytes]]:
    """Read everything about the numbers, beside what is known of SPs and services at that moment.

    What is remembered is held against the database's mark in the very statement that reads the
    numbers: a change that was committed before it is never overlooked.
    """
    tokens = list(dict.fromkeys(ask.token for ask in asks if ask.token is not None))
    standing = await standing_queries.whole(tx)
    for _ in range(TRIES):
        pairs = dict.fromkeys(
            (ask.request.msisdn, standing.service_id(ask.request.service_code)) for ask in asks
        )
        gathered = await queries.gather(
            tx, pairs, at=now, orders_since=orders_since(standing, now), tokens=tokens
        )
        if gathered.mark == standing.mark:
            return standing, gathered, tokens
        standing = await standing_queries.whole(tx, gathered.mark)
    raise Unavailable("the catalogue changes all the time", headers=RETRY)


def _judge(dossier: Dossier, ask: Ask, sp_id: UUID, actor: str, now: datetime) -> queries.Decided:
    facts = dossier.facts(ask.request, sp_id)
    reasons = judge(facts, facts.caps)
    decision = Decision(
        # Made after the facts were read: what those rest on has smaller ids.
        id=new_id(),
        allowed=not reasons,
        reasons=reasons,
        subscription_id=None if facts.relation is None else facts.relation.id,
        decided_at=now,
    )
    uses_order = not reasons and dossier.count(ask.request, facts)
    return queries.Decided(
        ask=ask, sp_id=sp_id, actor=actor, facts=facts, decision=decision, uses_order=uses_order,
        expires_at=now + timedelta(minutes=dossier.rules.hold.minutes),
    )  # fmt: skip


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
