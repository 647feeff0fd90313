"""Rows of lower rooms that only this room's tests need, and one life to ask about."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from spms.authorisation import actions
from spms.authorisation.model import Decision, DecisionRequest, Purpose
from spms.core import db
from spms.core.access import Actor
from spms.core.db import Connection, Pool
from tests import make

SignIn = Callable[[Actor], Awaitable[dict[str, str]]]
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


class World:
    """An SP with one service, and a number that has it: every question is answered with yes."""

    def __init__(self, pool: Pool, tx: Connection, now: datetime) -> None:
        self.pool, self.tx, self.now = pool, tx, now
        self.sp_id = self.service_id = self.subscription_id = uuid4()
        self.code = self.msisdn = self.access_number = ""

    async def build(self, *, orders: int = 1, **service: Any) -> "World":
        """`orders` of an on-demand service: each licenses one charge."""
        since, terms = self.now - DAY, {}
        if service.get("kind") == "on_demand":  # an order is live at once: there is no prompt
            since, terms = self.now - HOUR, dict.fromkeys(("prompt_text", "confirm_by"))
        self.sp_id = await make.sp(self.tx, self.now)
        self.service_id = await make.service(self.tx, self.now, self.sp_id, **service)
        row = await self.tx.fetchrow("SELECT * FROM service WHERE id = $1", self.service_id)
        assert row is not None
        self.code, self.access_number = row["code"], row["access_number"]
        self.msisdn = await make.number(self.tx, self.now)
        self.subscription_id = await make.subscription(
            self.tx, since, self.msisdn, self.service_id, **terms
        )
        await self.order(self.msisdn, orders - 1)
        return self

    async def order(self, msisdn: str, times: int) -> None:
        for n in range(times):
            since = self.now - HOUR + (n + 1) * SECOND
            await make.subscription(self.tx, since, msisdn, self.service_id)

    def question(self, **values: Any) -> DecisionRequest:
        usual: dict[str, Any] = {
            "purpose": Purpose.CHARGE, "msisdn": self.msisdn, "service_code": self.code,
            "price_fen": 800,
        }  # fmt: skip
        return DecisionRequest(**(usual | values))

    async def decide(
        self, *asked: DecisionRequest, sp_id: UUID | None = None, at: datetime | None = None
    ) -> list[Decision]:
        """Ask in a transaction of its own, as a request does."""
        sp_id = sp_id or self.sp_id
        async with db.transaction(self.pool) as tx:
            return await actions.decide(
                tx, asked or [self.question()], sp_id=sp_id, actor=make.sp_actor(sp_id),
                now=at or self.now,
            )  # fmt: skip

    async def ask(self, *, at: datetime | None = None, **values: Any) -> list[str]:
        """Ask one question and return the reasons against it."""
        (decision,) = await self.decide(self.question(**values), at=at)
        assert decision.allowed == (not decision.reasons)
        return [str(reason) for reason in decision.reasons]


ON_RECORD = """
    SELECT (SELECT count(*) FROM authorisation)
         + (SELECT COALESCE(sum(decisions), 0) FROM decision_pack)
"""


async def on_record(owner: Connection) -> int:
    """Count the decisions on record, charges and messages."""
    return int(await owner.fetchval(ON_RECORD))


Cause = Callable[[World, Connection], Awaitable[None]]


async def insert(owner: Connection, table: str, **row: Any) -> None:
    places = ", ".join(f"${i}" for i in range(1, len(row) + 1))
    await owner.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())


async def restriction(
    owner: Connection, sp_id: UUID, measure: str, starts_at: datetime, **values: Any
) -> UUID:
    restriction_id = uuid4()
    row = {
        "id": restriction_id, "sp_id": sp_id, "measure": measure, "cause_kind": "breach",
        "cause_id": str(uuid4()), "reason": "spot check", "starts_at": starts_at,
        "imposed_by": "staff:officer",
    } | values  # fmt: skip
    await insert(owner, "restriction", **row)
    return restriction_id


async def number_event(
    owner: Connection, msisdn: str, kind: str, state_after: str, effective_at: datetime,
    *, epoch_after: int = 1, recorded_at: datetime | None = None,
) -> None:  # fmt: skip
    await insert(
        owner, "number_event", msisdn=msisdn, id=uuid4(), kind=kind, reason="requested",
        effective_at=effective_at, recorded_at=recorded_at or effective_at, actor="test",
        state_after=state_after, epoch_after=epoch_after,
    )  # fmt: skip


async def tariff(
    owner: Connection, service_id: UUID, price_fen: int, effective_from: datetime
) -> UUID:
    tariff_id = uuid4()
    await insert(
        owner, "tariff", id=tariff_id, service_id=service_id, version=2, price_fen=price_fen,
        effective_from=effective_from, created_at=effective_from - DAY, created_by="test",
    )  # fmt: skip
    return tariff_id


async def notice(
    owner: Connection, service_id: UUID, tariff_id: UUID, approved_at: datetime
) -> None:
    await insert(
        owner, "notice", id=uuid4(), service_id=service_id, tariff_id=tariff_id, version=2,
        sp_name="天津信息", service_name="天气", price_fen=1000, period="month",
        hotline="4008000000", leave_command="TD", state="approved", drafted_at=approved_at - DAY,
        drafted_by="sp:test", decided_at=approved_at, decided_by="staff:officer",
    )  # fmt: skip


async def service_event(
    owner: Connection, service_id: UUID, before: str, after: str, at: datetime
) -> None:
    """Change a service's status the way the catalogue does: the row and its history."""
    await owner.execute("UPDATE service SET status = $2 WHERE id = $1", service_id, after)
    await insert(
        owner, "service_event", service_id=service_id, action="move", from_status=before,
        to_status=after, at=at, actor="test",
    )  # fmt: skip
