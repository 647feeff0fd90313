"""Statements that judge the staged charges at sight and store those that are plainly right.

They work on what `staging_queries` let in. Every look at a number is an index look-up in the order of
numbers, so neighbours share pages.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from spms.charging.facts import Item, Rules
from spms.charging.model import Delivery, Kind, Mode
from spms.charging.suspicion_model import Observation
from spms.core.db import Connection

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
      FROM (SELECT * FROM staged_charge WHERE refused IS NULL AND late IS NULL OFFSET 0) c
      JOIN unnest($1::timestamptz[], $2::timestamptz[], $3::int[], $4::interval[], $5::boolean[],
                  $6::timestamptz[])
           AS v (since, until, version, lifetime, observes, month_since)
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
            WHERE msisdn = c.msisdn AND decided_at < c.charged_at + interval '1 second'
              AND decided_at >= GREATEST(r.active_from,
                      CASE c.kind WHEN 'monthly' THEN v.month_since
                                  ELSE c.charged_at - interval '31 days' END)
              AND subscription_id = r.id AND purpose = 'charge' AND allowed
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
        [span.month[0] for span in spans],
    )  # fmt: skip


# What stands of a month, an order and a quick succession, and what the holder limits. No re-audit
# asks for these again, so they are read of numbers that are held. Of other charges only what stands
# in the primary key's index is read: a number's month lies scattered over the table.
CROWD = """
    WITH capped AS MATERIALIZED (
        SELECT v.since, own.id AS service_id, own.category,
               (v.category_fen ->> own.category)::bigint AS cap_fen
          FROM unnest($2::timestamptz[], $11::jsonb[]) AS v (since, category_fen)
          JOIN service own ON own.sp_id = $1 AND v.category_fen ? own.category
    )
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
                                                      AND charged_at < v.month_until
                                                      AND service_id = c.service_id), 0)
                      + c.number_fen > v.service_fen
                   OR COALESCE(sum(due_fen) FILTER (WHERE charged_at >= v.month_since
                                                      AND charged_at < v.month_until), 0)
                      + c.number_fen > v.total_fen
              FROM charge_record
             WHERE msisdn = c.msisdn AND due_fen > 0
               AND charged_at < CASE c.kind WHEN 'monthly' THEN v.month_until ELSE
                       GREATEST(v.month_until, c.charged_at + v.lifetime) END
               AND charged_at >= CASE c.kind WHEN 'monthly' THEN v.month_since ELSE
                       LEAST(v.month_since, c.charged_at - GREATEST(v.lifetime, v.split)) END)
            OR EXISTS (SELECT FROM capped k
                        WHERE k.since = v.since AND k.service_id = c.service_id
                          AND k.cap_fen < c.number_fen + (
                              SELECT COALESCE(sum(due_fen), 0) FROM charge_record o
                               WHERE msisdn = c.msisdn AND due_fen > 0
                                 AND charged_at >= v.month_since AND charged_at < v.month_until
                                 AND EXISTS (SELECT FROM service
                                              WHERE id = o.service_id AND category = k.category
                                             OFFSET 0))))
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
        [one.caps.category_month_fen for one in rules],
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
