"""Makes a checked request of an event's name and data, the same for every wire."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from functions.calls.call import USER_ID_LIMIT, CallId, UserId, names_document
from functions.calls.ring import Ring
from functions.calls.transitions import REASON_LIMIT, SIGNALS, Signal
from functions.clients.device import FcmAddress, FcmToken, InstallationId, Platform
from functions.readable import is_control, readable
from functions.wire.frames import RegisterDevice, Request, UnregisterDevice
from functions.wire.push import is_reserved, texts

CALL_ID_LIMIT = 128  # characters
DEVICE_LIMIT = 128  # characters of the app's name for a device
SHORTEST_RING, LONGEST_RING = 5, 120  # seconds
PASSED_ON_LIMIT = 3000  # bytes
_PUSHED_LIMIT = 3900  # with the ids; FCM takes 4096 in all, names and type included
_MOST = 2**63  # of a whole number: no database has larger ids
TOKEN_LIMIT = 4096  # characters; FCM names no limit, today's tokens have under 200

_Data = Mapping[str, Any]


class InvalidRequest(ValueError):
    """The request is malformed: `field` is what is wrong, and `message` says how."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def parse(event: object, data: object) -> Request:
    """Checks what a client sent as event `event` with `data`. Raises InvalidRequest."""
    if event is None:
        raise InvalidRequest("event", "event is missing")
    if not isinstance(event, str):
        raise InvalidRequest("event", "event must be a string")
    reader = _READERS.get(event)
    if reader is None:
        raise InvalidRequest("event", f"event must be one of {', '.join(_READERS)}")
    if not isinstance(data, Mapping):
        raise InvalidRequest("data", "data must be an object")
    return reader(data)


def _signal(name: str) -> Callable[[_Data], Signal]:
    def read(data: _Data) -> Signal:
        return Signal(name, _call_id(data), _reason(data), _device(data))

    return read


def _register(data: _Data) -> RegisterDevice:
    address, platform = _address(data), data.get("platform")
    if not isinstance(platform, str) or platform not in set(Platform):
        raise InvalidRequest("platform", f"platform must be one of {', '.join(Platform)}")
    is_named = data.get("deviceId") is not None
    app_id = _text(data, "deviceId", DEVICE_LIMIT) if is_named else None
    return RegisterDevice(address, Platform(platform), app_id)


def _unregister(data: _Data) -> UnregisterDevice:
    return UnregisterDevice(_address(data))


_READERS: Mapping[str, Callable[[_Data], Request]] = MappingProxyType(
    {
        **{name: _signal(name) for name in SIGNALS},
        "device:register": _register,
        "device:unregister": _unregister,
    }
)


def user_in(data: _Data, field: str = "userId") -> UserId:
    """The user whom a backend names. An id that is a number counts as its digits. Raises
    InvalidRequest."""
    return UserId(_text(with_digits(data, field), field, USER_ID_LIMIT))


def with_digits(data: _Data, field: str) -> _Data:
    """The same with its digits in the place of an id that is a number. Raises InvalidRequest."""
    value = data.get(field)
    if isinstance(value, float) and value.is_integer():  # JSON's 7.0 is 7
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -_MOST <= value < _MOST:
        return {**data, field: str(value)}
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(field, f"{field} must be a string or a whole number of 64 bits")
    return data


def ring_in(call: str, data: _Data, longest: int) -> Ring:
    """The ring that a backend asks for; one that is to be longer than `longest`, in seconds, is as
    long. Raises InvalidRequest."""
    ring = Ring(
        call_id=_call_id({"callId": call}),
        caller=user_in(data, "callerId"),
        receiver=user_in(data, "receiverId"),
        seconds=_ring_seconds(data.get("ringSeconds"), longest),
        data=_passed_on(data.get("data")),
        is_told=_is_told(data.get("ring")),
    )
    ids = len(ring.call_id.encode()) + len(ring.caller.encode())
    if ids + len(ring.data or "") > _PUSHED_LIMIT:
        raise InvalidRequest("data", "data and the ids are too long together to be pushed")
    return ring


def _ring_seconds(value: object, longest: int) -> int:
    if value is None:
        return longest
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, int) or not is_number or not SHORTEST_RING <= value <= LONGEST_RING:
        message = f"ringSeconds must be a whole number from {SHORTEST_RING} to {LONGEST_RING}"
        raise InvalidRequest("ringSeconds", message)
    return min(value, longest)


def _is_told(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return value is not False
    raise InvalidRequest("ring", "ring must be true or false")


def _passed_on(value: object) -> str | None:
    """What the app passes on, as JSON; it is measured as a message by FCM would carry it."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidRequest("data", "data must be an object")
    for name in filter(is_reserved, value):
        raise InvalidRequest("data", f"data must have no field {name!r}: FCM takes none")
    try:
        # A half of a character becomes a question mark, as no wire can carry it on.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text = text.encode(errors="replace").decode()
        carried = msgspec.json.encode(texts(text))
    except RecursionError as error:
        raise InvalidRequest("data", "data is nested too deeply") from error
    except ValueError as error:
        raise InvalidRequest("data", "data has a number that is too large") from error
    if len(carried) > PASSED_ON_LIMIT:
        raise InvalidRequest("data", f"data must have at most {PASSED_ON_LIMIT} bytes")
    return text if value else None


def _call_id(data: _Data) -> CallId:
    call_id = _text(data, "callId", CALL_ID_LIMIT)
    if not names_document(call_id):
        message = "callId must not contain a slash, nor be '.', '..' or of the form '__…__'"
        raise InvalidRequest("callId", message)
    return CallId(call_id)


def _address(data: _Data) -> FcmAddress:
    if data.get("fid") is None:
        return FcmToken(_text(data, "token", TOKEN_LIMIT))
    if data.get("token") is not None:
        raise InvalidRequest("fid", "a device has a token or a fid, not both")
    return InstallationId(_text(data, "fid", TOKEN_LIMIT))


def _text(data: _Data, field: str, limit: int) -> str:
    if data.get(field) is None:
        raise InvalidRequest(field, f"{field} is missing")
    value = data[field]
    if not isinstance(value, str):
        raise InvalidRequest(field, f"{field} must be a string")
    if not value:
        raise InvalidRequest(field, f"{field} must not be empty")
    if len(value) > limit:
        raise InvalidRequest(field, f"{field} must have at most {limit} characters")
    if any(map(is_control, value)):
        raise InvalidRequest(field, f"{field} must not contain control characters")
    return value


def _reason(data: _Data) -> str | None:
    """The reason as the other party may read it. No request is refused for its reason."""
    return readable(data.get("reason"), REASON_LIMIT)


def _device(data: _Data) -> str | None:
    """The device on which the user acts. No request is refused for its device either."""
    try:
        return _text(data, "deviceId", DEVICE_LIMIT)
    except InvalidRequest:
        return None
