"""Statements that land a chunk of a file: staged by COPY, claimed, held, and judged where it is plain.

What is staged lies in temporary tables of the connection and is gone when its transaction ends.
Every look at a number is an index look-up in the order of numbers, so neighbours share pages.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import NamedTuple
from uuid import UUID

import asyncpg

from spms.charging.facts import Item, Rules
from spms.charging.model import Delivery, Kind, Mode, Reason
from spms.charging.suspicion_model import Observation
from spms.core.db import Connection

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
STAGE = """
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


LOST = """
    WITH lost AS (
        DELETE FROM staged_charge c
         WHERE c.refused IS NOT NULL OR c.late IS NOT NULL
            OR NOT EXISTS (SELECT FROM charge_key k
                            WHERE k.sp_id = $1 AND k.record_id = c.record_id AND k.charge_id = c.id)
        RETURNING c.line_no, c.record_id, c.content_sha256, c.refused, c.late
    )
    SELECT l.line_no,
           CASE WHEN l.refused IS NOT NULL THEN l.refused
                WHEN k.content_sha256 IS NULL THEN l.late
                WHEN k.content_sha256 <> l.content_sha256 THEN 'dup_conflict' END AS reason
      FROM lost l
      LEFT JOIN charge_key k ON k.sp_id = $1 AND k.record_id = l.record_id
"""


async def lost(tx: Connection, sp_id: UUID) -> tuple[int, list[tuple[int, Reason]]]:
    """Drop what did not get its id; return how much was known already, and what is refused."""
    rows = await tx.fetch(LOST, sp_id)
    refused = [(row["line_no"], Reason(row["reason"])) for row in rows if row["reason"] is not None]
    return len(rows) - len(refused), refused


# One holder of the row at a time judges charges of a number; NO KEY leaves foreign keys alone.
HOLD = """
    SELECT count(*) FROM (
        SELECT FROM (SELECT DISTINCT msisdn FROM staged_charge) s
          JOIN number n ON n.msisdn = s.msisdn
         ORDER BY n.msisdn FOR NO KEY UPDATE OF n) held
"""


async def hold(tx: Connection) -> None:
    """Make what is about to be read of these numbers stay true until the transaction ends."""
    await tx.fetchval(HOLD)


SPAN = "SELECT min(charged_at) AS first, max(charged_at) AS last FROM staged_charge"


async def span(tx: Connection) -> tuple[datetime, datetime]:
    """Return between which instants the staged charges lie."""
    row = await tx.fetchrow(SPAN)
    assert row is not None  # noqa: S101 - an aggregate
    return row["first"], row["last"]


