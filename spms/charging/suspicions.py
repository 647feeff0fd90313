"""What the audit does not refund by itself: kept, shown to people, and decided by them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from spms.charging import queries, suspicion_queries
from spms.charging.facts import Item, Verdict
from spms.charging.model import Finding
from spms.charging.suspicion_model import Observation, Observed, Suspicion, SuspicionState
from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import Conflict, NotFound
from spms.core.paging import Page, read_cursor, write_cursor
from spms.core.phone import mask

EXAMPLES = 5
NOTHING = Observation(0, 0, ())
FIRST = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


class SuspicionDecided(Conflict):
    """Somebody has decided this already."""

    code = "suspicion_decided"


async def keep(
    tx: Connection,
    judged: Sequence[tuple[Item, Verdict, int]],
    *,
    sp_id: UUID,
    found_by: str,
    now: datetime,
    plain: Mapping[Finding, Observation] | None = None,
) -> None:
    """Keep what a batch that landed made doubtful, and count what is only observed.

    `plain` is what was observed of charges that are otherwise right and were not judged one by one.
    """
    rows = [(item, fault) for item, verdict, _ in judged for fault in verdict.suspicions]
    if rows:
        await suspicion_queries.add(tx, rows, found_by=found_by, now=now)
    seen: defaultdict[Finding, list[Item]] = defaultdict(list)
    for item, verdict, _ in judged:
        for kind in verdict.observed:
            seen[kind].append(item)
    known = plain or {}
    for kind in sorted({*seen, *known}):
        items, more = seen[kind], known.get(kind, NOTHING)
        observation = Observation(
            len(items) + more.charges,
            sum(item.price_fen for item in items) + more.fen,
            [*(item.charge_id for item in items), *more.examples][:EXAMPLES],
        )
        if observation.charges:
            await suspicion_queries.observe(tx, sp_id, kind, observation, now=now)


async def to_decide(
    read: Connection, *, actor: Actor, cursor: str | None, limit: int
) -> Page[Suspicion]:
    """List what waits for a decision, the oldest first; numbers are masked."""
    key = await read_cursor(read, actor, "charge-suspicions", cursor, tuple[datetime, UUID])
    after = key or FIRST
    found = await suspicion_queries.open_after(read, after, limit=limit + 1)
    following = None
    if len(found) > limit:
        found = found[:limit]
        last = [found[-1].found_at, found[-1].id]
        following = await write_cursor(read, actor, "charge-suspicions", last)
    return Page(items=[_masked(one) for one in found], next=following)


async def decide(
    tx: Connection, suspicion_id: UUID, *, upheld: bool, reason: str, actor: Actor, now: datetime
) -> Suspicion:
    """Decide a suspicion; upheld it is a finding, and what was not due is paid back.

    Raises `NotFound`, `SuspicionDecided`.
    """
    state = SuspicionState.UPHELD if upheld else SuspicionState.DISMISSED
    decided = await suspicion_queries.decide(
        tx, suspicion_id, state=state, reason=reason, by=actor.label, now=now
    )
    if decided is None:
        if await suspicion_queries.find(tx, suspicion_id) is None:
            raise NotFound
        raise SuspicionDecided
    await audit.note(
        tx, f"charge.suspicion_{state.value}", "charge", decided.charge_id, actor=actor, now=now,
        reason=reason,
    )  # fmt: skip
    if upheld:
        await queries.hold_numbers(tx, [decided.number])
        await suspicion_queries.make_finding(tx, suspicion_id, by=actor.label, now=now)
    return _masked(decided)


async def observed(read: Connection, *, since: datetime, until: datetime) -> list[Observed]:
    """Return what observing rules counted in a range of time, by SP and kind."""
    return await suspicion_queries.observed(read, since, until)


def _masked(suspicion: Suspicion) -> Suspicion:
    return msgspec.structs.replace(suspicion, number=mask(suspicion.number))
