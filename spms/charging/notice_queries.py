"""What notices to subscribers read of charges. Writes nothing."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, many
from spms.subscribers.model import Language


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """A charge whose receipt was not sent, with what the receipt says."""

    msisdn: str
    id: UUID
    epoch: int
    charged_at: datetime
    price_fen: int
    due_fen: int
    sp_name: str
    service_name: str
    service_code: str
    language: Language


# Only to whoever held the number when it was charged.
UNTOLD = """
    SELECT DISTINCT ON (c.id) c.msisdn, c.id, n.epoch, c.charged_at, c.price_fen, c.due_fen,
           p.name AS sp_name, v.name AS service_name, v.code AS service_code, n.language
      FROM unnest($1::uuid[], $2::uuid[]) AS landed (first, last)
      JOIN charge_record c ON c.id BETWEEN landed.first AND landed.last
      JOIN number n ON n.msisdn = c.msisdn AND n.state <> 'terminated'
                   AND n.epoch_since <= c.charged_at
      JOIN service v ON v.id = c.service_id
      JOIN sp p ON p.id = c.sp_id
     WHERE NOT EXISTS (SELECT FROM subscriber_notice g
                        WHERE g.msisdn = c.msisdn AND g.kind = 'receipt'
                          AND g.about_id = c.id::text)
     ORDER BY c.id
"""


async def untold(read: Connection, ranges: Sequence[tuple[UUID, UUID]]) -> list[Untold]:
    """Load the charges of landed batches (first and last id) that no receipt was sent for."""
    firsts, lasts = zip(*ranges, strict=True)
    return many(Untold, await read.fetch(UNTOLD, firsts, lasts))


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What a number's holder was rightly charged, in fen."""

    msisdn: str
    month_fen: int
    """In the month so far."""
    before_fen: int
    """In the three months before it together."""


SPENT = """
    SELECT m.msisdn, d.month_fen, d.before_fen
      FROM unnest($1::text[]) AS m (msisdn)
      JOIN number n ON n.msisdn = m.msisdn
     CROSS JOIN LATERAL (
           SELECT COALESCE(sum(LEAST(c.due_fen, f.due_fen)) FILTER (WHERE c.charged_at >= $2),
                           0)::bigint AS month_fen,
                  COALESCE(sum(LEAST(c.due_fen, f.due_fen)) FILTER (WHERE c.charged_at < $2),
                           0)::bigint AS before_fen
             FROM charge_record c
             LEFT JOIN (SELECT charge_id, min(due_fen) AS due_fen FROM charge_finding
                         WHERE msisdn = m.msisdn GROUP BY charge_id) f ON f.charge_id = c.id
            WHERE c.msisdn = m.msisdn AND c.charged_at >= $4 AND c.charged_at < $3
              AND c.charged_at >= n.epoch_since) d
"""


async def spent(
    read: Connection, msisdns: Sequence[str], month: tuple[datetime, datetime], back: datetime
) -> list[Spent]:
    """Sum what stands of a month and of the time since `back` before it, for present holders."""
    since, until = month
    return many(Spent, await read.fetch(SPENT, msisdns, since, until, back))
