"""The verbs: decide, explain, list."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from spms.authorisation import deciding, facts_queries, hindsight, queries, standing_queries
from spms.authorisation import recorded as on_record
from spms.authorisation.dossier import Dossier
from spms.authorisation.explanation import checks, differences, for_sp
from spms.authorisation.explanation_model import Explanation, Replay
from spms.authorisation.model import (
    BATCH_MAX,
    Decision,
    DecisionRecord,
    DecisionRequest,
    Facts,
)
from spms.authorisation.recorded_queries import NEWEST, DecidedRow, RecordedRow
from spms.authorisation.reservation_model import Ask
from spms.authorisation.round import orders_since
from spms.authorisation.rules import judge
from spms.authorisation.terms import then
from spms.core import audit, paging
from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.errors import NotFound, TooLarge
from spms.core.instance import instance_secret
from spms.core.paging import Page
from spms.core.phone import mask
from spms.subscribers import looks
from spms.subscribers.actions import pseudonym
from spms.subscribers.model import Language


async def decide(
    tx: Connection,
    requests: Sequence[DecisionRequest],
    *,
    sp_id: UUID,
    actor: Actor,
    now: datetime,
) -> list[Decision]:
    """Answer an SP's questions in their order and record every answer with its facts.

    A question that is denied (an unknown service, a foreign one, a cap) never changes another's
    answer; charges of one number in one batch count for each other in order. Raises `TooLarge`
    over `BATCH_MAX` questions.
    """
    if len(requests) > BATCH_MAX:
        raise TooLarge(f"a batch has at most {BATCH_MAX} questions")
    asks = [Ask(request=asked, sp_id=sp_id, actor=actor.label) for asked in requests]
    await queries.plan(tx)
    answers = await deciding.decide_all(tx, asks, now=now)
    return [deciding.given(answer).decision for answer in answers]


async def explain(
    read: Connection,
    authorisation_id: UUID,
    *,
    actor: Actor,
    language: Language = Language.EN,
) -> Explanation:
    """Show a decision, what it rested on, each check in words, and the same decision made again.

    The replay reads the dated facts as of the decision's instant and judges them by the rulebook
    then in force. `agrees` is whether the recorded facts and the replayed ones both lead to the
    recorded answer. An SP sees its own decisions only, and in them nothing about what the person
    spends elsewhere; any other id is `NotFound`.
    """
    recorded = await on_record.get(read, authorisation_id)
    if recorded is None or (actor.kind is ActorKind.SP and recorded.sp_id != actor.sp_id):
        raise NotFound
    asked = DecisionRequest(
        purpose=recorded.purpose,
        msisdn=recorded.msisdn,
        service_code=recorded.service_code,
        price_fen=recorded.price_fen,
        access_number=recorded.access_number,
        link_id=recorded.facts.link_id,
    )
    then, again = recorded.facts, await _again(read, recorded, asked)
    reasons = judge(again, again.caps)
    shown = for_sp if actor.kind is ActorKind.SP else _whole
    return Explanation(
        decision=await _record(read, recorded, actor=actor),
        facts=shown(then),
        checks=checks(then, show_total=actor.kind is not ActorKind.SP, language=language),
        replay=Replay(
            allowed=not reasons,
            reasons=reasons,
            facts=shown(again),
            rulebook_version=again.rulebook_version,
        ),
        agrees=recorded.reasons == judge(then, then.caps) == reasons,
        differences=differences(then, again),
    )


async def note_look(
    tx: Connection, authorisation_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> None:
    """Put on record that staff look at a decision, and why, before anything of it is shown.

    An agent's is a look at its number. Raises `NotFound`, `LooksUsedUp`.
    """
    recorded = await on_record.get(tx, authorisation_id)
    if recorded is None:
        raise NotFound
    await looks.count(tx, recorded.msisdn, reason=reason, actor=actor, now=now)
    await audit.note(
        tx, "authorisation.explained", "authorisation", authorisation_id, actor=actor, now=now,
        reason=reason,
    )  # fmt: skip


async def _again(read: Connection, recorded: RecordedRow, asked: DecisionRequest) -> Facts:
    """Gather the facts of a past decision once more, as it could know them at its instant."""
    at, before = recorded.decided_at, recorded.id
    standing = await standing_queries.current(read)
    await queries.plan(read)
    gathered = await facts_queries.gather(
        read, [(asked.msisdn, standing.service_id(asked.service_code))], at=at,
        orders_since=orders_since(standing, at), before=before,
    )  # fmt: skip
    seen = await hindsight.ahead(read, gathered, recorded)
    rows = msgspec.structs.replace(
        seen,
        numbers=await hindsight.numbers(read, seen.numbers, at=at),
        relations=await hindsight.relations(read, seen.relations, recorded),
        months=await facts_queries.spent_before(read, asked.msisdn, at=at, before=before),
    )
    terms = then(standing, at).terms(recorded.sp_id, asked.service_code)
    facts = Dossier(rows, standing.categories).facts(terms, asked)
    facts = hindsight.content(facts, recorded, standing)
    facts = await hindsight.sent(read, facts, recorded)
    facts = await hindsight.spent(read, facts, recorded)
    return await hindsight.restricted(read, facts, recorded)


def _whole(facts: Facts) -> Facts:
    return facts


LIST = "authorisations"


class Place(NamedTuple):
    """Where a page ended."""

    id: UUID


async def of_sp(
    read: Connection, sp_id: UUID, *, cursor: str | None, limit: int, actor: Actor
) -> Page[DecisionRecord]:
    """List an SP's decisions, newest first. Raises `CursorInvalid` on another list's cursor."""
    place = await paging.read_cursor(read, actor, LIST, cursor, Place)
    before = NEWEST if place is None else place.id
    rows = await on_record.page(read, sp_id, before=before, limit=limit + 1)
    more = len(rows) > limit
    secret = await instance_secret(read)
    items = [
        _shown(row, pseudonym(secret, row.sp_id, row.msisdn, row.epoch)) for row in rows[:limit]
    ]
    following = await paging.write_cursor(read, actor, LIST, [items[-1].id]) if more else None
    return Page(items=items, next=following)


async def _record(read: Connection, row: DecidedRow, *, actor: Actor) -> DecisionRecord:
    if actor.kind is not ActorKind.SP:
        return _shown(row, mask(row.msisdn))
    return _shown(row, pseudonym(await instance_secret(read), row.sp_id, row.msisdn, row.epoch))


def _shown(row: DecidedRow, subscriber: str) -> DecisionRecord:
    return DecisionRecord(
        id=row.id,
        decided_at=row.decided_at,
        purpose=row.purpose,
        sp_id=row.sp_id,
        service_id=row.service_id,
        service_code=row.service_code,
        access_number=row.access_number,
        price_fen=row.price_fen,
        allowed=row.allowed,
        reasons=row.reasons,
        subscription_id=row.subscription_id,
        rulebook_version=row.rulebook_version,
        subscriber=subscriber,
    )
