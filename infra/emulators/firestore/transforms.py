"""Field transforms: what a write asks the server to compute from the value it finds."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from infra.emulators.firestore import names, values
from infra.emulators.firestore.errors import invalid
from infra.emulators.firestore.fields import field, put_field
from infra.emulators.firestore.names import FieldPath
from infra.emulators.firestore.values import Fields, Value, order_key

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


class Kind(Enum):
    """The transforms, by the name of their field in the protobuf."""

    SERVER_TIME = "set_to_server_value"
    INCREMENT = "increment"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    UNION = "append_missing_elements"
    REMOVE = "remove_all_from_array"


@dataclass(frozen=True)
class Transform:
    """`operand` is a number, a list for an array's transforms, and None for the server's time."""

    path: FieldPath
    kind: Kind
    operand: Value


def parse(message: Any) -> Transform:
    """Read one `DocumentTransform.FieldTransform`; raises INVALID_ARGUMENT."""
    path = names.parse_field_path(message.field_path)
    name = message.WhichOneof("transform_type")
    if name is None:
        raise invalid("Operation type must be specified for field transformation.")
    kind, argument = Kind(name), getattr(message, name)
    match kind:
        case Kind.SERVER_TIME:
            if argument == 0:
                raise invalid("ServerValue type must be specified for set_to_server_value.")
            return Transform(path, kind, None)
        case Kind.UNION | Kind.REMOVE:
            return Transform(path, kind, values.decode_array(argument.values))
        case _:
            operand = values.decode(argument)
            if not is_number(operand):
                raise invalid("Input must be int64 or double.")
            return Transform(path, kind, operand)


def apply(transform: Transform, fields: Fields, now: datetime) -> Value:
    """Change `fields` in place; return the new value, or None for an array's transform."""
    found = field(fields, transform.path)
    value = _transformed(transform, found[0] if found else None, now)
    put_field(fields, transform.path, value)
    return None if transform.kind in {Kind.UNION, Kind.REMOVE} else value


def _transformed(transform: Transform, old: Value, now: datetime) -> Value:
    operand = transform.operand
    match transform.kind:
        case Kind.SERVER_TIME:
            # One time for all writes of a commit, in whole milliseconds.
            return now.replace(microsecond=now.microsecond // 1000 * 1000)
        case Kind.UNION:
            return _union(old if isinstance(old, list) else [], operand)
        case Kind.REMOVE:
            removed = [order_key(item) for item in operand]
            kept = old if isinstance(old, list) else []
            return [item for item in kept if order_key(item) not in removed]
        case _ if not is_number(old):
            return operand
        case Kind.INCREMENT:
            return _sum(old, operand)
        case Kind.MAXIMUM | Kind.MINIMUM:
            return _extreme(transform.kind, old, operand)


def _union(old: list[Value], added: list[Value]) -> list[Value]:
    items, keys = list(old), [order_key(item) for item in old]
    for item in added:
        if order_key(item) not in keys:
            items.append(item)
            keys.append(order_key(item))
    return items


def _sum(old: float, added: float) -> float:
    if isinstance(old, int) and isinstance(added, int):
        return min(max(old + added, INT64_MIN), INT64_MAX)
    return float(old) + float(added)


def _extreme(kind: Kind, old: float, operand: float) -> float:
    if math.isnan(old) or math.isnan(operand):
        return math.nan
    # Of equal numbers the stored one stays, with its type.
    if kind is Kind.MAXIMUM:
        return operand if operand > old else old
    return operand if operand < old else old


def is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
