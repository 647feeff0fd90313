"""The short way for the one request that comes more often than all others together.

`POST /authorisations` without an Idempotency-Key needs no routing and no connection of its own: its
token is checked in the statement that decides it. Whatever is not plain takes the usual way, where
it is refused in the usual words.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from spms.authorisation import pieces
from spms.authorisation.engine import Engine
from spms.authorisation.model import DecisionRequest
from spms.authorisation.reservation_model import Answer, Ask
from spms.core.edge import Headers, Told
from spms.core.errors import Unavailable
from spms.core.http import TOKEN_LENGTH_MAX

BEARER: Final = b"bearer "
_question = msgspec.json.Decoder(DecisionRequest)
_answer = msgspec.json.Encoder()


class Express:
    """Answers one question; None where the usual way has to."""

    def __init__(self, engine: Engine) -> None:
        """Ask the engine of the process."""
        self._engine = engine

    async def __call__(self, headers: Headers, body: bytes) -> bytes | None:
        """Return the JSON of the decision. Raises `Unavailable` when it cannot be had now."""
        token = self.asker(headers)
        if token is None:
            return None
        try:
            ask = Ask(request=_question.decode(body), token=token)
        except msgspec.DecodeError:
            return None
        try:
            answer = await self._engine.decide(ask)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - nothing was done; the usual way says what is wrong
            return None
        return _answer.encode(answer.decision)

    def asker(self, headers: Headers) -> bytes | None:
        """Return the token's digest, if the headers ask for nothing more than an answer."""
        return None if b"idempotency-key" in headers else bearer(headers)

    def start(self, asker: bytes, body: bytes, tell: Callable[[Told], None]) -> None:
        """Ask the engine and let it call back, without a task for the question."""
        try:
            ask = Ask(request=_question.decode(body), token=asker)
            self._engine.start(ask, partial(_say, tell))
        except Unavailable as refusal:
            tell(refusal)
        except msgspec.DecodeError:
            tell(None)


def _say(tell: Callable[[Told], None], told: pieces.Told) -> None:
    """Hand on an answer; anything but that the usual way has to say, as above."""
    if isinstance(told, Answer):
        tell(_answer.encode(told.decision))
    else:
        tell(told if isinstance(told, Unavailable) else None)


def bearer(headers: Headers) -> bytes | None:
    """Return the SHA-256 of the one bearer token in a request's headers."""
    value = headers.get(b"authorization", b"")
    start = len(BEARER)
    if value[:start].lower() != BEARER or not start < len(value) <= TOKEN_LENGTH_MAX:
        return None
    return hashlib.sha256(value[start:]).digest()
