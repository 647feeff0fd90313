"""Charge files: spooled and bounded first, then landed chunk by chunk.

A file is known by its sender and its content. Each chunk is one transaction which also moves the
file's counters, so a process that dies in the middle loses nothing: the same file sent again is
continued after the last chunk. The sender gets a 2xx only for a file that has landed wholly.
"""

import asyncio
import hashlib
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

import msgspec

from spms.charging import file_queries
from spms.charging.actions import land
from spms.charging.model import (
    COLUMNS,
    ChargeFile,
    ChargeFileReport,
    FileFormat,
    FileState,
    Line,
    QuarantinedLine,
)
from spms.charging.parsing import BOM, UTF_16_BOMS, physical_lines, read_line
from spms.core.access import Actor
from spms.core.clock import Clock
from spms.core.db import Connection, Pool, transaction
from spms.core.errors import NotFound, TooLarge, Unprocessable
from spms.core.paging import Page, read_cursor, write_cursor

CHUNK_LINES: Final = 5_000
CHUNK_BYTES: Final = 4 * 1_048_576
"""A chunk ends when it has either: what is in memory at once."""
LINES_MAX: Final = 1_000_000
RATIO_MAX: Final = 100
RATIO_FREE_BYTES: Final = 1_048_576
"""The ratio of a small file is nobody's bomb."""
PIECE_BYTES: Final = 262_144


class FileTooLarge(TooLarge):
    """The file is over the limit of bytes (after decompression) or of lines."""

    code = "file_too_large"


class ArchivePolicy(Unprocessable):
    """Only a whole gzip of one member, inflating at most a hundredfold, is read."""

    code = "archive_policy"


class HeaderWrong(Unprocessable):
    """The file does not begin as its format must."""

    code = "header_wrong"


class FileEmpty(Unprocessable):
    """The file has no content."""

    code = "file_empty"


class EncodingUnsupported(Unprocessable):
    """The file is not UTF-8."""

    code = "encoding_unsupported"


async def receive(
    stream: AsyncIterator[bytes],
    *,
    form: FileFormat,
    gzip: bool,
    pool: Pool,
    clock: Clock,
    directory: Path,
    limit_bytes: int,
    actor: Actor,
) -> tuple[ChargeFile, bool]:
    """Take a whole file and land it; return its receipt and whether it was known as done.

    Raises `FileTooLarge`, `ArchivePolicy`, `HeaderWrong`, `FileEmpty`, `EncodingUnsupported`:
    then nothing of it has landed.
    """
    sp_id = actor.sp_id
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory) as spool:
        sha256 = await _spool(stream, spool, gzip=gzip, limit_bytes=limit_bytes)
        reader = Reader(spool, form)
        async with transaction(pool) as tx:
            file = await file_queries.open_file(
                tx, sp_id=sp_id, owner=str(sp_id), sha256=sha256, form=form, now=clock.now()
            )
        if file.state is FileState.DONE:
            return file, True
        await asyncio.to_thread(reader.skip, file.lines)
        while True:
            lines = await asyncio.to_thread(reader.chunk)
            async with transaction(pool) as tx:
                landed = await _land_chunk(
                    tx, file, lines, start=reader.position - len(lines), actor=actor, clock=clock
                )
            if landed is not None:
                return landed, False


async def report(read: Connection, file_id: UUID, *, actor: Actor) -> ChargeFileReport:
    """Return one of an SP's files with its quarantine by reason; raise `NotFound`."""
    file = await file_queries.charge_file(read, file_id, actor.sp_id)
    if file is None:
        raise NotFound
    reasons = await file_queries.reasons(read, file_id)
    return ChargeFileReport(**msgspec.structs.asdict(file), reasons=reasons)


async def quarantine(
    read: Connection, file_id: UUID, *, actor: Actor, cursor: str | None, limit: int
) -> Page[QuarantinedLine]:
    """List the quarantined lines of one of an SP's files, in its order; raise `NotFound`."""
    if await file_queries.charge_file(read, file_id, actor.sp_id) is None:
        raise NotFound
    name = f"quarantine {file_id}"
    key = await read_cursor(read, actor, name, cursor, tuple[int])
    found = await file_queries.quarantine(
        read, file_id, after=key[0] if key else 0, limit=limit + 1
    )
    following = None
    if len(found) > limit:
        found = found[:limit]
        following = await write_cursor(read, actor, name, [found[-1].line_no])
    return Page(items=found, next=following)


