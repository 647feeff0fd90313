"""The measuring stick: one figure that fails takes nobody else's with it, and is said."""

import asyncio
import filecmp
import json
import sys
from types import ModuleType, SimpleNamespace

import asyncpg
import pytest
from typer.testing import CliRunner

from benchmarks import charge_pair, city_ground, city_month, decision, figures, run
from benchmarks.figures import Clock, Figure, Ground
from spms.city.month import Month
from spms.cli.commands import app as command_line


def figure(name: str, seconds: float = 1.0) -> Figure:
    return Figure(id=name, title=name, ours="x", beside="y", must=0.5, aim=1.0, seconds=seconds)


def module(name: str, measure: object) -> ModuleType:
    made = ModuleType(f"benchmarks.{name}")
    vars(made).update(FIGURES=(figure(name),), measure=measure)
    return made


async def good(ground: Ground, wanted: frozenset[str]) -> None:
    (name,) = wanted
    for n in ground.turns(name):
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
    monkeypatch.setattr(run, "SHORT_SECONDS", 1.0)
    monkeypatch.setattr(run, "LEAST_SECONDS", 0.3)


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
        "benchmarks.hanging": "was broken off after 0 s",
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


def test_on_a_slow_machine_every_figure_gets_fewer_pairs_and_that_is_said(monkeypatch, tmp_path):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(figures, "time", SimpleNamespace(perf_counter=lambda: now.seconds))
    both = (figure("a", seconds=1), figure("b", seconds=3))
    ground = Ground("", short=True, pairs=5, say=lambda _: None, directory=tmp_path)
    ground.clock = Clock(100, both)
    for name, lasts in (("a", 10), ("b", 30)):
        for _ in ground.turns(name):
            ground.note(name, 1.0, 2.0)
            now.seconds += lasts
    found = ground.results(both)
    assert [(one.pairs, one.pairs_asked) for one in found] == [(2, 5), (2, 5)]
    assert now.seconds <= 100
    report = SimpleNamespace(figures=found)
    assert [row[3] for row in run.table(report)] == ["2 of 5", "2 of 5"]
    assert run.fewer(report).endswith("a 2 of 5, b 2 of 5")


def test_a_figure_whose_share_is_over_gets_one_pair_and_one_without_a_limit_all(tmp_path):
    ground = Ground("", short=True, pairs=5, say=lambda _: None, directory=tmp_path)
    assert len(list(ground.turns("a"))) == 5
    ground.clock = Clock(0, (figure("a"), figure("b")))
    assert len(list(ground.turns("a"))) == 1


def test_each_figure_beside_pgbench_has_a_sample_right_after_its_own(tmp_path):
    ground = Ground("", short=False, pairs=1, say=lambda _: None, directory=tmp_path)
    taken = []

    def ours(*about: object) -> dict[str, float]:
        taken.append("ours")
        return {"marks_per_s": 3.0, "p99_ms": 1.0}

    def beside() -> float:
        taken.append("pgbench")
        return 2.0

    work = SimpleNamespace(send=ours, stream=ours, single=[], batch=[], decide=[])
    wanted = frozenset({"A1", "A2", "A3"})
    decision._single(ground, wanted, work, (None, None), beside)
    decision._many(ground, wanted, work, None, beside)
    assert taken == ["ours", "pgbench"] * 3
    assert [one.ratio for one in ground.results(decision.FIGURES)] == [1.5] * 3


def test_every_module_of_figures_can_be_loaded_and_no_figure_has_two_meanings():
    loaded, missing = run.modules()
    assert missing == []
    ids = [one.id for each in loaded for one in each.FIGURES]
    assert len(ids) == len(set(ids)) >= 12


def test_the_table_of_what_must_be_reached_finds_its_figures_in_the_file_by_their_ids():
    owners = {"A1", "A1b", "A1c", "A2", "A3", "A4", "B1", "C1", "C2", "C3", "D1", "M1", "S1"}
    assert owners <= {one.id for one in run.figures()}
    musts = {one.id: (one.must, one.at_most) for one in run.figures()}
    assert (musts["A1c"], musts["A1c8"]) == ((15, True), (8, True))
    assert (musts["C3"], musts["C3o"]) == ((8, True), (20, True))
    assert (musts["B1"], musts["B1m"]) == ((0.25, False), (0.25, False))


async def test_a_city_month_is_what_the_simulator_writes_and_all_that_is_wrong_in_it_is_found(
    owner_url, owner, server_url, tmp_path
):
    month = Month(numbers=60, companies=3, charges=8, days=8)
    await city_ground.arrange(owner_url, month, tmp_path / "city", say=print)
    size = ["--subscribers", "60", "--companies", "3", "--charges", "8", "--days", "8"]
    words = ["simulate", "--month", *size, "--out"]
    assert CliRunner().invoke(command_line, [*words, str(tmp_path / "again")]).exit_code == 0
    assert same(tmp_path / "city" / "charges", tmp_path / "again" / "charges")
    ground = Ground(server_url, short=True, pairs=1, say=print, directory=tmp_path)
    await city_month.play(ground, owner_url, tmp_path, sealed=False)
    results = {one.id: one.ratio for one in ground.results(city_month.FIGURES)}
    assert (results["S1f"], results["S1a"]) == (1.0, 0.0)
    table = await city_month.scores(owner)
    assert {kind for kind, (due, found, false) in table.items() if (due, false) == (found, 0)} == (
        {fault.value for fault in city_month.KINDS}
    )
    assert all(due >= 2 for due, _, _ in table.values())


async def test_a_pair_of_b1_ingests_what_the_simulator_writes_and_copies_the_same_rows(
    owner_url, owner, server_url, tmp_path
):
    month = charge_pair.month_of(2, 40)
    city = tmp_path / "city"
    await city_ground.arrange(owner_url, month, city, say=print, lean=True)
    ground = Ground(server_url, short=True, pairs=2, say=print, directory=tmp_path)
    await charge_pair.pairs(ground, "B1", owner_url, month, city)
    (result,) = ground.results(tuple(one for one in run.figures() if one.id == "B1"))
    assert result.pairs == 2
    lines = sum(
        len(charge_pair.delivered(city, day).read_text().splitlines()) - 1 for day in (0, 1)
    )
    twice = await owner.fetch(
        "SELECT array_agg(msisdn) AS numbers FROM charge_record GROUP BY charged_at, record_id"
    )
    assert len(twice) == lines
    known = {month.msisdn(place) for place in range(month.numbers)}
    for row in twice:
        one, other = row["numbers"]
        assert charge_pair.elsewhere(month, one) == other, (
            "the pages of one are not warm for the other"
        )
        assert {one, other} <= known
    assert await owner.fetchval("SELECT count(*) FROM charge_finding") > 0
    async with charge_pair.cites_aside(owner):
        pass
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await owner.execute("INSERT INTO charge_record SELECT (r).* FROM (SELECT jsonb_populate_record(c,"
                            " jsonb_build_object('id', gen_random_uuid(), 'consent_id', gen_random_uuid()))"
                            " AS r FROM charge_record c LIMIT 1) x")  # fmt: skip


def same(one, other) -> bool:
    compared = filecmp.dircmp(one, other)
    return (
        not compared.left_only and not compared.right_only and not compared.diff_files
        and all(same(one / name, other / name) for name in compared.common_dirs)
    )  # fmt: skip


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
