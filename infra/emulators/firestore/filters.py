"""The `where` of a query: its conditions, their limits, and which documents match. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any

from google.cloud.firestore_v1.types import query as query_types

from infra.emulators.firestore import names, values
from infra.emulators.firestore.errors import invalid
from infra.emulators.firestore.names import DOCUMENT_ID, FieldPath
from infra.emulators.firestore.values import Reference, Value, order_key, same_type

MAX_DISJUNCTIONS = 30
_FieldOperator = query_types.StructuredQuery.FieldFilter.Operator
_UnaryOperator = query_types.StructuredQuery.UnaryFilter.Operator
_NAN = order_key(float("nan"))
_NULL = order_key(None)


class Operator(Enum):
    LESS_THAN = "LESS_THAN"
    LESS_THAN_OR_EQUAL = "LESS_THAN_OR_EQUAL"
    GREATER_THAN = "GREATER_THAN"
    GREATER_THAN_OR_EQUAL = "GREATER_THAN_OR_EQUAL"
    EQUAL = "EQUAL"
    NOT_EQUAL = "NOT_EQUAL"
    ARRAY_CONTAINS = "ARRAY_CONTAINS"
    IN = "IN"
    ARRAY_CONTAINS_ANY = "ARRAY_CONTAINS_ANY"
    NOT_IN = "NOT_IN"
    IS_NAN = "IS_NAN"
    IS_NULL = "IS_NULL"
    IS_NOT_NAN = "IS_NOT_NAN"
    IS_NOT_NULL = "IS_NOT_NULL"


_MAX_OPERANDS = {Operator.IN: 30, Operator.ARRAY_CONTAINS_ANY: 30, Operator.NOT_IN: 10}
_NEGATIONS = {Operator.NOT_EQUAL, Operator.NOT_IN, Operator.IS_NOT_NAN, Operator.IS_NOT_NULL}
_RANGES = {
    Operator.LESS_THAN,
    Operator.LESS_THAN_OR_EQUAL,
    Operator.GREATER_THAN,
    Operator.GREATER_THAN_OR_EQUAL,
}
_OF_NAMES = _RANGES | {Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN}


@dataclass(frozen=True)
class Condition:
    """A test of one field. `keys` are the order keys of the operands: none, one, or a list's."""

    path: FieldPath
    operator: Operator
    keys: tuple[tuple[Any, ...], ...] = ()

    @property
    def is_inequality(self) -> bool:
        """Whether the query is sorted by this field unless it says otherwise."""
        return self.operator in _RANGES | _NEGATIONS


@dataclass(frozen=True)
class And:
    members: tuple["Filter", ...]


@dataclass(frozen=True)
class Or:
    members: tuple["Filter", ...]


Filter = Condition | And | Or
EVERYTHING = And(())
Lookup = Callable[[FieldPath], tuple[Value] | None]


def parse_filter(message: Any) -> Filter:
    """Read a `StructuredQuery.Filter`; raises INVALID_ARGUMENT also for forbidden combinations."""
    parsed = _parse(message)
    _check_combination(parsed)
    return parsed


def conditions(where: Filter) -> Iterator[Condition]:
    match where:
        case Condition():
            yield where
        case And(members) | Or(members):
            for member in members:
                yield from conditions(member)


def matches(where: Filter, lookup: Lookup) -> bool:
    """Tell whether a document matches whose fields `lookup` gives."""
    match where:
        case And(members):
            return all(matches(member, lookup) for member in members)
        case Or(members):
            return any(matches(member, lookup) for member in members)
        case Condition():
            found = lookup(where.path)
            return found is not None and _holds(where, found[0])


def _holds(condition: Condition, value: Value) -> bool:
    key, keys = order_key(value), condition.keys
    match condition.operator:
        case Operator.EQUAL | Operator.IN:
            return key in keys and key not in {_NULL, _NAN}
        case Operator.NOT_EQUAL | Operator.NOT_IN:
            return key != _NULL and _NULL not in keys and key not in keys
        case Operator.IS_NULL:
            return key == _NULL
        case Operator.IS_NOT_NULL:
            return key != _NULL
        case Operator.IS_NAN:
            return key == _NAN
        case Operator.IS_NOT_NAN:
            return key not in {_NAN, _NULL}
        case Operator.ARRAY_CONTAINS | Operator.ARRAY_CONTAINS_ANY:
            return isinstance(value, list) and any(order_key(item) in keys for item in value)
        case _:
            return same_type(key, keys[0]) and _in_range(condition.operator, key, keys[0])


