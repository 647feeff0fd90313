"""Operator policy as versioned, effective-dated data.

Each room declares its section as a frozen struct whose defaults are the rulebook's defaults; a
version in the database overrides single fields. A past decision is judged by the version that was
in force at its instant.
"""

from datetime import datetime
from typing import TypeVar

import msgspec

from spms.core.db import Connection

T = TypeVar("T", bound=msgspec.Struct)

IN_FORCE = """
    SELECT version, rules FROM rulebook WHERE effective_from <= $1
     ORDER BY effective_from DESC, version DESC LIMIT 1
"""


async def section(read: Connection, kind: type[T], *, at: datetime) -> T:
    """Return a room's rules as they were in force at an instant.

    The section's name is the struct's, lower case, without `Rules`: `ConsentRules` → `consent`.
    """
    row = await read.fetchrow(IN_FORCE, at)
    rules = row["rules"] if row is not None else {}
    return msgspec.convert(rules.get(section_name(kind), {}), kind)


def section_name(kind: type[msgspec.Struct]) -> str:
    """Return the name under which a section's overrides are stored."""
    return kind.__name__.removesuffix("Rules").lower()


async def version_at(read: Connection, at: datetime) -> int:
    """Return the number of the rulebook version in force at an instant."""
    row = await read.fetchrow(IN_FORCE, at)
    return row["version"] if row is not None else 0
