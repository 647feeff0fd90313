"""The nouns of the book: entries and their lines, the ends of chains, what a check found."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from spms.compensation.accounts import Account


class EntryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One amount from one account to another."""

    id: UUID
    debit: Account
    credit: Account
    sp_id: UUID | None
    amount_fen: int
    reason: str
    reverses: UUID | None = None


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An entry about to be booked. Its id is its natural key: derive it from the event."""

    msisdn: str
    """The chain: a number, or what `journal.sp_chain` gives for an SP."""
    id: UUID
    kind: str
    charge_id: UUID | None = None
    reverses: UUID | None = None
    lines: list[EntryLine]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one charge has of an entry about several, to be taken back by itself."""

    id: UUID
    """The id that this part would have as an entry of its own."""
    charge_id: UUID
    lines: Mapping[str, tuple[UUID, int]]
    """By the line's reason: the id that its part has in `posting_of_charge`, and fen."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is booked."""

    msisdn: str
    id: UUID
    seq: int
    kind: str
    charge_id: UUID | None
    reverses: UUID | None
    amount_fen: int
    at: datetime
    actor: str
    lines: list[EntryLine]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one chain; of one that has no entries, 0 and nothing."""

    seq: int
    sha256: bytes


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """A draft in its place."""

    draft: Draft
    amount_fen: int
    before: Head
    after: Head


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that is not as it was written, or the gap where one was."""

    msisdn: str
    seq: int | None
    entry_id: UUID | None
    problems: list[str]


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """A kept balance that differs from what the postings say."""

    sp_id: UUID
    account: Account
    until_at: datetime
    kept_fen: int
    derived_fen: int
