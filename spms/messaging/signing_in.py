"""Signing in with a one-time code by SMS: asking for one, and taking it for a token."""

from datetime import datetime, timedelta
from uuid import UUID

from spms.core import access, tokens
from spms.core.access import ActorKind, Role
from spms.core.db import Connection
from spms.core.errors import TooManyRequests
from spms.core.ids import new_id
from spms.core.instance import instance_secret
from spms.core.tokens import Token
from spms.messaging import code_queries, codes
from spms.messaging.actions import send
from spms.messaging.model import MessageKind
from spms.subscribers import actions as subscribers
from spms.subscribers.model import Number, NumberState


async def request_code(tx: Connection, msisdn: str, *, now: datetime) -> None:
    """Send a one-time code to a number that somebody holds; do nothing for any other.

    The caller's answer must be the same for both. Raises `TooManyRequests` after three in an
    hour, counted for unknown numbers alike.
    """
    secret = await instance_secret(tx)
    requester = codes.requester(secret, msisdn)
    asked = await code_queries.requests(tx, requester, now - codes.WINDOW)
    if len(asked) >= codes.REQUESTS_MAX:
        wait = int((asked[0] + codes.WINDOW - now).total_seconds()) + 1
        raise TooManyRequests(
            "three codes an hour were sent already", headers={"Retry-After": str(wait)}
        )
    await code_queries.add_request(tx, requester, new_id(), now)
    number = await subscribers.hold(tx, msisdn)
    if number is None or number.state is NumberState.TERMINATED:
        return
    code, code_id = codes.draw(), new_id()
    digest = codes.digest(secret, msisdn, code_id, code)
    expires = now + codes.LIFETIME
    await code_queries.add_code(tx, msisdn, code_id, digest, now=now, expires=expires)
    await send(
        tx, msisdn=msisdn, text=codes.text(code, number.language), kind=MessageKind.CODE,
        about_kind="one_time_code", about_id=code_id, now=now,
    )  # fmt: skip


async def redeem_code(
    tx: Connection, msisdn: str, code: str, *, lifetime: timedelta, now: datetime
) -> Token | None:
    """Take a code and return an access token, or None when the code is not right.

    A wrong code is a value and not an exception, because the try must be counted: the caller
    commits first and refuses then. None also stands for an unknown number, a code that is used,
    superseded, too old or tried five times, and one that was sent to an earlier holder.
    """
    attempt = await code_queries.count_try(tx, msisdn, tries_max=codes.TRIES_MAX, now=now)
    if attempt is None:
        return None
    given = codes.digest(await instance_secret(tx), msisdn, attempt.id, code)
    if not codes.matches(attempt.code_hmac, given):
        return None
    number = await subscribers.hold(tx, msisdn)
    if number is None or number.state is NumberState.TERMINATED:
        return None
    if attempt.issued_at < number.epoch_since:
        return None
    await code_queries.use_code(tx, msisdn, attempt.id, now)
    credential_id = await _credential(tx, number, now=now)
    return await tokens.issue_token(tx, credential_id, lifetime=lifetime, now=now)


async def _credential(tx: Connection, number: Number, *, now: datetime) -> UUID:
    """Find the holder's credential or make one; one of an earlier holder is never taken."""
    found = await access.credential_of(tx, ActorKind.SUBSCRIBER, number.msisdn)
    if found is not None and found.epoch == number.epoch:
        return found.id
    return await access.add_credential(
        tx, kind=ActorKind.SUBSCRIBER, subject=number.msisdn, name="subscriber",
        roles=(Role.SUBSCRIBER,), secret_hash="", epoch=number.epoch,
        actor=access.subscriber_by_sms(number.msisdn, number.epoch), now=now,
    )  # fmt: skip
