"""Reading what `Standing` lays out. Writes nothing: triggers of migration 0034 set the mark."""

from typing import TypeVar
from uuid import UUID

import msgspec

from spms.authorisation.standing import Standing
from spms.authorisation.standing_rows import RulesRow, ServiceRow, SpRow
from spms.core.db import Connection

T = TypeVar("T")

LOAD = """
    SELECT
    (SELECT mark FROM standing_mark) AS mark,
    pg_current_xact_id_if_assigned() IS NULL AS clean,
    (SELECT json_agg(x) FROM (
        SELECT sp.id, sp.status,
               (SELECT json_agg(json_build_object('at', e.at, 'from_status', e.from_status,
                                                  'to_status', e.to_status) ORDER BY e.at, e.id)
                  FROM sp_event e WHERE e.sp_id = sp.id) AS changes,
               (SELECT json_agg(json_build_object(
                           'id', r.id, 'measure', r.measure, 'service_id', r.service_id,
                           'cause_kind', r.cause_kind, 'cause_id', r.cause_id,
                           'starts_at', r.starts_at, 'ends_at', r.ends_at)
                       ORDER BY r.starts_at, r.id)
                  FROM restriction r WHERE r.sp_id = sp.id) AS restrictions,
               (SELECT json_agg(json_build_object(
                           'id', q.id, 'version', q.version, 'per_second', q.per_second,
                           'per_day', q.per_day, 'per_month', q.per_month,
                           'effective_from', q.effective_from) ORDER BY q.effective_from)
                  FROM sp_quota q WHERE q.sp_id = sp.id) AS quotas
          FROM sp) x) AS sps,
    (SELECT json_agg(x) FROM (
        SELECT s.id, s.code, s.sp_id, s.kind, s.status, s.access_number, s.category,
               a.sp_id AS access_number_sp_id,
               (SELECT json_agg(json_build_object('at', e.at, 'from_status', e.from_status,
                                                  'to_status', e.to_status) ORDER BY e.at, e.id)
                  FROM service_event e WHERE e.service_id = s.id) AS changes,
               (SELECT json_agg(json_build_object(
                           'id', t.id, 'version', t.version, 'price_fen', t.price_fen,
                           'effective_from', t.effective_from) ORDER BY t.effective_from)
                  FROM tariff t WHERE t.service_id = s.id) AS tariffs,
               (SELECT json_agg(json_build_object(
                           'id', n.id, 'version', n.version, 'tariff_id', n.tariff_id,
                           'decided_at', n.decided_at) ORDER BY n.version)
                  FROM notice n WHERE n.service_id = s.id AND n.state = 'approved') AS notices,
               (SELECT json_agg(json_build_object(
                           'id', m.id, 'version', m.version, 'wording', m.wording,
                           'decided_at', m.decided_at, 'retired_at', m.retired_at)
                       ORDER BY m.version)
                  FROM message_template m
                 WHERE m.service_id = s.id AND m.state = 'approved') AS templates
          FROM service s LEFT JOIN access_number a ON a.number = s.access_number) x) AS services,
    (SELECT json_agg(x) FROM (
        SELECT version, rules,
               GREATEST(effective_from, '0001-01-02 00:00Z') AS effective_from FROM rulebook
         ORDER BY rulebook.effective_from, version) x) AS rules
"""

_remembered: list[Standing] = []
"""The last one read whole. A mark is random and never comes twice, whatever the database, so what
was read under it is true wherever it is found again."""


MARK = "SELECT mark FROM standing_mark"


async def mark(read: Connection) -> UUID:
    """Return the mark of what holds now."""
    found: UUID = await read.fetchval(MARK)
    return found


async def whole(read: Connection, under: UUID | None = None) -> Standing:
    """Return everything as of the mark `under`, or of a later one; without it, what is at hand.

    A transaction that has written may see what nobody else does: what it reads is not remembered.
    """
    if _remembered and under in {None, _remembered[0].mark}:
        return _remembered[0]
    standing, clean = await _load(read)
    if clean:
        _remembered[:] = [standing]
    return standing


async def current(read: Connection) -> Standing:
    """Return everything as of the database's mark."""
    return await whole(read, await mark(read))


async def _load(read: Connection) -> tuple[Standing, bool]:
    row = await read.fetchrow(LOAD)
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    standing = Standing(
        row["mark"],
        decoded(row["sps"], SpRow),
        decoded(row["services"], ServiceRow),
        decoded(row["rules"], RulesRow),
    )
    return standing, row["clean"]


def decoded(rows: str | None, kind: type[T]) -> list[T]:
    """Read what `json_agg` gave; no rows are NULL."""
    return [] if rows is None else msgspec.json.decode(rows, type=list[kind])  # type: ignore[valid-type]
