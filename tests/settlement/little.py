"""Settlements in a little world: of its own SP, in any state, without touching anybody else's."""

from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from spms.core import db
from spms.core.rulebook import section
from spms.settlement import (
    actions,
    count_queries,
    draw_queries,
    lock_queries,
    locking,
    months,
    queries,
)
from spms.settlement.drawing import draw, gather
from spms.settlement.life_model import NewObjection, ObjectionLine
from spms.settlement.model import Kind, SettlementRules
from tests import make
from tests.api_world import LittleWorld
from tests.conftest import START
from tests.settlement.conftest import JOB

MONTH = date(2026, 2, 1)
LATER = datetime(2026, 3, 15, tzinfo=UTC)
_years = count(2030)


def settlement(w: LittleWorld, state: str = "sent") -> str:
    """Bring the settlement of the world's SP to a state; return its id."""
    return str(w.house.run(_settlement(w, state))[0])


def locked(w: LittleWorld) -> dict[str, str]:
    """Lock the settlement of the world's SP for a payment of its own; return both."""
    settlement_id, month = w.house.run(_settlement(w, "locked"))
    return {"settlement_id": str(settlement_id), "month": f"{month:%Y-%m}"}


def approved(w: LittleWorld) -> str:
    """Lock it and approve its payment; return that month."""
    month = locked(w)["month"]
    _approve(w, month)
    return month


def payable(w: LittleWorld) -> str:
    """Let something be charged, locked and approved; return the settlement's id."""
    figure(w)
    found = locked(w)
    _approve(w, found["month"])
    return found["settlement_id"]


def _approve(w: LittleWorld, month: str) -> None:
    answer = w._http.post(
        "/settlement-payouts/approval", params={"month": month}, headers=w.headers("compliance")
    )
    assert answer.is_success, answer.text


async def _settlement(w: LittleWorld, state: str) -> tuple[UUID, date]:
    sp_id: UUID = w.names["sp_id"]
    pay_month = date(next(_years), 1, 1)
    async with db.transaction(w.house.pool) as tx:
        rules = await section(tx, SettlementRules, at=START)
        window = months.window_of(MONTH, months.BEGINNING, rules, 1)
        await draw_queries.open_month(tx, window, now=LATER)
        for figure in await count_queries.count_now(tx, window, sp_id):
            await tx.execute(
                "INSERT INTO settlement_figure VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                MONTH, sp_id, figure.kind, figure.records, figure.amount_fen,
            )  # fmt: skip
        rows = await draw_queries.these_sps(tx, window, [sp_id])
        (found,) = await gather(tx, rows, window=window, rules=rules)
        drawn = draw(found, window=window, rules=rules)
        await draw_queries.keep(tx, [drawn], now=LATER, actor="job:test")
        until = LATER + timedelta(days=7)
        of = drawn.settlement_id
        if state != "draft":
            await queries.send_one(tx, of, until=until, now=LATER, actor="job:test")
        if state == "disputed":
            await actions.object_to(
                tx, of, NewObjection(statement="not ours", lines=[
                    ObjectionLine(step=Kind.GROSS, expected_fen=0, reason="own count")
                ]),
                actor=make.sp_actor(sp_id), now=LATER,
            )  # fmt: skip
        if state == "locked":
            await actions.confirm(tx, of, actor=make.sp_actor(sp_id), now=LATER)
            mine = [
                row for row in await lock_queries.to_lock(tx, LATER, 10_000) if row.id == of
            ]  # fmt: skip
            await locking._lock(tx, mine, pay_month=pay_month, actor=JOB, now=LATER)
            await lock_queries.make_payout(tx, pay_month, now=LATER, actor="job:test")
    return of, pay_month


def figure(w: LittleWorld) -> None:
    """Let something have been charged in February."""

    async def work() -> Any:
        async with db.transaction(w.house.pool) as tx:
            return await make.charge(
                tx, START - timedelta(days=10), w.names["msisdn"], w.names["service_id"],
                findings=["over_cap"], due_fen=800,
            )  # fmt: skip

    w.house.run(work())
