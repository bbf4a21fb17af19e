"""Structured queries: reading one from the wire and running it on documents. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from infra.emulators.firestore import filters, names, values
from infra.emulators.firestore.documents import Document
from infra.emulators.firestore.errors import failed_precondition, invalid, unimplemented
from infra.emulators.firestore.fields import field
from infra.emulators.firestore.filters import EVERYTHING, Filter
from infra.emulators.firestore.names import DOCUMENT_ID, DatabaseName, FieldPath, Path
from infra.emulators.firestore.transactions import Found, View
from infra.emulators.firestore.values import Reference, Value, order_key

_DESCENDING = 2
_AFTER_THE_KEY = "order by clause cannot contain more fields after the key"

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Source:
    """Which collections: with this id ("" for any), right below `parent` or at any depth."""

    parent: Path
    collection_id: str
    all_descendants: bool

    def takes(self, collection: Path) -> bool:
        depth = len(self.parent)
        if collection[:depth] != self.parent or len(collection) <= depth:
            return False
        if self.collection_id and collection[-1] != self.collection_id:
            return False
        return self.all_descendants or len(collection) == depth + 1


@dataclass(frozen=True)
class Order:
    path: FieldPath
    descending: bool = False


@dataclass(frozen=True)
class Cursor:
    """A position among the sorted documents: just before or just after those that equal `keys`."""

    keys: tuple[Key, ...]
    before: bool


@dataclass(frozen=True)
class Query:
    """A query of one database. `orders` is complete; `projection` None returns all fields."""

    database: DatabaseName
    source: Source
    where: Filter = EVERYTHING
    orders: tuple[Order, ...] = (Order(DOCUMENT_ID),)
    start: Cursor | None = None
    end: Cursor | None = None
    offset: int = 0
    limit: int | None = None
    projection: tuple[FieldPath, ...] | None = None

    def run(self, view: View) -> Found:
        """Find the documents, whole: the projection is for whoever writes them out."""
        found = [d for d in view.select(self.source.takes) if self._takes(d)]
        for order in reversed(self.orders):
            found.sort(key=partial(self._key, order=order), reverse=order.descending)
        stop = None if self.limit is None else self.offset + self.limit
        documents = [document.copy() for document in found[self.offset : stop]]
        return Found(documents, min(self.offset, len(found)))

    @property
    def is_bounded(self) -> bool:
        """Whether it depends on other documents, too, if it finds one."""
        return self.limit is not None or self.offset > 0

    def finds(self, document: Document) -> bool:
        """Whether it finds the document, unless a limit or an offset leaves it out."""
        return self.source.takes(document.path[:-1]) and self._takes(document)

    def _takes(self, document: Document) -> bool:
        def lookup(path: FieldPath) -> tuple[Value] | None:
            return self._lookup(document, path)

        if any(lookup(order.path) is None for order in self.orders):
            return False
        if not filters.matches(self.where, lookup):
            return False
        return self._is_after_start(document) and self._is_before_end(document)

    def _is_after_start(self, document: Document) -> bool:
        if self.start is None:
            return True
        side = self._side(document, self.start)
        return side > 0 or (side == 0 and self.start.before)

    def _is_before_end(self, document: Document) -> bool:
        if self.end is None:
            return True
        side = self._side(document, self.end)
        return side < 0 or (side == 0 and not self.end.before)

    def _side(self, document: Document, cursor: Cursor) -> int:
        """Return -1, 0 or 1 as the document sorts before, with or after the cursor's keys."""
        for order, bound in zip(self.orders, cursor.keys, strict=False):
            key = self._key(document, order)
            if key != bound:
                return 1 if (key > bound) != order.descending else -1
        return 0

    def _key(self, document: Document, order: Order) -> Key:
        found = self._lookup(document, order.path)
        return order_key(found[0]) if found else ()

    def _lookup(self, document: Document, path: FieldPath) -> tuple[Value] | None:
        if path == DOCUMENT_ID:
            return (Reference(names.resource_name(self.database, document.path)),)
        return field(document.fields, path)


