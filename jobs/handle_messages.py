"""Reads incoming SMS and does what they say, one number's messages in order.

Runs as they come. A message whose handling fails is put aside with outcome `failed`, for a person
to see, so that it never holds up those behind it. Charging stays stopped if it may be a wish to
leave, until an agent has settled it. A message that cannot be handled now, because somebody holds
its number or it takes too long, stays as it is: its number is passed over for the rest of the run
and comes first again in the next. Only a database that is away ends a run.
"""

from typing import Final

import asyncpg
import structlog

from jobs.timetable import House
from spms.core import db
from spms.core.db import NOT_NOW, Connection
from spms.messaging import actions as messaging
from spms.messaging.model import MessageIn
from spms.subscriptions import actions as subscriptions

log = structlog.get_logger()

AT_ONCE: Final = 1000
"""Messages of one run. Each run waits for the numbers that are held: many share that wait."""
PASSED_MAX: Final = 200
"""Numbers that one run passes over; with more, it is the database and not the numbers."""
HELD_UP: Final[tuple[type[Exception], ...]] = (
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
)
"""What concerns one message, while the database answers all others."""


async def pump(house: House) -> int:
    """Handle what waits, the oldest first, and return how many messages were handled.

    One message to a transaction: two in one could wait for each other.
    """
    done = 0
    passed: list[str] = []
    while done < AT_ONCE and len(passed) < PASSED_MAX:
        async with db.transaction(house.pool) as tx:
            messages = await messaging.take_pending(tx, limit=1, but=passed)
            if not messages:
                break
            for message in messages:
                if await _handle(tx, message, house):
                    done += 1
                else:
                    passed.append(message.msisdn)
    return done


async def _handle(tx: Connection, message: MessageIn, house: House) -> bool:
    """Handle a message or put it aside; False when it has to wait for the next run."""
    now = house.clock.now()
    try:
        async with tx.transaction():
            await subscriptions.handle_message(tx, message, now=now)
    except HELD_UP as error:
        log.warning("message_held_up", message=str(message.id), kind=type(error).__name__)
        return False
    except NOT_NOW:
        raise  # the database, not the message: all of it is tried again
    except Exception as error:  # noqa: BLE001 - put aside, seen, and not in the way
        log.error("message_failed", message=str(message.id), kind=type(error).__name__)  # noqa: TRY400
        await messaging.mark_handled(tx, message, reading=None, outcome="failed", now=now)
    return True
