"""What the conversation with a person needs to know. Writes `leave_list` only."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from spms.core.db import Connection
from spms.core.ids import new_id
from spms.messaging.model import MessageIn

SP_BEHIND = "SELECT sp_id FROM access_number WHERE number = $1"


async def sp_behind(read: Connection, called: str) -> UUID | None:
    """Return the SP that an access number is assigned to."""
    return cast("UUID | None", await read.fetchval(SP_BEHIND, called))


OUTCOME = """
    SELECT outcome FROM message_in
     WHERE msisdn = $1 AND received_at = $2 AND id = $3 AND handled_at IS NOT NULL
"""


async def outcome_of(read: Connection, message: MessageIn) -> str | None:
    """Return what came of a message, if it was handled already."""
    key = (message.msisdn, message.received_at, message.id)
    return cast("str | None", await read.fetchval(OUTCOME, *key))


TIMES_TOLD = """
    SELECT count(*) FROM message_out
     WHERE msisdn = $1 AND kind = 'info' AND about_kind = $2 AND about_id = $3 AND queued_at > $4
"""


async def times_told(
    read: Connection, msisdn: str, about_kind: str, about_id: str, *, since: datetime
) -> int:
    """Count the answers about one thing, so that two robots do not talk to each other for ever."""
    return cast("int", await read.fetchval(TIMES_TOLD, msisdn, about_kind, about_id, since))


ADD_LIST = """
    INSERT INTO leave_list (msisdn, id, subscription_ids, made_at, expires_at)
    VALUES ($1, $2, $3, $4, $5)
"""


async def add_list(
    tx: Connection, msisdn: str, subscription_ids: Sequence[UUID], *, now: datetime,
    expires_at: datetime,
) -> None:  # fmt: skip
    """Remember which relation stands behind which number of a list."""
    await tx.execute(ADD_LIST, msisdn, new_id(), list(subscription_ids), now, expires_at)


OPEN_LIST = """
    SELECT subscription_ids FROM leave_list
     WHERE msisdn = $1 AND made_at >= $2 AND made_at <= $3 AND expires_at > $3
     ORDER BY made_at DESC, id DESC LIMIT 1
"""


async def open_list(
    read: Connection, msisdn: str, *, since: datetime, at: datetime
) -> list[UUID] | None:
    """Return the newest list made for this owner that may still be answered at an instant."""
    return cast("list[UUID] | None", await read.fetchval(OPEN_LIST, msisdn, since, at))
