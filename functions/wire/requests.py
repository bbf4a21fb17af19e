"""Makes a checked request of an event's name and data, the same for every wire."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec

from functions.calls.call import USER_ID_LIMIT, Actor, CallId, UserId, names_document
from functions.calls.ring import INITIATE, Initiate, Ring
from functions.calls.transitions import REASON_LIMIT, SIGNALS, Signal
from functions.clients.connection import ROOT
from functions.clients.device import FcmAddress, FcmToken, InstallationId, Platform
from functions.clients.profile import NAME_LIMIT
from functions.dialect.dialect import USUAL, Dialect, Ids, digits, is_reserved
from functions.readable import is_control, readable
from functions.wire.frames import (
    AckId,
    Malformed,
    RegisterDevice,
    Relay,
    Request,
    RequestFrame,
    UnregisterDevice,
)
from functions.wire.push import longest_ring_data, passed_on
from functions.wire.text import loads

CALL_ID_LIMIT = 128  # characters
DEVICE_LIMIT = 128  # characters of the app's name for a device
SHORTEST_RING, LONGEST_RING = 5, 120  # seconds
PASSED_ON_LIMIT = 3000  # bytes
RELAYED_LIMIT = 3000  # bytes, as JSON
_RELAYED_LEVELS = 100  # of objects and lists, as some clients fail to read a thousand
_PUSHED_LIMIT = 4000  # bytes of a ring's whole message, as JSON; FCM takes 4096
TOKEN_LIMIT = 4096  # characters; FCM names no limit, today's tokens have under 200

_Data = Mapping[str, Any]


class InvalidRequest(ValueError):
    """The request is malformed: `field` is what is wrong, and `message` says how."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def request_frame(
    event: object, data: object, ack: AckId | None, dialect: Dialect, namespace: str = ROOT
) -> RequestFrame | Malformed:
    """The frame by which a client sent `event` with `data`, or what is wrong with it."""
    try:
        request = parse(event, data, dialect)
    except InvalidRequest as error:
        of_initiate = names_initiate(event, dialect)
        return Malformed(error.field, error.message, ack, namespace, of_initiate)
    return RequestFrame(request, ack, namespace, asked_in(data, dialect))


def names_initiate(event: object, dialect: Dialect) -> bool:
    """Whether the app asks by this event that a call ring."""
    return isinstance(event, str) and dialect.events_in.get(event) == INITIATE


def asked_in(data: object, dialect: Dialect) -> object:
    """The id of a call as a request asks for it; None where it can be in but one form."""
    if dialect.ids.calls_are_usual or not isinstance(data, Mapping):
        return None
    return dialect.found_in(data, "callId")[1]


def parse(event: object, data: object, dialect: Dialect = USUAL) -> Request:
    """Checks what a client sent as event `event` with `data`. Raises InvalidRequest."""
    if event is None:
        raise InvalidRequest("event", "event is missing")
    if not isinstance(event, str):
        raise InvalidRequest("event", "event must be a string")
    if (read := _reader(event, dialect)) is None:
        known = ", ".join((*dialect.events_in, *dialect.relay))
        raise InvalidRequest("event", f"event must be one of {known}")
    if not isinstance(data, Mapping):
        raise InvalidRequest("data", "data must be an object")
    return read(data, dialect)


def _reader(event: str, dialect: Dialect) -> Callable[[_Data, Dialect], Request] | None:
    """What reads the data of `event`; None if we know no such event."""
    if (heard := dialect.relay.get(event)) is not None:
        return partial(_relay, heard)
    ours = dialect.events_in.get(event)
    return None if ours is None else _READERS[ours]


def _signal(name: str) -> Callable[[_Data, Dialect], Signal]:
    def read(data: _Data, dialect: Dialect) -> Signal:
        field, asked = dialect.found_in(data, "callId")
        _, reason = dialect.found_in(data, "reason")
        call = call_id_in(field, asked, dialect.ids)
        # No request is refused for its reason, nor for its device.
        _, device = dialect.found_in(data, "deviceId")
        by = Actor(device=device_in(device))
        return Signal(name, call, readable(reason, REASON_LIMIT), by)

    return read


# What an app says with `call:initiate` that is not for the receiver, or not as it stands there.
_NOT_PASSED_ON = ("callId", "receiverId", "ringSeconds", "deviceId", "callerId", "callerName")


