"""A charge is held by the short way as by the routes: word for word, and the same one twice is one."""

from asyncio import gather
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient, Response

from spms.authorisation.express import Reserving
from spms.core.db import Connection
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import SignIn, World

PATH = "/reservations"
TYPED = {"Content-Type": "application/json"}


def asked(world: World, reference: str = "r1", **values: Any) -> bytes:
    usual = {"msisdn": world.msisdn, "service_code": world.code, "price_fen": 800}
    return msgspec.json.encode(usual | {"reference": reference} | values)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Tell for each request that came to the short way whether it was answered there."""
    answered: list[bool] = []
    call = Reserving.__call__

    async def counted(self: Reserving, headers: Any, body: bytes) -> bytes | None:
        answer = await call(self, headers, body)
        answered.append(answer is not None)
        return answer

    monkeypatch.setattr(Reserving, "__call__", counted)
    return answered


def shown(response: Response) -> tuple[int, dict[str, str], bytes]:
    return response.status_code, dict(sorted(response.headers.items())), response.content


async def test_the_same_reference_gets_one_answer_whichever_way_and_however_often_it_comes(
    world: World, owner: Connection, http: AsyncClient, usual: AsyncClient, sign_in: SignIn,
    taken: list[bool],
) -> None:  # fmt: skip
    token = await sign_in(make.sp_actor(world.sp_id)) | TYPED
    sent: dict[str, Any] = {"content": asked(world), "headers": token}
    keyed: dict[str, Any] = {"content": asked(world), "headers": token | {"Idempotency-Key": "k"}}
    some = [(http, sent), (usual, sent), (http, keyed)] * 4
    answers = await gather(*[client.post(PATH, **request) for client, request in some])
    assert len({str(shown(answer)) for answer in answers}) == 1
    held = answers[0].json()
    assert held["decision"]["allowed"]
    assert (held["reservation"]["reference"], held["reservation"]["state"]) == ("r1", "reserved")
    assert taken == [True] * 8, "an Idempotency-Key adds nothing to a reference"
    assert await arrange.on_record(owner) == 1
    assert await owner.fetchval("SELECT total_fen FROM month_spend") == 800
    path = f"{PATH}/{held['reservation']['id']}/capture"
    assert (await http.post(path, headers=token)).json()["state"] == "captured"


async def test_what_is_refused_is_refused_in_the_usual_words(
    world: World, owner: Connection, http: AsyncClient, usual: AsyncClient, sign_in: SignIn,
    taken: list[bool],
) -> None:  # fmt: skip
    token = await sign_in(make.sp_actor(world.sp_id)) | TYPED
    officer, unknown = await sign_in(make.OFFICER) | TYPED, {"Authorization": "Bearer x"} | TYPED
    assert (await http.post(PATH, content=asked(world), headers=token)).status_code == 200
    cases = [
        (asked(world, price_fen=900), token, 422), (asked(world, reference=""), token, 400),
        (asked(world, msisdn="1"), token, 400), (asked(world, purpose="charge"), token, 400),
        (b"{", token, 400), (asked(world), officer, 403), (asked(world), unknown, 401),
    ]  # fmt: skip
    for body, headers, status in cases:
        short, long = [await one.post(PATH, content=body, headers=headers) for one in (http, usual)]
        assert shown(short) == shown(long), body
        assert short.status_code == status
    assert taken == [True] + [False] * (len(taken) - 1)
    denied = await http.post(PATH, content=asked(world, "r2"), headers=token)
    assert denied.json()["decision"]["reasons"] == ["month_used"]
    assert denied.json()["reservation"] is None
    assert await arrange.on_record(owner) == 2
