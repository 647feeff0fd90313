"""A person with a phone, SPs with services, and the conversation between them, on real tables."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from spms.core import db
from spms.core.access import Actor
from spms.core.clock import FixedClock
from spms.messaging import actions as messaging
from spms.messaging.model import IncomingSms, MessageIn
from spms.partners.model import Measure, Restriction
from spms.subscribers import actions as subscribers
from spms.subscribers.model import NumberEventIn, NumberEventKind, NumberReason
from spms.subscriptions import actions
from spms.subscriptions.model import Channel, Subscription
from tests import make

OPERATOR = "10010"


class Sold(msgspec.Struct, frozen=True):
    """A service as the tests talk about it."""

    id: UUID
    sp_id: UUID
    code: str
    keyword: str
    access_number: str

    @property
    def sp(self) -> Actor:
        return make.sp_actor(self.sp_id)


class World:
    """Everything a conversation needs; each step is a transaction of its own."""

    def __init__(self, pool: db.Pool, clock: FixedClock) -> None:
        self.pool = pool
        self.clock = clock

    async def sold(self, **values: Any) -> Sold:
        sp_id = values.pop("sp_id", None)
        async with db.transaction(self.pool) as tx:
            sp_id = sp_id or await make.sp(tx, self.clock.now())
            service_id = await make.service(tx, self.clock.now(), sp_id, **values)
            row = await tx.fetchrow(
                "SELECT id, sp_id, code, keyword, access_number FROM service WHERE id = $1",
                service_id,
            )
        return Sold(**dict(row or {}))

    async def number(self, **values: Any) -> str:
        async with db.transaction(self.pool) as tx:
            return await make.number(tx, self.clock.now(), **values)

    async def running(self, msisdn: str, sold: Sold, **values: Any) -> UUID:
        async with db.transaction(self.pool) as tx:
            return await make.subscription(tx, self.clock.now(), msisdn, sold.id, **values)

    async def asked(self, msisdn: str, sold: Sold) -> Subscription:
        """Let the service's SP request it for a number."""
        async with db.transaction(self.pool) as tx:
            return await actions.request(
                tx, msisdn=msisdn, service_id=sold.id, channel=Channel.SP,
                request_text="order 17", actor=sold.sp, now=self.clock.now(),
            )  # fmt: skip

    async def received(self, msisdn: str, text: str | None, to: str = OPERATOR) -> MessageIn:
        """Store an SMS from a phone without reading it yet."""
        name = str(uuid4())
        async with db.transaction(self.pool) as tx:
            message = await messaging.receive(
                tx,
                IncomingSms(
                    msisdn=msisdn, called=to, text=text, raw=(text or "").encode("utf-16-be"),
                    link="smsc", link_message_id=name,
                ),
                now=self.clock.now(),
            )  # fmt: skip
        assert message is not None
        return message

    async def handled(self, message: MessageIn) -> str:
        async with db.transaction(self.pool) as tx:
            return await actions.handle_message(tx, message, now=self.clock.now())

    async def say(self, msisdn: str, text: str | None, to: str = OPERATOR) -> str:
        """Send an SMS from a phone and return what came of it."""
        return await self.handled(await self.received(msisdn, text, to))

    async def inbox(self, msisdn: str) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT kind, text FROM message_out WHERE msisdn = $1 ORDER BY queued_at, id", msisdn
        )
        return [row["text"] for row in rows]

    async def kinds(self, msisdn: str) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT kind FROM message_out WHERE msisdn = $1 ORDER BY queued_at, id", msisdn
        )
        return [row["kind"] for row in rows]

    async def waiting(self, msisdn: str) -> list[str]:
        """Return the kinds of what was queued to a phone and may still leave."""
        rows = await self.pool.fetch(
            "SELECT kind FROM message_out WHERE msisdn = $1 AND state IN ('queued', 'unknown')"
            " ORDER BY queued_at, id",
            msisdn,
        )
        return [row["kind"] for row in rows]

    async def status(self, subscription_id: UUID) -> str:
        status: str = await self.pool.fetchval(
            "SELECT status FROM subscription WHERE id = $1", subscription_id
        )
        return status

    async def row(self, subscription_id: UUID) -> dict[str, Any]:
        row = await self.pool.fetchrow("SELECT * FROM subscription WHERE id = $1", subscription_id)
        return dict(row or {})

    async def consents(self, msisdn: str) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("SELECT * FROM consent WHERE msisdn = $1", msisdn)
        return [dict(row) for row in rows]

    async def history(self, subscription_id: UUID) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT action FROM subscription_event WHERE subscription_id = $1 ORDER BY at, id",
            subscription_id,
        )
        return [row["action"] for row in rows]

    async def happened(self, msisdn: str, kind: str, reason: str, at: datetime) -> None:
        """Let the number registry report an event."""
        event = NumberEventIn(
            msisdn=msisdn, kind=NumberEventKind(kind), reason=NumberReason(reason), effective_at=at
        )
        async with db.transaction(self.pool) as tx:
            await subscribers.record_event(tx, event, actor=make.GATEWAY, now=self.clock.now())

    async def followed(self) -> int:
        async with db.transaction(self.pool) as tx:
            return await actions.follow_numbers(tx, now=self.clock.now())

    async def expired(self) -> int:
        async with db.transaction(self.pool) as tx:
            return await actions.expire_due(tx, now=self.clock.now())


def a_restriction(measure: Measure, service_id: UUID | None) -> Restriction:
    """Return a restriction in force."""
    return Restriction(
        id=uuid4(), sp_id=uuid4(), service_id=service_id, measure=measure, cause_kind="officer",
        cause_id="1", reason="test", imposed_by="staff:officer",
        starts_at=datetime(2026, 3, 1, tzinfo=UTC), ends_at=None,
    )  # fmt: skip
