"""Notice, statement, decision, appeal, cure, retest, closed or escalated; measures on the way."""

from datetime import timedelta
from uuid import uuid4

import pytest

from spms.catalogue import actions as catalogue
from spms.catalogue import promotions
from spms.catalogue.model import NewTariff
from spms.catalogue.promotion_model import NewPromotion
from spms.core import db, outbox
from spms.core.errors import NotAllowed, Refused
from spms.inspections.model import TOPIC_SET_ASIDE
from spms.partners import actions as partners
from spms.partners import bad_credit
from spms.partners.model import Application, CompanyLink, Measure
from spms.penalties import actions, remedies
from spms.penalties.model import BreachKind, BreachState, Finding, Grade, Remedy, Source
from tests import make

LOWER_RANK = {Measure.NO_NEW_SERVICES, Measure.NO_HIGH_PRICES, Measure.NO_PROMOTION}


async def _fine(owner, breach):
    row = await owner.fetchrow("SELECT state, amount_fen FROM fine WHERE breach_id = $1", breach.id)
    return tuple(row)


async def test_a_general_breach_that_is_cured_in_time_is_closed_and_its_fine_remitted(case, owner):
    breach = await case.effective(BreachKind.PROMOTION_INACCURATE)
    assert (breach.grade, breach.remedy) == (Grade.GENERAL, Remedy.DUE)
    assert await _fine(owner, breach) == ("suspended", 500_000)
    sp = make.sp_actor(case.sp_id)
    await case.do(remedies.report_cure, breach.id, "corrected", actor=sp)
    with pytest.raises(actions.SamePerson):
        await case.do(remedies.retest, breach.id, passed=True, reason="ok", actor=sp)
    await case.later(days=30)
    assert await case.watch() == 0, "who says that it is cured waits for the retest"
    closed = await case.do(
        remedies.retest, breach.id, passed=True, reason="seen", actor=make.OFFICER
    )
    assert (closed.remedy, closed.state) == (Remedy.CLOSED, BreachState.EFFECTIVE)
    assert await _fine(owner, breach) == ("void", 500_000)
    assert await case.left() == 90, "the points stay"
    with pytest.raises(NotAllowed):
        await case.do(remedies.report_cure, breach.id, "again", actor=sp)


async def test_what_is_not_cured_escalates_grade_by_grade_down_to_offline_and_the_list(
    case, owner, tx
):
    first = await case.effective(BreachKind.PROMOTION_INACCURATE, subject="page 7")
    await case.later(hours=1)
    assert await case.watch() == 0
    await case.later(days=20)
    assert await case.watch() == 1
    assert await case.watch() == 0, "once"
    assert (await case.get(first)).remedy is Remedy.ESCALATED
    assert await _fine(owner, first) == ("due", 500_000)
    second = (await case.all())[-1]
    assert (second.grade, second.points, second.caused_by) == (Grade.SERIOUS, 20, first.id)
    assert (await case.left(), second.state) == (70, BreachState.EFFECTIVE)
    sp = make.sp_actor(case.sp_id)
    await case.do(remedies.report_cure, second.id, "done", actor=sp)
    await case.later(days=20)
    await case.do(remedies.retest, second.id, passed=False, reason="no", actor=make.OFFICER)
    third = (await case.all())[-1]
    assert (third.grade, third.points, await case.left()) == (Grade.GRAVE, 30, 40)
    await case.later(days=20)
    await case.watch()
    fourth = (await case.all())[-1]
    assert (fourth.points, await case.left()) == (60, -20)
    assert Measure.OFFLINE in await case.held()
    assert await owner.fetchval("SELECT count(*) FROM bad_credit WHERE removed_at IS NULL") == 1
    # The last one is quashed: what only it brought goes, the list included.
    appeal = await case.appeal(fourth)
    await case.decide_appeal(appeal, uphold=False)
    assert (await case.left(), Measure.OFFLINE in await case.held()) == (40, False)
    assert await owner.fetchval("SELECT count(*) FROM bad_credit WHERE removed_at IS NULL") == 0


async def test_no_cure_is_enforced_while_an_appeal_is_open_and_its_date_counts_anew(case):
    breach = await case.effective()
    appeal = await case.appeal(breach)
    await case.later(days=40)
    assert await case.watch() == 0
    await case.decide_appeal(appeal, uphold=True)
    upheld = await case.get(breach)
    assert upheld.cure_by > case.now
    assert await case.watch() == 0
    await case.later(days=10)
    assert await case.watch() == 1


