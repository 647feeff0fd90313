"""Webhooks: signed, at least once, in order, tried again by the table, and one cannot harm another."""

import asyncio
import contextlib
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from spms.core import db, roles
from spms.core.access import job_actor
from spms.core.db import transaction
from spms.partners import webhook_actions as actions
from spms.partners.webhook_courier import pump_webhooks
from spms.partners.webhook_model import EndpointAction, NewReplay, WebhookRules
from spms.partners.webhook_post import Poster
from tests import make
from tests.partners.webhook_world import Got, Receiver, WebhookWorld, receiving, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def world(pool, clock):
    return WebhookWorld(pool, clock)


@pytest.fixture
async def receiver():
    async with receiving() as receiver:
        yield receiver


def status(code: int, **headers: str):
    async def respond(_: Got) -> web.StreamResponse:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, headers=names, text="answer")

    return respond


async def test_the_official_library_accepts_what_arrives_and_nothing_else(world, receiver, clock):
    clock.at = datetime.now(UTC)  # the library asks the machine's clock
    sp_id = await world.sp()
    made, other = [await world.endpoint(sp_id, receiver.url) for _ in range(2)]
    await world.told(sp_id, "a")
    assert await world.sent() == 2
    first, second = receiver.got
    assert first.id == second.id
    assert first.json == {
        "type": "subscription.ended", "timestamp": first.json["timestamp"], "position": 1,
        "subject": "a", "data": {"status": "ended"},
    }  # fmt: skip
    for secret in (made.secret, other.secret):
        accepted = 0
        for got in receiver.got:
            accepted += _verifies(secret, got.body, got.headers)
        assert accepted == 1  # each endpoint has a key of its own
    (mine,) = [got for got in receiver.got if _verifies(made.secret, got.body, got.headers)]
    changed = mine.body.replace(b"ended", b"begun")
    assert not _verifies(made.secret, changed, mine.headers)
    later = mine.headers | {"webhook-timestamp": str(int(mine.headers["webhook-timestamp"]) + 1)}
    assert not _verifies(made.secret, mine.body, later)

    async with transaction(world.pool) as tx:
        rotated = await actions.rotate_secret(
            tx, made.endpoint.id, actor=make.sp_actor(sp_id), now=clock.now()
        )
    receiver.got.clear()
    await world.told(sp_id, "a")
    await world.sent()
    both = [got for got in receiver.got if _verifies(rotated.secret, got.body, got.headers)]
    assert len(both) == 1
    assert _verifies(made.secret, both[0].body, both[0].headers)
    stored = await world.pool.fetch("SELECT * FROM webhook_secret")
    assert made.secret not in str(stored)


def _verifies(secret: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


async def test_an_old_secret_stops_when_the_overlap_ends_and_at_most_two_sign(
    world, receiver, clock
):
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url)
    for wanted in (2, 2):
        async with transaction(world.pool) as tx:
            rotated = await actions.rotate_secret(
                tx, made.endpoint.id, actor=make.sp_actor(sp_id), now=clock.now()
            )
        await world.told(sp_id, "a")
        await world.sent()
        assert len(receiver.got[-1].headers["webhook-signature"].split()) == wanted
    clock.at = rotated.old_until
    await world.told(sp_id, "a")
    await world.sent()
    assert len(receiver.got[-1].headers["webhook-signature"].split()) == 1


async def test_the_table_of_tries_is_followed_to_its_end_and_then_the_sp_sees_it(
    world, receiver, clock
):
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url)
    receiver.respond = status(500)
    await world.told(sp_id, "a", "a")
    began, times = clock.now(), []
    waits = WebhookRules().retry_seconds
    for wait in waits:
        if wait:
            clock.at += timedelta(seconds=wait, milliseconds=-1)
            assert await world.sent() == 0  # never early
            clock.at += timedelta(seconds=wait * 0.1 + 0.001)
        assert await world.sent() == 1
        times.append(clock.now() - began)
    assert receiver.positions == [1] * len(waits)
    assert times[-1] >= timedelta(hours=75, minutes=35, seconds=5)
    assert await world.deliveries(made) == [(1, "given_up", 10), (2, "given_up", 0)]
    row = await world.endpoint_row(made)
    assert (row["state"], row["state_reason"]) == ("disabled", "every try of the table failed")
    assert await world.results(made) == [("refused", 500)] * 10
    start = await world.pool.fetchval("SELECT response_start FROM webhook_attempt LIMIT 1")
    assert start == "answer"
    await world.told(sp_id, "b")
    assert await world.sent() == 0
    # Enabled again, and what was missed replayed by hand.
    receiver.respond, actor = status(204), make.sp_actor(sp_id)
    async with transaction(world.pool) as tx:
        await actions.change_state(
            tx, made.endpoint.id, EndpointAction.ENABLE, reason=None, actor=actor, now=clock.now()
        )
        done = await actions.replay(
            tx, made.endpoint.id, NewReplay(from_position=1, reason="was down"), actor=actor,
            now=clock.now(),
        )  # fmt: skip
    assert (done.queued, done.next_position) == (3, None)
    receiver.got.clear()
    assert await world.sent() == 3
    assert sorted(receiver.positions) == [1, 2, 3]
    noted = await world.pool.fetchrow("SELECT * FROM audit_log WHERE act = 'webhooks replayed'")
    assert (noted["reason"], noted["detail"]["queued"]) == ("was down", 3)


