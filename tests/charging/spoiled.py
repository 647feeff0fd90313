"""Charge files of which a share of the rows is spoiled, and what must be said of each row.

What is expected is written down with each way to spoil a row; nothing of ours is asked for it.
"""

import gzip
import io
import random
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import msgspec

from spms.charging.file_model import Encoding, FileFormat, Packing, Upload
from spms.charging.model import COLUMNS, ChargeRecordIn, Delivery

ROWS, BEFORE, OLD = 200, 20, 5
"""Rows of a file; of the file before it; and of charges in the month that is sealed."""
SEEN = "seen"
"""Expected of a row that came before with the same content."""
HERE = timezone(timedelta(hours=8))
MICROSECOND = timedelta(microseconds=1)
MARCH = datetime(2026, 3, 1, tzinfo=HERE)
FEBRUARY = datetime(2026, 2, 1, tzinfo=HERE)
LONG = random.Random("long").randbytes(35_000).hex().encode()
"""Longer than a line may be, and no bomb in a gzip."""

Row = dict[str, Any]
"""A record as it is written: every column a text, but the price of NDJSON."""


def csv_line(row: Row) -> bytes:
    return ",".join(str(row[name]) for name in COLUMNS).encode()


def quoted_line(row: Row) -> bytes:
    return ",".join(f'"{row[name]}"' for name in COLUMNS).encode()


def json_line(row: Row) -> bytes:
    return msgspec.json.encode(row)


def loose_line(row: Row) -> bytes:
    """Write the keys backwards, with spaces around."""
    keys = [f'"{name}" :\t{msgspec.json.encode(row[name]).decode()}' for name in reversed(row)]
    return (" { " + " , ".join(keys) + " }").encode()


WRITERS = {FileFormat.CSV: (csv_line, quoted_line), FileFormat.NDJSON: (json_line, loose_line)}
Change = Callable[[Row], bytes]


def field(name: str, text: str) -> Change:
    """Return a change that puts a text into a column, as it is."""
    return lambda row: csv_line(row | {name: text})


def key(name: str, value: object) -> Change:
    """Return a change that puts a value under a key."""
    return lambda row: json_line(row | {name: value})


def without(name: str) -> Change:
    return lambda row: json_line({each: row[each] for each in row if each != name})


def whole(content: bytes) -> Change:
    return lambda _row: content


def wrapped(change: Callable[[bytes], bytes], write: Callable[[Row], bytes]) -> Change:
    """Return a change of the line as it is written well."""
    return lambda row: change(write(row))


def on_csv(change: Callable[[bytes], bytes]) -> Change:
    return wrapped(change, csv_line)


def on_json(change: Callable[[bytes], bytes]) -> Change:
    return wrapped(change, json_line)


