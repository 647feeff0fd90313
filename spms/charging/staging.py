"""From physical lines to a chunk that the database can take by COPY, without an object for each line.

Nearly every line is written in the plain form that one pattern knows; it goes to the database as the
bytes it came in. Whatever the pattern does not know is read by `parsing`, which alone says what a
line is: the pattern only lets through what `parsing` reads the same way (a test holds that).
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from spms.charging.file_model import Encoding, FileFormat
from spms.charging.model import COLUMNS, ChargeRecordIn, Line, Reason
from spms.charging.parsing import content_sha256, read_line

# A day that the month has; the 29th of February is left to `parsing`, which knows the years.
_DAY: Final = (
    r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    r"|(?:0[13578]|1[02])-31)"
)
_PLAIN: Final = {
    "record_id": r"[A-Za-z0-9._:-]{1,64}",
    "service_code": r"[0-9]{4,8}",
    "msisdn": r"861[3-9][0-9]{9}",
    "charged_at": rf"20[0-9]{{2}}-{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,6})?(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])",
    "price_fen": r"(?:[1-9][0-9]{0,5}|1000000)",
    "delivery": r"(?:delivered|failed|none)",
}
_QUOTED: Final = {
    name: f'"{name}": ?' + (f"({form})" if name == "price_fen" else f'"({form})"')
    for name, form in _PLAIN.items()
}
LENGTH_IN_UTC: Final = len("2026-03-02T04:00:00Z")
PLAIN_CSV: Final = re.compile(",".join(_PLAIN[name] for name in COLUMNS).encode())
PLAIN_NDJSON: Final = re.compile(
    (r"\{" + ", ?".join(_QUOTED[name] for name in COLUMNS) + r"\}").encode()
)


class Chunk(msgspec.Struct, kw_only=True):
    """Some lines of a file, on their way into the database."""

    first_line_no: int
    raws: list[bytes]
    """The lines as they came, without their ends."""
    rows: list[bytes]
    """Those that are a record, as COPY reads them: line number, then the columns."""
    bad: list[Line]
    """Those that are none, each with its reason."""

    def spoiled(self, line_no: int, reason: Reason) -> Line:
        """Return a line of the chunk that is a record and yet no charge."""
        return Line(line_no=line_no, raw=self.raws[line_no - self.first_line_no], reason=reason)


def staged(
    raws: Sequence[bytes], first_line_no: int, form: FileFormat, encoding: Encoding
) -> Chunk:
    """Read lines without their ends. Never raises."""
    chunk = Chunk(first_line_no=first_line_no, raws=list(raws), rows=[], bad=[])
    plain_csv = PLAIN_CSV.fullmatch if form is FileFormat.CSV else None
    row = chunk.rows.append
    for line_no, raw in enumerate(raws, first_line_no):
        if plain_csv is not None:
            if plain_csv(raw):
                row(_row(line_no, raw, raw.split(b",")))
                continue
        elif found := PLAIN_NDJSON.fullmatch(raw):
            fields = found.groups()
            row(_row(line_no, b",".join(fields), fields))
            continue
        line = read_line(line_no, raw, form, encoding)
        if line.record is None:
            chunk.bad.append(line)
        else:
            row(row_of(line_no, line.record))
    return chunk


def row_of(line_no: int, record: ChargeRecordIn) -> bytes:
    """Write a record as COPY reads it; none of its fields can hold a comma or a backslash."""
    return (
        f"{line_no},{record.record_id},{record.service_code},{record.msisdn},"
        f"{record.charged_at.isoformat()},{record.price_fen},{record.delivery.value},"
        f"\\\\x{content_sha256(record).hex()}\n"
    ).encode()


def _row(line_no: int, raw: bytes, fields: Sequence[bytes]) -> bytes:
    """Do the same for the fields of a plain line, with the hash of `parsing.content_sha256`."""
    _, service_code, msisdn, charged_at, price_fen, delivery = fields
    if charged_at.endswith(b"Z") and len(charged_at) == LENGTH_IN_UTC:
        at = charged_at[:-1] + b"+00:00"
    else:
        at = datetime.fromisoformat(charged_at.decode()).astimezone(UTC).isoformat().encode()
    content = b"\x1f".join((service_code, msisdn, at, price_fen, delivery))
    return b"%d,%b,\\\\x%b\n" % (line_no, raw, hashlib.sha256(content).hexdigest().encode())
