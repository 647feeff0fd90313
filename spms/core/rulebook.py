"""Operator policy as versioned, effective-dated data.

Each room declares its section as a frozen struct whose defaults are the rulebook's defaults; a
version in the database overrides single fields. A past decision is judged by the version that was
in force at its instant.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

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
    return _section(kind, row["rules"] if row is not None else {})


OF_VERSION = "SELECT rules FROM rulebook WHERE version = $1"


async def section_of(read: Connection, kind: type[T], version: int) -> T:
    """Return a room's rules as one version has them; for what once named the version it goes by.

    A version that is dated back later changes nothing of it. Raises `LookupError` for a number
    that no version has.
    """
    rules = await read.fetchval(OF_VERSION, version)
    if rules is None:
        raise LookupError(version)
    return _section(kind, rules)


def _section(kind: type[T], rules: Mapping[str, Any]) -> T:
    return msgspec.convert(rules.get(section_name(kind), {}), kind)


def section_name(kind: type[msgspec.Struct]) -> str:
    """Return the name under which a section's overrides are stored."""
    return kind.__name__.removesuffix("Rules").lower()


async def version_at(read: Connection, at: datetime) -> int:
    """Return the number of the rulebook version in force at an instant."""
    row = await read.fetchrow(IN_FORCE, at)
    return row["version"] if row is not None else 0


class InForce(NamedTuple, Generic[T]):
    """A room's rules as one version has them."""

    version: int
    rules: T


class Versions(Generic[T]):
    """All versions of a room's rules, for whoever judges many instants at once."""

    def __init__(self, kind: type[T], known: Sequence[Mapping[str, Any]]) -> None:
        """Know versions in the order of their dates; the later of one date counts."""
        self.kind = kind
        self.known = known
        self.read: dict[int, InForce[T]] = {}

    def at(self, at: datetime) -> InForce[T]:
        """Return what was in force at an instant."""
        return self._of([row for row in self.known if row["effective_from"] <= at][-1])

    def during(self, from_at: datetime, until_at: datetime) -> list[InForce[T]]:
        """Return what was in force at any time of a half-open range, in the order of time."""
        dates = {row["effective_from"] for row in self.known}
        return [
            self.at(at) for at in sorted({from_at} | {d for d in dates if from_at < d < until_at})
        ]

    def of(self, version: int) -> InForce[T]:
        """Return one by its number; raise `LookupError` for a number that no version has."""
        for row in self.known:
            if row["version"] == version:
                return self._of(row)
        raise LookupError(version)

    def _of(self, row: Mapping[str, Any]) -> InForce[T]:
        version: int = row["version"]
        if version not in self.read:
            said = row["rules"].get(section_name(self.kind), {})
            self.read[version] = InForce(version, msgspec.convert(said, self.kind))
        return self.read[version]


# What is as old as time, and what never comes, are dates like others for whoever compares them.
ALL = """
    SELECT version, rules,
           LEAST(GREATEST(effective_from, '0001-01-01 00:00+00'), '9999-12-31 00:00+00')
               AS effective_from
      FROM rulebook ORDER BY rulebook.effective_from, version
"""


async def versions(read: Connection, kind: type[T]) -> Versions[T]:
    """Return all versions of a room's rules; the first is as old as time (migration 0001)."""
    return Versions(kind, [dict(row) for row in await read.fetch(ALL)])
