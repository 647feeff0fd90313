"""Every statement this room runs. Writes `authorisation` and `order_use` only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from spms.authorisation.dossier import (
    BarRow,
    CapRow,
    Gathered,
    NumberRow,
    RelationRow,
    SpentRow,
    UnreadRow,
)
from spms.authorisation.model import (
    Decision,
    DecisionRequest,
    Facts,
    Purpose,
    Reason,
    RestrictionFact,
    ServiceFact,
)
from spms.core.db import Connection, many, one

T = TypeVar("T")

LOCK_CLASS: Final = 0x4155  # "AU": keeps these locks apart from other rooms'

LOCK_NUMBERS = """
    SELECT pg_advisory_xact_lock($2, bucket)
      FROM (SELECT DISTINCT (hashtextextended(msisdn, 0) & 4095)::integer AS bucket
              FROM unnest($1::text[]) AS asked (msisdn)
             ORDER BY bucket) AS sorted
"""


async def lock_numbers(tx: Connection, msisdns: Sequence[str]) -> None:
    """Let nobody else decide about these numbers' money until the transaction ends.

    The locks are taken in one order by everybody, so two batches never wait for each other.
    Numbers share 4096 locks: one for each would let a few large batches together fill PostgreSQL's
    lock table (about 6400 places by default) and fail everybody's statements.
    """
    await tx.execute(LOCK_NUMBERS, msisdns, LOCK_CLASS)


FACTS = """
    SELECT
    (SELECT COALESCE(
                (SELECT e.to_status FROM sp_event e WHERE e.sp_id = sp.id AND e.at <= $6
                  ORDER BY e.at DESC, e.id DESC LIMIT 1),
                (SELECT e.from_status FROM sp_event e WHERE e.sp_id = sp.id AND e.at > $6
                  ORDER BY e.at, e.id LIMIT 1),
                sp.status)
       FROM sp WHERE sp.id = $5) AS sp_status,
    (SELECT json_agg(r) FROM (
        SELECT id, measure, service_id, cause_kind, cause_id
          FROM restriction
         WHERE sp_id = $5 AND starts_at <= $6 AND (ends_at IS NULL OR ends_at > $6)
         ORDER BY starts_at, id) r) AS restrictions,
    (SELECT json_agg(s) FROM (
        SELECT s.id, s.code, s.sp_id, s.kind, s.access_number, s.category,
               a.sp_id AS access_number_sp_id, t.id AS tariff_id, t.version AS tariff_version,
               t.price_fen AS tariff_price_fen, n.id AS notice_id, n.version AS notice_version,
               COALESCE(
                   (SELECT e.to_status FROM service_event e
                     WHERE e.service_id = s.id AND e.at <= $6
                     ORDER BY e.at DESC, e.id DESC LIMIT 1),
                   (SELECT COALESCE(e.from_status, 'draft') FROM service_event e
                     WHERE e.service_id = s.id AND e.at > $6 ORDER BY e.at, e.id LIMIT 1),
                   s.status) AS status
          FROM service s
          LEFT JOIN access_number a ON a.number = s.access_number
          LEFT JOIN LATERAL (SELECT * FROM tariff
                              WHERE tariff.service_id = s.id AND effective_from <= $6
                              ORDER BY effective_from DESC LIMIT 1) t ON true
          LEFT JOIN LATERAL (SELECT * FROM notice
                              WHERE notice.service_id = s.id AND notice.tariff_id = t.id
                                AND state = 'approved' AND decided_at <= $6
                              ORDER BY notice.version DESC LIMIT 1) n ON true
         WHERE s.code = ANY($2::text[])) s) AS services,
    (SELECT json_agg(n) FROM (
        SELECT DISTINCT ON (e.msisdn)
               e.msisdn, e.state_after AS state, e.epoch_after AS epoch, e.id AS event_id
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN number_event e ON e.msisdn = asked.msisdn
         WHERE e.effective_at <= $6 AND e.recorded_at <= $6
         ORDER BY e.msisdn, e.effective_at DESC) n) AS numbers,
    (SELECT json_agg(x) FROM (
        SELECT x.msisdn, x.service_id, x.id, x.epoch, x.price_fen, x.active_from, x.charge_from,
               COALESCE(x.charge_from > $6, false) AS free, x.link_id,
               known.confirmed AS live, c.kind AS consent_kind, c.price_fen AS consent_price_fen,
               u.authorisation_id IS NOT NULL AS used
          FROM unnest($3::text[], $4::text[]) AS asked (msisdn, service_code)
          JOIN service s ON s.code = asked.service_code AND s.sp_id = $5
          JOIN subscription x ON x.msisdn = asked.msisdn AND x.service_id = s.id
          LEFT JOIN consent c ON c.msisdn = x.msisdn AND c.subscription_id = x.id
          LEFT JOIN message_in m
                 ON m.msisdn = c.msisdn AND m.received_at = c.message_received_at
                AND m.id = c.message_id
          LEFT JOIN order_use u
                 ON u.msisdn = x.msisdn AND u.subscription_id = x.id AND u.authorisation_id < $9
         CROSS JOIN LATERAL (
               SELECT COALESCE(x.active_from <= $6 AND COALESCE(m.handled_at <= $6, true), false)
                   AS confirmed) known
         WHERE x.requested_at <= $6 AND (x.ended_at IS NULL OR x.ended_at > $6)
           AND (x.free_until IS NULL OR x.free_until > $6)
           AND CASE WHEN known.confirmed THEN x.kind = 'monthly' OR x.active_from > $10
                    ELSE x.confirm_by > $6 END
         ORDER BY x.active_from NULLS LAST, x.id) x) AS relations,
    (SELECT json_agg(m) FROM (
        SELECT d.msisdn, d.service_id, sum(d.price_fen)::bigint AS spent_fen
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN authorisation d ON d.msisdn = asked.msisdn
         WHERE d.decided_at >= $7 AND d.decided_at < $8
           AND d.allowed AND d.purpose = 'charge' AND d.id < $9
         GROUP BY d.msisdn, d.service_id) m) AS spent,
    (SELECT json_agg(b) FROM (
        SELECT b.msisdn, b.epoch, b.id, b.scope, b.target
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN number_bar b ON b.msisdn = asked.msisdn
         WHERE b.starts_at <= $6 AND (b.ends_at IS NULL OR b.ends_at > $6)
         ORDER BY b.starts_at, b.id) b) AS bars,
    (SELECT json_agg(k) FROM (
        SELECT DISTINCT ON (k.msisdn, k.epoch, k.scope, k.service_id)
               k.msisdn, k.epoch, k.scope, k.service_id, k.limit_fen
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN number_cap k ON k.msisdn = asked.msisdn
         WHERE k.starts_at <= $6
         ORDER BY k.msisdn, k.epoch, k.scope, k.service_id, k.starts_at DESC, k.id DESC) k) AS caps,
    (SELECT json_agg(u) FROM (
        SELECT u.msisdn, u.received_at, u.text
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN message_in u ON u.msisdn = asked.msisdn
         WHERE u.received_at <= $6 AND u.received_at > $6 - interval '3 days'
           AND (u.handled_at IS NULL OR u.handled_at > $6 OR u.outcome = 'failed')
         ORDER BY u.received_at, u.id) u) AS unread
