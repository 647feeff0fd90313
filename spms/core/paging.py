"""Keyset pages: a cursor names the last row seen, is signed, and belongs to one actor and list."""

import base64
import hashlib
import hmac
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import Parameter

from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import Invalid
from spms.core.instance import instance_secret

T = TypeVar("T")

PAGE_SIZE_MAX = 100

Limit = Annotated[int, Parameter(ge=1, le=PAGE_SIZE_MAX, description="Rows on a page")]
Cursor = Annotated[
    str | None, Parameter(max_length=512, description="`next` of the page before this one")
]


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Some rows, and the cursor of the page after them (null on the last)."""

    items: list[T]
    next: str | None = None


class CursorInvalid(Invalid):
    """The cursor is not one of this list's."""

    code = "cursor_invalid"


def _signature(secret: bytes, actor: Actor, name: str, body: bytes) -> bytes:
    owner = f"{actor.kind}\x1f{actor.subject}\x1f{name}\x1f".encode()
    return hmac.new(secret, b"cursor" + owner + body, hashlib.sha256).digest()[:16]


async def write_cursor(read: Connection, actor: Actor, name: str, key: list[Any]) -> str:
    """Write a cursor for the list `name` that continues after the row with this sort key."""
    body = msgspec.json.encode(key)
    signature = _signature(await instance_secret(read), actor, name, body)
    return base64.urlsafe_b64encode(signature + body).decode().rstrip("=")


async def read_cursor(
    read: Connection, actor: Actor, name: str, cursor: str | None, kind: type[T]
) -> T | None:
    """Read a cursor's sort key as `kind` (a tuple type); raise `CursorInvalid` on any other."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        signature = _signature(await instance_secret(read), actor, name, raw[16:])
        if hmac.compare_digest(raw[:16], signature):
            return msgspec.json.decode(raw[16:], type=kind)
    except (ValueError, msgspec.DecodeError):
        pass
    raise CursorInvalid
