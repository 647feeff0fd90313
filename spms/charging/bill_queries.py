"""What the bill is read with: its pages, its totals, one line of it. Writes nothing."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from spms.charging import names
from spms.charging.bill_model import (
    BillFilter,
    BillLine,
    Correction,
    HolderTotals,
    evidence_of,
)
from spms.charging.model import Delivery, Finding, Kind
from spms.charging.names import Named
from spms.core.db import Connection, many, one

_COLUMNS = """c.id, c.charged_at, c.received_at, c.service_id, c.kind, c.price_fen, c.due_fen,
               c.delivery, c.consent_id, c.authorisation_id"""
# Columns of the primary key's index only, so that it answers alone. Codes become ids once for the
# statement, so that no line is joined only to be thrown away.
_WANTED = """($4::text IS NULL OR c.service_id IN (
                   SELECT v.id FROM service v JOIN sp ON sp.id = v.sp_id WHERE sp.code = $4))
           AND ($5::text IS NULL OR c.service_id = (SELECT id FROM service WHERE code = $5))
           AND ($6::text IS NULL OR c.kind = $6)
           AND (NOT $7 OR c.id IN (SELECT g.charge_id FROM bill_given($1, $2,
                   '00000000-0000-0000-0000-000000000000',
                   'ffffffff-ffff-ffff-ffff-ffffffffffff') g))"""
# What was found and given back is asked for once for all lines, between their lowest and highest id
# (ids rise with time), and not at all where a hash index says with one page that there is none. The
# functions cannot read a table through, however old a connection's plan is (migration 0119).
# Refunds are written by a room above; the bill only reads them (decision 0010).
_BESIDE = """span AS (
        SELECT (SELECT id FROM line ORDER BY id LIMIT 1) AS low,
               (SELECT id FROM line ORDER BY id DESC LIMIT 1) AS high
    ), found AS (
        SELECT f.* FROM span, bill_found($1, $2, low, high) f WHERE low IS NOT NULL
    ), given AS (
        SELECT g.* FROM span, bill_given($1, $2, low, high) g WHERE low IS NOT NULL
    )"""
_SHOWN = """c.id, c.charged_at, c.received_at, c.service_id, c.kind, c.price_fen, c.delivery,
           c.consent_id, c.authorisation_id, LEAST(c.due_fen, found.due_fen) AS due_fen,
           COALESCE(found.kinds, '{}') AS findings, COALESCE(given.corrections, '[]') AS corrections
      FROM line c
      LEFT JOIN found ON found.charge_id = c.id LEFT JOIN given ON given.charge_id = c.id
     ORDER BY c.charged_at DESC, c.id DESC"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the bill, whose service has its id only."""

    id: UUID
    charged_at: datetime
    received_at: datetime
    service_id: UUID
    kind: Kind
    price_fen: int
    due_fen: int
    findings: list[Finding]
    delivery: Delivery
    consent_id: UUID | None
    authorisation_id: UUID | None
    corrections: list[Correction]


async def _named(read: Connection, rows: Sequence[Row]) -> list[BillLine]:
    """Return lines with the names of what was charged for."""
    known = await names.of(read, {row.service_id for row in rows})
    return [_line(row, known[row.service_id]) for row in rows]


def _line(row: Row, named: Named) -> BillLine:
    return BillLine(
        id=row.id, charged_at=row.charged_at, received_at=row.received_at, sp_code=named.sp_code,
        sp_name=named.sp_name, service_code=named.service_code, service_name=named.service_name,
        kind=row.kind, access_number=named.access_number, price_fen=row.price_fen,
        due_fen=row.due_fen, findings=row.findings, delivery=row.delivery,
        consent_id=row.consent_id, authorisation_id=row.authorisation_id,
        corrections=row.corrections, evidence=evidence_of(row.id),
    )  # fmt: skip


LINES = f"""
    WITH line AS MATERIALIZED (
        SELECT {_COLUMNS} FROM charge_record c
         WHERE c.msisdn = $1 AND c.charged_at >= $2 AND c.charged_at < $3
           AND (c.charged_at, c.id) < ($8, $9)
           AND {_WANTED}
         ORDER BY c.charged_at DESC, c.id DESC LIMIT $10
    ), {_BESIDE}
    SELECT {_SHOWN}
"""


async def lines(
    read: Connection,
    msisdn: str,
    period: tuple[datetime, datetime],
    wanted: BillFilter,
    *,
    before: tuple[datetime, UUID],
    limit: int,
) -> list[BillLine]:
    """Return a number's charges in a part of one month, newest first, before a key."""
    rows = await read.fetch(LINES, msisdn, *period, *_of(wanted), *before, limit)
    return await _named(read, many(Row, rows))


def _of(wanted: BillFilter) -> tuple[str | None, str | None, str | None, bool]:
    return wanted.sp_code, wanted.service_code, wanted.kind, wanted.refunded


