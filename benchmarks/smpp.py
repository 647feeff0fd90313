"""Prompts and replies a second over one SMPP link, beside what the SMSC (smpp34) takes alone.

Everything runs in one process on one loop, SMSC included, so the figures are a floor. Needs an
empty database: SPMS_DATABASE_URL=postgresql://… python benchmarks/smpp.py [COUNT]
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from jobs import handle_messages
from jobs.timetable import House
from spms.cli.process import Base, base
from spms.core import db
from spms.core.settings import load
from spms.messaging import actions, smpp_pdu
from spms.messaging.courier import pump_out
from spms.messaging.model import MessageKind, Outgoing
from spms.messaging.smpp_link import SmppLink, open_session
from spms.messaging.smpp_pdu import Address, Command, ShortMessage
from tests import make
from tests.messaging.smsc import Smsc, link_settings, running_smsc

WINDOW = 100
FIRST = 8613900000000


def numbers(count: int) -> list[str]:
    """Return so many subscribers' numbers."""
    return [str(FIRST + n) for n in range(count)]


async def alone(smsc: Smsc, count: int) -> float:
    """Submit without SPMS's rows: what session and SMSC do a second."""
    session = await open_session(
        link_settings(smsc.port), lambda *_: None, lambda *_: None
    )  # fmt: skip
    gate = asyncio.Semaphore(WINDOW)

    async def submit(msisdn: str) -> None:
        message = ShortMessage(source=Address("10010"), destination=Address(msisdn), content=b"Y")
        async with gate:
            await session.request(Command.SUBMIT_SM, smpp_pdu.write_message(message))

    began = time.perf_counter()
    await asyncio.gather(*[submit(msisdn) for msisdn in numbers(count)])
    took = time.perf_counter() - began
    await session.unbind()
    return count / took


async def enqueue(ground: Base, count: int) -> None:
    """Queue prompts."""
    queued = [
        Outgoing(
            msisdn=msisdn, text="回复Y确认", kind=MessageKind.PROMPT, about_kind="benchmark",
            about_id=1,
        )
        for msisdn in numbers(count)
    ]  # fmt: skip
    async with db.transaction(ground.pool) as tx:
        await actions.send_many(tx, queued, now=ground.clock.now())


async def prompts(ground: Base, link: SmppLink, count: int) -> float:
    """Queue prompts, and carry them until none is left."""
    await enqueue(ground, count)
    began = time.perf_counter()
    while await pump_out(ground.pool, link, ground.clock, limit=500):
        pass
    return count / (time.perf_counter() - began)


async def replies(smsc: Smsc, count: int) -> float:
    """Deliver replies, each committed before it is acknowledged."""
    gate = asyncio.Semaphore(WINDOW)

    async def reply(msisdn: str) -> None:
        async with gate:
            await smsc.deliver(msisdn, b"Y")

    began = time.perf_counter()
    await asyncio.gather(*[reply(msisdn) for msisdn in numbers(count)])
    return count / (time.perf_counter() - began)


class Waited(NamedTuple):
    """Seconds from a TD to each step, and what went out a second meanwhile."""

    acknowledged: float
    left: float
    """The relation is ended; charging stopped at the receipt already."""
    confirmed: float
    """The person has our SMS that she has left."""
    prompts: float


async def unsubscribe(ground: Base, smsc: Smsc, link: SmppLink, seconds: int = 5) -> Waited:
    """Queue 1,000 prompts each second and send one TD into the middle of it."""
    now, leaver = ground.clock.now(), "8613800000000"
    async with db.transaction(ground.pool) as tx:
        service_id = await make.service(tx, now, await make.sp(tx, now))
        await make.number(tx, now, msisdn=leaver)
        relation = await make.subscription(tx, now, leaver, service_id)
    house = House(
        pool=ground.pool, clock=ground.clock, settings=ground.settings, link=link, prober=None
    )
    told = asyncio.Event()
    accept = smsc.answer

    def hear(event: Any, number: int) -> None:
        accept(event, number)
        if event.destination_addr == leaver:
            told.set()

    async def queue() -> None:
        for _ in range(seconds):
            until = time.perf_counter() + 1
            await enqueue(ground, 1000)
            await asyncio.sleep(max(0, until - time.perf_counter()))

    async def work(pump: Callable[[], Awaitable[int]]) -> None:
        while True:
            if not await pump():
                await asyncio.sleep(0.02)

    smsc.answer = hear
    workers = [
        asyncio.create_task(work(lambda: pump_out(ground.pool, link, ground.clock, limit=100))),
        asyncio.create_task(work(lambda: handle_messages.pump(house))),
    ]
    queueing = asyncio.create_task(queue())
    start = time.perf_counter()
    await asyncio.sleep(seconds / 2)
    began = time.perf_counter()
    await smsc.deliver(leaver, b"TD")
    acknowledged = time.perf_counter() - began
    running = "SELECT status <> 'ended' FROM subscription WHERE id = $1"
    while await ground.pool.fetchval(running, relation):  # noqa: ASYNC110 - another's commit
        await asyncio.sleep(0.002)
    left = time.perf_counter() - began
    await told.wait()
    confirmed = time.perf_counter() - began
    await queueing
    sent = await ground.pool.fetchval(
        "SELECT count(*) FROM message_out WHERE queued_at > $1 AND state = 'sent'", now
    )
    rate = sent / (time.perf_counter() - start)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return Waited(acknowledged, left, confirmed, rate)


async def main(count: int) -> None:
    """Measure and show."""
    table = Table("what", "figure")
    async with base(load(os.environ)) as ground, running_smsc() as smsc:
        table.add_row("SMSC and session alone", f"{await alone(smsc, count):.0f} submits/s")
        smsc.bound.clear()
        link = SmppLink(link_settings(smsc.port, window=WINDOW), ground.pool, ground.clock)
        async with link.running():
            await link.up.wait()
            table.add_row("prompts out", f"{await prompts(ground, link, count):.0f} /s")
            table.add_row("replies in", f"{await replies(smsc, count):.0f} /s")
            waited = await unsubscribe(ground, smsc, link)
            what = f"a TD while {waited.prompts:.0f} prompts/s go out"
            table.add_row(f"{what}: acknowledged", f"{waited.acknowledged * 1000:.0f} ms")
            table.add_row(f"{what}: left", f"{waited.left * 1000:.0f} ms")
            table.add_row(f"{what}: confirmed by SMS", f"{waited.confirmed * 1000:.0f} ms")
    Console().print(table)


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
