"""What renewal reminders read. Writes nothing."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from spms.core.db import Connection, many
from spms.subscribers.model import Language
from spms.subscriptions.model import Subscription

# Of relations that live and whose holder still has the number. An SP's own free trial renews nothing,
# and what is first charged later than that instant is told of its date by prompt and welcome.
RENEWING = """
    SELECT x.*, n.language
      FROM subscription_shown x
      JOIN number n ON n.msisdn = x.msisdn AND n.epoch = x.epoch AND n.state = 'active'
     WHERE x.kind = 'monthly' AND x.status = 'active' AND x.active_from <= $1
       AND x.free_until IS NULL AND x.charge_from <= $6
       AND (x.msisdn, x.id) > ($2, $3)
       AND NOT EXISTS (SELECT FROM subscriber_notice g
                        WHERE g.msisdn = x.msisdn AND g.kind = 'renewal'
                          AND g.about_id = x.id::text || ':' || $4)
     ORDER BY x.msisdn, x.id LIMIT $5
"""


# Of these numbers' present holders, over ones included.
REMINDED = """
    SELECT x.*, n.language
      FROM subscription_shown x
      JOIN number n ON n.msisdn = x.msisdn AND n.epoch = x.epoch
     WHERE x.msisdn = ANY ($1)
       AND EXISTS (SELECT FROM subscriber_notice g
                    WHERE g.msisdn = x.msisdn AND g.kind = 'renewal'
                      AND g.about_id = x.id::text || ':' || $2)
     ORDER BY x.msisdn, x.id
"""


class Renewing(msgspec.Struct, frozen=True, kw_only=True):
    """A relation that renews itself, and the language of its number."""

    relation: Subscription
    language: Language


async def renewing(
    read: Connection, *, now: datetime, after: tuple[str, UUID], month: str, begins: datetime,
    limit: int,
) -> list[Renewing]:  # fmt: skip
    """Load relations that are charged when a month (`YYYY-MM`) begins and were not reminded."""
    return _renewing(await read.fetch(RENEWING, now, *after, month, limit, begins))


async def reminded(read: Connection, numbers: Sequence[str], *, month: str) -> list[Renewing]:
    """Load relations of numbers that were reminded of a month, whatever became of them since."""
    return _renewing(await read.fetch(REMINDED, numbers, month))


def _renewing(rows: Sequence[asyncpg.Record]) -> list[Renewing]:
    return [
        Renewing(relation=relation, language=Language(row["language"]))
        for row, relation in zip(rows, many(Subscription, rows), strict=True)
    ]
