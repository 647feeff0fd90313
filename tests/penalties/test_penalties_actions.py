"""From finding to breach to measure to appeal, on the real database."""

import asyncio
from uuid import UUID, uuid4

import pytest

from spms.core import access, db, outbox
from spms.core.access import job_actor
from spms.core.errors import NotAllowed, NotFound
from spms.inspections.model import TOPIC_JUDGED
from spms.partners import actions as partners
from spms.partners.model import Measure
from spms.penalties import actions, queries
from spms.penalties.model import BreachKind, BreachState, NewBreach, Reporter, Source
from tests import make

JOB = job_actor("follow_inspections")

LOWER_RANK = {
    (Measure.NO_NEW_SERVICES, None), (Measure.NO_HIGH_PRICES, None), (Measure.NO_PROMOTION, None),
}  # fmt: skip


async def _judged(pool, now, sp_id: UUID, verdict: str, hotline="4008000000", item=None) -> None:
    payload = {
        "item_id": str(item or uuid4()), "sp_id": str(sp_id), "hotline": hotline,
        "verdict": verdict,
    }  # fmt: skip
    async with db.transaction(pool) as tx:
        await outbox.put(tx, TOPIC_JUDGED, payload, now=now)


async def _follow(pool, now) -> int:
    async with db.transaction(pool) as tx:
        return await actions.follow_inspections(tx, actor=JOB, now=now)


async def _measures(pool, sp_id, now):
    async with db.snapshot(pool) as read:
        held = await partners.restrictions_at(read, sp_id, at=now)
    return {(r.measure, r.service_id) for r in held}


@pytest.fixture
async def sp(tx, now):
    sp_id = await make.sp(tx, now)
    return sp_id, await make.service(tx, now, sp_id)


async def test_a_changed_hotline_is_a_grave_breach_that_shields_the_services_showing_it(
    pool, now, sp
):
    sp_id, service_id = sp
    await _judged(pool, now, sp_id, "number_changed")
    assert await _follow(pool, now) == 1
    async with db.snapshot(pool) as read:
        (breach,) = await queries.page(read, sp_id, None, 10)
        assert (await actions.balance(read, sp_id, year=2026, at=now)).left == 40
    assert (breach.kind, breach.state) == (BreachKind.HOTLINE_CHANGED, BreachState.EFFECTIVE)
    assert await _measures(pool, sp_id, now) == {
        *LOWER_RANK, (Measure.SHIELDED, service_id),
    }  # fmt: skip


async def test_good_and_open_verdicts_are_no_breach(pool, now, sp):
    for verdict in ("reachable", "inconclusive"):
        await _judged(pool, now, sp[0], verdict)
    assert await _follow(pool, now) == 0
    assert await _measures(pool, sp[0], now) == set()


async def test_one_finding_is_one_breach_however_often_and_wherever_it_is_told(pool, now, sp):
    item = uuid4()
    for _ in range(8):
        await _judged(pool, now, sp[0], "unreachable", item=item)
    counts = await asyncio.gather(*(_follow(pool, now) for _ in range(8)))
    assert sum(counts) == 1
    async with db.snapshot(pool) as read:
        assert (await actions.balance(read, sp[0], year=2026, at=now)).deducted == 30


async def _one_breach(pool, now, sp_id, verdict="number_changed"):
    await _judged(pool, now, sp_id, verdict)
    await _follow(pool, now)
    async with db.snapshot(pool) as read:
        return (await queries.page(read, sp_id, None, 1))[0]


async def _appeal(pool, now, breach, actor):
    async with db.transaction(pool) as tx:
        return await actions.appeal(tx, breach.id, "we had told you", actor=actor, now=now)


async def _decide(pool, now, appeal, *, uphold, actor=make.OFFICER):
    async with db.transaction(pool) as tx:
        return await actions.decide_appeal(
            tx, appeal.id, uphold=uphold, reason="papers seen", actor=actor, now=now
        )


