"""A TCP proxy in front of PostgreSQL that cuts a connection at its COMMIT."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

COMMIT = b"COMMIT;"
CHUNK = 65536


class Cut(StrEnum):
    """Where the connection breaks."""

    BEFORE = "before"
    """COMMIT never arrives: the transaction is rolled back."""
    AT_ONCE = "at_once"
    """COMMIT is on its way when both sides close: anything may have happened."""
    AFTER = "after"
    """COMMIT is done and only its answer is lost."""


class CuttingProxy:
    """Passes everything through until it is told how to cut the next COMMIT."""

    def __init__(self, upstream: str, port: int) -> None:
        self.upstream = (upstream, port)
        self.next_cut: Cut | None = None
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self.upstream)
        back = asyncio.create_task(_pass(server_reader, writer))
        try:
            while chunk := await reader.read(CHUNK):
                if COMMIT in chunk and self.next_cut is not None:
                    await self._cut(chunk, back, server_reader, server_writer)
                    break
                server_writer.write(chunk)
                await server_writer.drain()
        except ConnectionError:
            pass
        finally:
            back.cancel()
            writer.close()
            server_writer.close()

    async def _cut(
        self,
        chunk: bytes,
        back: "asyncio.Task[None]",
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        cut, self.next_cut = self.next_cut, None
        self.cuts += 1
        back.cancel()
        await asyncio.gather(back, return_exceptions=True)
        if cut is Cut.BEFORE:
            return
        server_writer.write(chunk)
        await server_writer.drain()
        if cut is Cut.AFTER:
            await server_reader.read(CHUNK)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()  # not when cancelled: the one who cut decides when the client learns of it


@asynccontextmanager
async def in_front_of(url: str) -> AsyncIterator[tuple[CuttingProxy, str]]:
    """Run a proxy before the server of a URL; give it and the URL that leads through it."""
    parts = urlsplit(url)
    proxy = CuttingProxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    user = parts.netloc.rpartition("@")[0]
    through = parts._replace(netloc=f"{user}@127.0.0.1:{port}", query="sslmode=disable")
    try:
        yield proxy, urlunsplit(through)
    finally:
        server.close()
