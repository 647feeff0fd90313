"""One SMPP connection: frames, sequence numbers, answers awaited, the line kept alive.

It knows nothing of messages. `on_request` is given what the other side asks for; the session
itself only answers enquire_link and unbind, and refuses what makes no sense.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, cast

import structlog

from spms.core.ids import new_id
from spms.messaging import smpp_pdu
from spms.messaging.smpp_pdu import RESPONSE, Command, Pdu, Status

BODY_SECONDS: Final = 30.0
"""How long the rest of a PDU may take after its first octet."""

log = structlog.get_logger()


class NotWritten(Exception):  # noqa: N818 - a state of the line, not an error of ours
    """The request has certainly not reached the other side."""


class AnswerLost(Exception):  # noqa: N818 - see NotWritten
    """The request was written, and no answer came: it may have been carried out or not."""


class Session(asyncio.Protocol):
    """One connection, until it is lost."""

    def __init__(
        self,
        on_request: Callable[["Session", Pdu], None],
        on_proven: Callable[[int], None],
        *,
        response_seconds: float,
        enquire_seconds: float,
    ) -> None:
        """`on_proven(n)` says that the other side has read the first n answers that we wrote."""
        self._on_request = on_request
        self._on_proven = on_proven
        self._response_seconds = response_seconds
        self._enquire_seconds = enquire_seconds
        self._buffer = bytearray()
        self._awaited: dict[int, tuple[int, int, asyncio.Future[Pdu]]] = {}
        self._sequence = 0
        self._transport: asyncio.Transport | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._probe: asyncio.Task[None] | None = None
        self._slow: asyncio.TimerHandle | None = None
        self._read_answers = 0
        self.id = new_id().hex
        """Part of the names of what comes over it, for the SMSC gives none."""
        self.bound = False
        self.heard = False
        """Whether anything has come since the last look."""
        self.answers = 0
        """How many answers were written."""
        self.strays = 0
        """How many answers came that nothing waited for."""
        self.closed = asyncio.Event()

    # --- what asyncio calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        # The production loop's transport has all of its methods, and is no Transport by class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - lost is lost
        """Tell everybody who waits for an answer that none will come."""
        self.bound = False
        self._may_write.set()
        self.closed.set()
        self._hurry(on=False)
        for _, _, answer in self._awaited.values():
            if not answer.done():
                answer.set_exception(AnswerLost())
        self._awaited.clear()

    def pause_writing(self) -> None:
        """Hold requests back while the other side does not read."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Let requests go again."""
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        """Cut the stream into PDUs and act on each."""
        self.heard = True
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= smpp_pdu.HEADER.size and not self.closing:
            length = smpp_pdu.frame_length(self._buffer[at : at + smpp_pdu.HEADER.size])
            if length is None:
                log.warning("smpp_length", octets=len(self._buffer) - at)
                self._write(Command.GENERIC_NACK, Status.BAD_COMMAND_LENGTH, 0)
                self.close()
                return
            if len(self._buffer) - at < length:
                break
            frame = bytes(self._buffer[at : at + length])
            at += length
            self._act(smpp_pdu.read(frame))
        if at:
            del self._buffer[:at]
            self._hurry(on=False)
        self._hurry(on=bool(self._buffer))

    def _hurry(self, *, on: bool) -> None:
        """Give the rest of a PDU its time."""
        if self._slow is not None:
            if on:
                return
            self._slow.cancel()
            self._slow = None
        elif on:
            self._slow = asyncio.get_running_loop().call_later(BODY_SECONDS, self.abort)

    def _act(self, pdu: Pdu) -> None:
        if pdu.command & RESPONSE:
            self._answered(pdu)
        elif pdu.command == Command.ENQUIRE_LINK:
            self.answer(pdu, Status.OK)
        elif pdu.command == Command.UNBIND:
            self.bound = False
            self.answer(pdu, Status.OK)
            self.close()
        elif pdu.command in {
            Command.BIND_RECEIVER, Command.BIND_TRANSMITTER, Command.BIND_TRANSCEIVER
        }:  # fmt: skip
            self.answer(pdu, Status.ALREADY_BOUND if self.bound else Status.NOT_BOUND)
        elif pdu.command == Command.DELIVER_SM:
            if self.bound:
                self._on_request(self, pdu)
            else:
                self.answer(pdu, Status.NOT_BOUND, b"\0")
        elif pdu.command not in {Command.ALERT_NOTIFICATION, Command.OUTBIND}:
            self._write(Command.GENERIC_NACK, Status.BAD_COMMAND, pdu.sequence)

    def _answered(self, pdu: Pdu) -> None:
        awaited = self._awaited.get(pdu.sequence)
        if awaited is None or pdu.command not in {awaited[0] | RESPONSE, Command.GENERIC_NACK}:
            self.strays += 1
            return
        del self._awaited[pdu.sequence]
        _, answers_before, answer = awaited
        # It reads in order: whoever answers what we asked has read what we answered before.
        self._read_answers = max(self._read_answers, answers_before)
        self._on_proven(self._read_answers)
        if not answer.done():
            answer.set_result(pdu)

    # --- what the link calls -----------------------------------------------------------------

    @property
    def closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._transport is None or self._transport.is_closing()

    async def request(self, command: Command, body: bytes = b"") -> Pdu:
        """Ask for something and wait for the answer.

        Raises `NotWritten` when the other side certainly has not got it, `AnswerLost` when the
        connection ended or the time for an answer did.
        """
        await self._may_write.wait()
        if self.closing:
            raise NotWritten
        self._sequence = self._sequence % smpp_pdu.SEQUENCE_MAX + 1
        sequence = self._sequence
        answer: asyncio.Future[Pdu] = asyncio.get_running_loop().create_future()
        self._awaited[sequence] = (command, self.answers, answer)
        self._write(command, Status.OK, sequence, body)
        try:
            async with asyncio.timeout(self._response_seconds):
                return await answer
        except TimeoutError as late:
            raise AnswerLost from late
        finally:
            self._awaited.pop(sequence, None)

    def answer(self, pdu: Pdu, status: Status, body: bytes = b"") -> int:
        """Answer a request; return the number of this answer, by which it may be proven."""
        self._write(pdu.command | RESPONSE, status, pdu.sequence, body)
        self.answers += 1
        return self.answers

    def probe(self) -> None:
        """Ask for a sign that our answers were read, until all of them have been."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._ask(), name="smpp-probe")

    async def _ask(self) -> None:
        while self._read_answers < self.answers and not self.closing:
            await self._enquire()

    def pause(self, *, on: bool) -> None:
        """Stop reading, or read again: who does not read is sent no more than fits the socket."""
        if self._transport is not None and not self.closing:
            (self._transport.pause_reading if on else self._transport.resume_reading)()

    async def keep_alive(self) -> None:
        """Enquire whenever nothing came for a while; ends when the connection does."""
        while not self.closing:
            self.heard = False
            try:
                async with asyncio.timeout(self._enquire_seconds):
                    await self.closed.wait()
            except TimeoutError:
                if not self.heard:
                    await self._enquire()

    async def _enquire(self) -> None:
        try:
            await self.request(Command.ENQUIRE_LINK)
        except NotWritten:
            return
        except AnswerLost:
            self.abort()  # half open: nobody is there any more

    async def unbind(self) -> None:
        """Say goodbye, as well as the line allows."""
        if self.bound:
            self.bound = False
            with contextlib.suppress(NotWritten, AnswerLost):
                await self.request(Command.UNBIND)
        self.close()

    def close(self) -> None:
        """Close when what was written has left, or when the other side takes too long to read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            asyncio.get_running_loop().call_later(self._response_seconds, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, command: int, status: int, sequence: int, body: bytes = b"") -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(smpp_pdu.write(command, status, sequence, body))
