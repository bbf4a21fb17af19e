"""The streams below the clients' listeners and writes, message by message."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.firestore_v1 import types

from tests.emulators.firestore.support import Db, make_client
from tests.support.pace import PATIENCE_SECONDS

NOW = ("NO_CHANGE",)  # of no target: what was told is one snapshot of all


class Stream:
    """One RPC to which both sides stream, `method` of the generated client."""

    def __init__(self, db: Db, method: str) -> None:
        self._db = db
        self._method = method
        self._requests: asyncio.Queue[Any] = asyncio.Queue()
        self._responses: asyncio.Task[Any] | None = None

    def say(self, **request: Any) -> None:
        """Send a request to the client's database, unless it is to another."""
        self._requests.put_nowait({"database": self._db.database, **request})
        if self._responses is None:
            self._responses = asyncio.create_task(self._opened())

    def finish(self) -> None:
        self._requests.put_nowait(None)

    async def hear(self) -> Any:
        """The next response; raises what ends the stream, StopAsyncIteration for no error."""
        assert self._responses
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await anext(await self._responses)

    async def _opened(self) -> Any:
        # What is refused at once may be raised here already.
        method = getattr(self._db.client._firestore_api, self._method)
        call = await method(requests=self._sent(), metadata=self._db.client._rpc_metadata)
        return aiter(call)

    async def _sent(self) -> AsyncIterator[Any]:
        make = {"listen": types.ListenRequest, "write": types.WriteRequest}[self._method]
        while (request := await self._requests.get()) is not None:
            yield make(**request)


class Listen(Stream):
    """A stream of what is listened to, its responses in short: ("ADD", 1), ("C", "change", 1)."""

    async def told(self, count: int) -> list[tuple[Any, ...]]:
        return [_short(await self.hear()) for _ in range(count)]

    def add(self, target: int, *documents: str, **more: Any) -> None:
        named = {"documents": [self._db.name(each) for each in documents]}
        self.say(add_target={"documents": named, "target_id": target, **more})

    def query(self, target: int, collection: str, **more: Any) -> None:
        query = {"from_": [{"collection_id": collection}], **more}
        wanted = {"parent": self._db.name(""), "structured_query": query}
        self.say(add_target={"query": wanted, "target_id": target})


def _short(response: types.ListenResponse) -> tuple[Any, ...]:
    match types.ListenResponse.pb(response).WhichOneof("response_type"):
        case "target_change":
            change = response.target_change
            return (change.target_change_type.name, *change.target_ids)
        case "document_change":
            changed = response.document_change
            return (_id(changed.document.name), "change", *changed.target_ids)
        case "document_delete":
            gone = response.document_delete
            return (_id(gone.document), "delete", *gone.removed_target_ids)
        case "document_remove":
            removed = response.document_remove
            return (_id(removed.document), "remove", *removed.removed_target_ids)
    raise AssertionError(response)


def _id(name: str) -> str:
    return name.rpartition("/")[2]


@pytest.fixture
async def embedded_db(embedded_firestore: str, project: str) -> AsyncIterator[Db]:
    opened = Db(make_client("async", embedded_firestore, project))
    yield opened
    await opened.close()


async def test_a_document_is_told_of_with_its_target_and_then_the_snapshot(async_db: Db) -> None:
    stream = Listen(async_db, "listen")
    stream.add(3, "calls/C")
    assert await stream.told(4) == [("ADD", 3), ("C", "delete", 3), ("CURRENT", 3), NOW]
    await async_db.set("calls/C", {"n": 1})
    assert await stream.told(2) == [("C", "change", 3), NOW]
    await async_db(async_db.doc("calls/C").delete)
    assert await stream.told(2) == [("C", "delete", 3), NOW]
    stream.finish()
    with pytest.raises(StopAsyncIteration):
        await stream.hear()


async def test_a_target_that_was_removed_is_told_of_no_more(async_db: Db) -> None:
    stream = Listen(async_db, "listen")
    stream.add(1, "calls/A")
    stream.add(2, "calls/B")
    await stream.told(8)
    stream.say(remove_target=1)
    assert await stream.told(1) == [("REMOVE", 1)]
    stream.say(remove_target=7)  # which there is not
    await async_db.set("calls/A", {})
    await async_db.set("calls/B", {})
    assert await stream.told(2) == [("B", "change", 2), NOW]
    stream.finish()


async def test_a_target_without_a_number_is_given_one(async_db: Db) -> None:
    stream = Listen(async_db, "listen")
    stream.add(0, "calls/A")
    assert await stream.told(4) == [("ADD", 1), ("A", "delete", 1), ("CURRENT", 1), NOW]
    stream.finish()


async def test_who_listens_again_hears_everything_after_a_reset(async_db: Db) -> None:
    await async_db.set("calls/A", {})
    stream = Listen(async_db, "listen")
    stream.add(1, "calls/A", resume_token=b"whatever")
    told = await stream.told(5)
    assert told == [("ADD", 1), ("RESET", 1), ("A", "change", 1), ("CURRENT", 1), NOW]
    stream.finish()


