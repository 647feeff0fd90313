"""A small world: one SP, a monthly service, one number; wrong charges and right ones."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from spms.compensation import actions
from spms.compensation.model import Claim, Source
from spms.core import db
from tests import make

DAY = timedelta(days=1)
PRICE = 800
AGREED = 500
ADD = "INSERT INTO rulebook VALUES ($1, $2, $3, 'test', $2, 'test')"
MANY_LOOKS = """
    INSERT INTO rulebook
    SELECT 1 + max(version), $1, '{"looks": {"hour": 100000, "day": 100000}}', 'test', $1, 'test'
      FROM rulebook
"""
"""The one agent claims more often than one may look at numbers in an hour."""


class World(NamedTuple):
    """One SP with a monthly service, one number, and a connection to arrange charges with."""

    tx: db.Connection
    now: datetime
    sp_id: UUID
    service_id: UUID
    msisdn: str

    async def wrong(self, msisdn: str | None = None, **values: Any) -> UUID:
        """Insert a charge of yesterday that nobody agreed to: nothing of it was due."""
        return await make.charge(
            self.tx, self.now - DAY, msisdn or self.msisdn, self.service_id,
            findings=["no_consent"], due_fen=0, **values,
        )  # fmt: skip

    async def agreed(self, msisdn: str | None = None, **values: Any) -> UUID:
        """Insert a relation confirmed the day before yesterday."""
        return await make.subscription(
            self.tx, self.now - 2 * DAY, msisdn or self.msisdn, self.service_id, **values
        )

    async def right(self, consent_id: UUID, msisdn: str | None = None, **values: Any) -> UUID:
        """Insert a charge of yesterday that its consent licenses."""
        return await make.charge(
            self.tx, self.now - DAY, msisdn or self.msisdn, self.service_id,
            consent_id=consent_id, **values,
        )  # fmt: skip

    async def another_owner(self) -> str:
        """Insert a number that changed hands this morning: yesterday it was somebody else's."""
        return await make.number(self.tx, self.now, epoch=2, epoch_since=self.now - DAY / 2)

    async def another_sp(self) -> "World":
        """Return the same world with another SP and its service."""
        sp_id = await make.sp(self.tx, self.now)
        service_id = await make.service(self.tx, self.now, sp_id, price_fen=PRICE)
        return self._replace(sp_id=sp_id, service_id=service_id)


@pytest.fixture
async def world(tx, now):
    sp_id = await make.sp(tx, now)
    service_id = await make.service(tx, now, sp_id, price_fen=PRICE)
    return World(tx, now, sp_id, service_id, await make.number(tx, now))


@pytest.fixture
def claim(pool, clock) -> Callable[..., Awaitable[Claim]]:
    """Return a function that claims in a transaction of its own, as the subscriber by default."""

    async def claimed(msisdn: str, charge_id: UUID, **values: Any) -> Claim:
        actor = values.pop("actor", None) or make.subscriber_actor(msisdn)
        async with db.transaction(pool, timeout_seconds=60) as tx:
            return await actions.claim(
                tx,
                msisdn=msisdn,
                charge_id=charge_id,
                source=values.pop("source", Source.SUBSCRIBER),
                reason=values.pop("reason", "I never ordered this"),
                actor=actor,
                now=clock.now(),
            )

    return claimed


@pytest.fixture
def audit(pool, clock) -> Callable[..., Awaitable[int]]:
    """Return a function that runs one batch of the audit's entrance in its own transaction."""

    async def audited(limit: int = 1000) -> int:
        async with db.transaction(pool, timeout_seconds=60) as tx:
            return await actions.refund_findings(tx, now=clock.now(), limit=limit)

    return audited


@pytest.fixture
def say(owner):
    """Return a function that puts a version of the section in force from an instant on."""

    async def said(version, since, **compensation):
        await owner.execute(ADD, version, since, {"compensation": compensation})

    return said
