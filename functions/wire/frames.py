"""What frames mean, on whichever wire they come or go."""

from dataclasses import dataclass

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


def reply_data(verdict: Verdict, request: Request | None) -> dict[str, object]:
    """The `data` of a reply: always `ok` and `outcome`, the other fields if they have a value."""
    data: dict[str, object] = {"ok": verdict.ok, "outcome": verdict.outcome}
    if isinstance(request, Signal):
        data["callId"] = request.call_id
    if verdict.field is not None:
        data["field"] = verdict.field
    if verdict.message is not None:
        data["message"] = verdict.message
    return data


def event_data(event: CallEvent) -> dict[str, object]:
    """The `data` of an event: `callId`, `reason` and `timestamp` (Unix ms)."""
    return {"callId": event.call_id, "reason": event.reason, "timestamp": event.timestamp}
