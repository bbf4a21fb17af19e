"""The gateway: one TCP port for the clients' WebSockets and for `@connections`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Self

from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from infra.emulators.apigateway.http1 import HttpConnection, Request, Response, json_response
from infra.emulators.apigateway.ids import new_id
from infra.emulators.apigateway.integration import Client
from infra.emulators.apigateway.management import Management
from infra.emulators.apigateway.options import Options, Route
from infra.emulators.apigateway.routing import Routing
from infra.emulators.apigateway.session import Session
from infra.emulators.apigateway.sigv4 import AccessKeys
from infra.emulators.apigateway.throttle import Bucket
from infra.emulators.faults import Broken, Faults

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Tasks = set[asyncio.Task[None]]
# Answers a plain request that is none of the API's, of a client at an address. Raises nothing.
Beside = Callable[[Request, str], Awaitable[Response]]


class ApiGateway:
    """A WebSocket API on one local port.

    `routes` maps route keys to routes; which of $connect, $default and $disconnect exist is up to
    it. With `credentials`, every @connections request must be signed with one of them; `faults`
    sees it as the call "connections.POST", or whatever its method is, and what the backend of the
    route R is called with as "integration.R". `beside` is what else has
    the port, as behind a proxy in front of both: it answers the plain requests that are none of
    @connections, which are 403 otherwise, and is cancelled when its client hangs up.
    Raises ValueError for a mapping AWS would refuse. Use as `async with`, or start() and stop().
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        options: Options = Options(),  # noqa: B008 # frozen, so it can be shared
        credentials: AccessKeys | None = None,
        faults: Faults | None = None,
        beside: Beside | None = None,
    ) -> None:
        now = time.monotonic()
        stage_bucket = Bucket(options.stage_throttle, now)
        self._options = options
        self._new_connections = Bucket(options.new_connections, now)
        self._stage_bucket = stage_bucket
        self._sessions: dict[str, Session] = {}
        self._faults = faults or Faults()
        self._beside = beside
        self._routing = Routing(dict(routes), options, stage_bucket, self._faults)
        self._management = Management(options, self._sessions, stage_bucket, credentials)
        # Tasks by what they do, since stop() treats each differently.
        self._serving: Tasks = set()
        self._sockets: Tasks = set()
        self._messages: Tasks = set()
        self._farewells: Tasks = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 picks a free one, and 0.0.0.0 or :: is every address of this machine.

        Raises OSError when the port is taken, or the address is not this machine's.
        """
        self._server = await asyncio.start_server(self._accept, host, port)
        self._address = f"{_reached_at(host)}:{self.port}"

    async def stop(self) -> None:
        """Close every client with 1001, tell the backend, and leave nothing running.

        Takes `stop_seconds` at most, however slow clients and backend are.
        """
        deadline = time.monotonic() + self._options.stop_seconds
        self._server.close()
        for session in self._sessions.values():
            session.close(CloseCode.GOING_AWAY, "Going away")
        await _cancel(self._serving)
        await _wait(self._sockets, deadline - self._options.stop_seconds / 2)
        for session in list(self._sessions.values()):
            session.abort()
        await _wait(self._sockets, deadline)
        await _wait(self._farewells, deadline)
        await _cancel(self._sockets)
        await _cancel(self._messages | self._farewells)
        await self._routing.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def websocket_url(self) -> str:
        return f"ws://{self._address}{self._options.bases()[0]}"

    @property
    def connections_url(self) -> str:
        return f"http://{self._address}{self._options.bases()[0]}/@connections"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Where every TCP connection enters."""
        _spawn(self._serving, self._serve((reader, writer)))

    async def _serve(self, streams: Streams) -> None:
        writer = streams[1]
        is_socket = False
        try:
            is_socket = await self._serve_requests(HttpConnection(*streams), streams)
            if not is_socket:
                writer.close()
                async with asyncio.timeout(self._options.close_seconds):
                    await writer.wait_closed()
        except (ConnectionError, TimeoutError):
            # The peer is gone, or does not read: there is nobody to tell.
            return
        finally:
            if not is_socket:
                writer.transport.abort()

    async def _serve_requests(self, http: HttpConnection, streams: Streams) -> bool:
        """Answer requests until the last one; True when the connection became a WebSocket."""
        while (request := await http.next_request()) is not None:
            if "websocket" in (request.header("upgrade") or "").lower():
                return await self._open(request, http, streams)
            if self._beside is None or self._management.has(request.path):
                await http.respond(await self._answer(request, streams[1]))
                continue
            answer = await _while_there(http, self._beside(request, _source_ip(streams[1])))
            if answer is None:
                return False
            await http.respond(answer)
        return False

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> Response:
        """Where every request that is no WebSocket handshake enters."""
        if len(request.target) > self._options.max_target_bytes:
            return _message(HTTPStatus.REQUEST_URI_TOO_LONG, "Request-URI Too Long")

        async def respond() -> Response:
            return self._management.respond(request)

        try:
            return await self._faults.around(
                f"connections.{request.method}",
                lambda: f"{request.path} {request.body.decode(errors='replace')}",
                respond,
                lambda: _peer(writer),
            )
        except Broken:
            return _message(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error")

    async def _open(self, request: Request, http: HttpConnection, streams: Streams) -> bool:
        """Where every WebSocket handshake enters; True when it ended in a WebSocket."""
        handshake = ServerProtocol().accept(Handshake(request.target, Headers(request.headers)))
        refusal = self._refusal(request)
        if refusal is None and handshake.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            refusal = _message(HTTPStatus.BAD_REQUEST, "Bad Request")
        if refusal is not None:
            await http.respond(refusal, close=True)
            return False

        client = _client(request, streams[1])
        reply = await self._routing.connect(client, request)
        if not 200 <= reply.status < 300:
            await http.respond(Response(reply.status, reply.headers, reply.body), close=True)
            return False
        for name, value in reply.headers:
            passes_on = self._options.subprotocol_of_reply == "passed on"
            if name == "sec-websocket-protocol" and passes_on:
                handshake.headers[name] = value
        session = Session(client, streams, self._options, self._receive)
        # Known to @connections before the client can know that it is connected.
        self._sessions[client.connection_id] = session
        streams[1].write(handshake.serialize())
        _spawn(self._sockets, self._run(session, http.bytes_after_request()))
        return True

    async def _run(self, session: Session, already_read: bytes) -> None:
        try:
            await session.run(already_read)
        finally:
            del self._sessions[session.client.connection_id]
            self._management.forget(session.client.connection_id)
            _spawn(self._farewells, self._routing.disconnect(session.client))

    def _refusal(self, request: Request) -> Response | None:
        if len(request.target) > self._options.max_target_bytes:
            return _message(HTTPStatus.REQUEST_URI_TOO_LONG, "Request-URI Too Long")
        if request.path.removesuffix("/") not in self._options.bases():
            return _message(HTTPStatus.FORBIDDEN, "Forbidden")
        now = time.monotonic()
        if not (self._new_connections.take(now) and self._stage_bucket.take(now)):
            return _message(HTTPStatus.TOO_MANY_REQUESTS, "Too Many Requests")
        return None

    def _receive(self, session: Session, message: bytes) -> None:
        """Where every message enters; each is handled on its own, so answers may overtake."""
        _spawn(self._messages, self._routing.message(session, message))


def _reached_at(host: str) -> str:
    """Where this machine reaches what listens on `host`, as URLs write it."""
    match host:
        case "0.0.0.0":  # noqa: S104 - every address
            return "127.0.0.1"
        case "::":
            return "[::1]"
        case _:
            return f"[{host}]" if ":" in host else host


def _client(request: Request, writer: asyncio.StreamWriter) -> Client:
    return Client(
        connection_id=new_id(),
        connected_at=datetime.now(UTC),
        source_ip=_source_ip(writer),
        user_agent=request.header("user-agent") or "",
        domain_name=request.header("host") or "",
    )


def _source_ip(writer: asyncio.StreamWriter) -> str:
    return str(writer.get_extra_info("peername")[0])


def _peer(writer: asyncio.StreamWriter) -> str:
    """The address and the port of who is at the other end."""
    host, port, *_ = writer.get_extra_info("peername")
    return f"{host}:{port}"


async def _while_there(http: HttpConnection, answering: Awaitable[Response]) -> Response | None:
    """The answer; None if the peer has hung up before it is there, which cancels it."""
    answer = asyncio.ensure_future(answering)
    gone = asyncio.create_task(http.hung_up())
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None
    finally:
        answer.cancel()
        gone.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


def _message(status: int, message: str) -> Response:
    return json_response(status, {"message": message})


def _spawn(tasks: Tasks, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _wait(tasks: Tasks, until: float) -> None:
    seconds = until - time.monotonic()
    if tasks and seconds > 0:
        await asyncio.wait(set(tasks), timeout=seconds)


async def _cancel(tasks: Tasks) -> None:
    cancelled = list(tasks)
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)