async def test_a_target_that_is_refused_is_removed_and_leaves_the_others(async_db: Db) -> None:
    stream = Listen(async_db, "listen")
    stream.add(1, "calls/A")
    await stream.told(4)
    without_operator = {
        "field_filter": {"field": {"field_path": "n"}, "value": {"integer_value": 1}}
    }
    stream.query(2, "calls", where=without_operator)
    assert await stream.told(1) == [("ADD", 2)]
    removed = (await stream.hear()).target_change
    assert (removed.target_ids, removed.cause.code) == ([2], 3)
    assert "FieldFilter" in removed.cause.message
    await async_db.set("calls/A", {})
    assert await stream.told(2) == [("A", "change", 1), NOW]
    stream.finish()


async def test_what_a_query_no_longer_finds_is_removed_and_not_deleted(embedded_db: Db) -> None:
    # Google's emulator resets the target instead.
    await embedded_db.set("calls/B", {})
    stream = Listen(embedded_db, "listen")
    stream.query(1, "calls", limit={"value": 1})
    await stream.told(4)
    await embedded_db.set("calls/A", {})
    assert await stream.told(3) == [("B", "remove", 1), ("A", "change", 1), NOW]
    await embedded_db.set("calls/Z", {})  # of which there is nothing to tell
    await embedded_db(embedded_db.doc("calls/A").delete)
    assert await stream.told(3) == [("A", "delete", 1), ("B", "change", 1), NOW]
    stream.finish()


async def test_a_snapshot_has_the_time_of_its_commit_and_a_token(embedded_db: Db) -> None:
    stream = Listen(embedded_db, "listen")
    stream.add(1, "calls/A")
    told = [(await stream.hear()).target_change for _ in range(4)]
    current, snapshot = told[2:]
    assert current.read_time == snapshot.read_time
    assert current.resume_token
    written = (await embedded_db.set("calls/A", {})).update_time
    await stream.hear()
    committed = (await stream.hear()).target_change
    assert committed.read_time == written
    assert committed.read_time > snapshot.read_time
    assert committed.resume_token not in {b"", snapshot.resume_token}
    stream.finish()


async def test_a_target_that_is_wanted_once_is_removed_when_it_was_told_of(
    embedded_db: Db,
) -> None:
    stream = Listen(embedded_db, "listen")
    stream.add(1, "calls/A", once=True)
    assert (await stream.told(5))[3:] == [NOW, ("REMOVE", 1)]
    stream.finish()


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"add_target": {"documents": {}, "target_id": 1}},
        {"remove_target": 1, "database": "projects/other/databases/(default)"},
    ],
    ids=["no target", "a target twice", "another database"],
)
async def test_a_request_that_makes_no_sense_ends_the_stream(
    embedded_db: Db, request_: dict[str, Any]
) -> None:
    stream = Listen(embedded_db, "listen")
    stream.add(1, "calls/A")
    await stream.told(4)
    stream.say(**request_)
    with pytest.raises(exceptions.InvalidArgument):
        await stream.hear()


async def test_writes_come_in_one_stream_after_a_handshake(async_db: Db) -> None:
    stream = Stream(async_db, "write")
    stream.say()
    opened = await stream.hear()
    assert opened.stream_token
    assert not opened.write_results
    for n in (1, 2):
        fields = {"n": types.Value(integer_value=n)}
        update = {"name": async_db.name("calls/C"), "fields": fields}
        stream.say(writes=[{"update": update}], stream_token=opened.stream_token)
        written = await stream.hear()
        assert written.stream_token
        assert written.write_results[0].update_time == written.commit_time
        assert await async_db.fields("calls/C") == {"n": n}
    stream.finish()
    with pytest.raises(StopAsyncIteration):
        await stream.hear()


async def test_a_write_that_fails_ends_its_stream(async_db: Db) -> None:
    stream = Stream(async_db, "write")
    stream.say()
    token = (await stream.hear()).stream_token
    update = {"name": async_db.name("calls/C")}
    missing = {"update": update, "current_document": {"exists": True}}
    stream.say(writes=[missing], stream_token=token)
    with pytest.raises(exceptions.NotFound):
        await stream.hear()


async def test_a_handshake_holds_no_writes(async_db: Db) -> None:
    stream = Stream(async_db, "write")
    stream.say(writes=[{"delete": async_db.name("calls/C")}])
    with pytest.raises(exceptions.InvalidArgument):
        await stream.hear()


async def test_a_stream_of_writes_is_not_resumed(embedded_db: Db) -> None:
    stream = Stream(embedded_db, "write")
    stream.say(stream_id="x", stream_token=b"y")
    with pytest.raises(exceptions.MethodNotImplemented, match="--google"):
        await stream.hear()


async def test_a_request_in_a_stream_has_at_most_ten_megabytes(embedded_db: Db) -> None:
    stream = Stream(embedded_db, "write")
    stream.say()
    token = (await stream.hear()).stream_token
    fields = {"x": types.Value(string_value="x" * 1_000_000)}
    writes = [{"update": {"name": embedded_db.name(f"a/{n}"), "fields": fields}} for n in range(12)]
    stream.say(writes=writes, stream_token=token)
    with pytest.raises(exceptions.InvalidArgument, match="payload"):
        await stream.hear()
