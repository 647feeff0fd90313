"""Registering, pricing, approving and what is on sale, on the real database."""

import asyncio
from datetime import timedelta

import pytest

from spms.catalogue import actions
from spms.catalogue.model import NewService, NewTariff, ServiceKind, ServiceStatus
from spms.core import db
from spms.core.errors import Conflict, NotFound, Refused, Unprocessable
from spms.partners import actions as partners
from spms.partners.model import Measure
from tests import make

HOUR = timedelta(hours=1)
HOTLINES = ("4008123456", "02287654321")


def a_service(**values):
    return NewService(
        **{
            "code": "880100", "name": "天气早知道", "kind": ServiceKind.MONTHLY,
            "access_number": "10690001", "keyword": "TQ", "price_fen": 800,
            "hotline": HOTLINES[0],
        } | values
    )  # fmt: skip


async def in_own_transaction(pool, verb, *args, **values):
    """Run one verb in a transaction of its own and return its answer or its refusal."""
    try:
        async with db.transaction(pool) as tx:
            return await verb(tx, *args, **values)
    except Refused as refusal:
        return refusal


async def an_sp(tx, now, access_number="10690001"):
    sp_id = await make.sp(tx, now, hotlines=HOTLINES)
    await actions.assign_access_number(tx, sp_id, access_number, actor=make.OFFICER, now=now)
    return sp_id


async def registered(tx, sp_id, now, **values):
    return await actions.register_service(
        tx, sp_id, a_service(**values), actor=make.sp_actor(sp_id), now=now
    )


async def approved(tx, notice, now):
    return await actions.decide_notice(
        tx, notice.id, approve=True, reason=None, actor=make.OFFICER, now=now
    )


async def test_a_service_is_on_sale_from_the_approval_of_its_notice(tx, now):
    sp_id = await an_sp(tx, now)
    made = await registered(tx, sp_id, now)
    assert made.service.status is ServiceStatus.DRAFT
    with pytest.raises(actions.NotOnSale):
        await actions.offer(tx, made.service.id, at=now)
    await approved(tx, made.notice, now + HOUR)
    offer = await actions.offer(tx, made.service.id, at=now + HOUR)
    assert (offer.price_fen, offer.hotline, offer.period) == (800, HOTLINES[0], "month")
    assert (offer.tariff_id, offer.notice_id) == (made.tariff.id, made.notice.id)
    with pytest.raises(actions.NotOnSale):
        await actions.offer(tx, made.service.id, at=now + HOUR - timedelta(seconds=1))
    lines = await tx.fetch("SELECT action, from_status, to_status FROM service_event ORDER BY id")
    assert [tuple(line) for line in lines] == [
        ("register", None, "draft"),
        ("bring_online", "draft", "online"),
    ]


async def test_who_drafted_a_notice_does_not_approve_it(tx, now):
    sp_id = await an_sp(tx, now)
    made = await actions.register_service(tx, sp_id, a_service(), actor=make.OFFICER, now=now)
    with pytest.raises(Conflict) as refusal:
        await approved(tx, made.notice, now)
    assert refusal.value.instance_code == "same_person"


async def test_of_two_decisions_on_one_notice_one_counts(pool, tx, now):
    sp_id = await an_sp(tx, now)
    made = await registered(tx, sp_id, now)
    answers = await asyncio.gather(
        *[
            in_own_transaction(
                pool, actions.decide_notice, made.notice.id, approve=approve, reason="核实",
                actor=officer, now=now,
            )
            for approve, officer in [(True, make.OFFICER), (False, make.OFFICER_2)]
        ]
    )  # fmt: skip
    assert sum(isinstance(answer, Conflict) for answer in answers) == 1
    state = await tx.fetchval("SELECT state FROM notice")
    status = (await actions.get(tx, made.service.id)).status
    assert (status is ServiceStatus.ONLINE) == (state == "approved")


