"""Files of which a share of the rows is spoiled in known ways: every reason as expected."""

import os
import random
from datetime import timedelta

import msgspec
import pytest

from spms.charging import files
from spms.charging.file_model import FileFormat, Upload
from spms.charging.model import COLUMNS
from spms.charging.spooling import Manifest
from spms.core.clock import FixedClock
from tests import make
from tests.charging.world import csv_of

ROWS = 200


def field(name, text):
    """Return a mutation that puts a text into a column."""
    at = COLUMNS.index(name)
    return lambda row: b",".join([*row[:at], text.encode(), *row[at + 1 :]])


def whole(content):
    return lambda _row: content


CASES = [
    *[(field("price_fen", text), "amount_format") for text in (
        "1.00", "１００", "¥1", "1e2", "+1", "-1", " 1", "1 ", "", "0x10", "008", "1_000", "NaN",
    )],
    *[(field("price_fen", text), "amount_range") for text in (
        "0", "1000001", "9999999", "99999999999999999999",
    )],
    (field("price_fen", "1,00"), "column_count"),
    (field("price_fen", '"1,00"'), "amount_format"),
    *[(field("msisdn", text), reason) for text, reason in (
        ("1.38E+10", "msisdn_format"), ("13812345678.0", "msisdn_format"),
        ("\t8613812345678", "msisdn_format"), ("'8613812345678", "msisdn_format"),
        ("８６１３８１２３４５６７８", "msisdn_format"), ("138****5678", "msisdn_masked"),
        ("861381234567", "msisdn_length"), ("86138123456789", "msisdn_length"),
    )],
    *[(field("charged_at", text), "time_format") for text in (
        "2026/3/2", "46024", "20260302", "2026-03-02T12:00:00", "2026-11-31T12:00:00Z",
        "2026-03-02 12:00:00+08:00", "2026-03-02T24:00:00Z", "2026-03-02T12:00:00+24:00", "",
        "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59",
    )],
    *[(field("record_id", text), "record_id_format") for text in (
        "", "=HYPERLINK(1)", "@SUM(1)", "a b", "x" * 65, "编号",
    )],
    *[(field("service_code", text), "service_code_format") for text in ("", "1", "12a4", "１２３４")],
    (field("service_code", "00000000"), "service_unknown"),
    *[(field("delivery", text), "delivery_unknown") for text in ("", "Delivered", "ok", "none ")],
    (lambda row: b",".join(row[:-1]), "column_count"),
    (lambda row: b",".join([*row, b"x"]), "column_count"),
    (lambda row: b'"' + b",".join(row), "quote_malformed"),
    (lambda row: b",".join(row) + b"\x00", "nul_char"),
    (lambda row: b"\x0c" + b",".join(row), "record_id_format"),
    (whole(b""), "column_count"),
    (whole(",".join(COLUMNS).encode()), "header_row"),
    (whole(b"a" * 70_000), "line_too_long"),
    (whole(b'"x\rx'), "quote_malformed"),
    (whole("确认订购".encode("gb18030")), "encoding"),
]  # fmt: skip


def key(name, value):
    """Return a mutation that puts a value under a key."""
    return lambda row: msgspec.json.encode(msgspec.json.decode(row) | {name: value})


def without(name):
    return lambda row: msgspec.json.encode(
        {each: value for each, value in msgspec.json.decode(row).items() if each != name}
    )


JSON_CASES = [
    *[(key("price_fen", value), "amount_format") for value in ("800", 8.5, 1.0, True, None, [1])],
    *[(key("price_fen", value), "amount_range") for value in (0, -1, 1_000_001, 2**62)],
    *[(key("msisdn", value), reason) for value, reason in (
        (8613812345678, "msisdn_format"), ("1.38E+10", "msisdn_format"), (None, "msisdn_format"),
        ("138****5678", "msisdn_masked"), ("861381234567", "msisdn_length"),
    )],
    *[(key("charged_at", value), "time_format") for value in (
        46024, "2026-03-02T12:00:00", "2026-11-31T12:00:00Z", "2026-03-02T24:00:00Z",
        "2026-03-02T12:00:00z", "2026-03-02T12:00:60Z",
    )],
    *[(key("record_id", value), "record_id_format") for value in ("", 7, "a b", "r,1", "r\\1")],
    *[(key("service_code", value), "service_code_format") for value in (600001, "1", "")],
    (key("service_code", "00000000"), "service_unknown"),
    *[(key("delivery", value), "delivery_unknown") for value in ("ok", None, "NONE")],
    (key("more", 1), "column_count"), (without("delivery"), "column_count"),
    (whole(b""), "json_malformed"), (whole(b"[]"), "json_malformed"), (whole(b"1"), "json_malformed"),
    (lambda row: row[:-1], "json_malformed"), (lambda row: row + b"{}", "json_malformed"),
    (lambda row: row.replace(b"{", b'{"price_fen":1,', 1), "json_malformed"),
    (lambda row: row.replace(b"800", b"NaN"), "json_malformed"),
    (lambda row: row.replace(b"800", b"1e3"), "amount_format"),
    (lambda row: row.replace(b"none", b"no\x00ne"), "nul_char"),
    (lambda row: row.replace(b"none", b"no\\u0000ne"), "nul_char"),
    (whole(b"[" * 100_000), "line_too_long"), (whole(b"[" * 60_000), "json_malformed"),
    (whole("确认订购".encode("gb18030")), "encoding"),
]  # fmt: skip
FORMS = {FileFormat.CSV: CASES, FileFormat.NDJSON: JSON_CASES}


