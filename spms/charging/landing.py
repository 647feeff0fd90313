"""A chunk of a file lands: what is plainly right in the database at once, all else by the rules.

Most charges are right, and to see that takes no more than a few look-ups, which one statement does
for the whole chunk (`plain_queries.JUDGE`). What it does not find plainly right is judged one by
one by the rules in `rating` and `doubts`, which say what is wrong; they would say of the others that
nothing is (a test holds that).

Most numbers are charged by many SPs, so nearly any two chunks have some in common, and the later one
waits for the earlier one to let go of them. So most is found out before they are held
(`plain_queries.JUDGE`), and before the chunk in front has let go; what waits is only whether a record
is new, what other charges and the holder's limits have to say (`plain_queries.CROWD`), and writing.
"""

from datetime import datetime, timedelta
from uuid import UUID

from spms.charging import (
    file_queries,
    judging,
    month_queries,
    notices,
    plain_queries,
    queries,
    staging_queries,
    suspicions,
)
from spms.charging.file_model import Tally
from spms.charging.lanes import Lane
from spms.charging.model import ChargingRules, Finding, Reason
from spms.charging.staging import Chunk
from spms.core import rulebook
from spms.core.access import Actor
from spms.core.clock import month_range
from spms.core.db import Connection
from spms.core.ids import new_id


async def land_chunk(
    tx: Connection,
    chunk: Chunk,
    lane: Lane,
    *,
    sp_id: UUID,
    file_id: UUID,
    actor: Actor,
    now: datetime,
    first_seen_at: datetime,
) -> Tally:
    """Land some lines of a file; each becomes a judged charge, is known already, or is quarantined.

    A record's age is measured from `first_seen_at`, when its file first reached us.
    """
    bad = list(chunk.bad)
    landed = seen = 0
    first_id = new_id()
    if chunk.rows:
        await _stage(tx, chunk, first_id, sp_id=sp_id, at=first_seen_at)
        within = await staging_queries.span(tx)
        spans = await judging.spans_over(tx, *within) if within else []
        if spans:
            await plain_queries.judge(tx, spans)
        await lane.may_hold()
        # Numbers before ids, as batches and charges in one step take them: so nobody waits crosswise.
        await staging_queries.hold(tx)
        seen, refused = await _claim(tx, len(chunk.rows), lane, sp_id=sp_id)
        bad += [chunk.spoiled(line_no, reason) for line_no, reason in refused]
        lane.holds()
        landed = len(chunk.rows) - seen - len(refused)
    if landed:
        await plain_queries.crowd(tx, sp_id, spans)
        await _store(tx, sp_id=sp_id, file_id=file_id, actor=actor, now=now)
        ids = [staging_queries.id_after(first_id, place) for place in (1, len(chunk.rows))]
        await notices.landed(tx, ids, now=now)
    if bad:
        bad.sort(key=lambda line: line.line_no)
        await file_queries.add_quarantine(tx, bad, sp_id=sp_id, file_id=file_id, now=now)
    return Tally(len(chunk.raws), landed, len(bad), seen)


async def _stage(
    tx: Connection, chunk: Chunk, first_id: UUID, *, sp_id: UUID, at: datetime
) -> None:
    """Put the records beside their services; nothing is claimed or held yet."""
    rules = await rulebook.section(tx, ChargingRules, at=at)
    await staging_queries.stage(tx, chunk.rows)
    await staging_queries.admit(
        tx, sp_id, first_id,
        latest=at + timedelta(minutes=rules.ahead_minutes),
        oldest=at - timedelta(hours=rules.oldest_hours),
        closed=[month_range(month) for month in await month_queries.sealed(tx)],
    )  # fmt: skip


async def _claim(
    tx: Connection, staged: int, lane: Lane, *, sp_id: UUID
) -> tuple[int, list[tuple[int, Reason]]]:
    """Claim the records' ids; return how many came before, and which are refused."""
    if await staging_queries.claim(tx, sp_id) == staged:
        return 0, []
    if await staging_queries.any_late(tx):
        # It claims nothing, so it waits for nobody; and what the chunk before claimed is to be seen.
        await lane.may_land()
    return await staging_queries.lost(tx, sp_id)


async def _store(
    tx: Connection, *, sp_id: UUID, file_id: UUID, actor: Actor, now: datetime
) -> None:
    """Store what is plainly right, and judge and store the rest; the numbers are held."""
    plain = await plain_queries.add_plain(tx, sp_id, file_id, now=now)
    unasked = suspicions.NOTHING
    if plain:
        unasked = await plain_queries.unasked(tx, examples=suspicions.EXAMPLES)
    judged = await judging.judged(tx, await plain_queries.doubtful(tx, sp_id))
    if judged:
        await queries.add_charges(tx, judged, sp_id=sp_id, file_id=file_id, now=now)
        await queries.add_findings(tx, judged, found_by=actor.label, now=now)
    await suspicions.keep(
        tx, judged, sp_id=sp_id, found_by=actor.label, now=now,
        plain={Finding.NO_DECISION: unasked},
    )  # fmt: skip
