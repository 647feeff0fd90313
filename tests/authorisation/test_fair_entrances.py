"""One SP with far more requests than there are connections: the others' come in between, at every door.

Nothing is decided before all of them wait: the test itself holds every connection till then.
"""

from asyncio import Future, ensure_future, gather, open_connection, sleep
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest
from httpx import AsyncClient, Response
from litestar import Litestar

from spms.authorisation.engine import Engine
from spms.core import turns
from spms.core.db import Connection, Pool
from spms.core.edge import Edge
from spms.core.settings import Settings
from spms.core.turns import Turns
from tests import make
from tests.authorisation.arrange import SignIn, World

CROWD = 150
Ask = Callable[["Asker", int], Any]


class Asker:
    """An SP's system."""

    def __init__(self, http: AsyncClient, world: World, headers: dict[str, str]) -> None:
        self.http, self.headers = http, headers
        self.asked = {"msisdn": world.msisdn, "service_code": world.code, "price_fen": 800}

    def charge(self, n: int) -> Any:
        return self.http.post(
            "/charges", json=self.asked | {"reference": f"r{n}"}, headers=self.headers
        )

    def reserve(self, n: int) -> Any:
        body = self.asked | {"reference": f"r{n}"}
        return self.http.post("/reservations", json=body, headers=self.headers)

    def capture(self, _: int) -> Any:
        return self.http.post(f"/reservations/{uuid4()}/capture", headers=self.headers)

    def ask_once(self, n: int) -> Any:
        body, headers = (
            self.asked | {"purpose": "charge"},
            self.headers | {"Idempotency-Key": f"{n}"},
        )
        return self.http.post("/authorisations", json=body, headers=headers)

    def ask_many_once(self, n: int) -> Any:
        body = {"items": [self.asked | {"purpose": "charge"}]}
        headers = self.headers | {"Idempotency-Key": f"{n}"}
        return self.http.post("/authorisations/batch", json=body, headers=headers)

    def deliver(self, n: int) -> Any:
        record = self.asked | {
            "record_id": f"r{n}", "charged_at": "2026-03-02T04:00:00Z", "delivery": "none",
        }  # fmt: skip
        return self.http.post("/charge-records", json={"records": [record]}, headers=self.headers)


DOORS = [Asker.charge, Asker.capture, Asker.ask_once, Asker.deliver]
"""Reservations are decided many at once, in rounds: `test_engine_crowds` looks at whose are in them."""


@pytest.fixture
async def loud(world: World, http: AsyncClient, sign_in: SignIn) -> Asker:
    asker = Asker(http, world, await sign_in(make.sp_actor(world.sp_id)))
    for ask in (asker.capture, asker.reserve):  # whose token this is is known from now on
        assert (await ask(-1)).status_code in {200, 404}
    return asker


@pytest.fixture
async def quiet(world: World, owner: Connection, http: AsyncClient, sign_in: SignIn) -> Asker:
    asker = Asker(http, world, await sign_in(make.sp_actor(await make.sp(owner, world.now))))
    for ask in (asker.capture, asker.reserve):
        assert (await ask(-1)).status_code in {200, 404}
    return asker


@pytest.fixture
def waiting(http: AsyncClient, sandbox_app: Edge) -> Callable[[], int]:
    """Return how many requests wait in a queue of somebody's."""
    assert http is not None
    state = cast("Litestar", sandbox_app.app).state
    engine: Engine = state.engine
    shared: Turns = state.turns
    return lambda: engine.waiting + shared.waiting


@asynccontextmanager
async def no_connection(pool: Pool, settings: Settings) -> AsyncIterator[None]:
    """Hold every connection of the pool for the block."""
    held = [await pool.acquire() for _ in range(settings.pool_size)]
    try:
        yield
    finally:
        for connection in held:
            await pool.release(connection)


async def until(what: Callable[[], bool]) -> None:
    while not what():  # noqa: ASYNC110 - what is waited for tells nobody
        await sleep(0.01)


