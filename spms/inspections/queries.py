"""Statements on calls and on the sandbox's lines. Only a lease asks the database for the time."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, many, one
from spms.inspections.evidence import Evidence, Sealed
from spms.inspections.model import HotlineCall, LineIn, Placing
from spms.inspections.sip import CallResult


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that came to an end without a result."""

    item_id: UUID
    plan_id: UUID
    attempt_no: int
    number: str


ADD_CALLS = """
    INSERT INTO hotline_call (item_id, attempt_no, number, due_at, state)
    SELECT item_id, $4, number, due_at, 'due'
      FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS wanted (item_id, number, due_at)
"""


async def add_calls(
    tx: Connection, items: list[UUID], numbers: list[str], due: list[datetime], *, attempt_no: int
) -> None:
    """Make one call of each item due."""
    await tx.execute(ADD_CALLS, items, numbers, due, attempt_no)


POSTPONE = """
    UPDATE hotline_call SET due_at = $2
     WHERE (item_id, attempt_no) IN (
           SELECT item_id, attempt_no FROM hotline_call
            WHERE state = 'due' AND due_at <= $1 FOR UPDATE SKIP LOCKED)
"""


async def postpone(tx: Connection, now: datetime, until: datetime) -> None:
    """Put off all calls that are due: outside the permitted hours none may be placed."""
    await tx.execute(POSTPONE, now, until)


POSTPONE_CALLED_OFTEN = """
    UPDATE hotline_call SET due_at = $3
     WHERE (item_id, attempt_no) IN (
           SELECT c.item_id, c.attempt_no FROM hotline_call c
            WHERE c.state = 'due' AND c.due_at <= $1
              AND (SELECT count(*) FROM hotline_call o
                    WHERE o.number = c.number AND o.placed_at >= $2) >= $4
              FOR UPDATE OF c SKIP LOCKED)
"""


async def postpone_called_often(
    tx: Connection, now: datetime, *, since: datetime, until: datetime, most: int
) -> None:
    """Put off due calls to numbers that were called `most` times since an instant."""
    await tx.execute(POSTPONE_CALLED_OFTEN, now, since, until, most)


TAKE = """
    WITH due AS (
        SELECT item_id, attempt_no, number, due_at FROM hotline_call c
         WHERE state = 'due' AND due_at <= $1
           AND NOT EXISTS (SELECT FROM hotline_call o
                            WHERE o.number = c.number AND o.state = 'placing')
         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
    ), first AS (
        SELECT DISTINCT ON (number) item_id, attempt_no FROM due ORDER BY number, due_at
    )
    UPDATE hotline_call c
       SET state = 'placing', placed_at = $1,
           caller = ($2::text[])[1 + (i.caller_offset + c.attempt_no) % cardinality($2::text[])],
           call_id = replace(gen_random_uuid()::text, '-', ''),
           lease_until = clock_timestamp() + $4 * interval '1 second'
      FROM first f JOIN inspection_item i ON i.id = f.item_id
     WHERE c.item_id = f.item_id AND c.attempt_no = f.attempt_no AND c.state = 'due'
    RETURNING c.item_id, c.attempt_no, c.number, c.call_id, c.caller
"""


async def take(
    tx: Connection, now: datetime, *, callers: list[str], limit: int, lease_seconds: float
) -> list[Placing]:
    """Take due calls, one per number; `UniqueViolationError` when another worker was quicker.

    The caller number goes round the pool from where the draw put it: a retest never shows the
    number that the call before it showed, unless there is but one.
    """
    return many(Placing, await tx.fetch(TAKE, now, callers, limit, lease_seconds))


CALL_COLUMNS = """attempt_no, state, due_at, caller, placed_at, ended_at, outcome, sip_code,
           q850_cause, ring_ms, redirected_to, hung_up_by_line, audio_packets, trace, answered_at,
           media, other_party"""