async def test_one_event_that_never_gets_through_is_given_up_alone(world, receiver, clock):
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url)

    async def respond(got: Got) -> web.StreamResponse:
        return web.Response(status=500 if got.position == 1 else 200)

    receiver.respond = respond
    await world.told(sp_id, "a", "a")
    for wait in WebhookRules().retry_seconds:
        clock.at += timedelta(seconds=wait * 1.1 + 1)
        await world.told(sp_id, "b")
        await world.sent()
    await world.sent()
    assert (await world.endpoint_row(made))["state"] == "enabled"
    found = await world.deliveries(made)
    assert found[0] == (1, "given_up", 10)
    assert {state for _, state, _ in found[1:]} == {"delivered"}


async def test_410_disables_at_once(world, receiver):
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url)
    receiver.respond = status(410)
    await world.told(sp_id, "a", "b", "a")
    await world.sent()
    row = await world.endpoint_row(made)
    assert (row["state"], row["state_reason"]) == ("disabled", "it answered 410 Gone")
    assert {state for _, state, _ in await world.deliveries(made)} == {"given_up"}
    await world.told(sp_id, "c")
    before = len(receiver.got)
    assert await world.sent() == 0
    assert len(receiver.got) == before


async def test_retry_after_is_honoured_for_the_whole_endpoint_and_bounded(world, receiver, clock):
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url)
    receiver.respond = status(429, Retry_After="600")
    await world.told(sp_id, "a")
    assert await world.sent() == 1
    await world.told(sp_id, "b")
    clock.move(timedelta(seconds=599))
    assert await world.sent() == 0
    clock.move(timedelta(seconds=1))
    receiver.respond = status(503, Retry_After="99999999")
    assert await world.sent() >= 1
    assert (await world.endpoint_row(made))["resume_at"] == clock.now() + timedelta(days=1)
    clock.move(timedelta(days=1))
    receiver.respond = status(200)
    assert await world.sent() == 2
    assert (await world.endpoint_row(made))["failing_since"] is None


async def test_redirects_are_not_followed_and_strange_answers_are_failures(world, receiver):
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url)
    target = receiver.url.replace("/hook", "/elsewhere")
    receiver.respond = status(302, Location=target)
    await world.told(sp_id, "a")
    await world.sent()
    assert len(receiver.got) == 1
    assert await world.results(made) == [("redirect", 302)]


async def test_a_later_event_of_a_relation_waits_until_the_earlier_is_through(
    world, receiver, clock
):
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url)
    fails = {1}

    async def respond(got: Got) -> web.StreamResponse:
        return web.Response(status=500 if got.position in fails else 200)

    receiver.respond = respond
    await world.told(sp_id, "a", "a", "b")
    await world.sent()
    assert sorted(receiver.positions) == [1, 3]
    assert await world.deliveries(made) == [
        (1, "waiting", 1), (2, "waiting", 0), (3, "delivered", 1)
    ]  # fmt: skip
    fails.clear()
    clock.move(timedelta(seconds=6))
    await world.sent()
    assert receiver.positions[-2:] == [1, 2]


