"""Parcels: how each company's day of records is packed, and the broken lines among them."""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

import msgspec

from spms.city.lives import DAY, DELIVER
from spms.city.model import City, Json
from spms.city.names import Names
from spms.city.plan import dice
from spms.city.records import Form, Parcel, Row, Spoil, Spoiled
from spms.core.clock import SHANGHAI

COLUMNS = ("record_id", "service_code", "msisdn", "charged_at", "price_fen", "delivery")
FORMS = (Form.CSV, Form.NDJSON, Form.BATCH, Form.CSV_GZ, Form.NDJSON_GZ)
SPOILED_SHARE = 0.35
AGAIN_SHARE = 0.15
FIRST_SPOILED = 2
"""The first parcels in each form are spoiled and delivered again in any city."""

OLD = timedelta(hours=100)
AHEAD = timedelta(hours=3)
CONFLICT_WITHIN = timedelta(hours=36)
"""A record id is used again while the platform still takes records of that age."""

ONLY_CSV = frozenset({Spoiled.QUOTE_MALFORMED, Spoiled.HEADER_ROW})
ONLY_NDJSON = frozenset({Spoiled.JSON_MALFORMED})
NOT_DRAWN = frozenset({Spoiled.DUP_CONFLICT})
"""Chosen only when there is an earlier record to conflict with."""


class Written(NamedTuple):
    """A file as it goes over the wire, and which of its lines must be quarantined."""

    content: bytes
    media_type: str
    inside: str
    """What an archive holds; the value of X-Charge-Format."""
    spoiled: dict[int, Spoiled]
    """Line number → reason."""


