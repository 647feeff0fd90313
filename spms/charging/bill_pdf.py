"""A bill on paper, in the look of an evidence sheet: the font every PDF reader brings for Chinese.

A page is a table of its own with a fixed number of lines, so that the time it takes grows with the
lines and no faster. A text too long for its column ends in an ellipsis; CSV and XLSX have all of it.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Table, TableStyle

from spms.charging.bill_sheet import Cells, Sheet
from spms.charging.bill_words import ON_PAPER, WORDS
from spms.core.pack_pdf import FONT, MARGIN, printable

WIDTHS: Final = tuple(each * mm for each in (17, 31, 45, 48, 26, 19, 19, 19, 41))
SIZE, SIZE_SMALL = 7.5, 5.5
LINES: Final = 19
"""Charges on a page, each in two lines: what it is, and by what it is proved."""
PAGE: Final = landscape(A4)
PADDING: Final = 4


def render(sheet: Sheet) -> bytes:
    """Draw a sheet; the same sheet gives the same bytes."""
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    rows = [*sheet.rows, *sheet.totals]
    pages = [rows[start : start + LINES] for start in range(0, len(rows), LINES)]
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=PAGE, invariant=1, lang="zh-CN")
    canvas.setTitle(sheet.title)
    canvas.setAuthor("SPMS")
    for number, lines in enumerate(pages, start=1):
        _page(canvas, sheet, lines, number, len(pages))
    canvas.save()
    return buffer.getvalue()


def _page(canvas: Any, sheet: Sheet, lines: Sequence[Cells], number: int, pages: int) -> None:
    words = WORDS[sheet.lang]
    top = PAGE[1] - MARGIN
    canvas.setFont(FONT, 13)
    canvas.drawString(MARGIN, top, _line(sheet.title, 80 * mm, 13))
    canvas.setFont(FONT, 8.5)
    about = "   ".join((*sheet.about, words["yuan"]))
    canvas.drawRightString(PAGE[0] - MARGIN, top, _line(about, 170 * mm, 8.5))
    table = Table(
        [list(ON_PAPER[sheet.lang]), *(row for each in lines for row in _rows(each, words))],
        colWidths=WIDTHS, style=TableStyle(_style(lines)),
    )  # fmt: skip
    _, height = table.wrapOn(canvas, sum(WIDTHS), top)
    table.drawOn(canvas, MARGIN, top - 4 * mm - height)
    canvas.setFont(FONT, 7)
    canvas.drawString(MARGIN, 9 * mm, words["page"].format(page=number, pages=pages))
    canvas.showPage()


def _rows(cells: Cells, words: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return what a line shows, and below it the way to what proves it."""
    label, at, number, access, sp_code, sp, code, name, charged, amount, due, findings = cells[:12]
    charge, consent, decision, evidence = cells[12:16]
    shown = (label, at, f"{sp_code} {sp}", f"{code} {name}", access, charged, amount, due, findings)
    proof = (("number", number), ("charge", charge), ("consent", consent),
             ("decision", decision), ("evidence", evidence))  # fmt: skip
    below = "  ·  ".join(f"{words[key]} {value}" for key, value in proof if value)
    return (
        [_line(each, width) for each, width in zip(shown, WIDTHS, strict=True)],
        [_line(below, sum(WIDTHS), SIZE_SMALL), *[""] * (len(WIDTHS) - 1)],
    )


def _style(lines: Sequence[Cells]) -> list[Any]:
    style: list[Any] = [
        ("FONT", (0, 0), (-1, -1), FONT, SIZE, SIZE + 1.5),
        ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
        ("BOX", (0, 0), (-1, -1), 0.3, colors.lightgrey),
        ("LINEBELOW", (0, 0), (-1, 0), 0.3, colors.lightgrey),
        ("ALIGN", (6, 0), (7, -1), "RIGHT"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.2),
        ("LEFTPADDING", (0, 0), (-1, -1), PADDING / 2),
        ("RIGHTPADDING", (0, 0), (-1, -1), PADDING / 2),
    ]
    for n in range(2, 2 * len(lines) + 1, 2):
        style += [
            ("SPAN", (0, n), (-1, n)),
            ("FONT", (0, n), (-1, n), FONT, SIZE_SMALL, SIZE_SMALL + 1),
            ("TEXTCOLOR", (0, n), (-1, n), colors.dimgrey),
            ("LINEBELOW", (0, n), (-1, n), 0.3, colors.lightgrey),
        ]
    return style


def _line(text: str, width: float, size: float = SIZE) -> str:
    """Return as much of a text as goes into one line of a column."""
    text = printable(text).replace("\n", " ")
    room = width - PADDING
    if pdfmetrics.stringWidth(text, FONT, size) <= room:
        return text
    while text and pdfmetrics.stringWidth(f"{text}…", FONT, size) > room:
        text = text[:-1]
    return f"{text}…"
