"""Reads incoming SMS and does what they say, one number's messages in order.

Runs as they come. A message whose handling fails is put aside with outcome `failed`, for a person
to see, so that it never holds up those behind it. Charging stays stopped if it may be a wish to
leave, until an agent has settled it.
"""

import structlog

from jobs.timetable import House
from spms.core import db
from spms.core.db import NOT_NOW, Connection
from spms.messaging import actions as messaging
from spms.messaging.model import MessageIn
from spms.subscriptions import actions as subscriptions

log = structlog.get_logger()


async def pump(house: House) -> int:
    """Handle the oldest message of one number: two in one transaction could wait for each other."""
    async with db.transaction(house.pool) as tx:
        messages = await messaging.take_pending(tx, limit=1)
        for message in messages:
            await _handle(tx, message, house)
    return len(messages)


async def _handle(tx: Connection, message: MessageIn, house: House) -> None:
    now = house.clock.now()
    try:
        async with tx.transaction():
            await subscriptions.handle_message(tx, message, now=now)
    except NOT_NOW:
        raise  # the database, not the message: all of it is tried again
    except Exception as error:  # noqa: BLE001 - put aside, seen, and not in the way
        log.error("message_failed", message=str(message.id), kind=type(error).__name__)  # noqa: TRY400
        await messaging.mark_handled(tx, message, reading=None, outcome="failed", now=now)
