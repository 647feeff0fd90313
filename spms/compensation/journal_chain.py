"""How an entry is written and linked to the one before it, pure; SQL's `journal_text` writes the same.

Here for what is booked from Python; in the database for mass corrections and for the check, which
hashes everything again from the rows. So each holds the other to the same bytes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from spms.compensation.journal_model import Draft, EntryLine, Head, Linked

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


def link(
    drafts: Sequence[Draft], heads: Mapping[str, Head], *, at: datetime, actor: str
) -> list[Linked]:
    """Place drafts behind the ends of their chains, in the given order within each."""
    ends = dict(heads)
    instant = (at - EPOCH) // MICROSECOND
    placed = []
    for draft in drafts:
        end = ends[draft.msisdn]
        amount_fen = sum([line.amount_fen for line in draft.lines])
        text = (
            f"{draft.msisdn}|{end.seq + 1}|{draft.id}|{draft.kind}|{draft.charge_id or ''}|"
            f"{draft.reverses or ''}|{amount_fen}|{instant}|"
            f"{','.join(map(_line, draft.lines))}|{actor}"
        )
        after = Head(
            seq=end.seq + 1, sha256=hashlib.sha256(end.sha256 + text.encode()).digest()
        )  # fmt: skip
        placed.append(Linked(draft=draft, amount_fen=amount_fen, before=end, after=after))
        ends[draft.msisdn] = after
    return placed


def _line(line: EntryLine) -> str:
    return (
        f"{line.id}:{line.debit}:{line.credit}:{line.sp_id or ''}:{line.amount_fen}:{line.reason}:"
        f"{line.reverses or ''}"
    )