async def test_a_new_price_is_sold_only_with_its_own_approved_notice(tx, now):
    sp_id = await an_sp(tx, now)
    made = await registered(tx, sp_id, now)
    await approved(tx, made.notice, now)
    dearer = await actions.add_tariff(
        tx, made.service.id, NewTariff(price_fen=1000, effective_from=now + 2 * HOUR),
        actor=make.sp_actor(sp_id), now=now,
    )  # fmt: skip
    assert (dearer.tariff.version, dearer.notice.price_fen) == (2, 1000)
    before = await actions.offer(tx, made.service.id, at=now + HOUR)
    assert before.price_fen == 800
    with pytest.raises(actions.NotOnSale):
        await actions.offer(tx, made.service.id, at=now + 2 * HOUR)
    await approved(tx, dearer.notice, now + HOUR)
    after = await actions.offer(tx, made.service.id, at=now + 2 * HOUR)
    assert (after.price_fen, after.notice_id) == (1000, dearer.notice.id)
    assert await actions.offer(tx, made.service.id, at=now + HOUR) == before


async def test_a_price_never_begins_in_the_past(tx, now):
    sp_id = await an_sp(tx, now)
    made = await registered(tx, sp_id, now)
    late = NewTariff(price_fen=900, effective_from=now - timedelta(microseconds=1))
    with pytest.raises(Unprocessable) as refusal:
        await actions.add_tariff(tx, made.service.id, late, actor=make.sp_actor(sp_id), now=now)
    assert refusal.value.instance_code == "backdated"


async def test_of_prices_from_one_instant_one_is_taken(pool, tx, now):
    sp_id = await an_sp(tx, now)
    made = await registered(tx, sp_id, now)
    answers = await asyncio.gather(
        *[
            in_own_transaction(
                pool, actions.add_tariff, made.service.id,
                NewTariff(price_fen=900 + n, effective_from=now + HOUR),
                actor=make.sp_actor(sp_id), now=now,
            )
            for n in range(4)
        ]
    )  # fmt: skip
    refused = [answer.instance_code for answer in answers if isinstance(answer, Refused)]
    assert refused == ["tariff_clash"] * 3


async def test_of_registrations_with_one_code_one_is_taken(pool, tx, now):
    sp_id = await an_sp(tx, now)
    answers = await asyncio.gather(
        *[
            in_own_transaction(
                pool, actions.register_service, sp_id, a_service(keyword=f"TQ{n}"),
                actor=make.sp_actor(sp_id), now=now,
            )
            for n in range(4)
        ]
    )  # fmt: skip
    assert sum(isinstance(answer, Conflict) for answer in answers) == 3
    assert await tx.fetchval("SELECT count(*) FROM service") == 1


async def test_a_keyword_is_free_again_after_withdrawal(tx, now):
    sp_id = await an_sp(tx, now)
    first = await registered(tx, sp_id, now)
    with pytest.raises(Conflict):
        await registered(tx, sp_id, now, code="880101", keyword="tq")
    await actions.withdraw(tx, first.service.id, reason="停售", actor=make.OFFICER, now=now)
    second = await registered(tx, sp_id, now, code="880101", keyword="tq")
    await approved(tx, second.notice, now)
    found = await actions.offer_by_keyword(tx, "10690001", "ｔｑ", at=now)
    assert found is not None
    assert found.service_id == second.service.id
    assert await actions.offer_by_keyword(tx, "10690001", "另一个", at=now) is None


async def test_a_withdrawn_service_gets_no_new_price(tx, now):
    sp_id = await an_sp(tx, now)
    made = await registered(tx, sp_id, now)
    await actions.withdraw(tx, made.service.id, reason="停售", actor=make.OFFICER, now=now)
    with pytest.raises(Conflict):
        await actions.add_tariff(
            tx, made.service.id, NewTariff(price_fen=900), actor=make.sp_actor(sp_id), now=now
        )


@pytest.mark.parametrize("measure", [Measure.NO_NEW_SERVICES, Measure.OFFLINE])
async def test_a_restricted_sp_registers_nothing(tx, now, measure):
    sp_id = await an_sp(tx, now)
    await partners.restrict(
        tx, sp_id=sp_id, service_id=None, measure=measure, cause_kind="breach", cause_id="1",
        reason="test", actor=make.OFFICER, now=now,
    )  # fmt: skip
    with pytest.raises(Conflict) as refusal:
        await registered(tx, sp_id, now)
    assert refusal.value.instance_code == "no_new_services"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"hotline": "4008999999"}, "hotline_not_own"),
        ({"access_number": "10690002"}, "access_number_not_own"),
        ({"access_number": "10690003"}, "access_number_not_own"),
        ({"keyword": "td88"}, "keyword_reserved"),
    ],
)
async def test_only_what_is_the_sps_own_can_be_registered(tx, now, values, code):
    sp_id = await an_sp(tx, now)
    await an_sp(tx, now, access_number="10690002")
    with pytest.raises(Unprocessable) as refusal:
        async with tx.transaction():
            await registered(tx, sp_id, now, **values)
    assert refusal.value.instance_code == code
    assert await tx.fetchval("SELECT count(*) FROM service") == 0


