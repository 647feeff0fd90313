"""One line per act: who, what, about what, why. Rows are only ever added."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from spms.core.access import Actor
from spms.core.db import Connection

ADD = """
    INSERT INTO audit_log (at, actor, act, about_kind, about_id, reason, detail)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def note(
    tx: Connection,
    act: str,
    about_kind: str,
    about_id: object,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Write who did what to what, in the transaction that does it; no MSISDN goes in here."""
    await tx.execute(ADD, now, actor.label, act, about_kind, str(about_id), reason, detail or {})


ADD_EACH = """
    INSERT INTO audit_log (at, actor, act, about_kind, about_id, reason, detail)
    SELECT $1, $2, $3, $4, about.id, $6, $7 FROM unnest($5::text[]) AS about (id)
"""


async def note_each(
    tx: Connection,
    act: str,
    about_kind: str,
    about_ids: Sequence[object],
    *,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Write that somebody did the same to several, a line for each, like `note`."""
    await tx.execute(
        ADD_EACH, now, actor.label, act, about_kind, [str(one) for one in about_ids], reason,
        detail or {},
    )  # fmt: skip
