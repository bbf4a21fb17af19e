"""Reads Firestore's documents: makes the core's types of their fields."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from functions.calls.call import (
    Actor,
    Call,
    CallId,
    Cause,
    ConnectionId,
    SignalId,
    Status,
    UserId,
    names_document,
)
from functions.calls.event import MalformedEvent, from_fields
from functions.clients.connection import ROOT, BegunRing, Connection, Wire
from functions.clients.device import (
    Device,
    DeviceId,
    FcmAddress,
    FcmToken,
    InstallationId,
    Platform,
)
from functions.clients.poll import Poll
from functions.clients.profile import NO_PROFILE, Profile
from functions.dialect.dialect import Dialect
from functions.ports.store import Birth, Entry, StoredCall
from functions.services.firestore.values import Snapshot
from functions.telemetry import Log

# By this field a call is known to be ours. An `expiresAt` may be the app's own.
EXPIRES_AT = "unringExpiresAt"
# While a call of ours rings, the same as its `ringsUntil`, which may be the app's own elsewhere: by
# this field `sweep` finds the rings whose time is over.
RINGS_UNTIL = "unringRingsUntil"

Fields = Mapping[str, Any]
_Member = TypeVar("_Member", bound=StrEnum)
_Read = TypeVar("_Read")
_Expiring = TypeVar("_Expiring", Connection, Device)

log = Log(__name__)


class MalformedDocument(ValueError):
    """A field is missing or wrong; only the document's writer can mend that."""


# Each of these gives None if the document is not there, has expired or can't be read.


def connection_in(snapshot: Snapshot | None, now: datetime) -> Connection | None:
    if snapshot is None or _is_only_closed(snapshot):
        return None
    return _unexpired(
        _readable(snapshot, lambda of: read_connection(of.id, of.fields, of.version)), now
    )


def device_in(snapshot: Snapshot | None, now: datetime) -> Device | None:
    return _unexpired(
        _readable(snapshot, lambda of: read_device(of.id, of.fields, of.version)), now
    )


def call_in(snapshot: Snapshot | None, dialect: Dialect) -> StoredCall | None:
    return _readable(
        snapshot, lambda of: read_call(of.id, dialect.call_read(of.fields), of.version)
    )


def entry_in(snapshot: Snapshot | None) -> Entry | None:
    return _readable(snapshot, lambda of: read_entry(of.fields, of.created, of.version))


def poll_in(snapshot: Snapshot | None) -> Poll | None:
    return _readable(snapshot, lambda of: read_poll(of.id, of.fields, of.version))


def birth_in(snapshot: Snapshot | None) -> Birth | None:
    return _readable(snapshot, lambda of: read_birth(of.fields, of.version))


def _is_only_closed(snapshot: Snapshot) -> bool:
    """Whether a `$disconnect` made the document, as it was handled before the `$connect` or after
    the connection had been deleted."""
    return "closedAt" in snapshot.fields and "wire" not in snapshot.fields


def _readable(snapshot: Snapshot | None, read: Callable[[Snapshot], _Read]) -> _Read | None:
    if snapshot is None:
        return None
    try:
        return read(snapshot)
    except MalformedDocument as error:
        collection = snapshot.reference.collection
        log.error("malformed document", collection=collection, error=str(error))
        return None


def _unexpired(found: _Expiring | None, now: datetime) -> _Expiring | None:
    return found if found and now < found.expires_at else None


# The readers raise MalformedDocument.


def read_call(id: str, fields: Fields, version: datetime) -> StoredCall:
    signal = fields.get("signalId")
    call = Call(
        id=CallId(id),
        caller=UserId(_text(fields, "callerId")),
        receiver=UserId(_text(fields, "receiverId")),
        status=_member(Status, fields, "status"),
        # The app's backend may write anything into this field.
        signal_id=SignalId(signal) if isinstance(signal, str) and names_document(signal) else None,
        rings_until=_moment_if_any(fields, "ringsUntil"),
        cause=_member_if_any(Cause, fields, "cause"),
        answered_at=_moment_if_any(fields, "answeredAt"),
        ended_at=_moment_if_any(fields, "endedAt"),
        answered_on=Actor(
            connection=_connection_if_any(fields, "answeredOnConnection"),
            device=_text_if_any(fields, "answeredOn"),
            registration=_text_if_any(fields, "answeredOnRegistration"),
        ),
        is_ours=EXPIRES_AT in fields,
        data=_text_if_any(fields, "data"),
        ring_seconds=seconds if isinstance(seconds := fields.get("ringSeconds"), int) else None,
    )
    return StoredCall(call, version)


