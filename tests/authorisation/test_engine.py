"""The engine's rounds: shared, bounded, and spoiled for nobody; what is remembered stays true."""

import hashlib
from asyncio import ensure_future, gather, sleep
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient

from spms.authorisation import deciding, engine
from spms.authorisation.deciding import Outcome
from spms.authorisation.engine import Engine
from spms.authorisation.model import Purpose, Reason
from spms.authorisation.reservation_model import Answer, Ask
from spms.core.clock import FixedClock
from spms.core.db import Connection
from spms.core.errors import Forbidden, Unauthenticated, Unavailable
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import HOUR, SignIn, World


def ask(world: World, **values: Any) -> Ask:
    return Ask(request=world.question(**values), sp_id=world.sp_id, actor="sp:test")


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the questions of each round; one with the price 666 breaks its statement."""
    sizes: list[int] = []

    async def counted(tx: Connection, asks: Sequence[Ask], **values: Any) -> list[Outcome]:
        sizes.append(len(asks))
        if any(one.request.price_fen == 666 for one in asks):
            await tx.execute("SELECT 1 / 0")
        return await deciding.decide_all(tx, asks, **values)

    monkeypatch.setattr(engine, "decide_all", counted)
    return sizes


async def test_questions_at_the_same_time_share_a_round(
    uses: World, clock: FixedClock, owner: Connection, rounds: list[int]
) -> None:
    made = Engine(uses.pool, clock)
    answers = await gather(*[made.decide(ask(uses)) for _ in range(40)])
    assert [answer.decision.allowed for answer in answers].count(True) == 3
    assert sum(rounds) == 40
    assert len(rounds) <= 2
    assert await owner.fetchval("SELECT count(*) FROM authorisation") == 40
    # One that comes just as a round has ended is not forgotten.
    for _ in range(5):
        await made.decide(ask(uses))


async def test_after_a_round_of_many_the_next_waits_for_those_who_were_answered(
    world: World, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PAUSE_SECONDS", 3600)
    made = Engine(world.pool, clock)
    rounds: list[int] = []

    async def counted(tx: Connection, asks: Sequence[Ask], **values: Any) -> list[Outcome]:
        rounds.append(len(asks))
        if len(rounds) == 2:
            monkeypatch.setattr(engine, "PAUSE_SECONDS", 0.1)  # nobody comes back after this one
        return await deciding.decide_all(tx, asks, **values)

    monkeypatch.setattr(engine, "decide_all", counted)

    async def asks(turns: int) -> None:
        for _ in range(2):
            await made.decide(ask(world, purpose=Purpose.MESSAGE, price_fen=0))
            for _ in range(turns):
                await sleep(0)

    await gather(*[asks(5 * n) for n in range(10)])
    assert rounds == [10, 10]
    await asks(0)  # nobody else comes back any more
    monkeypatch.setattr(engine, "PAUSE_SECONDS", 3600)
    await asks(0)
    assert rounds[2:] == [1] * 4, "who asks alone waits for nobody"


async def test_the_next_round_starts_as_soon_as_all_are_back(
    world: World, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PAUSE_SECONDS", 3600)
    made = Engine(world.pool, clock)
    rounds: list[int] = []

    async def counted(tx: Connection, asks: Sequence[Ask], **values: Any) -> list[Outcome]:
        rounds.append(len(asks))
        if len(rounds) == 3:
            monkeypatch.setattr(engine, "PAUSE_SECONDS", 0.01)  # nobody comes back after this one
        return await deciding.decide_all(tx, asks, **values)

    monkeypatch.setattr(engine, "decide_all", counted)

    async def asks(turns: int) -> None:
        for _ in range(3):
            await made.decide(ask(world, purpose=Purpose.MESSAGE, price_fen=0))
            for _ in range(turns):
                await sleep(0)

    await gather(*[asks(5 * n) for n in range(10)])
    assert rounds == [10, 10, 10]


async def test_many_that_wait_get_a_round_beside_the_one_under_way_and_few_do_not(
    world: World, clock: FixedClock, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: list[int] = []
    most: dict[int, int] = {}

    async def counted(tx: Connection, asks: Sequence[Ask], **values: Any) -> list[Outcome]:
        under_way.append(len(asks))
        most[len(asks)] = max(most.get(len(asks), 0), len(under_way))
        await sleep(0.1)  # in which a connection is opened for the next
        try:
            return await deciding.decide_all(tx, asks, **values)
        finally:
            under_way.remove(len(asks))

    monkeypatch.setattr(engine, "decide_all", counted)
    made = Engine(world.pool, clock)
    asked = ask(world, purpose=Purpose.MESSAGE, price_fen=0)
    for size, frames in ((engine.MANY - 1, 1), (engine.ROUND_MAX, 4)):
        for _ in range(2):
            await gather(*[made.decide_all([asked] * size) for _ in range(frames)])
    assert most == {engine.MANY - 1: 1, engine.ROUND_MAX: engine.LARGE_AT_ONCE}
    assert made.waiting == 0
    assert await arrange.on_record(owner) == 2 * (engine.MANY - 1) + 8 * engine.ROUND_MAX


async def test_a_question_that_breaks_its_round_spoils_it_for_nobody_else(
    world: World, clock: FixedClock, owner: Connection, rounds: list[int]
) -> None:
    made = Engine(world.pool, clock)
    prices = [0] * 20
    prices[7] = prices[13] = 666
    answers = await gather(
        *[made.decide(ask(world, purpose=Purpose.MESSAGE, price_fen=fen)) for fen in prices],
        return_exceptions=True,
    )
    broken = [n for n, answer in enumerate(answers) if not isinstance(answer, Answer)]
    assert broken == [7, 13]
    assert len(rounds) > 3
    assert await arrange.on_record(owner) == 18


async def test_who_comes_when_too_many_wait_is_sent_away(
    world: World, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WAITING_MAX", 5)
    made = Engine(world.pool, clock)
    answers = await gather(*[made.decide(ask(world)) for _ in range(9)], return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert len(refused) == 4
    assert refused[0].headers == {"Retry-After": "1"}
    assert len([answer for answer in answers if isinstance(answer, Answer)]) == 5


async def test_who_asks_a_hundred_times_as_much_waits_longer_and_the_others_do_not(
    world: World, clock: FixedClock, owner: Connection, rounds: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(engine, "WAITING_EACH_MAX", 2000)
    other_id = await make.sp(owner, world.now)
    made = Engine(world.pool, clock)
    question = world.question(purpose=Purpose.MESSAGE, price_fen=0)
    loud = Ask(request=question, sp_id=world.sp_id, actor="sp:loud")
    flood = [ensure_future(made.decide_all([loud] * 100)) for _ in range(20)]
    single = [ensure_future(made.decide(loud)) for _ in range(3)]
    await sleep(0)
    quiet = [
        ensure_future(made.decide(Ask(request=question, sp_id=other_id, actor="sp:quiet")))
        for _ in range(5)
    ]
    answers = await gather(*quiet)
    assert [answer.decision.reasons for answer in answers] == [(Reason.SERVICE_NOT_OF_SP,)] * 5
    assert rounds[0] == engine.SHARE_MAX + len(quiet)
    assert sum(map(len, await gather(*flood))) == 2000
    assert max(rounds[1:]) <= engine.ROUND_MAX
    refused = await gather(*single, return_exceptions=True)
    assert [type(one) for one in refused] == [Unavailable] * 3


async def test_those_who_all_ask_much_share_whole_rounds(
    world: World, clock: FixedClock, owner: Connection, rounds: list[int]
) -> None:
    made = Engine(world.pool, clock)
    question = world.question(purpose=Purpose.MESSAGE, price_fen=0)
    sps = [world.sp_id, await make.sp(owner, world.now), await make.sp(owner, world.now)]
    much = engine.ROUND_MAX // len(sps)
    asks = [[Ask(request=question, sp_id=sp_id, actor="sp")] * 2 * much for sp_id in sps]
    await gather(*[made.decide_all(one) for one in asks])
    assert rounds == [much * len(sps)] * 2
    rounds.clear()
    waiting = [ensure_future(made.decide_all(one)) for one in [asks[0], asks[1], asks[2][:1]]]
    await gather(*waiting)
    assert rounds[0] == 2 * engine.SHARE_MAX + 1, "whoever asks little does not wait for the others"


async def test_tokens_are_checked_in_the_deciding_statement(
    world: World, clock: FixedClock, owner: Connection, sign_in: SignIn, http: AsyncClient
) -> None:
    tokens = [await sign_in(actor) for actor in (make.sp_actor(world.sp_id), make.OFFICER)]
    digests = [hashlib.sha256(one["Authorization"][7:].encode()).digest() for one in tokens]
    made = Engine(world.pool, clock)
    good, wrong_role, unknown = await gather(
        *[
            made.decide(Ask(request=world.question(), token=digest))
            for digest in (*digests, b"0" * 32)
        ],
        return_exceptions=True,
    )
    assert isinstance(good, Answer)
    assert good.decision.allowed
    assert isinstance(wrong_role, Forbidden)
    assert isinstance(unknown, Unauthenticated)
    body = {"purpose": "message", "msisdn": world.msisdn, "service_code": world.code}
    assert (await http.post("/authorisations", json=body, headers=tokens[0])).status_code == 200
    await owner.execute("UPDATE credential SET revoked_at = $1, revoked_by = 'test'", world.now)
    refused = await http.post("/authorisations", json=body, headers=tokens[0])
    assert refused.status_code == 401
    assert refused.json()["code"] == "unauthenticated"
    assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_what_is_remembered_is_never_older_than_the_database(
    world: World, owner: Connection
) -> None:
    """Nobody tells this process of a change: the next decision sees it by the mark."""
    assert await world.ask(purpose=Purpose.MESSAGE, price_fen=0) == []
    held = await arrange.restriction(owner, world.sp_id, "offline", world.now - HOUR)
    assert await world.ask(purpose=Purpose.MESSAGE, price_fen=0) == [Reason.SP_OFFLINE]
    await owner.execute("UPDATE restriction SET ends_at = $2 WHERE id = $1", held, world.now)
    assert await world.ask(purpose=Purpose.MESSAGE, price_fen=0) == []
    # A change that is rolled back is none, and one that lies ahead counts from its instant.
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("UPDATE service SET status = 'offline'")
    assert await world.ask(purpose=Purpose.MESSAGE, price_fen=0) == []
    await transaction.rollback()
    tariff_id = await arrange.tariff(owner, world.service_id, 1000, world.now + HOUR)
    await arrange.notice(owner, world.service_id, tariff_id, world.now)
    other = await make.number(owner, world.now)
    question: dict[str, Any] = {"msisdn": other, "price_fen": 800}
    assert await world.ask(**question) == [Reason.NO_CONSENT]
    just_before = world.now + HOUR - timedelta(microseconds=1)
    assert await world.ask(**question, at=just_before) == [Reason.NO_CONSENT]
    assert await world.ask(**question, at=world.now + HOUR) == [
        Reason.PRICE_MISMATCH, Reason.NO_CONSENT,
    ]  # fmt: skip


async def test_an_sp_is_one_asker_however_many_tokens_it_asks_with_and_strangers_are_one(
    world: World, clock: FixedClock, owner: Connection, sign_in: SignIn, rounds: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(engine, "WAITING_EACH_MAX", 40)
    made = Engine(world.pool, clock)
    question = world.question(purpose=Purpose.MESSAGE, price_fen=0)

    async def token(sp_id: UUID) -> bytes:
        headers = await sign_in(make.sp_actor(sp_id))
        return hashlib.sha256(headers["Authorization"].split()[1].encode()).digest()

    other_id = await make.sp(owner, world.now)
    loud = [await token(world.sp_id) for _ in range(8)]
    quiet = await token(other_id)
    for known in (*loud, quiet):
        await made.decide(Ask(request=question, token=known))
    flood = [
        ensure_future(made.decide(Ask(request=question, token=each))) for each in loud * 10
    ]  # fmt: skip
    forged = [
        ensure_future(made.decide(Ask(request=question, token=bytes([n]) * 32))) for n in range(60)
    ]
    await sleep(0)
    assert (await made.decide(Ask(request=question, token=quiet))).decision.reasons
    told = await gather(*flood, return_exceptions=True)
    assert sum(isinstance(one, Unavailable) for one in told) == 40
    unknown = await gather(*forged, return_exceptions=True)
    kinds = [type(one) for one in unknown]
    assert (kinds.count(Unauthenticated), kinds.count(Unavailable)) == (40, 20)
