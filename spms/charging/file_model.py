"""The nouns of charge files: how they are written, how far they are, what was quarantined."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec

from spms.charging.model import Reason


class FileFormat(StrEnum):
    """How a charge file is written."""

    CSV = "csv"
    NDJSON = "ndjson"


class Encoding(StrEnum):
    """How a charge file's characters are written; what is not declared is UTF-8."""

    UTF_8 = "utf-8"
    GB18030 = "gb18030"


class Packing(StrEnum):
    """What a charge file is wrapped in."""

    NONE = "none"
    GZIP = "gzip"
    ZIP = "zip"


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """How a charge file is written, as its sender declares it."""

    form: FileFormat
    encoding: Encoding = Encoding.UTF_8
    packing: Packing = Packing.NONE


class FileState(StrEnum):
    """How far a file is."""

    LANDING = "landing"
    """Part of it has landed; sending the same file again continues it."""
    DONE = "done"


class FileWarning(StrEnum):
    """What is odd about a file that was taken all the same."""

    NO_LINES = "no_lines"
    """It is well formed and holds no line of data: a header at most."""


class ChargeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A charge file and how far it is; the receipt when `state` is `done`."""

    id: UUID
    sp_id: UUID
    format: FileFormat
    encoding: Encoding
    sha256: str
    """Of the file after decompression, hexadecimal."""
    state: FileState
    received: int | None
    """Lines of data in the file: the header does not count. Null: not counted yet."""
    lines: int
    """Of them, those that are through: landed + quarantined + duplicates."""
    landed: int
    quarantined: int
    duplicates: int
    received_at: datetime
    finished_at: datetime | None = None
    warning: FileWarning | None = None
    """Null: there is nothing to say."""


class Tally(NamedTuple):
    """What became of some lines of a file: landed + quarantined + duplicates = lines."""

    lines: int
    landed: int
    quarantined: int
    duplicates: int


class ReasonCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many lines of a file were quarantined for one reason."""

    reason: Reason
    lines: int


class ChargeFileReport(ChargeFile, frozen=True, kw_only=True):
    """A charge file with its quarantine, counted by reason."""

    reasons: list[ReasonCount]


class QuarantinedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that did not become a charge. Its text stays with us: the sender has it."""

    line_no: int
    reason: Reason
    at: datetime
