"""From bytes to lines: every physical line becomes a record or gets a reason. Never raises.

A line ends at LF (a CR before it is dropped) and nowhere else: an unclosed quote or a broken
character spoils its own line only, and the next LF is a fresh start.
"""

import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import msgspec

from spms.charging.file_model import Encoding, FileFormat
from spms.charging.model import COLUMNS, ChargeRecordIn, Delivery, Line, Reason, RecordIn
from spms.core.phone import PhoneError, parse_msisdn
from spms.core.strict import Fault, Malformed, scan_json

LINE_LIMIT_BYTES: Final = 65_536
"""A longer line is quarantined; only its first kilobyte is kept."""
KEPT_OF_A_LONG_LINE: Final = 1_024
BOM: Final = b"\xef\xbb\xbf"
UTF_16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")

_RECORD_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_SERVICE_CODE: Final = re.compile(r"[0-9]{4,8}")
_AMOUNT: Final = re.compile(r"0|[1-9][0-9]*")
_AMOUNT_DIGITS: Final = 7
_PRICE_MAX: Final = 1_000_000
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_DELIVERIES: Final = {delivery.value: delivery for delivery in Delivery}


class Unreadable(Exception):  # noqa: N818 -- a verdict on the line, not a failure of ours
    """A line that is no record, and why."""

    def __init__(self, reason: Reason) -> None:
        """Keep the reason."""
        super().__init__(reason.value)
        self.reason = reason


def read_csv(raw: bytes) -> ChargeRecordIn:
    """Read one line of a CSV file (without its end); raise `Unreadable`."""
    text = _text(raw)
    if '"' in text:
        try:
            fields = next(csv.reader([text], strict=True))
        except (csv.Error, StopIteration):
            raise Unreadable(Reason.QUOTE_MALFORMED) from None
    else:
        fields = text.split(",")
    if tuple(fields) == COLUMNS:
        raise Unreadable(Reason.HEADER_ROW)
    if len(fields) != len(COLUMNS):
        raise Unreadable(Reason.COLUMN_COUNT)
    record_id, service_code, msisdn, charged_at, price_fen, delivery = fields
    return _record(record_id, service_code, msisdn, charged_at, _amount(price_fen), delivery)


def read_ndjson(raw: bytes) -> ChargeRecordIn:
    """Read one line of an NDJSON file (without its end); raise `Unreadable`."""
    _text(raw)
    try:
        scan_json(raw)
        value = msgspec.json.decode(raw)
    except Malformed as error:
        nul = error.code is Fault.NUL_CHAR
        raise Unreadable(Reason.NUL_CHAR if nul else Reason.JSON_MALFORMED) from None
    except msgspec.DecodeError:
        raise Unreadable(Reason.JSON_MALFORMED) from None
    if not isinstance(value, dict):
        raise Unreadable(Reason.JSON_MALFORMED)
    if value.keys() != set(COLUMNS):
        raise Unreadable(Reason.COLUMN_COUNT)
    return _json_record(value)


def read_body(line_no: int, record: RecordIn) -> Line:
    """Read one record of a JSON body; its form decides as it does in a file."""
    raw = msgspec.json.encode(record)
    try:
        return Line(line_no=line_no, raw=raw, record=_json_record(msgspec.structs.asdict(record)))
    except Unreadable as error:
        return Line(line_no=line_no, raw=raw, reason=error.reason)


READERS: Final[dict[FileFormat, Callable[[bytes], ChargeRecordIn]]] = {
    FileFormat.CSV: read_csv,
    FileFormat.NDJSON: read_ndjson,
}


def read_line(
    line_no: int, raw: bytes, form: FileFormat, encoding: Encoding = Encoding.UTF_8
) -> Line:
    """Read one physical line without its end; a long one was cut to the limit plus one byte.

    What is declared is what is read, never guessed: much GB18030 is valid UTF-8 and says nonsense.
    """
    if len(raw) > LINE_LIMIT_BYTES:
        kept = raw[:KEPT_OF_A_LONG_LINE]
        return Line(line_no=line_no, raw=kept, reason=Reason.LINE_TOO_LONG)
    try:
        text = raw if encoding is Encoding.UTF_8 else _from_gb18030(raw)
        return Line(line_no=line_no, raw=raw, record=READERS[form](text))
    except Unreadable as error:
        return Line(line_no=line_no, raw=raw, reason=error.reason)


