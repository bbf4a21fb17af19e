"""Reading and changing parts of a document's fields by path."""

from collections.abc import Iterable

from infra.emulators.firestore.names import FieldPath
from infra.emulators.firestore.values import Fields, Value


def field(fields: Fields, path: FieldPath) -> tuple[Value] | None:
    """Return the value at `path` in a 1-tuple, for it may be None, or None if there is none."""
    value: Value = fields
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return (value,)


def put_field(fields: Fields, path: FieldPath, value: Value) -> None:
    """Set `path` in place; what is no map on the way becomes one."""
    *outer, last = path
    for name in outer:
        if not isinstance(fields.get(name), dict):
            fields[name] = {}
        fields = fields[name]
    fields[last] = value


def delete_field(fields: Fields, path: FieldPath) -> None:
    """Remove `path` in place, if it is there."""
    *outer, last = path
    holder = field(fields, tuple(outer))
    if holder and isinstance(holder[0], dict):
        holder[0].pop(last, None)


def only(fields: Fields, paths: Iterable[FieldPath]) -> Fields:
    """Return the part of `fields` that a mask or a projection names."""
    kept: Fields = {}
    for path in paths:
        if found := field(fields, path):
            put_field(kept, path, found[0])
    return kept