async def test_a_dead_hotline_is_one_breach_until_a_later_check_finds_it_good(case, tx, owner):
    assert await case.judged("unreachable") == 1
    await case.later(days=1)
    assert await case.judged("unreachable") == 0, "the next day's check finds the same"
    (breach,) = await case.all()
    assert await owner.fetchval("SELECT count(*) FROM breach_report") == 2
    data = Finding(
        sp_id=case.sp_id, kind=BreachKind.HOTLINE_UNREACHABLE, source=Source.COMPLAINT,
        source_id="T-1", subject="4008000000", statement="nobody answers",
    )  # fmt: skip
    assert (await case.do(actions.report, data)).id == breach.id, "whoever reports it"
    await case.later(days=10)
    await case.watch()
    assert await case.judged("unreachable") == 0
    escalated = (await case.all())[-1]
    assert (len(await case.all()), escalated.grade) == (2, Grade.GRAVE)
    good = await make.hotline_finding(tx, case.now, case.sp_id, "4008000000")
    assert await case.judged("reachable", item=good["item_id"]) == 0
    assert (await case.get(escalated)).remedy is Remedy.CLOSED
    await case.later(days=1)
    assert await case.judged("unreachable") == 1, "dead again after it was cured: a new finding"
    assert await case.left() == 100 - 30 - 30 - 30


async def test_a_finding_that_an_objection_set_aside_is_quashed_with_all_that_followed(case):
    item = uuid4()
    await case.judged("unreachable", item=item)
    await case.later(days=10)
    await case.watch()
    assert await case.left() == 40
    async with db.transaction(case.pool) as tx:
        await outbox.put(tx, TOPIC_SET_ASIDE, {"item_id": str(item)}, now=case.now)
    await case.do(actions.follow_inspections)
    assert {b.state for b in await case.all()} == {BreachState.QUASHED}
    assert (await case.left(), await case.held()) == (100, set())


async def test_a_varied_breach_stands_at_the_lower_grade(case, owner):
    breach = await case.effective(BreachKind.CONSENT_FORGED)
    assert Measure.SHIELDED in await case.held()
    appeal = await case.appeal(breach)
    with pytest.raises(actions.NotMilder):
        await case.decide_appeal(appeal, uphold=True, vary_to=Grade.GRAVE)
    done = await case.decide_appeal(appeal, uphold=True, vary_to=Grade.SERIOUS)
    varied = await case.get(breach)
    assert (done.decision, varied.state) == ("varied", BreachState.VARIED)
    assert (varied.grade, varied.points, varied.final_at) == (Grade.SERIOUS, 30, case.now)
    assert (await case.left(), await case.held()) == (70, LOWER_RANK)
    assert await _fine(owner, breach) == ("due", 1_000_000)
    assert await case.collect() == 1
    assert await owner.fetchval("SELECT sum(amount_fen) FROM posting") == 1_000_000


async def test_lifting_one_measure_never_lifts_another(case):
    one = await case.effective(BreachKind.SETTLEMENT_DATA_FALSE)
    await case.effective(BreachKind.SELF_CONSUMPTION)
    officers = await case.do(
        partners.restrict, sp_id=case.sp_id, service_id=None, measure=Measure.SETTLEMENT_HELD,
        cause_kind="officer", cause_id="x", reason="look", actor=make.OFFICER,
    )  # fmt: skip
    assert Measure.SETTLEMENT_HELD in await case.held()
    appeal = await case.appeal(one)
    await case.decide_appeal(appeal, uphold=False)
    assert Measure.SETTLEMENT_HELD in await case.held(), "the other breach and the officer's"
    async with db.snapshot(case.pool) as read:
        held = await partners.restrictions_at(read, case.sp_id, at=case.now)
    causes = {r.cause_kind for r in held if r.measure is Measure.SETTLEMENT_HELD}
    assert causes == {"breach", "officer"}
    assert officers in {r.id for r in held}


