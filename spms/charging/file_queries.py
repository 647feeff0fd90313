"""Statements about files and what of them was quarantined. Writes `charge_file`, `charge_quarantine`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.charging.file_model import ChargeFile, QuarantinedLine, ReasonCount, Tally, Upload
from spms.charging.model import Line
from spms.core.db import Connection, many, one
from spms.core.ids import new_id

ADD_QUARANTINE = """
    INSERT INTO charge_quarantine (id, file_id, sp_id, line_no, reason, raw, at)
    SELECT id, $1, $2, line_no, reason, raw, $7
      FROM unnest($3::uuid[], $4::bigint[], $5::text[], $6::bytea[])
           AS line (id, line_no, reason, raw)
"""


async def add_quarantine(
    tx: Connection, lines: Sequence[Line], *, sp_id: UUID, file_id: UUID | None, now: datetime
) -> None:
    """Keep lines that did not become charges, as they came."""
    await tx.execute(
        ADD_QUARANTINE, file_id, sp_id, [new_id() for _ in lines],
        [line.line_no for line in lines], [line.reason for line in lines],
        [line.raw for line in lines], now,
    )  # fmt: skip


_FILE_COLUMNS = """id, sp_id, format, encoding, encode(sha256, 'hex') AS sha256, state, received,
           lines, landed, quarantined, duplicates, received_at, finished_at,
           CASE WHEN received = 0 THEN 'no_lines' END AS warning"""

# A file that began before its lines were counted ahead gets its count when it is sent again.
OPEN_FILE = """
    INSERT INTO charge_file (id, sp_id, owner, sha256, format, encoding, state, received,
                             received_at)
    VALUES ($1, $2, $3, $4, $5, $6, 'landing', $7, $8)
    ON CONFLICT (owner, sha256) DO UPDATE SET received = EXCLUDED.received
       WHERE charge_file.received IS NULL
"""
FILE_OF = f"SELECT {_FILE_COLUMNS} FROM charge_file WHERE owner = $1 AND sha256 = $2"


async def open_file(
    tx: Connection,
    *,
    sp_id: UUID,
    owner: str,
    sha256: bytes,
    upload: Upload,
    received: int,
    now: datetime,
) -> ChargeFile:
    """Return the file with this content: the one already known, or a new one."""
    await tx.execute(
        OPEN_FILE, new_id(), sp_id, owner, sha256, upload.form, upload.encoding, received, now
    )
    file = one(ChargeFile, await tx.fetchrow(FILE_OF, owner, sha256))
    assert file is not None  # noqa: S101 - inserted by us or by somebody who committed
    return file


FILES_OF = f"""
    SELECT {_FILE_COLUMNS} FROM charge_file
     WHERE sp_id = $1 AND ($2::bytea IS NULL OR sha256 = $2) AND (received_at, id) < ($3, $4)
     ORDER BY received_at DESC, id DESC LIMIT $5
"""


async def files_of(
    read: Connection,
    sp_id: UUID,
    *,
    sha256: bytes | None,
    before: tuple[datetime, UUID],
    limit: int,
) -> list[ChargeFile]:
    """Return an SP's files, newest first, before a key; with a digest only that file."""
    return many(ChargeFile, await read.fetch(FILES_OF, sp_id, sha256, *before, limit))


HOLD_FILE = f"SELECT {_FILE_COLUMNS} FROM charge_file WHERE id = $1 FOR UPDATE"


async def hold_file(tx: Connection, file_id: UUID) -> ChargeFile:
    """Load a file and hold it: its chunks land one after another."""
    file = one(ChargeFile, await tx.fetchrow(HOLD_FILE, file_id))
    assert file is not None  # noqa: S101 - files are never deleted
    return file


COUNT_LINES = f"""
    UPDATE charge_file
       SET lines = lines + $2, landed = landed + $3, quarantined = quarantined + $4,
           duplicates = duplicates + $5,
           state = CASE WHEN lines + $2 = received THEN 'done' ELSE state END,
           finished_at = CASE WHEN lines + $2 = received THEN $7::timestamptz END
     WHERE id = $1 AND lines = $6 AND state = 'landing'
    RETURNING {_FILE_COLUMNS}
"""


async def count_lines(
    tx: Connection, file_id: UUID, tally: Tally, *, start: int, now: datetime
) -> ChargeFile | None:
    """Add a chunk to the counters of its file, in the transaction that lands it; the last ends it.

    None when the file does not stand where the chunk starts: then it must not land.
    """
    return one(ChargeFile, await tx.fetchrow(COUNT_LINES, file_id, *tally, start, now))


FINISH_FILE = f"""
    UPDATE charge_file SET state = 'done', finished_at = $2
     WHERE id = $1 AND state = 'landing'
    RETURNING {_FILE_COLUMNS}
"""


async def finish_file(tx: Connection, file_id: UUID, *, now: datetime) -> ChargeFile | None:
    """Mark a file wholly landed; None when it was already."""
    return one(ChargeFile, await tx.fetchrow(FINISH_FILE, file_id, now))


CHARGE_FILE = f"SELECT {_FILE_COLUMNS} FROM charge_file WHERE id = $1 AND sp_id = $2"


async def charge_file(read: Connection, file_id: UUID, sp_id: UUID) -> ChargeFile | None:
    """Load one of an SP's files."""
    return one(ChargeFile, await read.fetchrow(CHARGE_FILE, file_id, sp_id))


REASONS = """
    SELECT reason, count(*) AS lines FROM charge_quarantine WHERE file_id = $1
     GROUP BY reason ORDER BY lines DESC, reason
"""


async def reasons(read: Connection, file_id: UUID) -> list[ReasonCount]:
    """Count a file's quarantined lines by reason, the most frequent first."""
    return many(ReasonCount, await read.fetch(REASONS, file_id))


QUARANTINE = """
    SELECT line_no, reason, at FROM charge_quarantine
     WHERE file_id = $1 AND line_no > $2 ORDER BY line_no LIMIT $3
"""


async def quarantine(
    read: Connection, file_id: UUID, *, after: int, limit: int
) -> list[QuarantinedLine]:
    """Return a file's quarantined lines after a line number."""
    return many(QuarantinedLine, await read.fetch(QUARANTINE, file_id, after, limit))