class Reader:
    """A spooled file, read forward in chunks of parsed lines."""

    def __init__(self, spool: BinaryIO, form: FileFormat) -> None:
        """Check how the file begins and stand before its first line of data."""
        self.form = form
        self.position = 0
        """Lines of data passed so far."""
        self._first_line_no = 1
        spool.seek(0)
        head = spool.read(len(BOM))
        if not head:
            raise FileEmpty
        if head.startswith(UTF_16_BOMS):
            raise EncodingUnsupported("write the file in UTF-8")
        if head != BOM:
            spool.seek(0)
        start = spool.tell()
        is_header = next(physical_lines(spool), b"") == ",".join(COLUMNS).encode()
        if is_header is not (form is FileFormat.CSV):
            raise HeaderWrong(f"a CSV file begins with the line {','.join(COLUMNS)}")
        if form is FileFormat.CSV:
            self._first_line_no = 2
        else:
            spool.seek(start)
        self._lines = physical_lines(spool)

    def skip(self, count: int) -> None:
        """Pass lines that have landed already."""
        self.position += sum(1 for _ in islice(self._lines, count))

    def chunk(self) -> list[Line]:
        """Parse the next lines; an empty list is the end of the file."""
        return list(self._parsed())

    def _parsed(self) -> Iterator[Line]:
        size = 0
        for raw in islice(self._lines, CHUNK_LINES):
            line = read_line(self._first_line_no + self.position, raw, self.form)
            self.position += 1
            yield line
            size += len(raw)
            if size >= CHUNK_BYTES:
                return


async def _land_chunk(
    tx: Connection, file: ChargeFile, lines: list[Line], *, start: int, actor: Actor, clock: Clock
) -> ChargeFile | None:
    """Land what of a chunk has not landed yet; return the receipt when the file is through.

    Two connections may send the same file at once: each chunk is landed by whichever comes first.
    """
    now = clock.now()
    held = await file_queries.hold_file(tx, file.id)
    if held.state is FileState.DONE:
        return held
    if not lines:
        return await file_queries.finish_file(tx, file.id, now=now)
    rest = lines[max(0, held.lines - start) :]
    if rest:
        landing = await land(
            tx, rest, sp_id=file.sp_id, file_id=file.id, actor=actor, now=now,
            first_seen_at=file.received_at,
        )  # fmt: skip
        await file_queries.count_lines(tx, file.id, landing)
    return None


async def _spool(
    stream: AsyncIterator[bytes], spool: BinaryIO, *, gzip: bool, limit_bytes: int
) -> bytes:
    """Write the content to disk, within limits; return its SHA-256."""
    digest = hashlib.sha256()
    inflater = Inflater() if gzip else None
    size = line_ends = 0
    async for received in stream:
        for piece in inflater.feed(received) if inflater else (received,):
            size += len(piece)
            line_ends += piece.count(b"\n")
            if size > limit_bytes or line_ends > LINES_MAX + 1:
                raise FileTooLarge(f"at most {limit_bytes} bytes and {LINES_MAX} lines")
            digest.update(piece)
            spool.write(piece)
    if inflater is not None:
        inflater.close()
    return digest.digest()


class Inflater:
    """Inflates a gzip of a single member piece by piece, and refuses a bomb before it grows."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._read = 0
        self._made = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next compressed bytes hold; raise `ArchivePolicy`."""
        self._read += len(data)
        more = bool(data)
        while more:
            if self._inflate.eof:
                raise ArchivePolicy("the gzip has more than one member, or bytes after its end")
            try:
                piece = self._inflate.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise ArchivePolicy("this is not a gzip, or it is damaged") from None
            self._made += len(piece)
            if self._made > max(RATIO_FREE_BYTES, RATIO_MAX * self._read):
                raise ArchivePolicy(f"the gzip inflates more than {RATIO_MAX}-fold")
            yield piece
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
            # A full piece may have left something inside the decompressor.
            more = bool(data) or (len(piece) == PIECE_BYTES and not self._inflate.eof)

    def close(self) -> None:
        """Raise `ArchivePolicy` unless the gzip was whole."""
        if not self._inflate.eof:
            raise ArchivePolicy("the gzip is cut short")
