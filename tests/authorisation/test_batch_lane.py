"""One lane for all batches: an Idempotency-Key gets nobody past the others."""

from asyncio import FIRST_COMPLETED, Event, Future, ensure_future, gather, sleep, wait
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import pytest
from httpx import AsyncClient, Response
from litestar import Litestar

from spms.authorisation import batches, deciding, several
from spms.authorisation.batches import Lane
from spms.authorisation.deciding import Outcome
from spms.authorisation.reservation_model import Ask
from spms.core.db import Connection
from spms.core.edge import Edge
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import SignIn, World

PATH = "/authorisations/batch"


class Held:
    """Every batch whose turn has come, by its size; nothing is decided before `go`."""

    def __init__(self) -> None:
        self.turns: list[int] = []
        self.go = Event()
        self._decide_all = deciding.decide_all

    async def decide_all(self, tx: Connection, asks: Sequence[Ask], **more: Any) -> list[Outcome]:
        self.turns.append(len(asks))
        await self.go.wait()
        return await self._decide_all(tx, asks, **more)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    held = Held()
    monkeypatch.setattr(batches, "decide_all", held.decide_all)
    monkeypatch.setattr(several, "decide_all", held.decide_all)
    return held


@pytest.fixture
def lane(http: AsyncClient, sandbox_app: Edge) -> Lane:
    assert http is not None
    lane: Lane = cast("Litestar", sandbox_app.app).state.lane
    return lane


class Asker:
    """An SP that brings batches, each a request of its own."""

    def __init__(self, http: AsyncClient, world: World, headers: dict[str, str]) -> None:
        self.http, self.headers = http, headers
        self.item = {"purpose": "message", "msisdn": world.msisdn, "service_code": world.code}

    def ask(self, items: int, key: str | None = None) -> "Future[Response]":
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        body = {"items": [self.item] * items}
        return ensure_future(self.http.post(PATH, json=body, headers=headers))


async def until(what: Any) -> None:
    while not what():  # noqa: ASYNC110 - what is waited for tells nobody
        await sleep(0.01)


async def test_a_key_gets_nobody_past_the_queue_nor_over_its_bound(
    world: World, http: AsyncClient, sign_in: SignIn, held: Held, lane: Lane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With a key or without, whoever brings many batches waits, and the others are next."""
    monkeypatch.setattr(batches, "WAITING_EACH_MAX", 3)
    turns: list[bytes | UUID] = []
    take = Lane._take

    def noted(self: Lane) -> batches.Waiting:
        turns.append(next(iter(self._waiting)))
        return take(self)

    monkeypatch.setattr(Lane, "_take", noted)
    another = make.sp_actor(await make.sp(world.tx, world.now))
    loud = Asker(http, world, await sign_in(make.sp_actor(world.sp_id)))
    quiet = Asker(http, world, await sign_in(another))
    held.go.set()
    for one in (loud, quiet):  # whose tokens these are is known from now on
        assert (await one.ask(1)).status_code == 200
    held.go.clear()
    for seen in (held.turns, turns):
        seen.clear()

    first = [loud.ask(1, "a"), loud.ask(1)]
    await until(lambda: len(held.turns) == 2)
    more = {loud.ask(2, key) for key in ("b", None, "c", None, "d")}
    refused: set[Future[Response]] = set()
    while len(refused) < 2:
        done, more = await wait(more, return_when=FIRST_COMPLETED)
        refused |= done
    assert {one.result().status_code for one in refused} == {503}, "two of the five"
    assert {one.result().headers["retry-after"] for one in refused} == {"1"}
    await until(lambda: [len(queue) for queue in lane._waiting.values()] == [3])
    late = quiet.ask(3, "a")
    await until(lambda: [len(queue) for queue in lane._waiting.values()] == [3, 1])
    held.go.set()
    answers = await gather(*first, *more, late)
    assert {one.status_code for one in answers} == {200}
    assert turns.pop(3) == another.sp_id, "the quiet one is next after one of the loud"
    assert turns == [world.sp_id] * 5


async def test_a_repeat_of_a_keyed_batch_is_answered_alike_and_decides_nothing(
    world: World, http: AsyncClient, owner: Connection, sign_in: SignIn
) -> None:
    """Also of many at once: of the same key with the same body one is decided."""
    asker = Asker(http, world, await sign_in(make.sp_actor(world.sp_id)))
    answers = await gather(*[asker.ask(3, "same") for _ in range(8)])
    assert {one.status_code for one in answers} == {200}
    assert len({one.content for one in answers}) == 1
    assert await arrange.on_record(owner) == 3
    other = await asker.ask(2, "same")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await asker.ask(3, "same")).content == answers[0].content
    assert await arrange.on_record(owner) == 3


async def test_a_keyed_batch_that_fails_leaves_its_key_free(
    world: World, http: AsyncClient, owner: Connection, sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asker = Asker(http, world, await sign_in(make.sp_actor(world.sp_id)))

    async def broken(tx: Connection, asks: Sequence[Ask], **more: Any) -> list[Outcome]:
        await held(tx, asks, **more)
        await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return []

    held = deciding.decide_all
    with monkeypatch.context() as patched:
        patched.setattr(several, "decide_all", broken)
        answer = await asker.ask(3, "key")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await arrange.on_record(owner) == 0
    assert (await asker.ask(3, "key")).status_code == 200
    assert await arrange.on_record(owner) == 3
