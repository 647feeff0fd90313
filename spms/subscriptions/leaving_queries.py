"""Statements about leaving through an agent. Writes `proxy_lookup` and `leaving_duty` only."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from spms.core.db import Connection, many, one
from spms.core.ids import new_id
from spms.subscriptions.leaving_model import Duty, DutyKind, ProxyLookup
from spms.subscriptions.model import Subscription

ADD_LOOKUP = """
    INSERT INTO proxy_lookup (msisdn, id, looked_by, reason, ticket, at, expires_at, owner_epoch)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def add_lookup(tx: Connection, new: ProxyLookup) -> None:
    """Put an agent's look at a number on record."""
    await tx.execute(
        ADD_LOOKUP, new.msisdn, new.id, new.looked_by, new.reason, new.ticket, new.at,
        new.expires_at, new.owner_epoch,
    )  # fmt: skip


LOOKUP = """
    SELECT msisdn, id, looked_by, reason, ticket, at, expires_at, owner_epoch
      FROM proxy_lookup WHERE id = $1
"""


async def lookup(read: Connection, lookup_id: UUID) -> ProxyLookup | None:
    """Load an agent's look at a number."""
    return one(ProxyLookup, await read.fetchrow(LOOKUP, lookup_id))


ADD_DUTIES = """
    INSERT INTO leaving_duty
        (msisdn, id, subscription_id, sp_id, kind, lookup_id, started_at, due_at)
    SELECT d.msisdn, d.id, d.subscription_id, d.sp_id, d.kind, $6, $7, $8
      FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[])
           AS d (msisdn, id, subscription_id, sp_id, kind)
    ON CONFLICT DO NOTHING
"""


async def add_duties(
    tx: Connection, ended: Sequence[Subscription], *, lookup_id: UUID | None, now: datetime,
    due_at: datetime,
) -> None:  # fmt: skip
    """Start the clocks of what must follow the end of relations."""
    rows = [(one_, kind) for one_ in ended for kind in DutyKind]
    await tx.execute(
        ADD_DUTIES, [ended_.msisdn for ended_, _ in rows], [new_id() for _ in rows],
        [ended_.id for ended_, _ in rows], [ended_.sp_id for ended_, _ in rows],
        [kind for _, kind in rows], lookup_id, now, due_at,
    )  # fmt: skip


DUTY = """
    SELECT d.msisdn, s.epoch, d.id, d.subscription_id, d.sp_id, v.code AS service_code, d.kind,
           l.ticket, d.started_at, d.due_at, d.met_at, d.met_by, d.breached_at
      FROM leaving_duty d
      JOIN subscription s ON s.msisdn = d.msisdn AND s.id = d.subscription_id
      JOIN service v ON v.id = s.service_id
      LEFT JOIN proxy_lookup l ON l.msisdn = d.msisdn AND l.id = d.lookup_id
"""
OF_RELATIONS = f"{DUTY} WHERE d.msisdn = $1 AND d.subscription_id = ANY($2::uuid[]) ORDER BY d.id"


async def of_relations(
    read: Connection, msisdn: str, subscription_ids: Sequence[UUID]
) -> list[Duty]:
    """List what must follow the end of some relations of a number."""
    return many(Duty, await read.fetch(OF_RELATIONS, msisdn, list(subscription_ids)))


PAGE = f"""{DUTY}
     WHERE ($1::uuid IS NULL OR d.sp_id = $1 AND d.kind = 'sp_told')
       AND ($2::uuid IS NULL OR d.id < $2)
       AND CASE $3::text WHEN 'running' THEN d.met_at IS NULL AND d.due_at > $4
                         WHEN 'overdue' THEN d.met_at IS NULL AND d.due_at <= $4
                         WHEN 'met' THEN d.met_at < d.due_at
                         WHEN 'met_late' THEN d.met_at >= d.due_at ELSE true END
     ORDER BY d.id DESC LIMIT $5
"""


async def page(
    read: Connection, *, sp_id: UUID | None, before: UUID | None, clock: str | None,
    now: datetime, limit: int,
) -> list[Duty]:  # fmt: skip
    """List duties, newest first: of an SP what concerns it, else all."""
    return many(Duty, await read.fetch(PAGE, sp_id, before, clock, now, limit))


MEET = """
    UPDATE leaving_duty SET met_at = $3, met_by = $4
     WHERE kind = 'sp_told' AND sp_id = $1 AND met_at IS NULL
       AND msisdn = (SELECT msisdn FROM leaving_duty WHERE id = $2) AND id = $2
    RETURNING id
"""


async def meet(
    tx: Connection, sp_id: UUID, duty_id: UUID, *, now: datetime, actor: str
) -> bool:  # fmt: skip
    """Record that an SP knows; False when it was recorded before, or is not its own."""
    return await tx.fetchval(MEET, sp_id, duty_id, now, actor) is not None


FIND = f"{DUTY} WHERE d.id = $1"


async def find(read: Connection, duty_id: UUID) -> Duty | None:
    """Load one duty."""
    return one(Duty, await read.fetchrow(FIND, duty_id))


