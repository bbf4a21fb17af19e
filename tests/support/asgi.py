"""A function, called as functions-framework calls it, without a process or a socket."""

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from functions.inbound.http import Handler
from functions.published import Published, encode


async def call(
    handler: Handler,
    body: bytes | AsyncIterator[bytes] = b"",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    path: str = "/",
) -> httpx.Response:
    """The response to a POST of `body`."""
    async with _client(handler) as http:
        return await http.post(path, content=body, headers=httpx.Headers(headers))


async def get(handler: Handler) -> httpx.Response:
    """The response to a GET, which warms an instance up."""
    async with _client(handler) as http:
        return await http.get("/")


def envelope(published: Published, *, id: str = "1", attempt: int | None = 1) -> bytes:
    """What Pub/Sub posts of it: an attempt at the message `id`, which it counts only where the
    subscription has dead letters."""
    data = base64.b64encode(encode(published)).decode()
    message = {"messageId": id, "data": data}
    counted = {} if attempt is None else {"deliveryAttempt": attempt}
    return json.dumps({"message": message, **counted}).encode()


def _client(handler: Handler) -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/{path:path}", handler, methods=["GET", "POST"])])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://function")
