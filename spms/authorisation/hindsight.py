"""A replay judges by what was on record at the decision's instant, not by what is known since.

Facts carry the instant at which they hold, and three of them can reach the record after it: a
restriction is dated by the request that imposes or lifts it, whose transaction may still be under
way when a decision is made; so may that of another charge of the number; and a number event that
arrives late corrects what follows from the events after it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from spms.authorisation import hindsight_queries as queries
from spms.authorisation.content import again
from spms.authorisation.dossier import MonthRow, NumberRow, NumberRows, RelationRow
from spms.authorisation.facts_queries import spent_before
from spms.authorisation.model import Facts, Purpose, RelationFact
from spms.authorisation.quota import sent_by
from spms.authorisation.recorded_queries import RecordedRow
from spms.authorisation.standing import Standing
from spms.core.db import Connection

UNDER_WAY: Final = timedelta(minutes=1)
"""Longer than any transaction lasts (see `core.db.SESSION`). What turned within it before a
decision is taken from the decision's own record; what turned earlier was there to be seen."""


async def numbers(read: Connection, rows: Sequence[NumberRow], *, at: datetime) -> list[NumberRow]:
    """Put back what followed from the numbers' events before a later record corrected it."""
    known = []
    for row in rows:
        before = await queries.standing(read, row.msisdn, row.event_id, at)
        known.append(
            row
            if before is None
            else msgspec.structs.replace(row, state=before.state, epoch=before.epoch)
        )
    return known


def _settled(recorded: RecordedRow) -> bool:
    """Whether no other charge was under way: an allowed one names the turn it has read."""
    return recorded.allowed and recorded.purpose is Purpose.CHARGE


async def ahead(read: Connection, rows: NumberRows, recorded: RecordedRow) -> NumberRows:
    """Put back what a decision has seen although its date, by another machine's clock, is later.

    A decision rests on what was committed when it read: a relation or a bar that was over by then,
    a consent that was there.
    """
    saw, barred = recorded.facts.relation, {bar.id for bar in recorded.facts.bars}
    at = recorded.decided_at
    dated = await queries.ahead(read, recorded.msisdn, at, at + UNDER_WAY)
    if not dated:
        return rows
    relations = [row for row in rows.relations if not dated.get(row.id, False)]
    if saw is not None and saw.id in dated and recorded.service_id is not None:
        relations = [row for row in relations if row.id != saw.id]
        relations.append(_as_seen(saw, recorded))
    return msgspec.structs.replace(
        rows, relations=relations,
        bars=[bar for bar in rows.bars if bar.id in barred or bar.id not in dated],
    )  # fmt: skip


def _as_seen(saw: RelationFact, recorded: RecordedRow) -> RelationRow:
    assert recorded.service_id is not None  # noqa: S101 - who calls has looked
    return RelationRow(
        msisdn=recorded.msisdn, service_id=recorded.service_id,
        leave_received_at=recorded.facts.leave_received_at, **msgspec.structs.asdict(saw),
    )  # fmt: skip


async def relations(
    read: Connection, rows: Sequence[RelationRow], recorded: RecordedRow
) -> list[RelationRow]:
    """Give an order back that a charge under way used, to a decision that saw it unused."""
    saw = recorded.facts.relation
    if saw is None or saw.used or _settled(recorded):
        return list(rows)
    since = recorded.decided_at - UNDER_WAY
    if not await queries.used_since(read, recorded.msisdn, saw.id, since):
        return list(rows)
    return [msgspec.structs.replace(row, used=False) if row.id == saw.id else row for row in rows]


async def spent(read: Connection, facts: Facts, recorded: RecordedRow) -> Facts:
    """Put back what the month had come to, as far as charges under way leave that open."""
    if _settled(recorded):
        return facts
    at, then, since = recorded.decided_at, recorded.facts, recorded.decided_at - UNDER_WAY
    number, before = recorded.msisdn, recorded.id
    least = await spent_before(read, number, at=at, before=before, until=since)
    most = await spent_before(read, number, at=at, before=before, open_at=since)
    service_id = facts.service.id if facts.service is not None else None
    epoch = then.number.epoch if then.number is not None else None
    least, most = [[one for one in rows if one.epoch == epoch] for rows in (least, most)]
    low, high = _sums(least, service_id), _sums(most, service_id)
    of_service, total = then.spent_service_fen, then.spent_total_fen
    if low[0] <= of_service <= high[0]:
        facts = msgspec.structs.replace(facts, spent_service_fen=of_service)
    if total is not None and low[1] <= total <= high[1]:
        facts = msgspec.structs.replace(
            facts, spent_total_fen=total, spent_category_fen=then.spent_category_fen
        )
    return facts


def _sums(months: Sequence[MonthRow], service_id: UUID | None) -> tuple[int, int]:
    """Return what a month came to for one service, and in all."""
    fens = {service: fen for month in months for service, fen in month.by_service.items()}
    return (fens.get(service_id, 0) if service_id is not None else 0), sum(fens.values())


async def sent(read: Connection, facts: Facts, recorded: RecordedRow) -> Facts:
    """Put back what the SP had sent: a running count, which its decision has written down."""
    if facts.quota is None:
        return facts
    then = recorded.facts.sent or await sent_by(read, recorded.sp_id, recorded.decided_at)
    return msgspec.structs.replace(facts, sent=then)


def content(facts: Facts, recorded: RecordedRow, standing: Standing) -> Facts:
    """Put back what was found in a message's text, which is not kept."""
    service, at = facts.service, recorded.decided_at
    if facts.purpose is not Purpose.MESSAGE or service is None or service.sp_id != facts.sp_id:
        return facts
    texts, lists = standing.texts(service.id, at), standing.rules(at).content
    found = again(recorded.facts.content, lists, texts.templates, bound=texts.bound)
    return msgspec.structs.replace(facts, content=found)


async def restricted(read: Connection, facts: Facts, recorded: RecordedRow) -> Facts:
    """Put back which restrictions were on record when this decision was made."""
    at, then = recorded.decided_at, recorded.facts
    turns = await queries.turns(read, recorded.sp_id, at - UNDER_WAY, at)
    seen = {one.id for one in then.restrictions}
    unseen = {turn.id for turn in turns if turn.began} - seen
    held = [one for one in facts.restrictions if one.id not in unseen]
    lifted = {turn.id for turn in turns} - {one.id for one in held}
    held += [one for one in then.restrictions if one.id in lifted]
    return msgspec.structs.replace(facts, restrictions=tuple(held))
