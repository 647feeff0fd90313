"""Reading decisions that are on record. Writes nothing."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from spms.authorisation.model import Facts, Purpose, Reason
from spms.core.db import Connection, many, one

NEWEST: Final = UUID(int=2**128 - 1)
"""`before` of the first page: no decision has a greater id."""


class DecidedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as it is stored."""

    msisdn: str
    epoch: int | None
    """Of whoever held the number then, as far as was known; None: nobody."""
    decided_at: datetime
    id: UUID
    purpose: Purpose
    sp_id: UUID
    service_id: UUID | None
    service_code: str
    access_number: str | None
    price_fen: int
    allowed: bool
    reasons: tuple[Reason, ...]
    subscription_id: UUID | None
    rulebook_version: int


class RecordedRow(DecidedRow, frozen=True, kw_only=True):
    """A stored decision with its facts."""

    facts: Facts


GET = """
    SELECT msisdn, (facts -> 'number' ->> 'epoch')::integer AS epoch, decided_at, id, purpose,
           sp_id, service_id, service_code, access_number,
           price_fen, allowed, reasons, subscription_id, rulebook_version, facts
      FROM authorisation
     WHERE id = $1
"""


async def get(read: Connection, authorisation_id: UUID) -> RecordedRow | None:
    """Load one decision with its facts."""
    return one(RecordedRow, await read.fetchrow(GET, authorisation_id))


PAGE = """
    SELECT msisdn, (facts -> 'number' ->> 'epoch')::integer AS epoch, decided_at, id, purpose,
           sp_id, service_id, service_code, access_number,
           price_fen, allowed, reasons, subscription_id, rulebook_version
      FROM authorisation
     WHERE sp_id = $1 AND id < $2
     ORDER BY id DESC
     LIMIT $3
"""


async def page(
    read: Connection, sp_id: UUID, *, before: UUID = NEWEST, limit: int
) -> list[DecidedRow]:
    """Load an SP's decisions, newest first."""
    return many(DecidedRow, await read.fetch(PAGE, sp_id, before, limit))
