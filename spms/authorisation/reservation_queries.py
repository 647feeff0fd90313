"""Every statement about charges that are held. Writes `reservation` and `month_spend` only."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.authorisation.model import Decision
from spms.authorisation.reservation_model import Answer, Reservation
from spms.core.clock import business_month
from spms.core.db import Connection, many, one

Key = tuple[str, UUID, str]
"""Number, SP, the SP's reference."""


class HeldRow(Reservation, frozen=True, kw_only=True):
    """A reservation with whose it is and what it is of."""

    msisdn: str
    sp_id: UUID
    service_id: UUID
    subscription_id: UUID | None


KEPT = """
    SELECT r.msisdn, r.sp_id, r.id, r.reference, r.state, a.service_code, r.price_fen,
           r.reserved_at, r.expires_at, r.closed_at, r.service_id, a.subscription_id
      FROM unnest($1::text[], $2::text[]) AS asked (msisdn, reference)
      JOIN reservation r ON r.msisdn = asked.msisdn AND r.reference = asked.reference
      JOIN authorisation a
        ON a.msisdn = r.msisdn AND a.decided_at = r.reserved_at AND a.id = r.id
"""


async def kept(read: Connection, named: Sequence[tuple[str, str]]) -> dict[Key, Answer]:
    """Return the first answers to questions that named these references of these numbers."""
    if not named:
        return {}
    numbers, references = zip(*named, strict=True)
    rows = many(HeldRow, await read.fetch(KEPT, numbers, references))
    return {(row.msisdn, row.sp_id, row.reference): _first(row) for row in rows}


def _first(row: HeldRow) -> Answer:
    return Answer(
        decision=Decision(
            id=row.id, allowed=True, reasons=(), subscription_id=row.subscription_id,
            decided_at=row.reserved_at,
        ),
        reservation=shown(row),
    )  # fmt: skip


def shown(row: HeldRow) -> Reservation:
    """Leave out the number and what only we need."""
    return Reservation(**{name: getattr(row, name) for name in Reservation.__struct_fields__})


# A reservation has its decision's id, and is found by it.
GET = """
    SELECT r.msisdn, r.sp_id, r.id, r.reference, r.state, a.service_code, r.price_fen,
           r.reserved_at, r.expires_at, r.closed_at, r.service_id, a.subscription_id
      FROM reservation r
      JOIN authorisation a
        ON a.msisdn = r.msisdn AND a.decided_at = r.reserved_at AND a.id = r.id
     WHERE a.id = $1 AND r.sp_id = $2
"""


async def get(read: Connection, reservation_id: UUID, sp_id: UUID) -> HeldRow | None:
    """Load one reservation of an SP."""
    return one(HeldRow, await read.fetchrow(GET, reservation_id, sp_id))


# A charge is made when it is captured. So what would refuse one that is asked about now refuses this
# one too: the holder has left, or may have; the number is out of service, or another's; a bar.
CAPTURE = """
    UPDATE reservation SET state = 'captured', closed_at = $3, closed_by = $4
     WHERE msisdn = $1 AND id = $2 AND state = 'reserved' AND expires_at > $3
       AND EXISTS (
           SELECT FROM subscription s
             JOIN service v ON v.id = s.service_id
             JOIN number n ON n.msisdn = s.msisdn AND n.epoch = s.epoch AND n.state = 'active'
            WHERE s.msisdn = $1 AND s.id = $5 AND s.status = 'active'
              AND NOT EXISTS (
                  SELECT FROM leave_wish w
                   WHERE w.msisdn = $1 AND w.received_at <= $3 AND w.settled_at IS NULL
                     AND w.received_at >= COALESCE(s.request_received_at, s.requested_at))
              AND NOT EXISTS (
                  SELECT FROM number_bar b
                   WHERE b.msisdn = $1 AND b.epoch = s.epoch AND b.starts_at <= $3
                     AND (b.ends_at IS NULL OR b.ends_at > $3)
                     AND b.target = CASE b.scope WHEN 'sp' THEN s.sp_id::text
                                                 WHEN 'category' THEN v.category ELSE '' END))
"""


