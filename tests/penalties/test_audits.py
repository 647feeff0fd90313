"""What the product finds by itself on the day before: notices, each once, decided by people."""

from datetime import timedelta
from uuid import uuid4

import pytest

from spms.penalties import actions, audits
from spms.penalties.model import BreachKind, BreachState, NewBreach
from tests import make

DAY = timedelta(days=1)


@pytest.fixture
async def low(owner, case):
    """Few are enough."""
    await owner.execute(
        "INSERT INTO rulebook VALUES (2, $1, $2, 'x', $1, 'test')", case.now - DAY,
        {"penalty": {
            "wrong_charges_a_day": 3, "unconsented_charges_a_day": 2, "unwanted_prompts_least": 4,
            "unwanted_prompts_percent": 75, "bundled_numbers_a_day": 2, "silent_claims_a_day": 2,
            "lost_objections_a_day": 2, "foreign_questions_a_day": 3,
        }},
    )  # fmt: skip


async def found(case):
    """Look, and look again: the same findings are the same breaches."""
    count = await case.do(audits.look)
    breaches = await case.all()
    assert await case.do(audits.look) == count
    assert [b.id for b in await case.all()] == [b.id for b in breaches]
    assert all(b.state is BreachState.PROPOSED for b in breaches)
    assert await case.held() == set()
    return {(b.kind.value, b.source_kind.value): b for b in breaches}


async def wrong(case, tx, owner, error, *, price_fen=800, refunded=True, at=None):
    msisdn = await make.number(tx, case.now)
    charge_id = await make.charge(
        tx, at or case.now, msisdn, case.service_id, findings=[error], due_fen=0,
        price_fen=price_fen,
    )  # fmt: skip
    if refunded:
        await owner.execute(
            """INSERT INTO claim (msisdn, id, charge_id, charged_at, sp_id, source, reason, state,
                                  charged_fen, due_fen, opened_at, opened_by, round)
               VALUES ($1, gen_random_uuid(), $2, $3, $4, 'audit', 'x', 'refunded', 800, 0,
                       $3, 'test', 1)""",
            msisdn, charge_id, at or case.now, case.sp_id,
        )  # fmt: skip


@pytest.mark.usefixtures("low")
async def test_errors_of_one_kind_count_together_and_only_what_was_refunded(case, tx, owner):
    await wrong(case, tx, owner, "no_consent")
    await wrong(case, tx, owner, "other_service", refunded=False)
    for _ in range(2):
        await wrong(case, tx, owner, "duplicate")
    await case.later(days=1)
    assert await found(case) == {}
    await wrong(case, tx, owner, "other_service", at=case.now - DAY)
    await wrong(case, tx, owner, "duplicate", at=case.now - DAY)
    breaches = await found(case)
    assert set(breaches) == {
        ("charged_without_consent", "consent_audit"), ("charged_twice", "compensation"),
    }  # fmt: skip
    breach = breaches["charged_without_consent", "consent_audit"]
    assert breach.service_ids == [case.service_id]
    assert "2 charges" in breach.statement
    assert "no_consent, other_service" in breach.statement


@pytest.mark.usefixtures("low")
async def test_a_wrong_price_is_one_raised_unasked_one_never_filed_or_any_other(case, tx, owner):
    await owner.execute(  # a dearer tariff, approved; and one that nobody approved
        """WITH t AS (INSERT INTO tariff (id, service_id, version, price_fen, effective_from,
                                          created_at, created_by)
                      VALUES ($4, $1, 2, 900, $2, $2, 'test'),
                             (gen_random_uuid(), $1, 3, 950, $3, $2, 'test'))
           INSERT INTO notice SELECT gen_random_uuid(), service_id, $4, 2, sp_name, service_name,
                  900, period, hotline, leave_command, 'approved', $2, drafted_by, $2, decided_by
             FROM notice WHERE service_id = $1""",
        case.service_id, case.now - 2 * DAY, case.now - DAY, uuid4(),
    )  # fmt: skip
    for price in (900, 950, 999):
        for _ in range(3):
            await wrong(case, tx, owner, "price_mismatch", price_fen=price)
    await case.later(days=1)
    assert set(await found(case)) == {
        ("price_changed_unannounced", "compensation"), ("tariff_not_filed", "compensation"),
        ("charged_otherwise", "compensation"),
    }  # fmt: skip


