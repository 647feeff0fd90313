"""Statements on messages out: queued, leased to a courier, and what became of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from spms.core.db import Connection, changed, many
from spms.messaging.model import (
    MessageKind,
    MessageOut,
    MessageState,
    Sent,
)

ENQUEUE = """
    WITH queued AS (
        INSERT INTO message_out
            (msisdn, queued_at, id, sender, text, kind, about_kind, about_id, state, due_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9)
    )
    SELECT pg_notify('spms_work', '')
"""


async def enqueue(tx: Connection, message: MessageOut, *, due_at: datetime) -> None:
    """Queue a message; at commit, listening pumps wake."""
    await tx.execute(
        ENQUEUE, message.msisdn, message.queued_at, message.id, message.sender, message.text,
        message.kind, message.about_kind, message.about_id, due_at,
    )  # fmt: skip


ENQUEUE_MANY = """
    WITH queued AS (
        INSERT INTO message_out
            (msisdn, queued_at, id, sender, text, kind, about_kind, about_id, state, due_at)
        SELECT m.msisdn, $1, m.id, m.sender, m.text, m.kind, m.about_kind, m.about_id, 'queued',
               m.due_at
          FROM unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                      $8::text[], $9::timestamptz[])
            AS m (msisdn, id, sender, text, kind, about_kind, about_id, due_at)
    )
    SELECT pg_notify('spms_work', '')