async def capture(tx: Connection, row: HeldRow, *, actor: str, now: datetime) -> bool:
    """Close a reservation as captured.

    False when it is closed already, its time is over, or no charge may be made now.
    """
    done: str = await tx.execute(CAPTURE, row.msisdn, row.id, now, actor, row.subscription_id)
    return done == "UPDATE 1"


RELEASE = """
    WITH closed AS (
        UPDATE reservation SET state = 'released', closed_at = $3, closed_by = $4
         WHERE msisdn = $1 AND id = $2 AND state = 'reserved' AND expires_at > $3
        RETURNING msisdn, id, reserved_at, service_id, price_fen
    )
    UPDATE month_spend k
       SET turn = k.turn + 1, total_fen = k.total_fen - c.price_fen,
           by_service = jsonb_set(k.by_service, ARRAY[c.service_id::text],
               to_jsonb((k.by_service ->> c.service_id::text)::bigint - c.price_fen))
      FROM closed c
      JOIN authorisation a
        ON a.msisdn = c.msisdn AND a.decided_at = c.reserved_at AND a.id = c.id
     WHERE k.msisdn = c.msisdn AND k.month = $5
       AND k.epoch = (a.facts -> 'number' ->> 'epoch')::integer
"""


async def release(tx: Connection, row: HeldRow, *, actor: str, now: datetime) -> bool:
    """Give a held charge back to its month; False when it is closed or its time is over."""
    month = business_month(row.reserved_at)
    done: str = await tx.execute(RELEASE, row.msisdn, row.id, now, actor, month)
    return done == "UPDATE 1"


# The months are taken in the order in which deciding takes them, and before the reservations are
# closed: what is due is read under them.
EXPIRE = """
    WITH due AS (
        SELECT r.msisdn, r.id, r.service_id, r.price_fen,
               (a.facts -> 'number' ->> 'epoch')::integer AS epoch,
               date_trunc('month', r.reserved_at AT TIME ZONE 'Asia/Shanghai')::date AS month
          FROM reservation r
          JOIN authorisation a
            ON a.msisdn = r.msisdn AND a.decided_at = r.reserved_at AND a.id = r.id
         WHERE r.state = 'reserved' AND r.expires_at <= $1
         ORDER BY r.msisdn, r.id LIMIT $3 FOR UPDATE OF r SKIP LOCKED
    ), closed AS (
        UPDATE reservation r SET state = 'expired', closed_at = $1, closed_by = $2
          FROM due WHERE r.msisdn = due.msisdn AND r.id = due.id
        RETURNING r.id
    ), given_back AS (
        SELECT msisdn, month, epoch, sum(fen)::bigint AS fen,
               jsonb_object_agg(service_id, fen) AS fens
          FROM (SELECT msisdn, month, epoch, service_id, sum(price_fen)::bigint AS fen
                  FROM due GROUP BY msisdn, month, epoch, service_id) s
         GROUP BY msisdn, month, epoch
    ), taken AS MATERIALIZED (
        SELECT k.msisdn, k.month, k.epoch FROM month_spend k
         WHERE (k.msisdn, k.month, k.epoch) IN (SELECT msisdn, month, epoch FROM given_back)
         ORDER BY k.msisdn, k.month, k.epoch FOR UPDATE
    ), changed AS (
        UPDATE month_spend k
           SET turn = k.turn + 1, total_fen = k.total_fen - g.fen,
               by_service = (SELECT jsonb_object_agg(b.key, b.value::bigint
                                        - COALESCE((g.fens ->> b.key)::bigint, 0))
                               FROM jsonb_each_text(k.by_service) b)
          FROM given_back g, taken t
         WHERE k.msisdn = g.msisdn AND k.month = g.month AND k.epoch = g.epoch
           AND t.msisdn = k.msisdn AND t.month = k.month AND t.epoch = k.epoch
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM closed) AS closed, (SELECT count(*) FROM changed) AS changed
"""


async def expire(tx: Connection, *, actor: str, now: datetime, limit: int) -> int:
    """Give back what was held and not captured in time; return how many."""
    row = await tx.fetchrow(EXPIRE, now, actor, limit)
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return int(row["closed"])
