"""The verbs of webhooks: register, rotate, pause, enable, close, replay; take and record tries."""

from datetime import datetime, timedelta
from uuid import UUID

from spms.core import audit
from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.errors import Conflict, NotFound, Unprocessable
from spms.core.ids import new_id
from spms.core.instance import instance_secret
from spms.core.machine import advance
from spms.core.rulebook import section
from spms.partners import actions as partners
from spms.partners import delivery_queries, event_feed_queries
from spms.partners import queries as partner_queries
from spms.partners import webhook_queries as queries
from spms.partners.model import SpStatus
from spms.partners.webhook_address import read_url
from spms.partners.webhook_model import (
    Answer,
    AttemptResult,
    DeliveryState,
    Endpoint,
    EndpointAction,
    EndpointState,
    Letter,
    MadeEndpoint,
    NewEndpoint,
    NewReplay,
    NewSecret,
    Replay,
    WebhookRules,
)
from spms.partners.webhook_rules import TRANSITIONS, next_try, nothing_got_through, rest_until
from spms.partners.webhook_signing import secret_text

LEASE_MARGIN_SECONDS = 30.0
"""How much longer than one try a lease holds: for recording it, and for clocks that differ."""


class EndpointLimit(Conflict):
    """There are enough endpoints; close one first."""

    code = "endpoint_limit"


class EndpointSilent(Conflict):
    """This endpoint is disabled or closed; enable it first."""

    code = "endpoint_silent"


class RangeUnclear(Unprocessable):
    """Say either from which position or from which time, and an end that is not before it."""

    code = "range_unclear"


async def rules_at(read: Connection, now: datetime) -> WebhookRules:
    """Return the rulebook's section in force."""
    return await section(read, WebhookRules, at=now)


async def get(read: Connection, endpoint_id: UUID, *, actor: Actor) -> Endpoint:
    """Return an endpoint; raise `NotFound`, also for another SP's."""
    return _visible(await queries.by_id(read, endpoint_id), actor)


def _visible(endpoint: Endpoint | None, actor: Actor) -> Endpoint:
    if endpoint is None or (actor.kind is ActorKind.SP and endpoint.sp_id != actor.sp_id):
        raise NotFound
    return endpoint


async def register(
    tx: Connection, sp_id: UUID, new: NewEndpoint, *, loopback: bool, actor: Actor, now: datetime
) -> MadeEndpoint:
    """Make an endpoint, enabled, told what happens from now on; the secret is in this answer only.

    Raises `UrlRefused`, `EndpointLimit`, `SpGone`, `NotFound`.
    """
    rules = await rules_at(tx, now)
    read_url(new.url, ports=rules.ports, loopback=loopback)
    sp = await partner_queries.lock(tx, sp_id)
    if sp is None:
        raise NotFound
    if sp.status in {SpStatus.REJECTED, SpStatus.CLOSED}:
        raise partners.SpGone
    if await queries.open_count(tx, sp_id) >= rules.endpoints_max:
        raise EndpointLimit(f"at most {rules.endpoints_max} endpoints that are not closed")
    endpoint_id, secret_id = new_id(), new_id()
    await queries.add(tx, endpoint_id, sp_id, new, actor=actor.label, now=now)
    await queries.add_secret(tx, secret_id, endpoint_id, now=now)
    await _note(tx, "webhook endpoint registered", endpoint_id, actor=actor, now=now)
    return MadeEndpoint(
        endpoint=await get(tx, endpoint_id, actor=actor),
        secret=secret_text(await instance_secret(tx), secret_id),
    )


async def rotate_secret(
    tx: Connection, endpoint_id: UUID, *, actor: Actor, now: datetime
) -> NewSecret:
    """Make a new secret; the newest of the old ones signs too until the overlap ends.

    So at most two are live. Raises `NotFound`, and `EndpointSilent` for a closed endpoint.
    """
    endpoint = _visible(await queries.hold(tx, endpoint_id), actor)
    if endpoint.state is EndpointState.CLOSED:
        raise EndpointSilent
    until = now + timedelta(hours=(await rules_at(tx, now)).overlap_hours)
    await queries.expire_secrets(tx, endpoint_id, now=now, newest_until=until)
    secret_id = new_id()
    await queries.add_secret(tx, secret_id, endpoint_id, now=now)
    await _note(tx, "webhook secret rotated", endpoint_id, actor=actor, now=now)
    return NewSecret(secret=secret_text(await instance_secret(tx), secret_id), old_until=until)


async def change_state(
    tx: Connection, endpoint_id: UUID, action: EndpointAction, *, reason: str | None,
    actor: Actor, now: datetime,
) -> Endpoint:  # fmt: skip
    """Pause, enable, disable or close; raise `NotFound` or `NotAllowed`.

    What waits is given up when an endpoint is disabled or closed, and can be replayed.
    """
    endpoint = _visible(await queries.hold(tx, endpoint_id), actor)
    after = advance(TRANSITIONS, endpoint.state, action)
    await queries.move(tx, endpoint_id, after, at=now, reason=reason)
    if after in {EndpointState.DISABLED, EndpointState.CLOSED}:
        await delivery_queries.give_up_open(tx, endpoint_id, at=now)
    act = f"webhook endpoint {after}"
    await _note(tx, act, endpoint_id, actor=actor, now=now, reason=reason)
    return await get(tx, endpoint_id, actor=actor)


