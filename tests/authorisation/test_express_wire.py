"""The short way from the socket to the engine: same answers as by the routes, same promises."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient

from spms.authorisation import deciding, engine
from spms.authorisation.express import Express
from spms.authorisation.pieces import Told
from spms.authorisation.reservation_model import Ask
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.edge import Edge
from spms.core.settings import Settings
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import SECOND, SignIn, World

Seen = tuple[int, dict[str, str], Any]


class Client:
    """One connection, kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.token, self.path = "", "/authorisations"

    def send(self, body: bytes) -> None:
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: spms.test\r\nAuthorization: {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)

    async def answer(self) -> Seen:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)
        status, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers["content-length"]))
        headers.pop("date")
        return shown(int(status.split()[1]), headers, body)

    async def ask(self, body: bytes) -> Seen:
        """Make the head known with a good question of the same length, then ask."""
        self.send(body)
        return await self.answer()


def shown(status: int, headers: dict[str, str], body: bytes) -> Seen:
    """Return all of an answer but the decision's own id; of what is held that is one for ever."""
    if status == 200:
        told = msgspec.json.decode(body)
        if not told.get("reservation"):
            told.get("decision", told)["id"] = ""
        body = msgspec.json.encode(told)
    return status, dict(sorted(headers.items())), body


@asynccontextmanager
async def connected(port: int, token: dict[str, str]) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    client.token = token["Authorization"]
    try:
        yield client
    finally:
        client.writer.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Keep the bodies that came the short way."""
    bodies: list[bytes] = []
    start = Express.start

    def kept(self: Express, asker: bytes, body: bytes, tell: Any) -> None:
        bodies.append(body)
        start(self, asker, body, tell)

    monkeypatch.setattr(Express, "start", kept)
    return bodies


def question(world: World, **values: Any) -> bytes:
    asked = {"purpose": "message", "msisdn": world.msisdn, "service_code": world.code}
    return msgspec.json.encode(asked | values)


@pytest.fixture
async def routes(
    http: AsyncClient, sandbox_app: Edge, settings: Settings
) -> AsyncIterator[AsyncClient]:
    """Return a client of the same application without any short way."""
    assert http is not None
    app = Edge(sandbox_app.app, body_limit=settings.body_limit_bytes)
    transport = ASGITransport(app=cast("Any", app), raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://spms.test") as client:
        yield client


async def usual(
    routes: AsyncClient, token: dict[str, str], body: bytes, path: str = "/authorisations"
) -> Seen:
    """Ask by the routes."""
    sent = token | {"Content-Type": "application/json"}
    told = await routes.post(path, content=body, headers=sent)
    return shown(told.status_code, dict(told.headers), told.content)


async def test_bodies_of_every_kind_are_answered_as_by_the_routes(
    world: World, routes: AsyncClient, port: int, sign_in: SignIn, owner: Connection,
    short: list[bytes],
) -> None:  # fmt: skip
    token = await sign_in(make.sp_actor(world.sp_id))
    good = question(world)
    bodies = [
        good, question(world, price_fen=1), question(world, service_code="000000"),
        question(world, msisdn="8613000000000"), question(world, purpose="charge", price_fen=1),
        good[:-1] + b"{", good.replace(b"message", b"m\xffssage"), good.replace(b"86", b"\x0086"),
        good[:-1] + b',"msisdn":"8613800138000"}', good[:-1] + b',"more":1}', b"null".ljust(20),
        question(world, price_fen="800"), question(world, price_fen=-1), question(world, price_fen=2**63),
        question(world, purpose="gift"), question(world, service_code="\u202e"), b"[" * len(good),
        good[:-1] + b',"price_fen":1e3}', good[:-1] + b',"price_fen":NaN}', b" " * len(good),
    ]  # fmt: skip
    async with connected(port, token) as client:
        for body in bodies:
            assert (await client.ask(good.ljust(len(body))))[0] == 200
            short.clear()
            seen = await client.ask(body)
            assert seen == await usual(routes, token, body), body
        assert any(seen[0] == status for status in (400, 200))
        before = await arrange.on_record(owner)
        short.clear()
        for _ in range(3):
            await client.ask(good)
    assert short == [good] * 3
    assert await arrange.on_record(owner) == before + 3, "what was answered is on record"


async def test_a_charge_is_held_over_the_wire_as_by_the_routes(
    world: World, routes: AsyncClient, port: int, sign_in: SignIn, owner: Connection,
    short: list[bytes],
) -> None:  # fmt: skip
    """One reference is one answer: whatever came over the wire first, the routes tell again."""
    token = await sign_in(make.sp_actor(world.sp_id))

    def held(reference: str, **values: Any) -> bytes:
        usual = {"msisdn": world.msisdn, "service_code": world.code, "price_fen": 800}
        return msgspec.json.encode(usual | {"reference": reference} | values)

    good = held("r1")
    bodies = [
        good, held("r2"), held("r1", price_fen=900), held("r4", service_code="000000"),
        held("r5", msisdn="8613000000000"), held(""), held("r6", price_fen=-1),
        held("r7", purpose="charge"), held("r8", more=1), good[:-1] + b"{", b"null".ljust(20),
        good.replace(b'"reference"', b'"referense"'), good.replace(b"r1", b"\xff1"),
    ]  # fmt: skip
    statuses = set()
    async with connected(port, token) as client:
        client.path = "/reservations"
        for body in (each.ljust(len(good)) for each in bodies):
            await client.ask(good.ljust(len(body)))
            seen = await client.ask(body)
            assert seen == await usual(routes, token, body, client.path), body
            statuses.add(seen[0])
    assert statuses >= {200, 400, 422}
    assert {bodies[0], bodies[1]} <= set(short), "what is in order came the short way"
    assert [row["reference"] for row in await owner.fetch("SELECT reference FROM reservation")] == [
        "r1"
    ]


async def test_a_token_stops_with_the_next_question_on_an_open_connection(
    world: World, port: int, sign_in: SignIn, owner: Connection, routes: AsyncClient,
    short: list[bytes],
) -> None:  # fmt: skip
    later = world.now - SECOND
    for spoil in (
        "UPDATE access_token SET expires_at = $1",
        "UPDATE access_token SET revoked_at = $1",
        "DELETE FROM access_token WHERE issued_at > $1",
        "UPDATE credential SET revoked_at = $1, revoked_by = 'test'",
        "UPDATE credential SET roles = '{}' WHERE created_at > $1",
    ):
        token = await sign_in(make.sp_actor(world.sp_id))
        async with connected(port, token) as client:
            for _ in range(3):
                assert (await client.ask(question(world)))[0] == 200
            await owner.execute(spoil, later)
            short.clear()
            seen = await client.ask(question(world))
        assert short, "it was known until then"
        assert seen[0] == (403 if "roles" in spoil else 401)
        assert seen == await usual(routes, token, question(world))
    assert await arrange.on_record(owner) == 15


async def test_an_expired_token_stops_though_nobody_touched_it(
    world: World, port: int, sign_in: SignIn, clock: Any, owner: Connection
) -> None:
    token = await sign_in(make.sp_actor(world.sp_id))
    await owner.execute("UPDATE access_token SET expires_at = $1", world.now + arrange.HOUR)
    async with connected(port, token) as client:
        for _ in range(3):
            assert (await client.ask(question(world)))[0] == 200
        clock.move(arrange.HOUR)
        assert (await client.ask(question(world)))[0] == 401


async def test_whoever_leaves_is_refused_by_the_next_question(
    world: World, port: int, sign_in: SignIn, owner: Connection, short: list[bytes]
) -> None:
    token = await sign_in(make.sp_actor(world.sp_id))
    async with connected(port, token) as client:
        for _ in range(2):
            await client.ask(question(world))
        assert short
        await owner.execute(
            "UPDATE subscription SET status = 'ended', ended_at = $1, end_reason = 'subscriber'",
            world.now,
        )
        seen = await client.ask(question(world))
    assert msgspec.json.decode(seen[2])["reasons"] == ["no_consent"]


async def test_when_too_many_wait_the_next_is_told_when_to_come_again(
    world: World, port: int, sign_in: SignIn, owner: Connection, http: AsyncClient,
    monkeypatch: pytest.MonkeyPatch, short: list[bytes],
) -> None:  # fmt: skip
    token = await sign_in(make.sp_actor(world.sp_id))
    async with connected(port, token) as client:
        await client.ask(question(world))
        monkeypatch.setattr(engine, "WAITING_MAX", 0)
        seen = await client.ask(question(world))
        assert seen == await usual(http, token, question(world))
        assert (seen[0], seen[1]["retry-after"], len(short)) == (503, "1", 1)
        monkeypatch.undo()
        assert (await client.ask(question(world)))[0] == 200
    assert await arrange.on_record(owner) == 2


async def test_when_the_database_is_away_a_question_is_asked_once(
    world: World, port: int, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its COMMIT may have gone through: a charge must not be decided a second time."""
    token, asked = await sign_in(make.sp_actor(world.sp_id)), list[int]()

    async def away(_: Connection, asks: Sequence[Ask], **__: Any) -> Any:
        asked.append(len(asks))
        raise ConnectionResetError

    async with connected(port, token) as client:
        await client.ask(question(world))
        monkeypatch.setattr(engine, "decide_all", away)
        monkeypatch.setattr(deciding, "decide_all", away)
        seen = await client.ask(question(world))
    assert (seen[0], seen[1]["retry-after"], asked) == (503, "1", [1])


