"""What frames mean, on whichever wire they come or go."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from functions.calls.call import CallId, Status
from functions.calls.decision import Verdict
from functions.calls.event import CallEvent
from functions.calls.transitions import Signal
from functions.clients.device import FcmAddress, Platform

AckId = int | str


@dataclass(frozen=True, slots=True)
class RegisterDevice:
    """The phone that FCM reaches at this address is the sender's from now on."""

    address: FcmAddress
    platform: Platform
    app_id: str | None = None  # what the app calls the device


@dataclass(frozen=True, slots=True)
class UnregisterDevice:
    """The phone that FCM reaches at this address is to be forgotten, if it is the sender's."""

    address: FcmAddress


Request = Signal | RegisterDevice | UnregisterDevice


@dataclass(frozen=True, slots=True)
class RequestFrame:
    """A well-formed request; `ack` comes back in the reply, so that the client can pair them."""

    request: Request
    ack: AckId | None = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A frame that is no request we know; `field` and `message` say what is wrong with it."""

    field: str
    message: str
    ack: AckId | None = None


@dataclass(frozen=True, slots=True)
class Connect:
    """A Socket.IO client asks to be admitted to `namespace`, by its `token`, as `user`."""

    namespace: str
    token: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Goodbye:
    """A Socket.IO client ends its session; its socket is closed only if it asks for that."""

    closes_socket: bool = False


@dataclass(frozen=True, slots=True)
class Ping:
    """A heartbeat. What came with it goes back: a packet's payload, or the JSON wire's `id`."""

    payload: str = ""
    ack: AckId | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A Socket.IO packet that asks for nothing, or that makes no sense."""


Frame = RequestFrame | Malformed | Connect | Goodbye | Ping | Ignored


def reply_data(verdict: Verdict, call: CallId | None) -> dict[str, object]:
    """The `data` of a reply: always `ok` and `outcome`, the other fields if they have a value."""
    data: dict[str, object] = {"ok": verdict.ok, "outcome": verdict.outcome}
    if call is not None:
        data["callId"] = call
    if verdict.rings_until is not None:
        data["ringsUntil"] = unix_ms(verdict.rings_until)
    if verdict.field is not None:
        data["field"] = verdict.field
    if verdict.message is not None:
        data["message"] = verdict.message
    return data


def call_of(request: Request | None) -> CallId | None:
    """The call that a request is about, if it is about one."""
    return request.call_id if isinstance(request, Signal) else None


def unix_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def event_data(event: CallEvent) -> dict[str, object]:
    """The `data` of an event: `callId`, `timestamp` (Unix ms), and what is known of `reason` and
    `cause`. Of a ring also `callerId`, `ringsUntil` (Unix ms) and what the app passes on."""
    told: dict[str, object] = {
        "callId": event.call_id,
        "reason": event.reason,
        "cause": event.cause,
        "ringsUntil": event.rings_until_ms,
        "timestamp": event.timestamp,
    }
    known = {name: value for name, value in told.items() if value is not None}
    if event.status is not Status.RINGING:
        return known
    # Whatever it is, it is written as it came.
    passed_on = msgspec.json.decode(event.data or "{}", type=dict[str, msgspec.Raw])
    return {**passed_on, "callerId": event.caller_id, **known}
