"""Transactions of the unmodified library: the same on both servers, but for who has to wait.

Google's emulator locks what a transaction reads; the embedded one aborts the later commit.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore as library
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.base_query import FieldFilter

from tests.emulators.firestore.support import Db, make_client


async def increment(db: Db, path: str, attempts: int = 30) -> None:
    """Read a counter and write it plus one, as an application does."""
    reference = db.doc(path)
    if isinstance(db.client, library.Client):

        @library.transactional
        def step(transaction: Any) -> None:
            count = reference.get(transaction=transaction).get("n")
            transaction.update(reference, {"n": count + 1})

        await asyncio.to_thread(step, db.client.transaction(max_attempts=attempts))
        return

    @library.async_transactional
    async def async_step(transaction: Any) -> None:
        snapshot = await reference.get(transaction=transaction)
        transaction.update(reference, {"n": snapshot.get("n") + 1})

    await async_step(db.client.transaction(max_attempts=attempts))


async def begin(db: Db, **options: Any) -> bytes:
    response = await db.rpc("begin_transaction", database=db.database, options=options)
    transaction: bytes = response.transaction
    return transaction


async def read(db: Db, transaction: bytes, *paths: str) -> list[int | None]:
    """Read the field `n` of documents in a transaction, None for those that do not exist."""
    numbers = []
    for path in paths:
        [response] = await db.rpc(
            "batch_get_documents",
            database=db.database,
            documents=[db.name(path)],
            transaction=transaction,
        )
        found = response.found.fields.get("n")
        numbers.append(None if found is None else found.integer_value)
    return numbers


async def commit(db: Db, transaction: bytes, *paths: str) -> Any:
    """Set the field `n` of documents to 100 and end the transaction."""
    fields = {"n": types.Value(integer_value=100)}
    writes = [types.Write(update={"name": db.name(path), "fields": fields}) for path in paths]
    return await db.rpc("commit", database=db.database, writes=writes, transaction=transaction)


async def test_a_transaction_reads_and_writes(db: Db) -> None:
    await db.set("a/b", {"n": 1})
    await increment(db, "a/b")
    assert await db.fields("a/b") == {"n": 2}


async def test_no_increment_is_lost_when_transactions_meet(
    async_db: Db, connect: Callable[..., Db]
) -> None:
    await async_db.set("a/b", {"n": 0})
    blocking = connect("sync")
    await asyncio.gather(increment(async_db, "a/b"), increment(blocking, "a/b"))
    await blocking.close()
    assert await async_db.fields("a/b") == {"n": 2}


async def test_a_transaction_that_raises_writes_nothing(async_db: Db) -> None:
    @library.async_transactional
    async def step(transaction: Any) -> None:
        transaction.set(async_db.doc("a/b"), {"n": 1})
        raise LookupError

    with pytest.raises(LookupError):
        await step(async_db.client.transaction())
    assert not (await async_db.get("a/b")).exists


async def test_what_the_transaction_did_not_read_may_change(async_db: Db) -> None:
    db = async_db
    await db.set("a/read", {"n": 1})
    transaction = await begin(db)
    assert await read(db, transaction, "a/read") == [1]
    await db.set("a/other", {"n": 1})
    await commit(db, transaction, "a/read", "a/other")
    assert await db.fields("a/other") == {"n": 100}


async def test_a_read_only_transaction_sees_one_moment(async_db: Db) -> None:
    db = async_db
    for path in ("a/1", "a/2", "a/3"):
        await db.set(path, {"n": 1})
    transaction = await begin(db, read_only={})
    assert await read(db, transaction, "a/1") == [1]
    batch = db.client.batch()
    batch.update(db.doc("a/1"), {"n": 2})
    batch.update(db.doc("a/2"), {"n": 2})
    batch.delete(db.doc("a/3"))
    batch.set(db.doc("a/4"), {"n": 2})
    await batch.commit()
    assert await read(db, transaction, "a/1", "a/2", "a/3", "a/4") == [1, 1, 1, None]
    query = {"from_": [{"collection_id": "a"}]}
    responses = await db.rpc(
        "run_query", parent=db.name(""), structured_query=query, transaction=transaction
    )
    seen = {r.document.name: r.document.fields["n"].integer_value for r in responses}
    assert seen == {db.name(path): 1 for path in ("a/1", "a/2", "a/3")}


async def test_a_read_only_transaction_may_not_write(async_db: Db) -> None:
    transaction = await begin(async_db, read_only={})
    with pytest.raises(exceptions.InvalidArgument):
        await commit(async_db, transaction, "a/b")
    assert not (await async_db.get("a/b")).exists


async def test_a_transaction_ends_once(async_db: Db) -> None:
    db = async_db
    transaction = await begin(db)
    await commit(db, transaction, "a/b")
    with pytest.raises(exceptions.InvalidArgument):
        await commit(db, transaction, "a/b")
    with pytest.raises(exceptions.InvalidArgument):
        await read(db, transaction, "a/b")
    transaction = await begin(db)
    for _ in range(2):
        await db.rpc("rollback", database=db.database, transaction=transaction)
    with pytest.raises(exceptions.InvalidArgument):
        await commit(db, transaction, "a/b")


async def test_a_failed_commit_ends_the_transaction(async_db: Db) -> None:
    db = async_db
    transaction = await begin(db)
    missing = types.Write(update={"name": db.name("a/b")}, current_document={"exists": True})
    with pytest.raises(exceptions.NotFound):
        await db.rpc("commit", database=db.database, writes=[missing], transaction=transaction)
    with pytest.raises(exceptions.InvalidArgument):
        await commit(db, transaction)


async def test_a_transaction_that_never_began_is_refused(async_db: Db) -> None:
    db = async_db
    with pytest.raises(exceptions.InvalidArgument):
        await commit(db, b"bogus")
    with pytest.raises(exceptions.InvalidArgument):
        await read(db, b"bogus", "a/b")
    with pytest.raises(exceptions.InvalidArgument):
        await db.rpc("rollback", database=db.database, transaction=b"bogus")


async def test_a_read_can_begin_a_transaction(async_db: Db) -> None:
    db = async_db
    await db.set("a/b", {"n": 1})
    new: dict[str, Any] = {"new_transaction": {"read_write": {}}}
    first, found = await db.rpc(
        "batch_get_documents", database=db.database, documents=[db.name("a/b")], **new
    )
    assert found.found.name == db.name("a/b")
    await commit(db, first.transaction, "a/b")
    query = {"from_": [{"collection_id": "a"}]}
    first, found = await db.rpc("run_query", parent=db.name(""), structured_query=query, **new)
    assert found.document.name == db.name("a/b")
    await commit(db, first.transaction)


@pytest.fixture
async def embedded(embedded_firestore: str, project: str) -> AsyncIterator[Db]:
    opened = Db(make_client("async", embedded_firestore, project))
    yield opened
    await opened.close()


@pytest.mark.parametrize("change", ["update", "delete", "create"])
async def test_a_commit_is_aborted_when_what_it_read_has_changed(embedded: Db, change: str) -> None:
    db = embedded
    if change != "create":
        await db.set("a/read", {"n": 1})
    transaction = await begin(db)
    await read(db, transaction, "a/read")
    if change == "delete":
        await db(db.doc("a/read").delete)
    else:
        await db.set("a/read", {"n": 2})
    with pytest.raises(exceptions.Aborted):
        await commit(db, transaction, "a/written")
    assert not (await db.get("a/written")).exists


async def test_a_commit_is_aborted_when_its_query_would_find_something_else(embedded: Db) -> None:
    db = embedded
    query = db.client.collection("a").where(filter=FieldFilter("n", "==", 1))
    for path, conflicts in (("a/other", False), ("a/match", True)):
        transaction = db.client.transaction()
        await transaction._begin()
        await query.get(transaction=transaction)
        await db.set(path, {"n": 1 if conflicts else 2})
        transaction.set(db.doc("a/written"), {"n": 0})
        if conflicts:
            with pytest.raises(exceptions.Aborted):
                await transaction._commit()
        else:
            await transaction._commit()


async def test_no_increment_of_many_is_lost(embedded: Db) -> None:
    await embedded.set("a/b", {"n": 0})
    await asyncio.gather(*(increment(embedded, "a/b") for _ in range(20)))
    assert await embedded.fields("a/b") == {"n": 20}
