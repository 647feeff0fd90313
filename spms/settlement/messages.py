"""Opening the fee for unbalanced messages to the messages that were counted."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from spms.authorisation.packs import PLACES, pack_id
from spms.core.db import Connection
from spms.settlement import message_queries as queries
from spms.settlement.message_queries import MessageRow, PackedRow
from spms.settlement.model import Window

NOWHERE: Final = UUID(int=0)
PACKED: Final = 0
SINGLE: Final = 1
CAME: Final = 2
"""The parts of the list, one after the other: to people, from packs and from rows; from people."""
ROUNDS: Final = 5
"""Packs are looked at so many times for one page; what is not found by then is on the next."""


class Place(NamedTuple):
    """After which message a page begins: its part of the list, and its key there."""

    part: int
    at: datetime | None
    id: UUID


class Counted(NamedTuple):
    """One message that was counted."""

    place: Place
    row: MessageRow

    @property
    def counts(self) -> int:
        """1 for one to a person, −1 for one from a person."""
        return -1 if self.place.part == CAME else 1


async def page(
    read: Connection, sp_id: UUID, window: Window, place: Place | None, limit: int
) -> tuple[list[Counted], Place | None]:
    """Return at most `limit` messages of an SP's month after a place, and where to go on.

    A page may be short, and another follow all the same: packs that let nothing go are looked at
    some thousand at a time.
    """
    part, at, last = place or Place(PACKED, None, NOWHERE)
    found: list[Counted] = []
    if part == PACKED:
        rows, through = await _packed(read, sp_id, window, last, limit + 1)
        found = [Counted(Place(PACKED, None, row.id), row) for row in rows]
        if through is not None and len(found) <= limit:
            return found, Place(PACKED, None, through)
        part, last = SINGLE, NOWHERE
    if part == SINGLE and len(found) <= limit:
        rows = await queries.single(read, sp_id, window, after=last, limit=limit + 1 - len(found))
        found += [Counted(Place(SINGLE, None, row.id), row) for row in rows]
        last = NOWHERE
    if len(found) <= limit:
        after = (at or window.from_at, last)
        rows = await queries.came(read, sp_id, window, after=after, limit=limit + 1 - len(found))
        found += [Counted(Place(CAME, row.at, row.id), row) for row in rows]
    return found[:limit], found[limit - 1].place if len(found) > limit else None


async def _packed(
    read: Connection, sp_id: UUID, window: Window, after: UUID, limit: int
) -> tuple[list[MessageRow], UUID | None]:
    """Return messages in packs after an id, and how far was looked; None: the month is through."""
    found: list[tuple[str, UUID, datetime]] = []
    through: UUID | None = after
    for _ in range(ROUNDS):
        first = NOWHERE if after == NOWHERE else pack_id(UUID(int=after.int + 1))
        packs = await queries.packed(read, sp_id, window, first=first, limit=limit - len(found))
        if not packs:
            through = None
            break
        found += [each for pack in packs for each in went(pack) if each[1] > after]
        through = after = UUID(int=packs[-1].id.int + PLACES - 1)
        if len(found) >= limit:
            break
    return await queries.with_holders(read, found[:limit]), through


def went(pack: PackedRow) -> list[tuple[str, UUID, datetime]]:
    """Return number, decision and time of each message that a pack let go, in their order."""
    if pack.numbers is None:
        return []
    denied = set(pack.denied or ())
    return [
        (msisdn, UUID(int=pack.id.int + place), pack.decided_at)
        for place, msisdn in enumerate(pack.numbers.split(","))
        if place + 1 not in denied
    ]
