"""What is published on the topic: that a ring ended, that a connection opened or was admitted."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from functions.calls.call import ConnectionId, names_document
from functions.calls.event import CallEvent, MalformedEvent

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _ConnectionEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that happened to a connection, to be seen to before `expires_at`."""

    connection_id: ConnectionId
    expires_at: _Moment

    def __post_init__(self) -> None:
        """Raises ValueError for an event that no handler could ever finish."""
        if not names_document(self.connection_id):
            raise ValueError("connectionId names no document")

    def expired(self, now: datetime) -> bool:
        return self.expires_at <= now


class ConnectionOpened(_ConnectionEvent, frozen=True, kw_only=True, rename="camel"):
    """A Socket.IO client has connected, and waits for the packets that open its session."""

    name: Literal["connection.opened"] = "connection.opened"
    connected_at: _Moment


class ConnectionAdmitted(_ConnectionEvent, frozen=True, kw_only=True, rename="camel"):
    """A connection is a user's from now on, who is to be told what he has missed."""

    name: Literal["connection.admitted"] = "connection.admitted"


Published = CallEvent | ConnectionOpened | ConnectionAdmitted

_OF_CONNECTIONS: dict[str, type[Published]] = {
    "connection.opened": ConnectionOpened,
    "connection.admitted": ConnectionAdmitted,
}
CONNECTION_EVENTS = frozenset(_OF_CONNECTIONS)  # they are for `deliver` alone


class _Named(msgspec.Struct):
    name: str = ""


def encode(event: Published) -> bytes:
    return msgspec.json.encode(event)


def decode(data: bytes) -> Published:
    """Reads what was published. Raises MalformedEvent."""
    try:
        kind = _OF_CONNECTIONS.get(msgspec.json.decode(data, type=_Named).name, CallEvent)
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEvent(str(error)) from error
