"""Chains that rooms keep in tables of their own, as the anchors see them.

A room gives its chains as two relations; core knows neither the tables nor how they are hashed. A
chain is named outside by a digest under a salt, like those of `chain_log`; here the salt follows
from the instance's secret.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

import msgspec

from spms.core.chain import start_hash, subject_digest
from spms.core.db import Connection, many
from spms.core.instance import instance_secret


class Chains(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of chain of a room."""

    name: str
    """Of the kind; no two kinds share it, nor one with `chain_log`."""
    heads: str
    """Selects `subject`, `seq`, `hash` (bytea) and `at` of each chain's end; `at` is when it was
    written, or infinity where that is not known."""
    entries: str
    """Selects `subject`, `seq` and `hash` of every entry."""


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a chain that grew."""

    subject: str
    seq: int
    hash: bytes


class At(msgspec.Struct, frozen=True, kw_only=True):
    """What stands at one place of a chain, and where the chain ends."""

    place: int
    hash: bytes | None
    last: int


# `{heads}` and `{entries}` are what a room says of its chains: a constant of its queries.
GROWN = """
    SELECT h.subject, h.seq, h.hash FROM ({heads}) h
     WHERE h.at >= $1 AND h.seq > COALESCE(
           (SELECT max(l.seq) FROM anchor_leaf l
             WHERE l.subject = h.subject AND l.chain = $2), 0)
"""


async def grown(read: Connection, chains: Chains, since: datetime) -> list[Grown]:
    """Load the ends that were written since an instant and that no anchor has yet."""
    return many(Grown, await read.fetch(GROWN.format(heads=chains.heads), since, chains.name))


AT = """
    SELECT w.place, (SELECT e.hash FROM ({entries}) e
                      WHERE e.subject = w.subject AND e.seq = w.seq LIMIT 1) AS hash,
           COALESCE((SELECT max(e.seq) FROM ({entries}) e
                      WHERE e.subject = w.subject), 0)::bigint AS last
      FROM unnest($1::integer[], $2::text[], $3::bigint[]) AS w (place, subject, seq)
"""


async def at(read: Connection, chains: Chains, places: Sequence[tuple[int, str, int]]) -> list[At]:
    """Look up (place, subject, seq): what stands there now."""
    return many(At, await read.fetch(
        AT.format(entries=chains.entries), [place for place, _, _ in places], [subject for _, subject, _ in places],
        [seq for _, _, seq in places],
    ))  # fmt: skip


SUBJECTS = """
    SELECT h.subject FROM ({heads}) h UNION SELECT e.subject FROM ({entries}) e
"""


async def subjects(read: Connection, chains: Chains) -> list[str]:
    """Load whose chains there are; one of which only the head is left counts."""
    statement = SUBJECTS.format(heads=chains.heads, entries=chains.entries)
    return [row["subject"] for row in await read.fetch(statement)]


class Starts:
    """How a room's chains are named outside."""

    def __init__(self, secret: bytes) -> None:
        """Hold the instance's secret."""
        self._secret = secret

    def of(self, chain: str, subject: str) -> bytes:
        """Return what stands for a chain in the anchors."""
        salt = hmac.new(self._secret, b"chain" + chain.encode(), hashlib.sha256).digest()
        return start_hash(chain, subject_digest(salt, subject))


async def starts(read: Connection) -> Starts:
    """Return how chains are named."""
    return Starts(await instance_secret(read))
