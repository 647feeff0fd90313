"""An SP's client credentials: an end at once to what has leaked, on every replica."""

import asyncio
from typing import Any, cast
from uuid import uuid4

import httpx

from spms.app import create_app
from spms.core import db, roles
from spms.partners import client_secrets
from tests import make
from tests.partners.test_routes import APPLICATION

WHY = {"reason": "the secret stood in a public repository"}
GRANT = {"grant_type": "client_credentials"}


async def token(http, client):
    return await http.post(
        "/oauth/token", data=GRANT, auth=(client["client_id"], client["client_secret"])
    )


async def bearer(http, client):
    answer = await token(http, client)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def test_a_leaked_secret_ends_at_the_next_request_on_every_replica(
    http, pool, owner_url, settings, clock
):
    body = (await http.post("/sps", json=APPLICATION)).json()
    path, leaked = f"/sps/{body['sp']['id']}/client-secrets", body["client"]
    stolen = await bearer(http, leaked)
    fresh = (await http.post(path, headers=await bearer(http, leaked))).json()
    own = await bearer(http, fresh)
    other_pool = await db.open_pool(roles.app_url(owner_url), settings)
    try:
        transport = httpx.ASGITransport(app=cast("Any", create_app(other_pool, clock, settings)))
        async with httpx.AsyncClient(transport=transport, base_url="http://replica.test") as other:
            question = {"msisdn": "8613912340000", "service_code": "000001", "purpose": "charge"}
            asked = [("get", "/my/sp", None), ("get", path, None),
                     ("get", "/events", None), ("post", "/authorisations", question)]  # fmt: skip
            for verb, where, sent in asked:
                seen = await other.request(verb, where, json=sent, headers=stolen)
                assert seen.status_code not in {401, 403}, where
            done = await http.post(
                f"{path}/{leaked['client_id']}/revocation", json=WHY, headers=own
            )
            assert (done.status_code, done.json()["revoked_at"] is not None) == (200, True)
            for replica in (other, http):
                for verb, where, sent in asked:
                    refused = await replica.request(verb, where, json=sent, headers=stolen)
                    assert refused.status_code == 401, where
                assert (await token(replica, leaked)).status_code == 401
                assert (await replica.get("/my/sp", headers=own)).status_code == 200
    finally:
        await other_pool.close()
    listed = (await http.get(path, headers=own)).json()
    assert [one["client_id"] for one in listed] == [fresh["client_id"], leaked["client_id"]]
    assert "secret" not in "".join(listed[0])
    row = await pool.fetchrow("SELECT reason, detail FROM audit_log WHERE act LIKE '%revoked'")
    assert row["reason"] == WHY["reason"]
    assert leaked["client_id"] in str(row["detail"])


async def test_only_its_own_credentials_and_the_answer_is_that_of_none(http, sign_in, tx, now):
    mine, theirs = await make.sp(tx, now), await make.sp(tx, now)
    client = await client_secrets.rotate(tx, theirs, actor=make.sp_actor(theirs), now=now)
    headers = await sign_in(make.sp_actor(mine))
    for sp_id in (mine, theirs):
        for client_id in (client.client_id, uuid4()):
            path = f"/sps/{sp_id}/client-secrets/{client_id}/revocation"
            answer = await http.post(path, json=WHY, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await http.get(f"/sps/{theirs}/client-secrets", headers=headers)).status_code == 404
    assert await tx.fetchval(
        "SELECT revoked_at FROM credential WHERE id = $1", client.client_id
    ) is None  # fmt: skip
    path = f"/sps/{theirs}/client-secrets/{client.client_id}/revocation"
    for actor, status in [(make.OFFICER, 403), (make.AGENT, 403), (make.ADMIN, 200)]:
        answer = await http.post(path, json=WHY, headers=await sign_in(actor))
        assert answer.status_code == status


async def test_its_own_last_credentials_can_be_ended_and_the_operator_gives_new_ones(http, sign_in):
    body = (await http.post("/sps", json=APPLICATION)).json()
    path, client = f"/sps/{body['sp']['id']}/client-secrets", body["client"]
    own = await bearer(http, client)
    one = f"{path}/{client['client_id']}/revocation"
    assert (await http.post(one, json={}, headers=own)).status_code == 400
    assert (await http.post(one, json=WHY, headers=own)).status_code == 200
    assert (await http.post(one, json=WHY, headers=own)).status_code == 401
    admin = await sign_in(make.ADMIN)
    again = await http.post(one, json=WHY, headers=admin)
    assert (again.status_code, again.json()["revoked_by"]) == (200, f"sp:{body['sp']['code']}")
    fresh = (await http.post(path, headers=admin)).json()
    assert (await token(http, fresh)).status_code == 200


async def test_rotating_while_one_is_revoked_leaves_it_revoked(http, pool, tx, now):
    sp_id = await make.sp(tx, now)
    actor = make.sp_actor(sp_id)
    leaked = await client_secrets.rotate(tx, sp_id, actor=actor, now=now)

    async def own(act, *args, **said):
        async with db.transaction(pool) as own_tx:
            return await act(own_tx, sp_id, *args, actor=actor, now=now, **said)

    await asyncio.gather(
        own(client_secrets.rotate), own(client_secrets.revoke, leaked.client_id, reason="leaked"),
        own(client_secrets.rotate),
    )  # fmt: skip
    assert (await token(http, {"client_id": str(leaked.client_id),
                               "client_secret": leaked.client_secret})).status_code == 401  # fmt: skip
    live = "SELECT count(*) FROM credential WHERE kind = 'sp' AND revoked_at IS NULL"
    assert await tx.fetchval(live) == 2
