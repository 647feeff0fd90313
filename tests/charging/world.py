"""A small world for charges: one SP, a monthly and an on-demand service, one number."""

import asyncio
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import msgspec

from spms.charging import actions, sealing
from spms.charging.model import COLUMNS, ChargeRecordIn, Delivery, Landing, Line
from spms.core.db import Connection, Pool, transaction
from tests import make

_serial = count(1)
DAY = timedelta(days=1)
WAITING = """
    SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE NOT l.granted AND a.datname = current_database()
"""


class World(msgspec.Struct, kw_only=True):
    """What the tests of this room share."""

    pool: Pool
    now: datetime
    sp_id: UUID
    monthly_id: UUID
    monthly: str
    game_id: UUID
    game: str
    msisdn: str

    def record(self, **values: Any) -> ChargeRecordIn:
        """Return a record of the monthly service an hour ago, unless said otherwise."""
        fields: dict[str, Any] = {
            "record_id": f"r-{next(_serial)}", "service_code": self.monthly,
            "msisdn": self.msisdn, "charged_at": self.now - timedelta(hours=1), "price_fen": 800,
            "delivery": Delivery.NONE,
        }  # fmt: skip
        return ChargeRecordIn(**(fields | values))

    async def land(self, *records: ChargeRecordIn, **values: Any) -> Landing:
        """Land records in a transaction of their own."""
        fields: dict[str, Any] = {
            "sp_id": self.sp_id, "file_id": None, "actor": make.sp_actor(self.sp_id),
            "now": self.now,
        }  # fmt: skip
        async with transaction(self.pool) as tx:
            return await actions.land(tx, lines_of(*records), **(fields | values))

    async def findings(self, **values: Any) -> tuple[set[str], int]:
        """Land one record and return what was found and what was due."""
        landing = await self.land(self.record(**values))
        (outcome,) = landing.outcomes
        assert outcome.due_fen is not None
        return {str(finding) for finding in outcome.findings}, outcome.due_fen


def lines_of(*records: ChargeRecordIn) -> list[Line]:
    """Return records as lines that were read well."""
    return [
        Line(line_no=n, raw=msgspec.json.encode(record), record=record)
        for n, record in enumerate(records, start=1)
    ]


def csv_of(*records: ChargeRecordIn) -> bytes:
    """Write records as a CSV file."""
    rows = [
        f"{r.record_id},{r.service_code},{r.msisdn},{r.charged_at.isoformat()},{r.price_fen},"
        f"{r.delivery}"
        for r in records
    ]
    return "\n".join([",".join(COLUMNS), *rows, ""]).encode()


async def waiters(owner: Connection, least: int) -> None:
    """Return once so many sessions wait for a lock."""
    while await owner.fetchval(WAITING) < least:  # noqa: ASYNC110 - the database tells nobody
        await asyncio.sleep(0.01)


async def seal_step(pool: Pool, now: datetime) -> date | None:
    """Take the next step of sealing in a transaction of its own; return the month, None: all is."""
    async with transaction(pool) as work:
        return await sealing.seal_next(work, now=now)


async def sealed(pool: Pool, now: datetime) -> list[date]:
    """Seal until nothing is left; return the months met."""
    months = []
    while month := await seal_step(pool, now):
        months.append(month)
    return months


async def code_of(tx: Connection, service_id: UUID) -> str:
    """Return a service's code."""
    code: str = await tx.fetchval("SELECT code FROM service WHERE id = $1", service_id)
    return code


async def decided(
    tx: Connection, world: World, before: timedelta, relation: UUID | None, *, allowed: bool = True
) -> UUID:
    """Put a decision about a charge of the monthly service on record; return its id."""
    decision = uuid4()
    await tx.execute(
        """INSERT INTO authorisation
               (msisdn, decided_at, id, purpose, sp_id, service_id, service_code, price_fen,
                allowed, reasons, subscription_id, rulebook_version, facts, requested_by)
           VALUES ($1, $2, $3, 'charge', $4, $5, $6, 800, $7, $8, $9, 1, '{}', 'test')""",
        world.msisdn, world.now - before, decision, world.sp_id, world.monthly_id, world.monthly,
        allowed, [] if allowed else ["no_consent"], relation,
    )  # fmt: skip
    return decision
