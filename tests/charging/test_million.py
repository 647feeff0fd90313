"""The largest file there may be, and how much memory the process takes that lands it."""

from datetime import UTC, datetime

import pytest

from benchmarks import ingest

REASONS = "SELECT reason, count(*) AS lines FROM charge_quarantine GROUP BY reason"
TOTALS = "SELECT count(*) AS charges, sum(due_fen) AS fen FROM charge_record"


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("lines", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
async def test_memory_does_not_grow_with_the_file(owner_url, owner, tmp_path, lines):
    now = datetime.now(UTC).replace(microsecond=0)
    sp_id, pairs = await ingest.arrange(owner_url, lines // 2, now)
    path = tmp_path / "file.csv"
    expected = ingest.mixed_csv(path, pairs, lines, now)
    told = await ingest.received(owner_url, path, tmp_path, sp_id, now)
    assert told["state"] == "done"
    assert {name: told[name] for name in expected} == expected
    assert told["peak_mb"] < 300
    (reason,) = await owner.fetch(REASONS)
    assert tuple(reason) == ("amount_format", expected["quarantined"])
    totals = await owner.fetchrow(TOTALS)
    assert tuple(totals) == (expected["landed"], 800 * expected["landed"])