def parse_query(database: DatabaseName, parent: Path, message: Any) -> Query:
    """Read a `StructuredQuery`; raises INVALID_ARGUMENT, FAILED_PRECONDITION or UNIMPLEMENTED."""
    if message.HasField("find_nearest"):
        raise unimplemented("The embedded Firestore has no vector search.")
    if message.offset < 0:
        raise invalid("offset is negative")
    if message.HasField("limit") and message.limit.value < 0:
        raise invalid("limit is negative")
    where = filters.parse_filter(message.where) if message.HasField("where") else EVERYTHING
    explicit = _parse_orders(message.order_by)
    orders = explicit + _implicit_orders(where, explicit)
    if orders == (Order(DOCUMENT_ID, descending=True),) and not _tests_fields(where):
        raise failed_precondition("Firestore does not support descending key scans")
    return Query(
        database,
        _parse_source(parent, message),
        where,
        orders,
        _parse_cursor(message.start_at, explicit) if message.HasField("start_at") else None,
        _parse_cursor(message.end_at, explicit) if message.HasField("end_at") else None,
        message.offset,
        message.limit.value if message.HasField("limit") else None,
        _parse_projection(message.select) if message.HasField("select") else None,
    )


def _parse_source(parent: Path, message: Any) -> Source:
    selectors = message.from_
    if len(selectors) > 1:
        raise invalid("StructuredQuery.from cannot have more than one collection selector.")
    if not selectors:
        return Source(parent, "", all_descendants=True)
    selector = selectors[0]
    if selector.collection_id:
        names.check_collection_id(selector.collection_id)
    return Source(parent, selector.collection_id, selector.all_descendants)


def _parse_orders(messages: Sequence[Any]) -> tuple[Order, ...]:
    orders: list[Order] = []
    for message in messages:
        path = names.parse_query_path(message.field.field_path)
        if path in {order.path for order in orders}:
            raise invalid(f"order by clause cannot contain duplicate fields {'.'.join(path)}")
        if orders and orders[-1].path == DOCUMENT_ID:
            raise invalid(_AFTER_THE_KEY)
        orders.append(Order(path, message.direction == _DESCENDING))
    return tuple(orders)


def _implicit_orders(where: Filter, explicit: tuple[Order, ...]) -> tuple[Order, ...]:
    """Return what Firestore adds: fields of inequalities by name, then the document's name.

    Nothing can be added after the document's name. So a query that is sorted by it must be sorted
    by the fields of all its inequalities too, before it.
    """
    given = {order.path for order in explicit}
    compared = {test.path for test in filters.conditions(where) if test.is_inequality}
    added = sorted(compared - given - {DOCUMENT_ID})
    if DOCUMENT_ID in given:
        if added:
            raise invalid(_AFTER_THE_KEY)
        return ()
    descending = explicit[-1].descending if explicit else False
    return tuple(Order(path, descending) for path in (*added, DOCUMENT_ID))


def _tests_fields(where: Filter) -> bool:
    return any(test.path != DOCUMENT_ID for test in filters.conditions(where))


def _parse_cursor(message: Any, explicit: tuple[Order, ...]) -> Cursor:
    if len(message.values) > len(explicit):
        raise invalid("Cursor has too many values.")
    bounds = [values.decode(value) for value in message.values]
    for order, bound in zip(explicit, bounds, strict=False):
        if order.path == DOCUMENT_ID and not isinstance(bound, Reference):
            raise invalid("Cursor __key__ value is not a document reference.")
    return Cursor(tuple(map(order_key, bounds)), message.before)


def _parse_projection(message: Any) -> tuple[FieldPath, ...] | None:
    # An empty projection asks for all fields; for none, `__name__` alone is selected.
    return tuple(names.parse_query_path(f.field_path) for f in message.fields) or None
