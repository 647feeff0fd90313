"""What a decision is made of, and the record of one about a charge.

Writes `authorisation`, `order_use`, `month_spend`, `reservation`.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from spms.authorisation.dossier import (
    BarRow,
    CapRow,
    MonthRow,
    NumberRow,
    NumberRows,
    RelationRow,
)
from spms.authorisation.model import Decision, Facts
from spms.authorisation.reservation_model import Ask
from spms.authorisation.standing_queries import decoded
from spms.core.access import Actor
from spms.core.clock import business_month, month_range
from spms.core.db import Connection

FACTS = """
    SELECT
    (SELECT mark FROM standing_mark) AS mark,
    (SELECT json_agg(a) FROM (
        SELECT asked.n - 1 AS n, c.kind, c.id AS credential_id, c.subject, c.name, c.roles, c.epoch
          FROM unnest($8::bytea[]) WITH ORDINALITY AS asked (token_sha256, n)
          JOIN access_token t ON t.token_sha256 = asked.token_sha256
          JOIN credential c ON c.id = t.credential_id
         WHERE t.expires_at > $4 AND t.revoked_at IS NULL AND c.revoked_at IS NULL) a) AS actors,
    (SELECT json_agg(n) FROM (
        SELECT asked.msisdn, e.state, e.epoch, e.event_id
          FROM unnest($1::text[]) AS asked (msisdn)
         CROSS JOIN LATERAL (
               SELECT state_after AS state, epoch_after AS epoch, id AS event_id
                 FROM number_event
                WHERE msisdn = asked.msisdn AND effective_at <= $4 AND recorded_at <= $4
                ORDER BY effective_at DESC LIMIT 1) e) n) AS numbers,
    (SELECT json_agg(x) FROM (
        SELECT x.msisdn, x.service_id, x.id, x.epoch, x.price_fen, x.active_from, x.charge_from,
               COALESCE(x.charge_from > $4, false) AS free, x.link_id,
               known.confirmed AS live, c.kind AS consent_kind, c.price_fen AS consent_price_fen,
               u.authorisation_id IS NOT NULL AS used,
               (SELECT min(w.received_at) FROM leave_wish w
                 WHERE w.msisdn = x.msisdn AND w.received_at <= $4
                   AND w.received_at >= COALESCE(x.request_received_at, x.requested_at)
                   AND (w.settled_at IS NULL OR w.settled_at > $4)) AS leave_received_at
          FROM unnest($2::text[], $3::uuid[]) AS asked (msisdn, service_id)
          JOIN subscription x ON x.msisdn = asked.msisdn AND x.service_id = asked.service_id
          LEFT JOIN consent c ON c.msisdn = x.msisdn AND c.subscription_id = x.id
          LEFT JOIN message_in m
                 ON m.msisdn = c.msisdn AND m.received_at = c.message_received_at
                AND m.id = c.message_id
          LEFT JOIN order_use u
                 ON u.msisdn = x.msisdn AND u.subscription_id = x.id AND u.authorisation_id < $6
         CROSS JOIN LATERAL (
               SELECT COALESCE(x.active_from <= $4 AND COALESCE(m.handled_at <= $4, true), false)
                   AS confirmed) known
         WHERE x.requested_at <= $4 AND (x.ended_at IS NULL OR x.ended_at > $4)
           AND (x.free_until IS NULL OR x.free_until > $4)
           AND CASE WHEN known.confirmed THEN x.kind = 'monthly' OR x.active_from > $7
                    ELSE x.confirm_by > $4 END
         ORDER BY x.active_from NULLS LAST, x.id) x) AS relations,
    (SELECT json_agg(m) FROM (
        SELECT k.msisdn, k.epoch, k.by_service, k.turn
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN month_spend k ON k.msisdn = asked.msisdn AND k.month = $5) m) AS months,
    (SELECT json_agg(b) FROM (
        SELECT b.msisdn, b.epoch, b.id, b.scope, b.target
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN number_bar b ON b.msisdn = asked.msisdn
         WHERE b.starts_at <= $4 AND (b.ends_at IS NULL OR b.ends_at > $4)
         ORDER BY b.starts_at, b.id) b) AS bars,
    (SELECT json_agg(k) FROM (
        SELECT DISTINCT ON (k.msisdn, k.epoch, k.scope, k.service_id)
               k.msisdn, k.epoch, k.scope, k.service_id, k.limit_fen
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN number_cap k ON k.msisdn = asked.msisdn
         WHERE k.starts_at <= $4
         ORDER BY k.msisdn, k.epoch, k.scope, k.service_id, k.starts_at DESC, k.id DESC) k) AS caps
