"""Statements about many messages at once. Writes `message_out`."""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection
from spms.messaging.model import MessageKind

ENQUEUE_MANY = """
    WITH queued AS (
        INSERT INTO message_out
            (msisdn, queued_at, id, sender, text, kind, about_kind, about_id, state, due_at)
        SELECT msisdn, $5, id, $6, text, $7, $8, about_id, 'queued', $5
          FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[])
            AS m (msisdn, id, text, about_id)
    )
    SELECT pg_notify('spms_work', '')
"""


async def enqueue_many(
    tx: Connection,
    letters: list[tuple[str, UUID, str, str]],
    *,
    sender: str,
    kind: MessageKind,
    about_kind: str,
    now: datetime,
) -> None:
    """Queue (number, id, text, what it is about) in one statement; pumps wake at commit."""
    await tx.execute(
        ENQUEUE_MANY,
        [letter[0] for letter in letters],
        [letter[1] for letter in letters],
        [letter[2] for letter in letters],
        [letter[3] for letter in letters],
        now,
        sender,
        kind,
        about_kind,
    )