def _in_range(operator: Operator, key: tuple[Any, ...], bound: tuple[Any, ...]) -> bool:
    match operator:
        case Operator.LESS_THAN:
            return key < bound
        case Operator.LESS_THAN_OR_EQUAL:
            return key <= bound
        case Operator.GREATER_THAN:
            return key > bound
        case _:
            return key >= bound


def _parse(message: Any) -> Filter:
    match message.WhichOneof("filter_type"):
        case "composite_filter":
            members = tuple(_parse(member) for member in message.composite_filter.filters)
            match message.composite_filter.op:
                case 1:
                    return And(members)
                case 2:
                    return Or(members)
            raise invalid("Unsupported CompositeFilter operator.")
        case "field_filter":
            return _parse_field_filter(message.field_filter)
        case "unary_filter":
            return _parse_unary_filter(message.unary_filter)
    raise invalid("A filter of the query is empty.")


def _parse_field_filter(message: Any) -> Condition:
    if message.op == _FieldOperator.OPERATOR_UNSPECIFIED:
        raise invalid("Unknown FieldFilter operator.")
    path = names.parse_query_path(message.field.field_path)
    operator = Operator(_FieldOperator(message.op).name)
    operand = values.decode(message.value)
    operands = _listed(operator, operand) if operator in _MAX_OPERANDS else [operand]
    if path == DOCUMENT_ID:
        _check_names(operator, operands)
    return Condition(path, operator, tuple(map(order_key, operands)))


def _parse_unary_filter(message: Any) -> Condition:
    if message.op == _UnaryOperator.OPERATOR_UNSPECIFIED:
        raise invalid("Unknown UnaryFilter operator.")
    path = names.parse_query_path(message.field.field_path)
    if path == DOCUMENT_ID:
        raise invalid("__key__ filter value must be a Key")
    return Condition(path, Operator(_UnaryOperator(message.op).name))


def _listed(operator: Operator, operand: Value) -> list[Value]:
    if not isinstance(operand, list) or not operand:
        raise invalid(f"'{operator.value}' requires an non-empty ArrayValue.")
    if len(operand) > _MAX_OPERANDS[operator]:
        limit = _MAX_OPERANDS[operator]
        raise invalid(f"'{operator.value}' supports up to {limit} comparison values.")
    return operand


def _check_names(operator: Operator, operands: list[Value]) -> None:
    if operator not in _OF_NAMES:
        raise invalid(f"'{operator.value}' cannot be used on __key__.")
    if not all(isinstance(operand, Reference) for operand in operands):
        raise invalid("__key__ filter value must be a Key")


def _check_combination(where: Filter) -> None:
    operators = [condition.operator for condition in conditions(where)]
    if sum(operator in _NEGATIONS for operator in operators) > 1:
        raise invalid("Only a single '!=', NOT_IN, IS_NOT_NAN or IS_NOT_NULL is allowed per query.")
    branching = {Operator.IN, Operator.ARRAY_CONTAINS_ANY}
    if Operator.NOT_IN in operators and (branching & set(operators) or _has_or(where)):
        raise invalid("'NOT_IN' cannot be used with 'IN', 'ARRAY_CONTAINS_ANY' or 'OR'.")
    # Counted before they are built: the product of a few INs is already too large to hold.
    if _count_disjunctions(where) > MAX_DISJUNCTIONS:
        limit = MAX_DISJUNCTIONS
        raise invalid(f"Too many disjunctions after normalization, the maximum is {limit}")
    if _most_array_contains(where) > 1:
        raise invalid("A maximum of 1 'ARRAY_CONTAINS' filter is allowed per disjunction.")


def _has_or(where: Filter) -> bool:
    match where:
        case Or(members):
            return len(members) > 1 or any(map(_has_or, members))
        case And(members):
            return any(map(_has_or, members))
        case Condition():
            return False


def _count_disjunctions(where: Filter) -> int:
    match where:
        case And(members):
            return prod(map(_count_disjunctions, members))
        case Or(members):
            return sum(map(_count_disjunctions, members))
        case Condition(_, Operator.IN | Operator.ARRAY_CONTAINS_ANY, keys):
            return len(keys)
        case Condition():
            return 1


def _most_array_contains(where: Filter) -> int:
    match where:
        case And(members):
            return sum(map(_most_array_contains, members))
        case Or(members):
            return max(map(_most_array_contains, members), default=0)
        case Condition(operator=operator):
            return operator is Operator.ARRAY_CONTAINS
