"""A number gets another owner: the SP cannot tell that it is the same number, nor she what was."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest

from spms.charging import actions as charging
from spms.charging.model import ChargeRecordIn, Delivery
from spms.core import db
from spms.core.access import job_actor
from spms.partners import event_feed
from spms.subscriptions.telling import tell_untold
from tests import make
from tests.charging.world import lines_of
from tests.subscriptions.world import World

DAY = timedelta(days=1)
LISTS = {
    "/subscriptions": "number", "/charge-records": "pseudonym", "/claims": "number",
    "/authorisations": "subscriber", "/verifications": "number", "/leaving-duties": "number",
    "/events": "number",
}  # fmt: skip
"""Every list in which an SP meets a person, and the field with her name."""


@pytest.fixture
def talk(pool, clock) -> World:
    return World(pool, clock)


async def lived(http, sign_in, talk, sold, msisdn, epoch, agent):
    """Let a holder subscribe, be asked about, be charged rightly and wrongly, claim, and leave."""
    asked = await talk.asked(msisdn, sold)
    await talk.say(msisdn, "Y")
    talk.clock.move(4 * DAY)
    sp, person = await sign_in(sold.sp), await sign_in(make.subscriber_actor(msisdn, epoch))
    question = {"msisdn": msisdn, "service_code": sold.code, "purpose": "charge", "price_fen": 800}
    await http.post("/authorisations", json=question, headers=sp)
    right = await charged(talk, sold, msisdn)
    wrong = await charged(talk, sold, msisdn)
    done = [
        await http.post("/claims", json={"charge_id": wrong, "reason": "twice"}, headers=person),
        await http.post("/verifications", headers=person, json={
            "charge_id": right, "cause": "not_opened", "reason": "never opened",
        }),
        await http.post(f"/subscriptions/{asked.id}/leave", headers=agent,
                        json={"reason": "called", "ticket": "T-1"}),
    ]  # fmt: skip
    return right, [answer.text for answer in done if answer.status_code >= 300]


async def charged(talk, sold, msisdn):
    record = ChargeRecordIn(
        record_id=str(uuid4()), service_code=sold.code, msisdn=msisdn, price_fen=800,
        charged_at=talk.clock.now(), delivery=Delivery.NONE,
    )  # fmt: skip
    async with db.transaction(talk.pool) as tx:
        landing = await charging.land(
            tx, lines_of(record), sp_id=sold.sp_id, file_id=None, actor=sold.sp,
            now=talk.clock.now(),
        )  # fmt: skip
    return str(landing.outcomes[0].charge_id)


async def names(http, sp, pool, clock):
    """Return the names under which an SP meets people, list by list."""
    async with db.transaction(pool) as tx:
        await event_feed.take_turn(tx)
        await tell_untold(tx)
        await event_feed.number(tx, now=clock.now())
    found = {}
    for path, field in LISTS.items():
        answer = await http.get(path, headers=sp)
        assert answer.status_code == 200, (path, answer.text)
        items = [item.get("data", item) for item in answer.json()["items"]]
        found[path] = {item[field] for item in items}
    return found


async def test_an_sp_meets_the_next_holder_under_a_name_that_nothing_ties_to_the_former(
    http, sign_in, talk, pool, clock
):
    sold, msisdn = await talk.sold(), await talk.number()
    sp, agent = await sign_in(sold.sp), await sign_in(make.AGENT)
    first, failed = await lived(http, sign_in, talk, sold, msisdn, 1, agent)
    assert failed == []
    before = await names(http, sp, pool, clock)
    (former,) = set().union(*before.values())
    assert all(before.values()), before

    clock.move(DAY)
    await talk.happened(msisdn, "transferred", "owner_changed", clock.now())
    await talk.followed()
    clock.move(DAY)
    second, failed = await lived(http, sign_in, talk, sold, msisdn, 2, agent)
    assert failed == []
    after = await names(http, sp, pool, clock)
    everybody = set().union(*after.values())
    (present,) = everybody - {former}
    assert all(found == {former, present} for found in after.values()), after
    for charge_id, name in ((first, former), (second, present)):
        told = await http.get(f"/charge-records/{charge_id}/evidence-pack.json", headers=sp)
        assert told.json()["statement"]["charge"]["number"] == name
        assert told.json()["statement"]["relation"]["subscription"]["number"] == name


@pytest.mark.parametrize("late", [False, True], ids=["known", "known late"])
async def test_the_next_holder_sees_no_word_of_the_former_behind_a_charge(
    http, sign_in, talk, pool, clock, late
):
    sold, msisdn = await talk.sold(), await talk.number()
    asked = await talk.asked(msisdn, sold)
    await talk.say(msisdn, f"Y {asked.prompt_code}")
    clock.move(5 * DAY)
    at = clock.now()
    if not late:
        await talk.happened(msisdn, "transferred", "owner_changed", at)
        await talk.followed()
    clock.move(timedelta(hours=1))
    charge_id = await charged(talk, sold, msisdn)
    if late:
        clock.move(timedelta(hours=1))
        await talk.happened(msisdn, "transferred", "owner_changed", at)
        await talk.followed()
        async with db.transaction(pool) as tx:
            await charging.reaudit_recent(tx, now=clock.now(), actor=job_actor("reaudit"))
    person = await sign_in(make.subscriber_actor(msisdn, 2))
    line = (await http.get(f"/my/bill/lines/{charge_id}", headers=person)).json()
    assert line["right"] is False
    assert line["relation"] is None
    pack = await http.get(f"/charge-records/{charge_id}/evidence-pack.json", headers=person)
    assert pack.json()["statement"]["relation"] is None
    # By itself: four digits also stand somewhere in so many hashes and ids, by chance.
    assert not re.search(rf"(?<![0-9a-z-]){asked.prompt_code}(?![0-9a-z-])", pack.text)
    hidden = await http.get(f"/subscriptions/{asked.id}/evidence", headers=person)
    assert hidden.status_code == 404
    assert (await http.get("/my/subscriptions", headers=person)).json()["items"] == []
