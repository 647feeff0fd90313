"""A city as files: what the outside world would send, and the labels beside it."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from spms.city import charges, files
from spms.city.asking import ENDS, asked_at
from spms.city.hotlines import BREACHES
from spms.city.lives import live
from spms.city.model import City, Fault, Json
from spms.city.names import Names
from spms.city.records import Row
from spms.city.timeline import Event
from spms.core.clock import SHANGHAI

CSV_HEADER = ",".join(files.COLUMNS)


def export(city: City, began: datetime, directory: Path) -> dict[str, int]:
    """Write a city that begins at an instant into a directory; return how many lines of each.

    `sps.ndjson`, `events.ndjson` (orders, replies, leaves, number events, with their times),
    `charges/<sp>.csv`, `questions.ndjson` (whether a charge may be made, and what was held and how
    that ended), `hotlines.csv`, and `labels.ndjson`: what is wrong, and nothing else is.
    """
    names = Names(city.seed, began)
    lives = [live(person) for person in city.people]
    rows = charges.rows(city, began, lives)
    events = sorted((event for life in lives for event in life.events), key=lambda e: e.at)
    codes = {n: names.service_code(n) for n in city.offers}
    (directory / "charges").mkdir(parents=True, exist_ok=True)
    for company in city.companies:
        lines = [",".join(map(str, files.record(row, names, codes).values()))
                 for row in rows if row.reported and row.company == company.n]  # fmt: skip
        path = directory / "charges" / f"{names.licence(company.n)}.csv"
        path.write_text("\n".join([CSV_HEADER, *lines, ""]), "utf-8")
    labels = list(_labels(city, names, rows))
    hotlines = list(_hotlines(city, names))
    (directory / "hotlines.csv").write_text(
        "\n".join(["licence_no,hotline,behaviour,breach", *hotlines, ""]), "utf-8"
    )
    _lines(directory / "sps.ndjson", _companies(city, names))
    _lines(directory / "events.ndjson", (_event(city, names, began, event) for event in events))
    questions = list(_questions(names, began, rows))
    _lines(directory / "questions.ndjson", questions)
    _lines(directory / "labels.ndjson", labels)
    return {
        "companies": len(city.companies), "events": len(events), "charges": sum(row.reported for row in rows),
        "questions": len(questions), "hotlines": len(hotlines), "labels": len(labels),
    }  # fmt: skip


def _companies(city: City, names: Names) -> Iterable[Json]:
    for company in city.companies:
        yield {
            "licence_no": names.licence(company.n),
            "name": names.company(company.name, company.n),
            "responsible_mobile": names.responsible(company.n),
            "hotlines": [names.hotline(line.n) for line in company.hotlines],
            "access_number": names.access_number(company.n),
            "services": [
                {
                    "code": names.service_code(offer.n), "name": offer.name,
                    "kind": offer.sold.value, "price_fen": offer.price_fen,
                    "keyword": offer.keyword,
                }
                for offer in company.offers
            ],
        }  # fmt: skip


def _event(city: City, names: Names, began: datetime, event: Event) -> Json:
    told: Json = {
        "at": (began + event.at).astimezone(SHANGHAI).isoformat(),
        "msisdn": names.msisdn(event.person),
        "kind": event.deed.value,
    }
    if event.offer is not None:
        offer = city.offers[event.offer]
        told["service_code"] = names.service_code(offer.n)
        told["access_number"] = names.access_number(offer.company)
    if event.words:
        told["text"] = event.words
    return told


def _questions(names: Names, began: datetime, rows: Iterable[Row]) -> Iterable[Json]:
    for row in rows:
        if row.fault is not Fault.NO_DECISION:
            yield {
                "at": (began + asked_at(row, began)).astimezone(SHANGHAI).isoformat(),
                "licence_no": names.licence(row.company), "msisdn": names.msisdn(row.person),
                "service_code": names.service_code(row.offer), "price_fen": row.price_fen,
                "reference": names.record_id(row.serial),
                "held_until": ENDS.get(row.fault) if row.fault is not None else None,
            }  # fmt: skip


def _hotlines(city: City, names: Names) -> Iterable[str]:
    for company in city.companies:
        for line in company.hotlines:
            breach = BREACHES.get(line.story, "")
            licence, number = names.licence(company.n), names.hotline(line.n)
            yield f"{licence},{number},{line.story.value},{breach}"


def _labels(city: City, names: Names, rows: Iterable[Row]) -> Iterable[Json]:
    for row in rows:
        if row.fault is not None and not row.reported:
            yield {"reference": names.record_id(row.serial), "kind": row.fault.value}
        elif row.fault is not None:
            yield {
                "record_id": names.record_id(row.serial), "kind": row.fault.value,
                "charged_fen": row.price_fen, "due_fen": row.due_fen,
            }  # fmt: skip
    for company in city.companies:
        for line in company.hotlines:
            if line.is_breach:
                yield {"hotline": names.hotline(line.n), "kind": BREACHES[line.story]}


def _lines(path: Path, values: Iterable[Json]) -> None:
    with path.open("wb") as file:
        for value in values:
            file.write(msgspec.json.encode(value) + b"\n")