NOT_UTF_8 = whole("确认订购".encode("gb18030"))
NOT_GB18030 = whole(b"\xff\xff")
NUMBERS = [
    ("1.38E+10", "msisdn_format"), ("13812345678.0", "msisdn_format"),
    ("\t8613812345678", "msisdn_format"), ("'8613812345678", "msisdn_format"),
    ("８６１３８１２３４５６７８", "msisdn_format"), ("+8613812345678", "msisdn_format"),
    ("13812345678", "msisdn_format"), ("0086 13812345678", "msisdn_format"),
    ("013812345678", "msisdn_format"), ("1795113812345678", "msisdn_format"),
    ("unknown", "msisdn_format"), ("", "msisdn_format"),
    ("138****5678", "msisdn_masked"), ("86138****5678", "msisdn_masked"),
    ("861381234567", "msisdn_length"), ("86138123456789", "msisdn_length"), ("0", "msisdn_length"),
    ("8612012345678", "msisdn_prefix"), ("8611012345678", "msisdn_prefix"),
    ("1064812345678", "msisdn_type_not_allowed"), ("861440012345678", "msisdn_type_not_allowed"),
    ("01012345678", "msisdn_type_not_allowed"), ("+85291234567", "msisdn_type_not_allowed"),
]  # fmt: skip
"""Written as a machine must not write them (reference: reliability 3.5)."""
TIMES = [
    "2026/3/2", "46024", "20260302", "2026-03-02T12:00:00", "2026-11-31T12:00:00Z",
    "2026-03-02 12:00:00+08:00", "2026-03-02T24:00:00Z", "2026-03-02T12:00:00+24:00", "",
    "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-02-29T12:00:00Z",
    "2026-03-02T12:00:60Z", "2026-03-02t12:00:00Z",
]  # fmt: skip
CASES: dict[FileFormat, list[tuple[Change, str]]] = {
    FileFormat.CSV: [
        *[(field("price_fen", text), "amount_format") for text in (
            "1.00", "１００", "¥1", "1e2", "+1", "-1", " 1", "1 ", "", "0x10", "008", "1_000", "NaN",
        )],
        *[(field("price_fen", text), "amount_range") for text in (
            "0", "1000001", "9999999", "99999999999999999999",
        )],
        (field("price_fen", "1,00"), "column_count"),
        (field("price_fen", '"1,00"'), "amount_format"),
        *[(field("msisdn", text), reason) for text, reason in NUMBERS],
        *[(field("charged_at", text), "time_format") for text in TIMES],
        *[(field("record_id", text), "record_id_format") for text in (
            "", "=HYPERLINK(1)", "@SUM(1)", "a b", "x" * 65, "编号",
        )],
        *[(field("service_code", text), "service_code_format") for text in (
            "", "1", "12a4", "１２３４", "123456789",
        )],
        (field("service_code", "00000000"), "service_unknown"),
        *[(field("delivery", text), "delivery_unknown") for text in ("", "Delivered", "ok", "none ")],
        (on_csv(lambda line: line.rpartition(b",")[0]), "column_count"),
        (on_csv(lambda line: line + b",x"), "column_count"),
        (on_csv(lambda line: b'"' + line), "quote_malformed"),
        (on_csv(lambda line: line + b"\x00"), "nul_char"),
        (on_csv(lambda line: b"\x0c" + line), "record_id_format"),
        (whole(b""), "column_count"),
        (whole(",".join(COLUMNS).encode()), "header_row"),
        (whole(LONG), "line_too_long"),
        (whole(b'"x\rx'), "quote_malformed"),
    ],
    FileFormat.NDJSON: [
        *[(key("price_fen", value), "amount_format") for value in ("800", 8.5, 1.0, True, None, [1])],
        *[(key("price_fen", value), "amount_range") for value in (0, -1, 1_000_001, 2**62)],
        (key("msisdn", 8613812345678), "msisdn_format"), (key("msisdn", None), "msisdn_format"),
        *[(key("msisdn", text), reason) for text, reason in NUMBERS],
        (key("charged_at", 46024), "time_format"),
        *[(key("charged_at", text), "time_format") for text in TIMES],
        *[(key("record_id", value), "record_id_format") for value in ("", 7, "a b", "r,1", "r\\1")],
        *[(key("service_code", value), "service_code_format") for value in (600001, "1", "")],
        (key("service_code", "00000000"), "service_unknown"),
        *[(key("delivery", value), "delivery_unknown") for value in ("ok", None, "NONE")],
        (key("more", 1), "column_count"), (without("delivery"), "column_count"),
        *[(whole(line), "json_malformed") for line in (b"", b"[]", b"1", b"[" * 60_000)],
        (on_json(lambda line: line[:-1]), "json_malformed"),
        (on_json(lambda line: line + b"{}"), "json_malformed"),
        (on_json(lambda line: line.replace(b"{", b'{"price_fen":1,', 1)), "json_malformed"),
        (key("price_fen", msgspec.Raw(b"NaN")), "json_malformed"),
        (key("price_fen", msgspec.Raw(b"1e3")), "amount_format"),
        (on_json(lambda line: line.replace(b"none", b"no\x00ne")), "nul_char"),
        (on_json(lambda line: line.replace(b"none", b"no\\u0000ne")), "nul_char"),
        (whole(LONG), "line_too_long"),
    ],
}  # fmt: skip
BY_TIME = ("time_future", "time_old", "period_closed")
"""Reasons that hang on the clock; `moved` makes them."""
BY_ID = ("dup_conflict", SEEN)
"""What is said of an id that came before; `repeated` makes them."""
ODD = 8
"""At most so many rows in no encoding: more of them make the whole file suspect."""


class Scene(NamedTuple):
    """What the files are about."""

    now: datetime
    """February is sealed by then, and the file's times are measured from it."""
    service: str
    other_service: str
    """Of the same SP."""
    foreign_service: str
    """Of another SP."""


