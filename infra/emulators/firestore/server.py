"""The gRPC server of the embedded Firestore, on a loopback socket."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Self

import grpc

from infra.emulators.firestore import messages
from infra.emulators.firestore.errors import RpcError, invalid
from infra.emulators.firestore.messages import Message
from infra.emulators.firestore.service import FirestoreService
from infra.emulators.unplayed import UnplayedRpcs

SERVICE_NAME = "google.firestore.v1.Firestore"
MAX_REQUEST_BYTES = 11_534_336  # the "10 MiB" of the documentation, with Google's overhead
_MAX_FRAME_BYTES = 64 << 20  # above the limit, so that the handler can say what is wrong
_GRACE_SECONDS = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rpc:
    """How one RPC is served: `handle` takes the request and returns the response.

    The handler of one that `streams` returns a list of responses, that of a `duplex` one takes an
    iterator of requests and yields responses.
    """

    handle: Callable[[Any], Any]
    request_class: Message
    streams: bool = False
    duplex: bool = False


class FirestoreServer:
    """Firestore for an unmodified client whose FIRESTORE_EMULATOR_HOST is `address`.

    Use it as `async with FirestoreServer() as server`, or call `start` and `stop`. RPCs it does not
    play (PartitionQuery, ExecutePipeline) answer UNIMPLEMENTED.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        interceptors: Sequence[Any] = (),
        beside: "FirestoreServer | None" = None,
    ) -> None:
        """`interceptors` (grpc.aio.ServerInterceptor) see every RPC before it is served. A server
        `beside` another serves the same documents, at another address."""
        self._interceptors = interceptors
        self._host = host
        self._port = port
        self._service: FirestoreService = beside._service if beside else FirestoreService()
        self._server: Any = None

    @property
    def address(self) -> str:
        """`host:port`, once started."""
        return f"{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken. Port 0 picks a free one."""
        server = grpc.aio.server(
            interceptors=self._interceptors,
            options=[
                ("grpc.so_reuseport", 0),  # else a second server would share a taken port silently
                ("grpc.max_receive_message_length", _MAX_FRAME_BYTES),
                ("grpc.max_send_message_length", -1),
            ],
        )
        handlers = {name: self._method(name, rpc) for name, rpc in _rpcs(self._service).items()}
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(SERVICE_NAME, handlers),
                UnplayedRpcs("The embedded Firestore"),
            )
        )
        try:
            self._port = server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise OSError(f"Firestore can't listen on {self.address}") from error
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Answer what is under way and close every connection.

        The documents stay, and the port is the same when it is started again.
        """
        if self._server is not None:
            await self._server.stop(grace=_GRACE_SECONDS)
            self._server = None

    def reset(self) -> None:
        """Forget every document of every project."""
        self._service.reset()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _enter(self, name: str, serving: Awaitable[Any], context: Any) -> Any:
        """Serve one RPC. All of them enter here, and every error leaves as a gRPC status."""
        try:
            return await serving
        except RpcError as error:
            code, message = error.code, error.message
        except Exception:
            # A bug of ours: the client sees a broken backend, the log has the rest.
            log.exception("the embedded Firestore failed in %s", name)
            code, message = grpc.StatusCode.INTERNAL, f"{name} failed; see the log of the server."
        return await context.abort(code, message)

    def _method(self, name: str, rpc: Rpc) -> Any:
        async def unary(request: Message, context: Any) -> Message:
            return await self._enter(name, _answer(rpc, request), context)

        async def stream(request: Message, context: Any) -> AsyncIterator[Message]:
            for response in await self._enter(name, _answer(rpc, request), context):
                yield response

        async def duplex(requests: AsyncIterator[Message], context: Any) -> None:
            await self._enter(name, _converse(rpc, requests, context), context)

        as_bytes = {
            "request_deserializer": rpc.request_class.FromString,
            "response_serializer": _serialize,
        }
        if rpc.duplex:
            return grpc.stream_stream_rpc_method_handler(duplex, **as_bytes)
        if rpc.streams:
            return grpc.unary_stream_rpc_method_handler(stream, **as_bytes)
        return grpc.unary_unary_rpc_method_handler(unary, **as_bytes)


async def _answer(rpc: Rpc, request: Message) -> Any:
    _check_size(request)
    return rpc.handle(request)


async def _converse(rpc: Rpc, requests: AsyncIterator[Message], context: Any) -> None:
    async def checked() -> AsyncIterator[Message]:
        async for request in requests:
            _check_size(request)
            yield request

    # Closed with the RPC, however it ends: nobody listens any more.
    async with aclosing(rpc.handle(checked())) as responses:
        async for response in responses:
            await context.write(response)


def _check_size(request: Message) -> None:
    if request.ByteSize() > MAX_REQUEST_BYTES:
        raise invalid(f"Request payload size exceeds the limit: {MAX_REQUEST_BYTES} bytes.")


def _serialize(response: Message) -> bytes:
    serialized: bytes = response.SerializeToString()
    return serialized


def _rpcs(service: FirestoreService) -> dict[str, Rpc]:
    return {
        "BatchGetDocuments": Rpc(
            service.batch_get_documents, messages.BatchGetDocumentsRequest, streams=True
        ),
        "BatchWrite": Rpc(service.batch_write, messages.BatchWriteRequest),
        "BeginTransaction": Rpc(service.begin_transaction, messages.BeginTransactionRequest),
        "Commit": Rpc(service.commit, messages.CommitRequest),
        "CreateDocument": Rpc(service.create_document, messages.CreateDocumentRequest),
        "DeleteDocument": Rpc(service.delete_document, messages.DeleteDocumentRequest),
        "GetDocument": Rpc(service.get_document, messages.GetDocumentRequest),
        "ListCollectionIds": Rpc(service.list_collection_ids, messages.ListCollectionIdsRequest),
        "ListDocuments": Rpc(service.list_documents, messages.ListDocumentsRequest),
        "Listen": Rpc(service.listen, messages.ListenRequest, duplex=True),
        "Rollback": Rpc(service.rollback, messages.RollbackRequest),
        "RunAggregationQuery": Rpc(
            service.run_aggregation_query, messages.RunAggregationQueryRequest, streams=True
        ),
        "RunQuery": Rpc(service.run_query, messages.RunQueryRequest, streams=True),
        "UpdateDocument": Rpc(service.update_document, messages.UpdateDocumentRequest),
        "Write": Rpc(service.write, messages.WriteRequest, duplex=True),
    }
