"""The Ed25519 key that signs evidence: a file of its own, never a row. Nothing here is our own maths.

Processes that share a database but no directory are given one file with SPMS_SIGNING_KEY_FILE.
"""

import hashlib
import os
import secrets
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from spms.core.db import Connection, many
from spms.core.settings import Settings, SettingsError

KEY_FILE = "signing-key.pem"
KEY_BYTES = 32
SIGNATURE_BYTES = 64


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key under which evidence was signed."""

    id: str
    """SHA-256 of the key, hex: what people compare."""
    public_key: bytes
    first_used_at: datetime | None = None


class Signer:
    """The private key of this installation."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Hold the key."""
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the signature, 64 bytes; the same message always gets the same."""
        return self._key.sign(message)


def key_id(public_key: bytes) -> str:
    """Return a public key's fingerprint."""
    return hashlib.sha256(public_key).hexdigest()


def signed_by(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature over a message was made with the key's private half."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def open_signer(settings: Settings) -> Signer:
    """Load the key, or make one at the first start (mode 0600).

    Raises `SettingsError` when SPMS_SIGNING_KEY_FILE does not name an Ed25519 key in PEM.
    """
    if settings.signing_key_file is not None:
        return _load(Path(settings.signing_key_file).expanduser())
    path = settings.data_path / KEY_FILE
    if not path.exists():
        _make(path)
    return _load(path)


def _load(path: Path) -> Signer:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"the signing key cannot be read: {type(error).__name__}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError("the signing key is not an Ed25519 key")
    return Signer(key)


def _make(path: Path) -> None:
    """Write a fresh key whole or not at all; of two processes that start at once, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )  # fmt: skip
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, pem)
        os.fsync(file)
    finally:
        os.close(file)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def read_public_keys(text: str) -> list[bytes]:
    """Read trusted public keys: hex, a PEM, or what GET /keys answers; `ValueError` otherwise."""
    text = text.strip()
    if text.startswith("-----BEGIN"):
        key = serialization.load_pem_public_key(text.encode())
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("not an Ed25519 key")
        return [key.public_bytes_raw()]
    if text.startswith("{"):
        keys = [bytes.fromhex(one["public_key"]) for one in msgspec.json.decode(text)["keys"]]
    else:
        keys = [bytes.fromhex(text)]
    if any(len(key) != KEY_BYTES for key in keys):
        raise ValueError("an Ed25519 public key has 32 bytes")
    return keys


PUBLISH = """
    INSERT INTO signing_key (id, public_key, first_used_at) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING
"""


async def publish(tx: Connection, signer: Signer, *, now: datetime) -> None:
    """Let everybody know the key that is about to sign."""
    await tx.execute(PUBLISH, signer.key_id, signer.public_key, now)


PUBLISHED = "SELECT id, public_key, first_used_at FROM signing_key ORDER BY first_used_at, id"


async def published(read: Connection) -> list[PublicKey]:
    """Return every key that ever signed here."""
    return many(PublicKey, await read.fetch(PUBLISHED))