@pytest.mark.parametrize("ask", DOORS, ids=lambda ask: ask.__name__)
async def test_anothers_request_is_answered_before_most_of_a_crowds(
    world: World,
    settings: Settings,
    loud: Asker,
    quiet: Asker,
    waiting: Callable[[], int],
    ask: Ask,
) -> None:
    order: list[str] = []
    places = settings.pool_size // 2

    def noted(asker: Asker, n: int, name: str) -> "Future[Response]":
        asked: Future[Response] = ensure_future(ask(asker, n))
        asked.add_done_callback(lambda _: order.append(name))
        return asked

    async with no_connection(world.pool, settings):
        crowd = [noted(loud, n, "loud") for n in range(CROWD)]
        await until(lambda: waiting() >= CROWD - places)
        await sleep(0.3)
        before = waiting()
        late = [noted(quiet, n, "quiet") for n in range(3)]
        await until(lambda: waiting() >= before + 2)  # one of them may have a place at once
    answers = await gather(*crowd, *late)
    assert {answer.status_code for answer in answers} <= {200, 404}
    last = max(n for n, name in enumerate(order) if name == "quiet")
    assert last < CROWD / 2, "after a round of the engine, or a few of many turns"


@pytest.mark.parametrize("ask", [Asker.charge, Asker.ask_once, Asker.capture])
async def test_a_queue_that_is_full_is_said_to_whose_it_is_and_the_others_come_through(
    world: World, settings: Settings, loud: Asker, quiet: Asker, waiting: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch, ask: Ask,
) -> None:  # fmt: skip
    monkeypatch.setattr(turns, "WAITING_EACH_MAX", 5)
    held = settings.pool_size // 2 - 1
    async with no_connection(world.pool, settings):
        crowd: list[Future[Response]] = [ensure_future(ask(loud, n)) for n in range(held + 5 + 20)]
        await until(lambda: sum(one.done() for one in crowd) == 20)
        late: Future[Response] = ensure_future(ask(quiet, 1))
        await sleep(0.05)
        assert not late.done()
    answers = await gather(*crowd)
    refused = [one for one in answers if one.status_code == 503]
    assert len(refused) == 20
    assert {(one.headers["retry-after"], one.json()["code"]) for one in refused} == {
        ("1", "unavailable")
    }
    assert (await late).status_code in {200, 404}
    assert waiting() == 0
    assert (await ask(loud, 99)).status_code in {200, 404}, "and then there is room again"


async def test_the_look_at_a_token_is_in_turn_also_where_what_follows_has_a_queue_of_its_own(
    world: World, settings: Settings, loud: Asker, quiet: Asker, waiting: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of a crowd of batches only those that find room in their lane are decided."""
    monkeypatch.setattr(turns, "WAITING_EACH_MAX", 5)
    held = settings.pool_size // 2 - 1
    async with no_connection(world.pool, settings):
        crowd = [ensure_future(loud.ask_many_once(n)) for n in range(held + 5 + 20)]
        await until(lambda: sum(one.done() for one in crowd) == 20)
        late = ensure_future(quiet.ask_many_once(1))
        await sleep(0.05)
    answers = await gather(*crowd, late)
    assert [one.status_code for one in answers].count(200) == len(answers) - 20
    assert waiting() == 0


async def test_a_client_that_goes_while_it_waits_leaves_its_place_in_the_queue(
    world: World, owner: Connection, settings: Settings, port: int, loud: Asker,
    waiting: Callable[[], int],
) -> None:  # fmt: skip
    body = msgspec.json.encode(loud.asked | {"reference": "gone"})
    head = (
        f"POST /charges HTTP/1.1\r\nHost: spms.test\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: {loud.headers['Authorization']}\r\nContent-Type: application/json\r\n\r\n"
    )
    async with no_connection(world.pool, settings):
        before = [ensure_future(loud.charge(n)) for n in range(settings.pool_size // 2 - 1)]
        await sleep(0.05)
        assert waiting() == 0
        _, writer = await open_connection("127.0.0.1", port)
        writer.write(head.encode() + body)
        await until(lambda: waiting() == 1)
        writer.close()
        await until(lambda: waiting() == 0)
    assert {answer.status_code for answer in await gather(*before)} == {200}
    assert await owner.fetchval("SELECT count(*) FROM reservation WHERE reference = 'gone'") == 0
    assert (await loud.charge(99)).status_code == 200