# The SP knows once one of its endpoints took the news of the end (the latest, if the end was moved),
# or it read on behind it in the feed. The first such instant counts, whenever it is looked at; a
# breach that is told already stays one.
KNOWN = """
    WITH known AS (
        SELECT d.msisdn, d.id, k.at
          FROM leaving_duty d
         CROSS JOIN LATERAL (
               SELECT LEAST(min(w.first_delivered_at), min(r.at)) AS at
                 FROM (SELECT e.id FROM subscription_event e
                        WHERE e.msisdn = d.msisdn AND e.subscription_id = d.subscription_id
                          AND e.to_status IN ('ended', 'refused')
                        ORDER BY e.seq DESC LIMIT 1) e
                 JOIN partner_event p ON p.id = e.id
                 LEFT JOIN webhook_endpoint o ON o.sp_id = p.sp_id
                 LEFT JOIN webhook_delivery w ON w.endpoint_id = o.id AND w.position = p.position
                 LEFT JOIN LATERAL (
                      SELECT f.at FROM event_feed_read f
                       WHERE f.sp_id = p.sp_id AND f.position >= p.position
                       ORDER BY f.position LIMIT 1) r ON true) k
         WHERE d.kind = 'sp_told' AND d.met_at IS NULL AND k.at IS NOT NULL
         ORDER BY d.due_at LIMIT $2 FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE leaving_duty d
       SET met_at = CASE WHEN d.breached_at IS NULL THEN GREATEST(k.at, d.started_at)
                         ELSE GREATEST(k.at, d.due_at) END,
           met_by = $1
      FROM known k
     WHERE d.msisdn = k.msisdn AND d.id = k.id AND d.met_at IS NULL
    RETURNING d.id
"""


async def sps_know(tx: Connection, *, actor: str, limit: int) -> int:
    """Record which SPs took the news that a relation ended, by webhook or in the feed."""
    return len(await tx.fetch(KNOWN, actor, limit))


# The person knows once the network took the confirmation of this leaving (one SMS for all that was
# left with it), and nothing that welcomes is on its way; both instants count, not the look. Who holds
# the number by now is not told of what another had.
REVOKED = """
    WITH waiting AS (
        SELECT d.msisdn, d.id,
               LEAST($1, GREATEST(d.started_at, COALESCE(told.at, moved.at), late.at)) AS at
          FROM leaving_duty d
         CROSS JOIN LATERAL (
               SELECT min(COALESCE(m.sent_at, $1)) AS at
                 FROM message_out m
                 JOIN leaving_duty o ON o.msisdn = m.msisdn AND o.started_at = d.started_at
                      AND o.kind = d.kind AND o.subscription_id::text = m.about_id
                WHERE m.msisdn = d.msisdn AND m.queued_at >= d.started_at
                  AND m.kind IN ('left', 'info') AND m.about_kind = 'subscription'
                  AND m.state IN ('sent', 'delivered')) told
         CROSS JOIN LATERAL (
               SELECT min(n.epoch_since) AS at
                 FROM subscription s JOIN number n ON n.msisdn = s.msisdn
                WHERE s.msisdn = d.msisdn AND s.id = d.subscription_id
                  AND s.epoch <> n.epoch) moved
         CROSS JOIN LATERAL (
               SELECT max(m.sent_at) AS at,
                      COALESCE(bool_or(m.state IN ('queued', 'sending', 'unknown')), false) AS coming
                 FROM message_out m
                WHERE m.msisdn = d.msisdn AND m.queued_at > d.started_at - interval '3 days'
                  AND m.about_kind = 'subscription' AND m.about_id = d.subscription_id::text
                  AND m.kind IN ('welcome', 'reminder', 'prompt')) late
         WHERE d.kind = 'welcome_revoked' AND d.met_at IS NULL AND NOT late.coming
           AND COALESCE(told.at, moved.at) IS NOT NULL
         ORDER BY d.due_at LIMIT $3 FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE leaving_duty d
       SET met_at = CASE WHEN d.breached_at IS NULL THEN w.at ELSE GREATEST(w.at, d.due_at) END,
           met_by = $2
      FROM waiting w
     WHERE d.msisdn = w.msisdn AND d.id = w.id AND d.met_at IS NULL
    RETURNING d.id
"""


async def welcomes_revoked(tx: Connection, *, now: datetime, actor: str, limit: int) -> int:
    """Record for whom leaving is confirmed and nothing that welcomes is on its way."""
    return len(await tx.fetch(REVOKED, now, actor, limit))


# Of an SP's clock: since when it could have read the news. Null: never, which is our own fault.
OVERDUE = """
    WITH late AS (
        SELECT msisdn, id FROM leaving_duty
         WHERE due_at <= $1 AND breached_at IS NULL AND (met_at IS NULL OR met_at >= due_at)
         ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE leaving_duty d SET breached_at = $3 FROM late
     WHERE d.msisdn = late.msisdn AND d.id = late.id
    RETURNING d.id, (
        SELECT p.told_at FROM subscription_event e LEFT JOIN partner_event p ON p.id = e.id
         WHERE e.msisdn = d.msisdn AND e.subscription_id = d.subscription_id
           AND e.to_status IN ('ended', 'refused') AND d.kind = 'sp_told'
         ORDER BY e.seq DESC LIMIT 1) AS told_at
"""
MANY = f"{DUTY} WHERE d.id = ANY($1::uuid[]) ORDER BY d.due_at, d.id"


async def overdue(
    tx: Connection, *, due_by: datetime, now: datetime, limit: int
) -> list[tuple[Duty, datetime | None]]:
    """Mark the clocks that ran out by an instant, since the last time, and return them.

    With each, since when the news of it could be read.
    """
    rows = await tx.fetch(OVERDUE, due_by, limit, now)
    told = {cast("UUID", row["id"]): cast("datetime | None", row["told_at"]) for row in rows}
    found = many(Duty, await tx.fetch(MANY, list(told))) if told else []
    return [(duty, told[duty.id]) for duty in found]