"""


async def enqueue_many(tx: Connection, rows: Sequence[MessageOut], due: Sequence[datetime]) -> None:
    """Queue messages of one instant, at least one; at commit, listening pumps wake."""
    await tx.execute(
        ENQUEUE_MANY, rows[0].queued_at, [row.msisdn for row in rows], [row.id for row in rows],
        [row.sender for row in rows], [row.text for row in rows], [row.kind for row in rows],
        [row.about_kind for row in rows], [row.about_id for row in rows], due,
    )  # fmt: skip


# A lease that ended means a courier died, or could not know: once more if it is the first time.
TAKE_DUE = """
    WITH due AS (
        SELECT msisdn, queued_at, id,
               CASE WHEN withdrawn_at IS NOT NULL THEN 'withdrawn'
                    WHEN attempts >= 2 THEN 'unknown twice'
                    WHEN due_at <= $1::timestamptz - $3::interval THEN 'too late' END AS fault
          FROM message_out
         WHERE state IN ('queued', 'sending', 'unknown')
           AND coalesce(lease_until, due_at) <= $1::timestamptz
         ORDER BY coalesce(lease_until, due_at), id
         LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE message_out m
       SET state = CASE WHEN d.fault IS NULL THEN 'sending' ELSE 'failed' END,
           attempts = m.attempts + CASE WHEN d.fault IS NULL THEN 1 ELSE 0 END,
           lease_until = CASE WHEN d.fault IS NULL THEN $1::timestamptz + $4::interval END,
           error = d.fault
      FROM due d
     WHERE m.msisdn = d.msisdn AND m.queued_at = d.queued_at AND m.id = d.id
    RETURNING m.msisdn, m.queued_at, m.id, m.sender, m.text, m.kind, m.about_kind, m.about_id,
              m.state, m.attempts
"""


async def take_due(
    tx: Connection, *, now: datetime, limit: int, validity: timedelta, lease: timedelta
) -> list[MessageOut]:
    """Lease due messages to the caller, oldest first; give up those without a chance left."""
    rows = many(MessageOut, await tx.fetch(TAKE_DUE, now, limit, validity, lease))
    taken = [message for message in rows if message.state is MessageState.SENDING]
    return sorted(taken, key=lambda message: (message.queued_at, message.id))


# That it was sent is a fact, whoever took the message over in the meantime. The first time stands,
# also when a receipt said since that it failed: the consent log may have told of it.
SUBMITTED = """
    WITH sent AS (
        UPDATE message_out m
           SET state = 'sent', sent_at = $1, lease_until = NULL, error = NULL, link = $2,
               link_message_id = s.name, pdu = s.pdu
          FROM unnest($3::text[], $4::timestamptz[], $5::uuid[], $6::text[], $7::bytea[])
            AS s (msisdn, queued_at, id, name, pdu)
         WHERE m.msisdn = s.msisdn AND m.queued_at = s.queued_at AND m.id = s.id
           AND m.sent_at IS NULL AND m.state NOT IN ('sent', 'delivered')
        RETURNING m.msisdn, m.queued_at, m.id
    )
    INSERT INTO message_out_part
           (msisdn, queued_at, message_id, number, link, link_message_id, sent_at)
    SELECT sent.msisdn, sent.queued_at, sent.id, p.number, $2, p.name, $1
      FROM unnest($8::uuid[], $9::smallint[], $10::text[]) AS p (id, number, name)
      JOIN sent ON sent.id = p.id
"""


async def submitted(tx: Connection, link: str, sent: Sequence[Sent], *, now: datetime) -> None:
    """Record that the network has these messages, and under which names their parts."""
    messages = [each.message for each in sent]
    parts = [
        (each.message.id, number, name)
        for each in sent
        for number, name in enumerate(each.parts, 1)
    ]
    await tx.execute(
        SUBMITTED, now, link, [m.msisdn for m in messages], [m.queued_at for m in messages],
        [m.id for m in messages], [each.link_message_id for each in sent],
        [each.pdu for each in sent], [p[0] for p in parts], [p[1] for p in parts],
        [p[2] for p in parts],
    )  # fmt: skip


STILL_WANTED = """
    SELECT withdrawn_at IS NULL FROM message_out
     WHERE msisdn = $1 AND queued_at = $2 AND id = $3
"""


async def still_wanted(read: Connection, message: MessageOut) -> bool:
    """Whether a message that was taken has not been taken back since."""
    wanted: bool = await read.fetchval(
        STILL_WANTED, message.msisdn, message.queued_at, message.id
    )  # fmt: skip
    return wanted


# Only whoever still has the lease may say anything but 'sent'. What was taken back meanwhile is
# not sent again.
LET_GO = """
    UPDATE message_out
       SET state = CASE WHEN withdrawn_at IS NULL THEN $5 ELSE 'failed' END, attempts = $6,
           lease_until = CASE WHEN withdrawn_at IS NULL THEN $7::timestamptz END,
           error = CASE WHEN withdrawn_at IS NULL OR $5 = 'failed' THEN $8 ELSE 'withdrawn' END
     WHERE msisdn = $1 AND queued_at = $2 AND id = $3 AND state = 'sending' AND attempts = $4
"""


async def let_go(
    tx: Connection,
    message: MessageOut,
    *,
    state: MessageState,
    attempts: int,
    until: datetime | None,
    error: str | None,
) -> bool:
    """Give a lease back with what is known; False when it had ended and another has the message."""
    key = (message.msisdn, message.queued_at, message.id)
    done = await tx.execute(LET_GO, *key, message.attempts, state, attempts, until, error)
    return changed(done) == 1


# What waits never leaves, and what may have been sent is not sent once more. What a courier has in
# hand is marked: should the link not take it, it ends there.
_TAKEN_BACK = """
       SET withdrawn_at = $1,
           state = CASE WHEN m.state = 'sending' THEN m.state ELSE 'failed' END,
           lease_until = CASE WHEN m.state = 'sending' THEN m.lease_until END,
           error = CASE WHEN m.state = 'sending' THEN m.error ELSE 'withdrawn' END"""
_NOT_OUT = "m.state IN ('queued', 'sending', 'unknown') AND m.withdrawn_at IS NULL"

WITHDRAW = f"""
    UPDATE message_out m {_TAKEN_BACK}
      FROM unnest($3::text[], $4::text[]) AS over (msisdn, about_id)
     WHERE m.msisdn = over.msisdn AND m.queued_at > $6 AND m.about_kind = $2 AND {_NOT_OUT}
       AND m.about_id = over.about_id AND m.kind = ANY($5::text[])
"""


async def withdraw(
    tx: Connection, about: str, over: Sequence[tuple[str, str]], *, kinds: list[str],
    since: datetime, now: datetime,
) -> int:  # fmt: skip
    """Let messages to some numbers, each about its own things, not leave any more."""
    numbers, ids = [msisdn for msisdn, _ in over], [about_id for _, about_id in over]
    return changed(await tx.execute(WITHDRAW, now, about, numbers, ids, kinds, since))


WITHDRAW_ALL = f"""
    UPDATE message_out m {_TAKEN_BACK}
      FROM unnest($2::text[], $3::timestamptz[]) AS over (msisdn, until)
     WHERE m.msisdn = over.msisdn AND m.queued_at > $4 AND m.queued_at < over.until AND {_NOT_OUT}
"""


async def withdraw_all(
    tx: Connection, until: Sequence[tuple[str, datetime]], *, since: datetime, now: datetime
) -> int:
    """Let nothing that was queued to a number before an instant leave any more."""
    numbers, instants = [msisdn for msisdn, _ in until], [at for _, at in until]
    return changed(await tx.execute(WITHDRAW_ALL, now, numbers, instants, since))


COUNT_SENT = """
    SELECT count(*) FROM message_out WHERE msisdn = $1 AND kind = $2 AND queued_at >= $3
"""


async def count_sent(read: Connection, msisdn: str, kind: MessageKind, since: datetime) -> int:
    """Count the messages of a kind to one number since an instant, whatever became of them."""
    count: int = await read.fetchval(COUNT_SENT, msisdn, kind, since)
    return count
