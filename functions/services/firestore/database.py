"""A Firestore database: its name, and the three remote calls by which it is read and written."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property

import grpc
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport

from functions.services import rpc
from functions.services.firestore.values import Reference, Snapshot, snapshot_in
from functions.services.rpc import Headers, Message

_SERVICE = "/google.firestore.v1.Firestore"
_GetRequest = types.BatchGetDocumentsRequest.pb()
_GetReply = types.BatchGetDocumentsResponse.pb()
_QueryRequest = types.RunQueryRequest.pb()
_QueryReply = types.RunQueryResponse.pb()
_CommitRequest = types.CommitRequest.pb()
_CommitReply = types.CommitResponse.pb()

_OWNER = ("authorization", "Bearer owner")  # whom the rules of an emulator's database let pass


class Database:
    """Connects when it is first called. The calls raise GoogleAPICallError, RetryError and, where
    there are no credentials, GoogleAuthError."""

    def __init__(self, project: str, id: str = "(default)", emulator: str | None = None) -> None:
        """`emulator` is the address of one, as `127.0.0.1:8080`; None: the database is Google's."""
        self._name = f"projects/{project}/databases/{id}"
        self._root = f"{self._name}/documents"
        self._emulator = emulator

    def reference(self, collection: str, id: str) -> Reference:
        return Reference(f"{self._root}/{collection}/{id}")

    async def get(self, references: Sequence[Reference]) -> list[Snapshot | None]:
        """1 BatchGetDocuments. None for a document that is not there."""
        names = [reference.name for reference in references]
        found: dict[str, Snapshot | None] = {}
        for reply in await self._get(_GetRequest(database=self._name, documents=names)):
            if reply.HasField("found"):
                found[reply.found.name] = snapshot_in(reply.found)
            else:
                found[reply.missing] = None
        return [found[name] for name in names]  # they come in any order

    async def run(self, query: Message) -> list[Snapshot]:
        """1 RunQuery."""
        request = _QueryRequest(parent=self._root, structured_query=query)
        # A reply without a document says only how far the query has got.
        return [
            snapshot_in(reply.document)
            for reply in await self._run(request)
            if reply.HasField("document")
        ]

    async def commit(self, writes: Sequence[Message]) -> None:
        """1 Commit: all of the writes, or none."""
        await self._commit(_CommitRequest(database=self._name, writes=writes))

    @cached_property
    def _get(self) -> Callable[[Message], Awaitable[list[Message]]]:
        headers = self._headers(database=self._name)
        return rpc.streamed(self._channel, f"{_SERVICE}/BatchGetDocuments", _GetReply, headers)

    @cached_property
    def _run(self) -> Callable[[Message], Awaitable[list[Message]]]:
        headers = self._headers(parent=self._root)
        return rpc.streamed(self._channel, f"{_SERVICE}/RunQuery", _QueryReply, headers)

    @cached_property
    def _commit(self) -> Callable[[Message], Awaitable[Message]]:
        headers = self._headers(database=self._name)
        return rpc.unary(self._channel, f"{_SERVICE}/Commit", _CommitReply, headers)

    def _headers(self, **routed_by: str) -> Headers:
        prefix = ("google-cloud-resource-prefix", self._name)
        return [*rpc.headers(**routed_by), prefix, *([_OWNER] if self._emulator else [])]

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        if self._emulator:
            return grpc.aio.insecure_channel(self._emulator, options=rpc.OPTIONS)
        return FirestoreGrpcAsyncIOTransport.create_channel(options=rpc.OPTIONS)
