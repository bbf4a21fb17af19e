"""The HTTPS interface: which part of it replies to a request, and how all of it fails.

docs/api.md describes it for people, and openapi.py for programs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.calls.decision import NOT_FOUND, invalid
from functions.inbound.replies import Reply, allowing, answered, preflight, said
from functions.telemetry import Log

_OPENAPI = "/v1/openapi.json"

log = Log(__name__)


class Part(Protocol):
    """Some paths of the interface."""

    def at(self, steps: Sequence[str]) -> Mapping[str, Reply]:
        """What replies at a path, by the method; nothing if the path is none of this part. `steps`
        are what lies between its slashes, decoded: `["v1", "calls", "CALL_1"]`."""


@dataclass(frozen=True, slots=True)
class Api:
    """Replies to requests, also to those that make no sense; no request leaves it with an error."""

    parts: Sequence[Part]
    origins: Collection[str]  # of pages that may read the replies

    async def reply(self, request: Request) -> Response:
        reply = await self._reply(request)
        origin = request.headers.get("origin")
        if origin is not None and origin in self.origins:
            reply.headers["Access-Control-Allow-Origin"] = origin
            reply.headers["Access-Control-Expose-Headers"] = "Retry-After"
            # socket.io-client 2 asks with credentials in a browser, though there are none.
            reply.headers["Access-Control-Allow-Credentials"] = "true"
        if self.origins:
            reply.headers["Vary"] = "Origin"
        return reply

    async def _reply(self, request: Request) -> Response:
        path, method = request.scope["path"], request.method
        replies = self._replies_at(path, _steps_of(request))
        if not replies:
            message = f"there is no such path; {_OPENAPI} has those that there are"
            return said(replace(NOT_FOUND, message=message), None)
        if method == "OPTIONS":
            return preflight(replies, request.headers.get("access-control-request-headers"))
        if method not in replies:
            verdict = invalid("method", f"{path} takes {', '.join(replies)}")
            return allowing(replies, said(verdict, None, 405))
        return await answered(replies[method], request, said)

    def _replies_at(self, path: str, steps: Sequence[str]) -> Mapping[str, Reply]:
        if path == _OPENAPI:
            return {"GET": _openapi}
        return next((found for part in self.parts if (found := part.at(steps))), {})


def _steps_of(request: Request) -> Sequence[str]:
    """From the path as it was sent: an encoded slash belongs to an id."""
    return [unquote(step) for step in request.scope["raw_path"].decode("latin-1").split("/")[1:]]


async def _openapi(_: Request) -> Response:
    from functions.inbound.openapi import DESCRIPTION

    return JSONResponse(DESCRIPTION)
