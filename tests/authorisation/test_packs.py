"""Decisions about messages: alike ones are judged once, and all are on record as any other."""

import gc
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from spms.authorisation import actions, recorded
from spms.authorisation.model import DecisionRequest, Purpose, Reason
from spms.authorisation.number import Event, Kept, Relation, instant
from spms.authorisation.packs import PLACES, Pack, pack_id
from spms.authorisation.recorded_queries import NEWEST, RecordedRow
from spms.authorisation.reservation_model import Ask
from spms.authorisation.round import Round
from spms.authorisation.round_queries import Gathered
from spms.authorisation.rules import judge
from spms.authorisation.standing import Standing
from spms.authorisation.standing_rows import NoticeRow, ServiceRow, SpRow, TariffRow
from spms.core.db import Connection
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import DAY, HOUR, World

NOW = datetime(2026, 3, 9, 4, tzinfo=UTC)
MSISDN = "8613800138000"


@dataclass
class Scene:
    """A catalogue of one service, and what may be asked about it."""

    sp_id: UUID = field(default_factory=uuid4)
    service_id: UUID = field(default_factory=uuid4)
    tariff_id: UUID = field(default_factory=uuid4)

    def standing(self) -> Standing:
        since = NOW - 30 * DAY
        return Standing(
            uuid4(),
            [SpRow(id=self.sp_id, status="active", changes=None, restrictions=None, quotas=None)],
            [
                ServiceRow(
                    id=self.service_id, code="100001", sp_id=self.sp_id, kind="monthly",
                    status="online", access_number="10690001", category="information",
                    access_number_sp_id=self.sp_id, changes=None,
                    tariffs=[
                        TariffRow(id=self.tariff_id, version=1, price_fen=800, effective_from=since)
                    ],
                    notices=[
                        NoticeRow(id=uuid4(), version=1, tariff_id=self.tariff_id, decided_at=since)
                    ],
                    templates=None,
                )
            ],
            [],
        )  # fmt: skip

    def relation(self, **values: Any) -> Relation:
        then = instant(NOW - DAY)
        usual: dict[str, Any] = {
            "service_id": str(self.service_id), "id": uuid4(), "kind": "monthly", "epoch": 1,
            "price_fen": 800, "asked_at": then, "requested_at": then, "confirm_by": then,
            "active_from": then, "charge_from": then, "free_until": None, "link_id": None,
            "consent_kind": "confirmation", "consent_price_fen": 800,
        }  # fmt: skip
        return Relation(**(usual | values))

    def numbers(self) -> list[Kept]:
        """Return numbers that differ in everything a decision might look at."""
        then, ahead = instant(NOW - DAY), instant(NOW + HOUR)
        relations = [
            self.relation(), self.relation(price_fen=500), self.relation(consent_price_fen=500),
            self.relation(consent_kind="order"), self.relation(consent_kind=None),
            self.relation(charge_from=ahead), self.relation(free_until=then),
            self.relation(active_from=None, confirm_by=ahead), self.relation(epoch=2),
            self.relation(active_from=None), self.relation(requested_at=ahead),
            self.relation(service_id=str(uuid4())),
        ]  # fmt: skip
        events = [
            Event(at, then, state, epoch, str(uuid4()))
            for at, state, epoch in (
                (then, "active", 1), (then, "suspended", 1), (then, "terminated", 1),
                (then, "active", 2), (ahead, "active", 1),
            )
        ]  # fmt: skip
        return [Kept((event,), (one,), (), ()) for event, one in product(events, relations)] + [
            Kept((), (), (), ()),
            Kept(tuple(events[:1]), (), (), ()),
        ]

    def decide(self, standing: Standing, kept: Kept, asked: DecisionRequest) -> tuple[Any, Any]:
        read = Gathered(
            mark=standing.mark, actors={}, kept={}, months=[], wishes={},
            used=frozenset(),
        )  # fmt: skip
        made = Round(standing, [], read, NOW, {})
        made._kept[MSISDN] = kept
        if asked.purpose is Purpose.CHARGE:
            made._dossier = made._of([(MSISDN, kept)], [])
        ask = Ask(request=asked, sp_id=self.sp_id, actor="sp:test")
        decision = made.decide(ask, made.asker(self.sp_id, "sp:test"))
        facts = made._of([(MSISDN, kept)], []).facts(
            made._then.terms(self.sp_id, asked.service_code), asked
        )
        return decision, facts


def test_what_is_judged_once_for_all_that_are_alike_is_what_each_alone_would_get() -> None:
    """One catalogue remembers all along; each answer is held against the rules themselves."""
    scene = Scene()
    standing = scene.standing()
    seen: set[str] = set()
    for purpose, price_fen, access_number in product(
        Purpose, (0, 500, 800), (None, "10690001", "10690002")
    ):
        asked = DecisionRequest(
            purpose=purpose, msisdn=MSISDN, service_code="100001", price_fen=price_fen,
            access_number=access_number,
        )  # fmt: skip
        for kept in scene.numbers():
            decision, facts = scene.decide(standing, kept, asked)
            assert decision.reasons == judge(facts, facts.caps), (asked, kept)
            relation_id = None if facts.relation is None else facts.relation.id
            assert decision.subscription_id == relation_id
            seen.update(decision.reasons or ("allowed",))
    assert seen >= {
        "allowed", Reason.PRICE_MISMATCH, Reason.NO_CONSENT, Reason.CONSENT_PENDING, Reason.TRIAL,
        Reason.NUMBER_UNKNOWN, Reason.NUMBER_SUSPENDED, Reason.NUMBER_TERMINATED,
        Reason.ACCESS_NUMBER_WRONG,
    }  # fmt: skip


