"""What an SMS centre delivers: committed first, acknowledged then.

Deliveries that wait are committed together, in the order in which they came. While the database
is away every one of them is answered with ESME_RX_T_APPN: deliver it again.
"""

import asyncio
import hashlib
import re
from collections import deque
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

import msgspec
import structlog

from spms.core import db
from spms.core.clock import Clock
from spms.core.db import NOT_NOW, Pool
from spms.core.errors import Unavailable
from spms.core.ids import new_id
from spms.core.settings import SmppSettings
from spms.messaging import deliveries, receipts, smpp_pdu, stray_queries, texts
from spms.messaging.deliveries import Delivery
from spms.messaging.model import Stray
from spms.messaging.receipt_queries import ReceiptRow
from spms.messaging.receipts import ReceiptRead
from spms.messaging.smpp_pdu import Fault, Pdu, ShortMessage, Status, Tag
from spms.messaging.smpp_session import Session
from spms.messaging.texts import Encoding, Header

BATCH: Final = 100
"""Most deliveries in one transaction."""
BACKLOG: Final = 400
"""With so many waiting, nothing more is read from the line until half of them are done."""
AWAY: Final[tuple[type[Exception], ...]] = (*NOT_NOW, Unavailable)
"""The database, not the delivery: all of it comes again."""
RETRY_SECONDS: Final = 1.0
ANSWER: Final = b"\0"
"""The body of deliver_sm_resp: an empty message_id."""

_UDHI: Final = 0x40
_SUBSCRIBER: Final = re.compile(r"(?:\+|00)?(?:86)?(1[3-9][0-9]{9})")
_CALLED: Final = re.compile(r"\+?([0-9]{1,21})")

log = structlog.get_logger()


class Waiting(msgspec.Struct, frozen=True):
    """Something that was delivered and is not yet committed."""

    session: Session
    pdu: Pdu
    what: Delivery | ReceiptRow | Stray
    answer: Status = Status.OK
    """What is answered once it is committed."""


