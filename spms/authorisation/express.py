"""The short way for the one request that comes more often than all others together, and its sister.

`POST /authorisations` without an Idempotency-Key and `POST /reservations` need no routing and no
connection of their own: their token is checked in the statement that decides them. Whatever is not
plain takes the usual way, where it is refused in the usual words.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from spms.authorisation import pieces
from spms.authorisation.engine import Engine
from spms.authorisation.model import DecisionRequest
from spms.authorisation.reservation_model import Answer, Ask, ReservationRequest
from spms.core.edge import Headers, Told
from spms.core.errors import Unavailable
from spms.core.http import TOKEN_LENGTH_MAX

BEARER: Final = b"bearer "
_question = msgspec.json.Decoder(DecisionRequest)
_reservation = msgspec.json.Decoder(ReservationRequest)
_encode = msgspec.json.Encoder().encode


class Express:
    """Answers one question; None where the usual way has to."""

    def __init__(self, engine: Engine) -> None:
        """Ask the engine of the process."""
        self._engine = engine

    async def __call__(self, headers: Headers, body: bytes) -> bytes | None:
        """Return the JSON of the answer. Raises `Unavailable` when it cannot be had now."""
        token = self.asker(headers)
        if token is None:
            return None
        try:
            ask = self._read(body, token)
        except msgspec.DecodeError:
            return None
        try:
            answer = await self._engine.decide(ask)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - nothing was done; the usual way says what is wrong
            return None
        return self._write(answer)

    def asker(self, headers: Headers) -> bytes | None:
        """Return the token's digest, if the headers ask for nothing more than an answer."""
        return None if b"idempotency-key" in headers else bearer(headers)

    def start(self, asker: bytes, body: bytes, tell: Callable[[Told], None]) -> None:
        """Ask the engine and let it call back, without a task for the question."""
        try:
            self._engine.start(self._read(body, asker), partial(self._say, tell))
        except Unavailable as refusal:
            tell(refusal)
        except msgspec.DecodeError:
            tell(None)

    def _say(self, tell: Callable[[Told], None], told: pieces.Told) -> None:
        """Hand on an answer; anything but that the usual way has to say, as above."""
        if isinstance(told, Answer):
            tell(self._write(told))
        else:
            tell(told if isinstance(told, Unavailable) else None)

    @staticmethod
    def _read(body: bytes, token: bytes) -> Ask:
        return Ask(request=_question.decode(body), token=token)

    @staticmethod
    def _write(answer: Answer) -> bytes:
        return _encode(answer.decision)


class Reserving(Express):
    """The same for a charge that is held: its reference does what an Idempotency-Key would."""

    def asker(self, headers: Headers) -> bytes | None:
        """Return the token's digest."""
        return bearer(headers)

    @staticmethod
    def _read(body: bytes, token: bytes) -> Ask:
        asked = _reservation.decode(body)
        return Ask(request=asked.question(), token=token, reference=asked.reference)

    @staticmethod
    def _write(answer: Answer) -> bytes:
        return _encode(answer)


def bearer(headers: Headers) -> bytes | None:
    """Return the SHA-256 of the one bearer token in a request's headers."""
    value = headers.get(b"authorization", b"")
    start = len(BEARER)
    if value[:start].lower() != BEARER or not start < len(value) <= TOKEN_LENGTH_MAX:
        return None
    return hashlib.sha256(value[start:]).digest()
