"""An @connections endpoint that answers as it is told, and remembers what was posted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.emulators.http import serving


@dataclass
class ConnectionsServer:
    """`answers` has, for each connection id, the statuses of its next posts; then it is 200.

    Status 0 stands for no answer at all.
    """

    url: str = ""
    posts: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: dict[str, list[int]] = field(default_factory=dict)

    def posted_to(self, connection: str) -> list[str]:
        return [text for id, text in self.posts if id == connection]

    async def post(self, request: Request) -> Response:
        connection = request.path_params["id"]
        text = (await request.body()).decode()
        self.headers.append(dict(request.headers))
        left = self.answers.get(connection)
        status = left.pop(0) if left else 200
        if status == 0:
            await asyncio.Event().wait()
        if status == 200:
            self.posts.append((connection, text))
        return Response(status_code=status)


@asynccontextmanager
async def connections_server() -> AsyncIterator[ConnectionsServer]:
    server = ConnectionsServer()
    route = Route("/dev/@connections/{id}", server.post, methods=["POST"])
    async with serving(Starlette(routes=[route]), grace=0) as url:
        server.url = f"{url}/dev/@connections"
        yield server
