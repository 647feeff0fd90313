"""A service, two people who have it, and what its SP does with them."""

import asyncio
from typing import Any

import msgspec

from jobs import refund_findings
from tests.stories.world import Company, Phone, Shop, World

LI, ZHAO = "8613800138001", "8613800138002"
ENTRANCES = 32


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """What the chapters hand on: a service on sale and two people who have it."""

    shop: Shop
    li: Phone
    zhao: Phone

    @property
    def company(self) -> Company:
        return self.shop.company


async def ask(sale: Sale, phone: Phone | None = None) -> Any:
    """Let the SP ask whether it may charge the month (Zhao's, unless said)."""
    body = {
        "purpose": "charge", "msisdn": (phone or sale.zhao).msisdn,
        "service_code": sale.shop.code, "price_fen": 800,
        "access_number": sale.shop.access_number,
    }  # fmt: skip
    return await sale.company.api.post("/authorisations", body)


async def charge(
    world: World, sale: Sale, record_id: str, *, price_fen: int = 800, by: Company | None = None
) -> Any:
    """Let an SP report a charge of Li's number of this moment; return what became of it."""
    record = {
        "record_id": record_id, "service_code": sale.shop.code, "msisdn": LI,
        "charged_at": world.clock.now().isoformat(), "price_fen": price_fen, "delivery": "none",
    }  # fmt: skip
    api = (by or sale.company).api
    landing = await api.post("/charge-records", {"records": [record]})
    return landing["outcomes"][0]


async def signed_in(world: World, sale: Sale) -> None:
    """Let everybody who will claim sign in: the jobs run meanwhile, but not from here on."""
    await sale.li.web.get("/my/number")
    await world.agent.get("/services")


async def raced(world: World, sale: Sale, charge_id: str, *, refunded_fen: int) -> None:
    """Claim one charge 32 times at once through three entrances: all get the one refund."""
    body = {"charge_id": charge_id, "reason": "扣费有误"}
    by_agent = body | {"msisdn": LI}
    answers = await asyncio.gather(
        *(
            refund_findings.pump(world.house) if n % 3 == 0
            else sale.li.web.post("/claims", body, key=f"{charge_id}-{n}") if n % 3 == 1
            else world.agent.post("/claims", by_agent, key=f"{charge_id}-{n}")
            for n in range(ENTRANCES)
        )
    )  # fmt: skip
    claims = [answer for answer in answers if isinstance(answer, dict)]
    assert len({claim["id"] for claim in claims}) == 1
    assert {(claim["state"], claim["refunded_fen"]) for claim in claims} == {
        ("refunded", refunded_fen)
    }
    assert sum(answer for answer in answers if isinstance(answer, int)) <= 1
    await world.settle()
