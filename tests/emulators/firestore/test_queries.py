"""Queries over one collection with a value of every type: both servers find the same, in order."""

import math
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore as library
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.base_query import And, FieldFilter, Or
from google.cloud.firestore_v1.vector import Vector

from tests.emulators.firestore.support import Db, make_client
from tests.support.chosen import GOOGLES, chosen

# In Firestore's order; equal ones by the document's id.
IN_ORDER: dict[str, Any] = {
    "null": None,
    "false": False,
    "true": True,
    "nan": math.nan,
    "minus infinity": -math.inf,
    "0 minus": -0.0,
    "0 plus": 0,
    "1 double": 1.0,
    "1 int": 1,
    "1.5": 1.5,
    "2": 2,
    "2**53 double": float(2**53),
    "2**53+1 int": 2**53 + 1,
    "time 1": datetime(2020, 1, 1, tzinfo=UTC),
    "time 2": datetime(2020, 1, 1, microsecond=1, tzinfo=UTC),
    "text": "",
    "text a": "a",
    "text b": "b",
    "text é": "é",
    "text high": "\uff61",
    "text higher": "\U0001f600",
    "bytes a": b"a",
    "bytes a0": b"a\0",
    "point 1": library.GeoPoint(1, 1),
    "point 2": library.GeoPoint(1, 2),
    "list": [],
    "list 1": [1],
    "list 1 2": [1, 2],
    "vector 1": Vector([9.0]),
    "vector 2": Vector([0.0, 1.0]),
    "map": {},
    "map a": {"a": 1},
    "map a b": {"a": 1, "b": 2},
    "map b": {"b": 0},
}
VALUES = list(IN_ORDER)
TEXTS = VALUES[VALUES.index("text") : VALUES.index("bytes a")]
NUMBERS = VALUES[VALUES.index("minus infinity") : VALUES.index("time 1")]
V = "v"


def without(*names: str) -> list[str]:
    return [name for name in VALUES if name not in names]


def where(field: str, operator: str, value: Any) -> FieldFilter:
    return FieldFilter(field, operator, value)


@pytest.fixture(scope="module", params=["embedded", GOOGLES])
def address(request: pytest.FixtureRequest) -> str:
    address: str = chosen(request, "firestore")
    return address


@pytest.fixture(scope="module")
async def values(address: str) -> AsyncIterator[Db]:
    """The collection `q`: every value under `v`, its place under `k`, and one without `v`."""
    db = Db(make_client("async", address, f"unring-{uuid.uuid4().hex[:12]}"))
    batch = db.client.batch()
    for place, (name, value) in enumerate(IN_ORDER.items()):
        batch.set(db.doc(f"q/{name}"), {V: value, "k": place})
    batch.set(db.doc("q/no value"), {"k": -1})
    await batch.commit()
    yield db
    await db.close()


@pytest.fixture
def q(values: Db) -> Any:
    return values.client.collection("q")


async def test_values_of_all_types_have_one_order(values: Db, q: Any) -> None:
    assert await values.ids(q.order_by(V)) == VALUES
    backwards = await values.ids(q.order_by(V, direction="DESCENDING"))
    assert backwards == VALUES[::-1]


async def test_without_an_order_documents_come_by_id(values: Db, q: Any) -> None:
    assert await values.ids(q) == sorted([*VALUES, "no value"])
    assert await values.ids(q.order_by("__name__").limit(2)) == sorted(VALUES)[:2]


@pytest.mark.parametrize(
    ("operator", "value", "found"),
    [
        ("==", 1, ["1 double", "1 int"]),
        ("==", None, ["null"]),
        ("==", math.nan, ["nan"]),
        ("==", [1.0, 2], ["list 1 2"]),
        ("==", {"a": 1.0}, ["map a"]),
        ("!=", 1, without("null", "1 double", "1 int")),
        ("!=", None, VALUES[1:]),
        ("!=", math.nan, without("null", "nan")),
        ("<", 1, ["minus infinity", "0 minus", "0 plus"]),
        ("<=", 1, ["minus infinity", "0 minus", "0 plus", "1 double", "1 int"]),
        (">", 2, ["2**53 double", "2**53+1 int"]),
        (">", float(2**53), ["2**53+1 int"]),
        (">=", 0, NUMBERS[1:]),
        ("<", "b", ["text", "text a"]),
        (">=", "", TEXTS),
        ("<", True, ["false"]),
        (">", [1], ["list 1 2"]),
        (">", {"a": 1}, ["map a b", "map b"]),
        ("<=", datetime(2020, 1, 1, tzinfo=UTC), ["time 1"]),
        (">", b"a", ["bytes a0"]),
        ("<", library.GeoPoint(1, 2), ["point 1"]),
        ("array_contains", 1.0, ["list 1", "list 1 2"]),
        ("array_contains_any", [2, 5], ["list 1 2"]),
        ("in", [1, "a", None], ["1 double", "1 int", "text a"]),
        ("in", [math.nan], []),
        ("not-in", [1, "a"], without("null", "1 double", "1 int", "text a")),
        ("not-in", [1, None], []),
    ],
)
async def test_each_operator_finds_what_it_should(
    values: Db, q: Any, operator: str, value: Any, found: list[str]
) -> None:
    got = await values.ids(q.where(filter=where(V, operator, value)))
    assert sorted(got) == sorted(found)
    if operator in ("<", "<=", ">", ">=", "!=", "not-in"):
        assert got == found


