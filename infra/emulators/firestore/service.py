"""The RPCs of Firestore: protobuf requests in, protobuf responses out. No network."""

import secrets
import string
from collections.abc import AsyncIterator
from typing import cast

from infra.emulators.firestore import (
    aggregations,
    listening,
    listing,
    messages,
    names,
    queries,
    values,
)
from infra.emulators.firestore.database import Clock, Database, TransactionId
from infra.emulators.firestore.documents import Document
from infra.emulators.firestore.errors import RpcError, invalid, not_found, unimplemented
from infra.emulators.firestore.messages import Mask, Message
from infra.emulators.firestore.names import DatabaseName
from infra.emulators.firestore.queries import Query, Source
from infra.emulators.firestore.values import encode_time
from infra.emulators.firestore.writes import (
    Outcome,
    Precondition,
    Write,
    parse_precondition,
    parse_write,
)

_AUTO_ID_LENGTH = 20
_AUTO_ID_CHARACTERS = string.ascii_letters + string.digits


class FirestoreService:
    """All databases of all projects, each made when it is first named, as Google's emulator does.

    A handler of a streaming RPC returns the list of its responses; where the client streams too, it
    takes an iterator of requests and yields responses. Any may raise RpcError.
    """

    def __init__(self) -> None:
        self._clock = Clock()
        self._databases: dict[DatabaseName, Database] = {}

    def reset(self) -> None:
        """Forget every document and every transaction."""
        for database in self._databases.values():
            database.clear()

    def database(self, name: DatabaseName) -> Database:
        return self._databases.setdefault(name, Database(self._clock))

    def batch_get_documents(self, request: Message) -> list[Message]:
        name = names.parse_database(request.database)
        paths = [names.document_path_in(name, document) for document in request.documents]
        mask = messages.read_mask(request)
        database = self.database(name)
        transaction, opened = _reading(database, request)
        read_time = encode_time(database.read_time())
        responses = [messages.BatchGetDocumentsResponse(transaction=opened)] if opened else []
        for path in dict.fromkeys(paths):
            response = messages.BatchGetDocumentsResponse(read_time=read_time)
            if stored := database.get(path, transaction):
                response.found.CopyFrom(messages.document_message(name, stored, mask))
            else:
                response.missing = names.resource_name(name, path)
            responses.append(response)
        return responses

    def get_document(self, request: Message) -> Message:
        name, path = names.parse_document(request.name)
        mask = messages.read_mask(request)
        database = self.database(name)
        transaction, _ = _reading(database, request)
        stored = database.get(path, transaction)
        if stored is None:
            raise not_found(f"Document ({request.name}) not found.")
        return messages.document_message(name, stored, mask)

    def run_query(self, request: Message) -> list[Message]:
        query = _query(request, request)
        database = self.database(query.database)
        transaction, opened = _reading(database, request)
        found = database.run(query.run, transaction)
        read_time = encode_time(database.read_time())
        responses = [
            messages.RunQueryResponse(
                document=messages.document_message(query.database, stored, query.projection),
                read_time=read_time,
            )
            for stored in found.documents
        ] or [messages.RunQueryResponse(read_time=read_time)]
        responses[0].skipped_results = found.skipped
        responses[-1].done = True
        return [messages.RunQueryResponse(transaction=opened), *responses] if opened else responses

    def run_aggregation_query(self, request: Message) -> list[Message]:
        query = _query(request, request.structured_aggregation_query)
        asked = aggregations.parse_aggregations(request.structured_aggregation_query.aggregations)
        database = self.database(query.database)
        transaction, opened = _reading(database, request)
        found = database.run(query.run, transaction)
        return [
            messages.RunAggregationQueryResponse(
                result=messages.aggregation_message(aggregations.aggregate(asked, found.documents)),
                transaction=opened,
                read_time=encode_time(database.read_time()),
            )
        ]

    def list_documents(self, request: Message) -> Message:
        name, parent = names.parse_parent(request.parent)
        if request.order_by or not request.collection_id:
            raise unimplemented("Documents are listed by one collection, in the order of names.")
        names.check_collection_id(request.collection_id)
        mask = messages.read_mask(request)
        page = listing.parse_page(request.page_size, request.page_token)
        database = self.database(name)
        transaction, _ = _reading(database, request)
        query = Query(name, Source(parent, request.collection_id, all_descendants=False))
        found = {
            stored.path[-1]: stored for stored in database.run(query.run, transaction).documents
        }
        collection = (*parent, request.collection_id)
        collections = database.documents.collections() if request.show_missing else ()
        shown, token = listing.cut({*found, *listing.ids_below(collections, collection)}, page)
        entries = [
            messages.document_message(name, found[entry], mask)
            if entry in found
            else messages.missing_document(names.resource_name(name, (*collection, entry)))
            for entry in shown
        ]
        return messages.ListDocumentsResponse(documents=entries, next_page_token=token)

    def list_collection_ids(self, request: Message) -> Message:
        name, parent = names.parse_parent(request.parent)
        page = listing.parse_page(request.page_size, request.page_token)
        database = self.database(name)
        _reading(database, request)
        ids = listing.ids_below(database.documents.collections(), parent)
        shown, token = listing.cut(ids, page)
        return messages.ListCollectionIdsResponse(collection_ids=shown, next_page_token=token)

    def begin_transaction(self, request: Message) -> Message:
        database = self.database(names.parse_database(request.database))
        return messages.BeginTransactionResponse(transaction=_begin(database, request.options))

    def rollback(self, request: Message) -> Message:
        self.database(names.parse_database(request.database)).rollback(request.transaction)
        return messages.empty()

    def commit(self, request: Message) -> Message:
        name = names.parse_database(request.database)
        changes = [parse_write(name, change) for change in request.writes]
        commit = self.database(name).commit(changes, request.transaction)
        return messages.CommitResponse(**messages.committed(commit.time, commit.outcomes))

    def batch_write(self, request: Message) -> Message:
        """Apply each write alone: some may fail, each with its own status."""
        name = names.parse_database(request.database)
        changes = [parse_write(name, change) for change in request.writes]
        if len({change.path for change in changes}) < len(changes):
            raise invalid("the same document cannot be written more than once in a single request")
        return messages.batch_write_response([self._write_alone(name, c) for c in changes])

    async def write(self, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        """Commit what each request holds; the first only opens the stream.

        Whatever can't be committed ends the stream. A stream can't be resumed: the client opens
        another.
        """
        name = None
        async for request in requests:
            token = secrets.token_bytes(8)
            if name is None:
                name = names.parse_database(request.database)
                _check_handshake(request)
                yield messages.WriteResponse(stream_id=token.hex(), stream_token=token)
            else:
                changes = [parse_write(name, change) for change in request.writes]
                commit = self.database(name).commit(changes)
                yield messages.WriteResponse(
                    stream_token=token, **messages.committed(commit.time, commit.outcomes)
                )

    def listen(self, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        return listening.listen(requests, self.database)

    def create_document(self, request: Message) -> Message:
        name, parent = names.parse_parent(request.parent)
        document_id = request.document_id or _auto_id()
        path = (*parent, request.collection_id, document_id)
        names.parse_document(names.resource_name(name, path))
        fields = values.decode_fields(request.document.fields)
        change = Write(path, fields, precondition=Precondition(exists=False))
        return self._written(name, change, messages.read_mask(request))

    def update_document(self, request: Message) -> Message:
        name, _ = names.parse_document(request.document.name)
        wire = messages.WriteMessage(update=request.document)
        if request.HasField("current_document"):
            wire.current_document.CopyFrom(request.current_document)
        if request.HasField("update_mask"):
            wire.update_mask.CopyFrom(request.update_mask)
        return self._written(name, parse_write(name, wire), messages.read_mask(request))

    def delete_document(self, request: Message) -> Message:
        name, path = names.parse_document(request.name)
        precondition = parse_precondition(request.current_document)
        self.database(name).commit([Write(path, None, precondition=precondition)])
        return messages.empty()

    def _written(self, name: DatabaseName, change: Write, mask: Mask) -> Message:
        outcome = self.database(name).commit([change]).outcomes[0]
        # Only a delete leaves no document.
        return messages.document_message(name, cast("Document", outcome.document), mask)

    def _write_alone(self, name: DatabaseName, change: Write) -> Outcome | RpcError:
        try:
            return self.database(name).commit([change]).outcomes[0]
        except RpcError as error:
            return error


def _query(request: Message, wanted: Message) -> Query:
    """Read the query in `wanted`, which is the request or its aggregation query."""
    if request.HasField("explain_options"):
        raise unimplemented("The embedded Firestore explains no queries.")
    if not wanted.HasField("structured_query"):
        raise invalid("only structured queries are supported")
    name, parent = names.parse_parent(request.parent)
    return queries.parse_query(name, parent, wanted.structured_query)


def _check_handshake(request: Message) -> None:
    if request.writes:
        raise invalid("The first request of a stream cannot have writes.")
    if request.stream_id:
        raise unimplemented("The embedded Firestore resumes no stream of writes.")


def _reading(database: Database, request: Message) -> tuple[TransactionId, TransactionId]:
    """Return the transaction to read in, b"" for none, and its id once more if it begins here."""
    match request.WhichOneof("consistency_selector"):
        case "transaction":
            return request.transaction, b""
        case "new_transaction":
            opened = _begin(database, request.new_transaction)
            return opened, opened
        case "read_time":
            database.check_read_time(values.decode_time(request.read_time))
    return b"", b""


def _begin(database: Database, options: Message) -> TransactionId:
    if options.HasField("read_only") and options.read_only.HasField("read_time"):
        database.check_read_time(values.decode_time(options.read_only.read_time))
    return database.begin(read_only=options.HasField("read_only"))


def _auto_id() -> str:
    return "".join(secrets.choice(_AUTO_ID_CHARACTERS) for _ in range(_AUTO_ID_LENGTH))
