"""Writes are those that the client library would make of the same changes."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import (
    DELETE_FIELD,
    SERVER_TIMESTAMP,
    ArrayUnion,
    AsyncClient,
    AsyncWriteBatch,
)
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.field_path import FieldPath
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]  # no types
from hypothesis import given
from hypothesis import strategies as st
from proto.datetime_helpers import DatetimeWithNanoseconds  # type: ignore[import-untyped]  # no types

from functions.services.firestore import writes
from functions.services.firestore.values import Reference, moment_in
from functions.services.firestore.writes import Entries
from tests.support.examples import examples
from tests.support.firestore import NANOSECONDS, SCALARS, VALUES

pytestmark = pytest.mark.examples

CLIENT = AsyncClient(project="p", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
DOCUMENT = CLIENT.collection("calls").document("CALL_1")
REFERENCE = Reference("projects/p/databases/(default)/documents/calls/CALL_1")

NAMES = st.text("ab_7 .`-é", min_size=1, max_size=4)
UNIONS = st.lists(VALUES, min_size=1, max_size=3).map(ArrayUnion)
TRANSFORMS = st.just(SERVER_TIMESTAMP) | UNIONS
WHOLE = st.dictionaries(NAMES, VALUES | TRANSFORMS, max_size=6)
FLAT = st.dictionaries(NAMES, SCALARS | TRANSFORMS | st.just(DELETE_FIELD), min_size=1, max_size=6)
CHANGES = st.recursive(
    VALUES | TRANSFORMS | st.just(DELETE_FIELD),
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(Entries),
    max_leaves=4,
)
VERSIONS = st.builds(Timestamp, seconds=st.integers(0, 2**33), nanos=NANOSECONDS)
CHANGED = st.dictionaries(NAMES, CHANGES, min_size=1, max_size=5)


def librarys(add: Callable[[AsyncWriteBatch], None]) -> Any:
    """The write that the client library makes."""
    batch = CLIENT.batch()
    add(batch)
    (write,) = batch._write_pbs
    return in_order(types.Write.pb(write))


def unchanged_since(version: Any) -> Any:
    """The client library's precondition, with the version as the library would have read it."""
    return CLIENT.write_option(last_update_time=DatetimeWithNanoseconds.from_timestamp_pb(version))


def in_order(write: Any) -> Any:
    """The same, as the order of its fields says nothing."""
    ordered = type(write)()
    ordered.CopyFrom(write)
    ordered.update_mask.field_paths.sort()
    ordered.update_transforms.sort(key=lambda transform: transform.field_path)
    if not write.HasField("update_mask"):
        ordered.ClearField("update_mask")
    return ordered


def by_path(fields: Mapping[str, object], *within: str) -> dict[str, object]:
    """The changes as the client library takes them."""
    flat: dict[str, object] = {}
    for name, value in fields.items():
        path = (*within, name)
        if isinstance(value, Entries):
            flat |= by_path(value.changes, *path)
        else:
            flat[FieldPath(*path).to_api_repr()] = value
    return flat


@examples(500)
@given(WHOLE)
def test_a_document_is_created(fields: dict[str, object]) -> None:
    made = writes.created(REFERENCE, fields)
    assert in_order(made) == librarys(lambda batch: batch.create(DOCUMENT, fields))


@examples(500)
@given(WHOLE)
def test_a_document_is_replaced(fields: dict[str, object]) -> None:
    made = writes.replaced(REFERENCE, fields)
    assert in_order(made) == librarys(lambda batch: batch.set(DOCUMENT, fields))


@examples(500)
@given(FLAT)
def test_fields_are_merged_into_a_document(fields: dict[str, object]) -> None:
    made = writes.merged(REFERENCE, fields)
    assert in_order(made) == librarys(lambda batch: batch.set(DOCUMENT, fields, merge=True))


@examples(500)
@given(CHANGED)
def test_fields_and_entries_of_maps_are_updated_if_the_document_is_there(
    fields: dict[str, object],
) -> None:
    made = writes.updated(REFERENCE, fields)
    assert in_order(made) == librarys(lambda batch: batch.update(DOCUMENT, by_path(fields)))


@examples(500)
@given(VERSIONS)
def test_a_document_is_updated_if_it_is_of_a_version(version: Any) -> None:
    option = unchanged_since(version)
    made = writes.updated(REFERENCE, {"a": 1}, moment_in(version))
    assert made == librarys(lambda batch: batch.update(DOCUMENT, {"a": 1}, option))


def test_a_document_is_deleted() -> None:
    assert writes.deleted(REFERENCE) == librarys(lambda batch: batch.delete(DOCUMENT))


@examples(500)
@given(VERSIONS)
def test_a_document_is_deleted_if_it_is_of_a_version(version: Any) -> None:
    option = unchanged_since(version)
    made = writes.deleted(REFERENCE, moment_in(version))
    assert made == librarys(lambda batch: batch.delete(DOCUMENT, option))


def test_an_update_of_nothing_leaves_the_document_as_it_is() -> None:
    # Without a mask, it would be written anew.
    assert writes.updated(REFERENCE, {}).HasField("update_mask")


@pytest.mark.parametrize("change", [DELETE_FIELD, Entries({"a": 1})])
def test_of_what_is_not_there_nothing_can_be_left(change: object) -> None:
    with pytest.raises(TypeError):
        writes.created(REFERENCE, {"calling": change})
