"""What FCM HTTP v1 accepts as a request to send. Pure.

Fields are those of the API's discovery document, revision 20230929, and what firebase_admin 7.7.0
sends besides (`fid`, `live_activity_token`, …); like all of Google's JSON they may be written in
snake_case or camelCase. Limits are those of
https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_PAYLOAD_BYTES = 4096
MAX_TOPIC_PAYLOAD_BYTES = 2048
MAX_TTL_SECONDS = 4 * 7 * 24 * 3600

_TARGETS = ("token", "fid", "topic", "condition")
_TOPIC = re.compile(r"[A-Za-z0-9_.~%-]+")
_CONDITION = re.compile(r"(?:\s|\(|\)|!|&&|\|\||'[A-Za-z0-9_.~%-]+'\s+in\s+topics)+")
_MAX_CONDITION_TOPICS = 5
_RESERVED_KEYS = ("from", "message_type")
_RESERVED_PREFIXES = ("google", "gcm")
_DURATION = re.compile(r"-?\d{1,12}(?:\.\d{1,9})?s")
_LABEL = re.compile(r"[A-Za-z0-9_.~%-]{1,50}")


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong, as google.rpc.BadRequest says it; `field` may be empty."""

    field: str
    description: str


class InvalidMessage(ValueError):
    """FCM answers this request with 400 INVALID_ARGUMENT.

    `by_fcm` tells a message that FCM itself refused, which its answer marks with an FcmError, from
    JSON that was no such message to begin with.
    """

    def __init__(self, violations: Iterable[Violation], *, by_fcm: bool) -> None:
        self.violations = tuple(violations)
        self.by_fcm = by_fcm
        super().__init__("\n".join(each.description for each in self.violations))


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A valid request. `message` is the client's own object, untouched."""

    message: Mapping[str, Any]
    device: str | None
    """The registration token or Firebase installation id; None for a topic or condition."""
    validate_only: bool