async def test_a_sender_killed_between_posting_and_recording_posts_again(
    world, receiver, clock, owner_url
):
    """The sender is a process, and gets SIGKILL while the receiver thinks about its answer."""
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url)
    hold = asyncio.Event()

    async def respond(_: Got) -> web.StreamResponse:
        await hold.wait()
        return web.Response()

    receiver.respond = respond
    await world.told(sp_id, "a", "a")
    sender = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.partners.one_sender", clock.now().isoformat(), cwd=ROOT,
        env=os.environ | {"SENDER_DATABASE_URL": roles.app_url(owner_url)},
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            await until(lambda: len(receiver.got) == 1 or sender.returncode is not None)
    finally:
        with contextlib.suppress(ProcessLookupError):
            sender.kill()
    assert await sender.wait() == -signal.SIGKILL
    hold.set()
    assert await world.deliveries(made) == [(1, "sending", 0), (2, "waiting", 0)]
    assert await world.sent() == 0  # the lease holds: the other may still be at it
    clock.move(timedelta(seconds=46))
    assert await world.sent() == 2
    assert receiver.positions == [1, 1, 2]
    assert receiver.got[0].id == receiver.got[1].id
    assert receiver.got[0].body == receiver.got[1].body


async def test_a_hanging_endpoint_delays_nobody_else(world, receiver, clock):
    hang = asyncio.Event()

    async def respond(_: Got) -> web.StreamResponse:
        await hang.wait()
        return web.Response()

    async with receiving() as slow:
        slow.respond = respond
        bad, good = await world.sp(), await world.sp()
        await world.endpoint(bad, slow.url)
        await world.endpoint(good, receiver.url)
        await world.told(bad, *[f"s{n}" for n in range(50)])
        pump = asyncio.create_task(world.sent())
        await until(lambda: len(slow.got) > 0)
        # While they hang, another SP's events are told and get through, in the same round.
        await world.told(good, *[f"s{n}" for n in range(50)])
        await until(lambda: len(receiver.got) == 50)
        assert slow.at_once_max <= WebhookRules().parallel_per_endpoint
        assert not pump.done()
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        hang.set()


async def test_two_workers_keep_the_order_of_each_relation_and_lose_nothing(
    world, receiver, clock, owner_url, settings
):
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url)
    calls = 0

    async def respond(_: Got) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return web.Response(status=(200, 500, 200, 302, 200)[calls % 5])

    receiver.respond = respond
    await world.told(sp_id, *[f"s{n % 7}" for n in range(100)])
    other = await db.open_pool(roles.app_url(owner_url), settings)
    try:
        for _ in range(200):
            await asyncio.gather(world.sent(), world.sent(other))
            left = [state for _, state, _ in await world.deliveries(made) if state == "waiting"]
            if not left:
                break
            clock.move(timedelta(seconds=400))
    finally:
        await other.close()
    assert {state for _, state, _ in await world.deliveries(made)} == {"delivered"}
    assert receiver.overtaken == []
    accepted = sorted(p for found in receiver.accepted.values() for p in found)
    assert accepted == list(range(1, 101))
    assert receiver.at_once_max <= WebhookRules().parallel_per_endpoint


async def test_an_answer_that_comes_after_the_lease_changes_nothing(world, receiver, clock):
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url)
    rules = WebhookRules()
    await world.told(sp_id, "a")
    async with transaction(world.pool) as tx:
        (late,), _ = await actions.take_due(tx, rules, limit=1, now=clock.now())
    clock.move(timedelta(seconds=46))
    assert await world.sent() == 1
    refused = await _answer(receiver, late)
    async with transaction(world.pool) as tx:
        await actions.record(tx, late, refused, rules, actor=job_actor("late"), now=clock.now())
    assert await world.deliveries(made) == [(1, "delivered", 1)]
    assert len(await world.results(made)) == 2


async def _answer(receiver: Receiver, letter):
    receiver.respond = status(500)
    async with Poster(loopback=True) as poster:
        return await poster.post(letter.url, b'{"position": 1, "subject": "a"}', {},
                                 ports=[443], timeout=5)  # fmt: skip


async def test_a_paused_endpoint_gets_everything_once_enabled(world, receiver, clock):
    sp_id = await world.sp()
    made = await world.endpoint(sp_id, receiver.url, "subscription.ended")

    async def move(action: EndpointAction) -> None:
        async with transaction(world.pool) as tx:
            await actions.change_state(
                tx, made.endpoint.id, action, reason="works", actor=make.sp_actor(sp_id),
                now=clock.now(),
            )  # fmt: skip

    await move(EndpointAction.PAUSE)
    await world.told(sp_id, "a", "a")
    assert await world.sent() == 0
    await move(EndpointAction.ENABLE)
    assert await world.sent() == 2
    assert receiver.positions == [1, 2]
    await move(EndpointAction.CLOSE)
    await world.told(sp_id, "a")
    assert await world.sent() == 0


async def test_nothing_to_send_opens_nothing(world, clock):
    def never() -> Poster:
        raise AssertionError

    assert await pump_webhooks(world.pool, clock, never) == 0
