"""A world for penalties: an SP with a service, and short ways through a breach's life."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from spms.core import db, outbox
from spms.core.access import job_actor
from spms.core.clock import FixedClock
from spms.inspections.model import TOPIC_JUDGED
from spms.partners import actions as partners
from spms.penalties import actions, collecting, queries, remedies
from spms.penalties.model import BreachKind, NewBreach
from tests import make

JOB = job_actor("penalties")
OTHER = make.AGENT  # an actor that neither proposed nor decided


class Case:
    """Short ways, each a transaction of its own."""

    def __init__(self, pool, clock: FixedClock, sp_id, service_id) -> None:
        self.pool, self.clock = pool, clock
        self.sp_id: UUID = sp_id
        self.service_id: UUID = service_id

    @property
    def now(self):
        return self.clock.now()

    async def do(self, verb, *args, **more):
        async with db.transaction(self.pool) as tx:
            return await verb(tx, *args, **({"actor": JOB, "now": self.now} | more))

    async def effective(self, kind=BreachKind.TARIFF_NOT_SHOWN, *, subject="", sp_id=None):
        """Propose, let the SP speak, and confirm."""
        data = NewBreach(
            sp_id=sp_id or self.sp_id, kind=kind, reference=uuid4().hex, subject=subject,
            service_ids=[] if sp_id else [self.service_id], statement="seen",
        )  # fmt: skip
        breach = await self.do(actions.propose, data, actor=make.OFFICER)
        await self.do(actions.answer, breach.id, "no", actor=make.sp_actor(self.sp_id))
        return await self.do(
            actions.decide, breach.id, confirm=True, reason="so", actor=make.OFFICER_2
        )

    async def judged(self, verdict, hotline="4008000000", item=None):
        payload = {
            "item_id": str(item or uuid4()), "sp_id": str(self.sp_id), "hotline": hotline,
            "verdict": verdict,
        }  # fmt: skip
        async with db.transaction(self.pool) as tx:
            await outbox.put(tx, TOPIC_JUDGED, payload, now=self.now)
        return await self.do(actions.follow_inspections)

    async def appeal(self, breach):
        return await self.do(actions.appeal, breach.id, "wrong", actor=make.sp_actor(self.sp_id))

    async def decide_appeal(self, appeal, **more):
        return await self.do(actions.decide_appeal, appeal.id, reason="seen", actor=OTHER, **more)

    async def watch(self):
        return await self.do(remedies.watch)

    async def collect(self):
        return await self.do(collecting.collect)

    async def get(self, breach):
        async with db.snapshot(self.pool) as read:
            return await actions.get(read, breach.id)

    async def all(self):
        async with db.snapshot(self.pool) as read:
            return (await queries.page(read, None, None, 1000))[::-1]

    async def left(self, sp_id=None):
        async with db.snapshot(self.pool) as read:
            year = self.now.year
            balance = await actions.balance(read, sp_id or self.sp_id, year=year, at=self.now)
        return balance.left

    async def held(self, sp_id=None):
        async with db.snapshot(self.pool) as read:
            found = await partners.restrictions_at(read, sp_id or self.sp_id, at=self.now)
        return {r.measure for r in found}

    async def later(self, **span):
        self.clock.move(timedelta(**span))


@pytest.fixture
async def case(tx, pool, clock, now):
    sp_id = await make.sp(tx, now)
    return Case(pool, clock, sp_id, await make.service(tx, now, sp_id))
