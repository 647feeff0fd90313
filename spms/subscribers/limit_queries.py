"""Statements about what a holder decides.

Writes `number_bar`, `number_cap`, `number.language`, `bill_summary_wish`.
"""

from datetime import datetime
from typing import cast
from uuid import UUID

from spms.core.db import Connection, changed, many
from spms.core.ids import new_id
from spms.subscribers.limit_model import Bar, BarScope, Cap, CapScope
from spms.subscribers.model import Number

ADD_BAR = """
    INSERT INTO number_bar (msisdn, id, epoch, scope, target, starts_at, set_by, reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
"""


async def add_bar(
    tx: Connection, number: Number, scope: BarScope, target: str, *, now: datetime, actor: str,
    reason: str | None,
) -> bool:  # fmt: skip
    """Set a bar; False when it is set already. The caller holds the number."""
    done = await tx.execute(
        ADD_BAR, number.msisdn, new_id(), number.epoch, scope, target, now, actor, reason
    )
    return changed(done) == 1


LIFT_BAR = """
    UPDATE number_bar SET ends_at = GREATEST($4, starts_at), lifted_by = $5
     WHERE msisdn = $1 AND epoch = $2 AND id = $3 AND ends_at IS NULL
"""


async def lift_bar(
    tx: Connection, number: Number, bar_id: UUID, *, now: datetime, actor: str
) -> bool:
    """Lift a bar of this holder; False when there is none such in force."""
    done = await tx.execute(LIFT_BAR, number.msisdn, number.epoch, bar_id, now, actor)
    return changed(done) == 1


ADD_CAP = """
    INSERT INTO number_cap (msisdn, id, epoch, scope, service_id, limit_fen, starts_at, set_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def add_cap(
    tx: Connection, number: Number, scope: CapScope, service_id: UUID | None,
    limit_fen: int | None, *, now: datetime, actor: str,
) -> None:  # fmt: skip
    """Add a cap: from now on it is the one in force. The caller holds the number."""
    await tx.execute(
        ADD_CAP, number.msisdn, new_id(), number.epoch, scope, service_id, limit_fen, now, actor
    )


BARS = """
    SELECT b.id, b.scope, p.code AS sp_code,
           CASE WHEN b.scope = 'category' THEN b.target END AS category, b.starts_at
      FROM number_bar b
      LEFT JOIN sp p ON b.scope = 'sp' AND p.id::text = b.target
     WHERE b.msisdn = $1 AND b.epoch = $2 AND b.ends_at IS NULL
     ORDER BY b.starts_at, b.id
"""


async def bars(read: Connection, number: Number) -> list[Bar]:
    """List the bars of a number's holder that are in force."""
    return many(Bar, await read.fetch(BARS, number.msisdn, number.epoch))


CAPS = """
    SELECT c.scope, v.code AS service_code, c.limit_fen, c.starts_at
      FROM (SELECT DISTINCT ON (scope, service_id) scope, service_id, limit_fen, starts_at
              FROM number_cap WHERE msisdn = $1 AND epoch = $2
             ORDER BY scope, service_id, starts_at DESC, id DESC) c
      LEFT JOIN service v ON v.id = c.service_id
     WHERE c.limit_fen IS NOT NULL
     ORDER BY c.scope, v.code
"""


async def caps(read: Connection, number: Number) -> list[Cap]:
    """List the caps of a number's holder that are in force."""
    return many(Cap, await read.fetch(CAPS, number.msisdn, number.epoch))


BARRED_BY = """
    SELECT b.scope FROM number_bar b JOIN service v ON v.id = $3
     WHERE b.msisdn = $1 AND b.epoch = $2 AND b.starts_at <= $4
       AND (b.ends_at IS NULL OR b.ends_at > $4)
       AND b.target = CASE b.scope WHEN 'all' THEN '' WHEN 'sp' THEN v.sp_id::text
                                   ELSE v.category END
     ORDER BY b.scope LIMIT 1
"""


async def barred_by(
    read: Connection, number: Number, service_id: UUID, at: datetime
) -> BarScope | None:
    """Return the scope of a bar that keeps a service away at an instant."""
    scope = cast(
        "str | None",
        await read.fetchval(BARRED_BY, number.msisdn, number.epoch, service_id, at),
    )
    return None if scope is None else BarScope(scope)


SET_LANGUAGE = "UPDATE number SET language = $3 WHERE msisdn = $1 AND epoch = $2"


async def set_language(tx: Connection, number: Number, language: str) -> None:
    """Let a number's holder have her notices in a language from now on."""
    await tx.execute(SET_LANGUAGE, number.msisdn, number.epoch, language)


WANTS_SUMMARY = "SELECT wanted FROM bill_summary_wish WHERE msisdn = $1 AND epoch = $2"


async def wants_summary(read: Connection, number: Number) -> bool:
    """Whether a number's holder wants the summary; who said nothing does."""
    found: bool | None = await read.fetchval(WANTS_SUMMARY, number.msisdn, number.epoch)
    return found is not False


SET_SUMMARY = """
    INSERT INTO bill_summary_wish (msisdn, epoch, wanted, at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (msisdn, epoch) DO UPDATE SET wanted = EXCLUDED.wanted, at = EXCLUDED.at
"""


async def set_summary(tx: Connection, number: Number, *, wanted: bool, now: datetime) -> None:
    """Keep what a number's holder wants."""
    await tx.execute(SET_SUMMARY, number.msisdn, number.epoch, wanted, now)
