"""The nouns of charging: records, why one is quarantined, what is wrong with one, the bill."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.core.money import Price

COLUMNS = ("record_id", "service_code", "msisdn", "charged_at", "price_fen", "delivery")
"""The header of a CSV file, exactly and in this order; the keys of an NDJSON line."""


class Delivery(StrEnum):
    """What became of what was paid for, as the network saw it."""

    DELIVERED = "delivered"
    FAILED = "failed"
    NONE = "none"
    """Nothing was to be delivered by message."""


class Kind(StrEnum):
    """What a charge is for; the service's kind when it landed."""

    MONTHLY = "monthly"
    ON_DEMAND = "on_demand"


class Finding(StrEnum):
    """What is wrong with a charge. Each finding says how much of the charge was due."""

    DUPLICATE = "duplicate"
    """The month, or the order, was charged before."""
    NO_CONSENT = "no_consent"
    """This holder of the number never agreed, or the order was used up by time."""
    AFTER_UNSUBSCRIBE = "after_unsubscribe"
    """The person had left (TD) when the charge was made."""
    IN_TRIAL = "in_trial"
    """Before the first charge date that the person was told."""
    PRICE_MISMATCH = "price_mismatch"
    """More than the person agreed to; a lower price is no error."""
    NUMBER_SUSPENDED = "number_suspended"
    NUMBER_TERMINATED = "number_terminated"
    UNDELIVERED = "undelivered"
    """What was paid for did not arrive."""
    BARRED = "barred"
    """The number's holder barred all, the SP or the category when the charge was made."""
    OVER_CAP = "over_cap"
    """Over the monthly cap of the number and service, or of the number over all services;
    the holder's own cap at the instant of the charge, else the operator's."""

    AFTER_TRANSFER = "after_transfer"
    """Agreed to by a former holder of the number; the present one never did."""
    OTHER_SERVICE = "other_service"
    """The fee code of a service this holder does not have, at the price of one of the same SP
    that she has."""
    MT_WITHOUT_MO = "mt_without_mo"
    """An on-demand service that this holder never ordered by any message."""
    SPLIT_CHARGES = "split_charges"
    """One of several charges of one SP in quick succession which together come to more than one
    charge may (a rolling sum)."""
    NO_DECISION = "no_decision"
    """The SP never asked whether it may (鉴权)."""
    RESERVED_NOT_DELIVERED = "reserved_not_delivered"
    """Decided and held (预占), then let go or run out: nothing was delivered for it."""
    DELIVERED_NOT_CHARGED = "delivered_not_charged"
    """Held and captured, and no charge ever came for it. About no charge, so only observed."""


class Mode(StrEnum):
    """What follows when a rule of the audit strikes."""

    REFUND = "refund"
    """A finding: what was not due is paid back by itself."""
    REVIEW = "review"
    """A suspicion: a person decides whether it is a finding."""
    OBSERVE = "observe"
    """Counted, and nothing else: how a rule is tried before it is trusted."""


class Reason(StrEnum):
    """Why a line did not become a charge."""

    ENCODING = "encoding"
    NUL_CHAR = "nul_char"
    LINE_TOO_LONG = "line_too_long"
    QUOTE_MALFORMED = "quote_malformed"
    COLUMN_COUNT = "column_count"
    HEADER_ROW = "header_row"
    JSON_MALFORMED = "json_malformed"
    RECORD_ID_FORMAT = "record_id_format"
    SERVICE_CODE_FORMAT = "service_code_format"
    MSISDN_FORMAT = "msisdn_format"
    MSISDN_LENGTH = "msisdn_length"
    MSISDN_TYPE_NOT_ALLOWED = "msisdn_type_not_allowed"
    MSISDN_PREFIX = "msisdn_prefix"
    MSISDN_MASKED = "msisdn_masked"
    TIME_FORMAT = "time_format"
    AMOUNT_FORMAT = "amount_format"
    AMOUNT_RANGE = "amount_range"
    DELIVERY_UNKNOWN = "delivery_unknown"
    SERVICE_UNKNOWN = "service_unknown"
    """No such service, or not one of this SP's."""
    TIME_FUTURE = "time_future"
    """More than five minutes ahead of our clock."""
    TIME_OLD = "time_old"
    """More than 72 hours before the record, or the file it came in, first reached us."""
    PERIOD_CLOSED = "period_closed"
    """Of a month that is sealed: nothing is added to it any more."""
    DUP_CONFLICT = "dup_conflict"
    """This record id came before with other content."""


