"""What numbers' months came to, for the bill by SMS. Writes nothing."""

from datetime import datetime

import msgspec

from spms.core.db import Connection, many
from spms.subscribers.model import Language


class Summed(msgspec.Struct, frozen=True, kw_only=True):
    """What a number's present holder was charged in a month."""

    msisdn: str
    epoch: int
    language: Language
    wanted: bool
    """The holder did not say that she wants no summary."""
    lines: int
    charged_fen: int
    refunded_fen: int
    compensation_fen: int


# The numbers of a chunk in one range of their key, each with one range of the month's key. Only what
# was charged since the present holder has the number is hers.
SUMMED = """
    SELECT n.msisdn, n.epoch, n.language, COALESCE(w.wanted, true) AS wanted,
           c.lines, c.charged_fen, COALESCE(r.refunded_fen, 0)::bigint AS refunded_fen,
           COALESCE(r.compensation_fen, 0)::bigint AS compensation_fen
      FROM (SELECT msisdn, epoch, epoch_since, language, state FROM number
             WHERE msisdn > $1 ORDER BY msisdn LIMIT $4) n
      LEFT JOIN bill_summary_wish w ON w.msisdn = n.msisdn AND w.epoch = n.epoch
     CROSS JOIN LATERAL (
           SELECT count(*) AS lines, COALESCE(sum(price_fen), 0)::bigint AS charged_fen,
                  array_agg(id) AS ids
             FROM charge_record
            WHERE msisdn = n.msisdn AND charged_at >= $2 AND charged_at < $3
              AND charged_at >= n.epoch_since AND n.state <> 'terminated') c
      LEFT JOIN LATERAL (
           SELECT sum(amount_fen) FILTER (WHERE kind = 'principal') AS refunded_fen,
                  sum(amount_fen) FILTER (WHERE kind = 'compensation') AS compensation_fen
             FROM bill_correction WHERE msisdn = n.msisdn AND charge_id = ANY (c.ids)) r ON true
     ORDER BY n.msisdn
"""


async def summed(
    read: Connection, after: str, month: tuple[datetime, datetime], *, limit: int
) -> list[Summed]:
    """Return the numbers after one, in order, each with its holder's sums of a month."""
    return many(Summed, await read.fetch(SUMMED, after, *month, limit))
