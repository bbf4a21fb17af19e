"""The embedded Firestore alone: its life, where its documents are, and what it cannot do."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.firestore_v1 import types

from infra.emulators.firestore import FirestoreServer
from infra.emulators.firestore.database import Clock
from infra.emulators.firestore.documents import Document, Documents
from tests.emulators.firestore.support import Db, make_client

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def db(embedded_firestore: str, project: str) -> AsyncIterator[Db]:
    opened = Db(make_client("async", embedded_firestore, project))
    yield opened
    await opened.close()


async def test_a_server_forgets_all_when_it_is_reset() -> None:
    async with FirestoreServer() as server:
        db = Db(make_client("async", server.address, "some-project"))
        await db.set("a/b", {"n": 1})
        response = await db.rpc("begin_transaction", database=db.database)
        server.reset()
        assert not (await db.get("a/b")).exists
        with pytest.raises(exceptions.InvalidArgument):
            await db.rpc("rollback", database=db.database, transaction=response.transaction)
        await db.close()


async def test_a_stopped_server_can_be_started_again_with_its_documents() -> None:
    server = FirestoreServer()
    for expected in (False, True):
        async with server:
            db = Db(make_client("async", server.address, "some-project"))
            assert (await db.get("a/b")).exists is expected
            await db.set("a/b", {"n": 1})
            await db.close()


async def test_nobody_answers_once_the_server_has_stopped() -> None:
    async with FirestoreServer() as server:
        host, port = server.address.split(":")
    with pytest.raises(OSError, match=port):
        await asyncio.open_connection(host, int(port))


async def test_two_servers_do_not_share_a_port() -> None:
    async with FirestoreServer() as server:
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(OSError, match=str(port)):
            await FirestoreServer(port=port).start()


def test_mock_firestore_keeps_the_documents() -> None:
    documents = Documents()
    documents.put(Document(("calls", "C"), {"status": "ringing"}, NOW, NOW))
    documents.put(Document(("calls", "C", "notes", "N"), {}, NOW, NOW))
    assert documents.mock.collection("calls").document("C").get().to_dict() == {"status": "ringing"}
    assert documents.get(("calls", "C", "notes", "N")) is not None
    documents.remove(("calls", "C"))
    assert documents.get(("calls", "C")) is None
    assert list(documents.collections()) == [("calls", "C", "notes")]


def test_what_a_reader_does_to_a_document_stays_with_the_reader() -> None:
    documents = Documents()
    fields = {"m": {"n": 1}}
    documents.put(Document(("a", "b"), fields, NOW, NOW))
    fields["m"]["n"] = 2
    read = documents.get(("a", "b"))
    assert read is not None
    read.fields["m"]["n"] = 3
    again = documents.get(("a", "b"))
    assert again is not None
    assert again.fields == {"m": {"n": 1}}


def test_the_clock_never_gives_a_time_twice() -> None:
    clock = Clock()
    times = [clock.tick() for _ in range(10_000)]
    assert times == sorted(set(times))
    assert clock.now() >= times[-1]


async def test_what_it_cannot_do_is_unimplemented(db: Db) -> None:
    query: dict[str, Any] = {"from_": [{"collection_id": "a"}]}
    nearest = {
        "vector_field": {"field_path": "v"},
        "query_vector": types.Value(integer_value=1),
        "distance_measure": 1,
        "limit": {"value": 1},
    }
    root = db.name("")
    for method, request in (
        ("partition_query", {"parent": root, "structured_query": query, "partition_count": 2}),
        ("run_query", {"parent": root, "structured_query": {**query, "find_nearest": nearest}}),
        ("run_query", {"parent": root, "structured_query": query, "explain_options": {}}),
        ("list_documents", {"parent": root, "collection_id": "a", "order_by": "n"}),
    ):
        with pytest.raises(exceptions.MethodNotImplemented, match="--google"):
            await db.rpc(method, **request)


async def test_a_request_above_ten_megabytes_is_refused(db: Db) -> None:
    fields = {"x": types.Value(string_value="x" * 1_000_000)}
    writes = [types.Write(update={"name": db.name(f"a/{n}"), "fields": fields}) for n in range(12)]
    with pytest.raises(exceptions.InvalidArgument):
        await db.rpc("commit", database=db.database, writes=writes)
    await db.rpc("commit", database=db.database, writes=writes[:10])


async def test_a_request_to_one_database_cannot_name_documents_of_another(db: Db) -> None:
    elsewhere = "projects/other/databases/(default)/documents/a/b"
    with pytest.raises(exceptions.InvalidArgument):
        await db.write(delete=elsewhere)
    with pytest.raises(exceptions.InvalidArgument):
        await db.rpc("batch_get_documents", database=db.database, documents=[elsewhere])


@pytest.mark.parametrize("bad_id", [".", "__x__", "____", "a" * 1501])
async def test_reading_an_id_that_cannot_exist_is_refused(db: Db, bad_id: str) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await db.get(f"a/{bad_id}")


async def test_the_past_can_be_read_only_while_nothing_has_changed_since(db: Db) -> None:
    async def read(at: datetime) -> Any:
        documents = [db.name("a/b")]
        [response] = await db.rpc(
            "batch_get_documents", database=db.database, documents=documents, read_time=at
        )
        return response

    written = (await db.set("a/b", {"n": 1})).update_time
    assert (await read(written)).found.name
    with pytest.raises(exceptions.MethodNotImplemented):
        await read(written - timedelta(microseconds=1))
    with pytest.raises(exceptions.FailedPrecondition):
        await read(written - timedelta(hours=2))
    with pytest.raises(exceptions.InvalidArgument):
        await read(written + timedelta(hours=2))
