"""The verbs: decide, explain, list."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from spms.authorisation import hindsight, queries
from spms.authorisation.dossier import Dossier
from spms.authorisation.explanation import checks, differences, for_sp
from spms.authorisation.model import (
    BATCH_MAX,
    CapRules,
    Decision,
    DecisionRecord,
    DecisionRequest,
    Explanation,
    Facts,
    Purpose,
    Replay,
)
from spms.authorisation.rules import judge
from spms.core import paging, rulebook
from spms.core.access import Actor, ActorKind
from spms.core.clock import business_month, month_range
from spms.core.db import Connection
from spms.core.errors import NotFound, TooLarge
from spms.core.ids import new_id
from spms.core.instance import instance_secret
from spms.core.paging import Page
from spms.core.phone import mask
from spms.subscribers.actions import pseudonym
from spms.subscriptions.model import ConsentRules


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
    if not requests:
        return []
    charged = [asked.msisdn for asked in requests if asked.purpose == Purpose.CHARGE]
    if charged:
        await queries.lock_numbers(tx, charged)
    dossier = await _dossier(tx, requests, sp_id=sp_id, at=now)
    decided = [_decide(dossier, asked, now) for asked in requests]
    await queries.add(tx, decided, sp_id=sp_id, actor=actor.label, now=now)
    return [item.decision for item in decided]


def _decide(dossier: Dossier, asked: DecisionRequest, now: datetime) -> queries.Decided:
    facts = dossier.facts(asked)
    reasons = judge(facts, facts.caps)
    decision = Decision(
        # Made while the number's lock is held: later decisions about it have larger ids.
        id=new_id(),
        allowed=not reasons,
        reasons=reasons,
        subscription_id=None if facts.relation is None else facts.relation.id,
        decided_at=now,
    )
    uses_order = not reasons and dossier.count(asked, facts)
    return queries.Decided(asked=asked, facts=facts, decision=decision, uses_order=uses_order)


async def _dossier(
    read: Connection,
    requests: Sequence[DecisionRequest],
    *,
    sp_id: UUID,
    at: datetime,
    again: queries.RecordedRow | None = None,
) -> Dossier:
    """Gather facts and rules as of an instant; with `again`, as that decision could know them."""
    caps = await rulebook.section(read, CapRules, at=at)
    consent = await rulebook.section(read, ConsentRules, at=at)
    version = await rulebook.version_at(read, at)
    gathered = await queries.gather(
        read,
        requests,
        sp_id=sp_id,
        at=at,
        orders_since=at - timedelta(hours=consent.on_demand_hours),
        month=month_range(business_month(at)),
        before=queries.NOTHING_LATER if again is None else again.id,
    )
    if again is not None:
        gathered = await hindsight.as_known(read, gathered, again)
    return Dossier(gathered, sp_id=sp_id, caps=caps, rulebook_version=version)


async def explain(read: Connection, authorisation_id: UUID, *, actor: Actor) -> Explanation:
    """Show a decision, what it rested on, each check in words, and the same decision made again.

    The replay reads the dated facts as of the decision's instant and judges them by the rulebook
    then in force. `agrees` is whether the recorded facts and the replayed ones both lead to the
    recorded answer. An SP sees its own decisions only, and in them nothing about what the person
    spends elsewhere; any other id is `NotFound`.
    """
    recorded = await queries.get(read, authorisation_id)
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
    dossier = await _dossier(
        read, [asked], sp_id=recorded.sp_id, at=recorded.decided_at, again=recorded
    )
    then, again = recorded.facts, dossier.facts(asked)
    reasons = judge(again, again.caps)
    shown = for_sp if actor.kind is ActorKind.SP else _whole
    return Explanation(
        decision=await _record(read, recorded, actor=actor),
        facts=shown(then),
        checks=checks(then, show_total=actor.kind is not ActorKind.SP),
        replay=Replay(
            allowed=not reasons,
            reasons=reasons,
            facts=shown(again),
            rulebook_version=again.rulebook_version,
        ),
        agrees=recorded.reasons == judge(then, then.caps) == reasons,
        differences=differences(then, again),
    )


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
    before = queries.NOTHING_LATER if place is None else place.id
    rows = await queries.page(read, sp_id, before=before, limit=limit + 1)
    more = len(rows) > limit
    secret = await instance_secret(read)
    items = [_shown(row, pseudonym(secret, row.sp_id, row.msisdn)) for row in rows[:limit]]
    following = await paging.write_cursor(read, actor, LIST, [items[-1].id]) if more else None
    return Page(items=items, next=following)


async def _record(read: Connection, row: queries.DecidedRow, *, actor: Actor) -> DecisionRecord:
    if actor.kind is not ActorKind.SP:
        return _shown(row, mask(row.msisdn))
    return _shown(row, pseudonym(await instance_secret(read), row.sp_id, row.msisdn))


def _shown(row: queries.DecidedRow, subscriber: str) -> DecisionRecord:
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
