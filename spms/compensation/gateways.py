"""Billing gateways: whoever can credit a subscriber's bill. Each credit has an id for ever.

A debit takes a credit back that was got by fraud, and has an id of its own. A gateway must take the
same id twice as one credit or debit, and must be able to say whether it has done an id. `pay` and `ask` never raise: what cannot be known is `Answer.NO_ANSWER`.
"""

import asyncio
import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from uuid import UUID

import aiohttp
import msgspec

TIMEOUT_SECONDS = 10
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
"""A payout names a person's number: nobody but us, and whom we let, reads it."""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


class Answer(StrEnum):
    """What a gateway says about a credit."""

    DONE = "done"
    NOT_DONE = "not_done"
    """It does not know this id, or has certainly not done it: it may be sent again."""
    REFUSED = "refused"
    """It never will: somebody has to look."""
    NO_ANSWER = "no_answer"
    """Anything may have happened: only asking tells."""


class PaidCharge(msgspec.Struct, frozen=True, kw_only=True):
    """What a payout gives, or takes back, for one charge."""

    id: UUID
    charged_at: datetime
    """Whoever held the number then is meant, not a later holder."""
    amount_fen: int


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """What a refund gives, on its way to the bill."""

    msisdn: str
    id: UUID
    charge_id: UUID | None
    """Null: a joint refund, of the same person's charges in `charges`."""
    round: int | None
    charges: list[PaidCharge]
    charged_at: datetime
    """Of the last of them: one person held the number at all of them, as far as was known."""
    sp_id: UUID
    amount_fen: int
    attempts: int
    ask: bool
    """Its outcome is unknown: ask, do not send."""
    principal_fen: int = 0
    """Of the amount, what of the charges' price comes back."""
    points: int = 0
    """Points (积分) the charges had earned and earn no more; of a debit: earn again."""
    takes_back: UUID | None = None
    """The credit that this one takes off the bill again; null of a credit."""
    is_part: bool = False
    """Of a debit: it takes back one charge's part of a joint credit."""

    @property
    def form(self) -> str:
        """Whether it is put on the bill or taken off."""
        return "credits" if self.takes_back is None else "debits"


class BillingGateway(Protocol):
    """Whoever can credit a bill."""

    async def pay(self, payout: Payout) -> Answer:
        """Credit the amount to the number's bill, or debit it, once for this id."""

    async def ask(self, payout: Payout) -> Answer:
        """Tell whether this id was done."""


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """What goes over the wire, and into the file."""

    id: UUID
    msisdn: str
    charged_at: datetime
    """Whoever held the number then is credited, not a later holder."""
    amount_fen: int
    charges: list[PaidCharge]
    """The charges that were wrong: one, or several of one person that a mass correction puts right together.
    Where a change of owner became known after that, each says whose its part is."""
    principal_fen: int
    """Of the amount, what of their price comes back; the rest is compensation."""
    points: int
    """Points (积分) earned by paying the charges that this takes back; of a debit: gives back. Once
    for this id, as the amount."""
    takes_back: UUID | msgspec.UnsetType = msgspec.UNSET
    """Of a debit only: the id of the credit."""


def _credit(payout: Payout) -> bytes:
    return msgspec.json.encode(
        Credit(
            id=payout.id,
            msisdn=payout.msisdn,
            charged_at=payout.charged_at,
            amount_fen=payout.amount_fen,
            charges=payout.charges,
            principal_fen=payout.principal_fen,
            points=payout.points,
            takes_back=payout.takes_back or msgspec.UNSET,
        )
    )


class FileGateway:
    """Leaves one file per credit for billing to fetch: `<id>.json`, complete or not there.

    The name is the id, so the same credit twice is the same file. Debits are in `debits/`.
    """

    def __init__(self, directory: Path) -> None:
        """Leave files under a directory; it is made when the first one comes."""
        self.directory = directory

    def _path(self, payout: Payout) -> Path:
        root = self.directory if payout.takes_back is None else self.directory / payout.form
        return root / payout.id.hex[:2] / f"{payout.id}.json"

    async def pay(self, payout: Payout) -> Answer:
        """Write the file, on disk before it has its name."""
        return await asyncio.to_thread(self._write, payout)

    async def ask(self, payout: Payout) -> Answer:
        """Look for the file."""
        there = await asyncio.to_thread(self._path(payout).exists)
        return Answer.DONE if there else Answer.NOT_DONE

    def _write(self, payout: Payout) -> Answer:
        path = self._path(payout)
        try:
            for folder in (self.directory, path.parent.parent, path.parent):
                folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            with open(part, "wb", opener=_private) as file:
                file.write(_credit(payout) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            return Answer.NO_ANSWER
        return Answer.DONE


class HttpGateway:
    """Speaks to a billing system: `PUT <url>/credits/{id}` (or `/debits/{id}`), and `GET` to ask.

    200, 201 or 204 is done; to a question, 404 is not done, and 409, 410 or 422 is a refusal; to a
    credit, any 4xx is one but 408, 425, 429; everything else, and silence, is no answer.
    """

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Speak to a base URL."""
        self.url = url.rstrip("/")
        self.timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    async def pay(self, payout: Payout) -> Answer:
        """Put the credit."""
        return await self._call("PUT", payout)

    async def ask(self, payout: Payout) -> Answer:
        """Get the credit."""
        return await self._call("GET", payout)

    async def _call(self, method: str, payout: Payout) -> Answer:
        body = _credit(payout) if method == "PUT" else None
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            async with (
                aiohttp.ClientSession(timeout=self.timeout) as session,
                session.request(
                    method, f"{self.url}/{payout.form}/{payout.id}", data=body, headers=headers
                ) as response,
            ):
                return _meaning(method, response.status)
        except (aiohttp.ClientError, TimeoutError):
            return Answer.NO_ANSWER


REFUSED_BEFORE = frozenset({409, 410, 422})
"""Answers to a question that speak of the credit. 401, 400 or 405 speak of the question: who takes
them for a refusal has a person paid by hand what billing had done."""


def _meaning(method: str, status: int) -> Answer:
    if status in {200, 201, 204}:
        return Answer.DONE
    if method == "GET":
        if status == 404:  # noqa: PLR2004 - HTTP
            return Answer.NOT_DONE
        return Answer.REFUSED if status in REFUSED_BEFORE else Answer.NO_ANSWER
    if 400 <= status < 500 and status not in {408, 425, 429}:  # noqa: PLR2004 - HTTP
        return Answer.REFUSED
    return Answer.NO_ANSWER
