"""Whom a round of the engine waits for after a round of many, and that nobody waits for ever."""

from asyncio import Future, all_tasks, ensure_future, sleep, wait
from collections.abc import Coroutine, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from spms.authorisation import deciding, engine
from spms.authorisation.deciding import Outcome
from spms.authorisation.engine import Engine
from spms.authorisation.model import Purpose
from spms.authorisation.reservation_model import Ask
from spms.core import roles
from spms.core.clock import FixedClock
from spms.core.db import Connection
from spms.core.errors import Unavailable
from tests import make
from tests.authorisation.arrange import World
from tests.conftest import with_database

Awaited = Coroutine[Any, Any, Any] | Future[Any]


def ask(world: World, sp_id: UUID | None = None) -> Ask:
    question = world.question(purpose=Purpose.MESSAGE, price_fen=0)
    return Ask(request=question, sp_id=sp_id or world.sp_id, actor="sp:test")


def at_work() -> list[Any]:
    return [task for task in all_tasks() if task.get_name() == "decide"]


class Rounds(list[int]):
    """How many questions each round had. A pause is endless until the last round has begun."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.last = patch, 0
        patch.setattr(engine, "decide_all", self.decide_all)

    async def decide_all(self, tx: Connection, asks: Sequence[Ask], **values: Any) -> list[Outcome]:
        self.append(len(asks))
        if len(self) == self.last:
            self.patch.setattr(engine, "PAUSE_SECONDS", 0)
        return await deciding.decide_all(tx, asks, **values)

    async def of(self, last: int, asking: Sequence[Awaited]) -> list[int]:
        """Return the sizes of the rounds, of which there should be so many, until all are at rest."""
        self.clear()
        self.last = last
        self.patch.setattr(engine, "PAUSE_SECONDS", 3600)
        _, hanging = await wait([ensure_future(one) for one in (*asking, *at_work())], timeout=120)
        _, working = await wait(at_work(), timeout=120) if at_work() else (set(), set())
        for task in (*hanging, *working):
            task.cancel()
        assert not hanging
        assert not working
        return list(self)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    return Rounds(monkeypatch)


async def test_a_round_does_not_wait_for_those_whom_the_last_one_did_not_answer(
    world: World, clock: FixedClock, owner: Connection, rounds: Rounds
) -> None:
    made = Engine(world.pool, clock)
    sps = [world.sp_id, *[await make.sp(owner, world.now) for _ in range(7)]]
    frames = [[ask(world, sp_id)] * (engine.SHARE_MAX + 1) for sp_id in sps]
    sizes = await rounds.of(2, [made.decide_all(frame) for frame in frames])
    assert sizes == [engine.ROUND_MAX, 8], "of each frame one question was left"


async def test_a_round_does_not_wait_where_a_whole_one_is_there(
    world: World, clock: FixedClock, rounds: Rounds
) -> None:
    made = Engine(world.pool, clock)
    asking = [made.decide(ask(world)) for _ in range(3 * engine.ROUND_MAX)]
    assert await rounds.of(3, asking) == [engine.ROUND_MAX] * 3


async def test_all_that_wait_for_the_same_crowd_are_woken(
    world: World, clock: FixedClock, rounds: Rounds
) -> None:
    made = Engine(world.pool, clock)
    crowd = 2 * engine.MANY

    async def asks(n: int) -> None:
        for _ in range(4):
            await made.decide(ask(world))
            for _ in range(n % 7):
                await sleep(0)

    assert await rounds.of(4, [asks(n) for n in range(crowd)]) == [crowd] * 4


async def test_nobody_is_left_waiting_whatever_keeps_the_engine_from_a_connection(
    world: World, clock: FixedClock, owner_url: str
) -> None:
    """A database that is not there is no fault of the connection, and no answer either."""
    nowhere = with_database(roles.app_url(owner_url), "spms_test_nowhere")
    async with asyncpg.create_pool(nowhere, min_size=0) as pool:
        made = Engine(pool, clock)
        asked = [ensure_future(made.decide(ask(world))) for _ in range(3)]
        await sleep(0)
        await wait(at_work())
        await sleep(0)
        assert [type(one.exception()) for one in asked if one.done()] == [Unavailable] * 3


async def test_nobody_is_left_waiting_when_the_connection_is_lost_in_the_search_for_a_fault(
    world: World, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those whose half is not looked at any more are told, and who came meanwhile gets another."""
    made = Engine(world.pool, clock)
    late: list[Future[Any]] = []

    async def broken(tx: Connection, asks: Sequence[Ask], **values: Any) -> list[Outcome]:
        if len(asks) == 4:
            late.append(ensure_future(made.decide(ask(world))))
            await tx.execute("SELECT 1 / 0")
        if len(asks) == 2:
            await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return await deciding.decide_all(tx, asks, **values)

    monkeypatch.setattr(engine, "decide_all", broken)
    asked = [ensure_future(made.decide(ask(world))) for _ in range(4)]
    _, hanging = await wait(asked, timeout=120)
    assert not hanging
    assert [type(one.exception()) for one in asked] == [Unavailable] * 4
    assert (await late[0]).decision.allowed