async def test_linkage_takes_the_points_in_every_province_and_gives_them_back(case, tx, owner):
    other = await make.sp(tx, case.now)
    for sp_id, province in ((case.sp_id, "天津"), (other, "四川")):
        data = CompanyLink(company="津门集团", province=province)
        await case.do(bad_credit.link, sp_id, data, actor=make.OFFICER)
    await case.effective()
    assert (await case.left(), await case.left(other)) == (70, 100), "an option: off by default"
    await owner.execute(
        """INSERT INTO rulebook VALUES (2, $1, '{"penalty": {"linkage_from": "serious"}}', 'x',
           $1, 'test')""",
        case.now,
    )
    breach = await case.effective(BreachKind.CONSENT_FORGED)
    assert (await case.left(), await case.left(other)) == (10, 40)
    assert Measure.NO_NEW_SERVICES in await case.held(other)
    await case.decide_appeal(await case.appeal(breach), uphold=False)
    assert (await case.left(), await case.left(other)) == (70, 100)


async def test_the_barred_come_back_under_no_similar_name_number_or_person(case, tx, now):
    await tx.execute(
        """UPDATE sp SET responsible_name = '王芳', responsible_mobile = '8613900000001'
            WHERE id = $1""",
        case.sp_id,
    )
    async with db.snapshot(case.pool) as read:
        listed = await partners.get(read, case.sp_id)
    for _ in range(2):
        await case.effective(BreachKind.CONSENT_FORGED)
    assert Measure.OFFLINE in await case.held()
    await case.do(partners.close, case.sp_id, reason="left", actor=make.OFFICER)

    def application(**other):
        fields = {
            "name": "完全不同", "licence_no": "B2-99999999", "responsible_name": "李雷",
            "responsible_mobile": "8613900000009", "hotlines": ["4008111111", "4008222222"],
        } | other  # fmt: skip
        return Application(**fields)

    async def apply(**other):
        async with db.transaction(case.pool) as own:
            return await partners.apply(own, application(**other), now=case.now)

    for same in (
        {"licence_no": listed.licence_no},
        {"name": f"{listed.name} 股份有限公司"},
        {"name": listed.name.replace("1", "１")},
        {"responsible_mobile": "8613900000001"},
    ):
        with pytest.raises(bad_credit.Barred):
            await apply(**same)
    namesake = (await apply(responsible_name="王 芳")).sp
    await case.do(partners.review, namesake.id, actor=make.OFFICER)
    with pytest.raises(bad_credit.MustBeCleared):
        await case.do(partners.activate, namesake.id, actor=make.OFFICER)
    async with db.snapshot(case.pool) as read:
        (entry, *_) = await bad_credit.page(read, None, 10)
    await case.do(bad_credit.clear, namesake.id, entry.id, reason="another", actor=make.OFFICER)
    # Each of its causes is an entry of its own; all must be cleared.
    assert (await case.do(partners.activate, namesake.id, actor=make.OFFICER)).status == "active"
    # Liability survives leaving: found after the SP left, decided and fined all the same.
    late = await case.effective(BreachKind.SPAM)
    assert (late.state, late.points) == (BreachState.EFFECTIVE, 30)
    await case.later(days=732)
    await apply(responsible_mobile="8613900000001", name="另一家", licence_no="B2-88888888")


async def test_points_decide_what_may_be_applied_for_and_a_quashed_breach_gives_it_back(case, tx):
    hotline = await tx.fetchval("SELECT min(number) FROM sp_hotline WHERE sp_id = $1", case.sp_id)
    dear = NewTariff(
        price_fen=2000, effective_from=case.now + timedelta(days=1), hotline=hotline
    )  # fmt: skip
    asked = NewPromotion(text="新用户优惠", ends_at=case.now + timedelta(days=7))
    actor = make.sp_actor(case.sp_id)

    async def refusals():
        found = []
        for verb, data in ((catalogue.add_tariff, dear), (promotions.ask, asked)):
            async with db.acquired(case.pool) as own:
                trial = own.transaction()
                await trial.start()
                try:
                    await verb(own, case.service_id, data, actor=actor, now=case.now)
                except Refused as refused:
                    found.append(refused.instance_code)
                await trial.rollback()
        return found

    assert await refusals() == []
    first = await case.effective(BreachKind.COMPLAINT_UNANSWERED)  # 90 points: rank B
    assert await refusals() == ["no_high_prices"]
    second = await case.effective(BreachKind.TARIFF_NOT_SHOWN)  # 60 points: rank C
    assert await refusals() == ["no_high_prices", "no_promotion"]
    await case.decide_appeal(await case.appeal(first), uphold=False)
    assert await refusals() == ["no_high_prices", "no_promotion"]  # the second brings it by now
    await case.decide_appeal(await case.appeal(second), uphold=False)
    assert (await case.held(), await refusals()) == (set(), [])
