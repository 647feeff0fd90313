"""What was decided about one number: for an officer, with a reason that is recorded first."""

from datetime import UTC, date, datetime
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import msgspec

from spms.authorisation import number_queries
from spms.authorisation.model import DecisionRecord
from spms.authorisation.packs import of_number
from spms.authorisation.recorded_queries import DecidedRow
from spms.core import audit, paging
from spms.core.access import Actor
from spms.core.clock import month_range
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.instance import instance_secret
from spms.core.paging import Page
from spms.core.phone import Msisdn, mask
from spms.partners import actions as partners
from spms.subscribers import actions as subscribers

NOWHERE: Final = UUID(int=0)
END: Final = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))


class NumberSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """About which number, of which month, and why it is looked at."""

    msisdn: Msisdn
    month: Annotated[
        str, msgspec.Meta(pattern=r"^20[0-9]{2}-(?:0[1-9]|1[0-2])$(?!\n)", examples=["2026-03"])
    ]
    """Business month (Asia/Shanghai)."""
    reason: Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]
    """Kept on record."""
    sp_code: Annotated[str, msgspec.Meta(pattern="^[0-9]{6}$(?!\\n)")] | None = None
    """Only what this SP asked: of a month with very many messages, that is found sooner."""
    after: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    """`next` of the page before this one."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class Place(NamedTuple):
    """Where a page ended: among the charges, by time; or among the packs, by their key."""

    at: datetime | None
    sp_id: UUID
    id: UUID


async def search(
    tx: Connection, asked: NumberSearch, *, actor: Actor, now: datetime
) -> Page[DecisionRecord]:
    """Return what was decided about a number: charges, newest first, then messages by SP.

    Messages are looked through part by part, so a page may have few of them, or none, and `next`
    all the same; one on which an SP asked several times at once may be longer than its limit.
    Raises `NotFound` for an SP there is not, `CursorInvalid`.
    """
    name = subscribers.audit_name(await instance_secret(tx), asked.msisdn)
    await audit.note(
        tx, "decisions.looked_up", "number", name, actor=actor, now=now, reason=asked.reason,
        detail={"about": asked.month},
    )  # fmt: skip
    sp_id = await _sp(tx, asked.sp_code)
    cursor = f"decisions {asked.month} {asked.msisdn} {asked.sp_code}"
    place = await paging.read_cursor(tx, actor, cursor, asked.after, Place)
    found, following = await _page(tx, asked, place, sp_id)
    return Page(
        items=[_shown(row) for row in found],
        next=following and await paging.write_cursor(tx, actor, cursor, list(following)),
    )


async def _sp(read: Connection, code: str | None) -> UUID | None:
    if code is None:
        return None
    sp = await partners.get_by_code(read, code)
    if sp is None:
        raise NotFound("no such SP")
    return sp.id


async def _page(
    read: Connection, asked: NumberSearch, place: Place | None, sp_id: UUID | None
) -> tuple[list[DecidedRow], Place | None]:
    month = month_range(date.fromisoformat(f"{asked.month}-01"))
    if place is None or place.at is not None:
        before = END if place is None or place.at is None else (place.at, place.id)
        rows = await number_queries.rows(
            read, asked.msisdn, month, before, sp_id=sp_id, limit=asked.limit
        )
        if len(rows) == asked.limit:
            return rows, Place(rows[-1].decided_at, NOWHERE, rows[-1].id)
        if rows:
            return rows, Place(None, sp_id or NOWHERE, NOWHERE)
        place = Place(None, sp_id or NOWHERE, NOWHERE)
    looked = await number_queries.packs(
        read, asked.msisdn, month, (place.sp_id, place.id), sp_id=sp_id, limit=asked.limit
    )
    packed: list[DecidedRow] = [
        row for pack in looked.packs for row in of_number(pack, asked.msisdn)
    ]
    return packed, looked.through and Place(None, *looked.through)


def _shown(row: DecidedRow) -> DecisionRecord:
    return DecisionRecord(
        id=row.id, decided_at=row.decided_at, purpose=row.purpose, sp_id=row.sp_id,
        service_id=row.service_id, service_code=row.service_code,
        access_number=row.access_number, price_fen=row.price_fen, allowed=row.allowed,
        reasons=row.reasons, subscription_id=row.subscription_id,
        rulebook_version=row.rulebook_version, subscriber=mask(row.msisdn),
    )  # fmt: skip
