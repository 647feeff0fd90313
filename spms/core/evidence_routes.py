"""HTTP about evidence: the keys it is signed with, and how a pack is answered."""

from typing import Any

import msgspec
from litestar import Response, Router, get
from litestar.datastructures import State

from spms.core import signing
from spms.core.db import Connection
from spms.core.signing import Signer

NO_STORE = {"Cache-Control": "no-store"}


class PublishedKey(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 public key under which evidence was signed."""

    id: str
    """SHA-256 of the key, hex: its fingerprint."""
    algorithm: str
    public_key: str
    """32 bytes, hex."""


class PublishedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Every key of this installation, oldest first."""

    keys: list[PublishedKey]


@get("/keys")
async def keys(read: Connection, state: State) -> PublishedKeys:
    """Show the public keys with which evidence packs and anchors are checked."""
    signer: Signer = state.signer
    known = {key.id: key.public_key for key in await signing.published(read)}
    known.setdefault(signer.key_id, signer.public_key)
    return PublishedKeys(
        keys=[
            PublishedKey(id=name, algorithm="Ed25519", public_key=key.hex())
            for name, key in known.items()
        ]
    )


def answered_json(pack: bytes) -> Response[dict[str, Any]]:
    """Answer with a pack: these very bytes, which are JSON."""
    return Response(_as_content(pack), media_type="application/json", headers=NO_STORE)


def answered_pdf(pdf: bytes) -> Response[bytes]:
    """Answer with a pack as a PDF."""
    return Response(pdf, media_type="application/pdf", headers=NO_STORE)


def _as_content(pack: bytes) -> Any:
    """Litestar sends bytes as they are; the type is that of the JSON in them."""
    return pack


router = Router("/", route_handlers=[keys], tags=["evidence"])
