"""Reads what holders of numbers decided (bars, caps), as of the instants of charges."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from spms.charging.facts import Facts, Item, OwnLimits
from spms.core.db import Connection

# Most numbers have neither: two index look-ups per number of a batch, and no row.
LIMITS = """
    SELECT b.msisdn, b.epoch, b.scope, b.target, NULL::uuid AS service_id,
           NULL::bigint AS limit_fen, b.starts_at, b.ends_at, b.id
      FROM unnest($1::text[]) AS asked (msisdn)
      JOIN number_bar b ON b.msisdn = asked.msisdn
     UNION ALL
    SELECT c.msisdn, c.epoch, c.scope, NULL, c.service_id, c.limit_fen, c.starts_at, NULL, c.id
      FROM unnest($1::text[]) AS asked (msisdn)
      JOIN number_cap c ON c.msisdn = asked.msisdn
     ORDER BY starts_at, id
"""
OF_SERVICES = "SELECT id, sp_id, category FROM service WHERE id = ANY($1::uuid[])"


class Limit(NamedTuple):
    """One bar or cap, dated."""

    scope: str
    target: str | None
    """Of a bar; None marks a cap."""
    service_id: UUID | None
    limit_fen: int | None
    starts_at: datetime
    ends_at: datetime | None


async def with_limits(
    read: Connection, items: Sequence[Item], known: Sequence[Facts]
) -> list[Facts]:
    """Add to each charge's facts what its number's holder had decided by then."""
    rows = await read.fetch(LIMITS, list({item.msisdn for item in items}))
    if not rows:
        return list(known)
    limits: defaultdict[tuple[str, int | None], list[Limit]] = defaultdict(list)
    for row in rows:
        limits[row["msisdn"], row["epoch"]].append(
            Limit(
                row["scope"], row["target"], row["service_id"], row["limit_fen"],
                row["starts_at"], row["ends_at"],
            )
        )  # fmt: skip
    services = {
        row["id"]: {"all": "", "sp": str(row["sp_id"]), "category": row["category"]}
        for row in await read.fetch(OF_SERVICES, list({item.service_id for item in items}))
    }
    return [
        fact._replace(own=_own(item, limits[item.msisdn, fact.epoch], services[item.service_id]))
        for item, fact in zip(items, known, strict=True)
    ]


def _own(item: Item, limits: Sequence[Limit], targets: dict[str, str]) -> OwnLimits:
    """Pick what was in force at the instant of a charge; `limits` are in the order of time."""
    at, barred_by = item.charged_at, None
    caps: dict[tuple[str, UUID | None], int | None] = {}
    for limit in limits:
        if limit.starts_at > at or (limit.ends_at is not None and limit.ends_at <= at):
            continue
        if limit.target is None:
            caps[limit.scope, limit.service_id] = limit.limit_fen
        elif limit.target == targets[limit.scope]:
            barred_by = barred_by or limit.scope
    of_service = caps.get(("service", item.service_id))
    if of_service is None:
        of_service = caps.get(("each_service", None))
    return OwnLimits(of_service, caps.get(("total", None)), barred_by)
