"""A bill's sheet as a file: CSV, XLSX or PDF. Nothing in it is a formula."""

import asyncio
import csv
from collections.abc import Iterable
from enum import StrEnum
from io import BytesIO, StringIO
from typing import Final

from spms.charging.bill_sheet import Cells, Sheet
from spms.charging.bill_words import HEADINGS, Lang

MARK: Final = b"\xef\xbb\xbf"
"""Tells a spreadsheet that the CSV is UTF-8."""


class FileKind(StrEnum):
    """What a bill can be written as."""

    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"


MEDIA_TYPES: Final = {
    FileKind.CSV: "text/csv",
    FileKind.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileKind.PDF: "application/pdf",
}

LINES_MAX: Final = {FileKind.CSV: 10_000, FileKind.XLSX: 10_000, FileKind.PDF: 2_000}
"""Charges in one file; more says so by its last line. Two thousand are a hundred pages of paper."""


async def written(sheet: Sheet, form: FileKind) -> bytes:
    """Write a sheet in a thread of its own: a long one takes seconds."""
    return await asyncio.to_thread(write, sheet, form)


def write(sheet: Sheet, form: FileKind) -> bytes:
    """Write a sheet."""
    if form is FileKind.PDF:
        from spms.charging import bill_pdf  # noqa: PLC0415 - few processes ever print one

        return bill_pdf.render(sheet)
    if form is FileKind.XLSX:
        return _xlsx(sheet)
    return csv_head(sheet.lang) + csv_rows([*sheet.rows, *sheet.totals])


def csv_head(lang: Lang) -> bytes:
    """Write how a CSV begins."""
    return MARK + csv_rows([HEADINGS[lang]])


def csv_rows(rows: Iterable[Cells]) -> bytes:
    """Write lines of a CSV."""
    out = StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _xlsx(sheet: Sheet) -> bytes:
    import xlsxwriter  # noqa: PLC0415 - few processes ever write one, all of them start

    buffer = BytesIO()
    options = {"in_memory": True, "constant_memory": True, "strings_to_formulas": False,
               "strings_to_urls": False}  # fmt: skip
    headings = HEADINGS[sheet.lang]
    with xlsxwriter.Workbook(buffer, options) as book:
        head = book.add_format({"bold": True, "bg_color": "#EEEEEE"})
        page = book.add_worksheet("代收费 Bill")
        page.set_column(0, len(headings), 18)
        for n, row in enumerate([headings, *sheet.rows, *sheet.totals]):
            for column, value in enumerate(row):
                page.write_string(n, column, value, head if n == 0 else None)
    return buffer.getvalue()
