"""Statements that land and judge records. Writes `charge_key`, `charge_record`, `charge_finding`.

Everything about numbers is read by number: `msisdn` leads every index used here, and a range of
`charged_at` prunes the months.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from spms.charging.facts import Facts, Item, Relation, Verdict
from spms.charging.model import Charge, Kind
from spms.core.clock import business_month, month_range
from spms.core.db import Connection, one

LONG = timedelta(days=31)
"""Longer than any order lives: no decision about one is older."""
SERVICES = "SELECT code, id, kind FROM service WHERE sp_id = $1 AND code = ANY($2::text[])"


async def services(read: Connection, sp_id: UUID, codes: list[str]) -> dict[str, tuple[UUID, Kind]]:
    """Return those of the codes that are this SP's services, whatever their status."""
    rows = await read.fetch(SERVICES, sp_id, codes)
    return {row["code"]: (row["id"], Kind(row["kind"])) for row in rows}


# Ordered, so that two loaders with the same records wait for one another instead of deadlocking;
# by bytes, as `staging_queries.CLAIM` does whatever the database sorts by.
CLAIM_KEYS = """
    INSERT INTO charge_key (sp_id, record_id, content_sha256, charge_id)
    SELECT $1, record_id, content_sha256, charge_id
      FROM unnest($2::text[], $3::bytea[], $4::uuid[])
           AS line (record_id, content_sha256, charge_id)
     ORDER BY record_id COLLATE "C", charge_id
    ON CONFLICT DO NOTHING
    RETURNING charge_id
"""


async def claim_keys(
    tx: Connection, sp_id: UUID, keys: Sequence[tuple[str, bytes, UUID]]
) -> set[UUID]:
    """Claim record ids for charges and return the charges that got theirs."""
    rows = await tx.fetch(
        CLAIM_KEYS, sp_id, [key[0] for key in keys], [key[1] for key in keys],
        [key[2] for key in keys],
    )  # fmt: skip
    return {row["charge_id"] for row in rows}


KEYS = """
    SELECT record_id, content_sha256, charge_id FROM charge_key
     WHERE sp_id = $1 AND record_id = ANY($2::text[])
"""


async def keys(
    read: Connection, sp_id: UUID, record_ids: list[str]
) -> dict[str, tuple[bytes, UUID]]:
    """Return the content hash and the charge behind record ids that came before."""
    rows = await read.fetch(KEYS, sp_id, record_ids)
    return {row["record_id"]: (row["content_sha256"], row["charge_id"]) for row in rows}


# One holder of the row at a time judges charges of a number; NO KEY leaves foreign keys alone.
HOLD_NUMBERS = """
    SELECT count(*) FROM (
        SELECT FROM number WHERE msisdn = ANY($1::text[]) ORDER BY msisdn FOR NO KEY UPDATE) held
"""


async def hold_numbers(tx: Connection, msisdns: list[str]) -> None:
    """Make what is about to be read of these numbers stay true until the transaction ends."""
    await tx.fetchval(HOLD_NUMBERS, msisdns)


# Relations of the holder at that instant, begun by then and consented to: the latest of a monthly
# service, all within the lifetime of an order ($7) and the one before them of an on-demand one. Beside
# each the latest decision that allowed a charge of it: one about a month ($6) is no yes to the next.
# Records may tell whole seconds only, so a decision of the same second came before.
FACTS = """
    SELECT i.n, e.state_after AS state, e.epoch_after AS epoch, t.id AS tariff_id,
           v.category, a.id AS authorisation_id, h.state AS reservation, h.reference,
           r.id AS subscription_id, r.price_fen,
           r.tariff_id AS agreed_tariff_id, r.active_from, r.ended_at, r.end_reason,
           r.charge_from, r.free_until
      FROM unnest($1::int[], $2::text[], $3::uuid[], $4::text[], $5::timestamptz[],
                  $6::timestamptz[])
           AS i (n, msisdn, service_id, kind, charged_at, since)
      JOIN service v ON v.id = i.service_id
      LEFT JOIN LATERAL (
           SELECT state_after, epoch_after FROM number_event
            WHERE msisdn = i.msisdn AND effective_at <= i.charged_at
            ORDER BY effective_at DESC LIMIT 1) e ON true
      LEFT JOIN LATERAL (
           SELECT id FROM tariff
            WHERE service_id = i.service_id AND effective_from <= i.charged_at
            ORDER BY effective_from DESC LIMIT 1) t ON true
      LEFT JOIN LATERAL (
           SELECT s.id, s.price_fen, s.tariff_id, s.active_from, s.ended_at, s.end_reason,
                  s.charge_from, s.free_until
             FROM subscription s
            WHERE s.msisdn = i.msisdn AND s.service_id = i.service_id
              AND s.active_from <= i.charged_at AND s.epoch = e.epoch_after
              AND EXISTS (SELECT FROM consent c
                           WHERE c.msisdn = i.msisdn AND c.subscription_id = s.id)
            ORDER BY s.active_from DESC
            LIMIT CASE i.kind WHEN 'monthly' THEN 1 ELSE 1 + (
                  SELECT count(*) FROM subscription o
                   WHERE o.msisdn = i.msisdn AND o.service_id = i.service_id
                     AND o.active_from > i.charged_at - $7::interval
                     AND o.active_from <= i.charged_at) END) r ON true
      LEFT JOIN LATERAL (
           SELECT id FROM authorisation
            WHERE msisdn = i.msisdn AND decided_at < i.charged_at + interval '1 second'
              AND decided_at >= GREATEST(i.since, r.active_from)
              AND subscription_id = r.id AND purpose = 'charge' AND allowed
            ORDER BY decided_at DESC LIMIT 1) a ON true
      LEFT JOIN reservation h ON h.msisdn = i.msisdn AND h.id = a.id
     ORDER BY i.n, r.active_from DESC
"""