async def test_a_quashed_breach_gives_its_points_back_and_lifts_what_only_it_brought(
    pool, now, clock, sp
):
    sp_id, _ = sp
    first = await _one_breach(pool, now, sp_id, "unreachable")
    grave = await _one_breach(pool, clock.now(), sp_id, "number_changed")
    assert (Measure.SETTLEMENT_HELD, None) in await _measures(pool, sp_id, now)
    appeal = await _appeal(pool, now, grave, make.sp_actor(sp_id))
    assert (Measure.SETTLEMENT_HELD, None) in await _measures(pool, sp_id, now)
    await _decide(pool, now, appeal, uphold=False)
    assert await _measures(pool, sp_id, now) == LOWER_RANK
    async with db.snapshot(pool) as read:
        assert (await actions.balance(read, sp_id, year=2026, at=now)).left == 70
        assert (await actions.get(read, grave.id)).state is BreachState.QUASHED
        assert (await actions.get(read, first.id)).state is BreachState.EFFECTIVE


async def test_quashing_the_earlier_breach_leaves_what_the_later_one_still_asks_for(pool, now, sp):
    sp_id, service_id = sp
    first = await _one_breach(pool, now, sp_id, "unreachable")
    await _judged(pool, now, sp_id, "number_changed")
    await _follow(pool, now)
    appeal = await _appeal(pool, now, first, make.sp_actor(sp_id))
    await _decide(pool, now, appeal, uphold=False)
    assert await _measures(pool, sp_id, now) == {
        *LOWER_RANK, (Measure.SHIELDED, service_id),
    }  # fmt: skip


async def test_an_upheld_breach_keeps_its_measures(pool, now, sp):
    breach = await _one_breach(pool, now, sp[0])
    before = await _measures(pool, sp[0], now)
    appeal = await _appeal(pool, now, breach, make.sp_actor(sp[0]))
    await _decide(pool, now, appeal, uphold=True)
    assert await _measures(pool, sp[0], now) == before


async def test_an_appeal_is_opened_once_decided_once_and_in_time(pool, now, clock, sp):
    breach = await _one_breach(pool, now, sp[0])
    assert breach.appeal_by is not None
    with pytest.raises(actions.AppealTooLate):
        await _appeal(pool, breach.appeal_by, breach, make.sp_actor(sp[0]))
    appeal = await _appeal(pool, now, breach, make.sp_actor(sp[0]))
    with pytest.raises(NotAllowed):
        await _appeal(pool, now, breach, make.sp_actor(sp[0]))
    done = await asyncio.gather(
        *(_decide(pool, now, appeal, uphold=i % 2 == 0) for i in range(6)), return_exceptions=True
    )
    assert sum(not isinstance(each, BaseException) for each in done) == 1


async def test_a_proposed_breach_has_an_interim_shield_at_most_until_another_officer_confirms(
    pool, now, sp
):
    sp_id, service_id = sp
    data = NewBreach(
        sp_id=sp_id, kind=BreachKind.CONSENT_FORGED, service_ids=[service_id], reference="A-1",
        statement="recordings",
    )  # fmt: skip
    async with db.transaction(pool) as tx:
        breach = await actions.propose(tx, data, actor=make.OFFICER, now=now)
        again = await actions.propose(tx, data, actor=make.OFFICER_2, now=now)
    assert (breach.state, again.id) == (BreachState.PROPOSED, breach.id)
    assert await _measures(pool, sp_id, now) == {(Measure.SHIELDED, service_id)}, "interim"
    with pytest.raises(actions.NotHeard):
        async with db.transaction(pool) as tx:
            await actions.decide(
                tx, breach.id, confirm=True, reason="yes", actor=make.OFFICER_2, now=now
            )
    async with db.transaction(pool) as tx:
        await actions.answer(tx, breach.id, "no", actor=make.sp_actor(sp_id), now=now)
    with pytest.raises(actions.SamePerson):
        async with db.transaction(pool) as tx:
            await actions.decide(
                tx, breach.id, confirm=True, reason="yes", actor=make.OFFICER, now=now
            )
    async with db.transaction(pool) as tx:
        await actions.decide(
            tx, breach.id, confirm=True, reason="yes", actor=make.OFFICER_2, now=now
        )
    assert (Measure.SHIELDED, service_id) in await _measures(pool, sp_id, now)
    appeal = await _appeal(pool, now, breach, make.sp_actor(sp_id))
    for involved in (make.OFFICER, make.OFFICER_2):
        with pytest.raises(actions.SamePerson):
            await _decide(pool, now, appeal, uphold=False, actor=involved)


