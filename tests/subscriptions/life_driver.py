"""One number's life on the real database, act by act; every act may crash and is then repeated."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg

from spms.authorisation import actions as authorisation
from spms.authorisation.model import DecisionRequest, Purpose
from spms.charging import actions as charging
from spms.charging.model import ChargeRecordIn, Delivery, Line
from spms.compensation import actions as compensation
from spms.core import db
from spms.core.access import job_actor
from spms.core.db import Connection, Pool
from spms.core.errors import Refused
from spms.messaging import actions as messaging
from spms.messaging.model import IncomingSms, MessageIn
from spms.subscribers import actions as subscribers
from spms.subscribers.model import NumberEventIn, NumberEventKind, NumberReason
from spms.subscriptions import actions
from spms.subscriptions.model import Channel
from tests import make

T = TypeVar("T")
OPERATOR = "10010"
REASONS = {
    "suspended": "arrears", "resumed": "paid", "terminated": "subscriber_request",
    "transferred": "owner_changed", "activated": "opened", "number_changed": "subscriber_request",
}  # fmt: skip
_serial = count(1)


class CrashError(Exception):
    """The process dies here."""


class Driver:
    """What the outside world does to one number."""

    def __init__(self, pool: Pool, owner: Connection, met: Counter[str]) -> None:
        self.pool, self.owner, self.met = pool, owner, met
        self.services: dict[str, dict[str, Any]] = {}
        self.msisdn = ""

    async def born(self, now: datetime, prices: dict[str, int], orders: frozenset[str]) -> None:
        self.msisdn = await make.number(self.owner, now)
        for name, price in prices.items():
            sp_id = await make.sp(self.owner, now)
            kind = "on_demand" if name in orders else "monthly"
            service_id = await make.service(self.owner, now, sp_id, price_fen=price, kind=kind)
            row = await self.owner.fetchrow("SELECT * FROM service WHERE id = $1", service_id)
            self.services[name] = dict(row or {})

    async def act(self, crash: str, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do one thing in a transaction; after a crash before its commit, do it again.

        Of the cuts every third is one, the others end as a rollback: to the model it is the same,
        and a new session with nothing prepared costs more than ten other acts.
        """
        if crash == "cut":
            self.met["cut_drawn"] += 1
            crash = "cut" if self.met["cut_drawn"] % 3 == 1 else "rolled_back"
        self.met[crash] += 1
        if crash in {"rolled_back", "cut"}:
            try:
                async with db.transaction(self.pool) as tx:
                    backend = tx.get_server_pid()
                    await work(tx)
                    if crash == "cut":
                        tx.terminate()
                    raise CrashError  # noqa: TRY301 - between the last line and its commit
            except (CrashError, asyncpg.InterfaceError):
                await self._gone(backend if crash == "cut" else None)  # nothing was committed
        async with db.transaction(self.pool) as tx:
            done = await work(tx)
        if crash == "repeated":
            async with db.transaction(self.pool) as tx:
                return await work(tx)
        return done

    async def _gone(self, backend: int | None) -> None:
        """Wait until the server has noticed: until then the cut transaction keeps its locks."""
        running = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
        while await self.owner.fetchval(running, backend):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.005)

    async def ask(self, service: str, door: str, crash: str, now: datetime) -> str:
        sold = self.services[service]
        actor, channel = {
            "sp": (make.sp_actor(sold["sp_id"]), Channel.SP),
            "agent": (make.AGENT, Channel.AGENT),
        }.get(door, (make.subscriber_actor(self.msisdn, await self._epoch()), Channel.WEB))

        async def work(tx: Connection) -> str:
            try:
                await actions.request(
                    tx, msisdn=self.msisdn, service_id=sold["id"], channel=channel,
                    request_text="order", actor=actor, now=now,
                )  # fmt: skip
            except Refused as refusal:
                return refusal.instance_code
            return "prompted"

        return await self.act("no" if crash == "repeated" else crash, work)

    async def receive(self, text: str, to: str, now: datetime) -> MessageIn:
        async with db.transaction(self.pool) as tx:
            message = await messaging.receive(
                tx,
                IncomingSms(
                    msisdn=self.msisdn, called=to, text=text, raw=text.encode("utf-16-be"),
                    link="smsc", link_message_id=str(uuid4()),
                ),
                now=now,
            )  # fmt: skip
        assert message is not None
        return message

    async def handle(self, message: MessageIn, crash: str, now: datetime) -> str:
        return await self.act(
            crash, lambda tx: actions.handle_message(tx, message, now=now)
        )  # fmt: skip

    async def happened(self, kind: str, now: datetime) -> None:
        event = NumberEventIn(
            msisdn=self.msisdn, kind=NumberEventKind(kind), reason=NumberReason(REASONS[kind]),
            effective_at=now,
        )  # fmt: skip
        async with db.transaction(self.pool) as tx:
            await subscribers.record_event(tx, event, actor=make.GATEWAY, now=now)

    async def follow(self, crash: str, now: datetime) -> None:
        await self.act(crash, lambda tx: actions.follow_numbers(tx, now=now))

    async def expire(self, now: datetime) -> None:
        async with db.transaction(self.pool) as tx:
            await actions.expire_due(tx, now=now)

    async def reprice(self, service: str, price: int, version: int, now: datetime) -> None:
        sold, tariff = self.services[service], uuid4()
        await self.owner.execute(
            "INSERT INTO tariff VALUES ($1, $2, $3, $4, $5, $5, 'test')",
            tariff, sold["id"], version, price, now,
        )  # fmt: skip
        await self.owner.execute(
            "INSERT INTO notice SELECT $1, service_id, $2, $3, sp_name, service_name, $4, period,"
            " hotline, leave_command, state, $5, drafted_by, $5, decided_by FROM notice"
            " WHERE service_id = $6 AND version = 1",
            uuid4(), tariff, version, price, now, sold["id"],
        )  # fmt: skip

    async def charge(
        self, service: str, at: datetime, price: int, crash: str, now: datetime
    ) -> UUID:
        sold = self.services[service]
        record = ChargeRecordIn(
            record_id=f"life-{next(_serial)}", service_code=sold["code"], msisdn=self.msisdn,
            charged_at=at, price_fen=price, delivery=Delivery.NONE,
        )  # fmt: skip
        lines = [Line(line_no=1, raw=b"", record=record)]
        actor = make.sp_actor(sold["sp_id"])
        landing = await self.act(
            crash,
            lambda tx: charging.land(
                tx, lines, sp_id=sold["sp_id"], file_id=None, actor=actor, now=now
            ),
        )
        charge_id = landing.outcomes[0].charge_id
        assert charge_id is not None, landing.outcomes
        return charge_id

    async def may_charge(self, service: str, price: int, now: datetime) -> bool:
        sold = self.services[service]
        asked = DecisionRequest(
            purpose=Purpose.CHARGE, msisdn=self.msisdn, service_code=sold["code"], price_fen=price
        )
        async with db.transaction(self.pool) as tx:
            (decision,) = await authorisation.decide(
                tx, [asked], sp_id=sold["sp_id"], actor=make.sp_actor(sold["sp_id"]), now=now
            )
        return decision.allowed

    async def refund(self, now: datetime, *, audit: bool) -> None:
        async with db.transaction(self.pool) as tx:
            if audit:
                actor, back = job_actor("reaudit"), timedelta(days=7)
                await charging.reaudit_recent(tx, now=now, actor=actor, back=back)
            await compensation.refund_findings(tx, now=now)

    async def _epoch(self) -> int:
        epoch: int = await self.owner.fetchval(
            "SELECT epoch FROM number WHERE msisdn = $1", self.msisdn
        )
        return epoch

    async def relations(self) -> list[dict[str, Any]]:
        rows = await self.owner.fetch(RELATIONS, self.msisdn)
        return [dict(row) for row in rows]

    async def charges(self) -> list[dict[str, Any]]:
        rows = await self.owner.fetch(CHARGES, self.msisdn)
        return [dict(row) for row in rows]