# Plain is a charge of which every rule in `rating` and `doubts` says at sight that it is right:
# the number in service, nothing that its holder limited, one relation that runs and licenses it,
# nothing else of its service in the month or on the order, and both caps far away. Each bound here
# is on the safe side of the rule it stands for. What others have to say is in `CROWD`.
JUDGE = """
    INSERT INTO staged_verdict
    SELECT c.id, c.record_id, c.msisdn, c.charged_at, c.price_fen, c.delivery, c.service_id, c.kind,
           r.id, r.tariff_id, a.id, v.version, c.number_fen, c.number_uses,
           COALESCE(
               c.alone
               AND c.delivery <> 'failed'
               AND e.state_after = 'active'
               AND c.charged_at >= r.charge_from
               AND c.price_fen <= r.price_fen
               AND (a.id IS NOT NULL OR v.observes)
               AND CASE c.kind
                   WHEN 'monthly' THEN
                       (r.ended_at IS NULL OR r.ended_at > c.charged_at)
                       AND (r.free_until IS NULL OR r.free_until > c.charged_at)
                   ELSE
                       (r.ended_at IS NULL OR r.ended_at > c.charged_at OR r.end_reason = 'lapsed')
                       AND c.charged_at < r.active_from + v.lifetime
                       AND o.orders = 1 END
               AND (r.consented_id IS NOT NULL
                    OR EXISTS (SELECT FROM consent t
                                WHERE t.msisdn = c.msisdn AND t.subscription_id = r.id OFFSET 0))
               AND NOT EXISTS (SELECT FROM reservation h
                                WHERE h.msisdn = c.msisdn AND h.id = a.id
                                  AND h.state IN ('released', 'expired') OFFSET 0), false)
      FROM (SELECT * FROM staged_charge OFFSET 0) c
      JOIN unnest($1::timestamptz[], $2::timestamptz[], $3::int[], $4::interval[], $5::boolean[])
           AS v (since, until, version, lifetime, observes)
        ON c.charged_at >= v.since AND c.charged_at < v.until
      LEFT JOIN LATERAL (
           SELECT state_after, epoch_after FROM number_event
            WHERE msisdn = c.msisdn AND effective_at <= c.charged_at
            ORDER BY effective_at DESC LIMIT 1) e ON true
      LEFT JOIN LATERAL (
           SELECT s.id, s.price_fen, s.tariff_id, s.active_from, s.ended_at, s.end_reason,
                  s.charge_from, s.free_until, s.consented_id
             FROM subscription s
            WHERE s.msisdn = c.msisdn AND s.service_id = c.service_id
              AND s.active_from <= c.charged_at AND s.epoch = e.epoch_after
            ORDER BY s.active_from DESC LIMIT 1) r ON true
      LEFT JOIN LATERAL (
           SELECT count(*) AS orders FROM subscription s
            WHERE c.kind = 'on_demand' AND s.msisdn = c.msisdn AND s.service_id = c.service_id
              AND s.active_from > c.charged_at - v.lifetime AND s.active_from <= c.charged_at
      ) o ON true
      LEFT JOIN LATERAL (
           SELECT id FROM authorisation
            WHERE msisdn = c.msisdn AND decided_at <= c.charged_at
              AND decided_at > c.charged_at - interval '31 days'
              AND service_id = c.service_id AND purpose = 'charge' AND allowed
            ORDER BY decided_at DESC LIMIT 1) a ON true
"""


class Span(NamedTuple):
    """A range of time within which neither the rules nor the business month change."""

    since: datetime
    until: datetime
    month: tuple[datetime, datetime]
    rules: Rules


async def judge(tx: Connection, spans: Sequence[Span]) -> None:
    """Mark the staged charges that are plainly right if no other charge stands in their way.

    Together the spans cover all of them. Their numbers need not be held: a fact told meanwhile is
    one told late, and the re-audit finds what it makes wrong, as it does for all of those.
    """
    rules = [span.rules for span in spans]
    await tx.execute(
        JUDGE, [span.since for span in spans], [span.until for span in spans],
        [one.version for one in rules], [one.order_lifetime for one in rules],
        [one.audit.no_decision_mode is Mode.OBSERVE for one in rules],
    )  # fmt: skip


# What stands of a month, an order and a quick succession, and what the holder limits. No re-audit
# asks for these again, so they are read of numbers that are held. Of other charges only what stands
# in the primary key's index is read: a number's month lies scattered over the table.
CROWD = """
    UPDATE staged_verdict c SET plain = false
      FROM unnest($2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[],
                  $6::bigint[], $7::bigint[], $8::interval[], $9::interval[], $10::int[])
           AS v (since, until, month_since, month_until, service_fen, total_fen, lifetime, split,
                 split_charges)
     WHERE c.plain AND c.charged_at >= v.since AND c.charged_at < v.until
       AND (EXISTS (SELECT FROM number_bar WHERE msisdn = c.msisdn OFFSET 0)
            OR EXISTS (SELECT FROM number_cap WHERE msisdn = c.msisdn OFFSET 0)
            OR (SELECT CASE c.kind
                   WHEN 'monthly' THEN
                       COALESCE(bool_or(kind = 'monthly' AND charged_at >= v.month_since
                                        AND service_id = c.service_id), false)
                   ELSE
                       COALESCE(bool_or(consent_id = c.consent_id), false)
                       OR c.number_uses + count(*) FILTER (
                              WHERE kind = 'on_demand'
                                AND service_id IN (SELECT id FROM service WHERE sp_id = $1)
                                AND charged_at > c.charged_at - v.split
                                AND charged_at <= c.charged_at) >= v.split_charges END
                   OR COALESCE(sum(due_fen) FILTER (WHERE charged_at >= v.month_since
                                                      AND service_id = c.service_id), 0)
                      + c.number_fen > v.service_fen
                   OR COALESCE(sum(due_fen) FILTER (WHERE charged_at >= v.month_since), 0)
                      + c.number_fen > v.total_fen
              FROM charge_record
             WHERE msisdn = c.msisdn AND charged_at < v.month_until AND due_fen > 0
               AND charged_at >= CASE c.kind WHEN 'monthly' THEN v.month_since ELSE
                       LEAST(v.month_since, c.charged_at - GREATEST(v.lifetime, v.split)) END))
"""


