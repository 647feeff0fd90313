"""Decisions on real rows: each reason as the rooms below would cause it, races, whole batches."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from spms.authorisation import actions, recorded
from spms.authorisation.model import BATCH_MAX, Decision, Purpose, Reason
from spms.core import db
from spms.core.db import Connection
from spms.core.errors import TooLarge
from spms.messaging import actions as messaging
from spms.messaging.model import IncomingSms
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import DAY, HOUR, Cause, World

SECOND = timedelta(seconds=1)


async def _sp_closed(world: World, owner: Connection) -> None:
    await owner.execute("UPDATE sp SET status = 'closed' WHERE id = $1", world.sp_id)


async def _sp_offline(world: World, owner: Connection) -> None:
    await arrange.restriction(owner, world.sp_id, "offline", world.now - HOUR)


async def _service_offline(world: World, owner: Connection) -> None:
    await arrange.service_event(owner, world.service_id, "online", "offline", world.now - HOUR)


async def _sp_shielded(world: World, owner: Connection) -> None:
    await arrange.restriction(owner, world.sp_id, "shielded", world.now - HOUR)


async def _service_shielded(world: World, owner: Connection) -> None:
    await arrange.restriction(
        owner, world.sp_id, "shielded", world.now - HOUR, service_id=world.service_id
    )


async def _new_tariff_without_notice(world: World, owner: Connection) -> None:
    await arrange.tariff(owner, world.service_id, 1000, world.now - HOUR)


async def _suspended(world: World, owner: Connection) -> None:
    await arrange.number_event(owner, world.msisdn, "suspended", "suspended", world.now - HOUR)


async def _terminated(world: World, owner: Connection) -> None:
    await arrange.number_event(owner, world.msisdn, "terminated", "terminated", world.now - HOUR)


async def _transferred(world: World, owner: Connection) -> None:
    await arrange.number_event(
        owner, world.msisdn, "transferred", "active", world.now - HOUR, epoch_after=2
    )


async def _left(world: World, owner: Connection) -> None:
    await owner.execute(
        "UPDATE subscription SET status = 'ended', ended_at = $2 WHERE id = $1",
        world.subscription_id, world.now,
    )  # fmt: skip


async def _left_under_a_new_tariff(world: World, owner: Connection) -> None:
    await _left(world, owner)
    await _new_tariff_without_notice(world, owner)


async def _not_begun(owner: Connection) -> None:
    """Let a relation that has begun be written as if it had not."""
    await owner.execute("ALTER TABLE subscription DISABLE TRIGGER subscription_settled")


async def _not_confirmed(world: World, owner: Connection) -> None:
    await _not_begun(owner)
    await owner.execute(
        "UPDATE subscription SET status = 'awaiting', active_from = NULL, confirm_by = $2"
        " WHERE id = $1",
        world.subscription_id, world.now + SECOND,
    )  # fmt: skip
    await owner.execute("DELETE FROM consent WHERE subscription_id = $1", world.subscription_id)


async def _window_over(world: World, owner: Connection) -> None:
    await _not_confirmed(world, owner)
    await owner.execute("UPDATE subscription SET confirm_by = $1", world.now)


async def _consent_missing(world: World, owner: Connection) -> None:
    await owner.execute("ALTER TABLE subscription DROP CONSTRAINT subscription_live_has_consent")
    await owner.execute("DELETE FROM consent WHERE subscription_id = $1", world.subscription_id)


async def _in_trial(world: World, owner: Connection) -> None:
    await _not_begun(owner)
    await owner.execute("UPDATE subscription SET charge_from = $1", world.now + SECOND)


async def _in_free_trial_of_the_sp(world: World, owner: Connection) -> None:
    await _free_until(world, owner, world.now + SECOND)


async def _free_trial_over(world: World, owner: Connection) -> None:
    await _free_until(world, owner, world.now)


async def _free_until(world: World, owner: Connection, until: datetime) -> None:
    """Somebody else took the SP's offer: what she agreed to stays as it was."""
    world.msisdn = await make.number(owner, world.now)
    await make.subscription(
        owner, world.now - DAY, world.msisdn, world.service_id, charge_from=until,
        free_until=until,
    )  # fmt: skip