async def test_documents_without_the_field_are_never_found(values: Db, q: Any) -> None:
    assert "no value" not in await values.ids(q.order_by(V))
    assert await values.ids(q.order_by("absent")) == []
    assert await values.ids(q.where(filter=where("absent", "!=", 1))) == []


async def test_conditions_combine_with_and_and_or(values: Db, q: Any) -> None:
    place = VALUES.index("1 int")
    both = And([where(V, "==", 1), where("k", "==", place)])
    assert await values.ids(q.where(filter=both)) == ["1 int"]
    either = Or([both, where(V, "==", "a")])
    assert await values.ids(q.where(filter=either)) == ["1 int", "text a"]
    overlapping = Or([where(V, "==", 1), where("k", "==", place)])
    assert await values.ids(q.where(filter=overlapping)) == ["1 double", "1 int"]
    twice = q.where(filter=where(V, ">=", 1)).where(filter=where("k", "<", place))
    assert await values.ids(twice) == ["1 double"]
    ins = q.where(filter=where(V, "in", [1, 2])).where(filter=where("k", "in", [place, 0]))
    assert await values.ids(ins) == ["1 int"]


async def test_an_inequality_sorts_by_its_field_and_leaves_out_who_lacks_it(
    values: Db, q: Any
) -> None:
    query = q.where(filter=Or([where(V, ">", 1), where("k", "==", -1)]))
    assert await values.ids(query) == ["1.5", "2", "2**53 double", "2**53+1 int"]
    last_first = query.order_by("k", direction="DESCENDING")
    assert await values.ids(last_first) == ["2**53+1 int", "2**53 double", "2", "1.5"]


async def test_a_field_of_a_map_can_be_tested(values: Db, q: Any) -> None:
    assert await values.ids(q.where(filter=where("v.a", "==", 1))) == ["map a", "map a b"]


async def test_documents_can_be_found_by_their_names(values: Db, q: Any) -> None:
    def named(operator: str, value: Any) -> Any:
        return q.where(filter=where("__name__", operator, value))

    assert await values.ids(named("==", q.document("2"))) == ["2"]
    assert await values.ids(named(">", q.document("true"))) == ["vector 1", "vector 2"]
    both = [q.document("2"), q.document("nobody"), q.document("true")]
    assert await values.ids(named("in", both)) == ["2", "true"]
    for wrong in (1, "2", None):
        with pytest.raises(exceptions.InvalidArgument):
            await values.ids(named("==", wrong))


async def test_limits_and_offsets_cut_the_result(values: Db, q: Any) -> None:
    by_place = q.where(filter=where("k", ">=", 0)).order_by("k")
    assert await values.ids(by_place.offset(2).limit(2)) == VALUES[2:4]
    assert await values.ids(by_place.limit_to_last(2)) == VALUES[-2:]
    assert await values.ids(by_place.limit(0)) == []
    assert await values.ids(by_place.offset(1000)) == []


async def test_cursors_start_and_end_where_they_say(values: Db, q: Any) -> None:
    by_value = q.order_by(V)
    one = VALUES.index("1 double")
    assert await values.ids(by_value.start_at({V: 1})) == VALUES[one:]
    assert await values.ids(by_value.start_after({V: 1})) == VALUES[one + 2 :]
    assert await values.ids(by_value.end_at({V: 1})) == VALUES[: one + 2]
    assert await values.ids(by_value.end_before({V: 1})) == VALUES[:one]
    snapshot = await values.get("q/1 double")
    assert await values.ids(by_value.start_after(snapshot)) == VALUES[one + 1 :]
    backwards = q.order_by(V, direction="DESCENDING").start_at(snapshot)
    assert await values.ids(backwards) == VALUES[: one + 1][::-1]
    name = q.order_by("__name__").start_at({"__name__": "true"})
    assert await values.ids(name) == ["true", "vector 1", "vector 2"]


