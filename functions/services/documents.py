"""What our Firestore documents hold: from the fields as read to the types we reason about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, NewType, TypeVar

from google.cloud.firestore import DocumentSnapshot

from functions.calls.call import Call, CallId, ConnectionId, SignalId, Status, UserId
from functions.calls.event import CallEvent, from_fields
from functions.telemetry import Log
from functions.wire.frames import FcmToken, Platform, Wire

DeviceId = NewType("DeviceId", str)  # SHA-256 of the token, hex: a token is too long for an id
MessageId = NewType("MessageId", str)  # Pub/Sub's, the same however often it delivers the message
Fields = Mapping[str, Any]
Snapshot = DocumentSnapshot[Any]
_Member = TypeVar("_Member", bound=StrEnum)
_Read = TypeVar("_Read")

log = Log(__name__)


class MalformedDocument(ValueError):
    """A document lacks what it must have; only its writer can mend that."""


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call as it was read; `version` is the precondition of the next write."""

    call: Call
    version: datetime


@dataclass(frozen=True, slots=True)
class Pending:
    """An event in the outbox, and which copy of it is being delivered since when."""

    event: CallEvent
    version: datetime
    claimed_by: MessageId | None
    claimed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Connection:
    """One client's socket."""

    id: ConnectionId
    user: UserId | None  # None until a Socket.IO client has authenticated
    wire: Wire
    connected_at: datetime
    expires_at: datetime
    is_open: bool = True  # False until a Socket.IO client has been posted its open packet
    # What a Socket.IO client's handshake showed: whose token, whose it was said to be, and why it
    # won't do. It counts once the client asks to be let in.
    shown_user: UserId | None = None
    claimed_user: str | None = None
    refusal: str | None = None
    served: SignalId | None = None  # the last event it was recorded to have


@dataclass(frozen=True, slots=True)
class Device:
    """One app installation that FCM reaches; `version` changes when it registers again."""

    id: DeviceId
    token: FcmToken
    platform: Platform
    expires_at: datetime
    version: datetime
    served: SignalId | None = None


def device_id(token: FcmToken) -> DeviceId:
    return DeviceId(sha256(token.encode()).hexdigest())


# What a document is, or None where it isn't there, has expired, or nobody can read it.


def connection_in(snapshot: Snapshot, now: datetime) -> Connection | None:
    found = _readable(snapshot, lambda fields: read_connection(snapshot.id, fields))
    return found if found and now < found.expires_at else None


def device_in(snapshot: Snapshot, now: datetime) -> Device | None:
    version = snapshot.update_time
    found = _readable(snapshot, lambda fields: read_device(snapshot.id, fields, version))
    return found if found and now < found.expires_at else None


def event_in(snapshot: Snapshot) -> CallEvent | None:
    return _readable(snapshot, read_outbox)


def pending_in(snapshot: Snapshot) -> Pending | None:
    event = event_in(snapshot)
    if event is None:
        return None
    fields = snapshot.to_dict() or {}
    return Pending(
        event=event,
        version=snapshot.update_time,
        claimed_by=fields.get("claimedBy"),
        claimed_at=fields.get("claimedAt"),
    )


def _readable(snapshot: Snapshot, read: Callable[[Fields], _Read]) -> _Read | None:
    if not snapshot.exists:
        return None
    try:
        return read(snapshot.to_dict() or {})
    except MalformedDocument as error:
        log.error("malformed document", collection=snapshot.reference.parent.id, error=str(error))
        return None


# The readers raise MalformedDocument.


def read_call(id: str, fields: Fields, version: datetime) -> StoredCall:
    signal = fields.get("signalId")
    call = Call(
        id=CallId(id),
        caller=UserId(_text(fields, "callerId")),
        receiver=UserId(_text(fields, "receiverId")),
        status=_member(Status, fields, "status"),
        signal_id=SignalId(signal) if isinstance(signal, str) else None,
    )
    return StoredCall(call, version)


def read_connection(id: str, fields: Fields) -> Connection:
    return Connection(
        id=ConnectionId(id),
        user=_user(fields, "userId"),
        wire=_member(Wire, fields, "wire"),
        connected_at=_moment(fields, "connectedAt"),
        expires_at=_moment(fields, "expiresAt"),
        is_open=fields.get("isOpen") is not False,
        shown_user=_user(fields, "shownUserId"),
        claimed_user=fields.get("claimedUserId"),
        refusal=fields.get("refusal"),
        served=fields.get("servedSignal"),
    )


def read_device(id: str, fields: Fields, version: datetime) -> Device:
    return Device(
        id=DeviceId(id),
        token=FcmToken(_text(fields, "token")),
        platform=_member(Platform, fields, "platform"),
        expires_at=_moment(fields, "expiresAt"),
        version=version,
        served=fields.get("servedSignal"),
    )


def read_outbox(fields: Fields) -> CallEvent:
    try:
        return from_fields(fields.get("event"))
    except ValueError as error:
        raise MalformedDocument(f"event: {error}") from error


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedDocument(f"{name} is no text")
    return value


def _user(fields: Fields, name: str) -> UserId | None:
    return UserId(_text(fields, name)) if name in fields else None


def _moment(fields: Fields, name: str) -> datetime:
    value = fields.get(name)
    if not isinstance(value, datetime):
        raise MalformedDocument(f"{name} is no timestamp")
    return value


def _member(kind: type[_Member], fields: Fields, name: str) -> _Member:
    try:
        return kind(_text(fields, name))
    except ValueError as error:
        raise MalformedDocument(f"{name}: {error}") from error