async def _nothing(_world: World, _owner: Connection) -> None:
    pass


async def _spent_here(world: World, _owner: Connection) -> None:
    assert await world.ask() == []


async def _capped_here(world: World, owner: Connection) -> None:
    await _rules(world, owner, cap={"service_month_fen": 799})


async def _spent_elsewhere(world: World, owner: Connection) -> None:
    for price_fen in (2900, 2900, 2900, 1000):
        service_id = await make.service(owner, world.now, world.sp_id, price_fen=price_fen)
        code = await owner.fetchval("SELECT code FROM service WHERE id = $1", service_id)
        await make.subscription(owner, world.now - DAY, world.msisdn, service_id)
        assert await world.ask(service_code=code, price_fen=price_fen) == []


async def _barred(world: World, owner: Connection) -> None:
    for scope, target in (("all", ""), ("sp", str(world.sp_id)), ("category", "information")):
        await arrange.insert(
            owner, "number_bar", msisdn=world.msisdn, id=uuid4(), epoch=1, scope=scope,
            target=target, starts_at=world.now, set_by="subscriber:sms",
        )  # fmt: skip


async def _td_received(world: World, owner: Connection, *, before: timedelta = SECOND * 0) -> None:
    """It lies there unread, because everything behind the link is slow."""
    sms = IncomingSms(
        msisdn=world.msisdn, called="10010", text="ＴＤ", raw=b"TD", link="smsc",
        link_message_id="td",
    )  # fmt: skip
    assert await messaging.receive(owner, sms, now=world.now - before) is not None


async def _td_put_aside(world: World, owner: Connection) -> None:
    """Its handling failed, and a person is to look at it; she has left all the same."""
    await _td_received(world, owner)
    await _handled(world, owner, "failed")


async def _td_put_aside_long_ago(world: World, owner: Connection) -> None:
    """Nobody has looked at it for weeks: she has left all the same."""
    await _td_received(world, owner, before=HOUR * 20)
    await _handled(world, owner, "failed")
    world.now += DAY * 20


async def _td_before_the_relation(world: World, owner: Connection) -> None:
    """What she ordered after it, she wants."""
    await _td_received(world, owner, before=DAY * 20)
    await _handled(world, owner, "failed")


async def _handled(world: World, owner: Connection, outcome: str) -> None:
    (sms,) = await messaging.take_pending(owner)
    assert await messaging.mark_handled(owner, sms, reading="leave", outcome=outcome, now=world.now)


async def _td_carried_out_elsewhere(world: World, owner: Connection) -> None:
    await _td_received(world, owner)
    await _handled(world, owner, "left")


async def _rules(world: World, owner: Connection, **rules: Any) -> None:
    await arrange.insert(
        owner, "rulebook", version=2, effective_from=world.now - HOUR, rules=rules, reason="test",
        created_at=world.now, created_by="test",
    )  # fmt: skip


async def _quiet_at_noon(world: World, owner: Connection) -> None:
    await _rules(world, owner, push={"quiet_from_hour": 12, "quiet_to_hour": 13})


async def _quota(world: World, owner: Connection, **values: Any) -> None:
    await arrange.insert(
        owner, "sp_quota", id=uuid4(), sp_id=world.sp_id, version=1, reason="test",
        effective_from=world.now - HOUR, created_at=world.now - DAY, created_by="test", **values,
    )  # fmt: skip


async def _quota_used_up(world: World, owner: Connection) -> None:
    await _quota(world, owner, per_month=1)
    assert await world.ask(purpose=Purpose.MESSAGE, price_fen=0) == []


