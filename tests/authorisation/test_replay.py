"""A past decision explained and made again as of its instant, whatever has happened since."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from spms.authorisation import actions
from spms.authorisation.explanation_model import Explanation, Verdict
from spms.authorisation.model import Decision, Purpose, Reason
from spms.core import db
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.subscribers.actions import record_events
from spms.subscribers.model import NumberEventIn
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import DAY, HOUR, Cause, World

SECOND = timedelta(seconds=1)


async def explain(world: World, decision: Decision, actor: Actor = make.AGENT) -> Explanation:
    return await actions.explain(world.tx, decision.id, actor=actor)


async def decided(world: World, **values: Any) -> Decision:
    (decision,) = await world.decide(world.question(**values))
    return decision


async def test_a_denial_is_explained_as_of_then_after_its_cause_is_lifted(
    world: World, owner: Connection
) -> None:
    await arrange.restriction(owner, world.sp_id, "shielded", world.now - HOUR, cause_id="b-17")
    decision = await decided(world)
    await owner.execute("UPDATE restriction SET ends_at = $1", world.now + HOUR)
    told = await explain(world, decision)
    assert told.decision.reasons == told.replay.reasons == (Reason.SERVICE_SHIELDED,)
    assert told.agrees
    assert told.differences == ()
    (check,) = [check for check in told.checks if check.verdict is Verdict.FAILED]
    assert check.reason is Reason.SERVICE_SHIELDED
    assert "b-17" in check.sentence


async def _restricted(world: World, owner: Connection) -> None:
    await arrange.restriction(owner, world.sp_id, "offline", world.now + SECOND)


async def _tariff(world: World, owner: Connection) -> None:
    await arrange.tariff(owner, world.service_id, 1000, world.now + SECOND)


async def _terminated_with_effect_before(world: World, owner: Connection) -> None:
    await arrange.number_event(
        owner, world.msisdn, "terminated", "terminated", world.now - HOUR,
        recorded_at=world.now + HOUR,
    )  # fmt: skip


async def _left(world: World, owner: Connection) -> None:
    await owner.execute(
        "UPDATE subscription SET status = 'ended', ended_at = $1", world.now + SECOND
    )


async def _withdrawn(world: World, owner: Connection) -> None:
    await arrange.service_event(owner, world.service_id, "online", "offline", world.now + HOUR)
    await arrange.service_event(owner, world.service_id, "offline", "withdrawn", world.now + DAY)


async def _sp_closed(world: World, owner: Connection) -> None:
    await owner.execute("UPDATE sp SET status = 'closed'")
    await arrange.insert(
        owner, "sp_event", sp_id=world.sp_id, action="close", from_status="active",
        to_status="closed", at=world.now + HOUR, actor="test",
    )  # fmt: skip


async def _spent(world: World, _owner: Connection) -> None:
    assert await world.ask(at=world.now + HOUR) == ["month_used"]


async def _caps_lowered(world: World, owner: Connection) -> None:
    await arrange.insert(
        owner, "rulebook", version=2, effective_from=world.now + SECOND,
        rules={"cap": {"service_month_fen": 100}}, reason="test", created_at=world.now,
        created_by="test",
    )  # fmt: skip


async def _status_history(world: World, owner: Connection) -> None:
    """Tell when SP and service got the status that they have."""
    for at, before, after in ((3 * HOUR, "active", "suspended"), (2 * HOUR, "suspended", "active")):
        await arrange.insert(
            owner, "sp_event", sp_id=world.sp_id, action="move", from_status=before,
            to_status=after, at=world.now - at, actor="test",
        )  # fmt: skip
    await arrange.service_event(owner, world.service_id, "testing", "online", world.now - DAY)


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_every_input_is_told_with_its_version(
    world: World, owner: Connection, purpose: Purpose
) -> None:
    """Of what has no number of its own: since when it holds, or by which entry the person set it."""
    await _status_history(world, owner)
    caps = [uuid4(), uuid4()]
    for cap_id, scope, fen in zip(caps, ("each_service", "total"), (900, 5000), strict=True):
        await arrange.insert(
            owner, "number_cap", msisdn=world.msisdn, id=cap_id, epoch=1, scope=scope,
            limit_fen=fen, starts_at=world.now - HOUR, set_by="subscriber:sms",
        )  # fmt: skip
    price_fen = 800 if purpose is Purpose.CHARGE else 0
    decision = await decided(world, purpose=purpose, price_fen=price_fen)
    assert decision.allowed
    told = await explain(world, decision)
    for facts in (told.facts, told.replay.facts):
        assert facts.service is not None
        assert facts.number is not None
        assert facts.relation is not None
        assert (facts.sp_status, facts.sp_status_since) == ("active", world.now - 2 * HOUR)
        assert facts.service.status_since == world.now - DAY
        assert [facts.own_caps.service_cap_id, facts.own_caps.total_cap_id] == caps
        assert facts.service.tariff_version == facts.service.notice_version == 1
        assert facts.rulebook_version == 1
        assert facts.relation.id == world.subscription_id
    sp = await explain(world, decision, make.sp_actor(world.sp_id))
    assert sp.facts.own_caps.total_cap_id is None, "the cap over all is hers alone"
    assert sp.facts.own_caps.service_cap_id is None, "it may be one over each service of anybody"
    assert sp.facts.own_caps.service_month_fen == told.facts.own_caps.service_month_fen == 900


LATER = [
    _restricted, _terminated_with_effect_before, _left, _withdrawn, _sp_closed, _spent,
    _caps_lowered,
]  # fmt: skip


@pytest.mark.parametrize("later", LATER)
async def test_what_happens_later_changes_the_next_answer_and_not_the_past_one(
    world: World, owner: Connection, later: Cause
) -> None:
    decision = await decided(world)
    assert decision.allowed
    await later(world, owner)
    told = await explain(world, decision)
    assert told.replay.allowed
    assert told.agrees
    assert told.replay.facts == told.facts
    (next_one,) = await world.decide(at=world.now + 2 * DAY)
    assert not next_one.allowed


async def test_a_restriction_under_way_when_it_was_made_is_not_held_against_a_decision(
    uses: World, owner: Connection
) -> None:
    """It is dated by its request, and nobody sees it before that has committed."""
    decision = await decided(uses)
    late = await arrange.restriction(owner, uses.sp_id, "offline", uses.now - SECOND)
    told = await explain(uses, decision)
    assert told.replay.allowed
    assert told.agrees
    # Lifted by a request that was under way as well: it held for who could not see that.
    (held,) = await uses.decide(at=uses.now + HOUR)
    await owner.execute(
        "UPDATE restriction SET ends_at = $1, lifted_by = 'x' WHERE id = $2",
        uses.now + HOUR - SECOND, late,
    )  # fmt: skip
    told = await explain(uses, held)
    assert told.replay.reasons == held.reasons == (Reason.SP_OFFLINE,)
    assert told.agrees


async def test_a_restriction_that_was_there_to_be_seen_shows_as_a_difference(
    world: World, owner: Connection
) -> None:
    decision = await decided(world)
    await arrange.restriction(owner, world.sp_id, "offline", world.now - HOUR)
    told = await explain(world, decision)
    assert told.replay.reasons == (Reason.SP_OFFLINE,)
    assert not told.agrees


async def _told(world: World, kind: str, reason: str, at: datetime, *, known: datetime) -> None:
    """Let the number registry tell of an event."""
    row = {"msisdn": world.msisdn, "kind": kind, "reason": reason, "effective_at": at}
    async with db.transaction(world.pool) as tx:
        await record_events(
            tx, [msgspec.convert(row, NumberEventIn)], actor=make.GATEWAY, now=known
        )


async def test_a_charge_under_way_when_it_was_made_is_not_held_against_a_denial(
    uses: World, orders: World
) -> None:
    """A denial adds nothing to the month and waits for nobody who does."""
    await uses.decide(uses.question(), uses.question())
    async with db.transaction(uses.pool) as tx:
        await actions.decide(
            tx, [uses.question()], sp_id=uses.sp_id, actor=make.sp_actor(uses.sp_id),
            now=uses.now,
        )  # fmt: skip
        (denied,) = await uses.decide(uses.question(access_number="10699999"))
    told = await explain(uses, denied)
    assert told.replay.reasons == denied.reasons == (Reason.ACCESS_NUMBER_WRONG,)
    assert told.agrees
    (later,) = await uses.decide(uses.question(access_number="10699999"))
    assert later.reasons == (Reason.ACCESS_NUMBER_WRONG, Reason.CAP_SERVICE)
    assert (await explain(uses, later)).agrees
    # An order that a charge under way uses is still free to whoever is denied meanwhile.
    async with db.transaction(uses.pool) as tx:
        await actions.decide(
            tx, [orders.question()], sp_id=orders.sp_id, actor=make.sp_actor(orders.sp_id),
            now=orders.now,
        )  # fmt: skip
        (denied,) = await orders.decide(orders.question(access_number="10699999"))
    told = await explain(orders, denied)
    assert told.replay.reasons == denied.reasons == (Reason.ACCESS_NUMBER_WRONG,)
    assert told.agrees


async def test_a_number_event_that_arrives_late_corrects_no_past_decision(
    world: World, owner: Connection
) -> None:
    """It rewrites what follows from the events after it; each decision keeps what it knew."""
    now = world.now
    await _told(world, "suspended", "operator", now - 4 * HOUR, known=now - 4 * HOUR)
    await _told(world, "resumed", "operator", now - 2 * HOUR, known=now - 2 * HOUR)
    (before,) = await world.decide()
    assert before.allowed
    await _told(world, "transferred", "owner_changed", now - 3 * HOUR, known=now + HOUR)
    (after,) = await world.decide(at=now + 2 * HOUR)
    assert after.reasons == (Reason.NO_CONSENT,)
    assert await owner.fetchval("SELECT count(*) FROM number_correction") == 1
    for decision in (before, after):
        told = await explain(world, decision)
        assert told.agrees
        assert told.replay.facts == told.facts


async def test_a_new_tariff_changes_neither_the_past_answer_nor_the_next(
    uses: World, owner: Connection
) -> None:
    decision = await decided(uses)
    await _tariff(uses, owner)
    told = await explain(uses, decision)
    assert told.agrees
    assert told.replay.facts == told.facts
    (next_one,) = await uses.decide(at=uses.now + HOUR)
    assert next_one.allowed, "the old price goes on, though nobody approved the new one's notice"
    words = [check.sentence for check in (await explain(uses, next_one)).checks]
    assert any("a later tariff changes nothing" in sentence for sentence in words)


async def test_each_decision_of_a_batch_is_replayed_after_those_before_it(
    uses: World, orders: World
) -> None:
    decisions = await uses.decide(*[uses.question()] * 5)
    assert [d.allowed for d in decisions] == [True, True, True, False, False]
    used = await orders.decide(*[orders.question()] * 2)
    for asked_in, decision in [(uses, d) for d in decisions] + [(orders, d) for d in used]:
        told = await explain(asked_in, decision)
        assert told.agrees
        assert told.replay.facts == told.facts


async def test_an_order_handled_after_the_question_is_not_known_to_the_replay_either(
    orders: World, owner: Connection
) -> None:
    late = await make.number(owner, orders.now)
    decision = await decided(orders, msisdn=late)
    assert decision.reasons == (Reason.NO_CONSENT,)
    await make.subscription(
        owner, orders.now - HOUR, late, orders.service_id, prompt_text=None, confirm_by=None
    )
    await owner.execute(
        "UPDATE message_in SET handled_at = $1 WHERE msisdn = $2", orders.now + HOUR, late
    )
    told = await explain(orders, decision)
    assert told.replay.reasons == (Reason.NO_CONSENT,)
    assert told.agrees


AHEAD = timedelta(seconds=20)


async def _ended(world: World, owner: Connection) -> None:
    await owner.execute(
        "UPDATE subscription SET status = 'ended', ended_at = $1", world.now + AHEAD
    )


async def _confirmed(world: World, owner: Connection) -> None:
    await owner.execute("UPDATE message_in SET handled_at = $1", world.now + AHEAD)


async def _bar_lifted(world: World, owner: Connection) -> None:
    await arrange.insert(
        owner, "number_bar", msisdn=world.msisdn, id=uuid4(), epoch=1, scope="all", target="",
        starts_at=world.now - HOUR, ends_at=world.now + AHEAD, set_by="subscriber:x",
        lifted_by="subscriber:x",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("done", "reasons"),
    [(_ended, (Reason.NO_CONSENT,)), (_confirmed, ()), (_bar_lifted, ())],
)
@pytest.mark.parametrize("purpose", Purpose)
async def test_what_was_done_by_a_clock_that_is_ahead_is_not_held_against_a_decision(
    world: World, owner: Connection, done: Cause, reasons: tuple[Reason, ...], purpose: Purpose
) -> None:
    """It was committed before the decision, which has seen it, and is dated after it."""
    await done(world, owner)
    price_fen = 800 if purpose is Purpose.CHARGE else 0
    decision = await decided(world, purpose=purpose, price_fen=price_fen)
    assert decision.reasons == reasons
    told = await explain(world, decision)
    assert told.agrees
    assert told.replay.facts == told.facts


async def test_an_unsubscribe_received_before_and_handled_after_shows_as_a_difference(
    world: World, owner: Connection
) -> None:
    decision = await decided(world)
    await owner.execute(
        "UPDATE subscription SET status = 'ended', ended_at = $1", world.now - SECOND
    )
    told = await explain(world, decision)
    assert told.decision.allowed
    assert told.replay.reasons == (Reason.NO_CONSENT,)
    assert not told.agrees
    assert Reason.NO_CONSENT in told.differences


async def test_every_check_is_told_in_order(world: World) -> None:
    told = await explain(world, await decided(world))
    assert [check.reason for check in told.checks] == list(Reason)
    assert not [check for check in told.checks if check.verdict is Verdict.FAILED]


async def test_staff_see_a_masked_number_and_the_sp_its_pseudonym(
    world: World, owner: Connection
) -> None:
    other = await make.sp(owner, world.now)
    service_id = await make.service(owner, world.now, other, price_fen=1234)
    code = await owner.fetchval("SELECT code FROM service WHERE id = $1", service_id)
    await make.subscription(owner, world.now - DAY, world.msisdn, service_id)
    await world.decide(world.question(service_code=code, price_fen=1234), sp_id=other)
    decision = await decided(world)

    staff = await explain(world, decision)
    assert staff.decision.subscriber == f"{world.msisdn[2:5]}****{world.msisdn[-4:]}"
    assert staff.facts.spent_total_fen == 1234

    sp = await explain(world, decision, make.sp_actor(world.sp_id))
    assert sp.agrees
    assert sp.decision.subscriber.startswith("n_")
    assert sp.facts.spent_total_fen is sp.replay.facts.spent_total_fen is None
    whole = msgspec.json.encode(sp).decode()
    assert world.msisdn[2:] not in whole
    assert "12.34" not in whole


async def test_another_sps_decision_and_no_decision_are_the_same_404(
    world: World, owner: Connection
) -> None:
    decision = await decided(world)
    stranger = make.sp_actor(await make.sp(owner, world.now))
    for authorisation_id in (decision.id, uuid4()):
        with pytest.raises(NotFound) as refused:
            await actions.explain(world.tx, authorisation_id, actor=stranger)
        assert refused.value.detail is None
