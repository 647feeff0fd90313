"""What an SP may apply for: high prices and joint promotion obey the restrictions in force."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from spms.catalogue import actions, promotion_queries, promotions
from spms.catalogue.model import NewService, NewTariff, ServiceKind
from spms.catalogue.promotion_model import NewPromotion, PromotionState
from spms.core import db
from spms.core.errors import Refused
from spms.partners import actions as partners
from spms.partners.model import Measure
from tests import make

DAY = timedelta(days=1)
HOTLINE = "4008123456"


async def restricted(tx, sp_id, now, measure, *, service_id=None, cause="1"):
    await partners.restrict(
        tx, sp_id=sp_id, service_id=service_id, measure=measure, cause_kind="breach",
        cause_id=cause, reason="test", actor=make.OFFICER, now=now,
    )  # fmt: skip


async def lifted(tx, now, cause="1"):
    await partners.lift(
        tx, cause_kind="breach", cause_id=cause, reason="test", actor=make.OFFICER, now=now
    )


@pytest.fixture
async def sp_id(tx, now):
    sp_id = await make.sp(tx, now, hotlines=(HOTLINE, "02287654321"))
    await actions.assign_access_number(tx, sp_id, "10690001", actor=make.OFFICER, now=now)
    return sp_id


async def registered(tx, sp_id, now, kind, price_fen):
    data = NewService(
        code="880100", name="天气早知道", kind=kind, access_number="10690001", keyword="TQ",
        price_fen=price_fen, hotline=HOTLINE,
    )  # fmt: skip
    return await actions.register_service(tx, sp_id, data, actor=make.sp_actor(sp_id), now=now)


async def refusal_of(verb):
    with pytest.raises(Refused) as refused:
        await verb
    return refused.value.instance_code


@pytest.mark.parametrize(
    ("kind", "ordinary"), [(ServiceKind.MONTHLY, 1000), (ServiceKind.ON_DEMAND, 200)]
)
async def test_without_the_right_only_ordinary_prices_are_registered(
    tx, now, sp_id, kind, ordinary
):
    await restricted(tx, sp_id, now, Measure.NO_HIGH_PRICES)
    assert await refusal_of(registered(tx, sp_id, now, kind, ordinary + 1)) == "no_high_prices"
    made = await registered(tx, sp_id, now, kind, ordinary)
    dearer = NewTariff(price_fen=ordinary + 1, effective_from=now + DAY)
    actor = make.sp_actor(sp_id)
    dear = actions.add_tariff(tx, made.service.id, dearer, actor=actor, now=now)
    assert await refusal_of(dear) == "no_high_prices"
    await lifted(tx, now)
    await actions.add_tariff(tx, made.service.id, dearer, actor=actor, now=now)


async def test_a_right_lost_while_a_notice_waits_keeps_it_from_approval_and_nothing_else(
    tx, now, sp_id
):
    made = await registered(tx, sp_id, now, ServiceKind.MONTHLY, 2000)
    await restricted(tx, sp_id, now, Measure.NO_HIGH_PRICES)

    def decide(*, approve):
        return actions.decide_notice(
            tx, made.notice.id, approve=approve, reason="seen", actor=make.OFFICER, now=now
        )

    assert await refusal_of(decide(approve=True)) == "no_high_prices"
    await lifted(tx, now)
    await decide(approve=True)
    await restricted(tx, sp_id, now, Measure.NO_HIGH_PRICES, cause="2")
    offer = await actions.offer(tx, made.service.id, at=now)  # what was granted goes on
    assert offer.price_fen == 2000


async def test_the_ordinary_price_is_the_rulebook_s(tx, owner, now, sp_id):
    await owner.execute(
        "INSERT INTO rulebook (version, effective_from, rules, reason, created_at, created_by)"
        " VALUES (2, $1, $2, 'test', $1, 'test')",
        now, {"catalogue": {"ordinary_month_fen": 500}},
    )  # fmt: skip
    await restricted(tx, sp_id, now, Measure.NO_HIGH_PRICES)
    dear = registered(tx, sp_id, now, ServiceKind.MONTHLY, 501)
    assert await refusal_of(dear) == "no_high_prices"


async def asked(tx, service_id, sp_id, now, **more):
    data = NewPromotion(**{"text": "新用户优惠", "ends_at": now + 7 * DAY} | more)
    return await promotions.ask(tx, service_id, data, actor=make.sp_actor(sp_id), now=now)


async def decided(tx, promotion, now, *, approve=True):
    return await promotions.decide(
        tx, promotion.id, approve=approve, reason="seen", actor=make.OFFICER, now=now
    )


async def test_what_is_promoted_stops_being_shown_as_soon_as_the_right_is_lost(tx, now, sp_id):
    service_id = await make.service(tx, now, sp_id)
    promotion = await asked(tx, service_id, sp_id, now)
    assert await promotion_queries.running(tx, now, 10) == []
    assert (await decided(tx, promotion, now)).state is PromotionState.APPROVED
    shown = await promotion_queries.running(tx, now, 10)
    assert [one.promotion_id for one in shown] == [promotion.id]
    for measure in (Measure.NO_PROMOTION, Measure.SHIELDED):
        await restricted(tx, sp_id, now, measure)
        assert await promotion_queries.running(tx, now, 10) == []
        await lifted(tx, now)
        assert len(await promotion_queries.running(tx, now, 10)) == 1
    assert await promotion_queries.running(tx, now + 7 * DAY, 10) == []


async def test_without_the_right_nothing_is_asked_for_and_nothing_granted(tx, now, sp_id):
    service_id = await make.service(tx, now, sp_id)
    promotion = await asked(tx, service_id, sp_id, now)
    await restricted(tx, sp_id, now, Measure.NO_PROMOTION)
    assert await refusal_of(asked(tx, service_id, sp_id, now)) == "no_promotion"
    assert await refusal_of(decided(tx, promotion, now)) == "no_promotion"
    assert (await decided(tx, promotion, now, approve=False)).state is PromotionState.REJECTED
    assert await refusal_of(decided(tx, promotion, now, approve=False)) == "already_decided"


@pytest.mark.parametrize(
    "span",
    [{"ends_at": 0}, {"begins_at": -1, "ends_at": 1}, {"ends_at": 32}, {"begins_at": 3, "ends_at": 2}],
)  # fmt: skip
async def test_a_promotion_has_a_time_that_the_rulebook_allows(tx, now, sp_id, span):
    service_id = await make.service(tx, now, sp_id)
    dates = {name: now + days * DAY for name, days in span.items()}
    assert await refusal_of(asked(tx, service_id, sp_id, now, **dates)) == "promotion_range"


async def test_of_promotions_asked_for_at_once_one_waits(pool, tx, now, sp_id):
    service_id = await make.service(tx, now, sp_id)

    async def one():
        try:
            async with db.transaction(pool) as own:
                return await asked(own, service_id, sp_id, now)
        except Refused as refused:
            return refused.instance_code

    found = await asyncio.gather(*(one() for _ in range(5)))
    assert sorted(one for one in found if isinstance(one, str)) == ["promotion_waits"] * 4


async def test_who_asks_does_not_decide(owner, tx, now, sp_id):
    promotion = await asked(tx, await make.service(tx, now, sp_id), sp_id, now)
    same = promotions.decide(
        tx, promotion.id, approve=True, reason=None, actor=make.sp_actor(sp_id), now=now
    )
    assert await refusal_of(same) == "same_person"
    with pytest.raises(asyncpg.CheckViolationError, match="promotion_two_people"):
        await owner.execute(
            "UPDATE promotion SET state = 'approved', decided_at = asked_at, decided_by = asked_by"
        )


async def test_promotion_over_http_is_for_the_sp_s_own_and_officers_decide(
    http, sign_in, tx, now, sp_id
):
    service_id = await make.service(tx, now, sp_id)
    headers, officer = await sign_in(make.sp_actor(sp_id)), await sign_in(make.OFFICER)
    other = await sign_in(make.sp_actor(await make.sp(tx, now)))
    data = {"text": "新用户优惠", "ends_at": (now + DAY).isoformat()}
    path = f"/services/{service_id}/promotions"
    assert (await http.post(path, json=data, headers=other)).status_code == 404
    made = await http.post(path, json=data, headers=headers)
    assert (made.status_code, made.json()["state"]) == (201, "asked")
    assert (await http.get("/promotions", headers=other)).json()["items"] == []
    [seen] = (await http.get("/promotions", headers=officer)).json()["items"]
    decision = f"/promotions/{seen['id']}/decision"
    assert (await http.post(decision, json={"approve": True}, headers=headers)).status_code == 403
    done = await http.post(decision, json={"approve": True}, headers=officer)
    assert (done.status_code, done.json()["state"]) == (200, "approved")
    phone = await sign_in(make.subscriber_actor("8613800000001"))
    shown = (await http.get("/promoted-services", headers=phone)).json()["items"]
    assert [one["promotion_id"] for one in shown] == [seen["id"]]
