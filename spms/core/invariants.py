"""A named question to the database whose right answer is no row.

Each room gives its own list; `spms invariants` and the job of that name ask all of them.
"""

from collections.abc import Sequence

import msgspec

from spms.core.db import Connection

SHOWN_MAX = 100
LONGEST_SECONDS = 1800
PATIENCE = f"SELECT set_config('statement_timeout', '{LONGEST_SECONDS}s', true)"
"""A question reads whole tables: what a request may take is not enough for a large book."""


class Invariant(msgspec.Struct, frozen=True, kw_only=True):
    """One promise as one statement."""

    name: str
    promise: str
    statement: str
    """Selects one text column `id` of what breaks the promise; never an MSISDN."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What became of asking."""

    name: str
    promise: str
    holds: bool
    offending: list[str]
    """Ids, at most `SHOWN_MAX` of them."""


async def check(read: Connection, invariants: Sequence[Invariant]) -> list[Finding]:
    """Ask every question; run it in a snapshot, so that all answers are of one moment."""
    await read.execute(PATIENCE)
    found = []
    for invariant in invariants:
        rows = await read.fetch(f"{invariant.statement} LIMIT {SHOWN_MAX}", timeout=LONGEST_SECONDS)
        found.append(
            Finding(
                name=invariant.name,
                promise=invariant.promise,
                holds=not rows,
                offending=[row["id"] for row in rows],
            )
        )
    return found
