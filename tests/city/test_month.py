"""A month in bulk: the same again, everything wrong in it labelled, and labelled right."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from spms.city.files import COLUMNS
from spms.city.model import CityError, Fault
from spms.city.month import BEGAN, Market, Month
from spms.city.month_faults import KINDS, plan, spoil
from spms.city.month_files import Times, write

MONTH = Month(numbers=120, companies=4, charges=8, days=8)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_same_seed_writes_the_same_month_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(Month(numbers=50, companies=3, charges=8, days=8, seed=seed), tmp_path / name)
    names = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.csv"))
    read = [[(tmp_path / one / name).read_bytes() for name in names] for one in "ab"]
    assert read[0] == read[1]
    assert (tmp_path / "c" / "labels.csv").read_bytes() != (
        tmp_path / "a" / "labels.csv"
    ).read_bytes()


def test_each_charge_is_delivered_once_by_its_company_on_its_day_in_the_order_of_time(
    tmp_path: Path,
) -> None:
    counts = write(MONTH, tmp_path)
    told = Times(MONTH)
    sold = {one["service_code"]: one["sp_code"] for one in rows(tmp_path / "services.csv")}
    files = list((tmp_path / "charges").rglob("*.csv"))
    seen: Counter[str] = Counter()
    for path in files:
        day, lines = int(path.parent.name), rows(path)
        assert tuple(lines[0]) == COLUMNS
        times = [line["charged_at"] for line in lines]
        assert times == sorted(times)
        assert told(day * 86_400) <= times[0]
        assert times[-1] < told((day + 1) * 86_400)
        assert {sold[line["service_code"]] for line in lines} == {path.stem}
        seen.update(line["record_id"] for line in lines)
    assert set(seen.values()) == {1}
    assert (len(seen), len(files)) == (counts["charges"], counts["files"])
    relations = rows(tmp_path / "relations" / "00000.csv")
    assert len(relations) == counts["relations"]
    labels = Counter(one["kind"] for one in rows(tmp_path / "labels.csv"))
    assert len(seen) == len(relations) - labels[Fault.DELIVERED_NOT_CHARGED] + sum(
        labels[kind] for kind in (
            Fault.DUPLICATE, Fault.NO_CONSENT, Fault.MT_WITHOUT_MO, Fault.OTHER_SERVICE)
    )  # fmt: skip


def test_every_kind_of_fault_is_planted_each_on_a_number_of_its_own() -> None:
    wrong = plan(Market(MONTH))
    assert {kind: list(wrong.values()).count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_that_shows_a_fault_is_labelled_with_it_and_else_as_it_was(kind: Fault) -> None:
    market = Market(MONTH)
    place = next(place for place, fault in plan(market).items() if fault is kind)
    found = spoil(market, place, kind)
    assert found is not None
    assert kind in {label for _, label in found.labels}
    known = {deal.record_id for deal in found.deals} | {line.record_id for line in found.lines}
    assert {record_id for record_id, _ in found.labels} <= known
    right = {deal.id: (deal.at, deal.offer) for deal in market.deals(place)}
    assert right.items() <= {deal.id: (deal.at, deal.offer) for deal in found.deals}.items()


@pytest.mark.parametrize("kind", [Fault.NUMBER_SUSPENDED, Fault.BARRED])
def test_what_holds_for_seconds_holds_for_one_charge_only(kind: Fault) -> None:
    """Another in them would be as wrong, and no label would say so."""
    market = Market(Month(numbers=1_000_000))
    place = 173_946
    one, other = market.deals(place)[6:8]
    assert other.at - one.at == 4
    assert other.offer.company != one.offer.company, "a bar of the one does not keep the other away"
    assert (spoil(market, place, kind) is None) == (kind is Fault.NUMBER_SUSPENDED)


def test_numbers_lie_as_far_apart_as_told() -> None:
    month = Month(numbers=3, companies=1, charges=1, apart=7)
    assert [month.msisdn(n) for n in range(3)] == [
        "8613900000000",
        "8613900000007",
        "8613900000014",
    ]
    assert month.began == BEGAN


@pytest.mark.parametrize(
    "wrong", [{"companies": 301}, {"companies": 1, "charges": 11}, {"apart": 10**8}]
)
def test_a_month_that_cannot_be_drawn_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(CityError):
        Month(numbers=100, **wrong)


def test_a_month_is_not_written_over_another(tmp_path: Path) -> None:
    write(Month(numbers=40, companies=3, days=2), tmp_path)
    with pytest.raises(CityError, match="another directory"):
        write(Month(numbers=40, companies=3, days=2), tmp_path)
