"""The console's paths, and what each answers."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from infra.local.console.files import file
from infra.local.console.guard import MAX_BODY_BYTES, Guard, refused
from infra.local.console.live import Change, Live
from infra.local.stack import Stack

_USER_CHARACTERS = 128


class Server:
    """What the page asks for, of one stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.live = Live(self._snapshot)

    def app(self) -> ASGIApp:
        routes = [
            Route("/api/stack", self._about, methods=["GET"]),
            Route("/api/tokens", self._token, methods=["POST"]),
            Route("/api/live", self._live, methods=["GET"]),
            Route("/{path:path}", _file, methods=["GET"]),
        ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
        host = urlsplit(self._stack.websocket).netloc
        return Guard(app, (f"ws://{host}",))

    def _snapshot(self) -> Iterable[Change]:
        return []

    async def _about(self, _: Request) -> Response:
        stack = self._stack
        return JSONResponse(
            {
                "project": stack.project,
                "websocket": stack.websocket,
                "socketio": stack.socketio,
                "collections": {},
                "faults": [],
                "limits": None,
            }
        )

    async def _token(self, request: Request) -> Response:
        user = (await _said(request)).get("user")
        if not isinstance(user, str) or not 0 < len(user) <= _USER_CHARACTERS:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "A token needs the id of its user.")
        return JSONResponse({"token": self._stack.token(user)})

    async def _live(self, _: Request) -> Response:
        if self.live.is_full:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "Too many pages listen already.")
        return StreamingResponse(self.live.stream(), media_type="text/event-stream")


async def _file(request: Request) -> Response:
    return file(request.path_params["path"])


async def _said(request: Request) -> dict[str, Any]:
    """The JSON object that is a request's body. Raises HTTPException."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The body is no JSON.") from error
    if not isinstance(said, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The body is no JSON object.")
    return said


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - which is what it is called for
    answer = refused(HTTPStatus(error.status_code), error.detail)
    answer.headers.update(error.headers or {})
    return answer
