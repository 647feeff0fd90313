"""Batches by the short way: the usual words, all or nothing, bounded, in turn; read all at once."""

from asyncio import CancelledError, ensure_future, gather, sleep
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from httpx import AsyncClient, Response

from spms.authorisation import batches, deciding
from spms.authorisation.batches import Express, Lane
from spms.authorisation.deciding import Outcome
from spms.authorisation.model import DecisionRequest, Purpose
from spms.authorisation.reading import KINDS_MAX, Unread, sound
from spms.authorisation.reservation_model import Answer, Ask
from spms.core.clock import FixedClock
from spms.core.db import Connection
from spms.core.errors import Unavailable
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import SignIn, World

PATH = "/authorisations/batch"
MSISDN = "8613800138000"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Tell for each batch that came to the short way whether it was answered there."""
    answered: list[bool] = []
    call = Express.__call__

    async def counted(self: Express, headers: Any, body: bytes) -> bytes | None:
        answered.append(False)
        answer = await call(self, headers, body)
        answered[-1] = answer is not None
        return answer

    monkeypatch.setattr(Express, "__call__", counted)
    return answered


ODD: list[Any] = [
    {"more": 1}, {"msisdn": MSISDN + "\n"}, {"msisdn": 13800138000}, {"service_code": "a b"},
    {"price_fen": -1}, {"price_fen": "8613800138000"}, {"price_fen": 1_000_001}, {"link_id": "1"},
    {"content": ""}, {"access_number": "1"}, {"purpose": "gift"}, {"purpose": MSISDN},
    {MSISDN: "1"}, None, 1, "8613800138000", [], [MSISDN], True, 1.5,
]  # fmt: skip
"""What makes a question none: other fields, or something else in its place."""


def item(world: World, **values: Any) -> dict[str, Any]:
    return {"purpose": "message", "msisdn": world.msisdn, "service_code": world.code} | values


def shown(response: Response) -> tuple[int, dict[str, str], Any]:
    """Return all of an answer but the decisions' own ids."""
    body: Any = response.content
    if response.status_code == 200:
        body = [one | {"id": ""} for one in response.json()["items"]]
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    return response.status_code, headers, body


async def test_every_batch_is_answered_as_in_the_usual_way(
    world: World, http: AsyncClient, usual: AsyncClient, sign_in: SignIn, taken: list[bool]
) -> None:
    sp = await sign_in(make.sp_actor(world.sp_id))
    good, foreign = item(world), await sign_in(make.OFFICER)
    items: Any
    for items in ([], {}, None, "items", [good] * 1001):
        short, long = [
            await one.post(PATH, json={"items": items}, headers=sp) for one in (http, usual)
        ]
        assert shown(short) == shown(long), items
        assert short.status_code == 400, items
    for headers in (foreign, sp | {"Idempotency-Key": "a"}, {"Authorization": "Bearer unknown"}):
        short, long = [
            await one.post(PATH, json={"items": [good]}, headers=headers) for one in (http, usual)
        ]
        assert short.status_code == long.status_code
    assert not any(taken)
    for odd in ODD:
        items = [good, good | odd if isinstance(odd, dict) else odd, good]
        short, long = [
            await one.post(PATH, json={"items": items}, headers=sp) for one in (http, usual)
        ]
        assert shown(short) == shown(long), odd
        assert [one.get("allowed") for one in short.json()["items"]] == [True, None, True]
    assert not any(taken)
    plain = [
        good, item(world, service_code="99999999"), item(world, access_number="10699999"),
        item(world, msisdn="8613900000000"), item(world, price_fen=5), good,
    ]  # fmt: skip
    short, long = [await one.post(PATH, json={"items": plain}, headers=sp) for one in (http, usual)]
    assert shown(short) == shown(long)
    assert [one["allowed"] for one in short.json()["items"]] == [True, *[False] * 4, True]
    assert taken[-1]


async def test_charges_of_a_batch_count_for_each_other_and_a_leaving_for_the_next_batch(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn, taken: list[bool]
) -> None:
    sp = await sign_in(make.sp_actor(world.sp_id))
    items = [item(world, purpose="charge", price_fen=800)] * 2 + [item(world)]
    answer = await http.post(PATH, json={"items": items}, headers=sp)
    assert [one["reasons"] for one in answer.json()["items"]] == [[], ["month_used"], []]
    await owner.execute(
        "UPDATE subscription SET status = 'ended', ended_at = $1", world.now - timedelta(seconds=1)
    )
    answer = await http.post(PATH, json={"items": [item(world)]}, headers=sp)
    assert [one["reasons"] for one in answer.json()["items"]] == [["no_consent"]]
    assert taken == [True, True]
    assert await arrange.on_record(owner) == 4