@pytest.mark.usefixtures("low")
async def test_a_day_that_nobody_looked_at_is_made_up_for_and_an_older_one_is_not(case, tx, owner):
    for _ in range(2):
        await wrong(case, tx, owner, "no_consent")
    await case.later(days=4)
    assert await found(case) == {}
    await case.later(days=-1)
    assert len(await found(case)) == 1


async def asked(case, tx, status, service_id=None, *, msisdn=None, minutes=0, channel="sp"):
    msisdn = msisdn or await make.number(tx, case.now)
    at = case.now + timedelta(minutes=minutes)
    subscription_id = await make.subscription(
        tx, at, msisdn, service_id or case.service_id, channel=channel,
        requested_by=f"sp:{case.sp_id}", status="active",
    )  # fmt: skip
    if status != "active":
        await tx.execute(
            "UPDATE subscription SET status = $2, ended_at = $3, end_reason = 'no' WHERE id = $1",
            subscription_id, status, at,
        )  # fmt: skip
    await tx.execute(
        """INSERT INTO subscription_event (msisdn, id, subscription_id, action, from_status,
                                           to_status, at, actor, cause)
           VALUES ($1, gen_random_uuid(), $2, 'request', NULL, 'awaiting', $3, 'test', 'sp')""",
        msisdn, subscription_id, at,
    )  # fmt: skip
    return msisdn


@pytest.mark.usefixtures("low")
async def test_prompts_that_nearly_nobody_wanted_are_a_finding_and_people_s_own_orders_never(
    case, tx
):
    for status in ("refused", "expired", "active"):
        await asked(case, tx, status)
    for _ in range(3):
        await asked(case, tx, "expired", channel="sms")
    await case.later(days=1)
    assert await found(case) == {}
    await case.later(days=-1)
    await asked(case, tx, "expired")
    await case.later(days=1)
    [(key, breach)] = (await found(case)).items()
    assert key == ("spam", "consent_audit")
    assert "of 4 prompts that the SP asked for, 3" in breach.statement


@pytest.mark.usefixtures("low")
async def test_several_services_in_one_go_are_a_bundle_and_later_ones_are_not(case, tx):
    another = await make.service(tx, case.now, case.sp_id)
    for minutes in (1, 5, 6):
        msisdn = await asked(case, tx, "active")
        await asked(case, tx, "active", another, msisdn=msisdn, minutes=minutes)
    await case.later(days=1)
    [(key, breach)] = (await found(case)).items()
    assert key == ("bundled_consent", "consent_audit")
    assert "2 numbers" in breach.statement


async def lost(case, tx, owner, *, objection):
    msisdn = await make.number(tx, case.now)
    charge_id = await make.charge(tx, case.now, msisdn, case.service_id, findings=["over_cap"])
    await owner.execute(
        """INSERT INTO verification (msisdn, id, charge_id, charged_at, sp_id, source, cause,
                                     bearer, reason, claimed_fen, state, opened_at, opened_by,
                                     object_until, objection, decided_at, decided_by, decision)
           VALUES ($1, gen_random_uuid(), $2, $3, $4, 'subscriber', 'not_opened', 'sp', 'x', 800,
                   'doubled', $3, 'subscriber', $3, $5, $3, $6, 'x')""",
        msisdn, charge_id, case.now, case.sp_id, objection,
        "staff:someone" if objection else "job:settle_claims",
    )  # fmt: skip


