"""Firestore's documents and the values of their fields: of Python to protobuf, and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud.firestore_v1.field_path import FieldPath

from functions.services.rpc import Message

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Reference:
    """A document, by its name in full: `projects/…/databases/…/documents/calls/CALL_1`."""

    name: str

    @property
    def id(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def collection(self) -> str:
        return self.name.split("/")[-2]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A value of a type that no field of ours has. An app's own document may hold any."""

    type: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A document as it was read. Each commit that changes it makes another `version` of it."""

    reference: Reference
    fields: Mapping[str, Any]
    created: datetime
    version: datetime

    @property
    def id(self) -> str:
        return self.reference.id


def snapshot_in(document: Message) -> Snapshot:
    return Snapshot(
        Reference(document.name),
        fields_in(document.fields),
        moment_in(document.create_time),
        moment_in(document.update_time),
    )


def path_of(*names: str) -> str:
    """The path of a field, or of what is in its maps, as a mask, a filter or an order has it."""
    return ".".join(name if _is_simple(name) else FieldPath(name).to_api_repr() for name in names)


def _is_simple(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def put(value: object, into: Message) -> None:
    """Writes `value` into a `Value`. Raises TypeError for what is none of Firestore's."""
    match value:
        case str():
            into.string_value = value
        case datetime():
            put_moment(value, into.timestamp_value)
        case None:
            into.null_value = 0
        case bool():
            into.boolean_value = value
        case int():
            into.integer_value = value
        case float():
            into.double_value = value
        case bytes():
            into.bytes_value = value
        case list() | tuple():
            into.array_value.SetInParent()  # an empty one would else be no value
            put_all(value, into.array_value)
        case Mapping():
            into.map_value.SetInParent()
            for name, each in value.items():
                put(each, into.map_value.fields[name])
        case Reference():
            into.reference_value = value.name
        case _:
            raise TypeError(f"Firestore has no type for {value!r}")


def put_all(values: list[Any] | tuple[Any, ...], into: Message) -> None:
    """Adds `values` to an `ArrayValue`."""
    for value in values:
        put(value, into.values.add())


def put_moment(at: datetime, into: Message) -> None:
    """Writes `at` into a `Timestamp`, with all its digits."""
    since = at - _EPOCH
    into.seconds = since.days * 86_400 + since.seconds
    into.nanos = getattr(at, "nanosecond", 0) or since.microseconds * 1000


def value_in(value: Message) -> Any:
    """None, bool, int, float, datetime, str, bytes, list, dict, Reference or Foreign."""
    type = value.WhichOneof("value_type")
    read = _READERS.get(type)
    return read(value) if read else Foreign(type or "none")


def fields_in(fields: Mapping[str, Message]) -> dict[str, Any]:
    """The fields of a document, or of a map. Vectors, and what has a type of BSON's, are maps with
    names that Firestore keeps to itself, and are read as such."""
    return {name: value_in(value) for name, value in fields.items()}


def moment_in(stamp: Message) -> datetime:
    """With all its digits: a version that is sent back must be the one that was read."""
    if stamp.nanos % 1000:
        exact: datetime = DatetimeWithNanoseconds.from_timestamp_pb(stamp)  # type: ignore[no-untyped-call]  # it has no types
        return exact
    return _EPOCH + timedelta(0, stamp.seconds, stamp.nanos // 1000)


_READERS: dict[str | None, Callable[[Message], Any]] = {
    "null_value": lambda _: None,
    "boolean_value": attrgetter("boolean_value"),
    "integer_value": attrgetter("integer_value"),
    "double_value": attrgetter("double_value"),
    "string_value": attrgetter("string_value"),
    "bytes_value": attrgetter("bytes_value"),
    "timestamp_value": lambda value: moment_in(value.timestamp_value),
    "reference_value": lambda value: Reference(value.reference_value),
    "array_value": lambda value: [value_in(each) for each in value.array_value.values],
    "map_value": lambda value: fields_in(value.map_value.fields),
}