class ChargeRecordIn(msgspec.Struct, frozen=True, kw_only=True):
    """One well-formed record, as the SP reports it."""

    record_id: str
    service_code: str
    msisdn: str
    charged_at: datetime
    price_fen: Price
    delivery: Delivery


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a file, or place in a batch: a record, or the reason why it is none."""

    line_no: int
    """From 1."""
    raw: bytes
    record: ChargeRecordIn | None = None
    reason: Reason | None = None


class LineResult(StrEnum):
    """What became of one line."""

    LANDED = "landed"
    SEEN = "seen"
    """The same record came before; nothing was done."""
    QUARANTINED = "quarantined"


class LineOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one line, and the verdict when it landed."""

    line_no: int
    result: LineResult
    record_id: str | None = None
    """Null when it could not be read."""
    charge_id: UUID | None = None
    """Of the record that stands under this id."""
    reason: Reason | None = None
    findings: tuple[Finding, ...] = ()
    due_fen: int | None = None


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch: landed + quarantined + duplicates = lines."""

    lines: int
    landed: int
    quarantined: int
    duplicates: int
    """Records that had come before, with the same content."""
    outcomes: list[LineOutcome]
    """In the order in which the lines came."""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A charge as it stands now: as it landed, with every finding since."""

    id: UUID
    msisdn: str
    sp_id: UUID
    service_id: UUID
    record_id: str
    kind: Kind
    charged_at: datetime
    received_at: datetime
    price_fen: int
    due_fen: int
    """The least that any finding leaves; the price when there is none."""
    delivery: Delivery
    findings: list[Finding]
    consent_id: UUID | None
    tariff_id: UUID | None
    authorisation_id: UUID | None
    file_id: UUID | None
    rulebook_version: int


class RecordIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One charge record. A value that breaks its form is quarantined, the others land."""

    record_id: Annotated[
        str,
        msgspec.Meta(
            max_length=128,
            description="The SP's own id, for ever unique: letters, digits and ._:- (1 to 64)",
            examples=["20260302-000001"],
        ),
    ]
    service_code: Annotated[str, msgspec.Meta(max_length=128, examples=["600001"])]
    msisdn: Annotated[str, msgspec.Meta(max_length=128, examples=["8613800138000"])]
    charged_at: Annotated[
        str,
        msgspec.Meta(
            max_length=128,
            description="RFC 3339 with its offset; at most 72 hours ago",
            examples=["2026-03-02T12:00:00+08:00"],
        ),
    ]
    price_fen: Annotated[
        int, msgspec.Meta(description="Price in fen, 1 to 1,000,000", examples=[800])
    ]
    delivery: Annotated[
        str, msgspec.Meta(max_length=128, description="delivered, failed or none")
    ] = "none"


class RecordBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Charge records, at most a thousand."""

    records: Annotated[list[RecordIn], msgspec.Meta(min_length=1, max_length=1000)]


class ChargingRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rulebook section `charging`: how near to our clock a record must be."""

    oldest_hours: Annotated[int, msgspec.Meta(ge=1, le=744)] = 72
    """A record may be this many hours old when it reaches us (reference: reliability S8)."""
    ahead_minutes: Annotated[int, msgspec.Meta(ge=0, le=60)] = 5
    """And this far ahead of our clock."""


class AuditRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rulebook section `audit`: the rules no promise rests on. All others always refund."""

    split_mode: Mode = Mode.REVIEW
    split_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 30
    split_charges: Annotated[int, msgspec.Meta(ge=2, le=100)] = 3
    """From this many charges of one SP to one number within the minutes on …"""
    split_fen: Annotated[int, msgspec.Meta(ge=1)] = 1_000
    """… which together come to more than this, the one that takes them over it is suspect."""
    no_decision_mode: Mode = Mode.OBSERVE
    reserved_mode: Mode = Mode.REVIEW
    """Of `reserved_not_delivered`: a gateway that fails to capture is no proof against the SP."""
    uncharged_hours: Annotated[int, msgspec.Meta(ge=0, le=240)] = 24
    """A delivery is `delivered_not_charged` this long after a record of it would be too old."""

    def mode(self, kind: Finding) -> Mode:
        """Return what follows from a finding of a kind."""
        match kind:
            case Finding.SPLIT_CHARGES:
                return self.split_mode
            case Finding.NO_DECISION:
                return self.no_decision_mode
            case Finding.RESERVED_NOT_DELIVERED:
                return self.reserved_mode
            case Finding.DELIVERED_NOT_CHARGED:
                return Mode.OBSERVE
            case _:
                return Mode.REFUND