def pack(city: City, began: datetime, rows: Sequence[Row]) -> list[Parcel]:
    """Pack each company's records of each day into a batch or a file, forms in turn."""
    roll = dice(city.seed, "parcels")
    heaps: defaultdict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in rows:
        if not row.reported:
            continue
        heaps[(row.at - began) // DAY, row.company].append(row)
    parcels: list[Parcel] = []
    spoils = Spoiler(roll, began, next_serial=len(rows) + 1)
    for n, ((day, company), heap) in enumerate(sorted(heaps.items())):
        form = FORMS[n % len(FORMS)]
        early = n < FIRST_SPOILED * len(FORMS)
        is_file = form is not Form.BATCH
        at = DAY * day + DELIVER
        bad: tuple[Spoil, ...] = ()
        if is_file and (early or roll.random() < SPOILED_SHARE):
            bad = spoils.of(form, heap, at)
        parcels.append(
            Parcel(
                n=n,
                company=company,
                at=at,
                form=form,
                rows=tuple(heap),
                spoils=bad,
                again=is_file and (early or roll.random() < AGAIN_SHARE),
            )
        )
        spoils.seen[company] = heap[-1]
    return parcels


class Spoiler:
    """Breaks copies of good records, each in one way. A broken line has an id of its own."""

    def __init__(self, roll: Random, began: datetime, next_serial: int) -> None:
        """Number broken lines after all good ones."""
        self.seen: dict[int, Row] = {}
        """The last record each company delivered before."""
        self._roll = roll
        self._began = began
        self._serial = next_serial

    def of(self, form: Form, heap: Sequence[Row], at: timedelta) -> tuple[Spoil, ...]:
        """Return one to three broken lines for a file that is delivered at an instant."""
        barred = NOT_DRAWN | (ONLY_NDJSON if form.is_csv else ONLY_CSV)
        reasons = [reason for reason in Spoiled if reason not in barred]
        found = [
            self._broken(reason, self._roll.choice(heap), at)
            for reason in self._roll.sample(reasons, self._roll.choice((1, 1, 2)))
        ]
        earlier = self.seen.get(heap[0].company)
        if earlier is not None and self._began + at - earlier.at < CONFLICT_WITHIN:
            row = msgspec.structs.replace(earlier, price_fen=earlier.price_fen + 10)
            found.append(Spoil(reason=Spoiled.DUP_CONFLICT, row=row))
        return tuple(found)

    def _broken(self, reason: Spoiled, good: Row, at: timedelta) -> Spoil:
        charged_at = good.at
        if reason is Spoiled.TIME_OLD:
            charged_at = (self._began + at - OLD).replace(microsecond=0)
        elif reason is Spoiled.TIME_FUTURE:
            charged_at = (self._began + at + AHEAD).replace(microsecond=0)
        row = msgspec.structs.replace(good, serial=self._serial, at=charged_at)
        self._serial += 1
        return Spoil(reason=reason, row=row)


def record(row: Row, names: Names, codes: Mapping[int, str]) -> Json:
    """Write a record as the API wants it; `codes` are the services' codes by offer."""
    return {
        "record_id": names.record_id(row.serial),
        "service_code": codes[row.offer],
        "msisdn": names.msisdn(row.person),
        "charged_at": row.at.astimezone(SHANGHAI).isoformat(),
        "price_fen": row.price_fen,
        "delivery": row.delivery,
    }


def write(parcel: Parcel, names: Names, codes: Mapping[int, str], *, seed: int) -> Written:
    """Write a file with its broken lines among the good ones, in an order of its own."""
    roll = dice(seed, "file", parcel.n)
    entries: list[Row | Spoil] = [*parcel.rows, *parcel.spoils]
    roll.shuffle(entries)
    as_csv = parcel.form.is_csv
    first = 2 if as_csv else 1  # a CSV file's header is its first line
    lines = [",".join(COLUMNS)] if as_csv else []
    spoiled = {}
    for line_no, entry in enumerate(entries, start=first):
        good = record(entry.row if isinstance(entry, Spoil) else entry, names, codes)
        if isinstance(entry, Spoil):
            spoiled[line_no] = entry.reason
            lines.append(spoil(good, entry.reason, as_csv=as_csv))
        else:
            lines.append(_line(good, as_csv=as_csv))
    content = "".join(f"{line}\n" for line in lines).encode()
    inside = "csv" if as_csv else "ndjson"
    if parcel.form.is_gzip:
        return Written(gzip.compress(content, mtime=0), "application/gzip", inside, spoiled)
    return Written(content, "text/csv" if as_csv else "application/x-ndjson", inside, spoiled)


def spoil(good: Json, reason: Spoiled, *, as_csv: bool) -> str:
    """Write one broken line."""
    if reason is Spoiled.HEADER_ROW:
        return ",".join(COLUMNS)
    value: Json = good | FIELDS[reason](good) if reason in FIELDS else dict(good)
    if reason is Spoiled.AMOUNT_FORMAT:
        amount = f"{good['price_fen'] / 100:.2f}"
        value["price_fen"] = amount if as_csv else str(good["price_fen"])
    if reason is Spoiled.COLUMN_COUNT:
        del value["delivery"]
    line = _line(value, as_csv=as_csv)
    if reason is Spoiled.QUOTE_MALFORMED:
        return f'"{line}'
    return line[:-1] if reason is Spoiled.JSON_MALFORMED else line


FIELDS: dict[Spoiled, Callable[[Json], Json]] = {
    Spoiled.MSISDN_LENGTH: lambda good: {"msisdn": good["msisdn"][:-1]},
    Spoiled.MSISDN_PREFIX: lambda good: {"msisdn": "8612" + good["msisdn"][4:]},
    Spoiled.MSISDN_MASKED: lambda good: {
        "msisdn": f"{good['msisdn'][:5]}****{good['msisdn'][-4:]}"
    },
    Spoiled.AMOUNT_RANGE: lambda _: {"price_fen": 0},
    Spoiled.TIME_FORMAT: lambda good: {"charged_at": good["charged_at"][:19].replace("-", "/")},
    Spoiled.SERVICE_UNKNOWN: lambda _: {"service_code": "00000000"},
    Spoiled.DELIVERY_UNKNOWN: lambda _: {"delivery": "ok"},
    Spoiled.RECORD_ID_FORMAT: lambda good: {"record_id": good["record_id"].replace("-", " ")},
}


def _line(value: Json, *, as_csv: bool) -> str:
    if as_csv:
        return ",".join(str(field) for field in value.values())
    return json.dumps(value, separators=(",", ":"))
