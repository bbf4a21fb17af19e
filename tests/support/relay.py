"""A relay in front of a server: it notes who connects through it, and can leave them half open."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_READ_BYTES = 64 * 1024


@dataclass
class Relay:
    """`url` is the server's with the relay's own port; `handshakes` are the request lines."""

    url: str
    handshakes: list[str] = field(default_factory=list)
    _flows: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._flows.set()

    def hold(self) -> None:
        """From now on nothing that the server says reaches a client, and all stay connected."""
        self._flows.clear()

    def release(self) -> None:
        """What was held goes on its way."""
        self._flows.set()

    async def flowing(self) -> None:
        await self._flows.wait()


@asynccontextmanager
async def relay(url: str) -> AsyncIterator[Relay]:
    """Relays to the server of `url` until the block ends, which cuts what is still connected."""
    target = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        relayed.handshakes.append(line.decode().strip())
        beyond, onward = await asyncio.open_connection(target.hostname, target.port)
        with closing(onward):
            onward.write(line)
            await until_either_ends(pump(reader, onward), pump(beyond, writer, relayed.flowing))

    async with accepting(serve) as port:
        relayed = Relay(target._replace(netloc=f"127.0.0.1:{port}").geturl())
        yield relayed


@asynccontextmanager
async def accepting(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Has each connection served, at the port that it gives, until the block ends, which cuts
    what is still connected."""
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            return  # either end is gone, and so is the other now
        finally:
            writer.close()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(accept(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def until_either_ends(*flows: Coroutine[Any, Any, None]) -> None:
    """Runs them until one is over, and ends the others."""
    tasks = [asyncio.create_task(flow) for flow in flows]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    may_go_on: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Carries on what is read until there is no more, or the connection is gone."""
    with suppress(ConnectionError):
        while data := await reader.read(_READ_BYTES):
            if may_go_on:
                await may_go_on()
            writer.write(data)
            await writer.drain()
