"""Statements about suspicions and observations. Writes `charge_suspicion`, `charge_observation`.

What is upheld becomes a row of `charge_finding`.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.charging.facts import Fault, Item
from spms.charging.model import Finding
from spms.charging.suspicion_model import Observation, Observed, Suspicion, SuspicionState
from spms.core.db import Connection, many, one
from spms.core.ids import new_id

ADD = """
    INSERT INTO charge_suspicion
        (msisdn, charge_id, kind, id, charged_at, sp_id, due_fen, detail, found_at, found_by)
    SELECT msisdn, charge_id, kind, id, charged_at, sp_id, due_fen, detail, $9, $10
      FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[], $6::uuid[],
                  $7::bigint[], $8::jsonb[])
           AS s (msisdn, charge_id, kind, id, charged_at, sp_id, due_fen, detail)
    ON CONFLICT DO NOTHING
"""


async def add(
    tx: Connection, rows: Sequence[tuple[Item, Fault]], *, found_by: str, now: datetime
) -> None:
    """Store suspicions; one of a kind for each charge."""
    await tx.execute(
        ADD, [item.msisdn for item, _ in rows], [item.charge_id for item, _ in rows],
        [fault.kind for _, fault in rows], [new_id() for _ in rows],
        [item.charged_at for item, _ in rows], [item.sp_id for item, _ in rows],
        [fault.due_fen for _, fault in rows], [fault.detail for _, fault in rows], now, found_by,
    )  # fmt: skip


OBSERVE = """
    INSERT INTO charge_observation (id, sp_id, kind, at, charges, fen, examples)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def observe(
    tx: Connection,
    sp_id: UUID,
    kind: Finding,
    observation: Observation,
    *,
    now: datetime,
) -> None:
    """Count what a rule struck in one batch; only added, so that no two loaders wait."""
    await tx.execute(
        OBSERVE, new_id(), sp_id, kind, now, observation.charges, observation.fen,
        list(observation.examples),
    )  # fmt: skip


_SUSPICION = """
           s.id, s.charge_id, s.msisdn AS number, p.code AS sp_code, v.code AS service_code,
           s.kind, s.charged_at, c.price_fen, s.due_fen, s.detail, s.found_at, s.state,
           s.decided_at, s.decided_by, s.reason"""
_OF_SUSPICION = """
      JOIN charge_record c ON c.msisdn = s.msisdn AND c.charged_at = s.charged_at
                          AND c.id = s.charge_id
      JOIN sp p ON p.id = s.sp_id
      JOIN service v ON v.id = c.service_id"""

OPEN_AFTER = f"""
    SELECT {_SUSPICION}
      FROM charge_suspicion s {_OF_SUSPICION}
     WHERE s.state = 'open' AND (s.found_at, s.id) > ($1, $2)
     ORDER BY s.found_at, s.id LIMIT $3
"""


async def open_after(
    read: Connection, after: tuple[datetime, UUID], *, limit: int
) -> list[Suspicion]:
    """Return open suspicions after a key, the oldest first; with the whole number."""
    return many(Suspicion, await read.fetch(OPEN_AFTER, *after, limit))


FIND = f"SELECT {_SUSPICION} FROM charge_suspicion s {_OF_SUSPICION} WHERE s.id = $1"


async def find(read: Connection, suspicion_id: UUID) -> Suspicion | None:
    """Load a suspicion; with the whole number."""
    return one(Suspicion, await read.fetchrow(FIND, suspicion_id))


DECIDE = f"""
    WITH s AS (
        UPDATE charge_suspicion SET state = $2, decided_at = $3, decided_by = $4, reason = $5
         WHERE id = $1 AND state = 'open'
        RETURNING *
    )
    SELECT {_SUSPICION} FROM s {_OF_SUSPICION}
"""


async def decide(
    tx: Connection,
    suspicion_id: UUID,
    *,
    state: SuspicionState,
    reason: str,
    by: str,
    now: datetime,
) -> Suspicion | None:
    """Decide an open suspicion; None when there is none open with this id."""
    return one(Suspicion, await tx.fetchrow(DECIDE, suspicion_id, state, now, by, reason))


MAKE_FINDING = """
    INSERT INTO charge_finding
        (msisdn, charge_id, charged_at, kind, due_fen, detail, found_at, found_by)
    SELECT msisdn, charge_id, charged_at, kind, due_fen, detail, $2, $3
      FROM charge_suspicion WHERE id = $1 AND state = 'upheld'
    ON CONFLICT DO NOTHING
"""


async def make_finding(tx: Connection, suspicion_id: UUID, *, by: str, now: datetime) -> None:
    """Make an upheld suspicion a finding."""
    await tx.execute(MAKE_FINDING, suspicion_id, now, by)


OBSERVED = """
    SELECT p.code AS sp_code, o.kind, sum(o.charges)::bigint AS charges, sum(o.fen)::bigint AS fen,
           (array_agg(o.examples[1] ORDER BY o.at DESC))[1:5] AS examples
      FROM charge_observation o JOIN sp p ON p.id = o.sp_id
     WHERE o.at >= $1 AND o.at < $2
     GROUP BY p.code, o.kind ORDER BY charges DESC, p.code, o.kind LIMIT 1000
"""


async def observed(read: Connection, since: datetime, until: datetime) -> list[Observed]:
    """Sum up what rules only counted in a range of time."""
    return many(Observed, await read.fetch(OBSERVED, since, until))
