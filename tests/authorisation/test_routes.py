"""HTTP: who may, the shapes, the limits."""

from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest
from httpx import AsyncClient

from jobs import handle_messages
from jobs.timetable import House
from spms.authorisation.model import BATCH_MAX
from spms.core.access import Actor
from spms.core.clock import FixedClock
from spms.core.db import Connection
from spms.core.settings import Settings
from tests import make
from tests.authorisation.arrange import SignIn, World


def body(world: World, **values: Any) -> dict[str, Any]:
    usual = {
        "purpose": "charge", "msisdn": world.msisdn, "service_code": world.code, "price_fen": 800,
    }  # fmt: skip
    return usual | values


@pytest.fixture
async def sp(world: World, sign_in: SignIn) -> dict[str, str]:
    return await sign_in(make.sp_actor(world.sp_id))


async def test_a_yes_and_a_no_are_both_answers(
    world: World, http: AsyncClient, sp: dict[str, str]
) -> None:
    no = await http.post("/authorisations", json=body(world, price_fen=900), headers=sp)
    assert no.status_code == 200
    assert no.json()["reasons"] == ["price_mismatch"]
    yes = await http.post("/authorisations", json=body(world), headers=sp)
    assert yes.status_code == 200
    assert yes.json()["allowed"]
    assert yes.json()["reasons"] == []
    assert yes.json()["subscription_id"] == str(world.subscription_id)


async def test_charging_stops_when_a_td_comes_in_and_not_when_it_is_read(
    world: World, http: AsyncClient, sp: dict[str, str], sign_in: SignIn, settings: Settings
) -> None:
    clock = FixedClock(world.now)
    gateway = await sign_in(make.GATEWAY)
    sms = {"link_message_id": "1", "msisdn": world.msisdn, "called": "10010", "text": "td"}
    stored = await http.post("/messages/incoming", json=sms, headers=gateway)
    assert stored.status_code == 200
    unread = await http.post("/authorisations", json=body(world), headers=sp)
    assert unread.json()["reasons"] == ["leave_received"]
    unused = cast("Any", None)
    house = House(pool=world.pool, clock=clock, settings=settings, link=unused, prober=unused)
    assert await handle_messages.pump(house) == 1
    read = await http.post("/authorisations", json=body(world), headers=sp)
    assert read.json()["reasons"] == ["no_consent"]


async def test_an_sp_asks_for_itself_whatever_the_service(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn
) -> None:
    stranger = await sign_in(make.sp_actor(await make.sp(owner, world.now)))
    answer = await http.post("/authorisations", json=body(world), headers=stranger)
    assert answer.json()["reasons"] == ["service_not_of_sp"]


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"msisdn": "13800138000"}, "/msisdn"),
        ({"msisdn": "8613800138000\n"}, "/msisdn"),
        ({"price_fen": -1}, "/price_fen"),
        ({"price_fen": 1_000_001}, "/price_fen"),
        ({"purpose": "gift"}, "/purpose"),
        ({"service_code": "1" * 17}, "/service_code"),
        ({"access_number": "13800138000"}, "/access_number"),
        ({"sp_id": str(uuid4())}, None),
    ],
)
async def test_what_does_not_fit_is_refused_and_nothing_is_recorded(
    world: World,
    owner: Connection,
    http: AsyncClient,
    sp: dict[str, str],
    values: dict[str, Any],
    pointer: str | None,
) -> None:
    answer = await http.post("/authorisations", json=body(world, **values), headers=sp)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert world.msisdn not in answer.text
    if pointer is not None:
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert await owner.fetchval("SELECT count(*) FROM authorisation") == 0


async def test_a_batch_is_answered_in_order(
    world: World, http: AsyncClient, sp: dict[str, str]
) -> None:
    items = [body(world), body(world, service_code="99999999"), body(world)]
    answer = await http.post("/authorisations/batch", json={"items": items}, headers=sp)
    assert answer.status_code == 200
    assert [item["reasons"] for item in answer.json()["items"]] == [
        [], ["service_unknown"], ["month_used"],
    ]  # fmt: skip


@pytest.mark.parametrize("size", [0, BATCH_MAX + 1])
async def test_a_batch_has_limits(
    world: World, owner: Connection, http: AsyncClient, sp: dict[str, str], size: int
) -> None:
    answer = await http.post(
        "/authorisations/batch", json={"items": [body(world)] * size}, headers=sp
    )
    assert answer.status_code == 400
    assert await owner.fetchval("SELECT count(*) FROM authorisation") == 0


async def test_a_full_batch_fits(world: World, http: AsyncClient, sp: dict[str, str]) -> None:
    answer = await http.post(
        "/authorisations/batch", json={"items": [body(world)] * BATCH_MAX}, headers=sp
    )
    assert answer.status_code == 200
    assert len(answer.json()["items"]) == BATCH_MAX


