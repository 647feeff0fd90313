"""L1, L2: one SMPP link, beside what the SMSC and our session do without any rows.

The SMSC is a third party's (smpp34). It runs in this process and on this loop, on both sides of a
pair, so that what it costs is in both. A prompt here is one part; prompts of several parts cost as
many submissions. PostgreSQL is durable: a prompt is a committed row before and after it is sent, a
reply before it is acknowledged.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from benchmarks.figures import Figure, Ground
from jobs import handle_messages
from jobs.timetable import House
from spms.cli.process import Base, base
from spms.core import db
from spms.core.settings import Settings
from spms.messaging import actions, smpp_pdu
from spms.messaging.courier import pump_out
from spms.messaging.model import MessageKind, Outgoing
from spms.messaging.smpp_link import SmppLink, open_session
from spms.messaging.smpp_pdu import Address, Command, Pdu, ShortMessage, Status
from spms.messaging.smpp_session import Session
from tests import make
from tests.messaging.smsc import Smsc, link_settings, running_smsc

FIGURES = (
    Figure(
        id="L1",
        title="prompts out and replies in over one SMPP link, at once, beside SMSC and session alone",
        ours="messages/s",
        beside="messages/s",
        must=0.25,
        aim=0.50,
        seconds=2,
    ),
    Figure(
        id="L2",
        title="a TD until its confirmation is at the SMSC, while 1,000 prompts/s go out, beside idle",
        ours="ms",
        beside="ms",
        must=20,
        aim=5,
        at_most=True,
        seconds=5,
    ),
)
WINDOW = 100
COUNT, COUNT_SHORT = 3000, 400
"""Prompts, and as many replies, of one sample."""
PER_SECOND = 1000
WARM_SECONDS, WARM_SECONDS_SHORT = 2.0, 0.6
"""How long the prompts go out before the TD comes."""
FIRST, FIRST_LEAVER = 8613900000000, 8613800000000


def numbers(count: int) -> list[str]:
    """Return so many subscribers' numbers."""
    return [str(FIRST + n) for n in range(count)]


async def both_ways(
    smsc: Smsc, count: int, send: Callable[[], Awaitable[None]]
) -> float:  # fmt: skip
    """Send, and have as many delivered meanwhile; return messages a second, both counted."""
    gate = asyncio.Semaphore(WINDOW)

    async def reply(msisdn: str) -> None:
        async with gate:
            assert await smsc.deliver(msisdn, b"Y") == 0

    began = time.perf_counter()
    await asyncio.gather(send(), *[reply(msisdn) for msisdn in numbers(count)])
    return 2 * count / (time.perf_counter() - began)


async def alone(smsc: Smsc, count: int) -> float:
    """Submit without rows and acknowledge at once: what session and SMSC do a second."""

    def take(session: Session, pdu: Pdu) -> None:
        session.answer(pdu, Status.OK, b"\0")

    session = await open_session(link_settings(smsc.port), take, lambda *_: None)
    gate = asyncio.Semaphore(WINDOW)

    async def submit(msisdn: str) -> None:
        message = ShortMessage(source=Address("10010"), destination=Address(msisdn), content=b"Y")
        async with gate:
            await session.request(Command.SUBMIT_SM, smpp_pdu.write_message(message))

    async def send() -> None:
        await asyncio.gather(*[submit(msisdn) for msisdn in numbers(count)])

    try:
        return await both_ways(smsc, count, send)
    finally:
        await session.unbind()
        smsc.bound.clear()


@contextlib.asynccontextmanager
async def bound(ground: Base, smsc: Smsc) -> AsyncIterator[SmppLink]:
    """Keep a link bound, and afterwards let the SMSC forget it."""
    link = SmppLink(link_settings(smsc.port, window=WINDOW), ground.pool, ground.clock)
    async with link.running():
        await link.up.wait()
        await smsc.session()
        yield link
    smsc.bound.clear()


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


async def through_rows(ground: Base, smsc: Smsc, link: SmppLink, count: int) -> float:
    """Carry queued prompts until none is left, and store as many replies meanwhile."""
    await enqueue(ground, count)

    async def send() -> None:
        while await pump_out(ground.pool, link, ground.clock, limit=500):
            pass

    return await both_ways(smsc, count, send)


