"""Values and documents are written and read as the client library does it."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud.firestore import DELETE_FIELD, GeoPoint
from google.cloud.firestore_v1 import _helpers as library
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.field_path import FieldPath
from google.cloud.firestore_v1.vector import Vector
from hypothesis import given
from hypothesis import strategies as st

from functions.services.firestore.values import (
    Foreign,
    Reference,
    Snapshot,
    fields_in,
    path_of,
    put,
    snapshot_in,
    value_in,
)
from tests.support.examples import examples
from tests.support.firestore import VALUES

pytestmark = pytest.mark.examples

NAME = "projects/p/databases/(default)/documents/calls/CALL_1"


def written(value: object) -> Any:
    into = types.Value.pb()()
    put(value, into)
    return into


def librarys(value: object) -> Any:
    """The same by the client library."""
    return types.Value.pb(library.encode_value(value))


@examples(500)
@given(VALUES)
def test_a_value_is_written_as_the_client_library_writes_it(value: object) -> None:
    assert written(value) == librarys(value)


@examples(500)
@given(VALUES)
def test_a_value_is_read_as_the_client_library_reads_it_and_as_it_was_written(
    value: object,
) -> None:
    assert value_in(written(value)) == value
    assert library.decode_value(librarys(value), None) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0])
def test_a_number_that_is_none_is_written_and_read_too(value: float) -> None:
    assert str(value_in(written(value))) == str(value)


@pytest.mark.parametrize(
    "at",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(2026, 11, 27, 1, 0, 0, 1, timezone(timedelta(hours=5, minutes=30))),
    ],
)
def test_a_time_is_read_as_it_was_written(at: datetime) -> None:
    assert value_in(written(at)) == at


@examples(500)
@given(st.integers(0, 999_999_999))
def test_of_a_time_no_digit_is_lost(nanos: int) -> None:
    before = types.Value.pb()(timestamp_value={"seconds": 1_795_789_421, "nanos": nanos})
    assert written(value_in(before)) == before


def test_a_time_of_nowhere_is_not_written() -> None:
    with pytest.raises(TypeError):
        written(datetime(2026, 11, 27))


@pytest.mark.parametrize(
    "value", [object(), {1}, DELETE_FIELD, {"a": [DELETE_FIELD]}, Foreign("x")]
)
def test_what_firestore_has_no_type_for_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        written(value)


def test_a_reference_is_read_as_the_document_that_it_names() -> None:
    reference = value_in(types.Value.pb()(reference_value=NAME))
    assert reference == Reference(NAME)
    assert (reference.collection, reference.id) == ("calls", "CALL_1")
    assert written(reference).reference_value == NAME


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (types.Value.pb(library.encode_value(GeoPoint(1, 2))), Foreign("geo_point_value")),
        (types.Value.pb()(function_value={"name": "abs"}), Foreign("function_value")),
        (types.Value.pb()(), Foreign("none")),
        (librarys(Vector([1, 2])), {"__type__": "__vector__", "value": [1.0, 2.0]}),
    ],
)
def test_a_value_of_a_type_that_we_do_not_use_is_read_too(value: object, read: object) -> None:
    assert value_in(value) == read


def test_a_document_is_read_with_its_name_its_version_and_its_fields() -> None:
    at = DatetimeWithNanoseconds(2026, 11, 27, 12, nanosecond=123_456_789, tzinfo=UTC)  # type: ignore[no-untyped-call]
    document = types.Document.pb()(name=NAME)
    document.create_time.seconds = 7
    document.update_time.CopyFrom(at.timestamp_pb())  # type: ignore[no-untyped-call]
    put("ringing", document.fields["status"])
    read = snapshot_in(document)
    seven = datetime.fromtimestamp(7, UTC)
    assert read == Snapshot(Reference(NAME), {"status": "ringing"}, created=seven, version=at)
    assert read.id == "CALL_1"
    assert written(read.version) == written(at)


def test_the_fields_of_an_empty_document_are_none() -> None:
    assert fields_in(types.Document.pb()().fields) == {}


@examples(500)
@given(st.lists(st.text(min_size=1), min_size=1))
def test_a_path_is_quoted_as_the_client_library_quotes_it(names: list[str]) -> None:
    assert path_of(*names) == FieldPath(*names).to_api_repr()


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (["status"], "status"),
        (["calling", "CALL_1"], "calling.CALL_1"),
        (["calling", "a.b"], "calling.`a.b`"),
        (["7"], "`7`"),
        (["é"], "`é`"),
        (["a`b\\c"], "`a\\`b\\\\c`"),
    ],
)
def test_a_name_that_is_not_simple_is_quoted(names: list[str], path: str) -> None:
    assert path_of(*names) == path
