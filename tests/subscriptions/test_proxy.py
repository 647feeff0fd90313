"""Leaving through an agent: on record first, bound to the number, at once, and with a clock."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from aiohttp import web

from spms.core import db
from spms.core.access import Actor, job_actor
from spms.partners import event_feed, webhook_actions
from spms.partners.webhook_model import NewReplay
from spms.subscriptions import duties
from spms.subscriptions.telling import tell_untold
from tests import make
from tests.partners.webhook_world import Got, WebhookWorld, receiving
from tests.subscriptions.world import World

HOUR = timedelta(hours=1)
SignIn = Callable[[Actor], Awaitable[dict[str, str]]]


async def watched(world: World) -> int:
    async with db.transaction(world.pool) as tx:
        return await duties.watch(tx, actor=job_actor("watch_leaving"), now=world.clock.now())


async def overdue(world: World) -> list[dict[str, Any]]:
    rows = await world.pool.fetch("SELECT payload FROM outbox WHERE topic = 'leaving.overdue'")
    return [row["payload"] for row in rows]


class Desk:
    """An agent's place, and the others who look on."""

    def __init__(self, world: World, http: httpx.AsyncClient, sign_in: SignIn) -> None:
        self.world, self.http, self.sign_in = world, http, sign_in
        self.agents: dict[str, dict[str, str]] = {}

    async def look(self, msisdn: str, actor: Actor = make.AGENT) -> dict[str, Any]:
        if actor.name not in self.agents:
            self.agents[actor.name] = await self.sign_in(actor)
        headers = self.agents[actor.name]
        body = {"msisdn": msisdn, "reason": "来电要求退订", "ticket": "GD-17"}
        answer = await self.http.post("/proxy-lookups", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        assert msisdn not in answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def leave(self, lookup: dict[str, Any], *ids: Any) -> httpx.Response:
        body = {"subscription_ids": [str(one) for one in ids]} if ids else {}
        path = f"/proxy-lookups/{lookup['lookup_id']}/leave"
        return await self.http.post(path, json=body, headers=self.agents["agent"])


@pytest.fixture
def desk(world: World, http: httpx.AsyncClient, sign_in: SignIn) -> Desk:
    return Desk(world, http, sign_in)


async def test_an_agent_looks_leaves_and_sees_the_clocks(desk: Desk) -> None:
    world = desk.world
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    one, two = await world.running(msisdn, sold), await world.running(msisdn, other)
    world.clock.move(HOUR)
    found = await desk.look(msisdn)
    assert {item["id"] for item in found["subscriptions"]} == {str(one), str(two)}
    row = await world.pool.fetchrow("SELECT * FROM proxy_lookup")
    assert row is not None
    assert (row["looked_by"], row["ticket"]) == ("staff:agent", "GD-17")
    noted = await world.pool.fetchrow("SELECT act, reason, detail, about_id FROM audit_log")
    assert noted is not None
    assert (noted["act"], noted["detail"]["ticket"]) == ("subscription.proxy_lookup", "GD-17")
    assert msisdn[2:] not in noted["about_id"]

    left = (await desk.leave(found, one)).json()
    assert [item["id"] for item in left["left"]] == [str(one)]
    assert (await world.row(one))["ended_at"] == world.clock.now()
    assert (await world.status(two), await world.kinds(msisdn)) == ("active", ["left"])
    assert {(d["kind"], d["clock"], d["seconds_left"]) for d in left["duties"]} == {
        ("sp_told", "running", 12 * 3600), ("welcome_revoked", "running", 12 * 3600)
    }  # fmt: skip
    again = (await desk.leave(found, one)).json()
    assert (again["left"], len(again["duties"])) == ([], 2)


async def test_a_lookup_is_bound_to_its_number_its_agent_and_its_half_hour(desk: Desk) -> None:
    world = desk.world
    sold, msisdn, stranger = await world.sold(), await world.number(), await world.number()
    mine, foreign = await world.running(msisdn, sold), await world.running(stranger, sold)
    found = await desk.look(msisdn)
    refused = await desk.leave(found, mine, foreign)
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    colleague = msgspec.structs.replace(make.AGENT, name="agent-2", subject="agent-2")
    assert (await desk.leave(await desk.look(stranger, colleague), foreign)).status_code == 404
    assert await world.status(mine) == await world.status(foreign) == "active"
    world.clock.move(HOUR / 2)
    late = await desk.leave(found)
    assert (late.status_code, late.json()["code"]) == (409, "lookup_expired")
    nobody = await desk.look("8613999999999")
    assert nobody["subscriptions"] == []
    assert await world.pool.fetchval("SELECT count(*) FROM proxy_lookup") == 3


async def test_a_welcome_on_its_way_is_withdrawn_and_the_clock_stops_with_the_confirmation(
    desk: Desk,
) -> None:
    world = desk.world
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    world.clock.move(HOUR / 4)
    assert await world.say(msisdn, f"Y {asked.prompt_code}") == "confirmed"
    assert (await desk.leave(await desk.look(msisdn))).status_code == 200
    states = await world.pool.fetch("SELECT kind, state, error FROM message_out ORDER BY id")
    assert [tuple(row) for row in states] == [
        ("prompt", "failed", "withdrawn"), ("welcome", "failed", "withdrawn"),
        ("left", "queued", None),
    ]  # fmt: skip
    assert await watched(world) == 0
    await world.pool.execute("UPDATE message_out SET state = 'sent' WHERE kind = 'left'")
    assert await watched(world) == 1
    row = await world.pool.fetchrow("SELECT kind, met_by FROM leaving_duty WHERE met_at = $1",
                                    world.clock.now())  # fmt: skip
    assert dict(row or {}) == {"kind": "welcome_revoked", "met_by": "job:watch_leaving"}


async def test_the_sp_acknowledges_and_learns_only_its_own(desk: Desk) -> None:
    world = desk.world
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    await world.running(msisdn, sold)
    left = (await desk.leave(await desk.look(msisdn))).json()
    sp, stranger = await desk.sign_in(sold.sp), await desk.sign_in(other.sp)
    shown = await desk.http.get("/leaving-duties", headers=sp)
    (duty,) = shown.json()["items"]
    assert (duty["kind"], duty["service_code"], duty["ticket"]) == ("sp_told", sold.code, None)
    assert msisdn[-4:] not in duty["number"]
    assert (await desk.http.get("/leaving-duties", headers=stranger)).json()["items"] == []
    path = f"/leaving-duties/{duty['id']}/acknowledgement"
    revoked = next(d["id"] for d in left["duties"] if d["kind"] == "welcome_revoked")
    assert (await desk.http.post(path, headers=stranger)).status_code == 404
    wrong = f"/leaving-duties/{revoked}/acknowledgement"
    assert (await desk.http.post(wrong, headers=sp)).status_code == 404
    world.clock.move(HOUR)
    for _ in range(2):
        told = (await desk.http.post(path, headers=sp)).json()
        assert (told["clock"], told["seconds_left"]) == ("met", 0)
    world.clock.move(12 * HOUR)
    await watched(world)
    assert [late["kind"] for late in await overdue(world)] == ["welcome_revoked"]


async def test_a_clock_that_runs_out_is_told_once_and_stays_on_record(desk: Desk) -> None:
    world = desk.world
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    await desk.leave(await desk.look(msisdn))
    world.clock.move(12 * HOUR - timedelta(seconds=1))
    assert await watched(world) == 0
    world.clock.move(timedelta(seconds=1))
    assert await watched(world) == 0, "what was done in time may still be committing"
    world.clock.move(duties.UNDER_WAY)
    assert await watched(world) == 2
    assert await watched(world) == 0
    late = await overdue(world)
    assert {one["kind"] for one in late} == {"sp_told", "welcome_revoked"}
    assert {one["subscription_id"] for one in late} == {str(relation)}
    sp = await desk.sign_in(sold.sp)
    (duty,) = (await desk.http.get("/leaving-duties", headers=sp)).json()["items"]
    path = f"/leaving-duties/{duty['id']}/acknowledgement"
    assert (await desk.http.post(path, headers=sp)).json()["clock"] == "met_late"
    officer = await desk.sign_in(make.OFFICER)
    clocks = {}
    for clock in ("running", "overdue", "met", "met_late"):
        page = await desk.http.get("/leaving-duties", params={"clock": clock}, headers=officer)
        clocks[clock] = [item["kind"] for item in page.json()["items"]]
    assert clocks == {
        "running": [], "overdue": ["welcome_revoked"], "met": [], "met_late": ["sp_told"]
    }  # fmt: skip


async def test_only_the_confirmation_of_this_leaving_stops_the_clock(desk: Desk) -> None:
    world = desk.world
    one, two, msisdn = await world.sold(), await world.sold(), await world.number()
    for sold in (one, two):
        await world.running(msisdn, sold)
    await desk.leave(await desk.look(msisdn))
    world.clock.move(HOUR)
    assert await world.say(msisdn, "TD") == "nothing_to_leave"
    await world.pool.execute("UPDATE message_out SET state = 'sent' WHERE kind = 'info'")
    assert await watched(world) == 0, "another SMS says nothing of this leaving"
    await world.pool.execute("UPDATE message_out SET state = 'sent' WHERE kind = 'left'")
    assert await watched(world) == 2, "one SMS confirms both"


async def test_no_clock_runs_out_for_want_of_telling_a_former_holder(desk: Desk) -> None:
    world = desk.world
    msisdn = await world.number()
    await world.running(msisdn, await world.sold())
    world.clock.move(HOUR)
    assert len((await desk.leave(await desk.look(msisdn))).json()["left"]) == 1
    assert await watched(world) == 0, "the confirmation is still on its way"
    world.clock.move(HOUR)
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    assert await watched(world) == 1


async def told(world: World) -> None:
    async with db.transaction(world.pool) as tx:
        assert await event_feed.take_turn(tx)
        await tell_untold(tx)
        await event_feed.number(tx, now=world.clock.now())


async def met(world: World) -> list[tuple[UUID, datetime]]:
    """Which SPs were told, and when, according to the clocks."""
    await watched(world)
    rows = await world.pool.fetch(
        "SELECT sp_id, met_at FROM leaving_duty WHERE kind = 'sp_told' AND met_at IS NOT NULL"
    )
    return [(row["sp_id"], row["met_at"]) for row in rows]


async def test_an_accepted_webhook_stops_the_clock_at_its_instant(desk: Desk) -> None:
    world = desk.world
    hooks = WebhookWorld(world.pool, world.clock)
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    for one in (sold, other):
        await world.running(msisdn, one)
    async with receiving() as receiver, receiving() as deaf:
        deaf.respond = unwilling
        await hooks.endpoint(sold.sp_id, receiver.url)
        await hooks.endpoint(other.sp_id, deaf.url)
        await desk.leave(await desk.look(msisdn))
        await told(world)
        assert await met(world) == [], "queued is not delivered"
        world.clock.move(HOUR)
        while await hooks.sent():
            pass
    assert receiver.got
    assert deaf.got
    at = world.clock.now()
    world.clock.move(HOUR)
    assert await met(world) == [(sold.sp_id, at)]


async def test_reading_on_in_the_feed_stops_the_clock_and_a_page_alone_does_not(
    desk: Desk,
) -> None:
    world = desk.world
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    for one in (sold, other):
        await world.running(msisdn, one)
    sp = await desk.sign_in(sold.sp)
    await desk.leave(await desk.look(msisdn))
    await told(world)
    page = (await desk.http.get("/events", headers=sp)).json()
    assert page["items"][-1]["type"] == "subscription.ended"
    assert await met(world) == [], "the page may never have arrived"
    world.clock.move(HOUR)
    at = world.clock.now()
    for _ in range(2):
        await desk.http.get("/events", params={"cursor": page["next"]}, headers=sp)
        world.clock.move(HOUR)
    assert await met(world) == [(sold.sp_id, at)]
    world.clock.move(13 * HOUR)
    assert await watched(world) > 0
    late = [one["sp_id"] for one in await overdue(world) if one["kind"] == "sp_told"]
    assert late == [str(other.sp_id)]


async def test_a_look_after_an_outage_judges_by_when_the_sp_knew(desk: Desk) -> None:
    """It read on in time and later once more, or had it by webhook and by a replay; nobody watched."""
    world = desk.world
    hooks = WebhookWorld(world.pool, world.clock)
    read, hooked = await world.sold(), await world.sold()
    async with receiving() as receiver:
        await hooks.endpoint(hooked.sp_id, receiver.url)
        msisdn = await world.number()
        for one in (read, hooked):
            await world.running(msisdn, one)
        sp = await desk.sign_in(read.sp)
        began = world.clock.now()
        await desk.leave(await desk.look(msisdn))
        await told(world)
        cursor = (await desk.http.get("/events", headers=sp)).json()["next"]
        await world.pool.execute(
            "UPDATE message_out SET state = 'sent', sent_at = $1 WHERE kind = 'left'", began + HOUR
        )
        world.clock.move(HOUR)
        await desk.http.get("/events", params={"cursor": cursor}, headers=sp)
        while await hooks.sent():
            pass
        world.clock.move(20 * HOUR)
        await world.asked(await world.number(), read)
        await told(world)
        page = await desk.http.get("/events", params={"cursor": cursor}, headers=sp)
        await desk.http.get("/events", params={"cursor": page.json()["next"]}, headers=sp)
        async with db.transaction(world.pool) as tx:
            endpoint_id = await tx.fetchval("SELECT id FROM webhook_endpoint")
            await webhook_actions.replay(
                tx, endpoint_id, NewReplay(from_position=1, reason="asked"), actor=hooked.sp,
                now=world.clock.now(),
            )  # fmt: skip
        while await hooks.sent():
            pass
    assert len(receiver.got) == 2
    assert {at for _, at in await met(world)} == {began + HOUR}
    rows = await world.pool.fetch("SELECT met_at FROM leaving_duty")
    assert [row["met_at"] for row in rows] == 4 * [began + HOUR]
    assert await overdue(world) == []


async def test_however_many_sps_know_none_of_them_is_called_late(desk: Desk) -> None:
    world = desk.world
    sold = await world.sold()
    for _ in range(4):
        msisdn = await world.number()
        await world.running(msisdn, sold)
        await desk.leave(await desk.look(msisdn))
    await told(world)
    sp = await desk.sign_in(sold.sp)
    cursor = (await desk.http.get("/events", headers=sp)).json()["next"]
    await desk.http.get("/events", params={"cursor": cursor}, headers=sp)
    await world.pool.execute(
        "UPDATE message_out SET state = 'sent', sent_at = queued_at WHERE kind = 'left'"
    )
    world.clock.move(13 * HOUR)
    for _ in range(2):
        async with db.transaction(world.pool) as tx:
            await duties.watch(tx, actor=job_actor("watch"), now=world.clock.now(), limit=1)
    assert await overdue(world) == []
    assert await world.pool.fetchval("SELECT count(met_at) FROM leaving_duty") == 8


async def unwilling(_: Got) -> web.StreamResponse:
    return web.Response(status=500)


async def test_every_door_through_which_staff_leave_starts_the_clocks(desk: Desk) -> None:
    world = desk.world
    sold, msisdn = await world.sold(), await world.number()
    await world.running(msisdn, sold)
    agent = await desk.sign_in(make.AGENT)
    body = {"msisdn": msisdn, "reason": "来电", "ticket": "GD-18"}
    left = await desk.http.post("/subscriptions/leave-all", json=body, headers=agent)
    assert left.json() == {"left": 1}
    rows = await world.pool.fetch(
        """SELECT l.ticket, l.reason, l.looked_by FROM leaving_duty d
             JOIN proxy_lookup l ON l.msisdn = d.msisdn AND l.id = d.lookup_id"""
    )
    assert [tuple(row) for row in rows] == 2 * [("GD-18", "来电", "staff:agent")]
    await world.running(msisdn, await world.sold())
    assert await world.say(msisdn, "TD") == "left"  # her own word needs no clock
    assert await world.pool.fetchval("SELECT count(*) FROM leaving_duty") == 2


async def test_a_transfer_that_becomes_known_late_makes_a_lookup_worthless(desk: Desk) -> None:
    """It counts from before the look, but the look showed what the former holder had."""
    world = desk.world
    msisdn = await world.number()
    world.clock.move(2 * HOUR)
    old = await world.running(msisdn, await world.sold())
    found = await desk.look(msisdn)
    assert [item["id"] for item in found["subscriptions"]] == [str(old)]
    world.clock.move(HOUR / 12)
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now() - HOUR)
    new = await world.running(msisdn, await world.sold(), epoch=2)
    for ids in ((), (new,)):
        refused = await desk.leave(found, *ids)
        assert (refused.status_code, refused.json()["code"]) == (409, "lookup_expired")
    assert await world.status(new) == "active"