async def _too_fast(world: World, owner: Connection) -> None:
    await _quota(world, owner, per_second=1)
    assert await world.ask(purpose=Purpose.MESSAGE, price_fen=0) == []


async def _word_forbidden(world: World, owner: Connection) -> None:
    await _rules(world, owner, content={"forbidden_words": {"lottery": "六合彩"}})


async def _text_approved(world: World, owner: Connection) -> None:
    await arrange.insert(
        owner, "message_template", id=uuid4(), service_id=world.service_id, version=1,
        wording="【天气】{}", state="approved", drafted_at=world.now - DAY, drafted_by="sp:test",
        decided_at=world.now - HOUR, decided_by="staff:officer",
    )  # fmt: skip


async def _category_capped(world: World, owner: Connection) -> None:
    """Another SP's service of the same category has used the cap but for 7.99 yuan."""
    await _rules(world, owner, cap={"category_month_fen": {"information": 1_599}})
    sp_id = await make.sp(owner, world.now)
    service_id = await make.service(owner, world.now, sp_id)
    await make.subscription(owner, world.now - DAY, world.msisdn, service_id)
    code = await owner.fetchval("SELECT code FROM service WHERE id = $1", service_id)
    (decision,) = await world.decide(world.question(service_code=code), sp_id=sp_id)
    assert decision.allowed


PUSH: dict[str, Any] = {"purpose": Purpose.MESSAGE, "price_fen": 0}
CAUSES = [
    (["sp_quota"], _quota_used_up, PUSH),
    ([], _quota_used_up, {}),
    (["sp_rate"], _too_fast, PUSH),
    (["content_forbidden"], _word_forbidden, PUSH | {"content": "六-合-彩"}),
    ([], _word_forbidden, PUSH),
    (["content_not_approved"], _text_approved, PUSH | {"content": "气温22度"}),
    (["content_not_approved"], _text_approved, PUSH),
    ([], _text_approved, PUSH | {"content": "【天气】晴"}),
    (["quiet_hours"], _quiet_at_noon, {"purpose": Purpose.MESSAGE, "price_fen": 0}),
    ([], _quiet_at_noon, {}),
    (["cap_category"], _category_capped, {}),
    (["sp_not_active"], _sp_closed, {}),
    (["sp_offline"], _sp_offline, {}),
    (["service_unknown"], _nothing, {"service_code": "99999999"}),
    (["service_not_online"], _service_offline, {}),
    (["service_shielded"], _sp_shielded, {}),
    (["service_shielded"], _service_shielded, {}),
    ([], _new_tariff_without_notice, {}),  # the old price until the end
    (["price_mismatch"], _new_tariff_without_notice, {"price_fen": 1000}),
    (["no_notice", "no_consent"], _left_under_a_new_tariff, {"price_fen": 1000}),
    (["access_number_wrong"], _nothing, {"access_number": "10699999"}),
    (["price_mismatch"], _nothing, {"price_fen": 801}),
    (["number_unknown"], _nothing, {"msisdn": "8613700000000"}),
    (["number_suspended"], _suspended, {}),
    (["number_terminated"], _terminated, {}),
    (["no_consent"], _transferred, {}),
    (["no_consent"], _left, {}),
    (["no_consent"], _window_over, {}),
    (["no_consent"], _consent_missing, {}),
    (["consent_pending"], _not_confirmed, {}),
    (["barred_all", "barred_sp", "barred_category"], _barred, {}),
    (["leave_received"], _td_received, {}),
    (["leave_received"], _td_put_aside, {}),
    (["leave_received"], _td_put_aside_long_ago, {}),
    ([], _td_before_the_relation, {}),
    ([], _td_carried_out_elsewhere, {}),
    ([], _td_received, {"purpose": Purpose.MESSAGE, "price_fen": 0}),
    (["trial"], _in_trial, {}),
    ([], _in_trial, {"purpose": Purpose.MESSAGE, "price_fen": 0}),
    (["trial"], _in_free_trial_of_the_sp, {}),
    (["no_consent"], _free_trial_over, {}),
    (["month_used"], _spent_here, {}),
    (["cap_service"], _capped_here, {}),
    (["cap_total"], _spent_elsewhere, {}),
    (["number_suspended"], _suspended, {"purpose": Purpose.MESSAGE, "price_fen": 0}),
    (["price_mismatch"], _nothing, {"purpose": Purpose.MESSAGE, "price_fen": 800}),
    (["no_consent"], _left, {"purpose": Purpose.MESSAGE, "price_fen": 0}),
    ([], _spent_here, {"purpose": Purpose.MESSAGE, "price_fen": 0}),
    ([], _nothing, {}),
]