class Parcel(NamedTuple):
    """A file, what comes before it, and what must become of both."""

    upload: Upload
    before: bytes
    """A good CSV file that lands first; some of its rows come again."""
    content: bytes
    bad: list[tuple[int, str, bytes]]
    """Line, reason and text of each row that must be quarantined."""
    landed: list[tuple[str, str, datetime, int, str]]
    """Record id, number, time, price and delivery of each row that must land."""
    duplicates: int
    met: Counter[str]
    """How many rows were made for what must be said of them."""


def old_records(number: int, scene: Scene) -> list[ChargeRecordIn]:
    """Return the charges of a file's numbers in the month that is sealed meanwhile."""
    return [
        ChargeRecordIn(
            record_id=f"{number}-old-{n}", service_code=scene.service,
            msisdn=f"8613{number:04d}{n:05d}", price_fen=800, delivery=Delivery.NONE,
            charged_at=MARCH.astimezone(UTC) - timedelta(hours=1 + n),
        )
        for n in range(OLD)
    ]  # fmt: skip


def parcel(number: int, scene: Scene) -> Parcel:
    """Return a file and what must become of it.

    It depends on its number and the scene alone, so that any of them can be had again by itself. Its
    rows are of numbers of its own: what the audit reads of a month does not grow with the files.
    """
    return _Maker(number, scene).parcel()