def physical_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines without their ends, each cut to one byte over the limit. Memory is bounded."""
    while piece := file.readline(LINE_LIMIT_BYTES + 2):
        rest = piece
        while not rest.endswith(b"\n"):
            rest = file.readline(LINE_LIMIT_BYTES)
            if not rest:
                break
        yield piece.removesuffix(b"\n").removesuffix(b"\r")[: LINE_LIMIT_BYTES + 1]


def content_sha256(record: ChargeRecordIn) -> bytes:
    """Return what two deliveries of one record have in common, however they were written."""
    content = (
        f"{record.service_code}\x1f{record.msisdn}\x1f{record.charged_at.isoformat()}"
        f"\x1f{record.price_fen}\x1f{record.delivery.value}"
    )
    return hashlib.sha256(content.encode()).digest()


def _from_gb18030(raw: bytes) -> bytes:
    try:
        return raw.decode("gb18030").encode()
    except UnicodeError:
        raise Unreadable(Reason.ENCODING) from None


def _text(raw: bytes) -> str:
    if b"\x00" in raw:
        raise Unreadable(Reason.NUL_CHAR)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable(Reason.ENCODING) from None


def _json_record(value: dict[str, Any]) -> ChargeRecordIn:
    def text(name: str, reason: Reason) -> str:
        field = value[name]
        if not isinstance(field, str):
            raise Unreadable(reason)
        return field

    price = value["price_fen"]
    if type(price) is not int:  # True is an int too
        raise Unreadable(Reason.AMOUNT_FORMAT)
    return _record(
        text("record_id", Reason.RECORD_ID_FORMAT),
        text("service_code", Reason.SERVICE_CODE_FORMAT),
        text("msisdn", Reason.MSISDN_FORMAT),
        text("charged_at", Reason.TIME_FORMAT),
        price,
        text("delivery", Reason.DELIVERY_UNKNOWN),
    )


def _record(  # noqa: PLR0917 -- the columns in their order
    record_id: str, service_code: str, msisdn: str, charged_at: str, price_fen: int, delivery: str
) -> ChargeRecordIn:
    if _RECORD_ID.fullmatch(record_id) is None:
        raise Unreadable(Reason.RECORD_ID_FORMAT)
    if _SERVICE_CODE.fullmatch(service_code) is None:
        raise Unreadable(Reason.SERVICE_CODE_FORMAT)
    try:
        number = parse_msisdn(msisdn)
    except PhoneError as error:
        raise Unreadable(Reason(error.code.value)) from None
    at = _instant(charged_at)
    if not 1 <= price_fen <= _PRICE_MAX:
        raise Unreadable(Reason.AMOUNT_RANGE)
    if delivery not in _DELIVERIES:
        raise Unreadable(Reason.DELIVERY_UNKNOWN)
    return ChargeRecordIn(
        record_id=record_id,
        service_code=service_code,
        msisdn=number,
        charged_at=at,
        price_fen=price_fen,
        delivery=_DELIVERIES[delivery],
    )


def _instant(text: str) -> datetime:
    if _TIME.fullmatch(text) is None:
        raise Unreadable(Reason.TIME_FORMAT)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable(Reason.TIME_FORMAT) from None


def _amount(text: str) -> int:
    """Read whole fen in ASCII digits; `1.00`, `+1`, `1e2`, ` 1` and full-width digits are none."""
    if _AMOUNT.fullmatch(text) is None:
        raise Unreadable(Reason.AMOUNT_FORMAT)
    if len(text) > _AMOUNT_DIGITS:
        raise Unreadable(Reason.AMOUNT_RANGE)
    return int(text)