async def crowd(tx: Connection, sp_id: UUID, spans: Sequence[Span]) -> None:
    """Take the mark from charges that a limit or another charge may stand against."""
    rules = [span.rules for span in spans]
    await tx.execute(
        CROWD, sp_id, [span.since for span in spans], [span.until for span in spans],
        [span.month[0] for span in spans], [span.month[1] for span in spans],
        [one.caps.service_month_fen for one in rules], [one.caps.total_month_fen for one in rules],
        [one.order_lifetime for one in rules],
        [timedelta(minutes=one.audit.split_minutes) for one in rules],
        [one.audit.split_charges for one in rules],
    )  # fmt: skip


# A number with anything that is not plain is left whole to the rules, which see all of it in order.
LEAVE = """
    UPDATE staged_verdict SET plain = false
     WHERE plain AND msisdn IN (SELECT msisdn FROM staged_verdict WHERE NOT plain)
"""
ADD_PLAIN = """
    INSERT INTO charge_record
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery, file_id,
         received_at, consent_id, tariff_id, authorisation_id, findings, due_fen, rulebook_version)
    SELECT msisdn, charged_at, id, $1, service_id, record_id, kind, price_fen, delivery, $2, $3,
           consent_id, tariff_id, authorisation_id, '{}', price_fen, rulebook_version
      FROM staged_verdict WHERE plain
"""


async def add_plain(tx: Connection, sp_id: UUID, file_id: UUID, *, now: datetime) -> int:
    """Store the charges of numbers of which all is plainly right; return how many."""
    await tx.execute(LEAVE)
    status: str = await tx.execute(ADD_PLAIN, sp_id, file_id, now)
    return int(status.rpartition(" ")[2])


UNASKED = """
    SELECT count(*) AS charges, COALESCE(sum(price_fen), 0)::bigint AS fen,
           (array_agg(id))[1:$1::int] AS examples
      FROM staged_verdict WHERE plain AND authorisation_id IS NULL
"""


async def unasked(tx: Connection, *, examples: int) -> Observation:
    """Sum up the plain charges that no decision allowed."""
    row = await tx.fetchrow(UNASKED, examples)
    assert row is not None  # noqa: S101 - an aggregate
    return Observation(row["charges"], row["fen"], row["examples"] or ())


DOUBTFUL = """
    SELECT id, record_id, msisdn, service_id, kind, charged_at, price_fen, delivery
      FROM staged_verdict WHERE NOT plain
"""


async def doubtful(tx: Connection, sp_id: UUID) -> list[Item]:
    """Return the staged charges which the rules must look at."""
    return [
        Item(
            row["id"], row["record_id"], row["msisdn"], row["service_id"], Kind(row["kind"]),
            row["charged_at"], row["price_fen"], Delivery(row["delivery"]), sp_id,
        )
        for row in await tx.fetch(DOUBTFUL)
    ]  # fmt: skip
