"""Nothing of a number's former holder reaches the next one by way of a bill."""

from datetime import timedelta

from tests import make
from tests.charging.world import DAY, decided

HOUR = timedelta(hours=1)


async def test_what_was_decided_about_a_former_holder_is_not_shown_to_the_next(
    http, sign_in, tx, world
):
    """That the one before had the service is nothing to her, nor to the SP under her pseudonym."""
    relation = await make.subscription(tx, world.now - 2 * DAY, world.msisdn, world.monthly_id)
    for allowed in (True, False):
        await decided(tx, world, DAY, relation, allowed=allowed)
    moved = {
        "msisdn": world.msisdn, "kind": "transferred", "reason": "owner_changed",
        "effective_at": (world.now - 3 * HOUR).isoformat(),
    }  # fmt: skip
    gateway = await sign_in(make.GATEWAY)
    told = await http.post("/number-events", json={"events": [moved]}, headers=gateway)
    assert told.status_code == 200
    hers = await decided(tx, world, 2 * HOUR, None, allowed=False)
    landing = await world.land(world.record())
    charge_id = landing.outcomes[0].charge_id
    person = await sign_in(make.subscriber_actor(world.msisdn, epoch=2))
    line = (await http.get(f"/my/bill/lines/{charge_id}", headers=person)).json()
    assert [one["id"] for one in line["decisions"]] == [str(hers)]
    assert (line["line"]["consent_id"], line["line"]["authorisation_id"]) == (None, None)
    sp = await sign_in(make.sp_actor(world.sp_id))
    for headers in (person, sp):
        pack = await http.get(f"/charge-records/{charge_id}/evidence-pack.json", headers=headers)
        assert pack.status_code == 200
        assert str(hers) in pack.text
        assert pack.text.count("decided_at") == 1


async def test_a_change_of_owner_that_is_told_late_takes_the_former_ones_ids_off_the_line(
    http, sign_in, tx, world
):
    """The charge landed as the former holder's; it stands on the next one's bill from then on."""
    relation = await make.subscription(tx, world.now - 2 * DAY, world.msisdn, world.monthly_id)
    theirs = await decided(tx, world, 2 * HOUR, relation)
    landing = await world.land(world.record(), world.record(charged_at=world.now - 5 * HOUR))
    charge_id = landing.outcomes[0].charge_id
    moved = {
        "msisdn": world.msisdn, "kind": "transferred", "reason": "owner_changed",
        "effective_at": (world.now - 3 * HOUR).isoformat(),
    }  # fmt: skip
    gateway = await sign_in(make.GATEWAY)
    told = await http.post("/number-events", json={"events": [moved]}, headers=gateway)
    assert told.status_code == 200
    stored = await tx.fetchrow(
        "SELECT consent_id, authorisation_id FROM charge_record WHERE id = $1", charge_id
    )
    assert tuple(stored) == (relation, theirs), "what was cited stays on record"
    person = await sign_in(make.subscriber_actor(world.msisdn, epoch=2))
    agent = await sign_in(make.AGENT)
    asked = {"msisdn": world.msisdn, "reason": "投诉单 1"}
    month = f"{world.now:%Y-%m}"
    sp = await sign_in(make.sp_actor(world.sp_id))
    shown = [
        await http.get(f"/my/bill?month={month}", headers=person),
        await http.get(f"/my/bill/lines/{charge_id}", headers=person),
        await http.get(f"/my/bill/file?month={month}&form=csv", headers=person),
        await http.post("/bills/search", json=asked | {"month": month}, headers=agent),
        await http.get(f"/charge-records/{charge_id}/evidence-pack.json", headers=person),
        await http.get(f"/charge-records/{charge_id}/evidence-pack.json", headers=sp),
    ]
    for response in shown:
        assert response.is_success, response.text
        assert str(charge_id) in response.text
        assert str(relation) not in response.text
        assert str(theirs) not in response.text
    assert len(shown[0].json()["items"]) == 1
