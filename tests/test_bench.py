"""The measuring stick: one figure that fails takes nobody else's with it, and is said."""

import asyncio
import json
import sys
from types import ModuleType

import asyncpg
import pytest
from typer.testing import CliRunner

from benchmarks import figures, run
from benchmarks.figures import Figure, Ground
from spms.cli.commands import app as command_line


def figure(name: str) -> Figure:
    return Figure(id=name, title=name, ours="x", beside="y", must=0.5, aim=1.0)


def module(name: str, measure: object) -> ModuleType:
    made = ModuleType(f"benchmarks.{name}")
    vars(made).update(FIGURES=(figure(name),), measure=measure)
    return made


async def good(ground: Ground, wanted: frozenset[str]) -> None:
    (name,) = wanted
    for n in range(ground.pairs):
        ground.note(name, 3.0 + n, 4.0)


async def failing(ground: Ground, wanted: frozenset[str]) -> None:
    raise ConnectionError("the server is gone\nand more")


async def leaving(ground: Ground, wanted: frozenset[str]) -> None:
    (name,) = wanted
    ground.note(name, 1.0, 4.0)
    raise SystemExit("answers that are none")


async def hanging(ground: Ground, wanted: frozenset[str]) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def arranged(server_url, monkeypatch):
    """Measure on the tests' server, with modules of our own."""
    made = {
        f"benchmarks.{one.__name__}": module(one.__name__, one)
        for one in (failing, hanging, leaving, good)
    }
    for name, one in made.items():
        monkeypatch.setitem(sys.modules, name, one)
    monkeypatch.setenv("SPMS_TEST_DATABASE_URL", server_url)
    monkeypatch.setattr(run, "MODULES", ("benchmarks.absent", *made))
    monkeypatch.setattr(run, "LONGEST_SECONDS_SHORT", 0.05)


def test_a_module_that_fails_loses_nobody_elses_results_and_is_said(arranged, tmp_path):
    place = tmp_path / "figures.json"
    done = CliRunner().invoke(command_line, ["bench", "--short", "--json", str(place)])
    assert done.exit_code == 1, done.output
    report = json.loads(place.read_bytes())
    found = {one["id"]: one for one in report["figures"]}
    assert found.keys() == {"leaving", "good"}
    assert (found["good"]["pairs"], found["good"]["ratio"]) == (run.PAIRS, 1.25)
    assert (found["good"]["reached"], found["leaving"]["reached"]) == (True, False)
    assert {one["id"]: one["why"] for one in report["missing"]} == {
        "benchmarks.absent": "ModuleNotFoundError: No module named 'benchmarks.absent'",
        "benchmarks.failing": "ConnectionError: the server is gone",
        "benchmarks.hanging": "took longer than 0 s",
        "benchmarks.leaving": "SystemExit: answers that are none",
        "failing": "not one pair was measured", "hanging": "not one pair was measured",
    }  # fmt: skip
    assert all(f"not measured: {one['id']}" in done.output for one in report["missing"])
    assert report["seconds"].keys() == {"failing", "hanging", "leaving", "good"}


def test_what_was_measured_is_in_the_file_before_the_next_module_begins(
    arranged, tmp_path, monkeypatch
):
    place = tmp_path / "figures.json"
    seen = []

    async def last(ground: Ground, wanted: frozenset[str]) -> None:
        seen.extend(one["id"] for one in json.loads(place.read_bytes())["figures"])

    monkeypatch.setattr(run, "MODULES", ("benchmarks.good", "benchmarks.last"))
    monkeypatch.setitem(sys.modules, "benchmarks.last", module("last", last))
    CliRunner().invoke(command_line, ["bench", "--short", "--json", str(place)])
    assert seen == ["good"]


def test_every_module_of_figures_can_be_loaded_and_no_figure_has_two_meanings():
    loaded, missing = run.modules()
    assert missing == []
    ids = [one.id for each in loaded for one in each.FIGURES]
    assert len(ids) == len(set(ids)) >= 12


async def test_a_figure_that_needs_what_is_not_installed_says_what_to_do(arranged, monkeypatch):
    monkeypatch.setattr(run, "MODULES", ("benchmarks.month_audit",))
    monkeypatch.setitem(sys.modules, "duckdb", None)
    said = []
    report = await run.run(short=True, only=frozenset(), say=said.append)
    (missing,) = report.missing
    assert missing.id == "D1"
    assert "pip install duckdb" in missing.why
    assert any("D1 is left out" in words for words in said)


async def test_figures_share_what_was_filled_once_and_leave_nothing_behind(
    server_url, monkeypatch, tmp_path
):
    filled = []

    async def schema(url: str) -> None:
        owner = await asyncpg.connect(url)
        await owner.execute("CREATE TABLE shared (n int)")
        await owner.close()

    async def fill(url: str) -> None:
        filled.append(url)
        owner = await asyncpg.connect(url)
        await owner.execute("INSERT INTO shared VALUES (7)")
        await owner.close()

    monkeypatch.setattr(figures, "_schema", schema)
    before = await databases(server_url)
    ground = Ground(server_url, short=True, pairs=1, say=print, directory=tmp_path)
    for _ in range(2):
        async with ground.database(await ground.prepared("ground", fill)) as url:
            owner = await asyncpg.connect(url)
            assert await owner.fetchval("SELECT sum(n) FROM shared") == 7
            await owner.execute("INSERT INTO shared VALUES (1)")
            await owner.close()
    async with ground.database() as url:
        owner = await asyncpg.connect(url)
        assert await owner.fetchval("SELECT count(*) FROM shared") == 0
        await owner.close()
    await ground.aclose()
    assert len(filled) == 1
    assert await databases(server_url) == before


async def databases(url: str) -> set[str]:
    admin = await asyncpg.connect(url)
    rows = await admin.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'spms_bench_%'")
    await admin.close()
    return {row["datname"] for row in rows}
