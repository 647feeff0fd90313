"""Prompts and replies a second over one SMPP link, beside what the SMSC (smpp34) takes alone.

Everything runs in one process on one loop, SMSC included, so the figures are a floor. Needs an
empty database: SPMS_DATABASE_URL=postgresql://… python benchmarks/smpp.py [COUNT]
"""

import asyncio
import os
import sys
import time

from rich.console import Console
from rich.table import Table

from spms.cli.process import Base, base
from spms.core import db
from spms.core.settings import load
from spms.messaging import actions, smpp_pdu
from spms.messaging.courier import pump_out
from spms.messaging.model import MessageKind, Outgoing
from spms.messaging.smpp_link import SmppLink, open_session
from spms.messaging.smpp_pdu import Address, Command, ShortMessage
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


async def prompts(ground: Base, link: SmppLink, count: int) -> float:
    """Queue prompts, and carry them until none is left."""
    queued = [
        Outgoing(
            msisdn=msisdn, text="回复Y确认", kind=MessageKind.PROMPT, about_kind="benchmark",
            about_id=1,
        )
        for msisdn in numbers(count)
    ]  # fmt: skip
    async with db.transaction(ground.pool) as tx:
        await actions.send_many(tx, queued, now=ground.clock.now())
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


async def unsubscribe(ground: Base, smsc: Smsc, link: SmppLink) -> float:
    """Send 1,000 prompts a second and return how long a TD waits for its acknowledgement."""
    sending = asyncio.create_task(prompts(ground, link, 1000))
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    await smsc.deliver(numbers(1)[0], b"TD")
    took = time.perf_counter() - began
    await sending
    return took


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
            table.add_row("a TD while prompts go out", f"acknowledged in {waited * 1000:.0f} ms")
    Console().print(table)


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