async def facts(read: Connection, items: Sequence[Item], order_lifetime: timedelta) -> list[Facts]:
    """Return, for each record, its number and relations as of the instant of the charge."""
    rows = await read.fetch(
        FACTS, list(range(len(items))), [item.msisdn for item in items],
        [item.service_id for item in items], [item.kind for item in items],
        [item.charged_at for item in items], [_asked_since(item) for item in items], order_lifetime,
    )  # fmt: skip
    found: list[Facts] = []
    for row in rows:
        if row["n"] == len(found):
            found.append(Facts(row["state"], row["epoch"], [], row["tariff_id"], row["category"]))
        if row["subscription_id"] is not None:
            found[-1].relations.append(
                Relation(
                    row["subscription_id"], row["price_fen"], row["agreed_tariff_id"],
                    row["active_from"], row["ended_at"], row["end_reason"], row["charge_from"],
                    row["free_until"], row["authorisation_id"], row["reservation"],
                    row["reference"],
                )
            )  # fmt: skip
    return found


def _asked_since(item: Item) -> datetime:
    """Return from when on a decision may be about a charge, if its relation had begun."""
    if item.kind is not Kind.MONTHLY:
        return item.charged_at - LONG
    return month_range(business_month(item.charged_at))[0]


# A finding added later lowers what stands, so it counts here too. Number by number, so that the
# plan is the same whatever share of all numbers a batch is about.
MONTH = """
    SELECT m.msisdn, d.epoch, d.service_id, v.category, d.due_fen, d.monthly
      FROM unnest($1::text[]) AS m (msisdn)
      CROSS JOIN LATERAL (
           SELECT s.epoch, c.service_id,
                  sum(LEAST(c.due_fen, f.due_fen))::bigint AS due_fen,
                  (array_agg(c.id ORDER BY c.charged_at)
                   FILTER (WHERE c.kind = 'monthly'))[1] AS monthly
             FROM charge_record c
             JOIN subscription s ON s.msisdn = m.msisdn AND s.id = c.consent_id
             LEFT JOIN (SELECT charge_id, min(due_fen) AS due_fen FROM charge_finding
                         WHERE msisdn = m.msisdn GROUP BY charge_id) f ON f.charge_id = c.id
            WHERE c.msisdn = m.msisdn AND c.charged_at >= $2 AND c.charged_at < $3
              AND c.due_fen > 0 AND COALESCE(f.due_fen, 1) > 0
            GROUP BY s.epoch, c.service_id) d
      JOIN service v ON v.id = d.service_id
"""


async def month(
    read: Connection, msisdns: list[str], month_range: tuple[datetime, datetime]
) -> list[tuple[str, int, UUID, str, int, UUID | None]]:
    """Return what stands in a month: number, epoch, service, its category, due (fen), charge of it."""
    rows = await read.fetch(MONTH, msisdns, *month_range)
    return [tuple(row) for row in rows]


USED_ORDERS = """
    SELECT c.consent_id, c.id FROM charge_record c
     WHERE c.msisdn = ANY($1::text[]) AND c.charged_at >= $2 AND c.consent_id = ANY($3::uuid[])
       AND c.due_fen > 0
       AND NOT EXISTS (SELECT FROM charge_finding f
                        WHERE f.msisdn = c.msisdn AND f.charge_id = c.id AND f.due_fen = 0)
"""


async def used_orders(
    read: Connection, msisdns: list[str], since: datetime, orders: list[UUID]
) -> dict[UUID, UUID]:
    """Return the charge that stands on each of the orders that has one."""
    rows = await read.fetch(USED_ORDERS, msisdns, since, orders)
    return {row["consent_id"]: row["id"] for row in rows}


