"""The statement about notices given once. Writes `subscriber_notice` only."""

from collections.abc import Sequence
from datetime import datetime

from spms.core.db import Connection

# In the order of the keys, so that two workers with the same notices never wait in a circle.
CLAIM = """
    INSERT INTO subscriber_notice (msisdn, kind, about_id, at)
    SELECT k.msisdn, k.kind, k.about_id, $4
      FROM unnest($1::text[], $2::text[], $3::text[]) AS k (msisdn, kind, about_id)
     ORDER BY k.msisdn, k.kind, k.about_id
    ON CONFLICT DO NOTHING
    RETURNING msisdn, kind, about_id
"""


async def claim(
    tx: Connection, keys: Sequence[tuple[str, str, str]], now: datetime
) -> list[tuple[str, str, str]]:
    """Take notices that nobody gave before; return which they are."""
    msisdns, kinds, abouts = zip(*keys, strict=True)
    return [tuple(row) for row in await tx.fetch(CLAIM, msisdns, kinds, abouts, now)]