@pytest.mark.parametrize(("reasons", "cause", "question"), CAUSES)
async def test_real_rows_cause_the_reason(
    world: World, owner: Connection, reasons: list[str], cause: Cause, question: dict[str, Any]
) -> None:
    await cause(world, owner)
    assert await world.ask(**question) == reasons


def test_every_reason_is_caused_by_real_rows() -> None:
    met = {reason for reasons, _, _ in CAUSES for reason in reasons}
    assert set(Reason) - met == {Reason.SERVICE_NOT_OF_SP, Reason.ORDER_USED}  # each by its own


async def test_another_sps_service_is_denied_whatever_the_person_has(
    world: World, owner: Connection
) -> None:
    other = await make.sp(owner, world.now)
    (decision,) = await world.decide(sp_id=other)
    assert decision.reasons == (Reason.SERVICE_NOT_OF_SP,)
    assert decision.subscription_id is None


async def test_an_access_number_that_moved_to_another_sp_is_wrong(
    world: World, owner: Connection
) -> None:
    asked: dict[str, Any] = {"purpose": Purpose.MESSAGE, "price_fen": 0}
    asked["access_number"] = world.access_number
    assert await world.ask(**asked) == []
    other = await make.sp(owner, world.now)
    await owner.execute(
        "UPDATE access_number SET sp_id = $2 WHERE number = $1", world.access_number, other
    )
    assert await world.ask(**asked) == ["access_number_wrong"]


async def test_the_next_decision_obeys_a_restriction_and_its_end(
    uses: World, owner: Connection
) -> None:
    assert await uses.ask() == []
    await arrange.restriction(owner, uses.sp_id, "offline", uses.now)
    assert await uses.ask() == ["sp_offline"]
    lifted = uses.now + HOUR
    await owner.execute("UPDATE restriction SET ends_at = $1", lifted)
    assert await uses.ask(at=lifted - SECOND) == ["sp_offline"]
    assert await uses.ask(at=lifted) == []


async def test_a_tariff_takes_over_at_its_instant_and_the_agreed_price_stays(
    uses: World, owner: Connection
) -> None:
    change = uses.now + HOUR
    tariff_id = await arrange.tariff(owner, uses.service_id, 1000, change)
    assert await uses.ask(at=change - SECOND) == []
    assert await uses.ask(at=change) == []
    assert await uses.ask(at=change, price_fen=1000) == ["price_mismatch"]
    await arrange.notice(owner, uses.service_id, tariff_id, change + SECOND)
    assert await uses.ask(at=change + SECOND) == []
    assert await uses.ask(at=change + SECOND, price_fen=1000) == ["price_mismatch"]


async def test_an_unsubscribe_is_obeyed_by_the_very_next_decision(
    world: World, owner: Connection
) -> None:
    """Also where the clock of the machine that ended it is ahead."""
    for purpose, price_fen in ((Purpose.MESSAGE, 0), (Purpose.CHARGE, 800)):
        assert await world.ask(purpose=purpose, price_fen=price_fen) == []
    await owner.execute("UPDATE subscription SET status = 'ended', ended_at = $1", world.now + HOUR)
    for purpose, price_fen in ((Purpose.MESSAGE, 0), (Purpose.CHARGE, 800)):
        assert await world.ask(purpose=purpose, price_fen=price_fen) == ["no_consent"]


