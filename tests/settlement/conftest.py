"""A month in January: one SP that sells, its charges, and what went wrong with some of them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from spms.compensation import actions as compensation
from spms.core import db
from spms.core.access import job_actor
from spms.core.clock import FixedClock
from spms.settlement import calendar
from tests import make

JANUARY = datetime(2026, 1, 1, 4, tzinfo=UTC)  # noon in Shanghai
MONTH = JANUARY.date()
JOB = job_actor("settle")
PRICE = 800
DAY = timedelta(days=1)


class World:
    """One SP with a service; a clock; the calendar's jobs."""

    def __init__(self, pool: db.Pool, tx: db.Connection, clock: FixedClock) -> None:
        self.pool = pool
        self.tx = tx
        self.clock = clock
        self.sp_id = UUID(int=0)
        self.service_id = UUID(int=0)
        self.msisdn = ""

    async def settle_in(self) -> "World":
        """Open for business a year ago."""
        self.sp_id, self.service_id = await self.another_sp()
        self.msisdn = await make.number(self.tx, JANUARY)
        return self

    async def another_sp(self, **values: Any) -> tuple[UUID, UUID]:
        sp_id = await make.sp(
            self.tx, JANUARY, activated_at=JANUARY - timedelta(days=365), **values
        )
        return sp_id, await make.service(self.tx, JANUARY, sp_id, price_fen=PRICE)

    async def charge(self, days: float, msisdn: str | None = None, **values: Any) -> UUID:
        """Insert a charge of this day of January that stands, or with findings one that does not."""
        rows: dict[str, Any] = {
            "findings": ["over_cap"],
            "due_fen": values.get("price_fen", PRICE),
        } | values
        service_id = rows.pop("service_id", self.service_id)
        return await make.charge(
            self.tx, JANUARY + days * DAY, msisdn or self.msisdn, service_id, **rows
        )

    async def charges(self, count: int, **values: Any) -> None:
        for n in range(count):
            await self.charge(n % 28 + n / 1000, **values)

    async def audit(self) -> int:
        """Refund what findings show."""
        async with db.transaction(self.pool) as tx:
            return await compensation.refund_findings(tx, now=self.clock.now(), limit=100)

    async def on(self, month: int, day: int, hour: float = 12) -> None:
        """Move to a day in Shanghai and do all that is due by then."""
        at = datetime(2026, month, day, tzinfo=UTC) + timedelta(hours=hour - 8)
        self.clock.at = at
        async with db.transaction(self.pool) as tx:
            await calendar.keep(tx, actor=JOB, now=at)
        while await self.work():
            pass

    async def through(self, month: int) -> None:
        """Live through the days on which the month before is settled."""
        for day in (10, 15, 22, 24):
            await self.on(month, day)

    async def work(self) -> int:
        """Do one piece of what is due."""
        async with db.transaction(self.pool) as tx:
            return await calendar.work(tx, actor=JOB, now=self.clock.now())

    async def state(self, sp_id: UUID | None = None, month: datetime = JANUARY) -> Any:
        """Return an SP's settlement of a month."""
        return await self.tx.fetchrow(
            "SELECT * FROM settlement WHERE sp_id = $1 AND month = $2", sp_id or self.sp_id,
            month.date(),
        )  # fmt: skip

    async def steps(self, settlement_id: UUID) -> dict[str, Any]:
        """Return the steps in force, by kind."""
        rows = await self.tx.fetch(
            "SELECT p.* FROM settlement_step p JOIN settlement s ON s.id = p.settlement_id"
            " AND s.revision = p.revision WHERE s.id = $1 ORDER BY step_no", settlement_id,
        )  # fmt: skip
        return {row["kind"]: row for row in rows}

    async def balances(self, sp_id: UUID | None = None) -> dict[str, int]:
        """Return debits less credits of each account of an SP."""
        rows = await self.tx.fetch(
            "SELECT account, sum(fen)::bigint AS fen FROM ("
            "SELECT debit AS account, amount_fen AS fen FROM posting WHERE sp_id = $1 UNION ALL "
            "SELECT credit, -amount_fen FROM posting WHERE sp_id = $1) legs GROUP BY account",
            sp_id or self.sp_id,
        )  # fmt: skip
        return {row["account"]: row["fen"] for row in rows if row["fen"]}

    async def breach(self, grade: str, state: str, appeal_by: datetime, **values: Any) -> UUID:
        """Insert a breach that took effect in January."""
        breach_id = uuid4()
        row = {
            "id": breach_id, "sp_id": self.sp_id, "kind": "tariff_not_shown", "grade": grade,
            "points": 10, "service_ids": [], "source_kind": "officer", "source_id": str(breach_id),
            "statement": "x", "state": state, "found_at": JANUARY, "proposed_by": "staff:a",
            "decided_at": JANUARY + DAY, "decided_by": "staff:b", "appeal_by": appeal_by,
        } | values  # fmt: skip
        await make._insert(self.tx, "breach", row)
        return breach_id


@pytest.fixture
async def world(pool, tx, clock):
    return await World(pool, tx, clock).settle_in()