def parse(body: bytes) -> SendRequest:
    """Raises InvalidMessage unless FCM would take this body of messages:send."""
    try:
        request = json.loads(body, parse_constant=_no_constant)
        # Half of a surrogate pair is JSON to Python but not to Google.
        json.dumps(request, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        text = "Invalid JSON payload received. Unexpected token."
        raise InvalidMessage([Violation("", text)], by_fcm=False) from error
    if wrong := list(_REQUEST(request, "")):
        raise InvalidMessage(wrong, by_fcm=False)
    message = request.get("message")
    if message is None:
        raise InvalidMessage([Violation("message", "The message is not set.")], by_fcm=True)
    targets = [name for name in _TARGETS if message.get(name) is not None]
    if len(targets) > 1:
        text = f"oneof field 'target' is already set. Cannot set '{targets[1]}'"
        wrong = [Violation("message", f"Invalid value at 'message' (oneof), {text}")]
        raise InvalidMessage(wrong, by_fcm=False)
    if wrong := list(_refusals(message)):
        raise InvalidMessage(wrong, by_fcm=True)
    device = message.get("token") or message.get("fid")
    return SendRequest(message, device, bool(_get(request, "validate_only")))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _refusals(message: Mapping[str, Any]) -> Iterator[Violation]:
    """What FCM has against a message whose JSON is in order."""
    yield from _target_refusals(message)
    android = message.get("android") or {}
    apns = message.get("apns") or {}
    webpush = message.get("webpush") or {}
    payloads = {
        "message.data": message.get("data") or {},
        "message.android.data": android.get("data") or {},
        "message.webpush.data": webpush.get("data") or {},
    }
    for path, data in payloads.items():
        for key in data:
            if key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
                yield Violation(path, f"Invalid data payload key: {key}")
    limit = MAX_TOPIC_PAYLOAD_BYTES if message.get("topic") else MAX_PAYLOAD_BYTES
    notification = message.get("notification") or {}
    biggest = max(map(_size, payloads.values())) + _size(notification)
    apple = len(json.dumps(apns.get("payload") or {}, separators=(",", ":")).encode())
    if max(biggest, apple) > limit:
        yield Violation("message", f"Message is too large. The maximum is {limit} bytes.")
    ttl = android.get("ttl")
    if ttl is not None and not 0 <= float(ttl[:-1]) <= MAX_TTL_SECONDS:
        yield Violation("message.android.ttl", f"The ttl is not between 0 and {MAX_TTL_SECONDS}s.")
    for path, owner in (("", message), (".android", android), (".apns", apns)):
        label = _get(_get(owner, "fcm_options") or {}, "analytics_label")
        if label is not None and not _LABEL.fullmatch(label):
            path = f"message{path}.fcm_options.analytics_label"
            yield Violation(path, f"Invalid analytics label: {label}")
    link = _get(_get(webpush, "fcm_options") or {}, "link")
    if link and not link.startswith("https://"):
        yield Violation("message.webpush.fcm_options.link", "The link must use HTTPS.")


def _target_refusals(message: Mapping[str, Any]) -> Iterator[Violation]:
    token, fid, topic, condition = (message.get(name) for name in _TARGETS)
    if not (token or fid or topic or condition):
        yield Violation("message", "Recipient of the message is not set.")
    if topic and not _TOPIC.fullmatch(topic):
        yield Violation("message.topic", f"Invalid topic name: {topic}")
    if condition and not _CONDITION.fullmatch(condition):
        yield Violation("message.condition", "Invalid condition expression provided.")
    if condition and condition.count(" in ") > _MAX_CONDITION_TOPICS:
        yield Violation("message.condition", "A condition names at most five topics.")


def _size(data: Mapping[str, Any]) -> int:
    """Bytes of all keys and all values."""
    texts = [*data, *(value for value in data.values() if isinstance(value, str))]
    return sum(len(text.encode()) for text in texts)


def _get(owner: Mapping[str, Any], name: str) -> Any:
    """A field of a checked object, in whichever of its two spellings it came."""
    value = owner.get(name)
    return owner.get(_camel(name)) if value is None else value


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


# Kinds of values: each yields what is wrong with a value found at a path.
_Kind = Callable[[object, str], Iterator[Violation]]


def _mistyped(value: object, path: str, expected: str) -> Violation:
    # An object is not repeated in the answer, a scalar is.
    shown = "" if isinstance(value, dict | list) else f", {json.dumps(value)}"
    return Violation(path, f"Invalid value at '{path}' ({expected}){shown}")


def _scalar(expected: str, fits: Callable[[object], bool]) -> _Kind:
    """Anything that `fits`; `expected` is what Google's answer calls it."""

    def check(value: object, path: str) -> Iterator[Violation]:
        if not fits(value):
            yield _mistyped(value, path, expected)

    return check


def _one_of(name: str, *values: str) -> _Kind:
    """An enum; Google's JSON takes its values in any case, and the SDKs send "high"."""
    return _scalar(
        f"type.googleapis.com/google.firebase.fcm.v1.{name}",
        lambda value: isinstance(value, str) and value.upper() in values,
    )


_text = _scalar("TYPE_STRING", lambda value: isinstance(value, str))
_flag = _scalar("TYPE_BOOL", lambda value: isinstance(value, bool))
_int32 = _scalar("TYPE_INT32", lambda value: type(value) is int and -(2**31) <= value < 2**31)
_float = _scalar("TYPE_FLOAT", lambda value: type(value) in (int, float))
_duration = _scalar(
    "type.googleapis.com/google.protobuf.Duration",
    lambda value: isinstance(value, str) and _DURATION.fullmatch(value) is not None,
)
_any_object = _scalar(
    "type.googleapis.com/google.protobuf.Struct", lambda value: isinstance(value, dict)
)


def _list_of(kind: _Kind) -> _Kind:
    def check(value: object, path: str) -> Iterator[Violation]:
        if not isinstance(value, list):
            yield _mistyped(value, path, "repeated")
            return
        for index, item in enumerate(value):
            yield from kind(item, f"{path}[{index}]")

    return check


def _texts_by_key(value: object, path: str) -> Iterator[Violation]:
    if not isinstance(value, dict):
        yield _mistyped(value, path, "map")
        return
    for index, item in enumerate(value.values()):
        yield from _text(item, f"{path}[{index}].value")


def _object(texts: str = "", **others: _Kind) -> _Kind:
    """A message; `texts` are the names of its text fields, separated by spaces."""
    fields = {**dict.fromkeys(texts.split(), _text), **others}
    spelled = {spelling: name for name in fields for spelling in (name, _camel(name))}

    def check(value: object, path: str) -> Iterator[Violation]:
        if not isinstance(value, dict):
            yield _mistyped(value, path, "message")
            return
        for key, item in value.items():
            if key not in spelled:
                place = f" at '{path}'" if path else ""
                text = f"Unknown name {json.dumps(key)}{place}: Cannot find field."
                yield Violation(path, f"Invalid JSON payload received. {text}")
            elif item is not None:  # null is a field left out
                name = spelled[key]
                yield from fields[name](item, f"{path}.{name}" if path else name)

    return check


_NOTIFICATION = _object("title body image")
_COLOR = _object(red=_float, green=_float, blue=_float, alpha=_float)
_ANDROID_NOTIFICATION = _object(
    "title body icon color sound tag click_action body_loc_key title_loc_key channel_id ticker"
    " event_time image",
    body_loc_args=_list_of(_text),
    title_loc_args=_list_of(_text),
    sticky=_flag,
    local_only=_flag,
    notification_priority=_one_of(
        "AndroidNotification.NotificationPriority",
        "PRIORITY_UNSPECIFIED",
        "PRIORITY_MIN",
        "PRIORITY_LOW",
        "PRIORITY_DEFAULT",
        "PRIORITY_HIGH",
        "PRIORITY_MAX",
    ),
    default_sound=_flag,
    default_vibrate_timings=_flag,
    default_light_settings=_flag,
    vibrate_timings=_list_of(_duration),
    visibility=_one_of(
        "AndroidNotification.Visibility", "VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"
    ),
    notification_count=_int32,
    light_settings=_object(color=_COLOR, light_on_duration=_duration, light_off_duration=_duration),
    bypass_proxy_notification=_flag,
    proxy=_one_of(
        "AndroidNotification.Proxy", "PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"
    ),
)
_ANDROID = _object(
    "collapse_key restricted_package_name",
    priority=_one_of("AndroidMessagePriority", "NORMAL", "HIGH"),
    ttl=_duration,
    data=_texts_by_key,
    notification=_ANDROID_NOTIFICATION,
    fcm_options=_object("analytics_label"),
    direct_boot_ok=_flag,
    bandwidth_constrained_ok=_flag,
    restricted_satellite_ok=_flag,
)
_APNS = _object(
    "live_activity_token",
    headers=_texts_by_key,
    payload=_any_object,
    fcm_options=_object("analytics_label image"),
)
_WEBPUSH = _object(
    headers=_texts_by_key,
    data=_texts_by_key,
    notification=_any_object,
    fcm_options=_object("link analytics_label"),
)
_REQUEST = _object(
    validate_only=_flag,
    message=_object(
        "name token fid topic condition",
        data=_texts_by_key,
        notification=_NOTIFICATION,
        android=_ANDROID,
        webpush=_WEBPUSH,
        apns=_APNS,
        fcm_options=_object("analytics_label"),
    ),
)
