"""Engine.IO over HTTPS: a Socket.IO client with default options polls, until it has a WebSocket.

https://github.com/socketio/engine.io-protocol
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions import telemetry
from functions.calls.call import ConnectionId
from functions.calls.decision import Verdict
from functions.clients.connection import Wire
from functions.clients.poll import Sid
from functions.inbound.apigateway import bearer_in
from functions.inbound.frames import Frames
from functions.inbound.http import body_of
from functions.inbound.load import Load, Urgency
from functions.inbound.rate import FrameRate, Rate
from functions.inbound.replies import Reply, answered, status_of
from functions.inbound.sessions import Sessions
from functions.ports.clock import Clock
from functions.sessions.accept import Handshake
from functions.sessions.polling import Polling
from functions.sessions.session import UnknownSession
from functions.wire import socketio
from functions.wire.payload import MalformedPayload, decode_payload, encode_payload
from functions.wire.requests import device_in

_TEXT = "text/plain; charset=UTF-8"
_MAX_PAYLOAD_BYTES = 128 * 1024  # as much as API Gateway takes in one message
_LONGEST_ASKED = 64  # characters by which a client tells its polls apart; it needs some ten
_APART = timedelta(microseconds=1)  # the packets of one request, which came in this order


class _Refused(Exception):
    """A request that makes no sense here, with the code by which Engine.IO says why."""

    def __init__(self, code: int, message: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


_UNKNOWN = _Refused(1, "Session ID unknown")


@dataclass(frozen=True, slots=True)
class PollingRequests:
    """Replies at `/socket.io/`."""

    polling: Polling
    frames: Frames
    sessions: Sessions
    rate: FrameRate  # of a session's polls
    load: Load
    clock: Clock

    def at(self, steps: Sequence[str]) -> Mapping[str, Reply]:
        match steps:
            case ["socket.io"] | ["socket.io", ""]:
                return {"GET": _replying(self._poll), "POST": _replying(self._take)}
            case _:
                return {}

    async def _poll(self, request: Request) -> Response:
        """A handshake, or a poll."""
        handshake = _handshake_in(request)
        asked = request.query_params.get("t", "")[:_LONGEST_ASKED]
        packets = await self._packets(handshake, asked or None)
        payload = encode_payload(handshake.wire, packets)
        return Response(payload, media_type=_TEXT, headers={"Cache-Control": "no-store"})

    async def _packets(self, handshake: Handshake, asked: str | None) -> Sequence[str]:
        """`asked` is by what the client tells its requests apart, if it does."""
        if handshake.sid is None:
            with self.load.carrying_out(Urgency.LATER):
                return await self.polling.begin(handshake, asked)
        sid = Sid.read(handshake.sid)
        if sid and self.rate.of(sid.id, self.clock()) is not Rate.KEPT:
            self.rate.not_closed(sid.id)  # who has waited a moment may poll again
            raise _Refused(3, "too many requests", HTTPStatus.TOO_MANY_REQUESTS)
        # Held polls must leave room for what is in a hurry.
        with self.load.carrying_out(Urgency.LATER):
            return await self.polling.poll(handshake, asked)

    async def _take(self, request: Request) -> Response:
        """Carries out what the client sends, one packet after the other, and has the replies wait
        for its poll."""
        came_at = self.clock()
        handshake = _handshake_in(request)
        session = await self.polling.takes(handshake)
        telemetry.bind(connectionId=session)
        body = await body_of(request, _MAX_PAYLOAD_BYTES)
        if isinstance(body, Response):
            return body
        replies = [
            await self._reply(session, packet, came_at + number * _APART)
            for number, packet in enumerate(_packets_in(handshake.wire, body))
        ]
        if waiting := [reply for reply in replies if reply != socketio.NOOP]:
            await self.polling.add(session, waiting)
        return Response("ok", media_type="text/html")

    async def _reply(self, session: ConnectionId, packet: bytes, came_at: datetime) -> str:
        """The packet in reply. Raises UnknownSession if the client must connect anew."""
        reply = await self.frames.reply(session, came_at, packet)
        if packet == socketio.CLOSE.encode() or reply == socketio.RECONNECT:
            # No `$disconnect` will say so.
            await self.sessions.disconnect(session)
        if reply == socketio.RECONNECT:
            raise UnknownSession
        return reply


def _replying(answer: Reply) -> Reply:
    """Has the errors of `answer` said as Engine.IO says them."""

    async def reply(request: Request) -> Response:
        try:
            return await answer(request)
        except _Refused as error:
            return _refusal(error)
        except UnknownSession:
            return _refusal(_UNKNOWN)

    return partial(answered, reply, said=_unable)


def _handshake_in(request: Request) -> Handshake:
    """What each request of a client says in its query. Raises _Refused."""
    query = request.query_params
    if len(query.multi_items()) > len(query):
        raise _Refused(3, "Bad request: a parameter is given twice")
    wire = socketio.ENGINE_IO.get(query.get("EIO", socketio.UNNAMED))
    if wire is None:
        raise _Refused(5, "Unsupported protocol version")
    if query.get("transport") != "polling":
        raise _Refused(0, "Transport unknown: a WebSocket goes to the WebSocket API")
    if "j" in query:
        raise _Refused(3, "Bad request: JSONP is not supported")
    token, ring = query.get("token") or None, query.get("ring") or None
    return Handshake(
        wire=wire,
        token=bearer_in(request.headers.get("authorization")) or token,
        user=query.get("userId") or None,
        device=device_in(query.get("deviceId")),
        ring=ring,
        sid=query.get("sid"),
        in_query=token or ring,
    )


def _packets_in(wire: Wire, body: bytes) -> Sequence[bytes]:
    """Raises _Refused."""
    try:
        packets = decode_payload(wire, body)
    except MalformedPayload as error:
        raise _Refused(3, f"Bad request: {error}") from error
    # As long as it polls, a client may send binary data. A WebSocket of API Gateway's takes none.
    return [packet for packet in packets if not packet.startswith(b"b")]


def _refusal(error: _Refused) -> Response:
    content = {"code": error.code, "message": str(error)}
    return JSONResponse(content, status_code=error.status)


def _unable(verdict: Verdict) -> Response:
    """The reply to a request that failed for a reason of ours: the client tries again."""
    return _refusal(_Refused(3, verdict.message or verdict.outcome, status_of(verdict)))