async def test_pages_go_through_charges_and_messages_in_order(
    world: World, owner: Connection
) -> None:
    """Whatever the size of a page, everything comes once; packs end in the middle of pages."""
    made = []
    for n in range(12):
        asked = world.question(purpose=Purpose.MESSAGE, price_fen=0)
        made += await world.decide(*[asked] * (1 + n % 4))
        made += await world.decide(world.question(price_fen=n))
    expected = sorted([decision.id for decision in made], reverse=True)
    for limit in (1, 2, 3, 7, 100):
        found: list[UUID] = []
        before = NEWEST
        while rows := await recorded.page(owner, world.sp_id, before=before, limit=limit):
            found += [row.id for row in rows]
            before = found[-1]
        assert found == expected, limit


async def test_a_place_that_a_pack_does_not_have_is_no_decision(
    world: World, owner: Connection
) -> None:
    asked = world.question(purpose=Purpose.MESSAGE, price_fen=0)
    made = await world.decide(asked, asked)
    first = pack_id(made[0].id)
    assert [decision.id.int - first.int for decision in made] == [0, 1]
    for place in (2, 3, PLACES - 1):
        assert await recorded.get(owner, UUID(int=first.int + place)) is None


@pytest.mark.parametrize("unlike", [False, True])
async def test_the_record_of_a_message_holds_what_it_rests_on(
    world: World, owner: Connection, *, unlike: bool
) -> None:
    """Also of a number that is not like most; and what happens later changes nothing of it."""
    if unlike:
        await arrange.insert(
            owner, "number_bar", msisdn=world.msisdn, id=uuid4(), epoch=1, scope="category",
            target="information", starts_at=world.now - HOUR, set_by="subscriber:x",
        )  # fmt: skip
    held = await arrange.restriction(owner, world.sp_id, "no_new_subscriptions", world.now - HOUR)
    (decision,) = await world.decide(
        world.question(purpose=Purpose.MESSAGE, price_fen=0, access_number=world.access_number)
    )
    row = await recorded.get(owner, decision.id)
    assert isinstance(row, RecordedRow)
    facts = row.facts
    assert (row.allowed, row.reasons) == (not unlike, decision.reasons)
    assert [one.id for one in facts.restrictions] == [held]
    assert facts.service is not None
    assert facts.service.tariff_price_fen == 800
    assert facts.number is not None
    assert facts.relation is not None
    assert facts.relation.id == decision.subscription_id == world.subscription_id
    assert (facts.relation.consent_kind, facts.relation.consent_price_fen) == ("confirmation", 800)
    assert [bar.scope for bar in facts.bars] == (["category"] if unlike else [])
    assert (facts.access_number, facts.rulebook_version) == (world.access_number, 1)
    told = await actions.explain(world.tx, decision.id, actor=make.AGENT)
    assert told.agrees
    assert told.facts == told.replay.facts == facts
    await owner.execute("UPDATE service SET status = 'offline'")
    await owner.execute("UPDATE subscription SET status = 'ended', ended_at = $1", world.now)
    again = await recorded.get(owner, decision.id)
    assert again == row


async def test_numbers_of_a_pack_are_counted_by_its_own_key(world: World, tx: Connection) -> None:
    """No pack has fewer or more numbers than decisions, nor more denials: CHECKs say so."""
    await world.decide(world.question(purpose=Purpose.MESSAGE, price_fen=0))
    copy = """INSERT INTO decision_pack SELECT sp_id, $1, decided_at, {}, {}, {}, body, requested_by
                FROM decision_pack"""
    for decisions, numbers, denied in (
        ("2", "numbers", "denied"), ("0", "''", "denied"), ("1", "numbers", "'{1,2}'"),
    ):  # fmt: skip
        with pytest.raises(asyncpg.CheckViolationError):
            await tx.execute(copy.format(decisions, numbers, denied), uuid4())


async def test_a_round_leaves_nothing_to_the_collector(world: World) -> None:
    """What it read and made goes with it: nobody waits while thousands of numbers are swept up."""
    await world.decide(world.question(purpose=Purpose.MESSAGE, price_fen=0))
    gc.collect()
    gc.disable()
    try:
        before = _rounds_alive()
        await world.decide(*[world.question(purpose=Purpose.MESSAGE, price_fen=0)] * 3)
        await world.decide(world.question())
        assert _rounds_alive() == before
    finally:
        gc.enable()


def _rounds_alive() -> int:
    return sum(isinstance(one, Round | Pack) for one in gc.get_objects())