USES = """
    SELECT c.msisdn, s.epoch, c.charged_at, c.due_fen
      FROM unnest($1::text[]) AS m (msisdn)
      JOIN charge_record c ON c.msisdn = m.msisdn AND c.charged_at > $2 AND c.charged_at <= $3
      JOIN subscription s ON s.msisdn = c.msisdn AND s.id = c.consent_id
     WHERE c.sp_id = $4 AND c.kind = 'on_demand' AND c.due_fen > 0
"""


async def uses(
    read: Connection, sp_id: UUID, msisdns: list[str], around: tuple[datetime, datetime]
) -> list[tuple[str, int, datetime, int]]:
    """Return an SP's on-demand charges that stand: number, epoch, when, due (fen)."""
    return [tuple(row) for row in await read.fetch(USES, msisdns, *around, sp_id)]


RULE_CHANGES = """
    SELECT effective_from FROM rulebook
     WHERE effective_from > $1 AND effective_from <= $2 ORDER BY effective_from
"""


async def rule_changes(read: Connection, after: datetime, until: datetime) -> list[datetime]:
    """Return the instants in a range at which another version of the rulebook took effect."""
    return [row["effective_from"] for row in await read.fetch(RULE_CHANGES, after, until)]


_CHARGE_COLUMNS = (
    "msisdn", "charged_at", "id", "sp_id", "service_id", "record_id", "kind", "price_fen",
    "delivery", "file_id", "received_at", "consent_id", "tariff_id", "authorisation_id",
    "findings", "due_fen", "rulebook_version",
)  # fmt: skip


async def add_charges(
    tx: Connection,
    judged: Sequence[tuple[Item, Verdict, int]],
    *,
    sp_id: UUID,
    file_id: UUID | None,
    now: datetime,
) -> None:
    """Store charges with their verdicts and the rulebook version of each, by COPY."""
    rows = [
        (
            item.msisdn, item.charged_at, item.charge_id, sp_id, item.service_id,
            item.record_id, item.kind, item.price_fen, item.delivery, file_id,
            now, verdict.consent_id, verdict.tariff_id, verdict.authorisation_id,
            [fault.kind for fault in verdict.faults], verdict.due_fen, version,
        )
        for item, verdict, version in judged
    ]  # fmt: skip
    rows.sort(key=lambda row: (row[0], row[1], row[2]))  # as the index: neighbours share a page
    await tx.copy_records_to_table("charge_record", records=rows, columns=_CHARGE_COLUMNS)


ADD_FINDINGS = """
    INSERT INTO charge_finding
        (msisdn, charge_id, charged_at, kind, due_fen, detail, found_at, found_by)
    SELECT msisdn, charge_id, charged_at, kind, due_fen, detail, $7, $8
      FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::text[], $5::bigint[], $6::jsonb[])
           AS f (msisdn, charge_id, charged_at, kind, due_fen, detail)
    ON CONFLICT DO NOTHING
    RETURNING kind
"""


async def add_findings(
    tx: Connection, judged: Sequence[tuple[Item, Verdict, int]], *, found_by: str, now: datetime
) -> list[str]:
    """Store findings beside their charges; return the kinds of those that are new."""
    rows = [(item, fault) for item, verdict, _ in judged for fault in verdict.faults]
    if not rows:
        return []
    added = await tx.fetch(
        ADD_FINDINGS, [item.msisdn for item, _ in rows],
        [item.charge_id for item, _ in rows], [item.charged_at for item, _ in rows],
        [fault.kind for _, fault in rows], [fault.due_fen for _, fault in rows],
        [fault.detail for _, fault in rows], now, found_by,
    )  # fmt: skip
    return [row["kind"] for row in added]


CHARGE = """
    SELECT c.id, c.msisdn, c.sp_id, c.service_id, c.record_id, c.kind, c.charged_at,
           c.received_at, c.price_fen, LEAST(c.due_fen, f.due_fen) AS due_fen, c.delivery,
           COALESCE(f.kinds, '{}') AS findings, c.consent_id, c.tariff_id, c.authorisation_id,
           c.file_id, c.rulebook_version
      FROM charge_record c
      CROSS JOIN LATERAL (
           SELECT min(due_fen) AS due_fen, array_agg(kind ORDER BY found_at, kind) AS kinds
             FROM charge_finding WHERE msisdn = c.msisdn AND charge_id = c.id) f
     WHERE c.id = $2 AND c.msisdn = $1
"""


async def charge(read: Connection, msisdn: str, charge_id: UUID) -> Charge | None:
    """Load a charge of a number with every finding since."""
    return one(Charge, await read.fetchrow(CHARGE, msisdn, charge_id))
