"""Requests that API Gateway forwards: checks their secret, and reads the headers it maps."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.datastructures import Headers

from functions.calls.call import ConnectionId, names_document
from functions.clients.connection import Wire
from functions.inbound.secrets import is_known
from functions.sessions.accept import Handshake
from functions.wire.requests import device_in
from functions.wire.socketio import ENGINE_IO, UNNAMED

_BEARER = "bearer."
_WEBSOCKET = "websocket"  # what Engine.IO calls this transport


class NotMapped(ValueError):
    """A header that API Gateway maps is missing, comes twice or makes no sense."""


class NotSupported(ValueError):
    """The Socket.IO client has a version or a transport that can't be served."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What the headers that API Gateway maps say of one request."""

    connection: ConnectionId
    event_type: str  # CONNECT, MESSAGE or DISCONNECT
    received_at: datetime | None  # when API Gateway got it, if it says so

    @classmethod
    def read(cls, headers: Headers) -> "Forwarded":
        """Reads the mapped headers. Raises NotMapped."""
        connection = _required(headers, "unring-connection-id")
        if not names_document(connection):
            raise NotMapped("unring-connection-id is no connection id")
        return cls(
            connection=ConnectionId(connection),
            event_type=_required(headers, "unring-event-type"),
            received_at=_moment(_mapped(headers, "unring-request-time")),
        )


def handshake_in(headers: Headers) -> Handshake:
    """What a client sent to connect. Raises NotSupported, and NotMapped if a header came twice."""
    bearer = bearer_in(_single(headers, "unring-authorization"))
    token, ring = _single(headers, "unring-token"), _single(headers, "unring-ring")
    return Handshake(
        wire=_wire(_single(headers, "unring-eio"), _single(headers, "unring-transport")),
        token=bearer or token or _offered_token(headers),
        user=_text(_single(headers, "unring-user-id")),
        device=device_in(_text(_single(headers, "unring-device-id"))),
        ring=ring,
        sid=_single(headers, "unring-sid"),
        in_query=token or ring,
    )


def subprotocol_for(headers: Headers) -> str | None:
    """Which of the subprotocols that a client offers is chosen. A browser that offers some gives up
    if none is. Raises NotMapped if the header came twice.
    """
    offered = _offered(headers)
    named = [name for name in offered if not name.startswith(_BEARER)]
    return next(iter(named or offered), None)


def is_from_api_gateway(headers: Headers, secrets: Collection[str]) -> bool:
    """Whether the request carries one of the accepted `secrets`, compared in constant time."""
    given = headers.getlist("unring-secret")
    matches = [is_known(value, secrets) for value in given]
    return len(given) == 1 and any(matches)


def _offered(headers: Headers) -> list[str]:
    value = _single(headers, "unring-subprotocol") or ""
    return [name for each in value.split(",") if (name := each.strip())]


def _offered_token(headers: Headers) -> str | None:
    """The token among the subprotocols: a browser can set no other header of a WebSocket."""
    tokens = (name.removeprefix(_BEARER) for name in _offered(headers) if name.startswith(_BEARER))
    return next(tokens, None)


def _wire(protocol: str | None, transport: str | None) -> Wire:
    """The wire of a client that names an Engine.IO `protocol`, or its `transport`, or neither."""
    if protocol is None and transport != _WEBSOCKET:
        return Wire.JSON
    wire = ENGINE_IO.get(protocol or UNNAMED)
    if wire is None:
        raise NotSupported(f"EIO must be one of {', '.join(ENGINE_IO)}")
    if transport != _WEBSOCKET:
        raise NotSupported("transport must be websocket")
    return wire


def _required(headers: Headers, name: str) -> str:
    value = _mapped(headers, name)
    if value is None:
        raise NotMapped(f"{name} is missing")
    return value


def _mapped(headers: Headers, name: str) -> str | None:
    """The value of a header that only API Gateway sets. If the client sends the same name as well,
    the header comes twice, or with a comma between the two values."""
    value = _single(headers, name)
    if value and "," in value:
        raise NotMapped(f"{name} was given more than once")
    return value


def _single(headers: Headers, name: str) -> str | None:
    values = headers.getlist(name)
    if len(values) > 1:
        raise NotMapped(f"{name} was given more than once")
    return values[0] if values and values[0] else None


def _text(value: str | None) -> str | None:
    """A header's value as the client wrote it, in UTF-8: Starlette reads headers as Latin-1."""
    try:
        return value and value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value  # it is not UTF-8, so it is nobody's id


def bearer_in(authorization: str | None) -> str | None:
    """The token that a header `Authorization` shows."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _moment(epoch_ms: str | None) -> datetime | None:
    if epoch_ms is None or not epoch_ms.isdecimal() or len(epoch_ms) > len("1700000000000"):
        return None
    return datetime.fromtimestamp(int(epoch_ms) / 1000, UTC)
