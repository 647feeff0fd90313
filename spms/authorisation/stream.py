"""A gateway's long-lived stream: one WebSocket, many questions in flight, answers as they come.

A text frame is JSON, a binary one MessagePack; the answer comes back in kind. A frame is one
question or a list of them, which is answered by one list in the same order. Every question is
decided by the same engine as any other, its token checked anew each time. While `IN_FLIGHT_MAX` of
a stream wait for their answer, or their answers to be taken, nothing more is read from it: the
sender's own buffers fill up, and it waits.

After a drop the gateway sends again what it has no answer for. A `reserve` with the same reference
gets the first answer, so nothing is held twice; docs/authorisation.md has an example.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect

from spms.authorisation import reservations
from spms.authorisation.engine import Engine
from spms.authorisation.express import bearer
from spms.authorisation.failing import refused
from spms.authorisation.frames import (
    FRAME_BYTES_MAX,
    Capture,
    Decide,
    Frame,
    Misfit,
    Release,
    Reserve,
    read,
)
from spms.authorisation.model import Decision
from spms.authorisation.pieces import Told
from spms.authorisation.reservation_model import (
    Answer,
    Ask,
    Reservation,
    ReservationRequest,
    ReservationState,
)
from spms.core import db, tokens
from spms.core.access import Role
from spms.core.errors import Forbidden, Refused, Unauthenticated, Unavailable
from spms.core.http import ProblemDetails, problem
from spms.core.turns import Turns

IN_FLIGHT_MAX: Final = 512
QUESTION_BYTES: Final = 256
"""A longer frame counts as several that are in flight, one for each of these."""
POLICY_VIOLATION: Final = 1008


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one frame: `answer`, or `refusal` as problem details."""

    id: int | None
    """None: the frame could not be read."""
    answer: Decision | Answer | Reservation | None = None
    refusal: ProblemDetails | None = None


class Stream:
    """One connection."""

    def __init__(
        self, socket: WebSocket[Any, Any, Any], engine: Engine, turns: Turns, token: str
    ) -> None:
        self._socket, self._engine, self._turns, self._token = socket, engine, turns, token
        self._digest = hashlib.sha256(token.encode()).digest()
        self._in_flight = 0
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Answer until the other side goes; what is under way then is still decided."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                while self._in_flight >= IN_FLIGHT_MAX:
                    self._room.clear()
                    await self._room.wait()
                try:
                    message: Any = await self._socket.receive()
                except WebSocketDisconnect:
                    return
                if message["type"] != "websocket.receive":
                    return
                packed = message.get("bytes")
                frame = message["text"] if packed is None else packed
                weight = 1 + min(len(frame), FRAME_BYTES_MAX) // QUESTION_BYTES
                self._in_flight += weight
                tasks.create_task(self._answer(frame, weight))

    async def _answer(self, frame: str | bytes, weight: int) -> None:
        """Answer a frame; it is in flight until its reply has left: who does not read is not read."""
        try:
            await self._send(frame, await self._made(frame))
        finally:
            self._in_flight -= weight
            self._room.set()

    async def _made(self, frame: str | bytes) -> Reply | list[Reply]:
        try:
            asked = read(frame)
            if isinstance(asked, Sequence):
                return await self._replies(asked)
            return (await self._replies([asked]))[0]
        except Refused as refusal:
            return Reply(id=None, refusal=problem(refusal))

    async def _send(self, frame: str | bytes, replies: Reply | list[Reply]) -> None:
        """Send replies in kind."""
        try:
            if isinstance(frame, bytes):
                await self._socket.send_data(msgspec.msgpack.encode(replies), mode="binary")
            else:
                await self._socket.send_data(msgspec.json.encode(replies).decode())
        except (WebSocketDisconnect, RuntimeError, OSError):
            return  # gone; it asks again on its next stream

    async def _replies(self, asked: Sequence[Frame | Misfit]) -> list[Reply]:
        """Answer what came in one frame, in its order."""
        questions = [one for one in asked if isinstance(one, Decide | Reserve)]
        asks = [_ask(one, self._digest) for one in questions]
        if len(asks) == len(asked):
            return list(map(_reply, questions, await self._decide(asks)))
        others = [one for one in asked if isinstance(one, Capture | Release)]
        deciding = asyncio.ensure_future(self._decide(asks))
        closings = iter(await asyncio.gather(*[self._closed(one) for one in others]))
        answers = iter(await deciding)
        return [
            Reply(id=one.id, refusal=problem(one.refusal)) if isinstance(one, Misfit)
            else _reply(one, next(answers)) if isinstance(one, Decide | Reserve)
            else next(closings)
            for one in asked
        ]  # fmt: skip

    async def _decide(self, asks: list[Ask]) -> Sequence[Told]:
        if not asks:
            return []
        try:
            return await self._engine.decide_all(asks)
        except Unavailable as refusal:
            return [refusal] * len(asks)

    async def _closed(self, asked: Capture | Release) -> Reply:
        try:
            return Reply(id=asked.id, answer=await self._close(asked))
        except Exception as error:  # noqa: BLE001 - one question never ends the stream
            return Reply(id=asked.id, refusal=refused(error))

    async def _close(self, asked: Capture | Release) -> Reservation:
        state = (
            ReservationState.CAPTURED if isinstance(asked, Capture) else ReservationState.RELEASED
        )
        now = self._engine.clock.now()
        async with self._turns.of(self._digest), db.transaction(self._engine.pool) as tx:
            actor = await tokens.actor_of(tx, self._token, now)
            if actor is None:
                raise Unauthenticated
            return await reservations.close(tx, asked.reservation_id, state, actor=actor, now=now)


def _ask(asked: Decide | Reserve, token: bytes) -> Ask:
    if isinstance(asked, Decide):
        return Ask(request=asked.question, token=token)
    question = asked.question
    assert isinstance(question, ReservationRequest)  # noqa: S101 - what else there is
    return Ask(request=question.question(), token=token, reference=question.reference)


def _reply(asked: Frame, told: Told) -> Reply:
    if isinstance(told, Exception):
        return Reply(id=asked.id, refusal=refused(told))
    return Reply(id=asked.id, answer=told.decision if isinstance(asked, Decide) else told)


@websocket("/authorisations/stream")
async def stream(socket: WebSocket[Any, Any, Any]) -> None:
    """Open a stream for an SP's gateway; the bearer token comes with the handshake."""
    engine: Engine = socket.app.state.engine
    headers = dict(socket.scope["headers"])
    actor = None
    token = headers.get(b"authorization", b"").decode("latin-1")[7:]
    once = sum(name == b"authorization" for name, _ in socket.scope["headers"]) == 1
    if once and bearer(headers) is not None:
        async with db.acquired(engine.pool) as connection:
            actor = await tokens.actor_of(connection, token, engine.clock.now())
    if actor is None or not actor.has(Role.SP):
        refusal = Unauthenticated() if actor is None else Forbidden()
        await socket.close(code=POLICY_VIOLATION, reason=refusal.instance_code)
        return
    turns: Turns = socket.app.state.turns
    turns.hear(hashlib.sha256(token.encode()).digest(), actor)
    await socket.accept()
    await Stream(socket, engine, turns, token).run()
