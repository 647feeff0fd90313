"""Signatures after Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`.

A secret is derived from its row's id and the instance's secret, with HMAC as the derivation. So it
is nowhere stored, a copy of the webhook tables is worth nothing, and no key needs looking after
beside the one that there is; whoever has that one has the pseudonyms and cursors as well.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from spms.partners.webhook_model import Letter

PREFIX = "whsec_"


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted."""

    type: str
    timestamp: datetime
    position: int
    subject: str
    data: dict[str, object]


def _key(instance_secret: bytes, secret_id: UUID) -> bytes:
    return hmac.new(instance_secret, b"webhook\x1f" + secret_id.bytes, hashlib.sha256).digest()


def secret_text(instance_secret: bytes, secret_id: UUID) -> str:
    """Return a secret (32 bytes) as receivers' libraries take it."""
    return PREFIX + base64.b64encode(_key(instance_secret, secret_id)).decode()


def body_of(letter: Letter) -> bytes:
    """Write the body: the same bytes on every try."""
    body = Body(
        type=letter.type,
        timestamp=letter.timestamp,
        position=letter.position,
        subject=letter.subject,
        data=letter.data,
    )
    return msgspec.json.encode(body)


def signed_headers(
    letter: Letter, body: bytes, keys: Sequence[UUID], instance_secret: bytes, *, now: datetime
) -> dict[str, str]:
    """Return the headers that prove a body, signed with every live secret.

    The time is that of this try: a receiver refuses what is five minutes off.
    """
    at = str(int(now.timestamp()))
    message = f"{letter.id}.{at}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(
            hmac.new(_key(instance_secret, key), message, hashlib.sha256).digest()
        ).decode()
        for key in keys
    ]  # fmt: skip
    return {
        "Content-Type": "application/json",
        "User-Agent": "SPMS",
        "webhook-id": str(letter.id),
        "webhook-timestamp": at,
        "webhook-signature": " ".join(signatures),
    }
