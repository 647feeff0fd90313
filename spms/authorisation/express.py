"""The short way for the one request that comes more often than all others together.

`POST /authorisations` without an Idempotency-Key needs no routing and no connection of its own: its
token is checked in the statement that decides it. Whatever is not plain takes the usual way, where
it is refused in the usual words.
"""

import hashlib
from typing import Final

import msgspec
from litestar.datastructures import State

from spms.authorisation.engine import Engine
from spms.authorisation.model import DecisionRequest
from spms.authorisation.reservation_model import Ask
from spms.core.edge import Headers
from spms.core.errors import Unavailable
from spms.core.http import TOKEN_LENGTH_MAX

BEARER: Final = b"bearer "
_question = msgspec.json.Decoder(DecisionRequest)
_answer = msgspec.json.Encoder()


def engine_of(state: State) -> Engine:
    """Return the engine of an application: one for its pool and clock."""
    found = state.get("engine")
    if isinstance(found, Engine) and found.pool is state.pool and found.clock is state.clock:
        return found
    made = Engine(state.pool, state.clock)
    state["engine"] = made
    return made


class Express:
    """Answers one question; None where the usual way has to."""

    def __init__(self, state: State) -> None:
        """Look into the application's state with every request: tests exchange what is in it."""
        self._state = state

    async def __call__(self, headers: Headers, body: bytes) -> bytes | None:
        """Return the JSON of the decision. Raises `Unavailable` when it cannot be had now."""
        token = bearer(headers)
        if token is None or b"idempotency-key" in headers:
            return None
        try:
            ask = Ask(request=_question.decode(body), token=token)
        except msgspec.DecodeError:
            return None
        try:
            answer = await engine_of(self._state).decide(ask)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - nothing was done; the usual way says what is wrong
            return None
        return _answer.encode(answer.decision)


def bearer(headers: Headers) -> bytes | None:
    """Return the SHA-256 of the one bearer token in a request's headers."""
    value = headers.get(b"authorization", b"")
    start = len(BEARER)
    if value[:start].lower() != BEARER or not start < len(value) <= TOKEN_LENGTH_MAX:
        return None
    return hashlib.sha256(value[start:]).digest()
