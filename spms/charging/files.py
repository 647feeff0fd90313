"""Charge files: spooled and bounded first, then landed chunk by chunk.

A file is known by its sender and its content. Each chunk is one transaction which also moves the
file's counters, so a process that dies in the middle loses nothing: the same file sent again is
continued after the last chunk. The sender gets a 2xx only for a file that has landed wholly.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from spms.charging import file_queries
from spms.charging.file_model import (
    ChargeFile,
    ChargeFileReport,
    FileState,
    QuarantinedLine,
    Upload,
)
from spms.charging.landing import land_chunk
from spms.charging.lanes import Lane, Overtaken, land_all
from spms.charging.spooling import DigestMismatch, Manifest, Reader, spooled
from spms.charging.staging import Chunk
from spms.core.access import Actor
from spms.core.clock import Clock
from spms.core.db import Connection, Pool, transaction
from spms.core.errors import Conflict, NotFound
from spms.core.paging import Page, read_cursor, write_cursor

LAST_ID = UUID(int=2**128 - 1)
END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


class FileNotDone(Conflict):
    """Part of the file has not landed yet: send it again, and it is continued."""

    code = "file_not_done"


async def receive(
    stream: AsyncIterator[bytes],
    *,
    upload: Upload,
    manifest: Manifest,
    pool: Pool,
    clock: Clock,
    directory: Path,
    limit_bytes: int,
    actor: Actor,
) -> tuple[ChargeFile, bool]:
    """Take a whole file and land it; return its receipt and whether it was known as done.

    Raises `FileTooLarge`, `ArchivePolicy`, `HeaderWrong`, `FileEmpty`, `EncodingUnsupported`,
    `EncodingSuspect`, `DigestMismatch`: then nothing of it has landed.
    """
    sp_id = actor.sp_id
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory) as spool:
        sha256 = await spooled(
            stream, spool, packing=upload.packing, limit_bytes=limit_bytes, directory=directory
        )
        reader = Reader(spool, upload.form, upload.encoding)
        received = await asyncio.to_thread(reader.survey)
        _compare(manifest, sha256, received)
        async with transaction(pool) as tx:
            file = await file_queries.open_file(
                tx, sp_id=sp_id, owner=str(sp_id), sha256=sha256, upload=upload,
                received=received, now=clock.now(),
            )  # fmt: skip
        if file.state is FileState.DONE:
            return file, True
        return await _landed(pool, file, reader, actor=actor, clock=clock), False


def _compare(manifest: Manifest, sha256: bytes, received: int) -> None:
    if manifest.sha256 is not None and manifest.sha256.lower() != sha256.hex():
        raise DigestMismatch(f"the content has the SHA-256 {sha256.hex()}")
    if manifest.lines is not None and manifest.lines != received:
        raise DigestMismatch(f"the content has {received} lines of data")


async def listed(
    read: Connection, *, actor: Actor, sha256: str | None, cursor: str | None, limit: int
) -> Page[ChargeFile]:
    """List an SP's files, newest first; with a digest, the one with that content."""
    key = await read_cursor(read, actor, "charge-files", cursor, tuple[datetime, UUID])
    found = await file_queries.files_of(
        read, actor.sp_id, sha256=bytes.fromhex(sha256) if sha256 else None,
        before=key or (END_OF_TIME, LAST_ID), limit=limit + 1,
    )  # fmt: skip
    following = None
    if len(found) > limit:
        found = found[:limit]
        last = [found[-1].received_at, found[-1].id]
        following = await write_cursor(read, actor, "charge-files", last)
    return Page(items=found, next=following)


async def receipt(read: Connection, file_id: UUID, *, actor: Actor) -> dict[str, Any]:
    """Return what a receipt of a file says, unsigned; raise `NotFound`, `FileNotDone`."""
    told = await report(read, file_id, actor=actor)
    if told.state is not FileState.DONE:
        raise FileNotDone
    return {
        "about": {"kind": "charge_file", "id": str(file_id)},
        "made_at": told.finished_at,
        "made_for": actor.label,
        "statement": msgspec.to_builtins(told),
        "log": None,
        "cites": [],
    }


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


async def _landed(
    pool: Pool, file: ChargeFile, reader: Reader, *, actor: Actor, clock: Clock
) -> ChargeFile:
    """Land the rest of a file; start again where it stands when another connection was faster."""
    counted: ChargeFile | None = None

    async def land(tx: Connection, chunk: Chunk, lane: Lane) -> None:
        nonlocal counted
        tally = await land_chunk(
            tx, chunk, lane, sp_id=file.sp_id, file_id=file.id, actor=actor, now=clock.now(),
            first_seen_at=file.received_at,
        )  # fmt: skip
        await lane.may_land()
        start = reader.place(chunk)
        counted = await file_queries.count_lines(tx, file.id, tally, start=start, now=clock.now())
        if counted is None:
            raise Overtaken

    through = file.lines
    while True:
        await asyncio.to_thread(reader.stand_after, through)
        with contextlib.suppress(Overtaken):
            await land_all(pool, reader.chunk, land)
            if counted is not None and counted.state is FileState.DONE:
                return counted
        async with transaction(pool) as tx:
            held = await file_queries.hold_file(tx, file.id)
            if held.state is FileState.DONE:
                return held
            if held.lines == held.received:
                finished = await file_queries.finish_file(tx, file.id, now=clock.now())
                assert finished is not None  # noqa: S101 - it is held and was not done
                return finished
            through = held.lines
