import base64

import pytest

from spms.messaging import actions
from tests import make

MSISDN = "8613912340000"
SMS = {"link_message_id": "a1", "msisdn": MSISDN, "called": "10010", "text": "Y"}


@pytest.fixture
async def gateway(sign_in):
    return await sign_in(make.GATEWAY)


async def test_the_sms_centre_delivers_and_may_deliver_again(http, gateway, tx, now):
    answers = [await http.post("/messages/incoming", json=SMS, headers=gateway) for _ in range(2)]
    assert [(a.status_code, a.json()) for a in answers] == [
        (200, {"new": True}), (200, {"new": False}),
    ]  # fmt: skip
    row = await tx.fetchrow("SELECT * FROM message_in")
    assert (row["link"], row["received_at"], row["raw"]) == ("smsc", now, b"Y")


async def test_a_message_is_not_acknowledged_when_its_commit_fails(http, gateway, tx, owner):
    await owner.execute("""
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN RAISE EXCEPTION USING ERRCODE = ''40001''; END';
        CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON message_in_key
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail();
    """)
    answer = await http.post("/messages/incoming", json=SMS, headers=gateway)
    assert answer.status_code == 503
    await owner.execute("DROP TRIGGER fail ON message_in_key")
    answer = await http.post("/messages/incoming", json=SMS, headers=gateway)
    assert (answer.status_code, answer.json()) == (200, {"new": True})


async def test_what_cannot_be_decoded_is_kept_as_bytes(http, gateway, tx):
    raw = bytes(range(256))
    body = SMS | {"text": None, "raw": base64.b64encode(raw).decode()}
    assert (await http.post("/messages/incoming", json=body, headers=gateway)).status_code == 200
    row = await tx.fetchrow("SELECT text, raw FROM message_in")
    assert (row["text"], row["raw"]) == (None, raw)


@pytest.mark.parametrize("text", ["", "好" * 1000, "😀", "\U0001d418", "a\nb\tc"])
async def test_any_text_a_phone_can_send_is_taken(http, gateway, tx, text):
    answer = await http.post("/messages/incoming", json=SMS | {"text": text}, headers=gateway)
    assert answer.status_code == 200
    assert await tx.fetchval("SELECT text FROM message_in") == text


@pytest.mark.parametrize(
    "wrong",
    [
        {"msisdn": "13912340000"}, {"msisdn": MSISDN + "\n"}, {"called": "+10010"}, {"called": ""},
        {"called": "１００１０"}, {"link_message_id": ""}, {"link_message_id": "x" * 129},
        {"text": 5}, {"raw": "not base64!"}, {"more": 1},
    ],
)  # fmt: skip
async def test_what_no_sms_centre_sends_is_refused_and_stores_nothing(http, gateway, tx, wrong):
    answer = await http.post("/messages/incoming", json=SMS | wrong, headers=gateway)
    assert answer.status_code == 400
    assert MSISDN not in answer.text
    assert await tx.fetchval("SELECT count(*) FROM message_in") == 0


@pytest.mark.parametrize("path", ["/messages/incoming", "/messages/receipts"])
async def test_an_sp_or_anybody_else_cannot_speak_for_the_network(http, sign_in, tx, now, path):
    sp = make.sp_actor(await make.sp(tx, now))
    for actor in (sp, make.AGENT, make.OFFICER, make.ADMIN, make.subscriber_actor(MSISDN)):
        answer = await http.post(path, json=SMS, headers=await sign_in(actor))
        assert answer.status_code == 403
    assert (await http.post(path, json=SMS)).status_code == 401
    assert await tx.fetchval("SELECT count(*) FROM message_in") == 0


async def test_a_receipt_of_the_network_reaches_its_message(http, gateway, tx, now):
    await actions.send(
        tx, msisdn=MSISDN, text="x", kind="info", about_kind="x", about_id=1, now=now
    )
    [message] = await actions.take_due(tx, now=now)
    await actions.mark_submitted(tx, message, link="smsc", link_message_id="b7", now=now)
    body = {"link_message_id": "b7", "delivered": True}
    answer = await http.post("/messages/receipts", json=body, headers=gateway)
    assert answer.status_code == 204
    assert await tx.fetchval("SELECT state FROM message_out") == "delivered"
