"""Reservations and charges held against one another, after both have had their time.

A reservation that was let go or ran out was for nothing, so a charge on it is doubtful. One that was
captured was for something, so a charge must follow; a missing one takes nothing from anybody and is
only counted, but it shows that an SP's records are not whole.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from spms.charging import delivery_queries, judging, queries, suspicion_queries, suspicions
from spms.charging.doubts import reserved_not_delivered, sort_out
from spms.charging.facts import Item, Verdict
from spms.charging.model import AuditRules, ChargingRules, Finding
from spms.charging.suspicion_model import Observation
from spms.core import rulebook
from spms.core.access import Actor
from spms.core.db import Connection

BACK: Final = timedelta(days=10)
"""Reservations older than this were looked at often enough."""


async def reaudit_reserved(
    tx: Connection, *, now: datetime, actor: Actor, limit: int = 1000
) -> int:
    """Doubt charges whose reservation ended unused after they had landed; return how many."""
    ended = await delivery_queries.ended_unused(tx, since=now - BACK, limit=limit)
    if not ended:
        return 0
    await queries.hold_numbers(tx, list({item.msisdn for item, _ in ended}))
    times = [item.charged_at for item, _ in ended]
    pick = await judging.rules_over(tx, min(times), max(times))
    by_sp: defaultdict[UUID, list[tuple[Item, Verdict, int]]] = defaultdict(list)
    for item, state in ended:
        rules = pick(item.charged_at)
        bare = Verdict([], item.price_fen, None, None, None)
        verdict = sort_out(bare, reserved_not_delivered(item, state), rules.audit)
        by_sp[item.sp_id].append((item, verdict, rules.version))
    count = 0
    for sp_id, judged in by_sp.items():
        count += await _keep(tx, judged, sp_id=sp_id, found_by=actor.label, now=now)
    return count


async def _keep(
    tx: Connection,
    judged: Sequence[tuple[Item, Verdict, int]],
    *,
    sp_id: UUID,
    found_by: str,
    now: datetime,
) -> int:
    """Keep findings and suspicions. What is only observed was counted if it was known at landing."""
    told = [(item, verdict._replace(observed=()), version) for item, verdict, version in judged]
    await queries.add_findings(tx, told, found_by=found_by, now=now)
    await suspicions.keep(tx, told, sp_id=sp_id, found_by=found_by, now=now)
    return sum(bool(verdict.faults or verdict.suspicions) for _, verdict, _ in told)


async def count_uncharged(tx: Connection, *, now: datetime) -> int:
    """Count deliveries for which no charge can come in time any more; return how many are new."""
    rules = await rulebook.section(tx, AuditRules, at=now)
    latest = (await rulebook.section(tx, ChargingRules, at=now)).oldest_hours
    patience = timedelta(hours=latest + rules.uncharged_hours)
    new = await delivery_queries.add_uncharged(
        tx, now - BACK - patience, now - patience, within=timedelta(hours=latest),
        examples=suspicions.EXAMPLES, now=now,
    )  # fmt: skip
    for one in new:
        observation = Observation(one.charges, one.fen, one.examples)
        await suspicion_queries.observe(
            tx, one.sp_id, Finding.DELIVERED_NOT_CHARGED, observation, now=now
        )
    return sum(one.charges for one in new)
