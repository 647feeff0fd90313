"""Charge files over HTTP: formats, limits, the same file again, and a process that dies."""

import asyncio
import gzip
import hashlib
import io
import random
import zipfile
from datetime import timedelta

import asyncpg
import msgspec
import pytest

from spms.charging import files, landing, spooling
from spms.charging.file_model import FileFormat, Upload
from spms.charging.model import COLUMNS
from spms.charging.spooling import ArchivePolicy, Inflater, Manifest, Reader
from spms.core.clock import FixedClock
from spms.core.pack import verify
from tests import make
from tests.charging.world import csv_of

CSV = {"Content-Type": "text/csv"}
NDJSON = {"Content-Type": "application/x-ndjson"}
GZIP_CSV = {"Content-Type": "application/gzip", "X-Charge-Format": "csv"}
ZIP_CSV = {"Content-Type": "application/zip", "X-Charge-Format": "csv"}
HEADER = ",".join(COLUMNS).encode() + b"\n"


def zipped(members, how=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def locked(archive):
    """Set the bit that says the member is encrypted, at its start and in the directory."""
    changed = bytearray(archive)
    changed[6] |= 1
    changed[archive.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


@pytest.fixture
async def sp(sign_in, world):
    return await sign_in(make.sp_actor(world.sp_id))


def counts(answer):
    body = answer.json()
    return body["state"], body["lines"], body["landed"], body["quarantined"], body["duplicates"]


async def test_good_lines_land_and_bad_ones_are_quarantined_with_their_line(http, sp, tx, world):
    good = [world.record() for _ in range(2)]
    lines = csv_of(*good).splitlines()
    content = b"\r\n".join([lines[0], lines[1], b"x,y", b'"' + lines[2], lines[2], lines[1], b""])
    answer = await http.post("/charge-files", content=content, headers=sp | CSV)
    assert answer.status_code == 201
    assert counts(answer) == ("done", 5, 2, 2, 1)
    file_id = answer.json()["id"]
    report = (await http.get(f"/charge-files/{file_id}", headers=sp)).json()
    assert report["reasons"] == [
        {"reason": "column_count", "lines": 1},
        {"reason": "quote_malformed", "lines": 1},
    ]
    page = await http.get(f"/charge-files/{file_id}/quarantine?limit=1", headers=sp)
    rest = await http.get(
        f"/charge-files/{file_id}/quarantine", params={"after": page.json()["next"]}, headers=sp
    )
    items = page.json()["items"] + rest.json()["items"]
    assert [(i["line_no"], i["reason"]) for i in items] == [
        (3, "column_count"), (4, "quote_malformed"),
    ]  # fmt: skip
    assert rest.json()["next"] is None
    raw = await tx.fetchval("SELECT raw FROM charge_quarantine WHERE line_no = 4")
    assert raw == b'"' + lines[2]


async def test_the_same_file_again_is_answered_with_its_receipt(http, sp, tx, world):
    content = csv_of(*[world.record() for _ in range(3)])
    first = await http.post("/charge-files", content=content, headers=sp | CSV)
    again = await http.post("/charge-files", content=content, headers=sp | CSV)
    packed = await http.post("/charge-files", content=gzip.compress(content), headers=sp | GZIP_CSV)
    assert [first.status_code, again.status_code, packed.status_code] == [201, 200, 200]
    assert first.json() == again.json() == packed.json()
    assert await tx.fetchval("SELECT count(*) FROM charge_record") == 3


@pytest.mark.parametrize(
    "name", ["charges.csv", "../../etc/passwd", "a\r\nb", "确认.csv", "x" * 4000]
)
async def test_a_zip_lands_like_what_is_in_it_whatever_its_member_is_called(http, sp, world, name):
    content = csv_of(world.record())
    packed = zipped({name: content}, zipfile.ZIP_DEFLATED)
    answer = await http.post("/charge-files", content=packed, headers=sp | ZIP_CSV)
    assert counts(answer) == ("done", 1, 1, 0, 0)
    plain = await http.post("/charge-files", content=content, headers=sp | CSV)
    assert plain.status_code == 200


async def test_a_declared_encoding_is_read_strictly_and_never_guessed(http, sp, tx, world):
    good = [csv_of(world.record()).splitlines()[1] for _ in range(3)]
    chinese = "订购,确认".encode("gb18030")
    content = b"\x84\x31\x95\x33" + HEADER + b"\n".join([*good, chinese, b"\xff\xff", b""])
    declared = {"Content-Type": "text/csv; charset=GB18030"}
    answer = await http.post("/charge-files", content=content, headers=sp | declared)
    assert counts(answer) == ("done", 5, 3, 2, 0)
    assert answer.json()["encoding"] == "gb18030"
    found = await tx.fetch("SELECT reason, raw FROM charge_quarantine ORDER BY line_no")
    assert [tuple(row) for row in found] == [("column_count", chinese), ("encoding", b"\xff\xff")]
    lines = b"".join(
        b'{"record_id":"%d","service_code":"\xc8\xb7"}\n' % number for number in range(2)
    )
    as_json = await http.post(
        "/charge-files", content=lines, headers=sp | {"Content-Type": "application/x-ndjson;charset=gb18030"},
    )  # fmt: skip
    assert counts(as_json) == ("done", 2, 0, 2, 0)
    assert (
        await tx.fetchval("SELECT count(*) FROM charge_quarantine WHERE reason = 'encoding'") == 1
    )


async def test_a_manifest_that_fits_and_a_receipt_that_proves_it(http, sp, tx, world):
    content = csv_of(*[world.record() for _ in range(2)]) + b"broken"
    digest = hashlib.sha256(content).hexdigest()
    manifest = {"X-Charge-SHA256": digest.upper(), "X-Charge-Lines": "3"}
    packed = gzip.compress(content)
    answer = await http.post("/charge-files", content=packed, headers=sp | GZIP_CSV | manifest)
    assert counts(answer) == ("done", 3, 2, 1, 0)
    assert answer.json()["received"] == 3
    page = (await http.get("/charge-files", params={"sha256": digest}, headers=sp)).json()
    assert [one["id"] for one in page["items"]] == [answer.json()["id"]]
    path = f"/charge-files/{answer.json()['id']}/receipt.json"
    receipt = await http.get(path, headers=sp)
    told = verify(receipt.content)
    assert told.fine
    said = told.content["statement"]
    assert (said["sha256"], said["landed"], said["quarantined"]) == (digest, 2, 1)
    assert not verify(receipt.content.replace(b'"landed": 2', b'"landed": 3')).fine
    assert (await http.get(path, headers=sp)).content == receipt.content


async def test_files_are_listed_newest_first_and_only_ones_own(http, sp, sign_in, tx, world):
    for number in range(3):
        content = csv_of(world.record()) + b"x" * number
        await http.post("/charge-files", content=content, headers=sp | CSV)
    first = (await http.get("/charge-files?limit=2", headers=sp)).json()
    rest = (
        await http.get("/charge-files", params={"limit": 2, "after": first["next"]}, headers=sp)
    ).json()
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]
    stranger = await sign_in(make.sp_actor(await make.sp(tx, world.now)))
    assert (await http.get("/charge-files", headers=stranger)).json()["items"] == []


async def test_a_file_in_the_middle_shows_how_far_it_is_and_has_no_receipt(
    pool, http, sp, world, tmp_path, monkeypatch
):
    monkeypatch.setattr(spooling, "CHUNK_LINES", 10)
    calls = 0

    async def mortal(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls > 2:
            raise Killed
        return await landing.land_chunk(*args, **kwargs)

    monkeypatch.setattr(files, "land_chunk", mortal)
    with pytest.raises(Killed):
        await deliver(pool, world, csv_of(*[world.record() for _ in range(35)]), tmp_path)
    (one,) = (await http.get("/charge-files", headers=sp)).json()["items"]
    assert (one["state"], one["received"], one["lines"]) == ("landing", 35, 20)
    answer = await http.get(f"/charge-files/{one['id']}/receipt.json", headers=sp)
    assert (answer.status_code, answer.json()["code"]) == (409, "file_not_done")


async def test_the_database_calls_no_file_done_before_every_line_is_through(
    tx, pool, world, tmp_path
):
    await deliver(pool, world, csv_of(world.record()), tmp_path)
    with pytest.raises(asyncpg.CheckViolationError):
        await tx.execute("UPDATE charge_file SET received = 2")


async def test_an_ndjson_file_lands_like_a_csv_file(http, sp, world):
    record = world.record()
    line = (
        f'{{"record_id":"{record.record_id}","service_code":"{record.service_code}",'
        f'"msisdn":"{record.msisdn}","charged_at":"{record.charged_at.isoformat()}",'
        f'"price_fen":800,"delivery":"none"}}\n'
    ).encode()
    content = b"\xef\xbb\xbf" + line + b"{\n" + line
    answer = await http.post("/charge-files", content=content, headers=sp | NDJSON)
    assert counts(answer) == ("done", 3, 1, 1, 1)
    as_csv = await http.post("/charge-files", content=csv_of(record), headers=sp | CSV)
    assert counts(as_csv) == ("done", 1, 0, 0, 1)


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", CSV, 422, "file_empty"),
        (b"", NDJSON, 422, "file_empty"),
        (b"record_id,msisdn\n", CSV, 422, "header_wrong"),
        (b"{}\n", CSV, 422, "header_wrong"),
        (HEADER, NDJSON, 422, "header_wrong"),
        ("record_id".encode("utf-16"), CSV, 422, "encoding_unsupported"),
        (b"not a gzip", GZIP_CSV, 422, "archive_policy"),
        (gzip.compress(HEADER)[:-9], GZIP_CSV, 422, "archive_policy"),
        (gzip.compress(HEADER) * 2, GZIP_CSV, 422, "archive_policy"),
        (gzip.compress(HEADER) + b"x", GZIP_CSV, 422, "archive_policy"),
        (gzip.compress(HEADER + b"0" * 5_000_000), GZIP_CSV, 422, "archive_policy"),
        (HEADER + b"\n" * 1_000_001, CSV, 413, "file_too_large"),
        (HEADER, {"Content-Type": "application/gzip"}, 415, "unsupported_media_type"),
        (HEADER, {"Content-Type": "application/json"}, 415, "unsupported_media_type"),
        (HEADER, {"Content-Type": "text/csv; charset=gbk"}, 415, "unsupported_media_type"),
        (HEADER, {"Content-Type": "text/csv; header=present"}, 415, "unsupported_media_type"),
        (HEADER + "确认\n".encode("gb18030") * 8, CSV, 422, "encoding_suspect"),
        (HEADER + b"x\n", CSV | {"X-Charge-SHA256": "0" * 64}, 422, "digest_mismatch"),
        (HEADER + b"x\n", CSV | {"X-Charge-Lines": "2"}, 422, "digest_mismatch"),
        (HEADER + b"x\n", CSV | {"X-Charge-Lines": "1e0"}, 400, "invalid"),
        (b"not a zip", ZIP_CSV, 422, "archive_policy"),
        (zipped({"a": HEADER, "b": HEADER}), ZIP_CSV, 422, "archive_policy"),
        (zipped({}), ZIP_CSV, 422, "archive_policy"),
        (zipped({"a/": b""}), ZIP_CSV, 422, "archive_policy"),
        (zipped({"a": HEADER})[:-30], ZIP_CSV, 422, "archive_policy"),
        (zipped({"a": zipped({"b": HEADER})}), ZIP_CSV, 422, "header_wrong"),
        (zipped({"a": HEADER + b"q" * 40}).replace(b"qqq", b"qpq"), ZIP_CSV, 422, "archive_policy"),
        (zipped({"a": HEADER + b"0" * 5_000_000}, 8), ZIP_CSV, 422, "archive_policy"),
        (locked(zipped({"a": HEADER})), ZIP_CSV, 422, "archive_policy"),
        (HEADER, CSV | {"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
        (HEADER, GZIP_CSV | {"X-Charge-Format": "xml"}, 400, "invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_file_against_the_rules_is_refused_and_leaves_nothing(
    http, sp, tx, content, headers, status, code
):
    answer = await http.post("/charge-files", content=content, headers=sp | headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await tx.fetchval("SELECT count(*) FROM charge_file") == 0


async def test_a_file_over_the_limit_of_bytes_is_refused_packed_or_not(
    http, sp, settings, tx, monkeypatch
):
    monkeypatch.setattr(type(settings), "file_limit_bytes", 2000)
    noise = random.Random(1).randbytes(3000).hex().encode()
    for content, headers in ((HEADER + noise, CSV), (gzip.compress(HEADER + noise), GZIP_CSV)):
        answer = await http.post("/charge-files", content=content, headers=sp | headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")
    assert await tx.fetchval("SELECT count(*) FROM charge_file") == 0


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (HEADER, CSV),
        (HEADER.strip(), CSV | {"X-Charge-Lines": "0"}),
        (b"\xef\xbb\xbf" + HEADER, CSV),
        (b"\xef\xbb\xbf", NDJSON),
        (gzip.compress(HEADER), GZIP_CSV),
        (zipped({"charges.csv": HEADER}), ZIP_CSV),
    ],
    ids=["header", "no line end", "BOM and header", "BOM", "gzip", "zip"],
)
async def test_a_file_without_lines_is_taken_and_says_so_wherever_it_is_shown(
    http, sp, content, headers
):
    answer = await http.post("/charge-files", content=content, headers=sp | headers)
    assert answer.status_code == 201
    assert counts(answer) == ("done", 0, 0, 0, 0)
    path = f"/charge-files/{answer.json()['id']}"
    told = [
        answer.json(),
        (await http.post("/charge-files", content=content, headers=sp | headers)).json(),
        (await http.get(path, headers=sp)).json(),
        (await http.get("/charge-files", headers=sp)).json()["items"][0],
        verify((await http.get(f"{path}/receipt.json", headers=sp)).content).content["statement"],
    ]
    assert [one["warning"] for one in told] == ["no_lines"] * 5


async def test_a_file_with_lines_is_no_reason_for_a_warning_even_when_none_of_them_lands(http, sp):
    answer = await http.post("/charge-files", content=HEADER + b"\n", headers=sp | CSV)
    assert counts(answer) == ("done", 1, 0, 1, 0)
    assert answer.json()["warning"] is None


async def test_a_file_is_its_senders_own(http, sp, sign_in, tx, world):
    content = csv_of(world.record())
    file_id = (await http.post("/charge-files", content=content, headers=sp | CSV)).json()["id"]
    stranger = await sign_in(make.sp_actor(await make.sp(tx, world.now)))
    for path in (f"/charge-files/{file_id}", f"/charge-files/{file_id}/quarantine"):
        assert (await http.get(path, headers=stranger)).status_code == 404
    agent = await sign_in(make.AGENT)
    assert (
        await http.post("/charge-files", content=content, headers=agent | CSV)
    ).status_code == 403


async def deliver(pool, world, content, directory):
    async def stream():
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    return await files.receive(
        stream(), upload=Upload(form=FileFormat.CSV), manifest=Manifest(), pool=pool, clock=FixedClock(world.now),
        directory=directory, limit_bytes=10**7, actor=make.sp_actor(world.sp_id),
    )  # fmt: skip


class Killed(BaseException):
    """The process died here."""


@pytest.mark.parametrize("after", [0, 1, 3, 6])
async def test_a_file_cut_off_by_a_crash_is_continued_and_nothing_is_lost_or_doubled(
    pool, tx, world, tmp_path, monkeypatch, after
):
    monkeypatch.setattr(spooling, "CHUNK_LINES", 10)
    records = [world.record() for _ in range(55)]
    content = csv_of(*records, *records[:5]) + b"broken\n"
    landed = 0

    async def mortal(*args, **kwargs):
        nonlocal landed
        if landed == after:
            raise Killed
        landed += 1
        return await landing.land_chunk(*args, **kwargs)

    monkeypatch.setattr(files, "land_chunk", mortal)
    with pytest.raises(Killed):
        await deliver(pool, world, content, tmp_path)
    partial = await tx.fetchrow("SELECT * FROM charge_file")
    assert partial["state"] == "landing"
    # Two chunks are on their way at once: the other one may be cut off with it, or be through.
    assert partial["lines"] in {after * 10, max(0, after - 1) * 10}
    assert await tx.fetchval("SELECT count(*) FROM charge_record") == partial["landed"]

    monkeypatch.setattr(files, "land_chunk", landing.land_chunk)
    monkeypatch.setattr(spooling, "CHUNK_LINES", 7)
    receipt, known = await deliver(pool, world, content, tmp_path)
    assert not known
    assert receipt.id == partial["id"]
    assert (receipt.lines, receipt.landed, receipt.quarantined, receipt.duplicates) == (
        61, 55, 1, 5,
    )  # fmt: skip
    assert await tx.fetchval("SELECT count(*) FROM charge_record") == 55
    assert await tx.fetchval("SELECT line_no FROM charge_quarantine") == 62
    assert await deliver(pool, world, content, tmp_path) == (receipt, True)
    assert list(tmp_path.iterdir()) == []


async def test_one_file_sent_by_several_connections_at_once_lands_once(
    pool, tx, world, tmp_path, monkeypatch
):
    monkeypatch.setattr(spooling, "CHUNK_LINES", 10)
    content = csv_of(*[world.record() for _ in range(95)])
    answers = await asyncio.gather(*[deliver(pool, world, content, tmp_path) for _ in range(4)])
    assert {receipt.id for receipt, _ in answers} == {answers[0][0].id}
    assert {(r.state, r.lines, r.landed, r.duplicates) for r, _ in answers} == {("done", 95, 95, 0)}
    assert await tx.fetchval("SELECT count(*) FROM charge_record") == 95


async def test_overlapping_files_sent_at_once_count_every_record_once(
    pool, tx, world, tmp_path, monkeypatch
):
    monkeypatch.setattr(spooling, "CHUNK_LINES", 13)
    records = [world.record() for _ in range(120)]
    contents = [csv_of(*records[start : start + 60]) for start in (0, 20, 40, 60)]
    contents.append(csv_of(*reversed(records)))
    answers = await asyncio.gather(*[deliver(pool, world, c, tmp_path) for c in contents])
    assert sum(receipt.landed for receipt, _ in answers) == 120
    assert sum(receipt.duplicates for receipt, _ in answers) == 4 * 60
    assert await tx.fetchval("SELECT count(*) FROM charge_record") == 120


@pytest.mark.parametrize("size", [1, 2, 5_000])
async def test_a_line_gets_its_reason_wherever_the_file_is_cut(
    pool, tx, world, tmp_path, monkeypatch, size
):
    monkeypatch.setattr(spooling, "CHUNK_LINES", size)
    right = world.record()
    late = msgspec.structs.replace(right, charged_at=world.now - timedelta(days=4))
    content = csv_of(*[world.record() for _ in range(5)], late, right, late, world.record())
    receipt, _ = await deliver(pool, world, content, tmp_path)
    assert (receipt.landed, receipt.quarantined, receipt.duplicates) == (7, 2, 0)
    found = await tx.fetch("SELECT line_no, reason FROM charge_quarantine ORDER BY line_no")
    assert [tuple(row) for row in found] == [(7, "time_old"), (9, "dup_conflict")]


async def test_an_old_file_that_is_continued_is_as_old_as_when_it_first_came(
    pool, tx, world, tmp_path, monkeypatch
):
    content = csv_of(world.record())
    monkeypatch.setattr(
        files, "land_chunk", lambda *_args, **_kwargs: (_ for _ in ()).throw(Killed())
    )
    with pytest.raises(Killed):
        await deliver(pool, world, content, tmp_path)
    monkeypatch.setattr(files, "land_chunk", landing.land_chunk)
    world.now = world.now.replace(day=20)
    receipt, _ = await deliver(pool, world, content, tmp_path)
    assert (receipt.landed, receipt.quarantined) == (1, 0)
    assert await tx.fetchval("SELECT received_at FROM charge_record") == world.now


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_gzip_is_inflated_whole_whatever_the_pieces(step):
    content = random.Random(2).randbytes(700_000) + b"0" * 900_000
    packed = gzip.compress(content)
    inflater = Inflater()
    step *= 1 + len(packed) // 20_000
    pieces = [packed[start : start + step] for start in range(0, len(packed), step)]
    out = b"".join(piece for part in pieces for piece in inflater.feed(part))
    inflater.close()
    assert out == content


def test_a_bomb_is_refused_before_it_has_grown():
    packed = gzip.compress(b"0" * 50_000_000)
    made = []
    with pytest.raises(ArchivePolicy):
        made.extend(map(len, Inflater().feed(packed)))
    assert sum(made) < 10_000_000


def test_a_chunk_is_bounded_in_bytes_too(monkeypatch):
    monkeypatch.setattr(spooling, "CHUNK_BYTES", 1000)
    reader = Reader(io.BytesIO(HEADER + (b"x" * 300 + b"\n") * 10), FileFormat.CSV)
    assert [len(reader.chunk().raws) for _ in range(4)] == [4, 4, 2, 0]
    assert reader.position == 10


def test_a_file_is_cut_so_that_the_lanes_share_it():
    cuts = [spooling.chunk_lines(lines) for lines in (0, 999, 3_000, 7_000, 20_001, 1_000_000)]
    assert cuts == [1_000, 1_000, 1_000, 1_750, 5_000, 5_000]
