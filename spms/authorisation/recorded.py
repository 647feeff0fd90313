"""Decisions on record, wherever they are kept: a charge's is a row, a message's is in a pack."""

from uuid import UUID

from spms.authorisation import pack_queries, recorded_queries
from spms.authorisation.packs import PLACES, opened, pack_id
from spms.authorisation.recorded_queries import NEWEST, DecidedRow, RecordedRow
from spms.core.db import Connection


async def get(read: Connection, authorisation_id: UUID) -> RecordedRow | None:
    """Load one decision with its facts."""
    pack = await pack_queries.get(read, pack_id(authorisation_id))
    if pack is None:
        return await recorded_queries.get(read, authorisation_id)
    place = authorisation_id.int % PLACES
    return opened(pack)[place] if place < pack.decisions else None


async def page(
    read: Connection, sp_id: UUID, *, before: UUID = NEWEST, limit: int
) -> list[DecidedRow]:
    """Load an SP's decisions, newest first."""
    rows = await recorded_queries.page(read, sp_id, before=before, limit=limit)
    packs = await pack_queries.page(read, sp_id, before=before, limit=limit)
    packed = [row for pack in packs for row in reversed(opened(pack)) if row.id < before]
    return sorted([*rows, *packed], key=_by_id, reverse=True)[:limit]


def _by_id(row: DecidedRow) -> UUID:
    return row.id