@contextlib.asynccontextmanager
async def working(ground: Base, link: SmppLink) -> AsyncIterator[None]:
    """Carry what is queued and handle what comes, as a worker does."""
    house = House(
        pool=ground.pool, clock=ground.clock, settings=ground.settings, link=link,
        prober=cast("Any", None),
    )  # fmt: skip

    async def work(pump: Callable[[], Awaitable[int]]) -> None:
        while True:
            if not await pump():
                await asyncio.sleep(0.005)

    workers = [
        asyncio.create_task(work(lambda: pump_out(ground.pool, link, ground.clock, limit=100))),
        asyncio.create_task(work(lambda: handle_messages.pump(house))),
    ]
    try:
        yield
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


@contextlib.asynccontextmanager
async def prompting(ground: Base, smsc: Smsc, warm: float) -> AsyncIterator[Callable[[], float]]:
    """Queue 1,000 prompts a second meanwhile; yields how many a second went out so far."""

    async def queue() -> None:
        until = time.perf_counter()
        while True:
            until += 0.1
            await enqueue(ground, PER_SECOND // 10)
            await asyncio.sleep(max(0.0, until - time.perf_counter()))

    queueing = asyncio.create_task(queue())
    began, before = time.perf_counter(), len(smsc.submitted)
    try:
        await asyncio.sleep(warm)
        yield lambda: (len(smsc.submitted) - before) / (time.perf_counter() - began)
    finally:
        queueing.cancel()
        await asyncio.gather(queueing, return_exceptions=True)


async def unsubscribe(smsc: Smsc, leaver: str) -> float:
    """Send a TD; return the milliseconds until the SMSC has the confirmation for its sender."""
    told, accept = asyncio.Event(), smsc.answer

    def hear(event: Any, number: int) -> None:
        accept(event, number)
        if event.destination_addr == leaver:
            told.set()

    smsc.answer = hear
    try:
        began = time.perf_counter()
        assert await smsc.deliver(leaver, b"TD") == 0
        await told.wait()
        return (time.perf_counter() - began) * 1000
    finally:
        smsc.answer = accept


async def leavers(ground: Base, count: int) -> list[str]:
    """Make numbers with one running relation each."""
    now, made = ground.clock.now(), []
    async with db.transaction(ground.pool) as tx:
        service_id = await make.service(tx, now, await make.sp(tx, now))
        for n in range(count):
            made.append(await make.number(tx, now, msisdn=str(FIRST_LEAVER + n)))
            await make.subscription(tx, now, made[-1], service_id)
    return made


async def leaving(ground: Ground, house: Base, smsc: Smsc, warm: float) -> None:
    """Take L2: a TD while nothing else goes on, and one into the middle of the prompts."""
    leaving = await leavers(house, 2 * ground.pairs + 1)
    async with bound(house, smsc) as link, working(house, link):
        await unsubscribe(smsc, leaving.pop())  # the first pays for plans
        for _ in ground.turns("L2"):
            idle = await unsubscribe(smsc, leaving.pop())
            async with prompting(house, smsc, warm) as rate:
                busy = await unsubscribe(smsc, leaving.pop())
                going_out = rate()
            ground.note("L2", busy, idle)
            ground.say(f"      ({going_out:,.0f} prompts/s went out)")
            while await house.pool.fetchval(WAITING):  # noqa: ASYNC110 - another's commits
                await asyncio.sleep(0.01)


WAITING = "SELECT EXISTS (SELECT FROM message_out WHERE state IN ('queued', 'sending'))"


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Take samples of the figures wanted."""
    count = COUNT_SHORT if ground.short else COUNT
    warm = WARM_SECONDS_SHORT if ground.short else WARM_SECONDS
    async with ground.database() as url, running_smsc() as smsc:
        settings = Settings(database_url=url, data_dir=str(Path(ground.directory) / "smpp"))
        async with base(settings) as house:
            if "L1" in wanted:
                await alone(smsc, count // 5)
                for _ in ground.turns("L1"):
                    before = time.process_time()
                    async with bound(house, smsc) as link:
                        ours = await through_rows(house, smsc, link, count)
                    between = time.process_time()
                    ground.note("L1", ours, await alone(smsc, count))
                    spent = (between - before, time.process_time() - between)
                    of_each = [f"{seconds / count * 500_000:.0f}" for seconds in spent]
                    ground.say(f"      (µs of this process for a message: {' to '.join(of_each)})")
            if "L2" in wanted:
                await leaving(ground, house, smsc, warm)
