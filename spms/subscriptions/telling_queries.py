"""The statements about what SPs have not been told yet. Writes subscription_telling only."""

from spms.core.db import Connection, many
from spms.subscriptions.telling_model import Untold

UNTOLD = """
    SELECT e.id, e.msisdn, s.epoch, e.subscription_id, e.from_status, e.to_status, e.at, s.sp_id,
           v.code AS service_code, s.kind, s.price_fen, s.channel, s.requested_at, s.confirm_by,
           s.active_from, s.end_reason
      FROM subscription_event e
      JOIN subscription s ON s.msisdn = e.msisdn AND s.id = e.subscription_id
      JOIN service v ON v.id = s.service_id
     WHERE e.seq > (SELECT settled_seq FROM subscription_telling)
       AND NOT EXISTS (SELECT FROM partner_event p WHERE p.id = e.id)
     ORDER BY e.seq LIMIT $1
"""


async def untold(read: Connection, *, limit: int) -> list[Untold]:
    """Load what happened to relations and is not in the feed, in the order of each relation."""
    return many(Untold, await read.fetch(UNTOLD, limit))


# `pg_snapshot_xmax` would be no bound: it is the newest transaction that is *over* plus one, and one
# that runs may be above it. Our own number is: everybody who drew a number up to `newest` had one
# of its own before the snapshot was taken, and ours is drawn after it, when the row is written. That
# needs a transaction that has written nothing yet.
SETTLE = """
    WITH seen AS (
        SELECT COALESCE(max(e.seq), 0) AS newest,
               pg_snapshot_xmin(pg_current_snapshot()) AS oldest_running,
               pg_snapshot_xmax(pg_current_snapshot()) AS first_unseen
          FROM subscription_event e
    )
    UPDATE subscription_telling t
       SET settled_seq = CASE WHEN seen.first_unseen < t.watched_xid THEN t.settled_seq
                              ELSE t.watched_seq END,
           watched_seq = GREATEST(seen.newest, t.watched_seq), watched_xid = pg_current_xact_id()
      FROM seen
     WHERE (seen.newest > t.watched_seq OR t.watched_seq > t.settled_seq)
       AND pg_current_xact_id_if_assigned() IS NULL
       AND (seen.first_unseen < t.watched_xid  -- the database was restored into another server
            OR seen.oldest_running >= t.watched_xid
               AND NOT EXISTS (
                   SELECT FROM subscription_event e
                    WHERE e.seq > t.settled_seq AND e.seq <= t.watched_seq
                      AND NOT EXISTS (SELECT FROM partner_event p WHERE p.id = e.id)))
"""


async def settle(tx: Connection) -> None:
    """Move the start of the search past what can hold nothing untold any more.

    Only in a transaction that has written nothing yet; in another it does nothing.
    """
    await tx.execute(SETTLE)