RELATIONS = """
    SELECT service_id, epoch, status, price_fen, active_from, charge_from, ended_at, prompt_code
      FROM subscription WHERE msisdn = $1 ORDER BY requested_at, id
"""
CHARGES = """
    SELECT c.id, c.price_fen, LEAST(c.due_fen, f.due_fen) AS due_fen,
           COALESCE(t.refunded_fen, 0) AS refunded_fen, c.charged_at,
           s.active_from, s.charge_from, s.ended_at, s.end_reason, s.kind,
           k.price_fen AS agreed_fen, k.kind AS consent_kind, k.prompt_text, s.requested_by,
           m.called, s.service_id = c.service_id AS same_service
      FROM charge_record c
      LEFT JOIN LATERAL (SELECT min(due_fen) AS due_fen FROM charge_finding
                          WHERE msisdn = c.msisdn AND charge_id = c.id) f ON true
      LEFT JOIN refund_total t ON t.msisdn = c.msisdn AND t.charge_id = c.id
      LEFT JOIN subscription s ON s.msisdn = c.msisdn AND s.id = c.consent_id
      LEFT JOIN consent k ON k.msisdn = c.msisdn AND k.subscription_id = c.consent_id
      LEFT JOIN message_in m ON m.msisdn = k.msisdn AND m.received_at = k.message_received_at
           AND m.id = k.message_id
     WHERE c.msisdn = $1
"""
