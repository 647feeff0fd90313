"""Every statement this room runs. Writes `number` and `number_event` only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from spms.core.db import Connection, many, one
from spms.subscribers.model import HistoryLine, Number, NumberEvent, NumberState

GET = """
    SELECT msisdn, epoch, state, state_since, epoch_since, language FROM number WHERE msisdn = $1
"""


async def get(read: Connection, msisdn: str) -> Number | None:
    """Load a number as it is after its latest event."""
    return one(Number, await read.fetchrow(GET, msisdn))


HOLD = """
    SELECT msisdn, epoch, state, state_since, epoch_since, language FROM number WHERE msisdn = $1
       FOR SHARE
"""


async def hold(tx: Connection, msisdn: str) -> Number | None:
    """Load a number and keep its owner and state until the transaction ends."""
    return one(Number, await tx.fetchrow(HOLD, msisdn))


STATE_AT = """
    SELECT state_after, epoch_after FROM number_event
     WHERE msisdn = $1 AND effective_at <= $2
     ORDER BY effective_at DESC LIMIT 1
"""


async def state_at(read: Connection, msisdn: str, at: datetime) -> tuple[NumberState, int] | None:
    """Return state and epoch in force at an instant, or None before the first event."""
    row = await read.fetchrow(STATE_AT, msisdn, at)
    return None if row is None else (NumberState(row["state_after"]), row["epoch_after"])


HISTORY = """
    SELECT kind, reason, effective_at, recorded_at, state_after, epoch_after FROM number_event
     WHERE msisdn = $1 ORDER BY effective_at DESC LIMIT 100
"""


async def history(read: Connection, msisdn: str) -> list[HistoryLine]:
    """List what happened to a number, newest first."""
    return many(HistoryLine, await read.fetch(HISTORY, msisdn))


# Epoch 0 is nobody's; the caller's timeline fills in the rest in the same transaction.
OPEN = """
    INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
    SELECT msisdn, 0, 'terminated', at, at
      FROM unnest($1::text[], $2::timestamptz[]) AS told (msisdn, at)
    ON CONFLICT DO NOTHING
"""


async def open_numbers(tx: Connection, first: Mapping[str, datetime]) -> None:
    """Make rows for numbers that are not known yet, in the order in which rows are locked."""
    order = sorted(first)
    await tx.execute(OPEN, order, [first[msisdn] for msisdn in order])


LOCK = """
    SELECT msisdn, epoch, state, state_since, epoch_since, language FROM number
     WHERE msisdn = ANY($1::text[]) ORDER BY msisdn FOR UPDATE
"""


async def lock(tx: Connection, msisdns: Sequence[str]) -> dict[str, Number]:
    """Load numbers and hold them until the transaction ends, always in the same order."""
    found = many(Number, await tx.fetch(LOCK, msisdns))
    return {number.msisdn: number for number in found}


TIMELINES = """
    SELECT e.msisdn, e.id, e.kind, e.reason, e.effective_at, e.state_after, e.epoch_after
      FROM unnest($1::text[], $2::timestamptz[]) AS q (msisdn, first)
     CROSS JOIN LATERAL (
        (SELECT * FROM number_event n WHERE n.msisdn = q.msisdn AND n.effective_at < q.first
          ORDER BY n.effective_at DESC LIMIT 1)
        UNION ALL
        SELECT * FROM number_event n WHERE n.msisdn = q.msisdn AND n.effective_at >= q.first
     ) AS e
     ORDER BY e.msisdn, e.effective_at
"""


async def timelines(tx: Connection, first: Mapping[str, datetime]) -> list[NumberEvent]:
    """Load each number's events from an instant on, and the last one before it."""
    return many(NumberEvent, await tx.fetch(TIMELINES, list(first), list(first.values())))


EPOCH_TOPS = """
    SELECT msisdn, max(epoch_after) AS top FROM number_event
     WHERE msisdn = ANY($1::text[]) GROUP BY msisdn
"""


async def epoch_tops(tx: Connection, msisdns: Sequence[str]) -> dict[str, int]:
    """Return the highest epoch each number ever had; a number without events is left out."""
    return {row["msisdn"]: row["top"] for row in await tx.fetch(EPOCH_TOPS, msisdns)}


def _columns(events: Sequence[NumberEvent], *names: str) -> list[list[Any]]:
    return [[getattr(event, name) for event in events] for name in names]


ADD_EVENTS = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, state_after, epoch_after,
                              recorded_at, actor)
    SELECT e.*, $8, $9 FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[],
                                   $5::timestamptz[], $6::text[], $7::integer[]) AS e
"""


async def add_events(
    tx: Connection, events: Sequence[NumberEvent], *, actor: str, now: datetime
) -> None:
    """Write new events."""
    columns = _columns(
        events, "msisdn", "id", "kind", "reason", "effective_at", "state_after", "epoch_after"
    )
    await tx.execute(ADD_EVENTS, *columns, now, actor)


REDERIVE = """
    WITH e AS (
        SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::integer[])
                   AS e (msisdn, id, state_after, epoch_after)
    ), kept AS (
        INSERT INTO number_correction (msisdn, event_id, replaced_at, state_before, epoch_before)
        SELECT n.msisdn, n.id, $5, n.state_after, n.epoch_after
          FROM number_event n JOIN e ON n.msisdn = e.msisdn AND n.id = e.id
        ON CONFLICT DO NOTHING
    )
    UPDATE number_event n SET state_after = e.state_after, epoch_after = e.epoch_after
      FROM e
     WHERE n.msisdn = e.msisdn AND n.id = e.id
"""


async def rederive(tx: Connection, events: Sequence[NumberEvent], *, now: datetime) -> None:
    """Correct what follows from a late event for the events after it; keep what was held before."""
    columns = _columns(events, "msisdn", "id", "state_after", "epoch_after")
    await tx.execute(REDERIVE, *columns, now)


STORE = """
    UPDATE number n SET epoch = e.epoch, state = e.state, state_since = e.state_since,
                        epoch_since = e.epoch_since, language = e.language
      FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::timestamptz[],
                  $6::text[]) AS e (msisdn, epoch, state, state_since, epoch_since, language)
     WHERE n.msisdn = e.msisdn
"""


async def store(tx: Connection, numbers: Sequence[Number]) -> None:
    """Write how numbers are after their latest events; the caller holds their rows."""
    names = ("msisdn", "epoch", "state", "state_since", "epoch_since", "language")
    columns = [[getattr(number, name) for number in numbers] for name in names]
    await tx.execute(STORE, *columns)
