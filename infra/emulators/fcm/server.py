"""The server: what it was sent, what it answers, and what it is told to answer instead."""

import asyncio
import itertools
import json
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Self

import grpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.emulators.faults import Broken, Faults
from infra.emulators.fcm.errors import FcmError, failure, invalid, unauthenticated
from infra.emulators.fcm.message import InvalidMessage, SendRequest, parse
from infra.emulators.http import peer_of, serving

# What a validate_only send is answered with.
_NO_MESSAGE_ID = "fake_message_id"
_MAX_WAIT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class _Failing:
    error: FcmError
    times: int | None  # None is always
    retry_after: int | None  # seconds


class FcmServer:
    """FCM for an unmodified firebase_admin; an async context that listens while it lasts.

    POST   /v1/projects/{project}/messages:send  as FCM, with any non-empty bearer token
    GET    /messages   every accepted `message` object, oldest first; with ?wait=SECONDS&count=N
                       it answers as soon as there are N (default 1), or what there is after that
    DELETE /messages   empties the inbox
    POST   /errors     {"token", "error", "times"?, "retryAfterSeconds"?}: see `fail`
    DELETE /errors     heals every token

    The SDK finds it by its own URL only:
    messaging._MessagingService.FCM_URL = f"{url}/v1/projects/{{0}}/messages:send"
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, faults: Faults | None = None
    ) -> None:
        """`faults` sees every well-formed send as the call "fcm.send"."""
        self._faults = faults or Faults()
        self._host = host
        self._port = port
        self._stack = AsyncExitStack()
        self._url: str | None = None
        self._inbox: list[Mapping[str, Any]] = []
        self._failing: dict[str, _Failing] = {}
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ids = itertools.count(time.time_ns() // 1000)
        self._attempts: dict[str, int] = {}

    @property
    def url(self) -> str:
        """The base URL, "http://127.0.0.1:1234"; only while it runs."""
        if self._url is None:
            raise RuntimeError("the FCM server is not running")
        return self._url

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """Every accepted message so far, oldest first."""
        return list(self._inbox)

    def attempts(self, token: str) -> int:
        """How many well-formed sends to this token came in, whatever they were answered."""
        return self._attempts.get(token, 0)

    def fail(
        self,
        token: str,
        error: FcmError,
        *,
        times: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        """The next `times` sends to `token`, or fid, (None: all) are answered with `error`.

        `retry_after` is the value of the Retry-After header, in seconds. A later call for the same
        token takes the place of an earlier one. Mind that firebase_admin repeats a send by itself
        on 500 and 503 (up to 4 times) and on 401 (twice).
        """
        self._failing[token] = _Failing(error, times, retry_after)

    def heal(self, token: str | None = None) -> None:
        """This token fails no more, or (None) none does; who hangs already goes on hanging."""
        if token is None:
            self._failing.clear()
        else:
            self._failing.pop(token, None)

    def clear(self) -> None:
        """Empties the inbox."""
        self._inbox.clear()

    async def wait_for(self, count: int, timeout: float = 5.0) -> list[Mapping[str, Any]]:  # noqa: ASYNC109 - for those who would only write the `async with` themselves
        """The inbox once it holds `count` messages; TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while len(self._inbox) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.messages

    async def start(self) -> None:
        """Listens. Raises OSError when the port is taken."""
        self._stopping.clear()
        app = Starlette(
            routes=[
                Route("/v1/projects/{project}/messages:send", self._send, methods=["POST"]),
                Route("/messages", self._list, methods=["GET"]),
                Route("/messages", self._empty, methods=["DELETE"]),
                Route("/errors", self._set_error, methods=["POST"]),
                Route("/errors", self._forget_errors, methods=["DELETE"]),
            ]
        )
        server = serving(app, host=self._host, port=self._port)
        self._url = await self._stack.enter_async_context(server)

    async def stop(self) -> None:
        """Ends what hangs or waits and closes the port. Twice is no error."""
        self._stopping.set()
        self._url = None
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _send(self, request: Request) -> Response:
        """Where every message comes in."""
        if not _bearer(request):
            return unauthenticated()
        try:
            send = parse(await request.body())
        except InvalidMessage as error:
            return invalid(error)

        async def answer() -> Response:
            return await self._answer(send, request.path_params["project"])

        try:
            return await self._faults.around(
                "fcm.send", lambda: json.dumps(send.message), answer, lambda: peer_of(request)
            )
        except Broken as broken:
            overrun = broken.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            return failure(FcmError.QUOTA_EXCEEDED if overrun else FcmError.UNAVAILABLE)

    async def _answer(self, send: SendRequest, project: str) -> Response:
        failing = self._failing_of(send)
        if failing is None:
            return self._accept(send, project)
        if failing.error is FcmError.HANG:
            await self._stopping.wait()
            return failure(FcmError.UNAVAILABLE)
        return failure(failing.error, failing.retry_after)

    def _failing_of(self, send: SendRequest) -> _Failing | None:
        if send.device is None:
            return None
        self._attempts[send.device] = self.attempts(send.device) + 1
        failing = self._failing.get(send.device)
        if failing is not None and failing.times is not None:
            if failing.times > 1:
                self._failing[send.device] = replace(failing, times=failing.times - 1)
            else:
                del self._failing[send.device]
        return failing

    def _accept(self, send: SendRequest, project: str) -> Response:
        if send.validate_only:
            return JSONResponse({"name": f"projects/{project}/messages/{_NO_MESSAGE_ID}"})
        self._inbox.append(send.message)
        self._changed.set()
        return JSONResponse({"name": f"projects/{project}/messages/0:{next(self._ids)}"})

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        try:
            wait, count = float(query.get("wait", 0)), int(query.get("count", 1))
        except ValueError:
            return _complaint("wait is a number of seconds, count a number of messages")
        if not 0 <= wait <= _MAX_WAIT_SECONDS:
            return _complaint(f"wait is not between 0 and {_MAX_WAIT_SECONDS:g} seconds")
        enough = asyncio.create_task(self.wait_for(count, wait))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([enough, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            enough.cancel()
            stopping.cancel()
            await asyncio.gather(enough, stopping, return_exceptions=True)
        return JSONResponse(self.messages)

    async def _empty(self, _: Request) -> Response:
        self.clear()
        return Response(status_code=204)

    async def _set_error(self, request: Request) -> Response:
        try:
            asked = await request.json()
            token, error = asked["token"], FcmError(asked["error"].upper())
            times, retry_after = asked.get("times"), asked.get("retryAfterSeconds")
        except (ValueError, KeyError, TypeError, AttributeError):
            return _complaint(f'needs "token" and "error", one of {", ".join(FcmError)}')
        if not isinstance(token, str) or not _natural(times) or not _natural(retry_after):
            return _complaint("token is a string, times and retryAfterSeconds positive integers")
        self.fail(token, error, times=times, retry_after=retry_after)
        return Response(status_code=204)

    async def _forget_errors(self, _: Request) -> Response:
        self.heal()
        return Response(status_code=204)


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _natural(value: object) -> bool:
    return value is None or (type(value) is int and value > 0)


def _complaint(text: str) -> Response:
    """An error of the two endpoints that FCM does not have."""
    return JSONResponse({"error": text}, status_code=400)
