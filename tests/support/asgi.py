"""A function, called as functions-framework calls it, without a process or a socket."""

from collections.abc import Mapping

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from functions.inbound.http import Handler


async def call(
    handler: Handler, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """The response to a POST of `body`."""
    app = Starlette(routes=[Route("/", handler, methods=["GET", "POST"])])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://function") as http:
        return await http.post("/", content=body, headers=dict(headers or {}))