def test_what_is_read_at_once_is_what_is_read_one_by_one() -> None:
    good: dict[str, Any] = {"purpose": "message", "msisdn": MSISDN, "service_code": "100001"}
    for values in (
        {}, {"msisdn": "8612800138000"}, {"msisdn": MSISDN + "0"}, {"msisdn": MSISDN[:-1]},
        {"msisdn": f"{MSISDN},{MSISDN}"}, {"msisdn": MSISDN + "\n"}, {"msisdn": "８６13800138000"},
        {"msisdn": ""}, {"service_code": ""}, {"service_code": "100001\n"},
        {"service_code": "1" * 17}, {"price_fen": -1}, {"price_fen": 10**6},
        {"price_fen": 10**6 + 1}, {"access_number": "10690001"}, {"access_number": "20690001"},
        {"link_id": "1" * 20}, {"link_id": "1" * 20 + "\n"}, {"link_id": "1"}, {"content": ""},
        {"content": "a" * 1000}, {"content": "a" * 1001}, {"purpose": "charge"},
    ):  # fmt: skip
        written = msgspec.json.encode(good | values)
        try:
            one = msgspec.json.decode(written, type=DecisionRequest)
        except msgspec.ValidationError:
            one = None
        read = msgspec.json.decode(written, type=Unread)
        assert sound([read]) == (one is not None), values
        assert sound([msgspec.json.decode(msgspec.json.encode(good), type=Unread), read]) == (
            one is not None
        )
        if one is not None:
            assert msgspec.json.encode(read) == msgspec.json.encode(one)
    many = [
        msgspec.convert(good | {"price_fen": n}, Unread) for n in range(KINDS_MAX + 1)
    ]  # fmt: skip
    assert not sound(many), "so many kinds are read one by one"


def asks(world: World, times: int = 1, **values: Any) -> list[Ask]:
    request = world.question(purpose=Purpose.MESSAGE, price_fen=0, **values)
    return [Ask(request=request, sp_id=world.sp_id, actor="sp:test")] * times


async def test_who_brings_many_batches_waits_and_the_others_are_next(
    world: World, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[int] = []

    async def counted(tx: Connection, some: Sequence[Ask], **values: Any) -> list[Outcome]:
        order.append(len(some))
        return await deciding.decide_all(tx, some, **values)

    monkeypatch.setattr(batches, "decide_all", counted)
    monkeypatch.setattr(batches, "WAITING_EACH_MAX", 5)
    monkeypatch.setattr(batches, "WAITING_MAX", 7)
    lane = Lane(world.pool, clock)
    loud = [ensure_future(lane.decide(b"loud", asks(world, 2))) for _ in range(6)]
    await sleep(0)
    quiet = [ensure_future(lane.decide(name, asks(world))) for name in (b"a", b"b", b"c")]
    told = await gather(*loud, *quiet, return_exceptions=True)
    refused = [n for n, one in enumerate(told) if isinstance(one, Unavailable)]
    assert refused == [5, 8], "the sixth of one asker, and the eighth of all"
    assert order == [2, 1, 1, 2, 2, 2, 2]
    assert all(isinstance(one, Answer) for some in told if isinstance(some, list) for one in some)
    (again,) = await lane.decide(b"loud", asks(world))
    assert isinstance(again, Answer)


async def test_a_batch_that_fails_leaves_nothing_and_spoils_no_other(
    world: World, clock: FixedClock, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(tx: Connection, some: Sequence[Ask], **values: Any) -> list[Outcome]:
        if len(some) == 2:
            await tx.execute("SELECT 1 / 0")
        if len(some) == 3:
            await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return await deciding.decide_all(tx, some, **values)

    monkeypatch.setattr(batches, "decide_all", broken)
    lane = Lane(world.pool, clock)
    waiting = [ensure_future(lane.decide(b"sp", asks(world, n))) for n in (1, 2, 4, 5)]
    await sleep(0)
    waiting[3].cancel()
    told = await gather(*waiting, return_exceptions=True)
    assert isinstance(told[1], asyncpg.DivisionByZeroError)
    assert isinstance(told[3], CancelledError)
    assert await arrange.on_record(owner) == 5
    with pytest.raises(Unavailable):
        await lane.decide(b"sp", asks(world, 3))
    assert len(await lane.decide(b"sp", asks(world, 4))) == 4
    assert await arrange.on_record(owner) == 9
