"""The record of a decision about a charge, what it holds and what its month comes to.

Writes `authorisation`, `order_use`, `month_spend`, `reservation`.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from spms.authorisation.dossier import MonthRow
from spms.authorisation.model import Decision, Facts
from spms.authorisation.reservation_model import Ask
from spms.core.clock import business_month
from spms.core.db import Connection

PLAN = "SET plan_cache_mode = force_generic_plan"


async def plan(connection: Connection) -> None:
    """Keep the plans of a connection until it is given back, which resets it.

    Planning anew costs 2 ms, as much as deciding about thirty numbers; the plan would be the same.
    """
    await connection.execute(PLAN)


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
