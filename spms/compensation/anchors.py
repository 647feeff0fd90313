"""The ends of all chains, signed (Ed25519) and handed out of the database.

Someone with the owner's rights can cut the end off a chain and wind its head back, and nothing
inside the database would show it. So every hour the heads that moved go to a file, with a root
over all heads and a signature; keep that directory on another machine. Numbers are in it as
keyed hashes only.
"""

import hashlib
import hmac
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from spms.compensation import journal_queries as queries
from spms.compensation.journal_model import Anchor, Damage
from spms.core.db import Connection
from spms.core.ids import new_id
from spms.core.instance import instance_secret
from spms.core.settings import Settings

EVERY = timedelta(hours=1)
OVERLAP = timedelta(minutes=5)
"""Heads are taken again from this long before: a transaction may commit after its `now`."""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file: the end of one chain."""

    chain: str
    """HMAC-SHA256 of the chain's name under the instance's secret, in hex."""
    seq: int
    sha256: str


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """The last line of the file."""

    id: str
    at: datetime
    chains: int
    entries: int
    root_sha256: str
    """Over all heads in the order of their names."""
    ends_sha256: str
    """Over the lines above."""
    public_key: str
    signature: str = ""
    """Ed25519 over this line without its signature."""


def directory_of(settings: Settings) -> Path:
    """Return where the files go."""
    return settings.data_path / "journal"


def signing_key(directory: Path) -> Ed25519PrivateKey:
    """Return the key of this installation, made on first use, readable by its owner only."""
    path = directory / "signing-key.pem"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        made = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(handle, made)
        os.close(handle)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{path} is not an Ed25519 key")
    return key


async def anchor(tx: Connection, directory: Path, *, now: datetime) -> Anchor | None:
    """Write a file of the heads that moved since the last one; None when none is due yet."""
    latest = await queries.anchors(tx, 1)
    if latest and now - latest[0].at < EVERY:
        return None
    key = signing_key(directory)
    public = key.public_key().public_bytes_raw()
    heads = await queries.heads_since(tx, latest[0].at - OVERLAP if latest else None)
    secret = await instance_secret(tx)
    lines = b"".join(
        msgspec.json.encode(
            End(chain=_name(secret, head.msisdn), seq=head.seq, sha256=head.sha256.hex())
        )
        + b"\n"
        for head in heads
    )
    chains, entries, root = await queries.root(tx)
    anchor_id = new_id()
    seal = Seal(
        id=str(anchor_id), at=now, chains=chains, entries=entries, root_sha256=root.hex(),
        ends_sha256=hashlib.sha256(lines).hexdigest(), public_key=public.hex(),
    )  # fmt: skip
    signature = key.sign(msgspec.json.encode(seal))
    name = f"heads-{now:%Y%m%dT%H%M%SZ}-{anchor_id}.ndjson"
    whole = lines + msgspec.json.encode(msgspec.structs.replace(seal, signature=signature.hex()))
    part = directory / f"{name}.part"
    part.write_bytes(whole + b"\n")
    part.rename(directory / name)
    made = Anchor(
        id=anchor_id, at=now, chains=chains, entries=entries, root_sha256=root,
        public_key=public, signature=signature, file_name=name,
    )  # fmt: skip
    await queries.add_anchor(tx, made)
    return made


async def compare(read: Connection, directory: Path) -> list[Damage]:
    """Hold the book against the files: name each chain that no longer has an end it once had.

    A file whose seal does not fit, and a chain of which nothing is left, are named too.
    """
    ends, found = _read(directory)
    secret = await instance_secret(read)
    names = {_name(secret, chain): chain for chain in await queries.chains(read)}
    found += [
        _damage(chain, seq, "anchored_chain_missing")
        for chain, seq, _ in sorted(ends)
        if chain not in names
    ]
    known = [(names[chain], seq, sha) for chain, seq, sha in sorted(ends) if chain in names]
    found += [
        _damage(msisdn, seq, "not_as_anchored")
        for msisdn, seq in await queries.not_as_anchored(read, known)
    ]
    return found


def _read(directory: Path) -> tuple[set[tuple[str, int, str]], list[Damage]]:
    """Read every file: the ends it states, and the files whose seal does not fit."""
    ends: set[tuple[str, int, str]] = set()
    broken = []
    for path in sorted(directory.glob("heads-*.ndjson")):
        lines = path.read_bytes().splitlines(keepends=True)
        if not lines or not _sealed(lines):
            broken.append(_damage(path.name, None, "seal_broken"))
            continue
        ends.update((end.chain, end.seq, end.sha256) for end in _ends(lines[:-1]))
    return ends, broken


def _name(secret: bytes, chain: str) -> str:
    return hmac.new(secret, b"journal\x1f" + chain.encode(), hashlib.sha256).hexdigest()


def _damage(chain: str, seq: int | None, problem: str) -> Damage:
    return Damage(msisdn=chain, seq=seq, entry_id=None, problems=[problem])


def _ends(lines: list[bytes]) -> Iterator[End]:
    decoder = msgspec.json.Decoder(End)
    return (decoder.decode(line) for line in lines)


def _sealed(lines: list[bytes]) -> bool:
    try:
        seal = msgspec.json.decode(lines[-1], type=Seal)
        bare = msgspec.json.encode(msgspec.structs.replace(seal, signature=""))
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(seal.public_key))
        key.verify(bytes.fromhex(seal.signature), bare)
    except (InvalidSignature, msgspec.DecodeError, ValueError):
        return False
    return hashlib.sha256(b"".join(lines[:-1])).hexdigest() == seal.ends_sha256