async def test_who_hangs_up_spoils_nothing_and_is_on_record(
    world: World, port: int, sign_in: SignIn, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, go = await sign_in(make.sp_actor(world.sp_id)), asyncio.Event()

    async def held(tx: Connection, asks: Sequence[Ask], **values: Any) -> Any:
        await go.wait()
        return await deciding.decide_all(tx, asks, **values)

    async with connected(port, token) as client, connected(port, token) as other:
        await client.ask(question(world))
        monkeypatch.setattr(engine, "decide_all", held)
        client.send(question(world))
        other.send(question(world))
        await client.writer.drain()
        client.writer.transport.abort()
        for _ in range(20):
            await asyncio.sleep(0)
        go.set()
        assert (await other.answer())[0] == 200
        # The other's may have been a later round than that of the one who is gone, never an earlier.
        assert (await other.ask(question(world)))[0] == 200
    assert await arrange.on_record(owner) >= 3


async def test_a_fault_in_handing_over_an_answer_costs_nobody_else_theirs(
    world: World, clock: Any
) -> None:
    made, told = engine.Engine(world.pool, clock), asyncio.Queue[Told]()
    actor: Actor = make.sp_actor(world.sp_id)
    ask = Ask(request=world.question(price_fen=0), sp_id=world.sp_id, actor=actor.label)
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    def fails(_: Told) -> None:
        raise RuntimeError

    made.start(ask, fails)
    made.start(ask, told.put_nowait)
    assert not isinstance(await asyncio.wait_for(told.get(), 30), Exception)
    assert len(failures) == 1
