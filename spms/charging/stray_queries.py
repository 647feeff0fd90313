"""Reads what there is about a charge whose holder never had the service: few, so asked apart."""

from collections.abc import Sequence

from spms.charging.facts import Facts, Item, Stray
from spms.core.db import Connection

# The price must be the other service's and not this one's: else it is no fee code mixed up.
STRAYS = """
    SELECT i.n, former.id AS former_id, other.id AS other_id, other.code AS other_code
      FROM unnest($1::int[], $2::text[], $3::uuid[], $4::timestamptz[], $5::bigint[], $6::int[],
                  $7::uuid[]) AS i (n, msisdn, service_id, charged_at, price_fen, epoch, sp_id)
      LEFT JOIN LATERAL (
           SELECT s.id FROM subscription s
            WHERE s.msisdn = i.msisdn AND s.service_id = i.service_id AND s.epoch < i.epoch
              AND s.active_from <= i.charged_at
            ORDER BY s.active_from DESC LIMIT 1) former ON true
      LEFT JOIN LATERAL (
           SELECT s.id, v.code FROM subscription s JOIN service v ON v.id = s.service_id
            WHERE s.msisdn = i.msisdn AND s.sp_id = i.sp_id AND s.service_id <> i.service_id
              AND s.epoch = i.epoch AND s.active_from <= i.charged_at
              AND (s.ended_at IS NULL OR s.ended_at > i.charged_at)
              AND s.price_fen = i.price_fen
              AND i.price_fen IS DISTINCT FROM (
                  SELECT t.price_fen FROM tariff t
                   WHERE t.service_id = i.service_id AND t.effective_from <= i.charged_at
                   ORDER BY t.effective_from DESC LIMIT 1)
              AND EXISTS (SELECT FROM consent c
                           WHERE c.msisdn = i.msisdn AND c.subscription_id = s.id)
            ORDER BY s.active_from DESC LIMIT 1) other ON true
     WHERE former.id IS NOT NULL OR other.id IS NOT NULL
"""


async def with_strays(
    read: Connection, items: Sequence[Item], known: Sequence[Facts]
) -> list[Facts]:
    """Add to charges without any relation what else there is."""
    bare = [
        (n, item, fact)
        for n, (item, fact) in enumerate(zip(items, known, strict=True))
        if not fact.relations and fact.epoch is not None
    ]
    full = list(known)
    if not bare:
        return full
    rows = await read.fetch(
        STRAYS, [n for n, _, _ in bare], [item.msisdn for _, item, _ in bare],
        [item.service_id for _, item, _ in bare], [item.charged_at for _, item, _ in bare],
        [item.price_fen for _, item, _ in bare], [fact.epoch for _, _, fact in bare],
        [item.sp_id for _, item, _ in bare],
    )  # fmt: skip
    for row in rows:
        stray = Stray(row["former_id"], row["other_id"], row["other_code"])
        full[row["n"]] = full[row["n"]]._replace(stray=stray)
    return full