def ndjson_of(*records):
    return b"\n".join(msgspec.json.encode(record) for record in records)


ODD = {"encoding": 8}
"""At most so many rows of a file: more of them make the whole file suspect."""


def spoiled(rows, form, share, dice, now):
    """Return lines, and the reason expected of each (None: lands)."""
    lines, expected, odd = [], [], 0
    cases, put = FORMS[form], field if form is FileFormat.CSV else key
    for row in rows:
        fields = row.split(b",") if form is FileFormat.CSV else row
        if dice.random() >= share:
            lines.append(row)
            expected.append(None)
            continue
        pick = dice.randrange(len(cases) + 2)
        if pick == len(cases):
            at = now + timedelta(minutes=6)
            change, reason = put("charged_at", f"{at:%FT%TZ}"), "time_future"
        elif pick > len(cases):
            at = now - timedelta(hours=73)
            change, reason = put("charged_at", f"{at:%FT%TZ}"), "time_old"
        else:
            change, reason = cases[pick]
        if reason == "encoding":
            odd += 1
            if odd > ODD["encoding"]:
                lines.append(row)
                expected.append(None)
                continue
        lines.append(change(fields))
        expected.append(reason)
    return lines, expected


def parcel(world, number):
    """Return a file's form, its content, and the (line, reason) of every row that is spoiled.

    A file depends on its number alone, so that any of them can be had again by itself. Its rows are
    of numbers of its own: what the audit reads of a number's month does not grow with the files.
    """
    dice = random.Random(f"file {number}")
    form = dice.choice([*FileFormat]) if number > 1 else [*FileFormat][number]
    records = [
        world.record(msisdn=f"8613{number:04d}{dice.randrange(50):05d}") for _ in range(ROWS)
    ]
    write = csv_of if form is FileFormat.CSV else ndjson_of
    rows = write(*records).splitlines()
    header = [rows.pop(0)] if form is FileFormat.CSV else []
    lines, expected = spoiled(rows, form, dice.uniform(0, 0.6), dice, world.now)
    end = dice.choice([b"\n", b"\r\n"])
    content = end.join([*header, *lines]) + (end if dice.random() < 0.5 or not lines[-1] else b"")
    bad = [(n, reason) for n, reason in enumerate(expected, 1 + len(header)) if reason is not None]
    return form, content, bad


SOAKED, AT_ONCE = 500, 50
"""The long run has so many files, in portions with a database each. It says how far it is; with
`SPMS_SOAK_FROM=n` in the environment it goes on at file n."""
FROM = int(os.environ.get("SPMS_SOAK_FROM", "0"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "numbers",
    [
        range(10),
        *(
            pytest.param(range(max(n, FROM), n + AT_ONCE), marks=pytest.mark.soak)
            for n in range(0, SOAKED, AT_ONCE)
            if n + AT_ONCE > FROM
        ),
    ],
    ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}",
)
async def test_every_spoiled_row_gets_its_reason_and_every_good_row_lands(
    pool, tx, world, tmp_path, capsys, numbers
):
    met = set()
    for number in numbers:
        form, content, bad = parcel(world, number)

        async def stream(content=content):
            yield content

        receipt, _ = await files.receive(
            stream(), upload=Upload(form=form), manifest=Manifest(lines=ROWS), pool=pool,
            clock=FixedClock(world.now), directory=tmp_path, limit_bytes=10**8,
            actor=make.sp_actor(world.sp_id),
        )  # fmt: skip
        found = await tx.fetch(
            "SELECT line_no, reason FROM charge_quarantine WHERE file_id = $1 ORDER BY line_no",
            receipt.id,
        )
        assert [tuple(row) for row in found] == bad, number
        assert (receipt.lines, receipt.landed, receipt.quarantined, receipt.duplicates) == (
            ROWS, ROWS - len(bad), len(bad), 0,
        )  # fmt: skip
        landed = await tx.fetchval(
            "SELECT count(*) FROM charge_record WHERE file_id = $1", receipt.id
        )
        assert landed == receipt.landed
        met.update(reason for _, reason in bad)
        if numbers.stop > 10 and (number + 1) % 10 == 0:
            with capsys.disabled():
                print(f"\n{number + 1} of {SOAKED} files", end="", flush=True)  # noqa: T201
    assert len(met) >= 14 or len(numbers) < 10, met
