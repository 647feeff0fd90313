"""A statement as a spreadsheet, written row by row: no more than one row is in memory."""

from datetime import datetime
from io import BytesIO
from typing import Any, Final

from spms.core.clock import SHANGHAI
from spms.settlement.life_model import Settlement, Stored
from spms.settlement.statement import stated
from spms.settlement.words import amount, behind, name

HEADINGS: Final = (
    "序号 No", "步骤", "Step", "本期发生 Arising (元)", "上期结转 Brought (元)",
    "本期变动 Change (元)", "结转下期 Carried (元)", "余额 Left (元)", "依据 Inputs",
)  # fmt: skip
FEN_A_YUAN: Final = 100
WIDTHS: Final = (8, 26, 34, 18, 18, 18, 18, 18, 80)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet program takes for the beginning of a formula."""


def plain(text: str) -> str:
    """Write a text so that no program that opens the file calculates with it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def xlsx(found: Settlement, stored: Stored) -> bytes:
    """Write a statement: the summary, then the steps; amounts are numbers in yuan."""
    import xlsxwriter  # noqa: PLC0415 - few processes ever write one, all of them start

    said = stated(stored)
    buffer = BytesIO()
    options = {"in_memory": True, "constant_memory": True, "strings_to_formulas": False,
               "strings_to_urls": False}  # fmt: skip
    with xlsxwriter.Workbook(buffer, options) as book:
        book.set_properties({"created": _there(stored.drawn_at), "author": "SPMS"})
        head = book.add_format({"bold": True, "bg_color": "#EEEEEE", "text_wrap": True})
        money = book.add_format({"num_format": "#,##0.00"})
        summary = book.add_worksheet("概要 Summary")
        summary.set_column(0, 0, 36)
        summary.set_column(1, 1, 70)
        rows: list[tuple[str, Any]] = [
            ("服务提供商 Service provider", plain(said.sp.name)),
            ("代码 Code", said.sp.code),
            ("结算月 Month", f"{said.period.month:%Y-%m}"),
            ("截止时间（北京） Cut-off (Beijing)", f"{_there(said.period.cut_off_at):%Y-%m-%d %H:%M}"),
            ("版本 Revision", said.revision),
            ("状态 State", str(found.state)),
            ("规则版本 Rulebook version", said.rulebook_version),
            ("上一结算单 Statement before", said.follows),
            ("本结算单 This statement (SHA-256)", stored.sha256.hex()),
        ]  # fmt: skip
        for n, (label, value) in enumerate(rows):
            summary.write(n, 0, label, head)
            summary.write(n, 1, value)
        for n, (label, fen) in enumerate(
            (("应付 Payable (元)", said.payable_fen),
             ("结转下期 Carried (元)", said.payable_carried_fen)),
            start=len(rows),
        ):  # fmt: skip
            summary.write(n, 0, label, head)
            summary.write(n, 1, fen / FEN_A_YUAN, money)
        steps = book.add_worksheet("步骤 Steps")
        for column, width in enumerate(WIDTHS):
            steps.set_column(column, column, width)
        for column, heading in enumerate(HEADINGS):
            steps.write(0, column, heading, head)
        for n, step in enumerate(said.steps, start=1):
            for column, cell in enumerate((n, *name(step.kind))):
                steps.write(n, column, cell)
            for column, fen in enumerate(
                (step.arising_fen, step.brought_fen, amount(step), step.carried_fen, step.left_fen),
                start=3,
            ):
                steps.write(n, column, fen / FEN_A_YUAN, money)
            steps.write(n, 8, plain(behind(step.inputs)))
    return buffer.getvalue()


def _there(at: datetime) -> datetime:
    return at.astimezone(SHANGHAI).replace(tzinfo=None)
