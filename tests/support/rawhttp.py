"""An HTTP server that takes requests byte for byte, and answers whatever a test wants."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """`heads` has what came before each body; `closed` is set when a client closes a connection."""

    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def connections(self) -> int:
        return len(self.writers)

    @property
    def targets(self) -> list[str]:
        """What each request line asks for."""
        return [head.split(b" ")[1].decode() for head in self.heads]


def saying(*parts: bytes) -> Answering:
    """Answers with these bytes, each of them a packet of its own most likely."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    return answer


def closing(said: bytes) -> Answering:
    """Answers with these bytes, and hangs up."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    return answer


def resetting(said: bytes) -> Answering:
    """Answers with these bytes, and resets the connection."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.transport.abort()

    return answer


async def silence(_: asyncio.StreamWriter) -> None:
    """No answer."""


@asynccontextmanager
async def raw_server(
    answer: Answering, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Answers every request with `answer`, over `tls` if it is given."""
    seen = RawServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, _, length = head.lower().partition(b"content-length: ")
                await reader.readexactly(int(length.split(b"\r\n")[0] or 0))
                seen.heads.append(head)
                await answer(writer)
        seen.closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()
    seen.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield seen
    finally:
        server.close()
        for writer in seen.writers:
            writer.close()
        await server.wait_closed()
