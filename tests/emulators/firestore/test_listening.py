"""Listening with unmodified clients: both servers tell them the same."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from infra.emulators.firestore import FirestoreServer
from tests.emulators.firestore.listeners import KINDS, Listener, Report, Watched, listener
from tests.emulators.firestore.support import Db, make_client

RINGING = Watched("calls", where=(("status", "==", "ringing"),))
TWO_FIRST = Watched("calls", orders=(("at", "asc"),), limit=2)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, node_missing: str | None) -> str:
    if request.param != "python" and node_missing:
        pytest.skip(f"Node's clients can't run: {node_missing}")
    return str(request.param)


@pytest.fixture(params=["server", "web"])
def node_kind(request: pytest.FixtureRequest, node_missing: str | None) -> str:
    if node_missing:
        pytest.skip(f"Node's clients can't run: {node_missing}")
    return str(request.param)


@pytest.fixture
async def app(kind: str, firestore: str, project: str) -> AsyncIterator[Listener]:
    async with listener(kind, firestore, project) as app:
        yield app


@pytest.fixture
async def node_app(node_kind: str, firestore: str, project: str) -> AsyncIterator[Listener]:
    async with listener(node_kind, firestore, project) as app:
        yield app


async def test_of_a_document_every_change_is_told(app: Listener, async_db: Db) -> None:
    assert await app.listen("it", Watched("calls/C")) == Report()
    await async_db.set("calls/C", {"n": 1})
    assert await app.next("it") == Report([("C", {"n": 1})])
    await async_db.set("calls/C", {"n": 2, "more": ["x"]})
    assert await app.next("it") == Report([("C", {"n": 2, "more": ["x"]})])
    await async_db(async_db.doc("calls/C").delete)
    assert await app.next("it") == Report()
    await async_db.set("calls/C", {"n": 3})
    assert await app.next("it") == Report([("C", {"n": 3})])


async def test_a_document_that_exists_is_told_at_once(app: Listener, async_db: Db) -> None:
    await async_db.set("calls/C", {"n": 1})
    assert await app.listen("it", Watched("calls/C")) == Report([("C", {"n": 1})])


async def test_of_a_query_it_is_told_what_came_what_changed_and_what_went(
    app: Listener, async_db: Db
) -> None:
    await async_db.set("calls/A", {"status": "ringing"})
    await async_db.set("calls/B", {"status": "ended"})
    first = await app.listen("ringing", RINGING)
    assert first == Report([("A", {"status": "ringing"})], [("added", "A")])
    await async_db.set("calls/B", {"status": "ringing"})
    now = await app.next("ringing")
    assert (now.ids, now.changes) == (["A", "B"], [("added", "B")])
    await async_db.set("calls/A", {"status": "ringing", "n": 1})
    now = await app.next("ringing")
    assert now.docs[0] == ("A", {"status": "ringing", "n": 1})
    assert now.changes == [("modified", "A")]
    await async_db.set("calls/A", {"status": "ended"})
    now = await app.next("ringing")
    assert (now.ids, now.changes) == (["B"], [("removed", "A")])
    await async_db(async_db.doc("calls/B").delete)
    assert await app.next("ringing") == Report([], [("removed", "B")])


async def test_a_limit_lets_the_next_in_when_one_goes(app: Listener, async_db: Db) -> None:
    for name, at in (("A", 1), ("B", 2), ("C", 3)):
        await async_db.set(f"calls/{name}", {"at": at})
    assert (await app.listen("two", TWO_FIRST)).ids == ["A", "B"]
    await async_db(async_db.doc("calls/A").delete)
    now = await app.next("two")
    assert (now.ids, sorted(now.changes)) == (["B", "C"], [("added", "C"), ("removed", "A")])
    await async_db.set("calls/D", {"at": 0})
    now = await app.next("two")
    assert (now.ids, sorted(now.changes)) == (["D", "B"], [("added", "D"), ("removed", "C")])
    await async_db.set("calls/B", {"at": -1})
    now = await app.next("two")
    assert (now.ids, now.changes) == (["B", "D"], [("modified", "B")])


async def test_what_is_committed_together_is_told_together(
    kind: str, embedded_firestore: str, project: str
) -> None:
    # Google's emulator tells a web page in two steps.
    db = Db(make_client("async", embedded_firestore, project))
    await db.set("calls/A", {"status": "ringing"})
    async with listener(kind, embedded_firestore, project) as app:
        await app.listen("ringing", RINGING)
        batch = db.client.batch()
        batch.delete(db.doc("calls/A"))
        for name in ("B", "C"):
            batch.set(db.doc(f"calls/{name}"), {"status": "ringing"})
        await batch.commit()
        now = await app.next("ringing")
    assert now.ids == ["B", "C"]
    assert sorted(now.changes) == [("added", "B"), ("added", "C"), ("removed", "A")]
    await db.close()


async def test_a_client_listens_to_several_targets_and_stops_one(
    app: Listener, async_db: Db
) -> None:
    await async_db.set("calls/A", {"status": "ringing"})
    assert (await app.listen("ringing", RINGING)).ids == ["A"]
    assert (await app.listen("all", Watched("calls"))).ids == ["A"]
    assert (await app.listen("it", Watched("calls/A"))).ids == ["A"]
    await async_db.set("calls/A", {"status": "ended"})
    assert (await app.next("ringing")).ids == []
    assert (await app.next("all")).changes == [("modified", "A")]
    assert (await app.next("it")).docs == [("A", {"status": "ended"})]
    assert (await app.do("stop", name="all")).done
    await async_db.set("calls/A", {"status": "ringing"})
    assert (await app.next("ringing")).ids == ["A"]
    assert (await app.next("it")).docs == [("A", {"status": "ringing"})]
    assert app.nothing_more("all")


async def test_a_query_that_is_refused_fails_its_listener_alone(
    node_app: Listener, async_db: Db
) -> None:
    assert (await node_app.listen("it", Watched("calls/C"))).docs == []
    refused = Watched("calls", where=(("n", "!=", 1),), orders=(("__name__", "asc"),))
    assert "more fields after the key" in (await node_app.listen("refused", refused)).error
    await async_db.set("calls/C", {"n": 1})
    assert (await node_app.next("it")).ids == ["C"]


async def test_a_client_of_node_writes_reads_and_deletes(node_app: Listener, async_db: Db) -> None:
    assert (await node_app.do("set", "calls/C", fields={"n": 1})).done
    assert await async_db.fields("calls/C") == {"n": 1}
    assert await node_app.do("get", "calls/C") == Report([("C", {"n": 1})])
    assert (await node_app.do("delete", "calls/C")).done
    assert await node_app.do("get", "calls/C") == Report()
    assert await async_db.fields("calls/C") is None


async def test_a_listener_sees_what_the_client_itself_writes(node_app: Listener) -> None:
    await node_app.listen("all", Watched("calls"))
    assert (await node_app.do("set", "calls/C", fields={"n": 1})).done
    assert await node_app.next("all") == Report([("C", {"n": 1})], [("added", "C")])


async def test_a_listener_goes_on_where_the_server_comes_back(kind: str, project: str) -> None:
    async with FirestoreServer() as documents:
        db = Db(make_client("async", documents.address, project))
        for name in ("gone", "changed", "same"):
            await db.set(f"calls/{name}", {"n": 1})
        server = FirestoreServer(beside=documents)
        await server.start()
        async with listener(kind, server.address, project) as app:
            assert len((await app.listen("all", Watched("calls"))).docs) == 3
            await server.stop()
            await db(db.doc("calls/gone").delete)
            await db.set("calls/changed", {"n": 2})
            await server.start()
            # A web page asks once more for what it no longer finds, and shows it until then.
            await app.until("all", [("changed", {"n": 2}), ("same", {"n": 1})])
            await db.set("calls/changed", {"n": 3})
            await app.until("all", [("changed", {"n": 3}), ("same", {"n": 1})])
        await server.stop()
        await db.close()


async def test_a_listener_is_told_when_the_server_is_reset(kind: str, project: str) -> None:
    async with FirestoreServer() as server:
        db = Db(make_client("async", server.address, project))
        await db.set("calls/C", {"n": 1})
        async with listener(kind, server.address, project) as app:
            assert (await app.listen("all", Watched("calls"))).ids == ["C"]
            server.reset()
            assert await app.next("all") == Report([], [("removed", "C")])
            await db.set("calls/C", {"n": 2})
            assert (await app.next("all")).docs == [("C", {"n": 2})]
        await db.close()


async def test_ten_clients_at_once_are_told_the_same(embedded_firestore: str, project: str) -> None:
    clients = [listener("python", embedded_firestore, project) for _ in range(10)]
    apps = await asyncio.gather(*(client.__aenter__() for client in clients))
    await asyncio.gather(*(app.listen("all", Watched("calls")) for app in apps))
    db = Db(make_client("async", embedded_firestore, project))
    await db.set("calls/C", {"n": 1})
    told = await asyncio.gather(*(app.next("all") for app in apps))
    assert told == [Report([("C", {"n": 1})], [("added", "C")])] * 10
    await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))
    await db.close()
