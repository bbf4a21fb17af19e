"""What our Firestore documents hold: from the fields as read to the types we reason about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, NewType, TypeVar

from google.cloud.firestore import DocumentSnapshot

from functions.calls.call import (
    Call,
    CallId,
    ConnectionId,
    SignalId,
    Status,
    UserId,
    names_document,
)
from functions.calls.event import CallEvent, MalformedEvent, from_fields
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
class Entry:
    """An event in the outbox, who has it, and which copy of it is being delivered since when."""

    event: CallEvent
    created: datetime  # when Firestore committed it, and with it the call's new status
    version: datetime
    pending_since: datetime | None  # None once every recipient has been seen to
    served: frozenset[ConnectionId]
    pushed: frozenset[DeviceId]
    claimed_by: MessageId | None
    claimed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Connection:
    """One client's socket. Whose frames are on it, and who is told by it, are two questions: a
    client that has said goodbye is told nothing more, but what it sent before still counts."""

    id: ConnectionId
    user: UserId | None  # who is told; None until a Socket.IO client was admitted, or once it left
    wire: Wire
    connected_at: datetime
    expires_at: datetime
    is_open: bool = True  # False until a Socket.IO client has been posted its open packet
    # What a Socket.IO client's handshake showed: whose token, whose it was said to be, and why it
    # won't do. It counts once the client asks to be let in.
    shown_user: UserId | None = None
    claimed_user: str | None = None
    refusal: str | None = None
    owner: UserId | None = None  # who sends; None until a Socket.IO client was admitted
    former_owner: UserId | None = None  # who sent before the client was admitted again
    admitted_at: datetime | None = None  # when API Gateway got the CONNECT that admitted it
    closed_at: datetime | None = None  # since when nobody is told by it
    left_at: datetime | None = None  # when API Gateway got the packet by which it said goodbye
    version: datetime | None = field(default=None, compare=False)  # as it was read

    def sender(self, requested: datetime | None) -> UserId | None:
        """Whose a frame is that API Gateway got at `requested`; None: nobody's.

        A goodbye, and an admission, may be handled before a frame that was sent earlier, so the
        times decide. Where either is missing the frame counts, as it does after `$disconnect`, past
        which nobody sends.
        """
        if self.admitted_at and requested and requested < self.admitted_at:
            return self.former_owner
        if self.left_at and requested and requested > self.left_at:
            return None
        return self.owner


@dataclass(frozen=True, slots=True)
class Device:
    """One app installation that FCM reaches; `version` changes when it registers again."""

    id: DeviceId
    user: UserId
    token: FcmToken
    platform: Platform
    expires_at: datetime
    version: datetime


def device_id(token: FcmToken) -> DeviceId:
    return DeviceId(sha256(token.encode()).hexdigest())


# What a document is, or None where it isn't there, has expired, or nobody can read it.


def connection_in(snapshot: Snapshot, now: datetime) -> Connection | None:
    version = snapshot.update_time
    found = _readable(snapshot, lambda fields: read_connection(snapshot.id, fields, version))
    return found if found and now < found.expires_at else None


def device_in(snapshot: Snapshot, now: datetime) -> Device | None:
    version = snapshot.update_time
    found = _readable(snapshot, lambda fields: read_device(snapshot.id, fields, version))
    return found if found and now < found.expires_at else None


def call_in(snapshot: Snapshot) -> StoredCall | None:
    version = snapshot.update_time
    return _readable(snapshot, lambda fields: read_call(snapshot.id, fields, version))


def entry_in(snapshot: Snapshot) -> Entry | None:
    created, version = snapshot.create_time, snapshot.update_time
    return _readable(snapshot, lambda fields: read_entry(fields, created, version))


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
        # Whoever owns the calls may write there what he likes.
        signal_id=SignalId(signal) if isinstance(signal, str) and names_document(signal) else None,
        rings_until=_moment_if_any(fields, "ringsUntil"),
    )
    return StoredCall(call, version)


def read_connection(id: str, fields: Fields, version: datetime | None = None) -> Connection:
    user = _user(fields, "userId")
    return Connection(
        id=ConnectionId(id),
        user=user,
        wire=_member(Wire, fields, "wire"),
        connected_at=_moment(fields, "connectedAt"),
        expires_at=_moment(fields, "expiresAt"),
        is_open=fields.get("isOpen") is not False,
        shown_user=_user(fields, "shownUserId"),
        claimed_user=fields.get("claimedUserId"),
        refusal=fields.get("refusal"),
        owner=_user(fields, "owner") or user,
        former_owner=_user(fields, "formerOwner"),
        admitted_at=_moment_if_any(fields, "admittedAt"),
        closed_at=_moment_if_any(fields, "closedAt"),
        left_at=_moment_if_any(fields, "leftAt"),
        version=version,
    )


def read_device(id: str, fields: Fields, version: datetime) -> Device:
    return Device(
        id=DeviceId(id),
        user=UserId(_text(fields, "userId")),
        token=FcmToken(_text(fields, "token")),
        platform=_member(Platform, fields, "platform"),
        expires_at=_moment(fields, "expiresAt"),
        version=version,
    )


def read_entry(fields: Fields, created: datetime, version: datetime) -> Entry:
    try:
        event = from_fields(fields.get("event"))
    except MalformedEvent as error:
        raise MalformedDocument(f"event: {error}") from error
    return Entry(
        event=event,
        created=created,
        version=version,
        pending_since=_moment_if_any(fields, "pendingSince"),
        served=frozenset(map(ConnectionId, _texts(fields, "served"))),
        pushed=frozenset(map(DeviceId, _texts(fields, "pushed"))),
        claimed_by=fields.get("claimedBy"),
        claimed_at=_moment_if_any(fields, "claimedAt"),
    )


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


def _moment_if_any(fields: Fields, name: str) -> datetime | None:
    value = fields.get(name)
    return value if isinstance(value, datetime) else None


def _texts(fields: Fields, name: str) -> list[str]:
    values = fields.get(name)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _member(kind: type[_Member], fields: Fields, name: str) -> _Member:
    try:
        return kind(_text(fields, name))
    except ValueError as error:
        raise MalformedDocument(f"{name}: {error}") from error
