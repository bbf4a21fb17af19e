"""The console's paths, and what each answers."""

import asyncio
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp

from infra.local.console.files import file
from infra.local.console.guard import MAX_BODY_BYTES, Guard, refused
from infra.local.console.live import Live
from infra.local.console.loglines import lines_about
from infra.local.console.parsing import parsed
from infra.local.console.switches import NotSwitched, Switches
from infra.local.console.tokens import token_of
from infra.local.console.trace import Span, Trace, as_text, shown, shown_span
from infra.local.console.traces import Traces
from infra.local.functions import NotStarted
from infra.local.stack import Stack

_USER_CHARACTERS = 128
_ID = re.compile(r"[0-9]{1,15}")
_NO_TRACE = "There is no such trace, or not any more."
_LIMITS = (
    "Firestore and Pub/Sub are Google's emulators here: what is asked of them, and what "
    "they deliver, is not seen and can't be broken."
)


class Server:
    """What the page asks for, of one stack."""

    def __init__(
        self,
        stack: Stack,
        live: Live,
        traces: Traces,
        switches: Switches,
        collections: Mapping[str, str],
        sweep: Callable[[], None],
    ) -> None:
        """`collections` are the names of those that are shown, by ours; `sweep` has it look."""
        self._stack = stack
        self._live = live
        self._traces = traces
        self._switches = switches
        self._collections = collections
        self._sweep = sweep

    def app(self) -> ASGIApp:
        asked = [
            Route("/stack", self._about, methods=["GET"]),
            Route("/tokens", self._token, methods=["POST"]),
            Route("/live", self._changes, methods=["GET"]),
            Route("/traces", self._all_traces, methods=["GET"]),
            Route("/traces/{id}", self._one_trace, methods=["GET"]),
            Route("/traces/{id}/text", self._trace_text, methods=["GET"]),
            Route("/spans/{id}", self._span, methods=["GET"]),
            Route("/faults/{name}", self._switch, methods=["POST"]),
            Route("/sweep", self._sweep_now, methods=["POST"]),
        ]
        routes = [
            Mount("/api", Router(asked, redirect_slashes=False)),
            Route("/{path:path}", _file, methods=["GET"]),
        ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
        return Guard(app, (f"ws://{urlsplit(self._stack.websocket).netloc}",))

    async def _about(self, _: Request) -> Response:
        stack = self._stack
        return JSONResponse(
            {
                "project": stack.project,
                "websocket": stack.websocket,
                "socketio": stack.socketio,
                "collections": dict(self._collections),
                "faults": self._switches.all(),
                "limits": _LIMITS if stack.queue is None else None,
            }
        )

    async def _token(self, request: Request) -> Response:
        user = (await _said(request)).get("user")
        if not isinstance(user, str) or not 0 < len(user) <= _USER_CHARACTERS:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "A token needs the id of its user.")
        token = token_of(self._stack, user)
        if token is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "The stack takes only tokens of others.")
        return JSONResponse({"token": token})

    async def _changes(self, _: Request) -> Response:
        if self._live.is_full:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "Too many pages listen already.")
        return StreamingResponse(self._live.stream(), media_type="text/event-stream")

    async def _all_traces(self, request: Request) -> Response:
        about = request.query_params.get("about") or None
        return JSONResponse({"traces": [shown(trace) for trace in self._traces.all(about)]})

    async def _one_trace(self, request: Request) -> Response:
        trace = self._trace(request)
        spans = sorted(trace.spans.values(), key=lambda span: (span.began, span.id))
        return JSONResponse({**shown(trace), "spans": [shown_span(trace, each) for each in spans]})

    async def _trace_text(self, request: Request) -> Response:
        return PlainTextResponse(as_text(self._trace(request)))

    async def _span(self, request: Request) -> Response:
        found = self._traces.of_span(_id(request))
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such call, or not any more.")
        trace, span = found
        logs = await asyncio.to_thread(self._logs, trace, span)
        return JSONResponse({"request": span.request, "response": span.response, "logs": logs})

    async def _switch(self, request: Request) -> Response:
        said = await _said(request)
        on, device = said.get("on"), said.get("device")
        if not isinstance(on, bool) or not (device is None or isinstance(device, str)):
            raise HTTPException(HTTPStatus.BAD_REQUEST, '"on" is true or false, "device" a text.')
        try:
            switched = await self._switches.switch(
                request.path_params["name"], on=on, device=device
            )
        except KeyError as error:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such switch.") from error
        except NotSwitched as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error
        except NotStarted as error:
            raise HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error
        return JSONResponse(switched)

    async def _sweep_now(self, request: Request) -> Response:
        await _said(request)
        self._sweep()
        return JSONResponse({}, HTTPStatus.ACCEPTED)

    def _trace(self, request: Request) -> Trace:
        trace = self._traces.get(_id(request))
        if trace is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, _NO_TRACE)
        return trace

    def _logs(self, trace: Trace, span: Span) -> list[dict[str, Any]]:
        """What the function of a call logged about what the trace is about, all through the work to
        which the call belongs: functions write most of it at the end."""
        log, work = self._stack.logs / f"{span.function}.log", trace.work_of(span)
        names = [trace.call] if trace.call else [trace.connection, *trace.users]
        lines = lines_about(log, filter(None, names), work.began, work.ended)
        return [{"function": span.function, "line": line} for line in lines]


def _id(request: Request) -> int:
    """Of the path; -1, which nothing has, if it is no number."""
    text = request.path_params["id"]
    return int(text) if _ID.fullmatch(text) else -1


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
        said = parsed(body.decode(errors="replace"))
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