"""
PLAN = "SET plan_cache_mode = force_generic_plan"


async def plan(connection: Connection) -> None:
    """Keep the plans of a connection until it is given back, which resets it.

    Planning anew costs 2 ms, as much as deciding about thirty numbers; the plan would be the same.
    """
    await connection.execute(PLAN)


NOTHING_LATER: Final = UUID(int=2**128 - 1)
"""`before` of a decision that is being made: everything on record counts."""


class ActorRow(Actor, frozen=True, kw_only=True):
    """Who holds the n-th token."""

    n: int


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What the facts statement returns: one list per kind of fact, all of one instant."""

    mark: UUID
    """Of what `Standing` must have been read under."""
    actors: list[ActorRow]
    rows: NumberRows


async def gather(
    read: Connection,
    pairs: Collection[tuple[str, UUID | None]],
    *,
    at: datetime,
    orders_since: datetime,
    tokens: Sequence[bytes] = (),
    before: UUID = NOTHING_LATER,
) -> Gathered:
    """Read every fact about numbers and their relations with services, as of `at`.

    An on-demand order made at `orders_since` or before is over, also where the job that ends it is
    late; so is an SP's own free trial at its end. Of orders used only those count that a decision
    made before the decision `before` used. Number events are dated, so the same statement replays
    a past decision. A number event counts from when it was recorded, a consent from when its
    message was handled: before that nobody could have known. A wish to leave counts against what the
    number had when it came in, from then until it is settled. `tokens` are SHA-256 of the bearer tokens of those
    who ask.

    One list per kind of fact, matched outside. Each list starts from the keys asked for and finds
    its rows by index: a prepared plan does not know how many keys there will be, and joining the
    lists in SQL, or filtering by `= ANY`, may then compare every key with every row.
    """
    known = [(msisdn, service_id) for msisdn, service_id in pairs if service_id is not None]
    row = await read.fetchrow(
        FACTS, sorted({msisdn for msisdn, _ in pairs}), [msisdn for msisdn, _ in known],
        [service_id for _, service_id in known], at, business_month(at), before, orders_since,
        tokens,
    )  # fmt: skip
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return Gathered(
        mark=row["mark"],
        actors=decoded(row["actors"], ActorRow),
        rows=NumberRows(
            numbers=decoded(row["numbers"], NumberRow),
            relations=decoded(row["relations"], RelationRow),
            months=decoded(row["months"], MonthRow),
            bars=decoded(row["bars"], BarRow),
            caps=decoded(row["caps"], CapRow),
        ),
    )


SPENT_BEFORE = """
    SELECT json_agg(m) FROM (
        SELECT $1::text AS msisdn, epoch, json_object_agg(service_id, fen) AS by_service, 0 AS turn
          FROM (SELECT (d.facts -> 'number' ->> 'epoch')::integer AS epoch, d.service_id,
                       sum(d.price_fen)::bigint AS fen
                  FROM authorisation d
                  LEFT JOIN reservation r ON r.msisdn = d.msisdn AND r.id = d.id
                 WHERE d.msisdn = $1 AND d.decided_at >= $2 AND d.decided_at < $3
                   AND d.allowed AND d.purpose = 'charge' AND d.id < $4
                   AND (r.state IS NULL OR r.state IN ('reserved', 'captured')
                        OR r.closed_at > $5)
                 GROUP BY 1, 2) s
         GROUP BY epoch) m
"""


async def spent_before(
    read: Connection,
    msisdn: str,
    *,
    at: datetime,
    before: UUID,
    until: datetime | None = None,
    open_at: datetime | None = None,
) -> list[MonthRow]:
    """Work out what a number's month had come to just before a decision at `at`.

    `until` leaves out what was decided from then on; what was given back after `open_at` (or `at`)
    still counts.
    """
    start, end = month_range(business_month(at))
    found = await read.fetchval(SPENT_BEFORE, msisdn, start, until or end, before, open_at or at)
    return decoded(found, MonthRow)


HOLD = """
    SELECT count(*) FROM (
        SELECT FROM month_spend WHERE month = $2 AND msisdn = ANY($1::text[])
         ORDER BY msisdn, epoch FOR UPDATE) held
"""


async def hold_months(tx: Connection, msisdns: Collection[str], *, at: datetime) -> None:
    """Let nobody else decide about these numbers' money until the transaction ends.

    Everybody takes the rows in one order, so two batches never wait for each other crosswise. Of
    those who make a row one succeeds, and the others find it there.
    """
    await tx.fetchval(HOLD, msisdns, business_month(at))


