"""Statements that land a chunk of a file: staged by COPY, claimed, held, and judged where it is plain.

What is staged lies in temporary tables of the connection and is gone when its transaction ends.
Every look at a number is an index look-up in the order of numbers, so neighbours share pages.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from uuid import UUID

from spms.charging.facts import Item, Rules
from spms.charging.model import Delivery, Kind, Mode, Reason
from spms.charging.suspicion_model import Observation
from spms.core.db import Connection

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
STAGE = """
    CREATE TEMPORARY TABLE IF NOT EXISTS staged_line (
        line_no integer NOT NULL, record_id text NOT NULL, service_code text NOT NULL,
        msisdn text COLLATE "C" NOT NULL, charged_at timestamptz NOT NULL,
        price_fen bigint NOT NULL, delivery text NOT NULL
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS staged_charge (
        id uuid NOT NULL, line_no integer NOT NULL, record_id text NOT NULL,
        msisdn text COLLATE "C" NOT NULL, charged_at timestamptz NOT NULL,
        price_fen bigint NOT NULL, delivery text NOT NULL, service_id uuid, kind text,
        content_sha256 bytea, refused text, late text
    ) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS staged_verdict (
        id uuid NOT NULL, record_id text NOT NULL, msisdn text COLLATE "C" NOT NULL,
        charged_at timestamptz NOT NULL, price_fen bigint NOT NULL, delivery text NOT NULL,
        service_id uuid NOT NULL, kind text NOT NULL, consent_id uuid, tariff_id uuid,
        authorisation_id uuid, rulebook_version integer, plain boolean NOT NULL
    ) ON COMMIT DELETE ROWS
"""
_LINE_COLUMNS = (
    "line_no", "record_id", "service_code", "msisdn", "charged_at", "price_fen", "delivery",
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


# Ids follow numbers and times, as the table is written; `$1` is what the ids of a chunk share. The
# hash is that of parsing.content_sha256: the same record is known however it was delivered.
ADMIT = """
    INSERT INTO staged_charge
    SELECT ($1 || lpad(to_hex($2::bigint + row_number() OVER (ORDER BY s.msisdn, s.charged_at,
                                                                       s.line_no)), 12, '0'))::uuid,
           s.line_no, s.record_id, s.msisdn, s.charged_at, s.price_fen, s.delivery, v.id, v.kind,
           sha256(convert_to(
               s.service_code || E'\\x1f' || s.msisdn || E'\\x1f'
               || to_char(s.charged_at AT TIME ZONE 'UTC',
                          CASE WHEN date_trunc('second', s.charged_at) = s.charged_at
                               THEN 'YYYY-MM-DD"T"HH24:MI:SS' ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US' END)
               || E'+00:00\\x1f' || s.price_fen || E'\\x1f' || s.delivery, 'UTF8')),
           CASE WHEN v.id IS NULL THEN 'service_unknown'
                WHEN s.charged_at > $4 THEN 'time_future' END,
           CASE WHEN date_trunc('month', s.charged_at AT TIME ZONE 'Asia/Shanghai')::date
                     = ANY($6::date[]) THEN 'period_closed'
                WHEN s.charged_at < $5 THEN 'time_old' END
      FROM staged_line s
      LEFT JOIN service v ON v.sp_id = $3 AND v.code = s.service_code
     ORDER BY s.msisdn, s.charged_at, s.line_no
"""


async def admit(
    tx: Connection,
    sp_id: UUID,
    first_id: UUID,
    *,
    latest: datetime,
    oldest: datetime,
    sealed: set[date],
) -> int:
    """Find for each staged line its service, its content's hash, and what keeps it out; count them.

    Charges get the ids after `first_id`, as many as there are lines.
    """
    status: str = await tx.execute(
        ADMIT, first_id.hex[:20], _start(first_id), sp_id, latest, oldest, list(sealed),
    )  # fmt: skip
    return int(status.rpartition(" ")[2])


# Ordered, so that two loaders with the same records wait for one another instead of deadlocking.
CLAIM = """
    INSERT INTO charge_key (sp_id, record_id, content_sha256, charge_id)
    SELECT $1, record_id, content_sha256, id FROM staged_charge
     WHERE refused IS NULL AND late IS NULL
     ORDER BY record_id, line_no
    ON CONFLICT DO NOTHING
"""


async def claim(tx: Connection, sp_id: UUID) -> int:
    """Claim record ids for the staged charges; return how many got theirs."""
    status: str = await tx.execute(CLAIM, sp_id)
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
# is on the safe side of the rule it stands for. A number with anything else is left whole to them.
JUDGE = """
    INSERT INTO staged_verdict
    SELECT id, record_id, msisdn, charged_at, price_fen, delivery, service_id, kind, consent_id,
           tariff_id, authorisation_id, version, bool_and(plain) OVER (PARTITION BY msisdn)
      FROM (
    SELECT c.*, r.id AS consent_id, r.tariff_id, a.id AS authorisation_id, v.version,
           COALESCE(
               e.state_after = 'active'
               AND c.delivery <> 'failed'
               AND NOT l.limited
               AND c.of_service = 1
               AND c.charged_at >= r.charge_from
               AND c.price_fen <= r.price_fen
               AND (r.free_until IS NULL OR r.free_until > c.charged_at OR c.kind = 'on_demand')
               AND (r.ended_at IS NULL OR r.ended_at > c.charged_at
                    OR (c.kind = 'on_demand' AND r.end_reason = 'lapsed'))
               AND (a.id IS NOT NULL OR v.observes)
               AND CASE c.kind
                   WHEN 'monthly' THEN NOT m.monthly
                   ELSE c.charged_at < r.active_from + v.lifetime AND o.orders = 1
                        AND NOT m.used AND c.uses + m.uses < v.split_charges END
               AND m.service_fen + c.chunk_fen <= v.service_fen
               AND m.total_fen + c.chunk_fen <= v.total_fen, false) AS plain
      FROM (SELECT id, record_id, msisdn, charged_at, price_fen, delivery, service_id, kind,
                   count(*) OVER (PARTITION BY msisdn, service_id) AS of_service,
                   sum(price_fen) OVER by_number AS chunk_fen,
                   count(*) FILTER (WHERE kind = 'on_demand') OVER by_number AS uses,
                   date_trunc('month', charged_at AT TIME ZONE 'Asia/Shanghai') AS month
              FROM staged_charge
            WINDOW by_number AS (PARTITION BY msisdn)
             ORDER BY msisdn OFFSET 0) c
      JOIN unnest($2::timestamptz[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bigint[],
                  $7::interval[], $8::interval[], $9::int[], $10::boolean[])
           AS v (since, until, version, service_fen, total_fen, lifetime, split, split_charges,
                 observes)
        ON c.charged_at >= v.since AND c.charged_at < v.until
      LEFT JOIN LATERAL (
           SELECT state_after, epoch_after FROM number_event
            WHERE msisdn = c.msisdn AND effective_at <= c.charged_at
            ORDER BY effective_at DESC LIMIT 1) e ON true
      LEFT JOIN LATERAL (
           SELECT s.id, s.price_fen, s.tariff_id, s.active_from, s.ended_at, s.end_reason,
                  s.charge_from, s.free_until
             FROM subscription s
            WHERE s.msisdn = c.msisdn AND s.service_id = c.service_id
              AND s.active_from <= c.charged_at AND s.epoch = e.epoch_after
              AND EXISTS (SELECT FROM consent t
                           WHERE t.msisdn = c.msisdn AND t.subscription_id = s.id)
            ORDER BY s.active_from DESC LIMIT 1) r ON true
      LEFT JOIN LATERAL (
           SELECT count(*) AS orders FROM subscription s
            WHERE s.msisdn = c.msisdn AND s.service_id = c.service_id
              AND s.active_from > c.charged_at - v.lifetime AND s.active_from <= c.charged_at
      ) o ON c.kind = 'on_demand'
      LEFT JOIN LATERAL (
           SELECT id FROM authorisation
            WHERE msisdn = c.msisdn AND decided_at <= c.charged_at
              AND decided_at > c.charged_at - interval '31 days'
              AND service_id = c.service_id AND purpose = 'charge' AND allowed
            ORDER BY decided_at DESC LIMIT 1) a ON true
      CROSS JOIN LATERAL (
           SELECT EXISTS (SELECT FROM number_bar WHERE msisdn = c.msisdn OFFSET 0)
               OR EXISTS (SELECT FROM number_cap WHERE msisdn = c.msisdn OFFSET 0) AS limited) l
      CROSS JOIN LATERAL (
           SELECT COALESCE(sum(due_fen) FILTER (WHERE of_month), 0) AS total_fen,
                  COALESCE(sum(due_fen) FILTER (WHERE of_month AND k.service_id = c.service_id), 0)
                      AS service_fen,
                  COALESCE(bool_or(of_month AND k.service_id = c.service_id AND k.kind = 'monthly'),
                           false) AS monthly,
                  COALESCE(bool_or(k.consent_id = r.id), false) AS used,
                  count(*) FILTER (WHERE k.sp_id = $1 AND k.kind = 'on_demand'
                                     AND k.charged_at > c.charged_at - v.split
                                     AND k.charged_at <= c.charged_at) AS uses
             FROM (SELECT service_id, kind, consent_id, sp_id, due_fen, charged_at,
                          charged_at >= c.month AT TIME ZONE 'Asia/Shanghai' AS of_month
                     FROM charge_record
                    WHERE msisdn = c.msisdn
                      AND charged_at >= LEAST(
                          c.month AT TIME ZONE 'Asia/Shanghai',
                          CASE c.kind WHEN 'on_demand'
                              THEN c.charged_at - GREATEST(v.lifetime, v.split) END)
                      AND charged_at < (c.month + interval '1 month') AT TIME ZONE 'Asia/Shanghai'
                      AND due_fen > 0) k) m
           ) judged
"""


async def judge(tx: Connection, sp_id: UUID, versions: Sequence[tuple[datetime, Rules]]) -> None:
    """Mark the staged charges that are plainly right.

    `versions` are the rules of the rulebook's versions with the instant since when each holds.
    """
    starts = [since for since, _ in versions]
    rules = [one for _, one in versions]
    await tx.execute(
        JUDGE, sp_id, starts, [*starts[1:], END_OF_TIME], [one.version for one in rules],
        [one.caps.service_month_fen for one in rules], [one.caps.total_month_fen for one in rules],
        [one.order_lifetime for one in rules],
        [timedelta(minutes=one.audit.split_minutes) for one in rules],
        [one.audit.split_charges for one in rules],
        [one.audit.no_decision_mode is Mode.OBSERVE for one in rules],
    )  # fmt: skip


ADD_PLAIN = """
    INSERT INTO charge_record
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery, file_id,
         received_at, consent_id, tariff_id, authorisation_id, findings, due_fen, rulebook_version)
    SELECT msisdn, charged_at, id, $1, service_id, record_id, kind, price_fen, delivery, $2, $3,
           consent_id, tariff_id, authorisation_id, '{}', price_fen, rulebook_version
      FROM staged_verdict WHERE plain
"""


async def add_plain(tx: Connection, sp_id: UUID, file_id: UUID, *, now: datetime) -> int:
    """Store the charges that are plainly right; return how many."""
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
