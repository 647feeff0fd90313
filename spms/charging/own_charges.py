"""An SP's own charges: pages, totals of a month, and files; the person is the SP's pseudonym."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from spms.charging import bill_file, names, own_charge_queries
from spms.charging.bill_model import BillLine, BillTotals, evidence_of
from spms.charging.bill_sheet import Sheet, chosen, rows_of, totals_of
from spms.charging.bill_words import WORDS, Lang
from spms.charging.own_charge_model import OwnCharge, OwnFilter
from spms.charging.own_charge_queries import SpLine
from spms.core import db
from spms.core.access import Actor
from spms.core.clock import month_range
from spms.core.db import Connection, Pool
from spms.core.errors import Unprocessable
from spms.core.instance import instance_secret
from spms.core.paging import Page, read_cursor, write_cursor
from spms.subscribers import actions as subscribers

LAST_ID = UUID(int=2**128 - 1)
ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
DAY = timedelta(days=1)
PIECE = 1_000
"""Lines of a CSV read at one time: a file of any length takes no more memory than that."""


class MonthNeeded(Unprocessable):
    """A filter looks through the charges of one month: name it."""

    code = "month_needed"


def period_of(month: str | None) -> tuple[datetime, datetime]:
    """Return the time a month (`YYYY-MM`) covers, or all time."""
    return ALWAYS if month is None else month_range(date.fromisoformat(f"{month}-01"))


async def page(
    read: Connection,
    month: str | None,
    wanted: OwnFilter,
    *,
    actor: Actor,
    cursor: str | None,
    limit: int,
) -> Page[OwnCharge]:
    """Return an SP's own charges, newest first. Raises `MonthNeeded`."""
    if month is None and wanted != OwnFilter():
        raise MonthNeeded
    name = "charge-records" if month is None else f"charge-records {month}"
    if wanted != OwnFilter():
        name += f" {msgspec.json.encode(wanted).decode()}"
    key = await read_cursor(read, actor, name, cursor, tuple[datetime, UUID])
    period = period_of(month)
    rows = await own_charge_queries.of_sp(
        read, actor.sp_id, period, wanted, before=key or (period[1], LAST_ID), limit=limit + 1
    )
    secret = await instance_secret(read)
    known = await names.of(read, {row.service_id for row in rows})
    items = [_own(row, known[row.service_id].service_code, secret, actor) for row in rows[:limit]]
    following = None
    if len(rows) > limit:
        last = [items[-1].charged_at, items[-1].id]
        following = await write_cursor(read, actor, name, last)
    return Page(items=items, next=following)


async def totals(read: Connection, month: str, wanted: OwnFilter, *, actor: Actor) -> BillTotals:
    """Return what an SP's charges of a month come to.

    Day by day, in one view of the database: the largest SP's month is no statement's work.
    """
    start, end = period_of(month)
    sums = _none()
    while start < end:
        day = start, min(start + DAY, end)
        sums = _plus(sums, await own_charge_queries.totals(read, actor.sp_id, day, wanted))
        start = day[1]
    return sums


async def csv_pieces(
    pool: Pool, month: str, wanted: OwnFilter, lang: Lang, *, actor: Actor
) -> AsyncIterator[bytes]:
    """Write an SP's whole month as CSV, piece by piece; the totals are those of the lines in it.

    A file without its totals at the end was cut short on its way.
    """
    yield bill_file.csv_head(lang)
    period = period_of(month)
    before, sums = (period[1], LAST_ID), _none()
    while True:
        async with db.acquired(pool) as read:
            rows = await own_charge_queries.of_sp(
                read, actor.sp_id, period, wanted, before=before, limit=PIECE
            )
            lines = await _lines(read, rows, actor)
        for *_, line in lines:
            sums = _and(sums, line)
        yield bill_file.csv_rows(rows_of(lines, lang))
        if len(rows) < PIECE:
            break
        before = (rows[-1].charged_at, rows[-1].id)
    yield bill_file.csv_rows(totals_of(sums, lang, chosen(wanted, lang)))


async def sheet(
    read: Connection, month: str, wanted: OwnFilter, lang: Lang, *, limit: int, actor: Actor
) -> Sheet:
    """Lay out an SP's month, up to so many lines, with the totals of the whole month."""
    period, words = period_of(month), WORDS[lang]
    rows = await own_charge_queries.of_sp(
        read, actor.sp_id, period, wanted, before=(period[1], LAST_ID), limit=limit + 1
    )
    lines = await _lines(read, rows[:limit], actor)
    sums = await totals(read, month, wanted, actor=actor)
    missing = chosen(wanted, lang)
    if len(rows) > limit:
        missing += (words["more_of_sp"].format(shown=limit, lines=sums.lines),)
    return Sheet(
        title=words["charges"],
        about=(f"{words['sp']} {actor.name}", f"{words['month']} {month}", *missing),
        rows=[*rows_of(lines, lang)],
        totals=totals_of(sums, lang, missing),
        lang=lang,
    )


def _own(row: SpLine, service_code: str, secret: bytes, actor: Actor) -> OwnCharge:
    return OwnCharge(
        id=row.id, record_id=row.record_id, service_code=service_code, kind=row.kind,
        pseudonym=subscribers.pseudonym(secret, actor.sp_id, row.msisdn, row.epoch),
        charged_at=row.charged_at, received_at=row.received_at, price_fen=row.price_fen,
        due_fen=row.due_fen, delivery=row.delivery, findings=list(row.findings),
        consent_id=row.consent_id, authorisation_id=row.authorisation_id,
        corrections=list(row.corrections), evidence=evidence_of(row.id), file_id=row.file_id,
    )  # fmt: skip


async def _lines(
    read: Connection, rows: Sequence[SpLine], actor: Actor
) -> list[tuple[str, str, BillLine]]:
    """Return charges as lines of a bill, each with its person's pseudonym and the SP's own id."""
    secret = await instance_secret(read)
    known = await names.of(read, {row.service_id for row in rows})
    return [
        (
            subscribers.pseudonym(secret, actor.sp_id, row.msisdn, row.epoch),
            row.record_id,
            BillLine(
                id=row.id, charged_at=row.charged_at, received_at=row.received_at, kind=row.kind,
                price_fen=row.price_fen, due_fen=row.due_fen, findings=list(row.findings),
                delivery=row.delivery, consent_id=row.consent_id,
                authorisation_id=row.authorisation_id, corrections=list(row.corrections),
                evidence=evidence_of(row.id), **msgspec.structs.asdict(known[row.service_id]),
            ),
        )
        for row in rows
    ]  # fmt: skip


def _none() -> BillTotals:
    return BillTotals(lines=0, charged_fen=0, due_fen=0, refunded_fen=0, compensation_fen=0)


def _plus(sums: BillTotals, more: BillTotals) -> BillTotals:
    """Return the sum of two totals."""
    names = BillTotals.__struct_fields__
    return BillTotals(**{name: getattr(sums, name) + getattr(more, name) for name in names})


def _and(sums: BillTotals, line: BillLine) -> BillTotals:
    """Return totals with one more line."""
    given = {kind: sum(one.amount_fen for one in line.corrections if one.kind == kind)
             for kind in ("principal", "compensation")}  # fmt: skip
    return BillTotals(
        lines=sums.lines + 1, charged_fen=sums.charged_fen + line.price_fen,
        due_fen=sums.due_fen + line.due_fen, refunded_fen=sums.refunded_fen + given["principal"],
        compensation_fen=sums.compensation_fen + given["compensation"],
    )  # fmt: skip
