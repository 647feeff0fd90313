"""From bytes to records or reasons: tables of cases, and any bytes at all."""

import io
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.charging.file_model import FileFormat
from spms.charging.model import COLUMNS, Delivery, Line, Reason, RecordIn
from spms.charging.parsing import (
    LINE_LIMIT_BYTES,
    content_sha256,
    physical_lines,
    read_body,
    read_line,
)

GOOD = "r-1,600001,8613800138000,2026-03-02T12:00:00+08:00,800,delivered"


def csv(**changes):
    values = dict(zip(COLUMNS, GOOD.split(","), strict=True)) | changes
    return ",".join(values.values()).encode()


def ndjson(**changes):
    values = dict(zip(COLUMNS, GOOD.split(","), strict=True)) | {"price_fen": 800} | changes
    return msgspec.json.encode(values)


def reason(raw, form=FileFormat.CSV):
    return read_line(1, raw, form).reason


def test_a_good_line_becomes_a_record_in_utc():
    line = read_line(7, GOOD.encode(), FileFormat.CSV)
    assert line.line_no == 7
    assert line.reason is None
    assert line.record is not None
    assert line.record.charged_at == datetime(2026, 3, 2, 4, tzinfo=UTC)
    assert line.record.price_fen == 800
    assert line.record.delivery is Delivery.DELIVERED


def test_the_same_record_has_one_content_however_it_is_written():
    quoted = b'"r-1",600001,"8613800138000",2026-03-02T04:00:00.000Z,800,delivered'
    lines = [
        read_line(1, GOOD.encode(), FileFormat.CSV),
        read_line(1, quoted, FileFormat.CSV),
        read_line(1, ndjson(), FileFormat.NDJSON),
    ]
    assert len({content_sha256(line.record) for line in lines}) == 1
    assert content_sha256(read_line(1, csv(price_fen="801"), FileFormat.CSV).record) != (
        content_sha256(lines[0].record)
    )


FIELD_CASES = [
    ("record_id", "", Reason.RECORD_ID_FORMAT),
    ("record_id", "a b", Reason.RECORD_ID_FORMAT),
    ("record_id", "x" * 65, Reason.RECORD_ID_FORMAT),
    ("record_id", "=HYPERLINK(1)", Reason.RECORD_ID_FORMAT),
    ("record_id", "号1", Reason.RECORD_ID_FORMAT),
    ("service_code", "123", Reason.SERVICE_CODE_FORMAT),
    ("service_code", "６００００１", Reason.SERVICE_CODE_FORMAT),
    ("service_code", "600001 ", Reason.SERVICE_CODE_FORMAT),
    ("msisdn", "13800138000", Reason.MSISDN_FORMAT),
    ("msisdn", "+8613800138000", Reason.MSISDN_FORMAT),
    ("msisdn", "1.38E+10", Reason.MSISDN_FORMAT),
    ("msisdn", "'8613800138000", Reason.MSISDN_FORMAT),
    ("msisdn", "861380013800", Reason.MSISDN_LENGTH),
    ("msisdn", "8612800138000", Reason.MSISDN_PREFIX),
    ("msisdn", "861064123456789", Reason.MSISDN_TYPE_NOT_ALLOWED),
    ("msisdn", "86138****8000", Reason.MSISDN_MASKED),
    ("msisdn", "", Reason.MSISDN_FORMAT),
    ("charged_at", "2026/1/2", Reason.TIME_FORMAT),
    ("charged_at", "46024", Reason.TIME_FORMAT),
    ("charged_at", "20260102", Reason.TIME_FORMAT),
    ("charged_at", "2026-03-02T12:00:00", Reason.TIME_FORMAT),
    ("charged_at", "2026-11-31T12:00:00Z", Reason.TIME_FORMAT),
    ("charged_at", "2026-03-02T23:59:60Z", Reason.TIME_FORMAT),
    ("charged_at", "0001-01-01T00:00:00+23:59", Reason.TIME_FORMAT),
    ("charged_at", "2026-03-02 12:00:00+08:00", Reason.TIME_FORMAT),
    ("charged_at", "2026-03-02T12:00:00+25:00", Reason.TIME_FORMAT),
    ("delivery", "", Reason.DELIVERY_UNKNOWN),
    ("delivery", "Delivered", Reason.DELIVERY_UNKNOWN),
]


