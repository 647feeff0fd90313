"""The bill as a file: CSV or XLSX, in Chinese or English. Every line says 代收费."""

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from io import BytesIO, StringIO
from typing import Any, Final

from spms.charging.bill_model import Bill, BillLine, Correction
from spms.core.clock import SHANGHAI
from spms.core.money import yuan


class FileKind(StrEnum):
    """What a bill can be written as."""

    CSV = "csv"
    XLSX = "xlsx"


class Lang(StrEnum):
    """In which language."""

    ZH = "zh"
    EN = "en"


MEDIA_TYPES: Final = {
    FileKind.CSV: "text/csv; charset=utf-8",
    FileKind.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
HEADINGS: Final = {
    Lang.ZH: (
        "类别", "时间（北京）", "号码", "服务代码号", "服务商代码", "服务商", "业务代码", "业务",
        "方式", "金额（元）", "应收（元）", "稽核结果", "话单编号", "订购关系", "鉴权决定",
    ),
    Lang.EN: (
        "Kind of line", "Time (Beijing)", "Number", "Access number", "SP code", "SP",
        "Service code", "Service", "Charged", "Amount (CNY)", "Due (CNY)", "Findings",
        "Charge", "Consent", "Decision",
    ),
}  # fmt: skip
WORDS: Final = {
    Lang.ZH: {
        "monthly": "包月", "on_demand": "点播", "principal": "退费", "compensation": "赔付",
        "total": "合计", "more": "还有更多，请在线查询",
    },
    Lang.EN: {
        "monthly": "monthly", "on_demand": "on demand", "principal": "refund",
        "compensation": "compensation", "total": "total", "more": "there are more lines online",
    },
}  # fmt: skip
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet program takes for the beginning of a formula."""


def written(bill: Bill, form: FileKind, lang: Lang) -> bytes:
    """Write a bill: each line, what corrects it right below it, and the totals."""
    rows = [HEADINGS[lang], *_rows(bill, lang)]
    return _xlsx(rows) if form is FileKind.XLSX else _csv(rows)


def _rows(bill: Bill, lang: Lang) -> Iterator[Sequence[str]]:
    words = WORDS[lang]
    for line in bill.items:
        yield _line(bill.number, line, words)
        for correction in line.corrections:
            yield _correction(bill.number, line, correction, words)
    totals = bill.totals
    blank = [""] * len(HEADINGS[lang])
    for name, fen in (
        ("total", totals.charged_fen),
        ("principal", -totals.refunded_fen),
        ("compensation", -totals.compensation_fen),
    ):
        row = list(blank)
        row[0] = words["total"] if name == "total" else f"{words['total']} {words[name]}"
        row[9] = yuan(fen)
        yield row
    if bill.next is not None:
        yield [words["more"], *blank[1:]]


def _line(number: str, line: BillLine, words: dict[str, str]) -> Sequence[str]:
    return [
        line.label, _time(line.charged_at), number, line.access_number, line.sp_code,
        plain(line.sp_name), line.service_code, plain(line.service_name), words[line.kind],
        yuan(line.price_fen), yuan(line.due_fen), " ".join(line.findings), str(line.id),
        str(line.consent_id or ""), str(line.authorisation_id or ""),
    ]  # fmt: skip


def _correction(
    number: str, line: BillLine, correction: Correction, words: dict[str, str]
) -> Sequence[str]:
    return [
        words[correction.kind], _time(correction.at), number, line.access_number, line.sp_code,
        plain(line.sp_name), line.service_code, plain(line.service_name), words[line.kind],
        yuan(-correction.amount_fen), "", "", str(line.id), "", "",
    ]  # fmt: skip


def plain(text: str) -> str:
    """Write a text so that no program that opens the file calculates with it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _time(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    out = StringIO(newline="")
    csv.writer(out).writerows(rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()  # the mark tells a spreadsheet it is UTF-8


def _xlsx(rows: Sequence[Sequence[Any]]) -> bytes:
    import xlsxwriter  # noqa: PLC0415 - few processes ever write one, all of them start

    buffer = BytesIO()
    options = {"in_memory": True, "constant_memory": True, "strings_to_formulas": False,
               "strings_to_urls": False}  # fmt: skip
    with xlsxwriter.Workbook(buffer, options) as book:
        head = book.add_format({"bold": True, "bg_color": "#EEEEEE"})
        page = book.add_worksheet("代收费 Bill")
        page.set_column(0, len(rows[0]), 18)
        for n, row in enumerate(rows):
            for column, value in enumerate(row):
                page.write_string(n, column, value, head if n == 0 else None)
    return buffer.getvalue()
