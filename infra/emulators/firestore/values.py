"""Field values: protobuf to Python and back, their limits, their order, their size."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.firestore_v1.types import document as document_types
from google.protobuf.timestamp_pb2 import (  # type: ignore[import-untyped]  # no types
    Timestamp,
)

from infra.emulators.firestore import names
from infra.emulators.firestore.errors import invalid

MAX_VALUE_BYTES = (1 << 20) - 89  # one string or byte string
MAX_DEPTH = 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_VECTOR_FIELDS = {"__type__", "value"}

ValueMessage = document_types.Value.pb()

# None, bool, int, float, datetime (UTC, microseconds), str, bytes, Reference, GeoPoint, list, dict
Value = Any
Fields = dict[str, Value]


@dataclass(frozen=True)
class Reference:
    """A value that points to a document by its full name."""

    name: str


@dataclass(frozen=True)
class GeoPoint:
    latitude: float
    longitude: float


def decode_fields(messages: Mapping[str, Any], depth: int = 0) -> Fields:
    """Read the fields of a document or of a map; raises INVALID_ARGUMENT for what can't be stored.

    Seen on Google's emulator: maps and arrays nest 20 deep below a document's field.
    """
    if depth > MAX_DEPTH:
        raise invalid(f"Values are nested more than {MAX_DEPTH} deep.")
    if set(messages) == _VECTOR_FIELDS:
        return _decode_vector(messages)
    for name in messages:
        names.check_field_name(name)
    return {name: decode(message, depth) for name, message in messages.items()}


def decode(message: Any, depth: int = 0) -> Value:
    """Read one `google.firestore.v1.Value`."""
    match message.WhichOneof("value_type"):
        case None:
            raise invalid("Cannot convert firestore.v1.Value with type unset.")
        case "null_value":
            return None
        case "timestamp_value":
            return decode_time(message.timestamp_value)
        case "string_value" | "bytes_value" as kind:
            return _checked_length(getattr(message, kind))
        case "reference_value":
            names.parse_document(message.reference_value)
            return Reference(message.reference_value)
        case "geo_point_value":
            point = message.geo_point_value
            return _checked_point(GeoPoint(point.latitude, point.longitude))
        case "array_value":
            return decode_array(message.array_value.values, depth + 1)
        case "map_value":
            return decode_fields(message.map_value.fields, depth + 1)
        case "boolean_value" | "integer_value" | "double_value" as kind:
            return getattr(message, kind)
        case kind:
            raise invalid(f"A {kind} cannot be stored in a document.")


def decode_time(message: Timestamp) -> datetime:
    """Read a timestamp, rounded down to microseconds as Firestore does."""
    try:
        return EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError as error:
        raise invalid("Timestamp seconds exceeds limit for field.") from error


def encode_fields(fields: Fields) -> dict[str, Any]:
    return {name: encode(value) for name, value in fields.items()}


def encode(value: Value) -> Any:
    """Write one `google.firestore.v1.Value`."""
    match value:
        case None:
            return ValueMessage(null_value=0)
        case bool():
            return ValueMessage(boolean_value=value)
        case int():
            return ValueMessage(integer_value=value)
        case float():
            return ValueMessage(double_value=value)
        case datetime():
            return ValueMessage(timestamp_value=encode_time(value))
        case str():
            return ValueMessage(string_value=value)
        case bytes():
            return ValueMessage(bytes_value=value)
        case Reference():
            return ValueMessage(reference_value=value.name)
        case GeoPoint():
            point = {"latitude": value.latitude, "longitude": value.longitude}
            return ValueMessage(geo_point_value=point)
        case list():
            return ValueMessage(array_value={"values": [encode(item) for item in value]})
        case _:
            return ValueMessage(map_value={"fields": encode_fields(value)})


def encode_time(time: datetime) -> Timestamp:
    since = time - EPOCH
    seconds = since.days * 86400 + since.seconds
    return Timestamp(seconds=seconds, nanos=since.microseconds * 1000)


def order_key(value: Value) -> tuple[Any, ...]:
    """Return a key that sorts any two values as Firestore does; equal keys mean equal values.

    The order of types: null, booleans, NaN, numbers, timestamps, strings, bytes, references,
    geographical points, arrays, vectors, maps. Python compares str by code point, which is the
    order of UTF-8, and int with float exactly, as Firestore does.
    """
    match value:
        case None:
            return (0,)
        case bool():
            return (1, value)
        case int() | float():
            return (2,) if math.isnan(value) else (3, value)
        case datetime():
            return (4, value)
        case str():
            return (5, value)
        case bytes():
            return (6, value)
        case Reference():
            return (7, names.name_order_key(value.name))
        case GeoPoint():
            return (8, value.latitude, value.longitude)
        case list():
            return (9, tuple(order_key(item) for item in value))
        case _ if value.keys() == _VECTOR_FIELDS:
            return (10, len(value["value"]), order_key(value["value"]))
        case _:
            return (11, tuple((name, order_key(value[name])) for name in sorted(value)))


def same_type(key: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Tell whether two order keys are of values an inequality compares with each other."""
    return bool(key[0] == other[0])


def identical(value: Value, other: Value) -> bool:
    """Tell whether writing one over the other changes nothing: 1 and 1.0 are not identical."""
    if type(value) is not type(other):
        return False
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(identical(value[n], other[n]) for n in value)
    if isinstance(value, list):
        return len(value) == len(other) and all(
            identical(*pair) for pair in zip(value, other, strict=True)
        )
    if isinstance(value, float):
        return bool(value.hex() == other.hex())
    return bool(value == other)


def size(value: Value) -> int:
    """Return what a value counts in bytes; https://firebase.google.com/docs/firestore/storage-size."""
    match value:
        case None | bool():
            return 1
        case int() | float() | datetime():
            return 8
        case str():
            return len(value.encode()) + 1
        case bytes():
            return len(value)
        case Reference():
            return len(value.name.encode()) + 1
        case GeoPoint():
            return 16
        case list():
            return sum(map(size, value))
        case _:
            return fields_size(value)


def fields_size(fields: Fields) -> int:
    return sum(size(name) + size(value) for name, value in fields.items())


def decode_array(messages: Iterable[Any], depth: int = 0) -> list[Value]:
    if depth > MAX_DEPTH:
        raise invalid(f"Values are nested more than {MAX_DEPTH} deep.")
    items = [decode(message, depth) for message in messages]
    if any(isinstance(item, list) for item in items):
        raise invalid("Cannot convert an array value in an array value.")
    return items


def _checked_length(text: str | bytes) -> str | bytes:
    length = len(text.encode() if isinstance(text, str) else text)
    if length > MAX_VALUE_BYTES:
        raise invalid(f"A value is longer than {MAX_VALUE_BYTES} bytes.")
    return text


def _checked_point(point: GeoPoint) -> GeoPoint:
    if not (-90 <= point.latitude <= 90 and -180 <= point.longitude <= 180):
        raise invalid(f"{point} is outside the permitted range of ±90 and ±180 degrees.")
    return point


def _decode_vector(messages: Mapping[str, Any]) -> Fields:
    # The client sends a vector as a map: {"__type__": "__vector__", "value": [1.0, …]}.
    if messages["__type__"].string_value != "__vector__":
        raise invalid("field name __type__ is reserved")
    numbers = decode_array(messages["value"].array_value.values, depth=0)
    if not all(isinstance(number, float) for number in numbers):
        raise invalid("A vector holds doubles only.")
    return {"__type__": "__vector__", "value": numbers}
