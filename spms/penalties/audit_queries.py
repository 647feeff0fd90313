"""Statements of the daily audits: what SPs did on a day that a person should look at. Writes nothing."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from spms.core.db import Connection, many


class WrongCharges(msgspec.Struct, frozen=True, kw_only=True):
    """Charges of one service that were refunded for one error."""

    sp_id: UUID
    service_id: UUID
    error: str
    """The audit's finding; of a wrong price, which one it was: see `WRONG_CHARGES`."""
    charges: int


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How often an SP did something, of how many times it could have."""

    sp_id: UUID
    count: int
    of: int = 0
    service_ids: list[UUID] = []


# Wrong charges that were refunded, of one business day. A price that nobody agreed to is that of a
# tariff in force (raised without asking), of one that was never approved (not filed), or neither.
WRONG_CHARGES = """
    SELECT c.sp_id, c.service_id, count(*) AS charges,
           CASE WHEN f.kind <> 'price_mismatch' THEN f.kind
                WHEN EXISTS (SELECT FROM tariff t JOIN notice n ON n.tariff_id = t.id
                              WHERE t.service_id = c.service_id AND t.price_fen = c.price_fen
                                AND t.effective_from <= c.charged_at
                                AND n.state = 'approved' AND n.decided_at <= c.charged_at)
                THEN 'price_raised'
                WHEN EXISTS (SELECT FROM tariff t
                              WHERE t.service_id = c.service_id AND t.price_fen = c.price_fen)
                THEN 'price_not_filed'
                ELSE f.kind END AS error
      FROM charge_finding f
      JOIN charge_record c ON c.msisdn = f.msisdn AND c.charged_at = f.charged_at
       AND c.id = f.charge_id
     WHERE f.found_at >= $1 AND f.found_at < $2 AND f.kind = ANY($3::text[])
       AND EXISTS (SELECT FROM claim k WHERE k.msisdn = f.msisdn AND k.charge_id = f.charge_id
                      AND k.state = 'refunded')
     GROUP BY c.sp_id, c.service_id, error ORDER BY c.sp_id, c.service_id, error
"""


async def wrong_charges(
    read: Connection, since: datetime, until: datetime, kinds: list[str]
) -> list[WrongCharges]:
    """Count refunded wrong charges found in a time by SP, service and error."""
    return many(WrongCharges, await read.fetch(WRONG_CHARGES, since, until, kinds))


# What SPs asked people for over their own interface. A day is over when this is read, and so is
# the time in which its prompts could be answered.
_ASKED = """
    SELECT s.sp_id, s.msisdn, s.service_id, s.status, e.at
      FROM subscription_event e
      JOIN subscription s ON s.msisdn = e.msisdn AND s.id = e.subscription_id
     WHERE e.at >= $1 AND e.at < $2 AND e.action = 'request' AND s.channel = 'sp'
"""
UNWANTED = f"""
    SELECT sp_id, count(*) AS of,
           count(*) FILTER (WHERE status IN ('refused', 'expired')) AS count,
           array_agg(DISTINCT service_id)
               FILTER (WHERE status IN ('refused', 'expired')) AS service_ids
      FROM ({_ASKED}) asked
     GROUP BY sp_id
    HAVING count(*) >= $3
       AND 100 * count(*) FILTER (WHERE status IN ('refused', 'expired')) >= $4 * count(*)
     ORDER BY sp_id
"""


async def unwanted_prompts(
    read: Connection, since: datetime, until: datetime, *, least: int, percent: int
) -> list[Counted]:
    """List the SPs of whose prompts nearly all were refused or left unanswered."""
    return many(Counted, await read.fetch(UNWANTED, since, until, least, percent))


BUNDLED = f"""
    SELECT sp_id, count(DISTINCT msisdn) AS count, array_agg(DISTINCT service_id) AS service_ids
      FROM (SELECT sp_id, msisdn, service_id, at - lag(at) OVER hers AS after,
                   service_id <> lag(service_id) OVER hers AS another
              FROM ({_ASKED}) asked WINDOW hers AS (PARTITION BY sp_id, msisdn ORDER BY at)) n
     WHERE another AND after <= $4 * interval '1 minute'
     GROUP BY sp_id HAVING count(DISTINCT msisdn) >= $3 ORDER BY sp_id
"""


async def bundled(
    read: Connection, since: datetime, until: datetime, *, least: int, minutes: int
) -> list[Counted]:
    """List the SPs that asked many numbers for several services in one go."""
    return many(Counted, await read.fetch(BUNDLED, since, until, least, minutes))


# Claims of subscribers that the records could not decide. A claim is decided soon after its day.
CLAIMS_LOST = """
    SELECT sp_id, count(*) AS count FROM verification
     WHERE opened_at >= $1::timestamptz - $4::interval AND decided_at >= $1 AND decided_at < $2
       AND bearer = 'sp' AND state = 'doubled'
       AND CASE WHEN $5 THEN objection IS NOT NULL
                ELSE objection IS NULL AND decided_by LIKE 'job:%' END
     GROUP BY sp_id HAVING count(*) >= $3 ORDER BY sp_id
"""
CLAIMS_LAST = timedelta(days=62)


async def claims_lost(
    read: Connection, since: datetime, until: datetime, *, least: int, objected: bool
) -> list[Counted]:
    """List the SPs that lost many claims in a time: after objecting, or by saying nothing."""
    rows = await read.fetch(CLAIMS_LOST, since, until, least, CLAIMS_LAST, objected)
    return many(Counted, rows)


FOREIGN = """
    SELECT sp_id, count(*) AS count FROM authorisation
     WHERE decided_at >= $1 AND decided_at < $2 AND $3 = ANY(reasons)
       AND NOT allowed
       AND reasons && ARRAY['access_number_wrong', 'service_not_of_sp']::text[]
     GROUP BY sp_id HAVING count(*) >= $4 ORDER BY sp_id
"""


async def foreign(
    read: Connection, since: datetime, until: datetime, *, reason: str, least: int
) -> list[Counted]:
    """List the SPs that often asked for what is another's: an access number, or a service."""
    return many(Counted, await read.fetch(FOREIGN, since, until, reason, least))


TOO_FEW_HOTLINES = """
    SELECT sp.id AS sp_id, count(h.id) AS count FROM sp
      LEFT JOIN sp_hotline h ON h.sp_id = sp.id AND h.valid_from <= $1
       AND (h.valid_to IS NULL OR h.valid_to > $1)
     WHERE sp.status = 'active' AND sp.activated_at <= $1
     GROUP BY sp.id HAVING count(h.id) < $2 ORDER BY sp.id
"""


async def too_few_hotlines(read: Connection, at: datetime, *, least: int) -> list[Counted]:
    """List the active SPs that have fewer hotlines in force than the rulebook asks for."""
    return many(Counted, await read.fetch(TOO_FEW_HOTLINES, at, least))
