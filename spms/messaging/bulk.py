"""Many messages at once: one statement, whatever their number."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from spms.core.db import Connection
from spms.core.ids import new_id
from spms.core.rulebook import section
from spms.messaging import bulk_queries as queries
from spms.messaging.actions import TEXT_MAX
from spms.messaging.model import MessageKind, MessagingRules


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One message of many."""

    msisdn: str
    text: str
    about_id: str


async def send_many(
    tx: Connection,
    letters: Sequence[Letter],
    *,
    kind: MessageKind,
    about_kind: str,
    now: datetime,
) -> None:
    """Queue messages from the operator's number; they leave after the commit.

    Raises `ValueError` for an empty text or one over `TEXT_MAX`.
    """
    if not letters:
        return
    if not all(0 < len(letter.text) <= TEXT_MAX for letter in letters):
        raise ValueError(f"a message has 1 to {TEXT_MAX} characters")
    sender = (await section(tx, MessagingRules, at=now)).operator_number
    rows = [(letter.msisdn, new_id(), letter.text, letter.about_id) for letter in letters]
    await queries.enqueue_many(tx, rows, sender=sender, kind=kind, about_kind=about_kind, now=now)
