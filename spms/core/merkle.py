"""Merkle trees (as in RFC 6962): one root stands for many chain heads, a path proves one of them."""

import hashlib
from collections.abc import Sequence

import msgspec

HASH_BYTES = 32


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """The head of one chain, without a name."""

    start_hash: bytes
    seq: int
    hash: bytes


def leaf_hash(leaf: Leaf) -> bytes:
    """Return what stands for a leaf in the tree."""
    written = leaf.start_hash + leaf.seq.to_bytes(8, "big") + leaf.hash
    return hashlib.sha256(b"\x00" + written).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def grow(leaves: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """Return the root over at least one leaf hash, and each leaf's path to it."""
    paths: list[list[bytes]] = [[] for _ in leaves]
    places = list(range(len(leaves)))
    level = list(leaves)
    while len(level) > 1:
        for leaf, place in enumerate(places):
            if (sibling := place ^ 1) < len(level):
                paths[leaf].append(level[sibling])
        level = [
            _node(level[i], level[i + 1]) if i + 1 < len(level) else level[i]
            for i in range(0, len(level), 2)
        ]
        places = [place // 2 for place in places]
    return level[0], [b"".join(path) for path in paths]


def climb(leaf: bytes, place: int, leaves: int, path: bytes) -> bytes | None:
    """Return the root that a path leads to, None when the path does not fit the tree's size."""
    if not 0 <= place < leaves:
        return None
    here, count = leaf, leaves
    siblings = [path[i : i + HASH_BYTES] for i in range(0, len(path), HASH_BYTES)]
    while count > 1:
        if place ^ 1 < count:
            if not siblings:
                return None
            sibling = siblings.pop(0)
            here = _node(sibling, here) if place & 1 else _node(here, sibling)
        place, count = place // 2, (count + 1) // 2
    return None if siblings else here