@pytest.mark.parametrize(("column", "value", "expected"), FIELD_CASES)
def test_a_field_that_breaks_its_form_names_itself(column, value, expected):
    assert reason(csv(**{column: value})) is expected
    assert reason(ndjson(**{column: value}), FileFormat.NDJSON) is expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("1.00", Reason.AMOUNT_FORMAT),
        ("１００", Reason.AMOUNT_FORMAT),
        ("¥1", Reason.AMOUNT_FORMAT),
        ("1e2", Reason.AMOUNT_FORMAT),
        ("+1", Reason.AMOUNT_FORMAT),
        ("-1", Reason.AMOUNT_FORMAT),
        (" 1", Reason.AMOUNT_FORMAT),
        ("007", Reason.AMOUNT_FORMAT),
        ("", Reason.AMOUNT_FORMAT),
        ("0", Reason.AMOUNT_RANGE),
        ("1000001", Reason.AMOUNT_RANGE),
        ("9" * 5000, Reason.AMOUNT_RANGE),
        ("1", None),
        ("1000000", None),
    ],
)
def test_an_amount_is_whole_fen_in_plain_digits(amount, expected):
    assert reason(csv(price_fen=amount)) is expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (1.0, Reason.AMOUNT_FORMAT),
        (True, Reason.AMOUNT_FORMAT),
        ("800", Reason.AMOUNT_FORMAT),
        (None, Reason.AMOUNT_FORMAT),
        (0, Reason.AMOUNT_RANGE),
        (-1, Reason.AMOUNT_RANGE),
        (2**60, Reason.AMOUNT_RANGE),
        (800, None),
    ],
)
def test_an_amount_in_json_is_an_integer(amount, expected):
    assert reason(ndjson(price_fen=amount), FileFormat.NDJSON) is expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", Reason.COLUMN_COUNT),
        (b"a,b", Reason.COLUMN_COUNT),
        (GOOD.encode() + b",", Reason.COLUMN_COUNT),
        (",".join(COLUMNS).encode(), Reason.HEADER_ROW),
        (b'"' + GOOD.encode(), Reason.QUOTE_MALFORMED),
        (b'r-1,"600001"x,8613800138000', Reason.QUOTE_MALFORMED),
        (GOOD.encode() + b"\x00", Reason.NUL_CHAR),
        ("确认订购".encode("gb18030"), Reason.ENCODING),
        (b"x" * (LINE_LIMIT_BYTES + 1), Reason.LINE_TOO_LONG),
        (b"x" * LINE_LIMIT_BYTES, Reason.COLUMN_COUNT),
    ],
)
def test_a_csv_line_that_is_no_record_says_why(raw, expected):
    line = read_line(1, raw, FileFormat.CSV)
    assert line.reason is expected
    assert line.raw == raw[: len(line.raw)]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", Reason.JSON_MALFORMED),
        (b"[1]", Reason.JSON_MALFORMED),
        (b"{}", Reason.COLUMN_COUNT),
        (b'{"record_id": NaN}', Reason.JSON_MALFORMED),
        (ndjson() + b"x", Reason.JSON_MALFORMED),
        (ndjson()[:-1] + b',"record_id":"r-2"}', Reason.JSON_MALFORMED),
        (ndjson()[:-1] + b',"more":1}', Reason.COLUMN_COUNT),
        (ndjson(record_id=7), Reason.RECORD_ID_FORMAT),
        (ndjson(msisdn=8613800138000), Reason.MSISDN_FORMAT),
        (ndjson(charged_at=1772000000), Reason.TIME_FORMAT),
        (ndjson(delivery=None), Reason.DELIVERY_UNKNOWN),
        (b'{"record_id":"\\u0000"}', Reason.NUL_CHAR),
        (b'{"record_id":"\xff"}', Reason.ENCODING),
        (b"[" * 10_000, Reason.JSON_MALFORMED),
    ],
)
def test_an_ndjson_line_that_is_no_record_says_why(raw, expected):
    assert reason(raw, FileFormat.NDJSON) is expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\n", [b"a", b"b"]),
        (b"a\n\nb\n", [b"a", b"", b"b"]),
        (b"a\rb\n", [b"a\rb"]),
        (b'"a\nb"\n', [b'"a', b'b"']),
    ],
)
def test_a_line_ends_at_a_line_feed_and_nowhere_else(content, expected):
    assert list(physical_lines(io.BytesIO(content))) == expected


@pytest.mark.parametrize("size", [LINE_LIMIT_BYTES + d for d in (-1, 0, 1, 2, 3)] + [500_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_huge_line_spoils_only_itself(size, end):
    lines = list(physical_lines(io.BytesIO(b"a\n" + b"x" * size + end + b"b")))
    assert [lines[0], lines[2]] == [b"a", b"b"]
    assert len(lines) == 3
    assert (len(lines[1]) > LINE_LIMIT_BYTES) is (size > LINE_LIMIT_BYTES)
    assert len(lines[1]) <= LINE_LIMIT_BYTES + 1


@given(st.binary(max_size=400), st.sampled_from(FileFormat))
def test_any_bytes_are_a_record_or_have_a_reason(raw, form):
    line = read_line(1, raw, form)
    assert (line.record is None) is (line.reason is not None)


GOOD_OR_NOT = st.one_of(
    st.just(GOOD.encode()),
    st.binary(max_size=80),
    st.tuples(st.integers(0, len(GOOD) - 1), st.binary(max_size=3)).map(
        lambda cut: GOOD.encode()[: cut[0]] + cut[1] + GOOD.encode()[cut[0] + 1 :]
    ),
)


@given(st.lists(GOOD_OR_NOT, max_size=30))
def test_good_and_bad_lines_together_are_all_lines(parts):
    content = b"\n".join(parts)
    lines = [read_line(1, raw, FileFormat.CSV) for raw in physical_lines(io.BytesIO(content))]
    good = sum(line.record is not None for line in lines)
    bad = sum(line.reason is not None for line in lines)
    ends = content.count(b"\n")
    assert good + bad == ends + (not content.endswith(b"\n") and content != b"")
    assert good >= sum(part == GOOD.encode() for part in parts)


@given(st.builds(RecordIn, record_id=st.text(max_size=70), service_code=st.text(max_size=9),
                 msisdn=st.text(max_size=20), charged_at=st.text(max_size=40),
                 price_fen=st.integers(-(2**63), 2**63 - 1), delivery=st.text(max_size=9)))  # fmt: skip
def test_a_record_of_a_body_is_read_as_a_line_would_be(record):
    line = read_body(3, record)
    assert isinstance(line, Line)
    assert (line.record is None) is (line.reason is not None)