async def replay(
    tx: Connection, endpoint_id: UUID, asked: NewReplay, *, actor: Actor, now: datetime
) -> Replay:
    """Queue events of the past again for an endpoint, also such as it never got.

    Raises `NotFound`, `EndpointSilent`, and `RangeUnclear`.
    """
    by_position, by_time = asked.from_position is not None, asked.from_time is not None
    positions = (asked.from_position or 0) <= (asked.to_position or 2**53)
    times = asked.from_time is None or asked.to_time is None or asked.from_time <= asked.to_time
    if by_position == by_time or not (positions and times):
        raise RangeUnclear
    if (asked.to_position and not by_position) or (asked.to_time and not by_time):
        raise RangeUnclear
    endpoint = _visible(await queries.hold(tx, endpoint_id), actor)
    if endpoint.state not in {EndpointState.ENABLED, EndpointState.PAUSED}:
        raise EndpointSilent
    limit = (await rules_at(tx, now)).replay_max
    done = await delivery_queries.replay(tx, endpoint_id, asked, limit=limit, now=now)
    more = done.last is not None and done.wanted == limit
    detail = {"queued": done.queued, "last": done.last}
    await audit.note(
        tx, "webhooks replayed", "webhook endpoint", endpoint_id, actor=actor, now=now,
        reason=asked.reason, detail=detail,
    )  # fmt: skip
    return Replay(queued=done.queued, next_position=(done.last or 0) + 1 if more else None)


async def take_due(
    tx: Connection, rules: WebhookRules, *, limit: int, now: datetime
) -> tuple[list[Letter], dict[UUID, list[UUID]]]:
    """Take what is due under a lease, with the ids of each endpoint's live secrets.

    Endpoints are held in a statement of its own, so that the next one counts what they have on
    its way after every other worker's commit.
    """
    held = await queries.hold_ready(tx, now=now)
    if not held:
        return [], {}
    lease_until = now + timedelta(seconds=rules.timeout_seconds + LEASE_MARGIN_SECONDS)
    letters = await delivery_queries.take(
        tx, held, parallel=rules.parallel_per_endpoint, limit=limit, now=now,
        lease_until=lease_until,
    )  # fmt: skip
    keys = await queries.live_secrets(tx, list({each.endpoint_id for each in letters}), at=now)
    return letters, keys


async def record(
    tx: Connection, letter: Letter, answer: Answer, rules: WebhookRules, *, actor: Actor,
    now: datetime,
) -> None:  # fmt: skip
    """Write what came of one try, and what follows from it.

    A try whose lease went to another is kept as an attempt and changes nothing else, except that
    410 disables the endpoint in any case.
    """
    if answer.result is AttemptResult.DELIVERED:
        await queries.note_success(tx, letter.endpoint_id, at=now)
        await delivery_queries.finish_try(tx, letter, DeliveryState.DELIVERED, due_at=None, now=now)
        await delivery_queries.add_attempt(tx, new_id(), letter, answer, at=now)
        return
    rest = rest_until(answer, rules, now=now)
    succeeded_at = await queries.note_failure(tx, letter.endpoint_id, at=now, resume_at=rest)
    again = next_try(rules, letter.tries + 1, letter.endpoint_id, letter.position, now=now)
    gone = answer.result is AttemptResult.GONE
    state = DeliveryState.WAITING if again and not gone else DeliveryState.GIVEN_UP
    mine = await delivery_queries.finish_try(tx, letter, state, due_at=again, now=now)
    await delivery_queries.add_attempt(tx, new_id(), letter, answer, at=now)
    if gone:
        await _disable(tx, letter, "it answered 410 Gone", actor=actor, now=now)
    elif mine and again is None and nothing_got_through(succeeded_at, letter.round_at):
        await _disable(tx, letter, "every try of the table failed", actor=actor, now=now)


async def _disable(
    tx: Connection, letter: Letter, reason: str, *, actor: Actor, now: datetime
) -> None:
    endpoint = await queries.by_id(tx, letter.endpoint_id)
    if endpoint is not None and (endpoint.state, EndpointAction.DISABLE) in TRANSITIONS:
        await change_state(
            tx, endpoint.id, EndpointAction.DISABLE, reason=reason, actor=actor, now=now
        )


async def _note(
    tx: Connection, act: str, endpoint_id: UUID, *, actor: Actor, now: datetime,
    reason: str | None = None,
) -> None:  # fmt: skip
    await audit.note(tx, act, "webhook endpoint", endpoint_id, actor=actor, now=now, reason=reason)


async def forget(tx: Connection, *, now: datetime) -> int:
    """Drop tries, and when feeds were read, that the rulebook does not keep any longer.

    Returns how many those were.
    """
    before = now - timedelta(days=(await rules_at(tx, now)).keep_attempts_days)
    tries = await delivery_queries.forget_attempts(tx, before)
    return tries + await event_feed_queries.forget_reads(tx, before)
