"""Plain HTTP/1.1 over asyncio streams: requests in, responses out, with keep-alive."""

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import h11

_READ_BYTES = 64 * 1024
# AWS's limit on the payload of any API.
_MAX_BODY_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """One request; `target` is the path and query as they came, still percent-encoded.

    Header values are the bytes on the wire, one character each (latin-1).
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def header_values(self, name: str) -> list[str]:
        """All values of a header, in the order they came."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a header, the last one if it is repeated."""
        return next(reversed(self.header_values(name)), None)


@dataclass(frozen=True)
class Response:
    """One response; the length is added when it is sent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def json_response(status: int, content: object, *headers: tuple[str, str]) -> Response:
    body = json.dumps(content).encode()
    return Response(status, (("content-type", "application/json"), *headers), body)


class HttpConnection:
    """The server's side of one TCP connection that speaks HTTP/1.1.

    Raises ConnectionError when the peer vanishes.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._h11 = h11.Connection(h11.SERVER)
        self._method = b""

    async def next_request(self) -> Request | None:
        """The next request, or None when the connection has served its last one.

        A request that is not HTTP, or is too large, is answered here.
        """
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        if self._h11.our_state is not h11.IDLE:
            return None
        try:
            return await self._read_request()
        except h11.RemoteProtocolError as error:
            if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self.respond(Response(error.error_status_hint), close=True)
            return None

    async def respond(self, response: Response, *, close: bool = False) -> None:
        """Send the answer to the request that came last, and with `close` the last one of all."""
        headers = [(n.encode("ascii"), v.encode("latin-1")) for n, v in response.headers]
        if response.status != HTTPStatus.NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(response.body)))
        if close:
            headers.append((b"connection", b"close"))
        reason = _reason(response.status)
        self._send(h11.Response(status_code=response.status, headers=headers, reason=reason))
        if response.body and self._method != b"HEAD":
            self._send(h11.Data(data=response.body))
        self._send(h11.EndOfMessage())
        await self._writer.drain()

    async def hung_up(self) -> None:
        """Returns once the peer has hung up; what it sends ahead is kept for its next request.

        Who sends more ahead than any request may have counts as gone.
        """
        while len(self._h11.trailing_data[0]) <= _MAX_BODY_BYTES:
            if not (data := await self._reader.read(_READ_BYTES)):
                return
            self._h11.receive_data(data)

    def bytes_after_request(self) -> bytes:
        """What the client sent behind a request that asks for another protocol."""
        return bytes(self._h11.trailing_data[0])

    async def _read_request(self) -> Request | None:
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        self._method = head.method
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > _MAX_BODY_BYTES:
                await self.respond(Response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE), close=True)
                return None
        if not isinstance(event, h11.EndOfMessage):
            return None
        return Request(
            method=head.method.decode("ascii"),
            target=head.target.decode("ascii"),
            headers=tuple((k.decode("ascii"), v.decode("latin-1")) for k, v in head.headers),
            body=bytes(body),
        )

    async def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                # h11 types the two sentinels as one union that `is` does not narrow.
                return cast("h11.Event | type[h11.PAUSED]", event)
            if self._h11.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._h11.receive_data(await self._reader.read(_READ_BYTES))

    def _send(self, event: h11.Event) -> None:
        if data := self._h11.send(event):
            self._writer.write(data)


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""
