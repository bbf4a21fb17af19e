"""A database's calls, to a Firestore that replies as it may, though the emulators never do."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.firestore_v1 import types

from functions.services.firestore.database import Database
from functions.services.firestore.queries import Query, equals
from functions.services.firestore.values import put

SERVICE = "google.firestore.v1.Firestore"
ALL = Query("calls", equals("status", "ringing")).message()
QUERIED = types.RunQueryResponse.pb()
READ = types.BatchGetDocumentsResponse.pb()
COMMITTED = types.CommitResponse.pb()


def name_of(id: str) -> str:
    return f"projects/p/databases/other/documents/calls/{id}"


def document(id: str) -> Any:
    found = types.Document.pb()(name=name_of(id))
    put(id, found.fields["says"])
    return found


@dataclass
class Played:
    """A Firestore that gives the `replies`, one list a call; an error ends the stream."""

    replies: list[list[Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def stream(self, _: bytes, context: Any) -> AsyncIterator[bytes]:
        for reply in self._called(context):
            if isinstance(reply, grpc.StatusCode):
                await context.abort(reply, "broken")
            yield reply.SerializeToString()

    async def unary(self, _: bytes, context: Any) -> bytes:
        (reply,) = self._called(context)
        serialized: bytes = reply.SerializeToString()
        return serialized

    def _called(self, context: Any) -> Iterator[Any]:
        self.headers.append(dict(context.invocation_metadata()))
        return iter(self.replies.pop(0))


@pytest.fixture
async def played() -> Played:
    return Played()


@pytest.fixture
async def database(played: Played) -> AsyncIterator[Database]:
    server = grpc.aio.server()
    streams: Callable[[Any], Any] = grpc.unary_stream_rpc_method_handler
    handlers = {
        "RunQuery": streams(played.stream),
        "BatchGetDocuments": streams(played.stream),
        "Commit": grpc.unary_unary_rpc_method_handler(played.unary),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield Database("p", "other", f"127.0.0.1:{port}")
    await server.stop(None)


async def test_documents_are_given_in_the_order_in_which_they_were_asked_for(
    database: Database, played: Played
) -> None:
    played.replies = [
        [READ(found=document("3")), READ(missing=name_of("2")), READ(found=document("1"))]
    ]
    asked = [database.reference("calls", id) for id in ("1", "2", "3", "1")]
    found = await database.get(asked)
    assert [each and each.fields for each in found] == [
        {"says": "1"},
        None,
        {"says": "3"},
        {"says": "1"},
    ]


async def test_what_a_query_has_skipped_is_no_document(database: Database, played: Played) -> None:
    played.replies = [
        [
            QUERIED(skipped_results=7),
            QUERIED(document=document("1")),
            QUERIED(read_time={"seconds": 1}),
            QUERIED(document=document("2"), done=True),
        ]
    ]
    assert [each.id for each in await database.run(ALL)] == ["1", "2"]


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL])
async def test_a_stream_that_breaks_is_read_again_from_its_beginning(
    database: Database, played: Played, code: grpc.StatusCode
) -> None:
    whole = [QUERIED(document=document(id)) for id in ("1", "2")]
    played.replies = [[whole[0], code], [code], whole]
    assert [each.id for each in await database.run(ALL)] == ["1", "2"]
    assert len(played.headers) == 3


async def test_a_stream_that_ends_in_a_refusal_gives_nothing(
    database: Database, played: Played
) -> None:
    played.replies = [[QUERIED(document=document("1")), grpc.StatusCode.RESOURCE_EXHAUSTED]]
    with pytest.raises(exceptions.ResourceExhausted, match="broken"):
        await database.run(ALL)
    assert len(played.headers) == 1


async def test_each_call_says_what_it_is_routed_by_and_to_an_emulator_that_no_rule_concerns_it(
    database: Database, played: Played
) -> None:
    played.replies = [[READ(missing=name_of("1"))], [], [COMMITTED()]]
    await database.get([database.reference("calls", "1")])
    await database.run(ALL)
    await database.commit([])
    name = "projects/p/databases/other"
    assert [each["x-goog-request-params"] for each in played.headers] == [
        f"database={name}",
        f"parent={name}/documents",
        f"database={name}",
    ]
    for each in played.headers:
        assert each["google-cloud-resource-prefix"] == name
        assert each["authorization"] == "Bearer owner"
        assert each["x-goog-api-client"].startswith("unring gl-python/")
