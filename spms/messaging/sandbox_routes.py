"""The handset page and what it calls. Only a sandbox mounts this router: it shows every SMS."""

import hashlib
from datetime import datetime
from importlib import resources
from typing import Annotated

import jinja2
import msgspec
from litestar import MediaType, Response, Router, get, post
from litestar.datastructures import ResponseHeader

from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.parameters import VERSIONED
from spms.core.phone import Msisdn
from spms.core.rulebook import section
from spms.messaging import sandbox
from spms.messaging.model import MessagingRules, Phone, PhoneIn, ScreenSms
from spms.messaging.routes import CALLED

FILES = resources.files("spms.messaging") / "sandbox_page"
STATIC = {
    "handset.js": "text/javascript",
    "handset.css": "text/css",
    "handset.svg": "image/svg+xml",
}
CONTENT = {name: (FILES / name).read_bytes() for name in STATIC}
VERSION = hashlib.sha256(b"".join(CONTENT.values())).hexdigest()[:12]
"""In the addresses of the files, so that a browser may keep them and never shows old ones."""

PAGE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
    (FILES / "handset.html.j2").read_text("utf-8")
)
POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
NOSNIFF = ResponseHeader(name="X-Content-Type-Options", value="nosniff")
NO_STORE = ResponseHeader(name="Cache-Control", value="no-store")
KEEP = ResponseHeader(name="Cache-Control", value="public, max-age=31536000, immutable")


class InboxQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose screen, and from where on."""

    msisdn: Msisdn
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0
    """`seq` of the last message seen."""


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """What a phone shows beyond what was seen, oldest first, at most 200."""

    messages: list[ScreenSms]
    now: datetime
    """The sandbox's time, which can be moved."""


class Texting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message typed on a phone."""

    msisdn: Msisdn
    to: Annotated[str, msgspec.Meta(pattern=CALLED)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The network has the message; what comes of it arrives as an SMS."""

    link_message_id: str


class PhoneList(msgspec.Struct, frozen=True, kw_only=True):
    """The demonstration phones, by label."""

    phones: list[Phone]


@get(
    "/handset",
    media_type=MediaType.HTML,
    include_in_schema=False,
    response_headers=[
        NOSNIFF, NO_STORE, ResponseHeader(name="Content-Security-Policy", value=POLICY),
    ],
)  # fmt: skip
async def handset(read: Connection, now: datetime) -> str:
    """Show the page on which demonstration phones get and send SMS."""
    rules = await section(read, MessagingRules, at=now)
    return PAGE.render(version=VERSION, operator_number=rules.operator_number)


@get("/static/{name:str}", include_in_schema=False, response_headers=[NOSNIFF, KEEP],
     opt={VERSIONED: ("v",)})  # fmt: skip
async def static(name: str) -> Response[bytes]:
    """Serve the page's script and style."""
    if name not in STATIC:
        raise NotFound
    return Response(CONTENT[name], media_type=STATIC[name])


@get("/phones", response_headers=[NO_STORE])
async def list_phones(read: Connection) -> PhoneList:
    """List the demonstration phones with the newest message on each screen."""
    return PhoneList(phones=await sandbox.phones(read))


@post("/phones", status_code=200)
async def put_phone(data: PhoneIn, tx: Connection) -> Phone:
    """Add a demonstration phone, rename it, or switch it on or off."""
    await sandbox.put_phone(tx, data)
    return Phone(msisdn=data.msisdn, label=data.label, reachable=data.reachable)


@post("/inbox", status_code=200, response_headers=[NO_STORE])
async def inbox(data: InboxQuery, read: Connection, now: datetime) -> Screen:
    """Return what a phone's screen shows, or only what came after one message."""
    messages = await sandbox.screen(read, data.msisdn, after=data.after)
    return Screen(messages=messages, now=now)


@post("/messages", status_code=202)
async def text(data: Texting, tx: Connection, now: datetime) -> Sent:
    """Send an SMS from a phone; 202 leaves after it is stored."""
    name = await sandbox.text_from(tx, data.msisdn, to=data.to, text=data.text, now=now)
    return Sent(link_message_id=name)


router = Router(
    "/sandbox",
    route_handlers=[handset, static, list_phones, put_phone, inbox, text],
    tags=["sandbox"],
)