async def test_what_a_complaint_or_an_audit_found_is_one_breach_with_an_officers_finding(
    pool, now, sp
):
    """Each source is kept; a source that does not report a kind is refused."""

    async def propose(**values):
        data = NewBreach(
            sp_id=sp[0], kind=BreachKind.SETTLEMENT_DATA_FALSE, subject="2026-02",
            statement="the sums differ", **values,
        )  # fmt: skip
        async with db.transaction(pool) as tx:
            return await actions.propose(tx, data, actor=make.OFFICER, now=now)

    audit = await propose(source=Reporter.SETTLEMENT_AUDIT, reference="2026-02/7")
    own = await propose(reference="A-9")
    assert (audit.source_kind, own.id) == (Source.SETTLEMENT_AUDIT, audit.id)
    async with db.acquired(pool) as read:
        reports = await read.fetch("SELECT source_kind FROM breach_report ORDER BY 1")
    assert {row["source_kind"] for row in reports} >= {"officer"}
    with pytest.raises(actions.WrongSource):
        await propose(source=Reporter.COMPLAINT, reference="K-1")


async def test_another_sps_service_cannot_be_the_offending_one(pool, tx, now, sp):
    other = await make.service(tx, now, await make.sp(tx, now))
    data = NewBreach(
        sp_id=sp[0], kind=BreachKind.TARIFF_NOT_SHOWN, service_ids=[other], reference="A-2",
        statement="seen",
    )  # fmt: skip
    with pytest.raises(NotFound):
        async with db.transaction(pool) as inner:
            await actions.propose(inner, data, actor=make.OFFICER, now=now)


async def test_over_http_an_sp_sees_and_appeals_its_own_breaches_only(
    http, pool, tx, now, sign_in, sp
):
    sp_id, _ = sp
    breach = await _one_breach(pool, now, sp_id)
    mine = await sign_in(make.sp_actor(sp_id))
    theirs = await sign_in(make.sp_actor(await make.sp(tx, now), "900009"))
    officer = await sign_in(make.OFFICER)
    assert [b["id"] for b in (await http.get("/breaches", headers=mine)).json()["items"]] == [
        str(breach.id)
    ]
    assert (await http.get("/breaches", headers=theirs)).json()["items"] == []
    for status, count in (("effective", 1), ("proposed", 0)):
        listed = await http.get(f"/breaches?status={status}", headers=mine)
        assert len(listed.json()["items"]) == count
    assert (await http.get("/breaches?status=x", headers=mine)).status_code == 400
    foreign = await http.get(f"/breaches/{breach.id}", headers=theirs)
    missing = await http.get(f"/breaches/{uuid4()}", headers=theirs)
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    path, body = f"/breaches/{breach.id}/appeal", {"statement": "told in time"}
    assert (await http.post(path, json=body, headers=theirs)).status_code == 404
    assert (await http.post(path, json=body, headers=officer)).status_code == 403
    appeal = await http.post(path, json=body, headers=mine)
    assert appeal.status_code == 201, appeal.text
    decision = f"/appeals/{appeal.json()['id']}/decision"
    quash = {"uphold": False, "reason": "proved"}
    assert (await http.post(decision, json=quash, headers=mine)).status_code == 403
    assert (await http.post(decision, json=quash, headers=officer)).json()["decision"] == "quashed"
    assert (await http.post(decision, json=quash, headers=officer)).status_code == 409
    points = await http.get(f"/sps/{sp_id}/points", headers=mine)
    assert points.json()["left"] == 100
    assert (await http.get(f"/sps/{sp_id}/points", headers=theirs)).status_code == 404


async def test_a_closed_sps_credentials_are_revoked_but_its_breaches_stay(pool, now, sp):
    breach = await _one_breach(pool, now, sp[0])
    async with db.transaction(pool) as tx:
        await partners.close(tx, sp[0], reason="left", actor=make.OFFICER, now=now)
        assert await access.credential_of(tx, access.ActorKind.SP, str(sp[0])) is None
        assert (await actions.get(tx, breach.id)).state is BreachState.EFFECTIVE
