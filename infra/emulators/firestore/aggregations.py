"""Aggregations over what a query finds: count, sum and average. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from infra.emulators.firestore import names
from infra.emulators.firestore.documents import Document
from infra.emulators.firestore.errors import invalid
from infra.emulators.firestore.fields import field
from infra.emulators.firestore.names import FieldPath
from infra.emulators.firestore.transforms import INT64_MAX, INT64_MIN, is_number
from infra.emulators.firestore.values import Value

MAX_AGGREGATIONS = 5


class Kind(Enum):
    """The aggregations, by the name of their field in the protobuf."""

    COUNT = "count"
    SUM = "sum"
    AVERAGE = "avg"


@dataclass(frozen=True)
class Aggregation:
    """`path` is None for a count; `up_to` bounds a count."""

    alias: str
    kind: Kind
    path: FieldPath | None = None
    up_to: int | None = None


def parse_aggregations(messages: Sequence[Any]) -> list[Aggregation]:
    """Read the `aggregations` of a `StructuredAggregationQuery`; raises INVALID_ARGUMENT."""
    if not messages:
        raise invalid("Aggregations can not be empty.")
    if len(messages) > MAX_AGGREGATIONS:
        raise invalid(f"The maximum number of aggregations allowed is {MAX_AGGREGATIONS}.")
    parsed: list[Aggregation] = []
    unnamed = 0
    for message in messages:
        unnamed += not message.alias
        parsed.append(_parse(message, message.alias or f"field_{unnamed}"))
    if len({aggregation.alias for aggregation in parsed}) < len(parsed):
        raise invalid("Aggregation aliases contain duplicates.")
    return parsed


def aggregate(aggregations: Sequence[Aggregation], found: Sequence[Document]) -> dict[str, Value]:
    """Compute each aggregation over the documents that have the fields of all of them."""
    paths = [a.path for a in aggregations if a.path is not None]
    whole = [d for d in found if all(field(d.fields, path) for path in paths)]
    return {a.alias: _compute(a, whole) for a in aggregations}


def _parse(message: Any, alias: str) -> Aggregation:
    match message.WhichOneof("operator"):
        case "count":
            bounded = message.count.HasField("up_to")
            up_to = message.count.up_to.value if bounded else None
            if up_to is not None and up_to <= 0:
                raise invalid("up_to must be greater than zero")
            return Aggregation(alias, Kind.COUNT, up_to=up_to)
        case "sum":
            path = names.parse_field_path(message.sum.field.field_path)
            return Aggregation(alias, Kind.SUM, path)
        case "avg":
            path = names.parse_field_path(message.avg.field.field_path)
            return Aggregation(alias, Kind.AVERAGE, path)
    raise invalid("An aggregation has no operator.")


def _compute(aggregation: Aggregation, found: Sequence[Document]) -> Value:
    if aggregation.path is None:
        up_to = aggregation.up_to
        return len(found) if up_to is None else min(len(found), up_to)
    present = [field(document.fields, aggregation.path) for document in found]
    numbers = [value[0] for value in present if value and is_number(value[0])]
    if aggregation.kind is Kind.SUM:
        return _sum(numbers)
    return _sum_of_doubles(numbers) / len(numbers) if numbers else None


def _sum(numbers: Sequence[float]) -> float:
    if all(isinstance(number, int) for number in numbers):
        total = sum(numbers)
        return total if INT64_MIN <= total <= INT64_MAX else float(total)
    return _sum_of_doubles(numbers)


def _sum_of_doubles(numbers: Sequence[float]) -> float:
    # Unlike math.fsum, addition overflows to infinity and knows that inf - inf is NaN.
    return sum(map(float, numbers), start=0.0)
