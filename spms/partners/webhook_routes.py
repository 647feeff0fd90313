"""Webhooks and the feed over HTTP: endpoints, secrets, tries, replays, events."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotAllowed, NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.core.settings import Settings
from spms.partners import delivery_queries
from spms.partners import webhook_actions as actions
from spms.partners import webhook_queries as queries
from spms.partners.actions import SpGone
from spms.partners.event_feed import read_feed
from spms.partners.event_feed_model import FeedPage
from spms.partners.routes import NO_STORE
from spms.partners.webhook_address import UrlRefused
from spms.partners.webhook_model import (
    Attempt,
    Endpoint,
    EndpointAction,
    MadeEndpoint,
    NewEndpoint,
    NewReplay,
    NewSecret,
    Replay,
    StateChange,
)

PATH = "/webhook-endpoints"
ONE = PATH + "/{endpoint_id:uuid}"
Own = (Role.SP, Role.ADMIN)
FeedCursor = Annotated[
    str | None, Parameter(max_length=512, description="`next` of the page before; none: the first")
]


def loopback(settings: Settings) -> bool:
    """Whether webhooks may go to this machine: in a sandbox that says so."""
    return settings.sandbox and settings.webhook_loopback


@post(PATH, status_code=201, guards=[only(Role.SP)], response_headers=NO_STORE,
      responses=refusals(UrlRefused, actions.EndpointLimit, SpGone, NotFound))  # fmt: skip
async def register(
    data: NewEndpoint, tx: Connection, actor: Actor, now: datetime, state: State
) -> MadeEndpoint:
    """Register where to be told. The answer holds the secret, this once."""
    return await actions.register(
        tx, actor.sp_id, data, loopback=loopback(state.settings), actor=actor, now=now
    )


@get(PATH, guards=[only(*Own)], responses=refusals(CursorInvalid))
async def find(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Endpoint]:
    """List the SP's endpoints, newest first; for an administrator everybody's."""
    key = await read_cursor(read, actor, "webhook endpoints", after, tuple[UUID])
    sp_id = None if actor.has(Role.ADMIN) else actor.sp_id
    rows = await queries.page(read, sp_id, key[0] if key else None, limit + 1)
    cursor = None
    if len(rows) > limit:
        cursor = await write_cursor(read, actor, "webhook endpoints", [rows[limit - 1].id])
    return Page(items=rows[:limit], next=cursor)


@get(ONE, guards=[only(*Own)], responses=refusals(NotFound))
async def show(endpoint_id: UUID, read: Connection, actor: Actor) -> Endpoint:
    """Show one endpoint: whether it is told, since when it fails, what waits."""
    return await actions.get(read, endpoint_id, actor=actor)


@get(f"{ONE}/attempts", guards=[only(*Own)], responses=refusals(NotFound, CursorInvalid))
async def list_attempts(
    endpoint_id: UUID, read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Attempt]:
    """List the tries at an endpoint and what came of each, newest first."""
    await actions.get(read, endpoint_id, actor=actor)
    name = f"webhook attempts {endpoint_id}"
    key = await read_cursor(read, actor, name, after, tuple[UUID])
    rows = await delivery_queries.attempts(read, endpoint_id, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, name, [rows[limit - 1].id]) if more else None
    return Page(items=rows[:limit], next=cursor)


@post(f"{ONE}/secrets", status_code=201, guards=[only(Role.SP)], response_headers=NO_STORE,
      responses=refusals(NotFound, actions.EndpointSilent))  # fmt: skip
async def rotate_secret(
    endpoint_id: UUID, tx: Connection, actor: Actor, now: datetime
) -> NewSecret:
    """Make a new secret; the one before signs too for a day. The answer holds it, this once."""
    return await actions.rotate_secret(tx, endpoint_id, actor=actor, now=now)


@post(f"{ONE}/pause", status_code=200, guards=[only(*Own)],
      responses=refusals(NotFound, NotAllowed))  # fmt: skip
async def pause(
    endpoint_id: UUID, data: StateChange, tx: Connection, actor: Actor, now: datetime
) -> Endpoint:
    """Send nothing until it is enabled; events wait."""
    return await actions.change_state(
        tx, endpoint_id, EndpointAction.PAUSE, reason=data.reason, actor=actor, now=now
    )


@post(f"{ONE}/enabling", status_code=200, guards=[only(*Own)],
      responses=refusals(NotFound, NotAllowed))  # fmt: skip
async def enable(
    endpoint_id: UUID, data: StateChange, tx: Connection, actor: Actor, now: datetime
) -> Endpoint:
    """Send again, after a pause or after it was disabled; replay what was given up meanwhile."""
    return await actions.change_state(
        tx, endpoint_id, EndpointAction.ENABLE, reason=data.reason, actor=actor, now=now
    )


@post(f"{ONE}/closure", status_code=200, guards=[only(*Own)],
      responses=refusals(NotFound, NotAllowed))  # fmt: skip
async def close(
    endpoint_id: UUID, data: StateChange, tx: Connection, actor: Actor, now: datetime
) -> Endpoint:
    """Send nothing there ever again."""
    return await actions.change_state(
        tx, endpoint_id, EndpointAction.CLOSE, reason=data.reason, actor=actor, now=now
    )


@post(f"{ONE}/replays", status_code=200, guards=[only(*Own)],
      responses=refusals(NotFound, actions.EndpointSilent, actions.RangeUnclear))  # fmt: skip
async def replay(
    endpoint_id: UUID, data: NewReplay, tx: Connection, actor: Actor, now: datetime
) -> Replay:
    """Send events of the past again, from a position or from a time; recorded."""
    return await actions.replay(tx, endpoint_id, data, actor=actor, now=now)


@get("/events", guards=[only(Role.SP)], responses=refusals(CursorInvalid))
async def feed(
    tx: Connection, actor: Actor, now: datetime, limit: Limit = 20, cursor: FeedCursor = None
) -> FeedPage:
    """Read what the SP was told, in order; `next` goes on where this page ends, also at the end.

    Coming back with it says that all before it has arrived.
    """
    return await read_feed(tx, actor.sp_id, cursor, limit, actor=actor, now=now)


router = Router(
    "/",
    route_handlers=[
        register, find, show, list_attempts, rotate_secret, pause, enable, close, replay, feed
    ],
    tags=["webhooks"],
)  # fmt: skip
