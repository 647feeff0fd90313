"""Statements that let a chunk of a file in: staged by COPY, given ids, held, claimed.

What is staged lies in temporary tables of the connection and is gone when its transaction ends.
`plain_queries` judges what is in.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from uuid import UUID

import asyncpg

from spms.charging.model import Reason
from spms.core.db import Connection

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# A month's parts make a plan cost more than it takes to carry it out for a small file, and the first
# five times a connection would make one each time. The values of these statements do not matter to it.
STAGE = """
    SET LOCAL plan_cache_mode = force_generic_plan;
    CREATE TEMPORARY TABLE IF NOT EXISTS staged_line (
        line_no integer NOT NULL, record_id text COLLATE "C" NOT NULL,
        service_code text COLLATE "C" NOT NULL, msisdn text COLLATE "C" NOT NULL,
        charged_at timestamptz NOT NULL, price_fen bigint NOT NULL, delivery text NOT NULL,
        content_sha256 bytea NOT NULL
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS staged_charge (
        id uuid NOT NULL, line_no integer NOT NULL, record_id text COLLATE "C" NOT NULL,
        msisdn text COLLATE "C" NOT NULL, charged_at timestamptz NOT NULL,
        price_fen bigint NOT NULL, delivery text NOT NULL, content_sha256 bytea NOT NULL,
        service_id uuid, kind text, refused text, late text, alone boolean NOT NULL,
        number_fen bigint NOT NULL, number_uses integer NOT NULL
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS staged_verdict (
        id uuid NOT NULL, record_id text NOT NULL, msisdn text COLLATE "C" NOT NULL,
        charged_at timestamptz NOT NULL, price_fen bigint NOT NULL, delivery text NOT NULL,
        service_id uuid NOT NULL, kind text NOT NULL, consent_id uuid, tariff_id uuid,
        authorisation_id uuid, rulebook_version integer, number_fen bigint NOT NULL,
        number_uses integer NOT NULL, plain boolean NOT NULL
    ) ON COMMIT DELETE ROWS
"""
_LINE_COLUMNS = (
    "line_no", "record_id", "service_code", "msisdn", "charged_at", "price_fen", "delivery",
    "content_sha256",
)  # fmt: skip


async def stage(tx: Connection, rows: Sequence[bytes]) -> None:
    """Put rows as COPY reads them before the transaction's other statements."""
    await tx.execute(STAGE)
    await tx.copy_to_table(
        "staged_line", source=BytesIO(b"".join(rows)), columns=_LINE_COLUMNS, format="text",
        delimiter=",",
    )  # fmt: skip


def id_after(first_id: UUID, place: int) -> UUID:
    """Return the id of the charge at a place (from 1) of a chunk, as `ADMIT` counts them."""
    return UUID(f"{first_id.hex[:20]}{_start(first_id) + place:012x}")


def _start(first_id: UUID) -> int:
    return int(first_id.hex[20:], 16) & 0x3FFF_FFFF_FFFF


# Ids follow numbers and times, as the table is written. Beside each charge stands what its chunk
# holds of its number: whether nothing else of its service, how much, how many uses.
ADMIT = """
    INSERT INTO staged_charge
    SELECT ($1 || lpad(to_hex($2::bigint + row_number() OVER in_order), 12, '0'))::uuid,
           s.line_no, s.record_id, s.msisdn, s.charged_at, s.price_fen, s.delivery,
           s.content_sha256, v.id, v.kind,
           CASE WHEN v.id IS NULL THEN 'service_unknown'
                WHEN s.charged_at > $4 THEN 'time_future' END,
           CASE WHEN s.charged_at < $6
                     AND EXISTS (SELECT FROM unnest($7::timestamptz[], $8::timestamptz[])
                                             AS closed (since, until)
                                  WHERE s.charged_at >= since AND s.charged_at < until)
                THEN 'period_closed'
                WHEN s.charged_at < $5 THEN 'time_old' END,
           CASE count(*) OVER of_number WHEN 1 THEN true
                WHEN 2 THEN min(s.service_code) OVER of_number <> max(s.service_code) OVER of_number
                ELSE false END,
           sum(s.price_fen) OVER of_number,
           count(*) FILTER (WHERE v.kind = 'on_demand') OVER of_number
      FROM staged_line s
      LEFT JOIN service v ON v.sp_id = $3 AND v.code = s.service_code
    WINDOW in_order AS (ORDER BY s.msisdn, s.charged_at, s.line_no),
           of_number AS (PARTITION BY s.msisdn)
"""


async def admit(
    tx: Connection,
    sp_id: UUID,
    first_id: UUID,
    *,
    latest: datetime,
    oldest: datetime,
    closed: Sequence[tuple[datetime, datetime]],
) -> int:
    """Find for each staged line its service, and what keeps it out; return how many there are.

    Charges get the ids after `first_id`. Nothing lands in the ranges of time that are `closed`.
    """
    status: str = await tx.execute(
        ADMIT, first_id.hex[:20], _start(first_id), sp_id, latest, oldest,
        max((until for _, until in closed), default=LONG_AGO), [since for since, _ in closed],
        [until for _, until in closed],
    )  # fmt: skip
    return int(status.rpartition(" ")[2])


# Ordered, so that two loaders with the same records wait for one another instead of deadlocking.
# Nearly always nothing was there before, and not to ask first is half the work: a key that is taken
# fails the statement, and `CLAIM_REST` does it again.
CLAIM = """
    INSERT INTO charge_key (sp_id, record_id, content_sha256, charge_id)
    SELECT $1, record_id, content_sha256, id FROM staged_charge
     WHERE refused IS NULL AND late IS NULL
     ORDER BY record_id, line_no
"""
CLAIM_REST = f"{CLAIM} ON CONFLICT DO NOTHING"


async def claim(tx: Connection, sp_id: UUID) -> int:
    """Claim record ids for the staged charges; return how many got theirs."""
    try:
        async with tx.transaction():
            status: str = await tx.execute(CLAIM, sp_id)
    except asyncpg.UniqueViolationError:
        status = await tx.execute(CLAIM_REST, sp_id)
    return int(status.rpartition(" ")[2])


ANY_LATE = "SELECT EXISTS (SELECT FROM staged_charge WHERE late IS NOT NULL)"


async def any_late(tx: Connection) -> bool:
    """Say whether any of what is staged comes too late to land, unless it has landed before."""
    return bool(await tx.fetchval(ANY_LATE))


# A line that comes too late is not told of what only a line below it has landed meanwhile: it would
# have been if the chunk had ended between them.
LOST = """
    WITH lost AS (
        DELETE FROM staged_charge c
         WHERE c.refused IS NOT NULL OR c.late IS NOT NULL
            OR NOT EXISTS (SELECT FROM charge_key k
                            WHERE k.sp_id = $1 AND k.record_id = c.record_id AND k.charge_id = c.id)
        RETURNING c.id, c.line_no, c.record_id, c.content_sha256, c.refused, c.late
    ), unjudged AS (
        DELETE FROM staged_verdict v USING lost l WHERE v.id = l.id
    )
    SELECT l.line_no,
           CASE WHEN l.refused IS NOT NULL THEN l.refused
                WHEN k.content_sha256 IS NULL OR below.line_no > l.line_no THEN l.late
                WHEN k.content_sha256 <> l.content_sha256 THEN 'dup_conflict' END AS reason
      FROM lost l
      LEFT JOIN charge_key k ON k.sp_id = $1 AND k.record_id = l.record_id
      LEFT JOIN staged_charge below ON below.id = k.charge_id AND l.late IS NOT NULL
"""


async def lost(tx: Connection, sp_id: UUID) -> tuple[int, list[tuple[int, Reason]]]:
    """Drop what did not get its id; return how much was known already, and what is refused."""
    rows = await tx.fetch(LOST, sp_id)
    refused = [(row["line_no"], Reason(row["reason"])) for row in rows if row["reason"] is not None]
    return len(rows) - len(refused), refused


# One holder of the row at a time judges charges of a number; NO KEY leaves foreign keys alone.
# Whatever follows looks at numbers one by one. A part of a month that was analysed while it was empty
# would be read from end to end for each of them, by a plan that is kept until it is analysed again.
HOLD = """
    SELECT count(*), set_config('enable_seqscan', 'off', true) FROM (
        SELECT FROM (SELECT DISTINCT msisdn FROM staged_charge
                      WHERE refused IS NULL AND late IS NULL) s
          JOIN number n ON n.msisdn = s.msisdn
         ORDER BY n.msisdn FOR NO KEY UPDATE OF n) held
"""


async def hold(tx: Connection) -> None:
    """Make what is about to be read of the numbers of what may land stay true to the end."""
    await tx.fetchval(HOLD)


SPAN = """
    SELECT min(charged_at) AS first, max(charged_at) AS last FROM staged_charge
     WHERE refused IS NULL AND late IS NULL
"""


async def span(tx: Connection) -> tuple[datetime, datetime] | None:
    """Return between which instants the staged charges lie that may land; None: there are none."""
    row = await tx.fetchrow(SPAN)
    assert row is not None  # noqa: S101 - an aggregate
    return None if row["first"] is None else (row["first"], row["last"])
