"""A relay in front of an HTTP server: it notes every request, and can keep WebSockets out, as some
companies' proxies do, or hold and cut off whatever passes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.relay import accepting, pump, until_either_ends

_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

# What is said of each passing: a request line, or FRAME of what a client sends by WebSocket. False
# cuts its connection off.
Gate = Callable[[str], Awaitable[bool]]
FRAME = "a frame"


@dataclass
class HttpRelay:
    """`url` is the server's with the relay's own port; `requests` are all request lines."""

    url: str
    websockets: bool  # whether they get through
    gate: Gate
    requests: list[str] = field(default_factory=list)

    def sessions(self) -> int:
        """How many sessions of Engine.IO have been asked for: a later request names its own."""
        return sum("EIO=" in line and "sid=" not in line for line in self.requests)


async def _open(_: str) -> bool:
    return True


@asynccontextmanager
async def http_relay(
    url: str, *, websockets: bool = True, gate: Gate = _open
) -> AsyncIterator[HttpRelay]:
    """Relays to the server of `url` until the block ends, which cuts what is still connected. What
    a client sends goes on once the `gate` lets it."""
    target = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, onward = await asyncio.open_connection(target.hostname, target.port)
        with closing(onward):
            await until_either_ends(
                _relay_requests(relayed, reader, writer, onward), pump(beyond, writer)
            )

    async with accepting(serve) as port:
        relayed = HttpRelay(target._replace(netloc=f"127.0.0.1:{port}").geturl(), websockets, gate)
        yield relayed


async def _relay_requests(
    relayed: HttpRelay,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    onward: asyncio.StreamWriter,
) -> None:
    """One after the other: a client may ask for a WebSocket on a connection that it polled by."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):  # the client is gone
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            line, headers = _parsed(head)
            relayed.requests.append(line)
            is_websocket = headers.get("upgrade", "").lower() == "websocket"
            if is_websocket and not relayed.websockets:
                writer.write(_FORBIDDEN)
                return
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            if not await relayed.gate(line):
                return
            onward.write(head + body)
            await onward.drain()
            if is_websocket:
                await _relay_frames(relayed.gate, reader, onward)
                return


async def _relay_frames(
    gate: Gate, reader: asyncio.StreamReader, onward: asyncio.StreamWriter
) -> None:
    while True:
        frame = await _frame(reader)
        if not await gate(FRAME):
            return
        onward.write(frame)
        await onward.drain()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """The next frame of a WebSocket's client, which masks all that it sends.

    https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    """
    head = await reader.readexactly(2)
    length = head[1] & 0x7F
    extended = await reader.readexactly({126: 2, 127: 8}.get(length, 0))
    if extended:
        length = int.from_bytes(extended)
    mask = await reader.readexactly(4)
    return head + extended + mask + await reader.readexactly(length)


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    """The request line, and the headers by their names in lower case."""
    line, *lines = head.decode("latin-1").strip().split("\r\n")
    pairs = (each.partition(":") for each in lines)
    return line, {name.lower(): value.strip() for name, _, value in pairs}
