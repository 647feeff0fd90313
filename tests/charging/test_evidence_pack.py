"""The evidence pack of a charge: right or wrong, for each party its part, genuine offline."""

from datetime import timedelta
from uuid import uuid4

import pytest

from spms.charging import actions
from spms.charging.model import ChargeRecordIn, Delivery
from spms.core import db, pack
from spms.core.phone import mask
from spms.subscribers.actions import pseudonym
from tests import make
from tests.charging.world import lines_of
from tests.subscriptions.world import World

REASON = {"reason": "申诉复核"}


@pytest.fixture
def talk(pool, clock) -> World:
    return World(pool, clock)


async def charged(talk: World, sold, msisdn: str, **values):
    """Land a charge record and return the charge's id."""
    fields = {
        "record_id": str(uuid4()), "service_code": sold.code, "msisdn": msisdn,
        "charged_at": talk.clock.now(), "price_fen": 800, "delivery": Delivery.NONE,
    }  # fmt: skip
    async with db.transaction(talk.pool) as tx:
        landing = await actions.land(
            tx, lines_of(ChargeRecordIn(**(fields | values))), sp_id=sold.sp_id, file_id=None,
            actor=sold.sp, now=talk.clock.now(),
        )  # fmt: skip
    return landing.outcomes[0].charge_id


async def test_a_right_charge_is_proved_to_each_party(http, sign_in, talk):
    sold, msisdn = await talk.sold(), await talk.number()
    await talk.asked(msisdn, sold)
    await talk.say(msisdn, "Y")
    talk.clock.move(timedelta(days=4))
    charge_id = await charged(talk, sold, msisdn)
    path = f"/charge-records/{charge_id}/evidence-pack"
    person = await sign_in(make.subscriber_actor(msisdn))
    agent, sp = await sign_in(make.AGENT), await sign_in(sold.sp)
    answers = [
        await http.get(f"{path}.json", headers=person),
        await http.get(f"{path}.json", headers=sp),
        await http.post(f"{path}.json", headers=agent, json=REASON),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        found = pack.verify(answer.content)
        assert found.fine, found.checks
        told = answer.json()["statement"]
        assert told["charge"]["right"] is True
        assert told["relation"]["consent"]["reply_text"] == "Y"
        assert len(answer.json()["cites"]) >= 14
    assert [msisdn in answer.text for answer in answers] == [True, False, True]
    secret = await talk.pool.fetchval("SELECT secret FROM instance")
    assert [answer.json()["statement"]["charge"]["number"] for answer in answers] == [
        mask(msisdn), pseudonym(secret, sold.sp_id, msisdn, 1), mask(msisdn),
    ]  # fmt: skip
    paper = await http.get(f"{path}.pdf", headers=person)
    assert paper.headers["content-type"] == "application/pdf"
    assert pack.verify(paper.content).fine
    reason = await talk.pool.fetchval(
        "SELECT reason FROM audit_log WHERE act = 'charge.evidence_packed' AND about_id = $1",
        str(charge_id),
    )
    assert reason == REASON["reason"]


async def test_a_charge_without_any_relation_is_proved_wrong(http, sign_in, talk):
    sold, msisdn = await talk.sold(), await talk.number()
    charge_id = await charged(talk, sold, msisdn)
    path = f"/charge-records/{charge_id}/evidence-pack"
    headers = await sign_in(make.OFFICER)
    answer = await http.post(f"{path}.json", headers=headers, json=REASON)
    assert pack.verify(answer.content).fine
    told = answer.json()
    assert told["statement"]["charge"]["right"] is False
    assert told["statement"]["relation"] is None
    assert told["log"] is None
    paper = await http.post(f"{path}.pdf", headers=headers, json=REASON)
    assert pack.verify(paper.content).fine


async def test_nobody_gets_the_pack_of_anothers_charge(http, sign_in, talk):
    sold, msisdn = await talk.sold(), await talk.number()
    path = f"/charge-records/{await charged(talk, sold, msisdn)}/evidence-pack.json"
    for actor in ((await talk.sold()).sp, make.subscriber_actor(await talk.number())):
        headers = await sign_in(actor)
        assert (await http.get(path, headers=headers)).status_code == 404
        assert (await http.post(path, headers=headers, json=REASON)).status_code == 403
    person = await sign_in(make.subscriber_actor(msisdn))
    unknown = await http.get(f"/charge-records/{uuid4()}/evidence-pack.json", headers=person)
    assert unknown.status_code == 404
    # The number has another holder now: neither of them gets the other's.
    talk.clock.move(timedelta(days=1))
    await talk.happened(msisdn, "terminated", "subscriber_request", talk.clock.now())
    talk.clock.move(timedelta(days=1))
    await talk.happened(msisdn, "activated", "opened", talk.clock.now())
    successor = await sign_in(make.subscriber_actor(msisdn, epoch=2))
    assert (await http.get(path, headers=successor)).status_code == 404
    assert (await http.get(path, headers=person)).status_code == 401