async def test_leaving_everything_spares_what_came_after_the_look(desk: Desk) -> None:
    world = desk.world
    msisdn = await world.number()
    shown = await world.running(msisdn, await world.sold())
    found = await desk.look(msisdn)
    world.clock.move(HOUR / 12)
    later = await world.running(msisdn, await world.sold())
    left = (await desk.leave(found)).json()
    assert [item["id"] for item in left["left"]] == [str(shown)]
    assert await world.status(later) == "active"
    named = (await desk.leave(found, later)).json()
    assert [item["id"] for item in named["left"]] == [str(later)], "a name is a wish of its own"


async def test_a_new_holder_is_shown_nothing_of_the_former_before_anything_followed(
    desk: Desk,
) -> None:
    """The transfer is on record; the job that ends the former holder's relations has not run."""
    world = desk.world
    sold, msisdn = await world.sold(), await world.number()
    old = await world.running(msisdn, sold)
    world.clock.move(HOUR)
    before = await desk.look(msisdn)
    assert [item["id"] for item in before["subscriptions"]] == [str(old)]
    world.clock.move(HOUR / 6)
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    assert await world.status(old) == "active"
    after = await desk.look(msisdn)
    assert after["subscriptions"] == []
    assert (await desk.leave(after)).json()["left"] == []
    assert (await desk.leave(after, old)).status_code == 404
    late = await desk.leave(before, old)
    assert (late.status_code, late.json()["code"]) == (409, "lookup_expired")
    assert await world.status(old) == "active"
    search = {"msisdn": msisdn, "reason": "来电"}
    seen = {}
    desks = {"agent": desk.agents["agent"], "officer": await desk.sign_in(make.OFFICER)}
    for who, headers in desks.items():
        answer = await desk.http.post("/subscriptions/search", json=search, headers=headers)
        seen[who] = [item["id"] for item in answer.json()["items"]]
    assert seen == {"agent": [], "officer": [str(old)]}
    mine = await desk.sign_in(make.subscriber_actor(msisdn, epoch=2))
    own = await desk.http.get("/my/subscriptions", headers=mine)
    assert own.json()["items"] == []
    gone = await desk.http.get(f"/subscriptions/{old}/evidence", headers=mine)
    assert gone.status_code == 404