# A change of owner may be told after a charge had landed, on what the former holder agreed to.
HERS = """
    SELECT s.id AS consent_id, a.id AS authorisation_id
      FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[])
           WITH ORDINALITY AS i (consent_id, authorisation_id, charged_at, n)
     CROSS JOIN LATERAL (SELECT holder_epoch($1, i.charged_at, 'infinity') AS epoch) holder
      LEFT JOIN subscription s ON s.msisdn = $1 AND s.id = i.consent_id AND s.epoch = holder.epoch
      LEFT JOIN authorisation a ON a.msisdn = $1 AND a.id = i.authorisation_id
           AND a.decided_at < i.charged_at + interval '1 second'
           AND a.decided_at > i.charged_at - interval '31 days'
           AND holder_epoch($1, a.decided_at, 'infinity') IS NOT DISTINCT FROM holder.epoch
           AND NOT EXISTS (SELECT FROM subscription o
                            WHERE o.msisdn = $1 AND o.id = a.subscription_id
                              AND o.epoch IS DISTINCT FROM holder.epoch)
     ORDER BY i.n
"""


async def hers(read: Connection, msisdn: str, shown: Sequence[BillLine]) -> list[BillLine]:
    """Return lines that name only relations and decisions of whoever held the number at the charge.

    As it is known now: what is about another holder is neither hers to see, nor may it tie the one
    pseudonym to the other.
    """
    rows = await read.fetch(
        HERS, msisdn, [one.consent_id for one in shown], [one.authorisation_id for one in shown],
        [one.charged_at for one in shown],
    )  # fmt: skip
    return [msgspec.structs.replace(one, **dict(row)) for one, row in zip(shown, rows, strict=True)]


# Points follow from each charge and from what came back of it (migration 0150); most operators give
# none, and then nothing is looked up for them.
TOTALS = f"""
    WITH line AS MATERIALIZED (
        SELECT c.id, c.charged_at, c.price_fen, c.due_fen FROM charge_record c
         WHERE c.msisdn = $1 AND c.charged_at >= $2 AND c.charged_at < $3 AND {_WANTED}
    ), {_BESIDE}, rate AS MATERIALIZED (
        SELECT * FROM point_rate WHERE from_at < $3 AND until_at > $2
    ), back AS (
        SELECT b.* FROM span, bill_points_back($1, $2, low, high) b
         WHERE low IS NOT NULL AND EXISTS (SELECT FROM rate)
    )
    SELECT count(*) AS lines, COALESCE(sum(c.price_fen), 0)::bigint AS charged_fen,
           COALESCE(sum(LEAST(c.due_fen, found.due_fen)), 0)::bigint AS due_fen,
           COALESCE(sum(given.refunded_fen), 0)::bigint AS refunded_fen,
           COALESCE(sum(given.compensation_fen), 0)::bigint AS compensation_fen,
           COALESCE(sum(points_of(c.price_fen, rate.per_yuan) - COALESCE(back.points, 0)), 0)::bigint
               AS points
      FROM line c
      LEFT JOIN found ON found.charge_id = c.id LEFT JOIN given ON given.charge_id = c.id
      LEFT JOIN rate ON c.charged_at >= rate.from_at AND c.charged_at < rate.until_at
      LEFT JOIN back ON back.charge_id = c.id
"""


async def totals(
    read: Connection, msisdn: str, period: tuple[datetime, datetime], wanted: BillFilter
) -> HolderTotals:
    """Sum up a number's charges in a part of one month."""
    found = one(HolderTotals, await read.fetchrow(TOTALS, msisdn, *period, *_of(wanted)))
    assert found is not None  # noqa: S101 - an aggregate always has a row
    return found


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose charge it is."""

    msisdn: str
    epoch: int | None
    """Of whoever held the number at the charge, as it was known when the charge came in."""
    charged_at: datetime
    sp_id: UUID


OWNER = """
    SELECT msisdn, holder_epoch(msisdn, charged_at, received_at) AS epoch, charged_at, sp_id
      FROM charge_record WHERE id = $1
"""


async def owner_of(read: Connection, charge_id: UUID) -> Owner | None:
    """Return whose a charge is, by its id alone."""
    return one(Owner, await read.fetchrow(OWNER, charge_id))


LINE = f"""
    WITH line AS MATERIALIZED (
        SELECT {_COLUMNS} FROM charge_record c
         WHERE c.msisdn = $1 AND c.charged_at = $2 AND c.id = $3
    ), {_BESIDE}
    SELECT {_SHOWN}
"""


async def line(
    read: Connection, msisdn: str, charge_id: UUID, *, since: datetime
) -> BillLine | None:
    """Return one charge of a number, if it was made since an instant."""
    owner = await owner_of(read, charge_id)
    if owner is None or owner.msisdn != msisdn or owner.charged_at < since:
        return None
    rows = await read.fetch(LINE, msisdn, owner.charged_at, charge_id)
    shown = await hers(read, msisdn, await _named(read, many(Row, rows)))
    return next(iter(shown), None)
