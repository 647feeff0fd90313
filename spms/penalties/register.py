"""The published register of breaches, as CSV and as an Atom feed (RFC 4287). Pure texts."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from html import escape

from spms.core.clock import SHANGHAI
from spms.penalties.catalogue import CATALOGUE
from spms.penalties.register_queries import Entry

COLUMNS = (
    "audit_no", "published_at", "sp_code", "sp_name", "kind", "name", "grade", "points", "source",
    "found_at", "decided_at", "cure_by", "remedy", "state", "fine_fen",
)  # fmt: skip
FEED = "urn:spms:register"


def number_of(entry: Entry) -> str:
    """Return the audit number as it is printed: the year of its publication and the running one."""
    return f"{entry.published_at.astimezone(SHANGHAI).year}-{entry.audit_no:06d}"


def as_csv(entries: Sequence[Entry]) -> str:
    """Return the register as CSV (RFC 4180) with a header line; times in UTC.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        row = {name: getattr(entry, name, None) for name in COLUMNS} | {
            "audit_no": number_of(entry), "name": CATALOGUE[entry.kind].name,
        }  # fmt: skip
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    text = str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def as_atom(entries: Sequence[Entry], *, now: datetime) -> str:
    """Return the register as an Atom feed."""
    updated = entries[0].published_at if entries else now
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        f"<id>{FEED}</id><title>SP违约公告</title><author><name>SPMS</name></author>",
        f"<updated>{updated.isoformat()}</updated>",
    ]
    for entry in entries:
        title = f"{number_of(entry)} {entry.sp_name}：{CATALOGUE[entry.kind].name}"
        words = (
            f"{entry.grade}, {entry.points} points, cure by {entry.cure_by.isoformat()}, "
            f"cure {entry.remedy}, {entry.state}"
        )
        at = entry.published_at.isoformat()
        lines.append(
            f"<entry><id>{FEED}:{number_of(entry)}</id><title>{escape(title)}</title>"
            f"<updated>{at}</updated><summary>{escape(words)}</summary></entry>"
        )
    return "\n".join([*lines, "</feed>", ""])


def as_page(entries: Sequence[Entry]) -> str:
    """Return the register as a page for people, without scripts and styles of its own."""
    head = "".join(
        f"<th>{title}</th>"
        for title in ("编号", "SP", "违约", "等级", "扣分", "整改期限", "整改", "状态")
    )
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in _shown(entry)) + "</tr>"
        for entry in entries
    )
    return (
        '<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>SP违约公告</title></head>'
        f"<body><h1>SP违约公告</h1><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
        "</table></body></html>"
    )


def _shown(entry: Entry) -> tuple[object, ...]:
    return (
        number_of(entry), f"{entry.sp_code} {entry.sp_name}", CATALOGUE[entry.kind].name,
        entry.grade, entry.points, entry.cure_by.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M"),
        entry.remedy, entry.state,
    )  # fmt: skip
