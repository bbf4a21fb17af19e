"""What is published on the topic: that a call's ringing ended, and that a connection opened."""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from functions.calls.call import ConnectionId, names_document
from functions.calls.event import CallEvent, MalformedEvent

CONNECTION_OPENED: Final = "connection.opened"

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class ConnectionOpened(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A Socket.IO client has connected, and waits for the packets that open its session."""

    name: Literal["connection.opened"] = CONNECTION_OPENED
    connection_id: ConnectionId
    connected_at: _Moment
    expires_at: _Moment  # the client waits no longer

    def __post_init__(self) -> None:
        """Raises ValueError for an event that no handler could ever finish."""
        if not names_document(self.connection_id):
            raise ValueError("connectionId names no document")

    def expired(self, now: datetime) -> bool:
        return self.expires_at <= now


Published = CallEvent | ConnectionOpened


class _Named(msgspec.Struct):
    name: str = ""


def encode(event: Published) -> bytes:
    return msgspec.json.encode(event)


def decode(data: bytes) -> Published:
    """Reads what was published. Raises MalformedEvent."""
    try:
        if msgspec.json.decode(data, type=_Named).name == CONNECTION_OPENED:
            return msgspec.json.decode(data, type=ConnectionOpened)
        return msgspec.json.decode(data, type=CallEvent)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEvent(str(error)) from error