def read_connection(id: str, fields: Fields, version: datetime | None = None) -> Connection:
    return Connection(
        id=ConnectionId(id),
        user=_user(fields, "userId"),
        wire=_member(Wire, fields, "wire"),
        connected_at=_moment(fields, "connectedAt"),
        expires_at=_moment(fields, "expiresAt"),
        is_open=fields.get("isOpen") is not False,
        shown_user=_user(fields, "shownUserId"),
        shown_profile=_profile(fields, "shownProfile"),
        said_user=fields.get("saidUserId"),
        refusal=fields.get("refusal"),
        namespace=fields.get("namespace") or ROOT,
        also_in=_moments(fields, "alsoIn"),
        owner=_user(fields, "owner"),
        profile=_profile(fields, "profile"),
        former_owner=_user(fields, "formerOwner"),
        former_left_at=_moment_if_any(fields, "formerLeftAt"),
        admitted_at=_moment_if_any(fields, "admittedAt"),
        closed_at=_moment_if_any(fields, "closedAt"),
        left_at=_moment_if_any(fields, "leftAt"),
        admit_by=_moment_if_any(fields, "admitBy"),
        device=_text_if_any(fields, "deviceId"),
        registration=_text_if_any(fields, "registration"),
        calling=_calling(fields),
        only_call=CallId(_text(fields, "onlyCall")) if "onlyCall" in fields else None,
        upgrades=_connection_if_any(fields, "upgrades"),
        upgraded_from=_connection_if_any(fields, "upgradedFrom"),
        upgraded_to=_connection_if_any(fields, "upgradedTo"),
        upgrade_id=_text_if_any(fields, "upgradeId"),
        told_since=_moment_if_any(fields, "toldSince"),
        version=version,
    )


def read_poll(id: str, fields: Fields, version: datetime) -> Poll:
    return Poll(
        id=ConnectionId(id),
        wire=_member(Wire, fields, "wire"),
        packets=_packets(fields),
        expires_at=_moment(fields, "expiresAt"),
        ends_at=_moment(fields, "endsAt"),
        proof=_text(fields, "proof"),
        shown=_text_if_any(fields, "shown"),
        asked=_text_if_any(fields, "asked"),
        upgraded_by=_connection_if_any(fields, "upgradedBy"),
        is_closed=fields.get("isClosed") is True,
        taken_by=_text_if_any(fields, "takenBy"),
        given=_texts(fields, "given"),
        version=version,
    )


def read_birth(fields: Fields, version: datetime) -> Birth:
    return Birth(fields.get("isCancelled") is True, _moment(fields, "expiresAt"), version)


def read_device(id: str, fields: Fields, version: datetime) -> Device:
    return Device(
        id=DeviceId(id),
        user=UserId(_text(fields, "userId")),
        address=_address(fields),
        platform=_member(Platform, fields, "platform"),
        expires_at=_moment(fields, "expiresAt"),
        version=version,
        registered_at=_moment_if_any(fields, "registeredAt"),
        app_id=_text_if_any(fields, "deviceId"),
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


def _text_if_any(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _address(fields: Fields) -> FcmAddress:
    return (
        InstallationId(_text(fields, "fid"))
        if "fid" in fields
        else FcmToken(_text(fields, "token"))
    )


def _user(fields: Fields, name: str) -> UserId | None:
    return UserId(_text(fields, name)) if name in fields else None


def _profile(fields: Fields, name: str) -> Profile:
    """None of it may make a connection unreadable: its user would be told nothing."""
    value = fields.get(name)
    return Profile.of(value.get("name")) if isinstance(value, Mapping) else NO_PROFILE


def _moment(fields: Fields, name: str) -> datetime:
    value = fields.get(name)
    if not isinstance(value, datetime):
        raise MalformedDocument(f"{name} is no timestamp")
    return value


def _connection_if_any(fields: Fields, name: str) -> ConnectionId | None:
    id = _text_if_any(fields, name)
    return None if id is None else ConnectionId(id)


def _moment_if_any(fields: Fields, name: str) -> datetime | None:
    value = fields.get(name)
    return value if isinstance(value, datetime) else None


def _calling(fields: Fields) -> Mapping[CallId, BegunRing]:
    found = fields.get("calling")
    calls = found if isinstance(found, Mapping) else {}
    return {CallId(id): ring for id, each in calls.items() if (ring := _begun_ring(each))}


def _begun_ring(value: object) -> BegunRing | None:
    match value:
        case {"signalId": str(signal), "ringsUntil": datetime() as ends}:
            return BegunRing(SignalId(signal), ends)
        case _:
            return None


def _moments(fields: Fields, name: str) -> Mapping[str, datetime | None]:
    """The moments of a map, None where one is not known."""
    found = fields.get(name) or {}
    return {each: _moment_if_any(found, each) for each in found}


def _packets(fields: Fields) -> list[str]:
    waiting = fields.get("packets", [])
    if not isinstance(waiting, list) or not all(isinstance(each, Mapping) for each in waiting):
        raise MalformedDocument("packets is no list of maps")
    return [_text(each, "packet") for each in waiting]


def _texts(fields: Fields, name: str) -> list[str]:
    values = fields.get(name)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _member(kind: type[_Member], fields: Fields, name: str) -> _Member:
    value = _text(fields, name)
    try:
        return kind(value)
    except ValueError as error:
        raise MalformedDocument(f"{name}: {error}") from error


def _member_if_any(kind: type[_Member], fields: Fields, name: str) -> _Member | None:
    """None also for what the app's backend may have written there."""
    value = _text_if_any(fields, name)
    return kind(value) if value in set(kind) else None