async def test_a_projection_returns_only_its_fields(values: Db, q: Any) -> None:
    async def projected(*fields: str) -> list[Any]:
        found = await q.where(filter=where(V, "==", {"a": 1, "b": 2})).select(fields).get()
        return [snapshot.to_dict() for snapshot in found]

    place = VALUES.index("map a b")
    assert await projected("k") == [{"k": place}]
    assert await projected("v.b", "absent") == [{"v": {"b": 2}}]
    assert await projected() == [{}]


async def test_aggregations_count_sum_and_average(values: Db, q: Any) -> None:
    async def results(aggregation: Any) -> dict[str, Any]:
        return {result.alias: result.value for result in (await aggregation.get())[0]}

    assert await results(q.count(alias="n")) == {"n": len(VALUES) + 1}
    assert await results(q.limit(2).count(alias="n")) == {"n": 2}
    few = q.where(filter=where(V, "in", [1, 2, "a"]))
    three = few.count(alias="n").sum(V, alias="s").avg(V, alias="a")
    assert await results(three) == {"n": 4, "s": 4.0, "a": 4 / 3}
    lacking = q.count(alias="n").sum("absent", alias="s")
    assert await results(lacking) == {"n": 0, "s": 0}


async def test_of_nothing_the_sum_is_zero_and_the_average_null(values: Db) -> None:
    of_k = {"field": {"field_path": "k"}}
    query = {
        "structured_query": {"from_": [{"collection_id": "nobody"}]},
        "aggregations": [{"sum": of_k}, {"avg": of_k, "alias": "a"}, {"count": {}}],
    }
    [response] = await values.rpc(
        "run_aggregation_query", parent=values.name(""), structured_aggregation_query=query
    )
    assert dict(response.result.aggregate_fields) == {
        "field_1": types.Value(integer_value=0),
        "a": types.Value(null_value=0),
        "field_2": types.Value(integer_value=0),
    }
    query["aggregations"] = []
    with pytest.raises(exceptions.InvalidArgument):
        await values.rpc(
            "run_aggregation_query", parent=values.name(""), structured_aggregation_query=query
        )


async def test_an_empty_result_still_has_a_read_time(values: Db) -> None:
    [response] = await _run(values, {"from_": [{"collection_id": "nobody"}]})
    assert response.read_time is not None
    assert not response.document.name


async def test_the_first_answer_tells_how_many_were_skipped(values: Db) -> None:
    query = {"from_": [{"collection_id": "q"}], "offset": 2, "limit": {"value": 2}}
    responses = await _run(values, query)
    assert [response.skipped_results for response in responses] == [2, 0]
    assert [response.done for response in responses] == [False, True]


FROM = {"from_": [{"collection_id": "q"}]}
INTEGER = types.Value(integer_value=1)
NAME_ORDER = {"order_by": [{"field": {"field_path": "__name__"}}]}


def _field_filter(**parts: Any) -> dict[str, Any]:
    return {"where": {"field_filter": {"field": {"field_path": "v"}, **parts}}}


