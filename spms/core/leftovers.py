"""Rows that serve for a while and prove nothing: dropped a week after their use is over."""

from datetime import datetime

from spms.core.db import Connection, changed

STATEMENTS = (
    "DELETE FROM outbox WHERE done_at < $1",
    # A slot that was given up stays longer: somebody may still run it by hand.
    """DELETE FROM job_slot s WHERE state = 'failed' AND slot_at < $1::timestamptz - interval '83 days'
          AND slot_at < (SELECT max(slot_at) FROM job_slot l WHERE l.job = s.job)""",
    "DELETE FROM access_token WHERE expires_at < $1",
    "DELETE FROM idempotency WHERE created_at < $1",
    "DELETE FROM sign_in_failure WHERE at < $1",
    # The latest slot of each job says from where slots are caught up: it stays.
    """DELETE FROM job_slot s WHERE state = 'done' AND slot_at < $1
          AND slot_at < (SELECT max(slot_at) FROM job_slot l
                          WHERE l.job = s.job AND l.by_hand IS NULL)""",
)


async def forget(tx: Connection, *, before: datetime) -> int:
    """Drop leftovers from before an instant and return how many rows that were."""
    return sum([changed(await tx.execute(statement, before)) for statement in STATEMENTS])
