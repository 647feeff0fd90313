"""A bill on paper, in the look of an evidence sheet: the font every PDF reader brings for Chinese.

Drawn line by line, so that the time it takes grows with the lines and no faster. A text too long for
its column ends in an ellipsis; CSV and XLSX have all of it.
"""

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from spms.charging.bill_sheet import Cells, Sheet
from spms.charging.bill_words import ON_PAPER, WORDS
from spms.core.pack_pdf import FONT, MARGIN, printable

WIDTHS: Final = tuple(each * mm for each in (17, 31, 45, 48, 26, 19, 19, 19, 41))
RIGHT: Final = (6, 7)
"""Columns of money end at the right."""
SIZE, SIZE_SMALL, SIZE_HEAD, SIZE_TITLE = 7.5, 5.5, 8.5, 13.0
PAGE: Final = landscape(A4)
ROW: Final = 7.6 * mm
"""Two lines of text: what it is, and by what it is proved."""
HEAD: Final = 5 * mm
LINES: Final = int((PAGE[1] - 2 * MARGIN - 4 * mm - HEAD) / ROW)
PADDING: Final = 1 * mm


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
        top = _head(canvas, sheet)
        for n, cells in enumerate(lines):
            _row(canvas, cells, top - n * ROW, WORDS[sheet.lang])
        words = WORDS[sheet.lang]["page"].format(page=number, pages=len(pages))
        _text(canvas, words, (MARGIN, 9 * mm), 60 * mm, 7)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _head(canvas: Any, sheet: Sheet) -> float:
    """Draw what is on top of every page; return where its lines begin."""
    top = PAGE[1] - MARGIN
    _text(canvas, sheet.title, (MARGIN, top), 80 * mm, SIZE_TITLE)
    about = "   ".join((*sheet.about, WORDS[sheet.lang]["yuan"]))
    _text(canvas, about, (MARGIN + 90 * mm, top), sum(WIDTHS) - 90 * mm, SIZE_HEAD, right=True)
    top -= 4 * mm
    canvas.setFillColor(colors.whitesmoke)
    canvas.rect(MARGIN, top - HEAD, sum(WIDTHS), HEAD, stroke=0, fill=1)
    canvas.setFillColor(colors.black)
    _cells(canvas, ON_PAPER[sheet.lang], top - HEAD + 1.6 * mm)
    canvas.setStrokeColor(colors.lightgrey)
    canvas.setLineWidth(0.3)
    canvas.line(MARGIN, top - HEAD, MARGIN + sum(WIDTHS), top - HEAD)
    return float(top - HEAD)


def _row(canvas: Any, cells: Cells, top: float, words: dict[str, str]) -> None:
    """Draw what a line shows, and below it the way to what proves it."""
    label, at, number, access, sp_code, sp, code, name, charged, amount, due, findings = cells[:12]
    charge, consent, decision, evidence = cells[12:16]
    shown = (label, at, f"{sp_code} {sp}", f"{code} {name}", access, charged, amount, due, findings)
    _cells(canvas, shown, top - 3.4 * mm)
    proof = (("number", number), ("charge", charge), ("consent", consent),
             ("decision", decision), ("evidence", evidence))  # fmt: skip
    below = "  ·  ".join(f"{words[key]} {value}" for key, value in proof if value)
    canvas.setFillColor(colors.dimgrey)
    _text(canvas, below, (MARGIN, top - 6.2 * mm), sum(WIDTHS), SIZE_SMALL)
    canvas.setFillColor(colors.black)
    canvas.line(MARGIN, top - ROW, MARGIN + sum(WIDTHS), top - ROW)


def _cells(canvas: Any, texts: Sequence[str], y: float) -> None:
    x = MARGIN
    for column, (text, width) in enumerate(zip(texts, WIDTHS, strict=True)):
        _text(canvas, text, (x, y), width, SIZE, right=column in RIGHT)
        x += width


def _text(
    canvas: Any,
    text: str,
    at: tuple[float, float],
    width: float,
    size: float,
    *,
    right: bool = False,
) -> None:
    """Draw as much of a text as goes into one line of a width."""
    if not text:
        return
    shown, taken = _fitted(text, (width - 2 * PADDING) / size)
    canvas.setFont(FONT, size)
    x, y = at
    x += width - PADDING - taken * size if right else PADDING
    canvas.drawString(x, y, shown)


def _fitted(text: str, room: float) -> tuple[str, float]:
    """Return as much of a text as goes into a width, and its width, in heights of the font."""
    signs = [_sign(sign) for sign in text]
    taken = sum(width for _, width in signs)
    if taken > room:
        while signs and taken > room - 1:  # the ellipsis is as wide as high
            taken -= signs.pop()[1]
        signs.append(("…", 1.0))
        taken += 1
    return "".join(sign for sign, _ in signs), taken


@lru_cache(maxsize=16_384)
def _sign(sign: str) -> tuple[str, float]:
    """Return how a sign is printed and how wide that is."""
    shown = " " if sign == "\n" else printable(sign)
    return shown, pdfmetrics.stringWidth(shown, FONT, 1)
