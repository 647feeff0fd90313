"""Places the calls that are due: takes and commits, calls without a transaction, records, judges.

Whatever happens between taking and recording, a crash of the process included, leaves a lease
that ends; the attempt is then `unknown`, counts for nothing, and another one follows later.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import structlog

from spms.core import db
from spms.core.clock import Clock
from spms.core.db import Connection, Pool
from spms.inspections import actions
from spms.inspections.model import Placing
from spms.inspections.prober import Prober
from spms.inspections.sip import CallResult

PATIENCE_SECONDS: Final = 240.0
"""For one call, well inside its lease: twice what the slowest trunk needs by default."""

log = structlog.get_logger()


async def pump_calls(pool: Pool, prober: Prober, clock: Clock) -> int:
    """Place the calls that are due once, as many as `prober.simultaneous`; return how much was done.

    Any number of pumps may run. When cancelled, calls under way are hung up and stay without a
    result. An error of the database is raised after all calls have ended; leases take care of
    what it left.
    """
    async with db.transaction(pool) as tx:
        lost = await actions.give_up_lost(tx, now=clock.now())
    async with db.transaction(pool) as tx:
        dropped = await actions.drop_withdrawn(tx, now=clock.now())
    taken = await _take(pool, prober, clock)
    async with asyncio.TaskGroup() as group:
        placed = [group.create_task(_place(pool, prober, clock, call)) for call in taken]
    for task in placed:
        if (trouble := task.result()) is not None:
            raise trouble
    return lost + dropped + len(taken)


async def _take(pool: Pool, prober: Prober, clock: Clock) -> list[Placing]:
    """Take calls and commit; nothing when another pump took one to the same number meanwhile."""
    try:
        async with db.transaction(pool) as tx:
            return await actions.take_due_calls(
                tx, caller=prober.caller, limit=prober.simultaneous, now=clock.now()
            )
    except asyncpg.UniqueViolationError:
        return []


async def _place(pool: Pool, prober: Prober, clock: Clock, call: Placing) -> Exception | None:
    """Place one call and record it; return what went wrong, so that other calls go on."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            result = await prober.place(call.number, call_id=call.call_id, clock=clock)
    except Exception as error:  # noqa: BLE001 - whatever it was, the call may have been placed
        kind = type(error).__name__
        log.warning("call_unknown", item=str(call.item_id), attempt=call.attempt_no, error=kind)
        return await _record(pool, _as_unknown(call, clock))
    return await _record(pool, _with_result(call, result, clock))


Write = Callable[[Connection], Awaitable[None]]


def _as_unknown(call: Placing, clock: Clock) -> Write:
    return lambda tx: actions.record_unknown(tx, call, now=clock.now())


def _with_result(call: Placing, result: CallResult, clock: Clock) -> Write:
    return lambda tx: actions.record_call(tx, call, result, now=clock.now())


async def _record(pool: Pool, write: Write) -> Exception | None:
    try:
        async with db.transaction(pool) as tx:
            await write(tx)
    except Exception as error:  # noqa: BLE001 - raised by the pump when the other calls are over
        return error
    return None
