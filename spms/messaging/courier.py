"""Carries queued messages to the network: takes, submits without a transaction, records.

Whatever happens between taking and recording, a crash of the process included, leaves a lease that
ends; the message is then sent once more. So it may reach the handset twice, never a third time.
"""

import asyncio
from collections import defaultdict
from datetime import timedelta
from typing import Final

import structlog

from spms.core import db
from spms.core.clock import Clock
from spms.core.db import Pool
from spms.messaging import actions
from spms.messaging.links import Link, LinkBusy, LinkDown, LinkRefused
from spms.messaging.model import MessageOut, Sent

SUBMIT_SECONDS: Final = 20.0
"""For everything one round took: well inside the lease, so that nobody else takes it meanwhile."""

RECHECK_SECONDS: Final = 0.5
"""What waited so long for its turn may have been taken back meanwhile, and is looked at again."""

log = structlog.get_logger()


async def pump_out(pool: Pool, link: Link, clock: Clock, *, limit: int = 50) -> int:
    """Carry due messages to the network once and return how many were taken.

    While the link is not ready they stay in the queue, for a worker whose link is. The messages
    of one number go one after the other; any number of pumps may run. An error of the database is
    raised after the whole round was tried; leases take care of what it left.
    """
    if not link.ready:
        return 0
    deadline = asyncio.get_running_loop().time() + SUBMIT_SECONDS
    async with db.transaction(pool) as tx:
        taken = await actions.take_due(tx, now=clock.now(), limit=limit)
    round_ = _Round(pool, link, clock, deadline)
    numbers: dict[str, list[MessageOut]] = defaultdict(list)
    for message in taken:
        numbers[message.msisdn].append(message)
    gate = asyncio.Semaphore(link.parallel)

    async def serve(messages: list[MessageOut]) -> None:
        async with gate:
            await round_.carry(messages)

    served = await asyncio.gather(
        *[serve(messages) for messages in numbers.values()], return_exceptions=True
    )
    for result in served:
        if isinstance(result, BaseException):
            raise result
    return len(taken)


class _Round:
    """What one pump carries at one time."""

    def __init__(self, pool: Pool, link: Link, clock: Clock, deadline: float) -> None:
        self._pool = pool
        self._link = link
        self._clock = clock
        self._deadline = deadline
        self._recheck_at = asyncio.get_running_loop().time() + RECHECK_SECONDS
        self._sent: list[Sent] = []
        self._book = asyncio.Lock()

    async def carry(self, messages: list[MessageOut]) -> None:
        """Send one number's messages in order; when the network cannot now, put the rest back."""
        for position, message in enumerate(messages):
            retry = await self._send(message)
            if retry is None:
                continue
            not_before = self._clock.now() + timedelta(seconds=retry)
            async with db.transaction(self._pool) as tx:
                for waiting in messages[position:]:
                    await actions.put_back(tx, waiting, error="link busy", not_before=not_before)
            return

    async def _send(self, message: MessageOut) -> float | None:
        """Submit one message and record what is known then; seconds to wait if it was not sent."""
        now = asyncio.get_running_loop().time()
        if now >= self._deadline:
            return 0.0
        if now >= self._recheck_at and not await self._still_wanted(message):
            return None
        try:
            async with asyncio.timeout_at(self._deadline):
                submitted = await self._link.submit(message)
        except (LinkBusy, LinkDown) as answer:
            return answer.retry_seconds
        except LinkRefused as refusal:
            async with db.transaction(self._pool) as tx:
                await actions.mark_failed(tx, message, error=refusal.reason)
            return None
        except Exception as error:  # noqa: BLE001 - any other error leaves it open whether it was sent
            kind = type(error).__name__
            log.warning("message_unknown", message=str(message.id), error=kind)
            async with db.transaction(self._pool) as tx:
                await actions.mark_unknown(tx, message, error=kind, now=self._clock.now())
            return None
        await self._record(
            Sent(
                message=message, link=submitted.link or self._link.name,
                link_message_id=submitted.link_message_id, pdu=submitted.pdu,
                parts=submitted.parts,
            )
        )  # fmt: skip
        return None

    async def _still_wanted(self, message: MessageOut) -> bool:
        """Whether nobody has taken the message back; if somebody has, it ends here."""
        async with db.transaction(self._pool) as tx:
            wanted = await actions.still_wanted(tx, message)
            if not wanted:
                await actions.put_back(tx, message, error="", not_before=self._clock.now())
        return wanted

    async def _record(self, sent: Sent) -> None:
        """Record that a message is out, together with all that waited for the same moment."""
        self._sent.append(sent)
        async with self._book:
            if sent not in self._sent:
                return  # recorded by whoever had the book before
            together = self._sent.copy()
            async with db.transaction(self._pool) as tx:
                await actions.mark_all_submitted(tx, together, now=self._clock.now())
            del self._sent[: len(together)]