class _Maker:
    """Makes one file row by row."""

    def __init__(self, number: int, scene: Scene) -> None:
        self.dice = random.Random(f"file {number}")
        self.number, self.scene = number, scene
        self.form = [*FileFormat][number % 2]
        self.encoding = [*Encoding][number // 2 % 2]
        self.packing = [*Packing][number % 3]
        self.marked = number // 4 % 2 == 1  # with a BOM
        self.cases: dict[str, list[Change]] = {}
        self.odd = 0
        odd = NOT_UTF_8 if self.encoding is Encoding.UTF_8 else NOT_GB18030
        put = field if self.form is FileFormat.CSV else key
        for change, reason in (
            *CASES[self.form], (odd, "encoding"),
            (put("service_code", scene.foreign_service), "service_unknown"),
        ):  # fmt: skip
            self.cases.setdefault(reason, []).append(change)
        self.known: list[Row] = []
        """What has landed so far, and can come again."""
        self.corrected: list[Row] = []
        """What was spoiled and comes again further down, as it should have been."""

    def parcel(self) -> Parcel:
        """Make the file before and this one."""
        before = [self._row(f"b{n}") for n in range(BEFORE)]
        self.known = [*before, *(_row_of(r) for r in old_records(self.number, self.scene))]
        share = self.dice.uniform(0, 0.6)
        lines: list[bytes] = []
        expected: list[str | None] = []
        landed = []
        for n in range(ROWS):
            if self.dice.random() < share:
                line, reason = self._spoiled(self._row(str(n)))
            else:
                again = bool(self.corrected) and self.dice.random() < 0.5
                row = self.corrected.pop() if again else self._row(str(n))
                line, reason = self._written(row), None
                self.known.append(row)
                landed.append(_content(row))
            lines.append(self._encoded(line))
            expected.append(reason)
        header = [",".join(COLUMNS).encode()] if self.form is FileFormat.CSV else []
        bad = [
            (line_no, reason, line)
            for line_no, (line, reason) in enumerate(zip(lines, expected, strict=True), 1 + len(header))
            if reason not in {None, SEEN}
        ]  # fmt: skip
        return Parcel(
            Upload(form=self.form, encoding=self.encoding, packing=self.packing),
            b"\n".join([",".join(COLUMNS).encode(), *map(csv_line, before)]),
            self._packed(header + lines),
            [(line_no, str(reason), line) for line_no, reason, line in bad],
            landed,
            expected.count(SEEN),
            Counter(reason for reason in expected if reason is not None),
        )

    def _row(self, name: str) -> Row:
        """Return a good record; some stand just within the limits of time."""
        early, late = timedelta(hours=-72), timedelta(minutes=5)
        span = late - early
        ago = self.dice.choice([early, late, early + span * self.dice.random()])
        return {
            "record_id": f"{self.number}-{name}", "service_code": self.scene.service,
            "msisdn": self._msisdn(), "charged_at": self._text_of(self.scene.now + ago),
            "price_fen": 800, "delivery": "none",
        }  # fmt: skip

    def _msisdn(self) -> str:
        return f"8613{self.number:04d}{self.dice.randrange(50):05d}"

    def _text_of(self, at: datetime) -> str:
        """Write an instant in one of the forms that are allowed."""
        local = at.astimezone(HERE)
        text = f"{local:%FT%T.%f}" if local.microsecond else f"{local:%FT%T}"
        forms = [text + "+08:00", f"{at.astimezone(UTC).isoformat().removesuffix('+00:00')}Z"]
        return self.dice.choice(forms)

    def _written(self, row: Row) -> bytes:
        """Write a good row, now and then otherwise than most do."""
        plain, other = WRITERS[self.form]
        return (other if self.dice.random() < 0.2 else plain)(row)

    def _spoiled(self, row: Row) -> tuple[bytes, str]:
        reason = self.dice.choice([*self.cases, *BY_TIME, *BY_ID])
        if reason == "encoding":
            self.odd += 1
            if self.odd > ODD:
                reason = "time_future"
        if reason in BY_ID:
            return self._written(self._repeated(reason)), reason
        if self.dice.random() < 0.3:
            self.corrected.append(row)
        if reason in BY_TIME:
            return self._written(row | {"charged_at": self._text_of(self._moved(reason))}), reason
        return self.dice.choice(self.cases[reason])(row), reason

    def _moved(self, reason: str) -> datetime:
        """Return an instant that is out of the limits for a reason."""
        step = self.dice.choice([MICROSECOND, timedelta(seconds=1), timedelta(days=1)])
        if reason == "time_future":
            return self.scene.now + timedelta(minutes=5) + step
        if reason == "time_old":  # the first instant of a month that is open; before all months
            open_again, ages_ago = MARCH, datetime(2024, 2, 29, tzinfo=UTC)
            in_time = self.scene.now - timedelta(hours=72)
            return self.dice.choice([in_time - step, open_again, ages_ago])
        first, last = FEBRUARY, MARCH - MICROSECOND
        return self.dice.choice([first, last, first + (last - first) * self.dice.random()])

    def _repeated(self, reason: str) -> Row:
        """Return a record that came before, as it was or with other content."""
        row = self.dice.choice(self.known)
        at = datetime.fromisoformat(row["charged_at"])
        if reason == SEEN:
            return row | {"charged_at": self._text_of(at)}
        others: list[Row] = [
            {"price_fen": 801}, {"delivery": "failed"}, {"msisdn": f"8615{self.number:09d}"},
            {"service_code": self.scene.other_service},
            {"charged_at": self._text_of(at - timedelta(seconds=1))},
            {"charged_at": self._text_of(self._moved("time_old"))},
            {"charged_at": self._text_of(self._moved("period_closed"))},
        ]  # fmt: skip
        return {**row, **self.dice.choice(others)}

    def _encoded(self, line: bytes) -> bytes:
        if self.encoding is Encoding.UTF_8:
            return line
        try:
            return line.decode().encode("gb18030")
        except UnicodeDecodeError:
            return line

    def _packed(self, lines: list[bytes]) -> bytes:
        end = self.dice.choice([b"\n", b"\r\n"])
        content = end.join(lines)
        if self.dice.random() < 0.5 or not lines[-1]:
            content += end
        if self.marked:
            content = "\ufeff".encode(self.encoding.value) + content
        if self.packing is Packing.GZIP:
            return gzip.compress(content, mtime=0)
        if self.packing is Packing.ZIP:
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("../charges", content)
            return out.getvalue()
        return content


def _row_of(record: ChargeRecordIn) -> Row:
    return {
        "record_id": record.record_id, "service_code": record.service_code,
        "msisdn": record.msisdn, "charged_at": record.charged_at.isoformat(),
        "price_fen": record.price_fen, "delivery": record.delivery.value,
    }  # fmt: skip


def _content(row: Row) -> tuple[str, str, datetime, int, str]:
    at = datetime.fromisoformat(row["charged_at"]).astimezone(UTC)
    return row["record_id"], row["msisdn"], at, row["price_fen"], row["delivery"]
