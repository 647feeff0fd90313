"""The nouns: messages in and out, links' words, the sandbox's phones."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.core.phone import Msisdn


class MessageKind(StrEnum):
    """What a message of ours is for."""

    PROMPT = "prompt"
    """二次确认: asks for the second yes."""
    WELCOME = "welcome"
    """A service was subscribed or ordered."""
    LEFT = "left"
    """A service was left."""
    LIST = "list"
    """The numbered list of what is subscribed."""
    HELP = "help"
    """Answer to a text that was not understood."""
    RECEIPT = "receipt"
    """A charge was made."""
    REMINDER = "reminder"
    """A renewal or a spending limit is near."""
    REFUND = "refund"
    """Money was given back."""
    CODE = "code"
    """A one-time code."""
    INFO = "info"
    """Anything else the subscriber must know."""


class MessageState(StrEnum):
    """How far a message out has come."""

    QUEUED = "queued"
    SENDING = "sending"
    """A courier has it until the lease ends."""
    UNKNOWN = "unknown"
    """It may have reached the network or not; sent once more when the lease ends."""
    SENT = "sent"
    """The network took it."""
    DELIVERED = "delivered"
    """The handset has it."""
    FAILED = "failed"


class MessagingRules(msgspec.Struct, frozen=True, kw_only=True):
    """Section `messaging` of the rulebook."""

    operator_number: str = "10010"
    """The number shown as sender, and to which confirmations and commands go."""
    help_per_day: int = 1
    """Help messages to one number in 24 h, so that two answering machines do not talk forever."""
    validity_hours: int = 24
    """A message that could not be handed to the network for so long is given up."""
    keep_receipts_days: int = 31
    """A delivery receipt is kept so long after its message took over what it says."""
    keep_days: int = 366
    """Orphaned receipts, strays and the links' names for messages are kept so long, as messages are."""


class MessageOut(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a subscriber, as the courier hands it to a link."""

    msisdn: str
    queued_at: datetime
    id: UUID
    sender: str
    text: str
    kind: MessageKind
    about_kind: str
    about_id: str
    state: MessageState
    attempts: int
    """How often it may have reached the network, this time included."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be queued together with others."""

    msisdn: str
    text: str
    kind: MessageKind
    about_kind: str
    about_id: object
    """With `about_kind` the thing it is about; kept as text."""
    sender: str | None = None
    """The operator's number unless said."""
    due_at: datetime | None = None
    """At once unless said."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A message out, and the name under which a link took it."""

    message: MessageOut
    link: str
    link_message_id: str
    pdu: bytes | None = None
    """The submit_sm of each part as written to the line; None where the link has no PDUs."""
    parts: tuple[str, ...] = ()
    """The link's names for the parts, where it has several and names each."""


class IncomingSms(msgspec.Struct, frozen=True, kw_only=True):
    """A message from a subscriber, as a link hands it over."""

    msisdn: str
    called: str
    """The number it was sent to; empty when it could not be read."""
    text: str | None
    """None: could not be decoded."""
    raw: bytes
    """Its text as it came over the link."""
    link: str
    link_message_id: str
    """The link's own name for it; the same again is the same message."""
    pdu: bytes | None = None
    """The deliver_sm of each part as it came; None where the link has no PDUs."""


class MessageIn(msgspec.Struct, frozen=True, kw_only=True):
    """A message from a subscriber, stored."""

    msisdn: str
    received_at: datetime
    """The instant that counts for every deadline and for the end of a charge."""
    id: UUID
    called: str
    text: str | None
    link: str
    link_message_id: str
    handled_at: datetime | None = None
    reading: str | None = None
    outcome: str | None = None


class Direction(StrEnum):
    """Which way a message on a sandbox phone's screen went."""

    TO_PHONE = "to_phone"
    FROM_PHONE = "from_phone"


class Phone(msgspec.Struct, frozen=True, kw_only=True):
    """A demonstration phone."""

    msisdn: str
    label: str
    reachable: bool
    last_seq: int | None = None
    """Of the newest message on its screen."""
    last_at: datetime | None = None
    last_text: str | None = None


class PhoneIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A demonstration phone to add or change."""

    msisdn: Msisdn
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    reachable: bool = True
    """False: switched off; what is sent to it fails."""


class ScreenSms(msgspec.Struct, frozen=True, kw_only=True):
    """A message on a sandbox phone's screen."""

    seq: int
    direction: Direction
    other: str
    """The other party's number."""
    text: str
    at: datetime


class OpenWish(msgspec.Struct, frozen=True, kw_only=True):
    """An SMS that may be a wish to leave and was put aside for a person. It holds the number."""

    msisdn: str
    received_at: datetime
    message_id: UUID
    called: str
    text: str | None
    outcome: str | None


class Stray(msgspec.Struct, frozen=True, kw_only=True):
    """What a link delivered and we cannot put under a number."""

    id: UUID
    why: str
    """`source`: the sender cannot be read; `broken`: the whole of it. `destination` is of the past:
    to a receiver that cannot be read a message is stored, and may be a wish to leave."""
    raw: bytes
    """The body of the PDU, as it came."""


class StrayShown(msgspec.Struct, frozen=True, kw_only=True):
    """A message under no number of ours, without its content."""

    id: UUID
    link: str
    why: str
    """`source`: the sender cannot be read; `broken`: the whole of it. `destination` is of the past:
    to a receiver that cannot be read a message is stored, and may be a wish to leave."""
    first_at: datetime
    last_at: datetime
    times: int
    """How often the same came."""


class StrayRead(msgspec.Struct, frozen=True, kw_only=True):
    """What came, octet by octet."""

    id: UUID
    raw: bytes
    """The body of the deliver_sm, in base64."""
