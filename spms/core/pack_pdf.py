"""An evidence pack on paper: Chinese and English side by side, the pack itself attached.

Rooms say what is on the sheet; here is only how it looks. No font file is needed: STSong-Light is
one of the fonts that every PDF reader brings for Chinese.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

import msgspec
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfdoc, pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from spms.core.clock import SHANGHAI
from spms.core.pack import seal_pdf
from spms.core.pack_sheet import Row, Section, Sheet
from spms.core.signing import Signer

__all__ = ["Row", "Section", "Sheet", "render"]

FONT = "STSong-Light"
ATTACHED = "evidence.json"
MARGIN = 16 * mm
LABEL, VALUE = 52 * mm, 126 * mm
INSTANT = re.compile(r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.MULTILINE)
WORDS_MAX = 6000
"""Characters of one value on paper; the attachment has all of them."""

_TITLE = ParagraphStyle("title", fontName=FONT, fontSize=15, leading=20, wordWrap="CJK")
_HEAD = ParagraphStyle(
    "head", fontName=FONT, fontSize=11, leading=16, spaceBefore=8, spaceAfter=3, wordWrap="CJK"
)
_TEXT = ParagraphStyle("text", fontName=FONT, fontSize=8.5, leading=11.5, wordWrap="CJK")
_GRID = TableStyle([
    ("GRID", (0, 0), (-1, -1), 0.3, colors.lightgrey),
    ("BACKGROUND", (0, 0), (0, -1), colors.whitesmoke),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("TOPPADDING", (0, 0), (-1, -1), 2),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
])  # fmt: skip


def render(sheet: Sheet, pack: bytes, signer: Signer) -> bytes:
    """Return a signed PDF of the sheet with the pack attached as it is."""
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    digest = hashlib.sha256(pack).hexdigest()
    parts: list[Any] = [Paragraph(_both(sheet.zh, sheet.en), _TITLE), Spacer(1, 3 * mm)]
    how = Section("核验方法", "How to check this", [
        Row("随附文件", "Attached file", f"{ATTACHED} · SHA-256 {digest}"),
        Row("签名公钥指纹", "Fingerprint of the signing key (Ed25519)", signer.key_id),
        Row("核验", "Check", "spms verify FILE  (离线 offline; 公钥 public key: GET /keys)"),
    ])  # fmt: skip
    for section in (*sheet.sections, how):
        rows = [row for row in section.rows if row.value is not None]
        if not rows:
            continue
        parts.append(Paragraph(_both(section.zh, section.en), _HEAD))
        parts += _tables(rows)
    buffer = BytesIO()
    document = SimpleDocTemplate(
        buffer, pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN,
        bottomMargin=MARGIN, title=printable(sheet.zh), author="SPMS", invariant=1,
        lang="zh-CN",
    )  # fmt: skip

    def on_page(canvas: Any, page: Any) -> None:
        if page.page == 1:
            _attach(canvas._doc, pack)  # noqa: SLF001 - ReportLab has no other door
        canvas.setFont(FONT, 7)
        canvas.drawString(MARGIN, 9 * mm, f"SHA-256 {digest}  ·  {page.page}")

    document.build(parts, onFirstPage=on_page, onLaterPages=on_page)
    return seal_pdf(buffer.getvalue(), pack, signer)


def _tables(rows: Sequence[Row]) -> list[Any]:
    """Return one table for each row, so that a long text may go over the end of a page."""
    found = []
    for row in rows:
        cells = [[Paragraph(_both(row.zh, row.en), _TEXT), Paragraph(_value(row.value), _TEXT)]]
        found.append(Table(cells, colWidths=(LABEL, VALUE), style=_GRID, splitInRow=1))
    return found


def _attach(document: Any, pack: bytes) -> None:
    """Put the pack into the file, uncompressed, where a reader shows attachments."""
    stream = pdfdoc.PDFStream(
        pdfdoc.PDFDictionary({
            "Type": pdfdoc.PDFName("EmbeddedFile"),
            "Subtype": "/application#2Fjson",
            "Params": pdfdoc.PDFDictionary({"Size": len(pack)}),
        }),
        pack, filters=(),
    )  # fmt: skip
    where = pdfdoc.PDFDictionary({"F": document.Reference(stream)})
    name = pdfdoc.PDFString(ATTACHED)
    spec = pdfdoc.PDFDictionary({
        "Type": pdfdoc.PDFName("Filespec"), "F": name, "UF": name, "EF": where,
        "AFRelationship": pdfdoc.PDFName("Data"),
    })  # fmt: skip
    files = pdfdoc.PDFDictionary({"Names": pdfdoc.PDFArray([name, document.Reference(spec)])})
    document.Catalog.Names = pdfdoc.PDFDictionary({"EmbeddedFiles": files})


def _in_both_times(found: re.Match[str]) -> str:
    """Put the time in Beijing beside the one in UTC: that is what a reader compares."""
    there = datetime.fromisoformat(found[0]).astimezone(SHANGHAI)
    return f"{found[0]} (北京时间 {there:%Y-%m-%d %H:%M:%S})"


def _both(zh: str, en: str) -> str:
    return escape(printable(f"{zh}  {en}"))


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else str(msgspec.to_builtins(value))
    text = printable(INSTANT.sub(_in_both_times, text))
    if len(text) > WORDS_MAX:
        text = text[:WORDS_MAX] + f"… ({ATTACHED})"
    return escape(text).replace("\n", "<br/>")


def printable(text: str) -> str:
    """Write what the font has no sign for by its number, so that nothing is left out unseen."""
    return "".join(
        sign if sign == "\n" or (sign.isprintable() and _in_font(sign)) else f"[U+{ord(sign):04X}]"
        for sign in text
    )


def _in_font(sign: str) -> bool:
    try:
        sign.encode("gbk")
    except UnicodeEncodeError:
        return False
    return True
