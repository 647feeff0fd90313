"""Who is asking: the actor behind the bearer token, and whose turn it is.

To look up a token takes a connection of the pool, as does a transaction. Where one SP may ask a
hundred times as much as the others, handlers say in `opt` that it is done in turn (`core/turns.py`).
"""

import asyncio
import hashlib
from enum import Enum
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from spms.core import access, db, tokens
from spms.core.edge import replay
from spms.core.errors import Unauthenticated
from spms.core.http import TOKEN_LENGTH_MAX
from spms.core.turns import Gone, Turns


class Until(Enum):
    """How long a request holds its place."""

    KNOWN = "known"
    """Until it is known who asks: what follows has a queue of its own."""
    ANSWERED = "answered"


IN_TURN: Final = "in_turn"
"""The name in `opt` under which a handler says until when."""


class Authenticate:
    """Put the actor behind the bearer token into the scope; no token leaves it anonymous."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the next application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the token's credential from the database: a revoked one stops at once."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
        token = _token(connection)
        opt = scope["route_handler"].opt
        if token is None or IN_TURN not in opt:
            scope["user"] = None if token is None else await _holder(connection, token)
            await self.app(scope, receive, send)
            return
        # The edge has read the body: it is there at once, and next comes that the client has gone.
        message: Any = await receive()
        following = replay(message.get("body", b""), receive)
        gone = asyncio.ensure_future(receive())
        try:
            turns: Turns = connection.app.state.turns
            digest = hashlib.sha256(token.encode()).digest()
            async with turns.of(digest, gone):
                gone.cancel()
                scope["user"] = actor = await _holder(connection, token)
                turns.hear(digest, actor)
                if opt[IN_TURN] is Until.ANSWERED:
                    await self.app(scope, following, send)
                    return
            await self.app(scope, following, send)
        except Gone:
            return
        finally:
            gone.cancel()


def _token(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    values = connection.headers.getall("authorization", [])
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() == "basic" and connection.url.path == "/oauth/token":
        return None  # the client's own secret, which that route reads itself
    if len(values) > 1 or scheme.lower() != "bearer" or not 0 < len(token) <= TOKEN_LENGTH_MAX:
        raise Unauthenticated(headers={"WWW-Authenticate": "Bearer"})
    return token


async def _holder(connection: ASGIConnection[Any, Any, Any, Any], token: str) -> access.Actor:
    state = connection.app.state
    async with db.acquired(state.pool) as read:
        actor = await tokens.actor_of(read, token, state.clock.now())
    if actor is None:
        raise Unauthenticated(
            "the token is unknown, expired or revoked",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )
    return actor
