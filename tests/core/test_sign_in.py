"""One bearer model for all: tokens, wrong secrets, revocation."""

import asyncio
from datetime import timedelta

import pytest

from spms.core import access, db
from spms.core.access import ActorKind, Role
from spms.core.failures import FAILURE_WINDOW
from spms.core.passwords import hash_password
from tests import make

PASSWORD = "correct horse battery"


@pytest.fixture
async def staff(pool, now):
    async with db.transaction(pool) as tx:
        return await access.add_credential(
            tx, kind=ActorKind.STAFF, subject="lin", name="lin", roles=(Role.AGENT,),
            secret_hash=await hash_password(PASSWORD), actor=make.ADMIN, now=now,
        )  # fmt: skip


async def _token(http, password=PASSWORD):
    return await http.post("/sign-in/staff", json={"login": "lin", "password": password})


async def test_a_revoked_credential_stops_with_the_next_request(http, pool, now, staff):
    headers = {"Authorization": f"Bearer {(await _token(http)).json()['access_token']}"}
    assert (await http.post("/sign-out", headers=headers)).status_code == 204
    headers = {"Authorization": f"Bearer {(await _token(http)).json()['access_token']}"}
    async with db.transaction(pool) as tx:
        await access.revoke_credential(tx, staff, actor=make.ADMIN, now=now)
    answer = await http.post("/sign-out", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_signed_out_token_is_worthless(http, staff):
    headers = {"Authorization": f"Bearer {(await _token(http)).json()['access_token']}"}
    await http.post("/sign-out", headers=headers)
    assert (await http.post("/sign-out", headers=headers)).status_code == 401


async def test_wrong_password_and_unknown_login_get_the_same_answer(http, staff):
    wrong = await _token(http, "wrong")
    unknown = await http.post("/sign-in/staff", json={"login": "nobody", "password": "wrong"})
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
    assert wrong.status_code == 401


async def test_ten_wrong_tries_close_the_door_for_a_while(http, staff, clock):
    for _ in range(10):
        assert (await _token(http, "wrong")).status_code == 401
    assert (await _token(http)).status_code == 429
    clock.move(FAILURE_WINDOW)
    assert (await _token(http)).status_code == 200


async def test_many_guesses_at_once_are_ten_as_well(http, staff):
    answers = await asyncio.gather(*[_token(http, "wrong") for _ in range(30)])
    assert sorted(a.status_code for a in answers) == [401] * 10 + [429] * 20


async def test_right_passwords_are_not_counted_as_failures(http, staff):
    assert [(await _token(http)).status_code for _ in range(12)] == [200] * 12


async def test_a_client_is_not_locked_out_by_others_who_know_its_id(http, sign_in):
    admin = await sign_in(make.ADMIN)
    made = (await http.post("/network-elements", json={"name": "smsc-1"}, headers=admin)).json()
    form = {"grant_type": "client_credentials", **made}
    wrong = [await http.post("/oauth/token", data=form | {"client_secret": "x"}) for _ in range(11)]
    assert [a.status_code for a in wrong] == [401] * 10 + [429]
    assert (await http.post("/oauth/token", data=form)).status_code == 200


async def test_a_token_expires(http, staff, clock, settings):
    headers = {"Authorization": f"Bearer {(await _token(http)).json()['access_token']}"}
    clock.move(timedelta(minutes=settings.token_minutes))
    assert (await http.post("/sign-out", headers=headers)).status_code == 401


async def test_a_network_element_signs_in_with_client_credentials(http, sign_in):
    admin = await sign_in(make.ADMIN)
    made = (await http.post("/network-elements", json={"name": "smsc-1"}, headers=admin)).json()
    form = {"grant_type": "client_credentials", **made}
    answer = await http.post("/oauth/token", data=form)
    assert answer.status_code == 200, answer.text
    basic = await http.post(
        "/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(made["client_id"], made["client_secret"]),
    )
    assert basic.status_code == 200
    assert answer.json()["token_type"] == "Bearer"
    wrong = await http.post("/oauth/token", data=form | {"client_secret": "x"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    again = await http.post("/network-elements", json={"name": "smsc-1"}, headers=admin)
    assert (again.status_code, again.json()["code"]) == (409, "login_taken")


async def test_only_an_administrator_adds_staff(http, sign_in):
    body = {"login": "wei", "password": PASSWORD, "roles": ["agent"]}
    agent = await http.post("/staff", json=body, headers=await sign_in(make.AGENT))
    assert agent.status_code == 403
    assert (await http.post("/staff", json=body)).status_code == 401
    admin = await sign_in(make.ADMIN)
    assert (await http.post("/staff", json=body, headers=admin)).status_code == 201
    assert (await http.post("/staff", json=body, headers=admin)).status_code == 409
    taken = body | {"login": "wei2", "roles": ["sp"]}
    assert (await http.post("/staff", json=taken, headers=admin)).status_code == 400


async def test_health_tells_whether_the_database_answers(http, pool):
    assert (await http.get("/health/live")).json()["status"] == "live"
    assert (await http.get("/health/ready")).status_code == 200
    await pool.close()
    assert (await http.get("/health/ready")).status_code == 503
