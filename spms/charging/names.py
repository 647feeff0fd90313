"""What the services and SPs behind charges are called.

Neither a name nor a code ever changes (the application has no right to), so a process keeps what it
has read once: a page of a bill then touches no row of either.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

import msgspec

from spms.core.db import Connection


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A service and its SP, as a bill names them."""

    sp_code: str
    sp_name: str
    service_code: str
    service_name: str
    access_number: str


_KNOWN: Final[dict[UUID, Named]] = {}
"""As many as there are services: thousands."""

NAMES = """
    SELECT s.id, p.code AS sp_code, p.name AS sp_name, s.code AS service_code,
           s.name AS service_name, s.access_number
      FROM service s JOIN sp p ON p.id = s.sp_id WHERE s.id = ANY($1::uuid[])
"""


async def of(read: Connection, service_ids: Collection[UUID]) -> dict[UUID, Named]:
    """Return what services are called; each must exist."""
    if unknown := [each for each in service_ids if each not in _KNOWN]:
        for row in await read.fetch(NAMES, unknown):
            _KNOWN[row["id"]] = msgspec.convert(dict(row), Named)
    return {each: _KNOWN[each] for each in service_ids}
