"""What spoils one item of a batch, by its form or while it is decided, and no other."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient

from spms.authorisation import batches, deciding, several
from spms.authorisation.deciding import Outcome
from spms.authorisation.model import Purpose
from spms.authorisation.reservation_model import Ask
from spms.core.db import Connection
from spms.core.errors import Unavailable
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import SignIn, World

PATH = "/authorisations/batch"
MSISDN = "8613800138000"


def item(world: World, **values: Any) -> dict[str, Any]:
    return {"purpose": "message", "msisdn": world.msisdn, "service_code": world.code} | values


async def test_what_is_no_question_is_refused_in_its_place_and_the_others_are_decided(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn
) -> None:
    """Each with its own fields at fault, and never a word of what was sent."""
    sp = await sign_in(make.sp_actor(world.sp_id))
    bare = {"purpose": "charge", "service_code": world.code}
    items: list[Any] = [
        item(world, msisdn=MSISDN[2:]), item(world, purpose="charge", price_fen=800), bare,
        item(world, price_fen=MSISDN), None, item(world),
        item(world, **{MSISDN: 1}),
    ]  # fmt: skip
    for headers in (sp, sp | {"Idempotency-Key": "a"}, sp | {"Idempotency-Key": "a"}):
        answer = await http.post(PATH, json={"items": items}, headers=headers)
        assert answer.status_code == 200
        told = answer.json()["items"]
        assert [n for n, one in enumerate(told) if "allowed" in one] == [1, 5]
        refused = [one for one in told if "allowed" not in one]
        kinds = {(one["type"], one["status"], one["code"]) for one in refused}
        assert kinds == {("urn:spms:problem:invalid", 400, "invalid")}
        assert [[error["pointer"] for error in one["errors"]] for one in refused] == [
            ["/items/0/msisdn"], ["/items/2"], ["/items/3/price_fen"], ["/items/4"], ["/items/6"],
        ]  # fmt: skip
        assert MSISDN[2:] not in answer.text
    assert await arrange.on_record(owner) == 4, "the second of the same key is the first again"


async def test_a_repeated_key_finds_the_same_misfits_however_they_are_written(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn
) -> None:
    headers = await sign_in(make.sp_actor(world.sp_id)) | {
        "Idempotency-Key": "a", "Content-Type": "application/json",
    }  # fmt: skip
    good = msgspec.json.encode(item(world)).decode()
    bodies = ['{"a": 1, "b": [2]}', '{ "b":[2],"a":1}', '{"a": 1, "b": [3]}']
    first, again, other = [
        await http.post(PATH, content=f'{{"items": [{good}, {odd}]}}', headers=headers)
        for odd in bodies
    ]
    assert first.status_code == 200
    assert first.content == again.content
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await arrange.on_record(owner) == 1


@pytest.mark.parametrize("odd", ['{"a": "\\q"}', '{"purpose": 1, "a": "\\q"}', "[nul]", '"\\u12"'])
async def test_what_is_no_json_is_no_batch(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn, odd: str
) -> None:
    """Where a question ends is known only where all of it is JSON."""
    headers = await sign_in(make.sp_actor(world.sp_id)) | {"Content-Type": "application/json"}
    good = msgspec.json.encode(item(world)).decode()
    answer = await http.post(PATH, content=f'{{"items": [{good}, {odd}]}}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "json_malformed")
    assert await arrange.on_record(owner) == 0


@pytest.mark.parametrize("key", [None, "a"])
@pytest.mark.parametrize("purpose", Purpose)
async def test_a_question_that_fails_as_no_other_does_spoils_a_batch_for_nobody_else(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch, purpose: Purpose, key: str | None,
) -> None:  # fmt: skip
    """It is found by halves, and all else of the batch is on record as if it had not been there."""
    tries: list[int] = []

    async def broken(tx: Connection, some: Sequence[Ask], **values: Any) -> list[Outcome]:
        tries.append(len(some))
        if any(one.request.price_fen == 666 for one in some):
            await tx.execute("SELECT 1 / 0")
        return await deciding.decide_all(tx, some, **values)

    for room in (batches, several):
        monkeypatch.setattr(room, "decide_all", broken)
    headers = await sign_in(make.sp_actor(world.sp_id))
    headers |= {} if key is None else {"Idempotency-Key": key}
    prices = [800 if purpose is Purpose.CHARGE else 0] * 40
    prices[7] = prices[23] = 666
    items: list[Any] = [item(world, purpose=purpose, price_fen=fen) for fen in prices]
    items[30] = {}
    answers = [
        await http.post(PATH, json={"items": items}, headers=headers)
        for _ in range(1 if key is None else 2)
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    told = answers[0].json()["items"]
    failed = {n: (one["status"], one["code"]) for n, one in enumerate(told) if "code" in one}
    assert failed == {7: (500, "internal"), 23: (500, "internal"), 30: (400, "invalid")}
    allowed = [n for n, one in enumerate(told) if one.get("allowed")]
    assert allowed == (
        [0] if purpose is Purpose.CHARGE else [n for n in range(40) if n not in failed]
    )
    assert await arrange.on_record(owner) == 37
    assert len(tries) > 10
    ids = await owner.fetchval("SELECT count(DISTINCT id) FROM decision_pack")
    assert ids == 0 if purpose is Purpose.CHARGE else ids > 1
    for number, one in enumerate(told):
        if number not in failed:
            found = await http.get(f"/authorisations/{one['id']}/explanation", headers=headers)
            assert found.json()["agrees"] is True, number


async def test_a_batch_of_which_a_part_cannot_be_decided_now_is_not_decided_at_all(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It can come again, also with its key: what is on record would be a part of it for ever."""

    async def broken(tx: Connection, some: Sequence[Ask], **values: Any) -> list[Outcome]:
        if len(some) > 2:
            await tx.execute("SELECT 1 / 0")
        if some[-1].request.price_fen:
            raise Unavailable("others decide about the same numbers all the time")
        return await deciding.decide_all(tx, some, **values)

    headers = await sign_in(make.sp_actor(world.sp_id)) | {"Idempotency-Key": "a"}
    items = [item(world, price_fen=fen) for fen in (0, 0, 0, 800)]
    with monkeypatch.context() as patched:
        patched.setattr(several, "decide_all", broken)
        answer = await http.post(PATH, json={"items": items}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await arrange.on_record(owner) == 0
    assert (await http.post(PATH, json={"items": items}, headers=headers)).status_code == 200
    assert await arrange.on_record(owner) == 4
