"""A charge file before anything of it lands: taken to disk within limits, unpacked, and looked over.

Everything that speaks against a whole file is found here. Memory does not grow with the file.
"""

import codecs
import hashlib
import tempfile
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from spms.charging.file_model import Encoding, FileFormat, Packing
from spms.charging.model import COLUMNS
from spms.charging.parsing import BOM, UTF_16_BOMS, physical_lines
from spms.charging.staging import Chunk, staged
from spms.core.errors import TooLarge, Unprocessable

CHUNK_LINES: Final = 5_000
CHUNK_BYTES: Final = 4 * 1_048_576
"""A chunk ends when it has either: what is in memory at once."""
CHUNKS_EACH: Final = 4
CHUNK_LEAST: Final = 1_000
"""A file that would be one chunk or two is cut finer, so that the lanes share it; not finer than that."""
LINES_MAX: Final = 1_000_000
RATIO_MAX: Final = 100
RATIO_FREE_BYTES: Final = 1_048_576
"""The ratio of a small file is nobody's bomb."""
PIECE_BYTES: Final = 262_144
SUSPECT_SHARE: Final = 20
"""One line in so many that is not in the declared encoding makes the whole file suspect."""
SUSPECT_FREE_LINES: Final = 5
"""So few broken lines are the lines' own fault, however short the file."""
GB18030_BOM: Final = b"\x84\x31\x95\x33"


class FileTooLarge(TooLarge):
    """The file is over the limit of bytes (after decompression) or of lines."""

    code = "file_too_large"


class ArchivePolicy(Unprocessable):
    """Only a whole gzip or zip of one member, inflating at most a hundredfold, is read."""

    code = "archive_policy"


class HeaderWrong(Unprocessable):
    """The file does not begin as its format must."""

    code = "header_wrong"


class FileEmpty(Unprocessable):
    """The file has no content."""

    code = "file_empty"


class EncodingUnsupported(Unprocessable):
    """The file is neither UTF-8 nor GB18030."""

    code = "encoding_unsupported"


class EncodingSuspect(Unprocessable):
    """More than one line in twenty is not in the encoding that was declared."""

    code = "encoding_suspect"


