"""Calls as evidence: each call's facts in one text, each text linked to the one before. Pure.

The link is per called number: SHA-256 of the previous link's hash, a line feed, and the text. Who
changes, removes or slips in a call afterwards changes every hash after it.
"""

import hashlib
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from spms.inspections.model import HotlineCall

FIRST: Final = "0" * 64
"""What the first call of a number is linked to."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a number's chain."""

    number: str
    position: int
    """From 1, without gaps."""
    item_id: UUID
    attempt_no: int
    evidence: str
    previous_sha256: str
    sha256: str


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a chain beside the row that it tells of; None when that is gone."""

    link: Evidence
    call: HotlineCall | None


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 1
    item_id: UUID
    number: str
    call: HotlineCall


def text_of(item_id: UUID, number: str, call: HotlineCall) -> str:
    """Return the canonical text of a call: JSON, fields in their order, times in UTC."""
    return msgspec.json.encode(_Facts(item_id=item_id, number=number, call=call)).decode()


def digest(previous_sha256: str, text: str) -> str:
    """Return the hash that links a text to what went before."""
    return hashlib.sha256(f"{previous_sha256}\n{text}".encode()).hexdigest()


def seal(
    previous: tuple[int, str] | None, item_id: UUID, number: str, call: HotlineCall
) -> Evidence:
    """Link a call to the last (position, hash) of its number; None when it is the first."""
    position, before = previous or (0, FIRST)
    text = text_of(item_id, number, call)
    return Evidence(
        number=number, position=position + 1, item_id=item_id, attempt_no=call.attempt_no,
        evidence=text, previous_sha256=before, sha256=digest(before, text),
    )  # fmt: skip


def first_break(chain: Sequence[Evidence]) -> int | None:
    """Return the position at which a number's chain (in order) breaks; None: it is whole."""
    before = FIRST
    for position, link in enumerate(chain, 1):
        told = (link.position, link.previous_sha256, link.sha256)
        if told != (position, before, digest(before, link.evidence)):
            return position
        before = link.sha256
    return None


def disagrees(link: Evidence, item_id: UUID, number: str, call: HotlineCall) -> bool:
    """Whether a call as it is stored now is not what was sealed."""
    return link.evidence != text_of(item_id, number, call)