"""
PLAN = "SELECT set_config('plan_cache_mode', $1, true)"
FEW: Final = 20
"""Up to here planning anew (2 ms) costs more than a plan for an unknown number of keys; above, a
plan that knows how many there are is worth it."""

NOTHING_LATER: Final = UUID(int=2**128 - 1)
"""`before` of a decision that is being made: everything on record counts."""


async def gather(
    read: Connection,
    asked: Sequence[DecisionRequest],
    *,
    sp_id: UUID,
    at: datetime,
    orders_since: datetime,
    month: tuple[datetime, datetime],
    before: UUID = NOTHING_LATER,
) -> Gathered:
    """Read every fact about a list of questions, as of `at`, in one statement.

    An on-demand order made at `orders_since` or before is over, also where the job that ends it is
    late; so is an SP's own free trial at its end. `month` is the business month of `at`; of its decisions only those made before the decision
    `before` count. Statuses, restrictions, tariffs and number events are dated, so the same
    statement replays a past decision. A number event counts from when it was recorded, a consent
    from when its message was handled: before that nobody could have known. A message that could
    not be handled and was put aside for a person stays unread.

    One list per kind of fact, matched outside. Each list starts from the keys asked for and finds
    its rows by index: a prepared plan does not know how many keys there will be, and joining the
    lists in SQL, or filtering by `= ANY`, may then compare every key with every row.
    """
    await read.execute(PLAN, "force_generic_plan" if len(asked) <= FEW else "force_custom_plan")
    pairs = dict.fromkeys((question.msisdn, question.service_code) for question in asked)
    numbers, codes = zip(*pairs, strict=True)
    row = await read.fetchrow(
        FACTS, sorted(set(numbers)), sorted(set(codes)), numbers, codes,
        sp_id, at, *month, before, orders_since,
    )  # fmt: skip
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return Gathered(
        sp_status=row["sp_status"],
        restrictions=_decoded(row["restrictions"], RestrictionFact),
        services=_decoded(row["services"], ServiceFact),
        numbers=_decoded(row["numbers"], NumberRow),
        relations=_decoded(row["relations"], RelationRow),
        spent=_decoded(row["spent"], SpentRow),
        bars=_decoded(row["bars"], BarRow),
        caps=_decoded(row["caps"], CapRow),
        unread=_decoded(row["unread"], UnreadRow),
    )


def _decoded(rows: str | None, kind: type[T]) -> list[T]:
    return [] if rows is None else msgspec.json.decode(rows, type=list[kind])  # type: ignore[valid-type]


ADD = """
    WITH decided AS (
        SELECT *
          FROM unnest($4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[],
                      $10::bigint[], $11::text[], $12::uuid[], $13::text[], $14::boolean[])
               AS d (id, msisdn, purpose, service_id, service_code, access_number,
                     price_fen, reasons, subscription_id, facts, uses_order)
    ), used AS (
        INSERT INTO order_use (msisdn, subscription_id, authorisation_id, used_at)
        SELECT msisdn, subscription_id, id, $1 FROM decided WHERE uses_order
    )
    INSERT INTO authorisation
        (msisdn, decided_at, id, purpose, sp_id, service_id, service_code, access_number,
         price_fen, allowed, reasons, subscription_id, rulebook_version, facts, requested_by)
    SELECT msisdn, $1, id, purpose, $2, service_id, service_code, access_number,
           price_fen, reasons = '', string_to_array(reasons, ','), subscription_id,
           (facts::jsonb ->> 'rulebook_version')::integer, facts::jsonb, $3
      FROM decided
