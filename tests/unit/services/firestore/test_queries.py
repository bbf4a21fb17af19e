"""Queries are those that the client library would make of the same conditions."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient, AsyncQuery, DocumentSnapshot, FieldFilter, Or
from google.cloud.firestore import Query as Library
from google.cloud.firestore_v1 import types

from functions.services.firestore import queries
from functions.services.firestore.queries import Query
from functions.services.firestore.values import Reference, Snapshot

CLIENT = AsyncClient(project="p", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
CALLS = CLIENT.collection("calls")
NAME = "projects/p/databases/(default)/documents/calls/CALL_1"
AT = datetime(2026, 11, 27, 12, 0, 0, 1, tzinfo=UTC)


def by(field: str, operator: str, value: object) -> FieldFilter:
    return FieldFilter(field, operator, value)


def librarys(query: AsyncQuery) -> Any:
    return types.StructuredQuery.pb(query._to_protobuf())


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (queries.equals("status", "ringing"), [by("status", "==", "ringing")]),
        (queries.is_one_of("userId", ("A", "B")), [by("userId", "in", ["A", "B"])]),
        (queries.at_most("admitBy", AT), [by("admitBy", "<=", AT)]),
        (queries.above("expiresAt", AT), [by("expiresAt", ">", AT)]),
        (queries.contains("recipients", "A"), [by("recipients", "array_contains", "A")]),
        (
            queries.all_of(queries.contains("recipients", "A"), queries.above("expiresAt", AT)),
            [by("recipients", "array_contains", "A"), by("expiresAt", ">", AT)],
        ),
        (
            queries.names(["A", 7], "callerId", "receiverId"),
            [
                Or(
                    [
                        by("callerId", "==", "A"),
                        by("callerId", "==", 7),
                        by("receiverId", "==", "A"),
                        by("receiverId", "==", 7),
                    ]
                )
            ],
        ),
        (
            queries.all_of(queries.names(["A"], "a", "b"), queries.is_one_of("status", ["x"])),
            [Or([by("a", "==", "A"), by("b", "==", "A")]), by("status", "in", ["x"])],
        ),
    ],
)
def test_a_condition(where: Any, expected: list[Any]) -> None:
    query: Any = CALLS
    for each in expected:
        query = query.where(filter=each)
    assert Query("calls", where).message() == librarys(query)


@pytest.mark.parametrize(
    ("descending", "direction"), [(False, Library.ASCENDING), (True, Library.DESCENDING)]
)
def test_an_order_and_a_limit(descending: bool, direction: str) -> None:
    made = Query("calls", queries.above("at", AT), "at", descending, limit=100)
    query = CALLS.where(filter=by("at", ">", AT)).order_by("at", direction).limit(100)
    assert made.message() == librarys(query)


@pytest.mark.parametrize("order_by", [None, "at"])
def test_a_page_begins_after_the_last_document_of_the_one_before(order_by: str | None) -> None:
    last = Snapshot(Reference(NAME), {"at": AT}, created=AT, version=AT)
    made = Query("calls", queries.contains("recipients", "A"), order_by).page(300, last)
    snapshot = DocumentSnapshot(CALLS.document("CALL_1"), {"at": AT}, True, None, AT, AT)
    found = CALLS.where(filter=by("recipients", "array_contains", "A"))
    ordered = found.order_by(order_by or "__name__").limit(300)
    assert made == librarys(ordered.start_after(snapshot))


def test_the_first_page_is_in_the_same_order_as_those_that_follow() -> None:
    query = Query("calls", queries.at_most("at", AT), "at")
    last = Snapshot(Reference(NAME), {"at": AT}, created=AT, version=AT)
    first, second = query.page(300, None), query.page(300, last)
    assert not first.HasField("start_at")
    second.ClearField("start_at")
    assert first == second
