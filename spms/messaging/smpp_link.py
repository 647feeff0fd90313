"""A link to one SMS centre: kept bound, messages out, and what comes in to the inbox."""

import asyncio
import contextlib
import itertools
import random
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from spms.core.clock import Clock
from spms.core.db import Pool
from spms.core.settings import SmppSettings
from spms.messaging import receipts, smpp_pdu
from spms.messaging.links import LinkBusy, LinkDown, LinkRefused, Submitted
from spms.messaging.model import MessageOut
from spms.messaging.smpp_inbox import Inbox
from spms.messaging.smpp_parts import write_parts
from spms.messaging.smpp_pdu import Command, Pdu, Status
from spms.messaging.smpp_session import AnswerLost, NotWritten, Session
from spms.messaging.texts import Alphabet, Chinese, Encoding

CONNECT_SECONDS: Final = 10.0
WINDOW_SECONDS: Final = 5.0
"""Longest wait for a place in the window; well inside the courier's time for one round."""
THROTTLE_SECONDS: Final = (1.0, 30.0)
"""First and longest pause after the SMSC said that it is too much; each in a row doubles it."""
NOT_NOW: Final = frozenset({Status.THROTTLED, Status.QUEUE_FULL, Status.SYSTEM_ERROR})
"""Refusals that pass. The message was certainly not taken."""
HARD_REFUSALS: Final = frozenset(
    {
        Status.BAD_PASSWORD,
        Status.BAD_SYSTEM_ID,
        Status.BIND_FAILED,
        Status.ALREADY_BOUND,
        Status.BAD_SYSTEM_TYPE,
    }
)
"""Refused binds that trying at once would only turn into a locked account."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

log = structlog.get_logger()


class LinkMisconfigured(Exception):  # noqa: N818 - said to the operator as it is
    """The link cannot work as it is configured; the message says why and what to do."""


class BindRefused(Exception):  # noqa: N818 - an answer of the SMSC
    """The SMSC did not let us in."""

    def __init__(self, status: int) -> None:
        """Keep the SMSC's command_status."""
        super().__init__(f"0x{status:08x}")
        self.status = status


def encoding(settings: SmppSettings) -> Encoding:
    """Return how a link's SMSC wants texts."""
    return Encoding(
        alphabet=Alphabet(settings.alphabet), chinese=Chinese(settings.chinese),
        little_endian=settings.little_endian,
    )  # fmt: skip


def examine(settings: SmppSettings) -> tuple[str, ssl.SSLContext | None]:
    """Read password and certificates; raises `LinkMisconfigured`, also for a plain remote bind."""
    if not settings.tls and settings.host not in LOOPBACK:
        raise LinkMisconfigured(
            f"link {settings.name}: SMPP without TLS shows every number and text to the network; "
            "set tls = true, or reach the SMS centre through a tunnel that ends on 127.0.0.1"
        )
    password, context = settings.password, None
    try:
        if settings.password_file is not None:
            password = (Path(settings.password_file).read_text("ascii").splitlines() or [""])[0]
        if settings.tls:
            context = ssl.create_default_context(cafile=settings.tls_ca)
        smpp_pdu.write_bind(settings.system_id, password, settings.system_type)
    except (OSError, ssl.SSLError) as error:
        raise LinkMisconfigured(f"link {settings.name}: {error}") from error
    except ValueError as error:  # never with its text: it may hold the password
        raise LinkMisconfigured(
            f"link {settings.name}: system_id, password and system_type are ASCII and have at "
            "most 15, 32 and 12 characters"
        ) from error
    return password, context


async def open_session(
    settings: SmppSettings,
    on_request: Callable[[Session, Pdu], None],
    on_proven: Callable[[Session, int], None],
) -> Session:
    """Connect and bind as a transceiver; see `Session` for what the two are called with.

    Raises `OSError` (with `ssl.SSLError` and `TimeoutError`) when there is no connection,
    `BindRefused`, or `AnswerLost` when the SMSC hangs up or says nothing.
    """
    password, context = examine(settings)
    loop = asyncio.get_running_loop()
    session = Session(
        on_request, lambda answers: on_proven(session, answers),
        response_seconds=settings.response_seconds, enquire_seconds=settings.enquire_seconds,
    )  # fmt: skip
    async with asyncio.timeout(CONNECT_SECONDS):
        await loop.create_connection(
            lambda: session, settings.host, settings.port, ssl=context,
            server_hostname=(settings.tls_name or settings.host) if context else None,
        )  # fmt: skip
    try:
        body = smpp_pdu.write_bind(settings.system_id, password, settings.system_type)
        session.bound = True  # the SMSC may deliver in the same segment as its answer
        answer = await session.request(Command.BIND_TRANSCEIVER, body)
    except BaseException:
        session.abort()
        raise
    if answer.status != Status.OK or answer.command == Command.GENERIC_NACK:
        session.abort()
        raise BindRefused(answer.status)
    return session