# What can have no comma comes as one text for all rows: that is quicker to send than the elements of an
# array one by one. Nothing stands for null.
ADD = """
    WITH decided AS (
        SELECT *
          FROM unnest($3::uuid[], string_to_array($4, ','), string_to_array($5, ','), $6::uuid[],
                      $7::uuid[], string_to_array($8, ','), string_to_array($9, ',', ''),
                      string_to_array($10, ',')::bigint[], string_to_array($11, ','),
                      $12::uuid[], string_to_array($13, ',')::integer[],
                      $14::text[], string_to_array($15, ',')::boolean[], $16::text[],
                      string_to_array($17, ',', ''))
               AS d (id, msisdn, purpose, sp_id, service_id, service_code, access_number,
                     price_fen, reasons, subscription_id, rulebook_version, facts, uses_order,
                     requested_by, reference)
    ), spent AS (
        INSERT INTO month_spend AS k (msisdn, month, epoch, by_service, total_fen, turn)
        SELECT msisdn, $2, epoch, by_service::jsonb, total_fen, turn
          FROM unnest(string_to_array($19, ','), $20::text[], string_to_array($21, ',')::bigint[],
                      string_to_array($22, ',')::bigint[], string_to_array($23, ',')::integer[])
               AS m (msisdn, by_service, total_fen, turn, epoch)
         ORDER BY msisdn
        ON CONFLICT (msisdn, month, epoch) DO UPDATE
           SET by_service = excluded.by_service, total_fen = excluded.total_fen,
               turn = excluded.turn
         WHERE k.turn = excluded.turn - 1
        RETURNING 1
    ), used AS (
        INSERT INTO order_use (msisdn, subscription_id, authorisation_id, used_at)
        SELECT msisdn, subscription_id, id, $1 FROM decided WHERE uses_order
    ), held AS (
        INSERT INTO reservation
            (msisdn, id, reserved_at, sp_id, service_id, reference, price_fen, expires_at, state)
        SELECT msisdn, id, $1, sp_id, service_id, reference, price_fen, $18::timestamptz, 'reserved'
          FROM decided WHERE reference IS NOT NULL AND reasons = '-'
    ), added AS (
        INSERT INTO authorisation
            (msisdn, decided_at, id, purpose, sp_id, service_id, service_code, access_number,
             price_fen, allowed, reasons, subscription_id, rulebook_version, facts, requested_by)
        SELECT msisdn, $1, id, purpose, sp_id, service_id, service_code, access_number,
               price_fen, reasons = '-',
               CASE reasons WHEN '-' THEN '{}' ELSE string_to_array(reasons, ' ') END, subscription_id,
               rulebook_version, facts::jsonb, requested_by
          FROM decided
    )
    SELECT count(*) FROM spent
"""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A question with its answer and what the answer rests on: one row to be."""

    ask: Ask
    sp_id: UUID
    actor: str
    facts: Facts
    decision: Decision
    uses_order: bool
    expires_at: datetime | None = None


async def add(
    tx: Connection, decided: Sequence[Decided], months: Sequence[MonthRow], *, now: datetime
) -> bool:
    """Record decisions, the orders they used, what they hold and what their months come to.

    False when somebody else decided about one of the numbers' money in between: then everything
    written here must be rolled back.
    """
    questions = [item.ask.request for item in decided]
    services = [item.facts.service for item in decided]
    written = await tx.fetchval(
        ADD, now, business_month(now),
        [item.decision.id for item in decided],
        ",".join([asked.msisdn for asked in questions]),
        ",".join([asked.purpose for asked in questions]),
        [item.sp_id for item in decided],
        [None if service is None else service.id for service in services],
        ",".join([asked.service_code for asked in questions]),
        ",".join([asked.access_number or "" for asked in questions]),
        ",".join([str(asked.price_fen) for asked in questions]),
        ",".join([" ".join(item.decision.reasons) or "-" for item in decided]),
        [item.decision.subscription_id for item in decided],
        ",".join([str(item.facts.rulebook_version) for item in decided]),
        [msgspec.json.encode(item.facts).decode() for item in decided],
        ",".join(["t" if item.uses_order else "f" for item in decided]),
        [item.actor for item in decided],
        ",".join([item.ask.reference or "" for item in decided]),
        decided[0].expires_at,
        ",".join([month.msisdn for month in months]),
        [msgspec.json.encode(month.by_service).decode() for month in months],
        ",".join([str(sum(month.by_service.values())) for month in months]),
        ",".join([str(month.turn) for month in months]),
        ",".join([str(month.epoch) for month in months]),
    )  # fmt: skip
    return bool(written == len(months))