@pytest.mark.parametrize(
    "query",
    [
        {"from_": [{"collection_id": "q"}, {"collection_id": "r"}]},
        {"from_": [{"collection_id": "__x__"}]},
        {"from_": [{"collection_id": "a/b"}]},
        {**FROM, "limit": {"value": -1}},
        {**FROM, "offset": -1},
        {**FROM, **_field_filter(value=INTEGER)},
        {**FROM, **_field_filter(op=5)},
        {**FROM, **_field_filter(op=8, value=INTEGER)},
        {**FROM, **_field_filter(op=5, value=INTEGER, field={"field_path": "v..x"})},
        {**FROM, "where": {"unary_filter": {"field": {"field_path": "v"}}}},
        {**FROM, "where": {"composite_filter": {}}},
        {**FROM, "start_at": {"values": [INTEGER]}},
        {**FROM, **NAME_ORDER, "start_at": {"values": [INTEGER]}},
    ],
    ids=[
        "two collections",
        "reserved collection",
        "slash",
        "limit",
        "offset",
        "no operator",
        "no value",
        "no list",
        "path",
        "no unary operator",
        "no composite operator",
        "cursor without order",
        "cursor that is no name",
    ],
)
async def test_malformed_queries_are_refused(values: Db, query: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await _run(values, query)


@pytest.mark.parametrize(
    "filters",
    [
        [where(V, "in", [])],
        [where(V, "in", list(range(31)))],
        [where(V, "not-in", list(range(11)))],
        [where(V, "array_contains_any", [])],
        [where(V, "!=", 1), where(V, "!=", 2)],
        [where(V, "not-in", [1]), where("k", "!=", 2)],
        [where(V, "not-in", [1]), where("k", "in", [2])],
        [Or([where(V, "not-in", [1]), where("k", "==", 2)])],
        [where(V, "array_contains", 1), where("k", "array_contains", 2)],
        [where(V, "in", list(range(10))), where("k", "in", list(range(8)))],
    ],
    ids=[
        "an empty in",
        "a long in",
        "a long not-in",
        "an empty array_contains_any",
        "two !=",
        "not-in and !=",
        "not-in and in",
        "not-in within or",
        "two array_contains",
        "too many alternatives",
    ],
)
async def test_forbidden_combinations_are_refused(values: Db, q: Any, filters: list[Any]) -> None:
    for condition in filters:
        q = q.where(filter=condition)
    with pytest.raises(exceptions.InvalidArgument):
        await values.ids(q)


ABOVE_ONE = [where(V, ">", 1)]
BOTH = [where(V, ">=", 1), where("k", ">=", 0)]


@pytest.mark.parametrize(
    ("filters", "orders"),
    [
        ([where(V, "!=", 1)], ["__name__"]),
        ([where(V, "!=", None)], ["__name__"]),
        ([where(V, "not-in", [1])], ["__name__"]),
        (ABOVE_ONE, ["__name__"]),
        (ABOVE_ONE, ["k", "__name__"]),
        (BOTH, ["__name__"]),
        (BOTH, [V, "__name__"]),
        ([Or([where(V, ">", 1), where("k", "==", 1)])], ["__name__"]),
    ],
    ids=[
        "!=",
        "!= null",
        "not-in",
        "a range",
        "a range and another field",
        "two ranges",
        "two ranges and one of their fields",
        "a range within or",
    ],
)
async def test_an_order_by_names_must_name_the_fields_of_all_inequalities_before(
    values: Db, q: Any, filters: list[Any], orders: list[str]
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="more fields after the key"):
        await values.ids(_sorted(q, filters, orders))


@pytest.mark.parametrize(
    ("filters", "orders"),
    [
        (ABOVE_ONE, [V, "__name__"]),
        (ABOVE_ONE, ["k"]),
        (ABOVE_ONE, ["k", V]),
        (ABOVE_ONE, ["k", V, "__name__"]),
        ([*ABOVE_ONE, where("k", "!=", -1)], [V]),
        ([*ABOVE_ONE, where("k", "!=", -1)], [V, "k", "__name__"]),
    ],
    ids=[
        "its own and names",
        "another",
        "another and its own",
        "another and its own and names",
        "one of two",
        "both of two and names",
    ],
)
async def test_an_inequality_goes_with_orders_by_other_fields(
    values: Db, q: Any, filters: list[Any], orders: list[str]
) -> None:
    above_one = ["1.5", "2", "2**53 double", "2**53+1 int"]
    assert await values.ids(_sorted(q, filters, orders)) == above_one


@pytest.mark.parametrize(
    ("operator", "value"), [("==", 1), ("in", [1, 2]), ("array_contains", 1)], ids=str
)
async def test_equalities_go_with_an_order_by_names(
    values: Db, q: Any, operator: str, value: Any
) -> None:
    found = await values.ids(q.where(filter=where(V, operator, value)))
    assert found
    assert await values.ids(_sorted(q, [where(V, operator, value)], ["__name__"])) == found


async def test_a_range_of_names_may_be_sorted_by_another_field(values: Db, q: Any) -> None:
    above = [where("__name__", ">", q.document("true"))]
    assert await values.ids(_sorted(q, above, ["k"])) == ["vector 1", "vector 2"]
    with pytest.raises(exceptions.InvalidArgument, match="more fields after the key"):
        await values.ids(_sorted(q, [*above, *ABOVE_ONE], ["__name__"]))


def _sorted(query: Any, filters: list[Any], orders: list[str]) -> Any:
    for condition in filters:
        query = query.where(filter=condition)
    for order in orders:
        query = query.order_by(order)
    return query


async def test_orders_that_make_no_sense_are_refused(values: Db, q: Any) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await values.ids(q.order_by("k").order_by("k"))
    with pytest.raises(exceptions.InvalidArgument):
        await values.ids(q.order_by("__name__").order_by("k"))
    with pytest.raises(exceptions.FailedPrecondition):
        await values.ids(q.order_by("__name__", direction="DESCENDING"))


async def test_a_query_below_something_that_is_no_document_is_refused(values: Db) -> None:
    for parent in (values.name("q"), values.database):
        with pytest.raises(exceptions.InvalidArgument):
            await values.rpc("run_query", parent=parent, structured_query=FROM)
    with pytest.raises(exceptions.InvalidArgument):
        await values.rpc("run_query", parent=values.name(""))


async def _run(db: Db, query: dict[str, Any]) -> list[Any]:
    answer: list[Any] = await db.rpc("run_query", parent=db.name(""), structured_query=query)
    return answer