def _initiate(data: _Data, dialect: Dialect) -> Initiate:
    field, asked = dialect.found_in(data, "callId")
    _, device = dialect.found_in(data, "deviceId")
    _, name = dialect.found_in(data, "callerName")
    ours = {each for field in _NOT_PASSED_ON for each in dialect.fields_in[field]}
    passed = {name: value for name, value in data.items() if name not in ours}
    if _is_nested(passed, _RELAYED_LEVELS):  # some clients fail to read a thousand
        raise InvalidRequest("data", "data is nested too deeply")
    return Initiate(
        call_id=None if asked is None else call_id_in(field, asked, dialect.ids),
        receiver=_receiver(data, dialect),
        seconds=_ring_seconds(*dialect.found_in(data, "ringSeconds")),
        data=_passed_on(passed, dialect) or "{}",
        caller_name=readable(name, NAME_LIMIT),
        by=Actor(device=device_in(device)),
    )


def _receiver(data: _Data, dialect: Dialect) -> UserId:
    field, id = dialect.found_in(data, "receiverId")
    return user_in({field: id}, field)


def _register(data: _Data, dialect: Dialect) -> RegisterDevice:
    address = _address(data, dialect)
    field, platform = dialect.found_in(data, "platform")
    if not isinstance(platform, str) or platform not in set(Platform):
        raise InvalidRequest(field, f"{field} must be one of {', '.join(Platform)}")
    field, app_id = dialect.found_in(data, "deviceId")
    named = _text(field, app_id, DEVICE_LIMIT) if app_id is not None else None
    return RegisterDevice(address, Platform(platform), named)


def _unregister(data: _Data, dialect: Dialect) -> UnregisterDevice:
    return UnregisterDevice(_address(data, dialect))


def _relay(heard: str, data: _Data, dialect: Dialect) -> Relay:
    field, asked = dialect.found_in(data, "callId")
    call = call_id_in(field, asked, dialect.ids)
    if _is_nested(data, _RELAYED_LEVELS):
        raise InvalidRequest("data", "data is nested too deeply")
    try:
        text = _as_json(data)
    except ValueError as error:
        raise InvalidRequest("data", "data has a number that is too large") from error
    if len(text.encode()) > RELAYED_LIMIT:
        raise InvalidRequest("data", f"data must have at most {RELAYED_LIMIT} bytes")
    return Relay(call, heard, text)


def _is_nested(value: object, levels: int) -> bool:
    """Whether `value` has more than so many levels of objects and lists."""
    if not isinstance(value, Mapping | list):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return not levels or any(_is_nested(each, levels - 1) for each in inner)


_READERS: Mapping[str, Callable[[_Data, Dialect], Request]] = MappingProxyType(
    {
        INITIATE: _initiate,
        **{name: _signal(name) for name in SIGNALS},
        "device:register": _register,
        "device:unregister": _unregister,
    }
)


def user_in(data: _Data, field: str = "userId") -> UserId:
    """The user whom a backend names. An id that is a number counts as its digits. Raises
    InvalidRequest."""
    return UserId(_text(field, with_digits(data, field)[field], USER_ID_LIMIT))


def with_digits(data: _Data, field: str) -> _Data:
    """The same with its digits in the place of an id that is a number. Raises InvalidRequest."""
    value = digits(data.get(field))
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(field, f"{field} must be a string or a whole number of 64 bits")
    return {**data, field: value}


def call_id_in(field: str, asked: object, ids: Ids) -> CallId:
    """The call that is asked for in `field`. Raises InvalidRequest."""
    call_id = _text(field, ids.call_in(asked), CALL_ID_LIMIT)
    if not names_document(call_id):
        message = f"{field} must not contain a slash, nor be '.', '..' or of the form '__…__'"
        raise InvalidRequest(field, message)
    return CallId(call_id)


def ring_in(call: str, data: _Data, longest: int, dialect: Dialect = USUAL) -> Ring:
    """The ring that a backend asks for; one that is to be longer than `longest`, in seconds, is as
    long. Raises InvalidRequest, also for what would be too long for a message of FCM's."""
    seconds = _ring_seconds("ringSeconds", data.get("ringSeconds"))
    passed = data.get("data")
    if isinstance(passed, Mapping):
        for name in filter(is_reserved, passed):
            raise InvalidRequest("data", f"data must have no field {name!r}: FCM takes none")
    ring = Ring(
        call_id=call_id_in("callId", call, dialect.ids),
        caller=user_in(data, "callerId"),
        receiver=user_in(data, "receiverId"),
        seconds=min(seconds or longest, longest),
        data=None if passed is None else _passed_on(passed, dialect),
        is_told=_is_told(data.get("ring")),
    )
    return _pushable(ring, dialect)