class _Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A part that the SMSC took."""

    name: str | None
    pdu: bytes
    """As it was written: its answer has its sequence number."""


class SmppLink:
    """A link, bound while `running` lasts."""

    def __init__(self, settings: SmppSettings, pool: Pool, clock: Clock) -> None:
        """Prepare; raises `LinkMisconfigured`."""
        examine(settings)
        self.settings = settings
        self.name = settings.name
        self.parallel = settings.window
        self.up = asyncio.Event()
        """Set while bound."""
        self._encoding = encoding(settings)
        self._inbox = Inbox(settings, self._encoding, pool, clock)
        self._session: Session | None = None
        self._window = asyncio.Semaphore(settings.window)
        self._pause = 0.0
        self._throttled_until = 0.0
        self._next_turn = 0.0
        self._references = itertools.count(random.randrange(256))  # noqa: S311 - not a secret

    @property
    def ready(self) -> bool:
        """Whether messages can go over it now."""
        return self._session is not None and self._session.bound

    def takes(self, message: MessageOut) -> bool:
        """Whether messages of this sender to this number go over this link."""
        to, sender = self.settings.prefixes, self.settings.senders
        return (not to or message.msisdn.startswith(to)) and (
            not sender or message.sender.startswith(sender)
        )

    # --- staying bound -----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["SmppLink"]:
        """Keep the link bound until the block ends; then finish what came in, and unbind."""
        task = asyncio.create_task(self._stay_bound(), name=f"smpp-{self.name}")
        inbox = asyncio.create_task(self._inbox.run(), name=f"smpp-{self.name}-in")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if self._session is not None:
                await self._session.unbind()
            inbox.cancel()
            await asyncio.gather(inbox, return_exceptions=True)

    async def _stay_bound(self) -> None:
        wait = self.settings.reconnect_seconds
        while True:
            try:
                self._session = session = await open_session(
                    self.settings, self._inbox.take, self._inbox.proven
                )  # fmt: skip
            except (OSError, AnswerLost, NotWritten, BindRefused, LinkMisconfigured) as error:
                log.warning(
                    "smpp_not_bound", link=self.name, why=str(error) or type(error).__name__
                )
                if isinstance(error, BindRefused) and error.status in HARD_REFUSALS:
                    wait = self.settings.reconnect_seconds_max
            else:
                log.info("smpp_bound", link=self.name)
                self._inbox.link_is_back()
                self.up.set()
                wait = self.settings.reconnect_seconds
                await session.keep_alive()
                await session.closed.wait()
                self.up.clear()
                log.warning("smpp_lost", link=self.name)
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            wait = min(wait * 2, self.settings.reconnect_seconds_max)

    # --- out ---------------------------------------------------------------------------------

    async def submit(self, message: MessageOut) -> Submitted:
        """Hand over a message; see `spms.messaging.links.Link`."""
        bodies = write_parts(
            message, self.settings, self._encoding, reference=next(self._references) & 0xFF
        )  # fmt: skip
        try:
            async with asyncio.timeout(WINDOW_SECONDS):
                await self._window.acquire()
        except TimeoutError as full:
            raise LinkBusy from full
        try:
            taken = [await self._submit_part(bodies[0])]
            for body in bodies[1:]:
                taken.append(await self._submit_rest(body))  # noqa: PERF401 - each may raise
        finally:
            self._window.release()
        names = [receipts.canonical(each.name) for each in taken if each.name]
        return Submitted(
            link_message_id=names[-1] if names else f"unnamed-{message.id}",
            pdu=b"".join(each.pdu for each in taken),
            parts=tuple(names) if len(set(names)) == len(taken) > 1 else (),
        )  # fmt: skip

    async def _submit_rest(self, body: bytes) -> "_Taken":
        """Hand over a further part; the message is out in part, so only its end is certain."""
        while True:
            try:
                return await self._submit_part(body)
            except LinkBusy as busy:
                await asyncio.sleep(busy.retry_seconds)
            except (LinkDown, LinkRefused) as stopped:
                raise AnswerLost from stopped

    async def _submit_part(self, body: bytes) -> "_Taken":
        loop = asyncio.get_running_loop()
        session = self._session
        if session is None or not session.bound:
            raise LinkDown
        if (wait := self._throttled_until - loop.time()) > 0:
            raise _busy(wait)
        if self.settings.per_second:
            await self._take_turn(loop)
        try:
            answer = await session.request(Command.SUBMIT_SM, body)
        except NotWritten as error:
            raise LinkDown from error
        if answer.status == Status.NOT_BOUND:
            session.close()  # it has forgotten us: bind anew, and send this again then
            raise LinkDown
        if answer.status in NOT_NOW:
            self._pause = min(max(self._pause * 2, THROTTLE_SECONDS[0]), THROTTLE_SECONDS[1])
            self._throttled_until = loop.time() + self._pause
            raise _busy(self._pause)
        if answer.status != Status.OK or answer.command == Command.GENERIC_NACK:
            raise LinkRefused(f"smpp_0x{answer.status:08x}")
        self._pause = 0.0
        return _Taken(
            name=smpp_pdu.read_message_id(answer.body),
            pdu=smpp_pdu.write(Command.SUBMIT_SM, Status.OK, answer.sequence, body),
        )

    async def _take_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the next place in the agreed rate."""
        at = max(self._next_turn, loop.time())
        if at - loop.time() > WINDOW_SECONDS:
            raise _busy(at - loop.time())
        self._next_turn = at + 1 / self.settings.per_second
        await asyncio.sleep(at - loop.time())


def _busy(seconds: float) -> LinkBusy:
    busy = LinkBusy()
    busy.retry_seconds = seconds
    return busy
