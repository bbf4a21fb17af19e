"""Queries of one collection, as a RunQuery takes them."""

from collections.abc import Iterable
from dataclasses import dataclass

from google.cloud.firestore_v1 import types

from functions.services.firestore.values import Snapshot, path_of, put
from functions.services.rpc import Message

Filter = Message

_Query = types.StructuredQuery.pb()
_Filter = types.StructuredQuery.Filter.pb()
_Operator = types.StructuredQuery.FieldFilter.Operator
_Composite = types.StructuredQuery.CompositeFilter.Operator
_Direction = types.StructuredQuery.Direction

_NAME = "__name__"  # of a document, as if it were a field


@dataclass(frozen=True, slots=True)
class Query:
    """The documents of `collection` to which `where` applies, at most `limit`."""

    collection: str
    where: Filter
    order_by: str | None = None
    descending: bool = False
    limit: int | None = None

    def message(self) -> Message:
        query = _Query(where=self.where)
        query.from_.add(collection_id=self.collection)
        if self.order_by:
            self._order(query, self.order_by)
        if self.limit is not None:
            query.limit.value = self.limit
        return query

    def page(self, size: int, after: Snapshot | None) -> Message:
        """The first `size` that come `after` one. Names order what the query does not."""
        query = self.message()
        query.limit.value = size
        self._order(query, _NAME)
        if after:
            query.start_at.before = False
            if self.order_by:
                put(after.fields[self.order_by], query.start_at.values.add())
            put(after.reference, query.start_at.values.add())
        return query

    def _order(self, query: Message, field: str) -> None:
        direction = _Direction.DESCENDING if self.descending else _Direction.ASCENDING
        query.order_by.add(direction=direction).field.field_path = path_of(field)


def equals(field: str, value: object) -> Filter:
    return _field(field, _Operator.EQUAL, value)


def is_one_of(field: str, values: Iterable[object]) -> Filter:
    return _field(field, _Operator.IN, list(values))


def at_most(field: str, value: object) -> Filter:
    return _field(field, _Operator.LESS_THAN_OR_EQUAL, value)


def above(field: str, value: object) -> Filter:
    return _field(field, _Operator.GREATER_THAN, value)


def contains(field: str, value: object) -> Filter:
    """Whether the field is an array that has `value` in it."""
    return _field(field, _Operator.ARRAY_CONTAINS, value)


def names(ids: Iterable[object], *fields: str) -> Filter:
    """Whether one of `fields` has one of a user's `ids`."""
    return any_of(*(equals(field, id) for field in fields for id in ids))


def any_of(*filters: Filter) -> Filter:
    return _composite(_Composite.OR, filters)


def all_of(*filters: Filter) -> Filter:
    return _composite(_Composite.AND, filters)


def _field(field: str, operator: int, value: object) -> Filter:
    made = _Filter()
    made.field_filter.field.field_path = path_of(field)
    made.field_filter.op = operator
    put(value, made.field_filter.value)
    return made


def _composite(operator: int, filters: Iterable[Filter]) -> Filter:
    made = _Filter()
    made.composite_filter.op = operator
    made.composite_filter.filters.extend(filters)
    return made
