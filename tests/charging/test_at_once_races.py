"""Charges in one step beside everything else that happens to their numbers."""

import asyncio
from datetime import datetime, timedelta
from itertools import count

import pytest

from spms.authorisation import reservations
from spms.authorisation.invariant_queries import INVARIANTS
from spms.charging import actions, delivery_queries, month_audit, queries
from spms.core.access import job_actor
from spms.core.clock import FixedClock
from spms.core.db import snapshot, transaction
from spms.core.invariants import check
from tests import make
from tests.charging.world import DAY, csv_of, waiters
from tests.conftest import START

NUMBERS, ORDERS = 4, 6
HOUR = timedelta(hours=1)
JOB = job_actor("test")
CHARGED = """
    SELECT c.record_id, c.findings, r.state = 'captured' AS own
      FROM charge_record c
      LEFT JOIN reservation r
        ON r.msisdn = c.msisdn AND r.id = c.authorisation_id AND r.reference = c.record_id
     WHERE c.record_id LIKE 'once-%'
"""
DOUBTED = """
    SELECT c.record_id FROM charge_suspicion s
      JOIN charge_record c ON c.msisdn = s.msisdn AND c.id = s.charge_id
     WHERE s.kind = 'reserved_not_delivered' AND c.record_id LIKE 'once-%'
     UNION ALL
    SELECT r.reference FROM uncharged_delivery u
      JOIN reservation r ON r.msisdn = u.msisdn AND r.id = u.reservation_id
     WHERE r.reference LIKE 'once-%'
"""


class Ticking(FixedClock):
    """No two readings are the same, as in life."""

    def now(self) -> datetime:
        self.at += timedelta(microseconds=1)
        return self.at


@pytest.fixture
def clock():
    return Ticking(START)


@pytest.fixture
async def sp(sign_in, world):
    return await sign_in(make.sp_actor(world.sp_id))


async def test_nobody_else_waits_while_a_charge_waits_for_a_file_that_has_its_number(
    http, tx, owner, pool, world, sp
):
    """What the charge held meanwhile would stop a round of the engine, and all who are in it."""
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    body = {"msisdn": world.msisdn, "service_code": world.monthly, "price_fen": 800}
    async with transaction(pool) as file:
        await queries.hold_numbers(file, [world.msisdn])
        charge = asyncio.create_task(
            http.post("/charges", json=body | {"reference": "1"}, headers=sp)
        )
        await waiters(owner, 1)
        question = asyncio.create_task(
            http.post("/authorisations", json=body | {"purpose": "charge"}, headers=sp)
        )
        second = asyncio.create_task(waiters(owner, 2))
        await asyncio.wait({question, second}, return_when=asyncio.FIRST_COMPLETED)
        second.cancel()
        assert question.done()
    assert question.result().json()["allowed"] is True
    told = (await charge).json()
    assert told["decision"]["reasons"] == ["month_used"]


class Bustle:
    """What an SP and its subscribers send at the same time, and what was answered."""

    def __init__(self, http, world, sp, sign_in):
        self.http, self.world, self.sp, self.sign_in = http, world, sp, sign_in
        self.statuses = set()
        self.serial = count()

    async def post(self, path, body, headers=None):
        answer = await self.http.post(path, headers=headers or self.sp, json=body)
        self.statuses.add(answer.status_code)
        return answer

    async def charge(self, msisdn, n):
        """Charge in one step, each reference twice."""
        code, fen = (self.world.game, 200) if n // 2 % 3 else (self.world.monthly, 800)
        reference = f"once-{msisdn[-4:]}-{n // 2}"
        await self.post("/charges", self.asked(reference, msisdn, code, fen))

    async def two_steps(self, msisdn, n):
        asked = self.asked(f"two-{next(self.serial)}", msisdn, self.world.game, 200)
        held = (await self.post("/reservations", asked)).json().get("reservation")
        if held is not None:
            await self.post(f"/reservations/{held['id']}/{'capture' if n % 2 else 'release'}", None)

    @staticmethod
    def asked(reference, msisdn, code, fen):
        return {
            "reference": reference, "msisdn": msisdn, "service_code": code, "price_fen": fen,
        }  # fmt: skip

    async def file(self, n, numbers):
        """Deliver what nobody asked about, of the same numbers and services."""
        services = ((self.world.game, 200), (self.world.monthly, 800))[: 1 + n % 2]
        records = [
            self.world.record(
                record_id=f"file-{n}-{msisdn[-4:]}-{code}", msisdn=msisdn, service_code=code,
                price_fen=fen, charged_at=self.world.now,
            )
            for msisdn in reversed(numbers)
            for code, fen in services
        ]  # fmt: skip
        headers = self.sp | {"Content-Type": "text/csv"}
        answer = await self.http.post("/charge-files", content=csv_of(*records), headers=headers)
        self.statuses.add(answer.status_code)

    async def leave(self, msisdn, relation):
        headers = await self.sign_in(make.subscriber_actor(msisdn))
        await self.post(f"/subscriptions/{relation}/leave", {}, headers)


async def jobs(world):
    for _ in range(4):
        async with transaction(world.pool) as tx:
            await reservations.expire(tx, actor=JOB, now=world.now)
        async with transaction(world.pool) as tx:
            await actions.reaudit_recent(tx, now=world.now, actor=JOB)


async def test_charges_at_once_beside_files_leaving_captures_and_jobs(
    http, tx, pool, world, sp, sign_in
):
    numbers = [world.msisdn, *[await make.number(tx, world.now) for _ in range(NUMBERS - 1)]]
    relations = {}
    for msisdn in numbers:
        relations[msisdn] = await make.subscription(tx, world.now - DAY, msisdn, world.monthly_id)
        for _ in range(ORDERS):
            await make.subscription(tx, world.now - HOUR, msisdn, world.game_id)
    bustle = Bustle(http, world, sp, sign_in)
    await asyncio.gather(
        *[bustle.charge(numbers[n % NUMBERS], n // NUMBERS) for n in range(8 * NUMBERS)],
        *[bustle.two_steps(numbers[n % NUMBERS], n) for n in range(8)],
        *[bustle.file(n, numbers) for n in range(4)],
        *[bustle.leave(msisdn, relations[msisdn]) for msisdn in numbers[:2]],
        jobs(world),
    )
    assert bustle.statuses <= {200, 201, 409, 503}
    charged = await tx.fetch(CHARGED)
    assert charged
    assert [row for row in charged if row["findings"] or not row["own"]] == []
    async with transaction(pool) as each:
        await actions.reaudit_recent(each, now=world.now, actor=JOB)
        await delivery_queries.add_uncharged(
            each, world.now - DAY, world.now + DAY, within=DAY, examples=5, now=world.now
        )
    assert await tx.fetch(DOUBTED) == []
    async with snapshot(pool) as read:
        assert await month_audit.contradictions(read, world.now.date().replace(day=1)) == []
        assert [one for one in await check(read, INVARIANTS) if not one.holds] == []