def ring_of(
    asked: Initiate, caller: UserId, name: str | None, longest: int, dialect: Dialect = USUAL
) -> Ring:
    """The ring that a caller asks for, under the name that his identity has, if it has one. Raises
    InvalidRequest for what would be too long for a message of FCM's."""
    assert asked.call_id is not None  # noqa: S101 - whoever took the request has made one
    # An app may rely on its being there, though nobody knows it.
    shown = name or asked.caller_name or ""
    data = {**loads(asked.data), dialect.fields["callerName"]: shown}
    ring = Ring(
        call_id=asked.call_id,
        caller=caller,
        receiver=asked.receiver,
        seconds=min(asked.seconds or longest, longest),
        data=_as_json(data),
        is_told=True,
        by=asked.by,
        is_initiated=True,
    )
    return _pushable(ring, dialect)


def with_call_id(frame: RequestFrame, make: Callable[[], str], ids: Ids) -> RequestFrame:
    """The same with an id for a call whose app has left it to us."""
    if not isinstance(frame.request, Initiate) or frame.request.call_id is not None:
        return frame
    id = CallId(str(ids.call_in(make())))
    asked = None if ids.calls_are_usual else ids.call_out(id)
    initiate = replace(frame.request, call_id=id)
    return msgspec.structs.replace(frame, request=initiate, asked=asked)


def _pushable(ring: Ring, dialect: Dialect) -> Ring:
    pushed = longest_ring_data(ring.call_id, ring.caller, ring.receiver, ring.data, dialect)
    if len(msgspec.json.encode(pushed)) > _PUSHED_LIMIT:
        raise InvalidRequest("data", "data and the ids are too long together to be pushed")
    return ring


def _ring_seconds(field: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, int) or not is_number or not SHORTEST_RING <= value <= LONGEST_RING:
        message = f"{field} must be a whole number from {SHORTEST_RING} to {LONGEST_RING}"
        raise InvalidRequest(field, message)
    return value


def _is_told(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return value is not False
    raise InvalidRequest("ring", "ring must be true or false")


def _passed_on(value: object, dialect: Dialect) -> str | None:
    """What the app passes on, as JSON; it is measured as a message by FCM would carry it."""
    if not isinstance(value, Mapping):
        raise InvalidRequest("data", "data must be an object")
    try:
        text = _as_json(value)
        carried = msgspec.json.encode(passed_on(text, dialect))
    except RecursionError as error:
        raise InvalidRequest("data", "data is nested too deeply") from error
    except ValueError as error:
        raise InvalidRequest("data", "data has a number that is too large") from error
    if len(carried) > PASSED_ON_LIMIT:
        raise InvalidRequest("data", f"data must have at most {PASSED_ON_LIMIT} bytes")
    return text if value else None


def _as_json(value: _Data) -> str:
    """What somebody passes on, in UTF-8. A half of a character becomes a question mark, as no wire
    can carry it on. Raises ValueError for a number that is too large, and RecursionError."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="replace").decode()


def _address(data: _Data, dialect: Dialect) -> FcmAddress:
    token_field, token = dialect.found_in(data, "token")
    fid_field, fid = dialect.found_in(data, "fid")
    if fid is None:
        return FcmToken(_text(token_field, token, TOKEN_LIMIT))
    if token is not None:
        message = f"a device has a {token_field} or a {fid_field}, not both"
        raise InvalidRequest(fid_field, message)
    return InstallationId(_text(fid_field, fid, TOKEN_LIMIT))


def _text(field: str, value: object, limit: int) -> str:
    if value is None:
        raise InvalidRequest(field, f"{field} is missing")
    if not isinstance(value, str):
        raise InvalidRequest(field, f"{field} must be a string")
    if not value:
        raise InvalidRequest(field, f"{field} must not be empty")
    if len(value) > limit:
        raise InvalidRequest(field, f"{field} must have at most {limit} characters")
    if any(map(is_control, value)):
        raise InvalidRequest(field, f"{field} must not contain control characters")
    return value


def device_in(named: object) -> str | None:
    """The device that an app names; None also for what is no name of one."""
    try:
        return _text("deviceId", named, DEVICE_LIMIT)
    except InvalidRequest:
        return None
