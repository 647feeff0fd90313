"""The sandbox's network: phones that live in the database, shown on the handset page."""

from datetime import datetime

from spms.core import db
from spms.core.clock import Clock
from spms.core.db import Connection, Pool
from spms.core.ids import new_id
from spms.messaging import actions, sandbox_queries
from spms.messaging.links import Submitted
from spms.messaging.model import (
    Direction,
    IncomingSms,
    MessageOut,
    Phone,
    PhoneIn,
    ScreenSms,
)

LINK = "sandbox"
SCREEN_MAX = 200
PHONES_MAX = 200


class SandboxLink:
    """A link to the phones of the sandbox. Submitting a message again shows it once."""

    name = LINK

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Show messages through the pool, at the clock's time."""
        self._pool = pool
        self._clock = clock

    async def submit(self, message: MessageOut) -> Submitted:
        """Show the message and send the receipt; a phone that is off shows nothing and fails."""
        now = self._clock.now()
        async with db.transaction(self._pool) as tx:
            on = await sandbox_queries.reachable(tx, message.msisdn)
            if on:
                await sandbox_queries.show(
                    tx, message.msisdn, message.id, direction=Direction.TO_PHONE,
                    other=message.sender, text=message.text, at=now,
                )  # fmt: skip
            await actions.record_receipt(tx, LINK, str(message.id), delivered=on, now=now)
        return Submitted(link_message_id=str(message.id))


async def phones(read: Connection) -> list[Phone]:
    """List the demonstration phones, by label; at most two hundred."""
    return await sandbox_queries.phones(read, PHONES_MAX)


async def put_phone(tx: Connection, phone: PhoneIn) -> None:
    """Add a demonstration phone, rename it, or switch it on or off."""
    await sandbox_queries.put_phone(tx, phone.msisdn, phone.label, reachable=phone.reachable)


async def screen(read: Connection, msisdn: str, *, after: int) -> list[ScreenSms]:
    """Return what a phone shows beyond message number `after`: at most the newest two hundred."""
    return await sandbox_queries.screen(read, msisdn, after=after, limit=SCREEN_MAX)


async def text_from(tx: Connection, msisdn: str, *, to: str, text: str, now: datetime) -> str:
    """Send a message from a phone, as the network would bring it; return the link's name for it."""
    sms_id = new_id()
    await sandbox_queries.show(
        tx, msisdn, sms_id, direction=Direction.FROM_PHONE, other=to, text=text, at=now
    )
    sms = IncomingSms(
        msisdn=msisdn, called=to, text=text, raw=text.encode(), link=LINK,
        link_message_id=str(sms_id),
    )  # fmt: skip
    await actions.receive(tx, sms, now=now)
    return sms.link_message_id
