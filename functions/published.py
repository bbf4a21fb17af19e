"""What is published on the topic: a call has changed, a connection was accepted, admitted or
closed, a device is gone, or a ring should have ended."""

from datetime import datetime
from typing import Annotated

import msgspec

from functions.calls.call import ConnectionId, Status, UserId, names_document
from functions.calls.event import CallEvent, UnixMs, decoded
from functions.scheduled import RingEnds

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _ConnectionEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that happened to a connection; it must be handled before `expires_at`."""

    connection_id: ConnectionId
    expires_at: _Moment

    def __post_init__(self) -> None:
        """Raises ValueError for an event that no handler could ever finish."""
        if not names_document(self.connection_id):
            raise ValueError("connectionId names no document")

    @property
    def name(self) -> str:
        """The event's name, for the log."""
        return str(self.__struct_config__.tag)

    def expired(self, now: datetime) -> bool:
        return self.expires_at <= now


class ConnectionAccepted(
    _ConnectionEvent, frozen=True, kw_only=True, tag_field="name", tag="connection.accepted"
):
    """A Socket.IO client has connected, and waits for the packets that open its session."""

    connected_at: _Moment


class ConnectionAdmitted(
    _ConnectionEvent, frozen=True, kw_only=True, tag_field="name", tag="connection.admitted"
):
    """A connection has become a user's, and the user is to be told by it what he has missed."""


class ConnectionClosed(
    _ConnectionEvent, frozen=True, kw_only=True, tag_field="name", tag="connection.closed"
):
    """A connection's socket is closed: a call that was initiated by it may have lost its caller."""


class DeviceGone(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    tag_field="name",
    tag="device.gone",
):
    """FCM says of a device's address that it reaches nobody any more."""

    user_id: UserId
    platform: str
    registered_at: UnixMs
    found_at: UnixMs
    token: str | None = None  # one of the two is its address
    fid: str | None = None

    @property
    def name(self) -> str:
        """The event's name, for the log."""
        return str(self.__struct_config__.tag)


Published = (
    CallEvent | ConnectionAccepted | ConnectionAdmitted | ConnectionClosed | DeviceGone | RingEnds
)


_DECODER: msgspec.json.Decoder[Published] = msgspec.json.Decoder(Published)


def attributes(event: Published) -> dict[str, str]:
    """What subscriptions filter by: `push` is "true" if we push to a recipient, `wanted` if the
    app's backend does, `webhook` if it hears of the event, `ring` if a ring begins that ends by
    itself, or may have to end. `only` names the one function that has something to do with it."""
    match event:
        case CallEvent():
            kinds = {
                "push": event.push_recipients,
                "wanted": event.backend_recipients,
                "ring": event.status is Status.RINGING and event.rings_until_ms,
            }
            return {"webhook": "true", **{kind: "true" for kind, is_so in kinds.items() if is_so}}
        case DeviceGone():
            return {"webhook": "true", "only": "webhook"}
        case ConnectionClosed() | RingEnds():
            return {"ring": "true", "only": "ring"}
        case _:
            return {}


def encode(event: Published) -> bytes:
    """The event in JSON, as it is published."""
    return msgspec.json.encode(event)


def decode(data: bytes) -> Published:
    """Reads `encode` back. Raises MalformedEvent."""
    return decoded(_DECODER, data)
