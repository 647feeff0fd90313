"""A city's month as files: what was agreed and asked, what happened to numbers, what is delivered."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from spms.city.files import COLUMNS
from spms.city.model import CityError, Offer
from spms.city.month import DAY, Deal, Market, Month, company_code, service_code
from spms.city.month_faults import Wrong, plan, spoil

BATCH = 10_000
"""Numbers whose relations are in one file; what they are charged is in memory at one time."""
HEADS = {
    "services": "sp_code,service_code,kind,price_fen",
    "events": "msisdn,at,kind,state,epoch",
    "bars": "msisdn,sp_code,starts_at,ends_at",
    "caps": "msisdn,starts_at,limit_fen",
    "holds": "msisdn,relation,state",
    "labels": "record_id,kind",
}
RELATIONS = "msisdn,relation,service_code,agreed_at,charge_from,ended_at,asked_at"
CHARGES = ",".join(COLUMNS)
CLOCK = [f"T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}Z" for s in range(DAY)]


class Times:
    """Writes a second of the month as an instant in UTC."""

    def __init__(self, month: Month) -> None:
        """Begin where the month does."""
        midnight = month.began.replace(hour=0, minute=0, second=0, microsecond=0)
        self._offset = int((month.began - midnight).total_seconds())
        self._dates = {
            n: f"{midnight + timedelta(days=n):%Y-%m-%d}" for n in range(-3, month.days + 3)
        }

    def __call__(self, at: int) -> str:
        """Write it."""
        day, second = divmod(at + self._offset, DAY)
        return self._dates[day] + CLOCK[second]


def write(month: Month, directory: Path) -> dict[str, int]:
    """Write a month into a directory; return how many lines of each.

    What the platform is to know: `services.csv`, `relations/<n>.csv` (a number, what it holds since
    when, and when the company asked whether it may charge it: empty, it did not), `events.csv` of
    numbers, `bars.csv`, `caps.csv`, and `holds.csv` (how what was held for a charge ended). What is
    delivered: `charges/<day>/<SP>.csv`, in the order of time. What is to be found: `labels.csv`.
    Raises `CityError` when charges lie there already.
    """
    if (directory / "charges").exists():
        raise CityError(f"{directory} has charges already: name another directory, or delete it")
    (directory / "relations").mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        facts = {
            name: stack.enter_context(_begun(directory / f"{name}.csv", head))
            for name, head in HEADS.items()
        }
        writer = _Writer(Market(month), directory, facts)
        writer.offers()
        for first in range(0, month.numbers, BATCH):
            writer.batch(range(first, min(first + BATCH, month.numbers)))
    return writer.counts | {"files": _sorted_files(directory / "charges")}


def _begun(path: Path, head: str) -> TextIO:
    file = path.open("w", encoding="utf-8")
    file.write(f"{head}\n")
    return file


class _Writer:
    """Writes a month batch by batch."""

    def __init__(self, market: Market, directory: Path, facts: Mapping[str, TextIO]) -> None:
        self.counts = dict.fromkeys(("relations", "charges", "labels"), 0)
        self._market, self._directory, self._facts = market, directory, facts
        self._told = Times(market.month)
        self._codes = [service_code(offer.n) for offer in market.offers]
        self._wrong = plan(market)
        self._heaps: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
        """What is reported, by day and company."""

    def offers(self) -> None:
        """Say what is sold, and by whom."""
        self._facts["services"].writelines(
            f"{company_code(one.company)},{code},{one.sold.value},{one.price_fen}\n"
            for one, code in zip(self._market.offers, self._codes, strict=True)
        )

    def batch(self, places: range) -> None:
        """Write what some numbers hold, and add what they are charged to the files delivered."""
        name = f"{places.start // BATCH:05}.csv"
        with _begun(self._directory / "relations" / name, RELATIONS) as relations:
            for place in places:
                msisdn, fault = self._market.month.msisdn(place), self._wrong.get(place)
                found = None if fault is None else spoil(self._market, place, fault)
                deals = self._market.deals(place) if found is None else found.deals
                relations.writelines(self._relation(msisdn, deal) for deal in deals)
                self.counts["relations"] += len(deals)
                for deal in deals:
                    if deal.reported:
                        self._report(
                            msisdn,
                            deal.record_id,
                            deal.offer,
                            deal.at,
                            deal.price_fen,
                            deal.delivery,
                        )
                if found is not None:
                    self._write_wrong(msisdn, found)
        self._deliver()

    def _relation(self, msisdn: str, deal: Deal) -> str:
        told = self._told
        ended = "" if deal.ended_at is None else told(deal.ended_at)
        asked = "" if deal.asked_at is None else told(deal.asked_at)
        return (
            f"{msisdn},{deal.id},{self._codes[deal.offer.n]},{told(deal.agreed_at)},"
            f"{told(deal.charge_from)},{ended},{asked}\n"
        )

    def _report(  # noqa: PLR0917 - a record's columns, millions of times
        self, msisdn: str, record_id: str, offer: Offer, at: int, price_fen: int, delivery: str
    ) -> None:
        self._heaps[at // DAY, offer.company].append(
            f"{record_id},{self._codes[offer.n]},{msisdn},{self._told(at)},{price_fen},{delivery}\n"
        )

    def _write_wrong(self, msisdn: str, found: Wrong) -> None:
        told, facts = self._told, self._facts
        for line in found.lines:
            self._report(msisdn, line.record_id, line.offer, line.at, line.price_fen, "none")
        for event in found.events:
            facts["events"].write(
                f"{msisdn},{told(event.at)},{event.kind},{event.state},{event.epoch}\n"
            )
        for company, starts, ends in found.bars:
            facts["bars"].write(f"{msisdn},{company_code(company)},{told(starts)},{told(ends)}\n")
        for starts, limit_fen in found.caps:
            facts["caps"].write(f"{msisdn},{told(starts)},{limit_fen}\n")
        for relation, state in found.holds:
            facts["holds"].write(f"{msisdn},{relation},{state}\n")
        for record_id, kind in found.labels:
            facts["labels"].write(f"{record_id},{kind.value}\n")
        self.counts["labels"] += len(found.labels)

    def _deliver(self) -> None:
        for (day, company), lines in self._heaps.items():
            self.counts["charges"] += len(lines)
            path = self._directory / "charges" / f"{day:02}" / f"{company_code(company)}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.writelines(lines)
        self._heaps.clear()


def _sorted_files(directory: Path) -> int:
    """Put each file's lines into the order in which an SP writes, by time; return how many files."""
    count = 0
    for path in directory.glob("*/*.csv"):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        lines.sort(key=lambda line: (line.split(",", 4)[3], line))
        with path.open("w", encoding="utf-8") as file:
            file.write(f"{CHARGES}\n")
            file.writelines(lines)
        count += 1
    return count
