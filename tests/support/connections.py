"""An @connections endpoint that answers as it is told, and remembers what was posted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions.calls.call import ConnectionId
from infra.emulators.http import serving
from tests.memory.clients import Clients


@dataclass
class ConnectionsServer(Clients):
    """Clients behind a URL; status 0 stands for no answer at all."""

    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)

    async def post(self, request: Request) -> Response:
        text = (await request.body()).decode()
        self.headers.append(dict(request.headers))
        status = self.take(ConnectionId(request.path_params["id"]), text)
        if status == 0:
            await asyncio.Event().wait()
        return Response(status_code=status)


@asynccontextmanager
async def connections_server() -> AsyncIterator[ConnectionsServer]:
    server = ConnectionsServer()
    route = Route("/dev/@connections/{id}", server.post, methods=["POST"])
    async with serving(Starlette(routes=[route]), grace=0) as url:
        server.url = f"{url}/dev/@connections"
        yield server