async def test_a_large_mixed_batch_is_answered_in_order_and_recorded_whole(
    uses: World, owner: Connection
) -> None:
    suspended = await make.number(owner, uses.now)
    await arrange.number_event(owner, suspended, "suspended", "suspended", uses.now - HOUR)
    await uses.order(suspended, 1)
    kinds = [
        (uses.question(purpose=Purpose.MESSAGE, price_fen=0), ()),
        (uses.question(service_code="99999999"), ("service_unknown",)),
        (uses.question(msisdn=suspended), ("number_suspended",)),
        (uses.question(msisdn="8613700000000"), ("number_unknown",)),
        (uses.question(price_fen=1), ("price_mismatch",)),
        (uses.question(), None),
    ]
    batch = [kinds[n % len(kinds)] for n in range(BATCH_MAX)]
    decisions = await uses.decide(*[asked for asked, _ in batch])
    charges = []
    for (asked, reasons), decision in zip(batch, decisions, strict=True):
        if reasons is None:
            charges.append(decision.reasons)
        else:
            assert decision.reasons == reasons, asked.purpose
    assert charges == [()] * 3 + [("cap_service",)] * (len(charges) - 3)
    rows = await recorded.page(owner, uses.sp_id, limit=BATCH_MAX + 1)
    assert [row.id for row in rows] == sorted([one.id for one in decisions], reverse=True)
    assert {row.id: row.reasons for row in rows} == {one.id: one.reasons for one in decisions}


async def test_a_batch_has_a_limit_and_may_be_empty(world: World) -> None:
    assert await _none(world) == []
    with pytest.raises(TooLarge):
        await world.decide(*[world.question()] * (BATCH_MAX + 1))


async def _none(world: World) -> list[Decision]:
    async with db.transaction(world.pool) as tx:
        return await actions.decide(
            tx, [], sp_id=world.sp_id, actor=make.sp_actor(world.sp_id), now=world.now
        )


async def test_the_record_names_the_versions_it_rests_on_and_no_number(
    world: World, owner: Connection
) -> None:
    restriction_id = await arrange.restriction(
        owner, world.sp_id, "no_new_subscriptions", world.now - HOUR, cause_id="b-17"
    )
    (decision,) = await world.decide(world.question(access_number=world.access_number))
    row = await owner.fetchrow("SELECT * FROM authorisation WHERE id = $1", decision.id)
    assert row is not None
    facts = row["facts"]
    assert world.msisdn[2:] not in msgspec.json.encode(facts).decode()
    assert facts["service"]["tariff_version"] == facts["service"]["notice_version"] == 1
    assert facts["relation"]["id"] == str(world.subscription_id) == str(row["subscription_id"])
    assert facts["restrictions"][0]["id"] == str(restriction_id)
    assert facts["restrictions"][0]["cause_id"] == "b-17"
    assert facts["number"]["state"] == "active"
    assert row["rulebook_version"] == facts["rulebook_version"] == 1
    assert row["requested_by"] == make.sp_actor(world.sp_id).label


async def test_the_application_cannot_rewrite_a_decision(world: World, tx: Connection) -> None:
    await world.decide()
    await world.decide(world.question(purpose=Purpose.MESSAGE, price_fen=0))
    for statement in (
        "UPDATE authorisation SET allowed = false", "DELETE FROM authorisation",
        "DELETE FROM order_use", "UPDATE decision_pack SET denied = '{1}'",
        "DELETE FROM decision_pack", "UPDATE number_standing SET body = '[[],[],[],[]]'",
        "INSERT INTO number_standing VALUES ('8613800000000', '')", "DELETE FROM number_standing",
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute(statement)