async def test_a_repeated_key_gets_the_first_answer_and_uses_no_second_order(
    orders: World, owner: Connection, http: AsyncClient, sign_in: SignIn
) -> None:
    headers = await sign_in(make.sp_actor(orders.sp_id)) | {"Idempotency-Key": "charge-1"}
    first = await http.post("/authorisations", json=body(orders), headers=headers)
    again = await http.post("/authorisations", json=body(orders), headers=headers)
    assert first.json() == again.json()
    assert first.json()["allowed"]
    assert await owner.fetchval("SELECT count(*) FROM authorisation") == 1
    other = await http.post("/authorisations", json=body(orders, price_fen=1), headers=headers)
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"


ANYBODY_ELSE = [make.ADMIN, make.OFFICER, make.AGENT, make.GATEWAY]


@pytest.mark.parametrize("actor", ANYBODY_ELSE, ids=lambda actor: actor.name)
async def test_only_sps_ask(world: World, http: AsyncClient, sign_in: SignIn, actor: Actor) -> None:
    headers = await sign_in(actor)
    for path, sent in (
        ("/authorisations", body(world)), ("/authorisations/batch", {"items": [body(world)]}),
    ):  # fmt: skip
        assert (await http.post(path, json=sent, headers=headers)).status_code == 403
        assert (await http.post(path, json=sent)).status_code == 401
    assert (await http.get("/authorisations", headers=headers)).status_code == 403


async def test_decisions_are_listed_newest_first_and_page_by_page(
    world: World, owner: Connection, http: AsyncClient, sp: dict[str, str], sign_in: SignIn
) -> None:
    decisions = await world.decide(*[world.question()] * 5)
    seen, path = [], "/authorisations?limit=2"
    while path:
        page = (await http.get(path, headers=sp)).json()
        seen += page["items"]
        path = page["next"] and f"/authorisations?limit=2&after={page['next']}"
    assert [item["id"] for item in seen] == [str(d.id) for d in reversed(decisions)]
    assert {item["subscriber"] for item in seen} == {seen[0]["subscriber"]}
    assert world.msisdn[2:] not in str(seen)

    stranger = await sign_in(make.sp_actor(await make.sp(owner, world.now)))
    assert (await http.get("/authorisations", headers=stranger)).json()["items"] == []
    first = (await http.get("/authorisations?limit=2", headers=sp)).json()["next"]
    stolen = await http.get(f"/authorisations?after={first}", headers=stranger)
    assert stolen.status_code == 400
    assert stolen.json()["code"] == "cursor_invalid"


async def test_an_explanation_is_for_the_sp_the_desk_and_compliance(
    world: World, owner: Connection, http: AsyncClient, sp: dict[str, str], sign_in: SignIn
) -> None:
    (decision,) = await world.decide()
    path = f"/authorisations/{decision.id}/explanation"
    why = {"reason": "she asks why it was denied"}
    agent, officer = await sign_in(make.AGENT), await sign_in(make.OFFICER)
    for told in (
        await http.get(path, headers=sp),
        await http.post(path, json=why, headers=agent),
        await http.post(path, json=why, headers=officer),
    ):
        assert told.status_code == 200
        assert told.json()["agrees"] is True
        assert told.json()["decision"]["id"] == str(decision.id)
        assert world.msisdn not in told.text
    assert (await http.get(path, headers=agent)).status_code == 403
    assert (await http.post(path, json=why, headers=sp)).status_code == 403
    assert (await http.post(path, json={"reason": " "}, headers=agent)).status_code == 400
    assert (await http.post(path, headers=agent)).status_code == 400
    noted = "SELECT actor, reason, about_id FROM audit_log WHERE act = 'authorisation.explained' ORDER BY actor"
    assert [tuple(row) for row in await owner.fetch(noted)] == [
        (actor.label, why["reason"], str(decision.id)) for actor in (make.AGENT, make.OFFICER)
    ]
    nothing = await http.post(f"/authorisations/{uuid4()}/explanation", json=why, headers=agent)
    assert nothing.status_code == 404
    for actor in (make.GATEWAY, make.ADMIN, make.subscriber_actor(world.msisdn)):
        headers = await sign_in(actor)
        assert (await http.get(path, headers=headers)).status_code == 403
        assert (await http.post(path, json=why, headers=headers)).status_code == 403

    stranger = await sign_in(make.sp_actor(await make.sp(owner, world.now)))
    foreign = await http.get(path, headers=stranger)
    missing = await http.get(f"/authorisations/{uuid4()}/explanation", headers=stranger)
    assert foreign.status_code == missing.status_code == 404
    assert msgspec.json.decode(foreign.content) == msgspec.json.decode(missing.content)