# Another party: a line whose code is registered answered, and played a code that is another one.
RECORD = f"""
    UPDATE hotline_call c
       SET state = 'finished', ended_at = $4, outcome = $5, sip_code = $6, q850_cause = $7,
           ring_ms = $8, redirected_to = $9, hung_up_by_line = $10, audio_packets = $11,
           trace = $12, answered_at = $13, media = $14,
           other_party = $15 <> '' AND $15 <> COALESCE((
               SELECT g.code FROM hotline_greeting g JOIN inspection_item i
                   ON i.sp_id = g.sp_id AND i.hotline = g.hotline
                WHERE i.id = $1 AND g.set_at <= c.placed_at ORDER BY g.set_at DESC LIMIT 1), $15)
     WHERE item_id = $1 AND attempt_no = $2 AND call_id = $3 AND state = 'placing'
    RETURNING {CALL_COLUMNS}
"""


async def record(tx: Connection, call: Placing, result: CallResult) -> HotlineCall | None:
    """Store what a call came to; None when it was given up for lost meanwhile."""
    ring_ms = None if result.ring_seconds is None else round(1_000 * result.ring_seconds)
    media = result.media
    return one(HotlineCall, await tx.fetchrow(
        RECORD, call.item_id, call.attempt_no, call.call_id, result.ended_at, result.outcome,
        result.sip_code, result.q850_cause, ring_ms, result.redirected_to, result.hung_up_by_line,
        result.audio_packets, list(result.trace), result.answered_at, media,
        "" if media is None else media.tones,
    ))  # fmt: skip


MARK_UNKNOWN = f"""
    UPDATE hotline_call SET state = 'unknown', ended_at = $4
     WHERE item_id = $1 AND attempt_no = $2 AND call_id = $3 AND state = 'placing'
    RETURNING {CALL_COLUMNS}
"""


async def mark_unknown(tx: Connection, call: Placing, at: datetime) -> HotlineCall | None:
    """End a call of which nothing is known; None when that was done already."""
    row = await tx.fetchrow(MARK_UNKNOWN, call.item_id, call.attempt_no, call.call_id, at)
    return one(HotlineCall, row)


LAST_EVIDENCE = """
    SELECT position, sha256 FROM hotline_evidence WHERE number = $1
     ORDER BY position DESC LIMIT 1
"""


async def last_evidence(read: Connection, number: str) -> tuple[int, str] | None:
    """Return position and hash of a number's last call."""
    row = await read.fetchrow(LAST_EVIDENCE, number)
    return None if row is None else (row["position"], row["sha256"])


ADD_EVIDENCE = """
    INSERT INTO hotline_evidence
        (number, position, item_id, attempt_no, evidence, previous_sha256, sha256)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def add_evidence(tx: Connection, link: Evidence) -> None:
    """Add a call to its number's chain."""
    await tx.execute(
        ADD_EVIDENCE, link.number, link.position, link.item_id, link.attempt_no, link.evidence,
        link.previous_sha256, link.sha256,
    )  # fmt: skip


EVIDENCE = """
    SELECT number, position, item_id, attempt_no, evidence, previous_sha256, sha256
      FROM hotline_evidence WHERE number = $1 ORDER BY position
"""


async def evidence(read: Connection, number: str) -> list[Evidence]:
    """Return a number's whole chain, in order."""
    return many(Evidence, await read.fetch(EVIDENCE, number))


HEADS = """
    SELECT DISTINCT ON (number) number AS subject, position::bigint AS seq,
           CASE WHEN sha256 ~ '^[0-9a-f]{64}$' THEN decode(sha256, 'hex') ELSE ''::bytea END
               AS hash, 'infinity'::timestamptz AS at
      FROM hotline_evidence ORDER BY number, position DESC
"""
ENTRIES = """
    SELECT number AS subject, position::bigint AS seq,
           CASE WHEN sha256 ~ '^[0-9a-f]{64}$' THEN decode(sha256, 'hex') ELSE ''::bytea END
               AS hash
      FROM hotline_evidence
"""
SEALED = """
    SELECT to_jsonb(e) AS link,
           CASE WHEN c.item_id IS NOT NULL THEN to_jsonb(c) END AS call
      FROM hotline_evidence e
      LEFT JOIN hotline_call c ON c.item_id = e.item_id AND c.attempt_no = e.attempt_no
     ORDER BY e.number, e.position
"""