"""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A question with its answer and what the answer rests on: one row to be."""

    asked: DecisionRequest
    facts: Facts
    decision: Decision
    uses_order: bool


async def add(
    tx: Connection, decided: Sequence[Decided], *, sp_id: UUID, actor: str, now: datetime
) -> None:
    """Record decisions, and the orders they used, in one statement."""
    services = [item.facts.service for item in decided]
    await tx.execute(
        ADD, now, sp_id, actor,
        [item.decision.id for item in decided],
        [item.asked.msisdn for item in decided],
        [item.asked.purpose for item in decided],
        [None if service is None else service.id for service in services],
        [item.asked.service_code for item in decided],
        [item.asked.access_number for item in decided],
        [item.asked.price_fen for item in decided],
        [",".join(item.decision.reasons) for item in decided],
        [item.decision.subscription_id for item in decided],
        [msgspec.json.encode(item.facts).decode() for item in decided],
        [item.uses_order for item in decided],
    )  # fmt: skip


class DecidedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as it is stored."""

    msisdn: str
    decided_at: datetime
    id: UUID
    purpose: Purpose
    sp_id: UUID
    service_id: UUID | None
    service_code: str
    access_number: str | None
    price_fen: int
    allowed: bool
    reasons: tuple[Reason, ...]
    subscription_id: UUID | None
    rulebook_version: int


class RecordedRow(DecidedRow, frozen=True, kw_only=True):
    """A stored decision with its facts."""

    facts: Facts


GET = """
    SELECT msisdn, decided_at, id, purpose, sp_id, service_id, service_code, access_number,
           price_fen, allowed, reasons, subscription_id, rulebook_version, facts
      FROM authorisation
     WHERE id = $1
"""


async def get(read: Connection, authorisation_id: UUID) -> RecordedRow | None:
    """Load one decision with its facts."""
    return one(RecordedRow, await read.fetchrow(GET, authorisation_id))


PAGE = """
    SELECT msisdn, decided_at, id, purpose, sp_id, service_id, service_code, access_number,
           price_fen, allowed, reasons, subscription_id, rulebook_version
      FROM authorisation
     WHERE sp_id = $1 AND id < $2
     ORDER BY id DESC
     LIMIT $3
"""


async def page(
    read: Connection, sp_id: UUID, *, before: UUID = NOTHING_LATER, limit: int
) -> list[DecidedRow]:
    """Load an SP's decisions, newest first."""
    return many(DecidedRow, await read.fetch(PAGE, sp_id, before, limit))
