"""A bill, or an SP's charges, as lines on a sheet: each charge with what corrects it right below."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from spms.charging.bill_model import Bill, BillFilter, BillLine, BillTotals
from spms.charging.bill_words import HEADINGS, WORDS, Lang
from spms.charging.finding_words import in_words
from spms.charging.own_charge_model import OwnFilter
from spms.core.clock import SHANGHAI
from spms.core.money import yuan

AMOUNT = 9
"""Column of the amount."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet program takes for the beginning of a formula."""

Cells = Sequence[str]


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What a file shows, in its language."""

    title: str
    about: Sequence[str]
    """What it is about, some words each; on paper they stand on top of every page."""
    rows: Sequence[Cells]
    """As wide as the headings."""
    totals: Sequence[Cells]
    """As wide as the headings; the first cell names it."""
    lang: Lang


def of_bill(bill: Bill, lang: Lang, wanted: BillFilter | None = None) -> Sheet:
    """Lay out a number's bill; what the filter left out is said, as what did not fit in is."""
    words = WORDS[lang]
    missing = chosen(wanted or BillFilter(), lang)
    if bill.next is not None:
        missing += (words["more"].format(shown=len(bill.items), lines=bill.totals.lines),)
    totals = totals_of(bill.totals, lang)
    if bill.totals.points:
        totals.append(_row_of(words["points"], str(bill.totals.points), lang))
    return Sheet(
        title=words["bill"],
        about=(f"{words['number']} {bill.number}", f"{words['month']} {bill.month}", *missing),
        rows=[*rows_of(((bill.number, str(line.id), line) for line in bill.items), lang)],
        totals=[*totals, *[_total(each, None, lang) for each in missing]],
        lang=lang,
    )


def chosen(wanted: BillFilter | OwnFilter, lang: Lang) -> tuple[str, ...]:
    """Say which lines a filter lets through; nothing where it lets through all."""
    words = WORDS[lang]
    said = [
        f"{words['sp']} {wanted.sp_code}"
        if isinstance(wanted, BillFilter) and wanted.sp_code
        else "",
        f"{words['service']} {wanted.service_code}" if wanted.service_code else "",
        words[wanted.kind] if wanted.kind else "",
        words["given_back"] if wanted.refunded else "",
    ]
    named = words["and"].join(filter(None, said))
    return (words["only"].format(named=named),) if named else ()


def rows_of(lines: Iterable[tuple[str, str, BillLine]], lang: Lang) -> Iterator[Cells]:
    """Write lines, each with what stands for its number and its charge, and what corrects it."""
    words = WORDS[lang]
    for number, charge, line in lines:
        yield _row(
            number, line, words, label=line.label, at=line.charged_at, fen=line.price_fen,
            after=(
                yuan(line.due_fen), in_words(line.findings, lang), charge,
                str(line.consent_id or ""), str(line.authorisation_id or ""), line.evidence,
            ),
        )  # fmt: skip
        for one in line.corrections:
            undone = "" if one.amount_fen > 0 else f" {words['taken_back']}"
            yield _row(
                number, line, words, label=words[one.kind] + undone, at=one.at, fen=-one.amount_fen,
                after=("", "", charge, "", "", ""),
            )  # fmt: skip


def _row(
    number: str, line: BillLine, words: dict[str, str], *, label: str, at: datetime, fen: int,
    after: Cells,
) -> Cells:  # fmt: skip
    return (
        label, f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}", number, line.access_number,
        line.sp_code, plain(line.sp_name), line.service_code, plain(line.service_name),
        words[line.kind], yuan(fen), *after,
    )  # fmt: skip


def totals_of(totals: BillTotals, lang: Lang, missing: Iterable[str] = ()) -> list[Cells]:
    """Write what it all comes to, and in words of their own that lines are missing."""
    words = WORDS[lang]
    rows = [
        _total(words["total"], totals.charged_fen, lang),
        _total(f"{words['total']} {words['principal']}", -totals.refunded_fen, lang),
        _total(f"{words['total']} {words['compensation']}", -totals.compensation_fen, lang),
    ]
    return [*rows, *[_total(each, None, lang) for each in missing]]


def _total(name: str, fen: int | None, lang: Lang) -> Cells:
    return _row_of(name, "" if fen is None else yuan(fen), lang)


def _row_of(name: str, amount: str, lang: Lang) -> Cells:
    row = [""] * len(HEADINGS[lang])
    row[0] = name
    row[AMOUNT] = amount
    return row


def plain(text: str) -> str:
    """Write a text so that no program that opens the file calculates with it."""
    return f"'{text}" if text.startswith(FORMULA) else text