async def sealed(read: Connection) -> list[Sealed]:
    """Load every call's evidence beside the call, number by number in order."""
    return many(Sealed, await read.fetch(SEALED))


GIVE_UP_LOST = """
    UPDATE hotline_call c SET state = 'unknown', ended_at = $1
      FROM inspection_item i
     WHERE i.id = c.item_id AND (c.item_id, c.attempt_no) IN (
           SELECT item_id, attempt_no FROM hotline_call
            WHERE state = 'placing' AND lease_until < clock_timestamp()
             LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING c.item_id, i.plan_id, c.attempt_no, c.number
"""


async def give_up_lost(tx: Connection, now: datetime) -> list[Cut]:
    """End a call whose worker did not report in time; one only: a transaction holds one item."""
    return many(Cut, await tx.fetch(GIVE_UP_LOST, now))


CALL = f"SELECT {CALL_COLUMNS} FROM hotline_call WHERE item_id = $1 AND attempt_no = $2"


async def call(read: Connection, item_id: UUID, attempt_no: int) -> HotlineCall | None:
    """Load one attempt."""
    return one(HotlineCall, await read.fetchrow(CALL, item_id, attempt_no))


IN_FORCE = """CASE i.kind WHEN 'responsible' THEN EXISTS (
           SELECT FROM sp WHERE sp.id = i.sp_id AND sp.status = 'active'
                            AND sp.responsible_mobile = '86' || i.hotline)
      ELSE EXISTS (
           SELECT FROM sp_hotline h JOIN sp ON sp.id = h.sp_id
            WHERE h.sp_id = i.sp_id AND h.number = i.hotline AND sp.status = 'active'
              AND h.valid_from <= $1 AND (h.valid_to IS NULL OR h.valid_to > $1)) END"""

DROP_WITHDRAWN = f"""
    UPDATE hotline_call c SET state = 'dropped', ended_at = $1
      FROM inspection_item i
     WHERE i.id = c.item_id AND (c.item_id, c.attempt_no) IN (
           SELECT c.item_id, c.attempt_no
             FROM hotline_call c JOIN inspection_item i ON i.id = c.item_id
            WHERE c.state = 'due' AND c.due_at <= $1 AND NOT {IN_FORCE}
              LIMIT 1 FOR UPDATE OF c SKIP LOCKED)
    RETURNING c.item_id, i.plan_id, c.attempt_no, c.number
"""


async def drop_withdrawn(tx: Connection, now: datetime) -> list[Cut]:
    """Drop a due call to a hotline that is no longer in force; one only."""
    return many(Cut, await tx.fetch(DROP_WITHDRAWN, now))


PUT_LINE = """
    INSERT INTO sandbox_line (number, behaviour, connect_percent, new_number, set_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (number) DO UPDATE
       SET behaviour = excluded.behaviour, connect_percent = excluded.connect_percent,
           new_number = excluded.new_number, set_at = excluded.set_at
"""


async def put_line(tx: Connection, line: LineIn, at: datetime) -> None:
    """Set how a sandbox hotline behaves."""
    await tx.execute(
        PUT_LINE, line.number, line.behaviour, line.connect_percent, line.new_number, at
    )


LINE = "SELECT number, behaviour, connect_percent, new_number FROM sandbox_line WHERE number = $1"


async def line(read: Connection, number: str) -> LineIn | None:
    """Return how a sandbox hotline was told to behave; None: nobody told it anything."""
    return one(LineIn, await read.fetchrow(LINE, number))
