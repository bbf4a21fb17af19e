"""An ASGI application served over HTTP inside the event loop that is already running."""

import asyncio
import contextlib
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response
from starlette.types import ASGIApp


@asynccontextmanager
async def serving(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    grace: int = 1,
    **config: Any,
) -> AsyncIterator[str]:
    """Serves `app` for as long as the block lasts; gives its base URL, "http://127.0.0.1:1234".

    Port 0 takes a free one. No signal handler is installed. On the way out idle connections close
    at once, requests under way get `grace` seconds and are then cancelled; afterwards no task and
    no socket is left. `config` goes to uvicorn.Config as it is. Raises OSError when the port is
    taken and RuntimeError when the application's lifespan refuses to start.
    """
    settings: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "timeout_graceful_shutdown": grace,
        **config,
    }
    # Bound here, so that a taken port is an OSError of the caller and not the end of the process.
    listener = _listener(host, port)
    server = _Server(uvicorn.Config(app, **settings))
    serve = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _first(server.listening, serve)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.wait([serve])
        listener.close()
        # Those cancelled at the end of the grace period have yet to unwind.
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)


class Served(ABC):
    """An emulator that is one server. An async context that listens on a free port."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        server = serving(request_response(self._answer), lifespan="off")
        self._origin = await self._stack.enter_async_context(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @abstractmethod
    async def _answer(self, request: Request) -> Response:
        """Where every request enters."""


def peer_of(request: Request) -> str:
    """The address of who sent the request, "127.0.0.1:1234"."""
    return ":".join(map(str, request.client or ()))


def _listener(host: str, port: int) -> socket.socket:
    """A socket whose connections send at once. asyncio turns Nagle's algorithm off only on sockets
    that say that they are TCP's, which those of socket.create_server don't: then a body that is
    written after its head waits for the client's delayed acknowledgement, some 40 ms."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


async def _first(listening: asyncio.Event, serve: asyncio.Task[None]) -> None:
    """Waits until the server listens; raises what ended it if that came first."""
    waiter = asyncio.create_task(listening.wait())
    try:
        await asyncio.wait([waiter, serve], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
    if serve.done():
        serve.result()


class _Server(uvicorn.Server):
    """uvicorn without its hold on the process: no signal handlers, no sys.exit."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:
            raise RuntimeError("the application's lifespan did not start") from error
        self.listening.set()
