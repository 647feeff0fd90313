"""What is wrong with a link, in words: `spms link check`."""

import socket
import ssl
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from spms.core.clock import Clock
from spms.core.db import Connection, Pool
from spms.core.settings import SmppSettings
from spms.messaging import receipt_queries, stray_queries
from spms.messaging.smpp_link import BindRefused, LinkMisconfigured, examine, open_session
from spms.messaging.smpp_pdu import Command, Pdu, Status
from spms.messaging.smpp_session import AnswerLost, NotWritten, Session

PERIOD: Final = timedelta(hours=24)
FEW: Final = 20
"""With fewer messages than this, missing receipts may be chance."""
WAITING: Final = timedelta(minutes=1)
"""A receipt may come before the answer to its message; so long it is not looked for in vain."""
REPORTED_SHARE: Final = 0.5
SKEW: Final = timedelta(minutes=5)
HOUR: Final = 3600

REFUSED: Final = {
    Status.BAD_PASSWORD: "the password is wrong (ESME_RINVPASWD): compare it with the account's,"
    " letter by letter; many SMS centres read at most 8 characters",
    Status.BAD_SYSTEM_ID: "the account does not exist there (ESME_RINVSYSID): check system_id,"
    " and whether this is the right SMS centre",
    Status.ALREADY_BOUND: "the account is bound already (ESME_RALYBND): by a worker of ours, which"
    " is as it should be, or by somebody else; ask for as many binds as there are workers",
    Status.BIND_FAILED: "the bind is refused without a reason (ESME_RBINDFAIL): wrong account or"
    " password, this address is not on the list of allowed ones, or too many binds",
    Status.BAD_SYSTEM_TYPE: "system_type is not the one that was agreed (ESME_RINVSYSTYP)",
    Status.BAD_COMMAND: "it does not know bind_transceiver: it speaks SMPP 3.3, which is too old",
}


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    link: str
    what: str
    fine: bool
    words: str


async def check(settings: SmppSettings, pool: Pool, clock: Clock) -> list[Remark]:
    """Look at one link: bind to it, and read what went over it in the last 24 hours."""
    found = [remark async for remark in _bind(settings)]
    async with pool.acquire() as read:
        found += await _traffic(read, settings, clock.now())
    return found


async def _bind(settings: SmppSettings) -> AsyncIterator[Remark]:
    def remark(what: str, words: str, *, fine: bool = False) -> Remark:
        return Remark(link=settings.name, what=what, fine=fine, words=words)

    def not_here(session: Session, pdu: Pdu) -> None:
        """Leave what is delivered meanwhile to the link proper."""
        session.answer(pdu, Status.TRY_AGAIN, b"\0")

    try:
        examine(settings)
        how = "TLS, certificate checked" if settings.tls else "plain, on this machine only"
        yield remark("settings", how, fine=True)
        session = await open_session(settings, not_here, lambda _session, _answers: None)
    except LinkMisconfigured as wrong:
        yield remark("settings", str(wrong))
    except BindRefused as refused:
        yield remark("bind", _refusal(refused))
    except (AnswerLost, NotWritten):
        yield remark(
            "bind", f"{settings.host}:{settings.port} takes the connection and then hangs up or says"
            " nothing: no SMPP port, TLS on one side only, or this address is not on its list",
        )  # fmt: skip
    except OSError as error:
        yield remark("connection", _no_connection(error, settings))
    else:
        try:
            await session.request(Command.ENQUIRE_LINK)
            yield remark("bind", "bound as a transceiver; enquire_link is answered", fine=True)
        except (AnswerLost, NotWritten):
            yield remark("bind", "bound, but enquire_link stays without an answer")
        await session.unbind()


def _refusal(refused: BindRefused) -> str:
    for status, words in REFUSED.items():
        if refused.status == status:
            return words
    return f"the SMS centre refuses the bind with {refused}; its manual says what that means"


def _no_connection(error: OSError, settings: SmppSettings) -> str:
    """Say why there is no connection; a failed TLS handshake is an `OSError` as well."""
    place = f"{settings.host}:{settings.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate is not to be trusted ({error.verify_message}): set tls_ca to the"
            " authority's file, or tls_name to the name in the certificate"
        )
    if isinstance(error, ssl.SSLError):
        return f"no TLS at {place} ({error.reason}): is this its TLS port?"
    if isinstance(error, socket.gaierror):
        return f"there is no host called {settings.host}"
    if isinstance(error, TimeoutError):
        return f"{place} does not answer: a firewall, or a wrong address"
    return f"{place} cannot be reached: {error.strerror or error}"


async def _traffic(read: Connection, settings: SmppSettings, now: datetime) -> list[Remark]:
    def remark(what: str, words: str, *, fine: bool) -> Remark:
        return Remark(link=settings.name, what=what, fine=fine, words=words)

    seen = await receipt_queries.traffic(read, settings.name, now - PERIOD)
    told = f"{seen.reported} of {seen.sent} messages of the last 24 h reported on"
    if settings.receipts and seen.sent >= FEW and seen.reported == 0:
        told += ": no receipts at all; they are not switched on for the account, or go to another"
    elif settings.receipts and seen.sent >= FEW and seen.reported < seen.sent * REPORTED_SHARE:
        told += ": many are missing; compare the ids below with those the SMS centre gave"
    found = [remark("receipts", told, fine=":" not in told)]
    orphans = await receipt_queries.orphans(read, before=now - WAITING, limit=FEW)
    names = [each.link_message_id for each in orphans if each.link == settings.name]
    if names:
        words = f"{len(names)} or more for messages that we do not know: {', '.join(names[:5])}"
        found.append(remark("orphaned receipts", words, fine=False))
    strays = await stray_queries.count(read, settings.name, now - PERIOD)
    if strays.contents:
        words = f"{strays.contents} whose sender cannot be read ({strays.times} times):"
        words += (
            " they are kept, see GET /stray-messages; has the SMS centre another form of number?"
        )
        found.append(remark("stray messages", words, fine=False))
    if seen.skew_seconds is not None:
        words, fine = _clock(seen.skew_seconds)
        found.append(remark("clock", words, fine=fine))
    return found


def _clock(skew_seconds: float) -> tuple[str, bool]:
    """Say how far the SMS centre's clock is from ours; whole hours are a time zone."""
    zone = round(skew_seconds / HOUR)
    rest = skew_seconds - zone * HOUR
    where = f"receipts are written in UTC{-zone:+d}" if zone else "receipts are written in UTC"
    if abs(rest) <= SKEW.total_seconds():
        return f"{where}; within {abs(rest):.0f} s of ours", True
    way = "behind" if rest > 0 else "ahead of"
    return f"{where}; {abs(rest) / 60:.0f} min {way} ours: one of the two clocks is wrong", False
