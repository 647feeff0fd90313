"""HTTP about messages: the operator's SMS centre delivers, subscribers sign in by code."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from litestar import Router, post
from litestar.datastructures import ResponseHeader, State

from spms.core import db
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import TooManyRequests, Unauthenticated
from spms.core.http import refusals
from spms.core.phone import Msisdn
from spms.core.tokens import Token
from spms.messaging import actions, codes, signing_in
from spms.messaging.model import IncomingSms

CALLED = "^[0-9]{1,21}$(?!\\n)"
NO_STORE = ResponseHeader(name="Cache-Control", value="no-store")
LinkMessageId = Annotated[
    str, msgspec.Meta(min_length=1, max_length=128, description="The SMS centre's name for it")
]


class CodeWrong(Unauthenticated):
    """The code is wrong, used, too old or tried too often."""

    code = "code_wrong"


class Delivered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message from a subscriber, as the SMS centre delivers it."""

    link_message_id: LinkMessageId
    msisdn: Msisdn
    called: Annotated[str, msgspec.Meta(pattern=CALLED, description="The number it was sent to")]
    text: Annotated[str, msgspec.Meta(max_length=40_000)] | None
    """Null when it could not be decoded; nothing but a help message follows from it then."""
    raw: Annotated[bytes, msgspec.Meta(max_length=65_536)] | None = None
    """Base64 of what came over the air, where it is more than the text in UTF-8."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """We have the message, and it is safe to forget it on the other side."""

    new: bool
    """False: it was delivered before."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a message of ours."""

    link_message_id: LinkMessageId
    delivered: bool
    """False: given up by the network."""


class CodeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose phone shall get a code."""

    msisdn: Msisdn


class CodeRequested(msgspec.Struct, frozen=True, kw_only=True):
    """If somebody holds the number, a code is on its way."""

    expires_in: int
    """Seconds."""


class CodeSignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number and the code that its phone got."""

    msisdn: Msisdn
    code: Annotated[str, msgspec.Meta(pattern="^[0-9]{6}$(?!\\n)", examples=["482913"])]


@post("/messages/incoming", status_code=200, guards=[only(Role.GATEWAY)])
async def incoming(data: Delivered, tx: Connection, actor: Actor, now: datetime) -> Stored:
    """Take a message from a subscriber.

    The answer 200 leaves after the commit. On any other answer, or none, deliver it again: the
    same `link_message_id` is the same message.
    """
    sms = IncomingSms(
        msisdn=data.msisdn, called=data.called, text=data.text,
        raw=(data.text or "").encode() if data.raw is None else data.raw,
        link=actor.subject, link_message_id=data.link_message_id,
    )  # fmt: skip
    return Stored(new=await actions.receive(tx, sms, now=now) is not None)


@post("/messages/receipts", status_code=204, guards=[only(Role.GATEWAY)])
async def receipt(data: Receipt, tx: Connection, actor: Actor, now: datetime) -> None:
    """Take a delivery receipt; the first one for a message stands."""
    await actions.record_receipt(
        tx, actor.subject, data.link_message_id, delivered=data.delivered, now=now
    )


@post("/sign-in/codes", status_code=202, responses=refusals(TooManyRequests))
async def request_code(data: CodeRequest, tx: Connection, now: datetime) -> CodeRequested:
    """Send a one-time code by SMS. The answer is the same whether anybody holds the number."""
    await signing_in.request_code(tx, data.msisdn, now=now)
    return CodeRequested(expires_in=int(codes.LIFETIME.total_seconds()))


@post(
    "/sign-in/subscriber",
    status_code=200,
    responses=refusals(CodeWrong),
    response_headers=[NO_STORE],
)
async def sign_in(data: CodeSignIn, state: State, now: datetime) -> Token:
    """Sign in to the self-service of a number with the code its phone got.

    Opens its own transaction: a wrong try must be counted, so it commits before it refuses.
    """
    lifetime = timedelta(minutes=state.settings.token_minutes)
    async with db.transaction(state.pool) as tx:
        token = await signing_in.redeem_code(
            tx, data.msisdn, data.code, lifetime=lifetime, now=now
        )  # fmt: skip
    if token is None:
        raise CodeWrong("ask for a new code if this one keeps failing")
    return token


router = Router(
    "/", route_handlers=[incoming, receipt, request_code, sign_in], tags=["messaging"]
)  # fmt: skip
