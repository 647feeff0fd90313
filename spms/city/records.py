"""The nouns of what companies report: records with their labels, broken lines, parcels."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from spms.city.model import Fault


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A charge record as a company reports it, with its label."""

    serial: int
    """The record's id within the play."""
    company: int
    offer: int
    person: int
    at: datetime
    price_fen: int
    delivery: str
    fault: Fault | None = None
    due_fen: int

    @property
    def reported(self) -> bool:
        """Whether the company reports it at all."""
        return self.fault is not Fault.DELIVERED_NOT_CHARGED


class Spoiled(StrEnum):
    """How a planted line is broken; the platform's quarantine reasons have the same names."""

    MSISDN_LENGTH = "msisdn_length"
    MSISDN_PREFIX = "msisdn_prefix"
    MSISDN_MASKED = "msisdn_masked"
    AMOUNT_FORMAT = "amount_format"
    AMOUNT_RANGE = "amount_range"
    TIME_FORMAT = "time_format"
    TIME_OLD = "time_old"
    TIME_FUTURE = "time_future"
    SERVICE_UNKNOWN = "service_unknown"
    DELIVERY_UNKNOWN = "delivery_unknown"
    COLUMN_COUNT = "column_count"
    RECORD_ID_FORMAT = "record_id_format"
    DUP_CONFLICT = "dup_conflict"
    JSON_MALFORMED = "json_malformed"
    QUOTE_MALFORMED = "quote_malformed"
    HEADER_ROW = "header_row"


class Form(StrEnum):
    """How a day's records are delivered."""

    BATCH = "batch"
    """In the body of a request."""
    CSV = "csv"
    NDJSON = "ndjson"
    CSV_GZ = "csv.gz"
    NDJSON_GZ = "ndjson.gz"

    @property
    def is_csv(self) -> bool:
        """Whether the lines are comma-separated."""
        return self in {Form.CSV, Form.CSV_GZ}

    @property
    def is_gzip(self) -> bool:
        """Whether the file is compressed."""
        return self in {Form.CSV_GZ, Form.NDJSON_GZ}


class Spoil(msgspec.Struct, frozen=True, kw_only=True):
    """A line that must be quarantined, and the good record it was made from."""

    reason: Spoiled
    row: Row


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What one company delivers at the end of one day."""

    n: int
    company: int
    at: timedelta
    form: Form
    rows: tuple[Row, ...]
    spoils: tuple[Spoil, ...] = ()
    again: bool = False
    """Delivered twice, byte for byte."""