@pytest.mark.usefixtures("low")
async def test_claims_lost_in_silence_and_objections_overruled_are_two_findings(case, tx, owner):
    for _ in range(2):
        await lost(case, tx, owner, objection=None)
    await lost(case, tx, owner, objection="never")
    await case.later(days=1)
    assert set(await found(case)) == {("complaint_unanswered", "compensation")}
    await case.later(days=-1)
    await lost(case, tx, owner, objection="never")
    await case.later(days=1)
    assert set(await found(case)) == {
        ("complaint_unanswered", "compensation"), ("refund_refused", "compensation"),
    }  # fmt: skip


@pytest.mark.usefixtures("low")
@pytest.mark.parametrize(
    ("reason", "kind"),
    [("access_number_wrong", "sender_hidden"), ("service_not_of_sp", "port_sublet")],
)
async def test_asking_for_what_is_another_s_is_a_finding_when_it_is_often(
    case, tx, owner, reason, kind
):
    async def asks(count):
        for _ in range(count):
            await owner.execute(
                """INSERT INTO authorisation (msisdn, decided_at, id, purpose, sp_id, service_code,
                                              price_fen, allowed, reasons, rulebook_version, facts,
                                              requested_by)
                   VALUES ('8613800000001', $1, gen_random_uuid(), 'message', $2, '880100', 0,
                           false, $3, 1, '{}', 'test')""",
                case.now, case.sp_id, [reason, "number_unknown"],
            )  # fmt: skip

    await asks(2)
    await case.later(days=1)
    assert await found(case) == {}
    await case.later(days=-1)
    await asks(1)
    await case.later(days=1)
    assert set(await found(case)) == {(kind, "consent_audit")}


async def test_an_sp_with_too_few_hotlines_in_force_is_told_once_a_month(case, owner):
    await owner.execute(
        "UPDATE sp_hotline SET valid_to = $2 WHERE id IN (SELECT id FROM sp_hotline"
        " WHERE sp_id = $1 LIMIT 1)", case.sp_id, case.now,
    )  # fmt: skip
    assert set(await found(case)) == {("hotlines_too_few", "inspection")}
    await case.later(days=1)
    assert len(await found(case)) == 1


async def test_what_an_officer_reported_is_the_same_breach_when_the_audit_finds_it(
    case, tx, owner, low
):
    data = NewBreach(
        sp_id=case.sp_id, kind=BreachKind.CHARGED_WITHOUT_CONSENT, reference="a call",
        subject=str(case.service_id), service_ids=[case.service_id], statement="seen",
    )  # fmt: skip
    mine = await case.do(actions.propose, data, actor=make.OFFICER)
    for _ in range(2):
        await wrong(case, tx, owner, "no_consent")
    await case.later(days=1)
    [breach] = (await found(case)).values()
    assert breach.id == mine.id
    reports = await owner.fetch(
        "SELECT source_kind FROM breach_report WHERE breach_id = $1", mine.id
    )
    assert {row["source_kind"] for row in reports} == {"officer", "consent_audit"}


async def test_who_reported_what_a_job_had_found_does_not_decide_it(case, tx, owner, low):
    for _ in range(2):
        await wrong(case, tx, owner, "no_consent")
    await case.later(days=1)
    [breach] = (await found(case)).values()
    data = NewBreach(
        sp_id=case.sp_id, kind=breach.kind, reference="a call", subject=breach.subject,
        statement="seen",
    )  # fmt: skip
    assert (await case.do(actions.propose, data, actor=make.OFFICER)).id == breach.id
    sure = {"confirm": True, "reason": "so"}
    await case.do(actions.answer, breach.id, "no", actor=make.sp_actor(case.sp_id))
    with pytest.raises(actions.SamePerson):
        await case.do(actions.decide, breach.id, **sure, actor=make.OFFICER)
    await case.do(actions.decide, breach.id, **sure, actor=make.OFFICER_2)
    appeal = await case.appeal(breach)
    with pytest.raises(actions.SamePerson):
        await case.do(
            actions.decide_appeal, appeal.id, uphold=True, reason="so", actor=make.OFFICER
        )
