"""What frames mean, on whichever wire they come or go."""

import msgspec

from functions.calls.call import CallId, Status
from functions.calls.decision import Verdict
from functions.calls.event import CallEvent, Recipient, unix_ms
from functions.calls.ring import BUSY, Initiate
from functions.calls.transitions import Signal
from functions.clients.connection import ROOT
from functions.clients.device import FcmAddress, Platform
from functions.dialect.dialect import USUAL, Dialect

_RINGS = "the receiver is being told"

AckId = int | str


class RegisterDevice(msgspec.Struct, frozen=True):
    """The phone that FCM reaches at this address is the sender's from now on."""

    address: FcmAddress
    platform: Platform
    app_id: str | None = None  # what the app calls the device


class UnregisterDevice(msgspec.Struct, frozen=True):
    """The phone that FCM reaches at this address is to be forgotten, if it is the sender's."""

    address: FcmAddress


class Relay(msgspec.Struct, frozen=True):
    """The other party of a call is to hear an event of the app's own."""

    call_id: CallId
    event: str  # as the other party hears it
    data: str  # an object in JSON


Request = Signal | Initiate | RegisterDevice | UnregisterDevice | Relay


class RequestFrame(msgspec.Struct, frozen=True):
    """A well-formed request; `ack` comes back in the reply, so that the client can pair them. So do
    the `namespace` of a Socket.IO client, and the call's id as it was `asked` for."""

    request: Request
    ack: AckId | None = None
    namespace: str = ROOT
    asked: object = None  # None if it is as we have it


class Malformed(msgspec.Struct, frozen=True):
    """A frame that is no request we know; `field` and `message` say what is wrong with it."""

    field: str
    message: str
    ack: AckId | None = None
    namespace: str = ROOT
    of_initiate: bool = False


class Connect(msgspec.Struct, frozen=True):
    """A Socket.IO client asks to be admitted to `namespace`, by its `token`, as `user`; or by a
    ring token, `ring`, which counts before the other. It may say on which `device` it is."""

    namespace: str
    token: str | None = None
    user: str | None = None
    device: str | None = None
    ring: str | None = None


class Goodbye(msgspec.Struct, frozen=True):
    """A Socket.IO client ends its session; its socket is closed only if it asks for that."""

    closes_socket: bool = False
    namespace: str = ROOT


class Ping(msgspec.Struct, frozen=True):
    """A heartbeat. What came with it goes back: a packet's payload, or the JSON wire's `id`."""

    payload: str = ""
    ack: AckId | None = None


class Upgrade(msgspec.Struct, frozen=True):
    """A Socket.IO client that has polled until now goes on by this WebSocket."""


class Ignored(msgspec.Struct, frozen=True):
    """A Socket.IO packet that asks for nothing, or that makes no sense."""


class Unread(msgspec.Struct, frozen=True):
    """A frame of which nothing has been read but where its reply goes."""

    ack: AckId | None = None
    namespace: str = ROOT


Answerable = RequestFrame | Malformed
Frame = Answerable | Connect | Goodbye | Upgrade | Ping | Ignored


def reply_data(
    verdict: Verdict, call: object, dialect: Dialect = USUAL, *, of_initiate: bool = False
) -> dict[str, object]:
    """The `data` of a reply: always `ok` and `outcome`, the other fields if they have a value. The
    `call` is as its asker should read it. To `call:initiate` apps expect `success` and `message`
    too and, when it is refused, `error` and perhaps `busy`."""
    names = dialect.fields
    data: dict[str, object] = {names["ok"]: verdict.ok, names["outcome"]: verdict.outcome}
    if call is not None:
        data[names["callId"]] = call
    if verdict.rings_until is not None:
        data[names["ringsUntil"]] = unix_ms(verdict.rings_until)
    if verdict.field is not None:
        data[names["field"]] = verdict.field
    if verdict.message is not None:
        data[names["message"]] = verdict.message
    if of_initiate:
        said = verdict.message or (_RINGS if verdict.ok else verdict.outcome)
        more: dict[str, object] = {"success": verdict.ok, names["message"]: said}
        if not verdict.ok:
            more["error"] = said
        if verdict.outcome == BUSY.outcome:
            more["busy"] = True
        # What the dialect calls so is more than what most apps do.
        return {**more, **data}
    return data


def call_of(frame: Answerable | Unread | None) -> object:
    """The call that a frame is about, as it asked for it; None if it is about none."""
    if not isinstance(frame, RequestFrame):
        return None
    if not isinstance(frame.request, Signal | Initiate | Relay):
        return None
    return frame.request.call_id if frame.asked is None else frame.asked


def is_initiate(frame: Answerable | Unread | None) -> bool:
    """Whether the reply to a frame is as apps expect it to `call:initiate`."""
    if isinstance(frame, Malformed):
        return frame.of_initiate
    return isinstance(frame, RequestFrame) and isinstance(frame.request, Initiate)


def event_data(
    event: CallEvent, recipient: Recipient, dialect: Dialect = USUAL
) -> dict[str, object]:
    """The `data` of an event, as `recipient` is told it: `callId`, `timestamp` (Unix ms), and what
    is known of `reason` and `cause`. Of the end of a talk also `endedBy`; of a ring `callerId`,
    `ringsUntil` (Unix ms) and what the app passes on."""
    names, ids = dialect.fields, dialect.ids
    told: dict[str, object] = {
        names["callId"]: ids.call_out(event.call_id),
        names["reason"]: event.reason_for(recipient),
        names["cause"]: event.cause_for(recipient),
        names["endedBy"]: _ended_by(event, dialect),
        names["ringsUntil"]: event.rings_until_ms,
        names["timestamp"]: event.timestamp,
    }
    known = {name: value for name, value in told.items() if value is not None}
    if event.status is not Status.RINGING:
        return known
    # Whatever it is, it is written as it came.
    passed_on = msgspec.json.decode(event.data or "{}", type=dict[str, msgspec.Raw])
    return {**passed_on, names["callerId"]: ids.user_out(event.caller_id), **known}


def _ended_by(event: CallEvent, dialect: Dialect) -> object:
    """Who ended a talk, as clients are told it; None of all else."""
    if event.status is not Status.ENDED or event.by is None:
        return None
    return dialect.ids.user_out(event.by)
