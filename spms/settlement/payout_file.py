"""The payout file: what finance is to transfer, one line a settlement."""

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Final

from spms.core.money import yuan
from spms.settlement.life_model import Settlement
from spms.settlement.statement_xlsx import plain

COLUMNS: Final = ("settlement_id", "sp_code", "sp_name", "month", "payable_fen", "payable_yuan",
                  "statement_sha256")  # fmt: skip


def payout_file(settlements: Iterable[Settlement]) -> bytes:
    """Write the lines in the order of SP and month, then one with the sum; UTF-8 with a mark."""
    out = StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    total_fen, lines = 0, 0
    for each in sorted(settlements, key=lambda one: (one.sp_code, one.month)):
        writer.writerow([
            each.id, each.sp_code, plain(each.sp_name), f"{each.month:%Y-%m}", each.payable_fen,
            yuan(each.payable_fen), each.sha256,
        ])  # fmt: skip
        total_fen, lines = total_fen + each.payable_fen, lines + 1
    writer.writerow(["total", lines, "", "", total_fen, yuan(total_fen), ""])
    return b"\xef\xbb\xbf" + out.getvalue().encode()
