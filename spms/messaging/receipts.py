"""Delivery receipts of an SMSC: what they say, and under which names they may mean a message.

The text form is that of appendix B of SMPP 3.4, which every SMSC writes a little differently.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from spms.messaging.smpp_pdu import ShortMessage, Tag

_KIND: Final = 0x3C
"""Bits of esm_class that tell what kind of message it is."""
_RECEIPT: Final = 0x04
_INTERMEDIATE: Final = 0x20

_STATES: Final[Mapping[int, str]] = {
    1: "ENROUTE", 2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 6: "ACCEPTD",
    7: "UNKNOWN", 8: "REJECTD",
}  # fmt: skip
DELIVERED: Final = frozenset({"DELIVRD"})
UNDELIVERED: Final = frozenset({"EXPIRED", "DELETED", "UNDELIV", "REJECTD", "UNKNOWN"})
UNDER_WAY: Final = frozenset({"ENROUTE", "ACCEPTD"})

_NAME: Final = re.compile("[!-~]{1,65}")
_ID: Final = re.compile(r"\bid:\s*([0-9A-Za-z_.-]{1,64})", re.IGNORECASE)
_STAT: Final = re.compile(r"\bstat:\s*([A-Za-z]{1,10})", re.IGNORECASE)
_DONE: Final = re.compile(r"\bdone date:\s*([0-9]{10}(?:[0-9]{2})?)\b", re.IGNORECASE)
_SPELLINGS: Final = {"DELIVERED": "DELIVRD", "UNDELIVERED": "UNDELIV", "REJECTED": "REJECTD"}

_DECIMAL: Final = re.compile("[0-9]{1,65}")
_HEXADECIMAL: Final = re.compile("[0-9a-fA-F]{1,65}")


class ReceiptRead(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt as far as it could be read."""

    message_id: str | None
    """Canonical."""
    stat: str | None
    """One of the appendix's words; None when there is none of them in it."""
    done_at: datetime | None
    """When the message was delivered by the SMSC's clock, taken for UTC (it never says)."""

    @property
    def final(self) -> bool:
        """Whether it says what became of a message."""
        return self.message_id is not None and self.stat in DELIVERED | UNDELIVERED

    @property
    def under_way(self) -> bool:
        """Whether it only says that the message has come a step further."""
        return self.stat in UNDER_WAY

    @property
    def delivered(self) -> bool:
        """Whether the handset has the message."""
        return self.stat in DELIVERED


def read(message: ShortMessage) -> ReceiptRead | None:
    """Read a receipt; None when the message is none and so comes from a subscriber.

    A text alone makes no receipt: a subscriber could write one. The SMSC must say so, by
    esm_class or by the optional parameters that only it sets.
    """
    name = message.options.get(Tag.RECEIPTED_MESSAGE_ID)
    state = message.options.get(Tag.MESSAGE_STATE)
    kind = message.esm_class & _KIND
    if kind not in {_RECEIPT, _INTERMEDIATE} and (name is None or state is None):
        return None
    text = message.payload.decode("latin-1")
    message_id = _found(_ID, text) if name is None else name.rstrip(b"\0").decode("latin-1")
    stat = _STATES.get(state[0]) if state else (_found(_STAT, text) or "").upper()
    stat = _SPELLINGS.get(stat or "", stat)
    if stat not in DELIVERED | UNDELIVERED | UNDER_WAY:
        stat = None
    if message_id is not None and _NAME.fullmatch(message_id) is None:
        message_id = None
    message_id = message_id and canonical(message_id)
    return ReceiptRead(message_id=message_id, stat=stat, done_at=_done_at(text))


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match and match[1]


def _done_at(text: str) -> datetime | None:
    digits = _found(_DONE, text)
    if digits is None:
        return None
    try:
        return datetime.strptime(digits.ljust(12, "0"), "%y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def canonical(message_id: str) -> str:
    """Return an id as we keep it: a number without leading zeros and in small letters."""
    if _HEXADECIMAL.fullmatch(message_id) is None:
        return message_id
    return message_id.lower().lstrip("0") or "0"


def forms(message_id: str) -> list[str]:
    """Return the canonical ids that may mean the same message as this one.

    Many SMSCs write an id in decimal where they take a message and in hexadecimal where they
    report on it, or the other way round. Whoever compares the forms must compare the subscriber's
    number as well.
    """
    found = {message_id}
    if _DECIMAL.fullmatch(message_id):
        found.add(f"{int(message_id):x}")
    if _HEXADECIMAL.fullmatch(message_id):
        found.add(str(int(message_id, 16)))
    return sorted(found)
