"""The protobuf messages this server reads and answers, and how documents get into them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from google.cloud.firestore_v1.types import aggregation_result, document, firestore, write
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]  # no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no types

from infra.emulators.firestore import names
from infra.emulators.firestore.documents import Document
from infra.emulators.firestore.errors import RpcError
from infra.emulators.firestore.fields import only
from infra.emulators.firestore.names import DatabaseName, FieldPath
from infra.emulators.firestore.values import Value, encode, encode_fields, encode_time
from infra.emulators.firestore.writes import Outcome

# Protobuf's own classes, made at run time: a type checker knows nothing of their fields.
Message = Any
Mask = tuple[FieldPath, ...] | None  # None: all fields

BatchGetDocumentsRequest = firestore.BatchGetDocumentsRequest.pb()
BatchGetDocumentsResponse = firestore.BatchGetDocumentsResponse.pb()
BatchWriteRequest = firestore.BatchWriteRequest.pb()
BatchWriteResponse = firestore.BatchWriteResponse.pb()
BeginTransactionRequest = firestore.BeginTransactionRequest.pb()
BeginTransactionResponse = firestore.BeginTransactionResponse.pb()
CommitRequest = firestore.CommitRequest.pb()
CommitResponse = firestore.CommitResponse.pb()
CreateDocumentRequest = firestore.CreateDocumentRequest.pb()
DeleteDocumentRequest = firestore.DeleteDocumentRequest.pb()
GetDocumentRequest = firestore.GetDocumentRequest.pb()
ListCollectionIdsRequest = firestore.ListCollectionIdsRequest.pb()
ListCollectionIdsResponse = firestore.ListCollectionIdsResponse.pb()
ListDocumentsRequest = firestore.ListDocumentsRequest.pb()
ListDocumentsResponse = firestore.ListDocumentsResponse.pb()
ListenRequest = firestore.ListenRequest.pb()
ListenResponse = firestore.ListenResponse.pb()
RollbackRequest = firestore.RollbackRequest.pb()
RunAggregationQueryRequest = firestore.RunAggregationQueryRequest.pb()
RunAggregationQueryResponse = firestore.RunAggregationQueryResponse.pb()
RunQueryRequest = firestore.RunQueryRequest.pb()
RunQueryResponse = firestore.RunQueryResponse.pb()
UpdateDocumentRequest = firestore.UpdateDocumentRequest.pb()
WriteMessage = write.Write.pb()
WriteRequest = firestore.WriteRequest.pb()
WriteResponse = firestore.WriteResponse.pb()
_AggregationResult = aggregation_result.AggregationResult.pb()
_DocumentMessage = document.Document.pb()
_WriteResult = write.WriteResult.pb()


def document_message(database: DatabaseName, stored: Document, mask: Mask = None) -> Message:
    """Write a document, or the part of it that `mask` names."""
    return _DocumentMessage(
        name=names.resource_name(database, stored.path),
        fields=encode_fields(stored.fields if mask is None else only(stored.fields, mask)),
        create_time=encode_time(stored.create_time),
        update_time=encode_time(stored.update_time),
    )


def missing_document(name: str) -> Message:
    """Write a document that does not exist: it has a name and no times."""
    return _DocumentMessage(name=name)


def read_mask(request: Message) -> Mask:
    """Read the `mask` of a request; raises INVALID_ARGUMENT."""
    if not request.HasField("mask"):
        return None
    return tuple(names.parse_query_path(path) for path in request.mask.field_paths)


def write_result(outcome: Outcome) -> Message:
    """Write what a write has done; it has no time after a delete."""
    stored = outcome.document
    return _WriteResult(
        update_time=encode_time(stored.update_time) if stored else None,
        transform_results=[encode(result) for result in outcome.transform_results],
    )


def committed(at: datetime, outcomes: Iterable[Outcome]) -> dict[str, Message]:
    """Write what is the same in the answers to a Commit and to a request of a Write stream."""
    results = [write_result(outcome) for outcome in outcomes]
    return {"write_results": results, "commit_time": encode_time(at)}


def aggregation_message(results: dict[str, Value]) -> Message:
    return _AggregationResult(aggregate_fields=encode_fields(results))


def batch_write_response(outcomes: list[Outcome | RpcError]) -> Message:
    """Write one result and one status per write, in their order."""
    response = BatchWriteResponse()
    for outcome in outcomes:
        if isinstance(outcome, RpcError):
            response.write_results.add()
            response.status.append(status(outcome))
        else:
            response.write_results.append(write_result(outcome))
            response.status.append(Status())
    return response


def status(error: RpcError) -> Message:
    """Write an error that ends no RPC."""
    return Status(code=error.code.value[0], message=error.message)


def empty() -> Message:
    return Empty()