class Inbox:
    """The way in of one link, over as many sessions as it takes."""

    def __init__(self, settings: SmppSettings, how: Encoding, pool: Pool, clock: Clock) -> None:
        """Commit through the pool, at the clock's time."""
        self._settings = settings
        self._how = how
        self._pool = pool
        self._clock = clock
        self._waiting: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._answered: WeakKeyDictionary[Session, deque[tuple[int, UUID]]] = WeakKeyDictionary()
        self._proven: list[UUID] = []
        self._back_at: datetime | None = None

    def take(self, session: Session, pdu: Pdu) -> None:
        """Take a deliver_sm; it is answered when it is committed, also when it makes no sense."""
        what = self._read(session, pdu)
        if isinstance(what, Status):
            session.answer(pdu, what, ANSWER)
            return
        if isinstance(what, Fault):
            stray = Stray(id=new_id(), why="broken", raw=pdu.body)
            self._waiting.append(Waiting(session, pdu, stray, what.status))
        else:
            self._waiting.append(Waiting(session, pdu, what))
        if len(self._waiting) == BACKLOG:
            session.pause(on=True)
        self._wake.set()

    def proven(self, session: Session, answers: int) -> None:
        """Note that the SMSC has read the first so many answers of a session."""
        answered = self._answered.get(session)
        while answered and answered[0][0] <= answers:
            self._proven.append(answered.popleft()[1])
        if self._proven:
            self._wake.set()

    def link_is_back(self) -> None:
        """Note that the SMSC may deliver again from now on."""
        self._back_at = self._clock.now()
        self._wake.set()

    async def run(self) -> None:
        """Commit and acknowledge, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._settle(batch)
            await self._keep_book()

    # --- reading -----------------------------------------------------------------------------

    def _read(self, session: Session, pdu: Pdu) -> Delivery | ReceiptRow | Stray | Fault | Status:
        """Read a delivery; a status is the answer to one that is not stored."""
        message = smpp_pdu.read_message(pdu.body)
        if isinstance(message, Fault):
            log.warning("smpp_unreadable", link=self._settings.name, status=message.status.name)
            return message
        source = _SUBSCRIBER.fullmatch(message.source.digits)
        msisdn = source and f"86{source[1]}"
        report = receipts.read(message)
        if report is not None:
            return Status.OK if report.under_way else _row(report, message, msisdn, pdu)
        called = _CALLED.fullmatch(message.destination.digits)
        if msisdn is None or called is None:
            log.warning("smpp_number", link=self._settings.name, readable=msisdn is not None)
        if msisdn is None:
            return Stray(id=new_id(), why="source", raw=pdu.body)
        header, raw, readable = _split(message)
        tag = self._settings.name_tag
        named = message.options.get(tag, b"").rstrip(b"\0") if tag is not None else b""
        return Delivery(
            id=new_id(), msisdn=msisdn, called=called[1] if called else "",
            name=f"={named.hex()}" if named else f"{session.id}-{pdu.sequence}",
            raw=raw, data_coding=message.data_coding, readable=readable, header=header,
            pdu=pdu.octets,
        )  # fmt: skip

    # --- committing --------------------------------------------------------------------------

    async def _settle(self, batch: list[Waiting]) -> None:
        """Commit some deliveries and answer each; one that cannot be stored stops only itself."""
        try:
            await self._commit(batch)
        except AWAY as error:
            log.warning("smpp_database", link=self._settings.name, kind=type(error).__name__)
            self._answer(batch, Status.TRY_AGAIN)
        except Exception as error:  # noqa: BLE001 - nothing is acknowledged that is not stored
            if len(batch) > 1:
                for each in batch:
                    await self._settle([each])
                return
            log.error("smpp_not_stored", link=self._settings.name, kind=type(error).__name__)  # noqa: TRY400
            self._answer(batch, Status.TRY_AGAIN)
        else:
            self._answer(batch, Status.OK)

    async def _commit(self, batch: list[Waiting]) -> None:
        now = self._clock.now()
        async with db.transaction(self._pool) as tx:
            await deliveries.take(
                tx, self._settings.name,
                [each.what for each in batch if isinstance(each.what, Delivery)],
                [each.what for each in batch if isinstance(each.what, ReceiptRow)],
                how=self._how, named=self._settings.name_tag is not None,
                window=timedelta(minutes=self._settings.repeat_minutes), now=now,
            )  # fmt: skip
            lost = [each.what for each in batch if isinstance(each.what, Stray)]
            if lost:
                await stray_queries.keep(tx, self._settings.name, lost, now)

    def _answer(self, batch: list[Waiting], status: Status) -> None:
        sessions = {each.session for each in batch}
        for each in batch:
            told = each.answer if status is Status.OK else status
            number = each.session.answer(each.pdu, told, ANSWER)
            if status is Status.OK and isinstance(each.what, Delivery):
                answered = self._answered.setdefault(each.session, deque())
                answered.append((number, each.what.id))
        for session in sessions:
            session.probe()
            if len(self._waiting) <= BACKLOG // 2:
                session.pause(on=False)

    async def _keep_book(self) -> None:
        """Write down what is proven, and that the link is back; both may wait for the database."""
        proven, self._proven = self._proven, []
        back_at, self._back_at = self._back_at, None
        if not proven and back_at is None:
            return
        try:
            async with db.transaction(self._pool) as tx:
                await deliveries.proven(tx, proven)
                if back_at is not None:
                    window = timedelta(minutes=self._settings.repeat_minutes)
                    await deliveries.link_is_back(
                        tx, self._settings.name, now=back_at, window=window
                    )  # fmt: skip
        except AWAY:
            self._proven += proven
            self._back_at = self._back_at or back_at
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._wake.set)


def _split(message: ShortMessage) -> tuple[Header | None, bytes, bool]:
    """Return which part it is, its text, and whether the text means anything."""
    content = message.payload
    if message.esm_class & _UDHI:
        split = texts.split_header(content)
        return (None, content, False) if split is None else (*split, True)
    reference, total, number = (
        int.from_bytes(message.options.get(tag, b"")[:2])
        for tag in (Tag.SAR_REFERENCE, Tag.SAR_TOTAL, Tag.SAR_NUMBER)
    )
    if 1 <= number <= total <= 0xFF:  # noqa: PLR2004 - one octet
        return Header(reference=reference, total=total, number=number), content, True
    return None, content, True


def _row(
    report: ReceiptRead, message: ShortMessage, msisdn: str | None, pdu: Pdu
) -> ReceiptRow:  # fmt: skip
    """Turn a receipt into a row; one that cannot be read is kept under a name of our own."""
    name = report.message_id
    if not report.final or name is None:
        name = "unreadable-" + hashlib.sha256(message.payload).hexdigest()[:24]
    return ReceiptRow(
        link_message_id=name, msisdn=msisdn, delivered=report.delivered, stat=report.stat,
        done_at=report.done_at, pdu=pdu.octets,
    )  # fmt: skip