async def test_only_an_active_sp_gets_a_number_and_sells(tx, now):
    waiting = await make.sp(tx, now, status="in_review")
    with pytest.raises(Conflict) as refusal:
        await actions.assign_access_number(tx, waiting, "10690009", actor=make.OFFICER, now=now)
    assert refusal.value.instance_code == "sp_not_active"
    sp_id = await an_sp(tx, now)
    made = await registered(tx, sp_id, now)
    await approved(tx, made.notice, now)
    await partners.close(tx, sp_id, reason="终止合作", actor=make.OFFICER, now=now)
    with pytest.raises(actions.NotOnSale):
        await actions.offer(tx, made.service.id, at=now)


async def test_an_access_number_is_assigned_once(pool, tx, now):
    sps = [await make.sp(tx, now) for _ in range(3)]
    answers = await asyncio.gather(
        *[
            in_own_transaction(
                pool, actions.assign_access_number, sp_id, "10690001", actor=make.OFFICER, now=now
            )
            for sp_id in sps
        ]
    )
    assert sum(isinstance(answer, Conflict) for answer in answers) == 2


async def test_a_service_comes_back_only_with_a_notice_for_todays_price(tx, now):
    sp_id = await an_sp(tx, now)
    made = await registered(tx, sp_id, now)
    await approved(tx, made.notice, now)
    values = {"reason": "检修", "actor": make.OFFICER}
    await actions.take_offline(tx, made.service.id, now=now, **values)
    with pytest.raises(actions.NotOnSale):
        await actions.offer(tx, made.service.id, at=now)
    await actions.bring_online(tx, made.service.id, now=now, **values)
    await actions.take_offline(tx, made.service.id, now=now, **values)
    await actions.add_tariff(
        tx, made.service.id, NewTariff(price_fen=900, effective_from=now + HOUR),
        actor=make.sp_actor(sp_id), now=now,
    )  # fmt: skip
    with pytest.raises(Conflict) as refusal:
        async with tx.transaction():
            await actions.bring_online(tx, made.service.id, now=now + HOUR, **values)
    assert refusal.value.instance_code == "notice_missing"
    assert (await actions.get(tx, made.service.id)).status is ServiceStatus.OFFLINE


async def test_services_are_found_by_the_hotline_they_promise(tx, now):
    sp_id = await an_sp(tx, now)
    made = await registered(tx, sp_id, now)
    assert await actions.services_showing_hotline(tx, sp_id, HOTLINES[0]) == []
    await approved(tx, made.notice, now)
    assert await actions.services_showing_hotline(tx, sp_id, HOTLINES[0]) == [made.service.id]
    assert await actions.services_showing_hotline(tx, sp_id, HOTLINES[1]) == []
    other = await actions.add_tariff(
        tx, made.service.id,
        NewTariff(price_fen=900, effective_from=now + HOUR, hotline=HOTLINES[1]),
        actor=make.sp_actor(sp_id), now=now,
    )  # fmt: skip
    await approved(tx, other.notice, now)
    assert await actions.services_showing_hotline(tx, sp_id, HOTLINES[1]) == [made.service.id]


async def test_what_does_not_exist_is_not_found(tx, now):
    sp_id = await an_sp(tx, now)
    with pytest.raises(NotFound):
        await actions.get(tx, sp_id)
    assert await actions.service_by_code(tx, "999999") is None


async def test_the_operators_own_number_is_given_to_nobody(tx, now):
    """Otherwise the answer "1" to the operator's list would be an order."""
    sp_id = await make.sp(tx, now)
    with pytest.raises(Unprocessable) as refused:
        await actions.assign_access_number(tx, sp_id, "10010", actor=make.OFFICER, now=now)
    assert refused.value.instance_code == "number_reserved"
