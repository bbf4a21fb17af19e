"""The console beside a running stack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.emulators.http import serving
from infra.local.console.server import Server
from infra.local.stack import Stack


@asynccontextmanager
async def console(stack: Stack) -> AsyncIterator[str]:
    """Serves the console of `stack` for as long as the block lasts; gives its URL."""
    server = Server(stack)
    async with serving(server.app(), lifespan="off") as url:
        try:
            yield url
        finally:
            server.live.close()  # or the pages would hold it up