class DigestMismatch(Unprocessable):
    """The file is not the one its manifest describes: cut short, or another."""

    code = "digest_mismatch"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender says of the file, after decompression; null: she says nothing."""

    sha256: str | None = None
    lines: int | None = None


class Reader:
    """A spooled file, read forward in chunks of parsed lines."""

    def __init__(
        self, spool: BinaryIO, form: FileFormat, encoding: Encoding = Encoding.UTF_8
    ) -> None:
        """Check how the file begins and stand before its first line of data."""
        self.form = form
        self.encoding = encoding
        self.position = 0
        """Lines of data passed so far."""
        self.chunk_lines = CHUNK_LINES
        """How many lines a chunk has at most; `survey` knows the file's."""
        self._first_line_no = 1
        self._spool = spool
        spool.seek(0)
        head = spool.read(len(GB18030_BOM))
        if not head:
            raise FileEmpty
        if head.startswith(UTF_16_BOMS):
            raise EncodingUnsupported("write the file in UTF-8")
        mark = GB18030_BOM if encoding is Encoding.GB18030 else BOM
        spool.seek(len(mark) if head.startswith(mark) else 0)
        self._start = spool.tell()
        is_header = next(physical_lines(spool), b"") == ",".join(COLUMNS).encode()
        if is_header is not (form is FileFormat.CSV):
            raise HeaderWrong(f"a CSV file begins with the line {','.join(COLUMNS)}")
        if form is FileFormat.CSV:
            self._first_line_no = 2
            self._start = spool.tell()
        self._rewind()

    def _rewind(self) -> None:
        self._spool.seek(self._start)
        self._lines = physical_lines(self._spool)

    def survey(self) -> int:
        """Count the lines of data; raise `EncodingSuspect`. Stands at the first line again."""
        decoder = codecs.getincrementaldecoder(self.encoding.value)()
        readable, lines, last = True, 0, b"\n"
        while piece := self._spool.read(PIECE_BYTES):
            lines += piece.count(b"\n")
            last = piece[-1:]
            if readable:
                try:
                    decoder.decode(piece)
                except UnicodeDecodeError:
                    readable = False
        self._rewind()
        lines += last != b"\n"
        self.chunk_lines = chunk_lines(lines)
        if not readable:
            self._suspect(lines)
        return lines

    def _suspect(self, lines: int) -> None:
        broken = 0
        for raw in self._lines:
            try:
                raw.decode(self.encoding.value)
            except UnicodeDecodeError:
                broken += 1
        self._rewind()
        if broken > max(SUSPECT_FREE_LINES, lines // SUSPECT_SHARE):
            raise EncodingSuspect(f"{broken} of {lines} lines are not {self.encoding.value}")

    def stand_after(self, count: int) -> None:
        """Stand behind so many lines, which have landed already."""
        self._rewind()
        self.position = sum(1 for _ in islice(self._lines, count))

    def chunk(self) -> Chunk:
        """Read the next lines; a chunk without any is the end of the file."""
        raws, size = [], 0
        for raw in islice(self._lines, self.chunk_lines):
            raws.append(raw)
            size += len(raw)
            if size >= CHUNK_BYTES:
                break
        chunk = staged(raws, self._first_line_no + self.position, self.form, self.encoding)
        self.position += len(raws)
        return chunk

    def place(self, chunk: Chunk) -> int:
        """Return how many lines of data lie before a chunk."""
        return chunk.first_line_no - self._first_line_no


def chunk_lines(lines: int) -> int:
    """Return how many lines a chunk of a file with so many has at most."""
    return min(CHUNK_LINES, max(CHUNK_LEAST, -(-lines // CHUNKS_EACH)))


class Intake:
    """Writes pieces of content to disk, within limits, and knows their digest."""

    def __init__(self, spool: BinaryIO, limit_bytes: int) -> None:
        """Start with nothing."""
        self._spool = spool
        self._limit_bytes = limit_bytes
        self._digest = hashlib.sha256()
        self._size = self._line_ends = 0

    def take(self, piece: bytes) -> None:
        """Write a piece; raise `FileTooLarge`."""
        self._size += len(piece)
        self._line_ends += piece.count(b"\n")
        if self._size > self._limit_bytes or self._line_ends > LINES_MAX + 1:
            raise FileTooLarge(f"at most {self._limit_bytes} bytes and {LINES_MAX} lines")
        self._digest.update(piece)
        self._spool.write(piece)

    def sha256(self) -> bytes:
        """Return the digest of all pieces."""
        return self._digest.digest()


async def spooled(
    stream: AsyncIterator[bytes],
    spool: BinaryIO,
    *,
    packing: Packing,
    limit_bytes: int,
    directory: Path,
) -> bytes:
    """Write the content to disk, unpacked and within limits; return its SHA-256."""
    intake = Intake(spool, limit_bytes)
    if packing is Packing.ZIP:
        with tempfile.TemporaryFile(dir=directory) as packed:
            size = 0
            async for received in stream:
                size += len(received)
                if size > limit_bytes:
                    raise FileTooLarge(f"at most {limit_bytes} bytes")
                packed.write(received)
            for piece in unzipped(packed, size):
                intake.take(piece)
        return intake.sha256()
    inflater = Inflater() if packing is Packing.GZIP else None
    async for received in stream:
        for piece in inflater.feed(received) if inflater else (received,):
            intake.take(piece)
    if inflater is not None:
        inflater.close()
    return intake.sha256()


def unzipped(packed: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield what the one member of a zip holds; raise `ArchivePolicy`. Its name means nothing."""
    try:
        with zipfile.ZipFile(packed) as archive:
            (member,) = archive.infolist()
            plain = member.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
            if member.is_dir() or member.flag_bits & 1 or not plain:
                raise ArchivePolicy("the zip's member is a folder, encrypted, or packed unusually")
            made = 0
            with archive.open(member) as content:
                while piece := content.read(PIECE_BYTES):
                    made += len(piece)
                    if made > max(RATIO_FREE_BYTES, RATIO_MAX * size):
                        raise ArchivePolicy(f"the zip inflates more than {RATIO_MAX}-fold")
                    yield piece
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError):
        raise ArchivePolicy("this is not a zip, or it is damaged") from None
    except ValueError:
        raise ArchivePolicy("the zip does not have exactly one member") from None


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
