"""Files of which a share of the rows is spoiled in known ways: every reason as expected."""

import os
from collections import Counter
from datetime import UTC, datetime

import pytest

from spms.charging import files, spooling
from spms.charging.file_model import FileFormat, Upload
from spms.charging.model import Reason
from spms.charging.parsing import KEPT_OF_A_LONG_LINE
from spms.charging.spooling import Manifest
from spms.core.clock import FixedClock
from tests import make
from tests.charging.spoiled import BEFORE, MARCH, ROWS, SEEN, Scene, old_records, parcel
from tests.charging.world import code_of, sealed

SOAKED, AT_ONCE = 500, 50
"""The long run has so many files, in portions with a database each. It says how far it is; with
`SPMS_SOAK_FROM=n` in the environment it goes on at file n."""
FROM = int(os.environ.get("SPMS_SOAK_FROM", "0"))
LEAST = 10
"""So many files make every reason, each way to write a file and each way to wrap it."""


@pytest.fixture
async def scene(tx, world):
    """Arrange the world ten days after the end of a month; `old_records` says what was in it."""
    foreign = await make.service(tx, world.now, await make.sp(tx, world.now))
    return Scene(
        datetime(2026, 3, 10, 4, tzinfo=UTC), world.monthly, world.game, await code_of(tx, foreign)
    )


async def with_a_sealed_month(pool, world, scene, numbers):
    """Land the charges of the month that is over, and seal it."""
    world.now = MARCH.astimezone(UTC)
    for number in numbers:
        landing = await world.land(*old_records(number, scene))
        assert landing.landed == landing.lines
    world.now = scene.now
    assert MARCH.date().replace(month=2) in await sealed(pool, scene.now)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "numbers",
    [
        range(LEAST),
        *(
            pytest.param(range(max(n, FROM), n + AT_ONCE), marks=pytest.mark.soak)
            for n in range(0, SOAKED, AT_ONCE)
            if n + AT_ONCE > FROM
        ),
    ],
    ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}",
)
async def test_every_spoiled_row_gets_its_reason_and_every_good_row_lands(
    pool, tx, world, scene, tmp_path, capsys, monkeypatch, numbers
):
    await with_a_sealed_month(pool, world, scene, numbers)
    met, written = Counter(), set()

    async def receive(content, upload, lines):
        async def stream():
            for start in range(0, len(content), 10_000):
                yield content[start : start + 10_000]

        receipt, _ = await files.receive(
            stream(), upload=upload, manifest=Manifest(lines=lines), pool=pool,
            clock=FixedClock(world.now), directory=tmp_path, limit_bytes=10**8,
            actor=make.sp_actor(world.sp_id),
        )  # fmt: skip
        return receipt

    for number in numbers:
        one = parcel(number, scene)
        # In one chunk, or in many that are on their way two at a time.
        monkeypatch.setattr(spooling, "CHUNK_LINES", (5_000, 60, 23)[number % 3])
        before = await receive(one.before, Upload(form=FileFormat.CSV), BEFORE)
        assert before.landed == BEFORE
        receipt = await receive(one.content, one.upload, ROWS)
        found = await tx.fetch(
            "SELECT line_no, reason, raw FROM charge_quarantine WHERE file_id = $1 ORDER BY line_no",
            receipt.id,
        )
        assert [tuple(row)[:2] for row in found] == [each[:2] for each in one.bad], number
        for row, (_, reason, line) in zip(found, one.bad, strict=True):
            kept = line[:KEPT_OF_A_LONG_LINE] if reason == Reason.LINE_TOO_LONG else line
            assert row["raw"] == kept, (number, row["line_no"])
        assert (receipt.lines, receipt.landed, receipt.quarantined, receipt.duplicates) == (
            ROWS, ROWS - len(one.bad) - one.duplicates, len(one.bad), one.duplicates,
        ), number  # fmt: skip
        landed = await tx.fetch(
            "SELECT record_id, msisdn, charged_at, price_fen, delivery FROM charge_record "
            "WHERE file_id = $1",
            receipt.id,
        )
        assert sorted(map(tuple, landed)) == sorted(one.landed), number
        met += one.met
        written |= {one.upload.form, one.upload.encoding, one.upload.packing}
        if numbers.stop > LEAST and (number + 1) % 10 == 0:
            with capsys.disabled():
                print(f"\n{number + 1} of {SOAKED} files", end="", flush=True)  # noqa: T201
    if len(numbers) >= LEAST:  # fewer are left when a long run goes on near the end of a portion
        assert {*map(str, Reason), SEEN} == met.keys()
        assert len(written) == 2 + 2 + 3
