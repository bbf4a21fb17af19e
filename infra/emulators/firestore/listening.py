"""The targets of one Listen stream, and what each commit changes in what they find.

Which messages a client waits for is told by google.firestore.v1.TargetChange, and by the state
machines of the clients: google/cloud/firestore_v1/watch.py, watch.js of @google-cloud/firestore. Of
a target that was added they are

    ADD
    RESET, if the target was listened to before: all that follows is what it finds
    DocumentChange for each document, DocumentDelete for each that was named and does not exist
    CURRENT
    NO_CHANGE of no target, with a read time: what was told of all targets is one snapshot

and after a commit that changes what a target finds, DocumentChange, DocumentDelete or, for what
still exists, DocumentRemove, then NO_CHANGE again. Google's emulator tells queries anew instead,
after a RESET; the clients make the same of it.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.cloud.firestore_v1.types import firestore as types

from infra.emulators.duplex import until_heard
from infra.emulators.firestore import messages, names, queries
from infra.emulators.firestore.database import Database
from infra.emulators.firestore.documents import Document
from infra.emulators.firestore.errors import RpcError, invalid
from infra.emulators.firestore.messages import Mask, Message
from infra.emulators.firestore.names import DatabaseName, Path
from infra.emulators.firestore.transactions import View
from infra.emulators.firestore.values import encode_time

_Type = types.TargetChange.TargetChangeType


async def listen(
    requests: AsyncIterator[Message], database: Callable[[DatabaseName], Database]
) -> AsyncGenerator[Message, None]:
    """Answer the requests of one stream, all to one database, and tell what is committed."""
    first = await anext(requests, None)
    if first is None:
        return
    said: asyncio.Queue[Message] = asyncio.Queue()
    name = names.parse_database(first.database)
    listener = Listener(name, database(name), said.put_nowait)

    async def hear() -> None:
        listener.hear(first)
        async for request in requests:
            listener.hear(request)

    try:
        async with aclosing(until_heard(hear(), _drained(said))) as responses:
            async for response in responses:
                yield response
    finally:
        listener.close()


@dataclass
class Target:
    """Something to listen to; `seen` are the documents last told of, with their update times."""

    find: Callable[[View], Iterable[Document]]
    concerns: Callable[[Path], bool]  # whether it may find the document, or another in its place
    # Whether it finds a document. None: that depends on others, too, and all must be looked at.
    finds: Callable[[Document], bool] | None
    named: tuple[Path, ...] = ()  # of these the client is told also that they don't exist
    mask: Mask = None
    seen: dict[Path, datetime] = field(default_factory=dict)


class Listener:
    """What one client listens to. `say` is called with each response, in their order."""

    def __init__(
        self, name: DatabaseName, database: Database, say: Callable[[Message], None]
    ) -> None:
        self._name = name
        self._database = database
        self._say = say
        self._targets: dict[int, Target] = {}
        database.watch(self._committed)

    def close(self) -> None:
        self._database.unwatch(self._committed)

    def hear(self, request: Message) -> None:
        """Take one request; raises INVALID_ARGUMENT, which ends the stream.

        A target that can't be listened to is removed, and the others stay.
        """
        if request.database not in {"", str(self._name)}:
            raise invalid(f"The stream is to {self._name}, not to {request.database}.")
        match request.WhichOneof("target_change"):
            case "add_target":
                self._add(request.add_target)
            case "remove_target":
                self._remove(request.remove_target)
            case _:
                raise invalid("The request neither adds nor removes a target.")

    def _add(self, message: Message) -> None:
        number = message.target_id or max(self._targets, default=0) + 1
        if number in self._targets:
            raise invalid(f"The stream has a target {number} already.")
        self._tell(_Type.ADD, number)
        try:
            target = _parse_target(self._name, message)
        except RpcError as error:
            self._tell(_Type.REMOVE, number, cause=messages.status(error))
            return
        if message.WhichOneof("resume_type"):
            self._tell(_Type.RESET, number)
        now = self._database.read_time()
        missing = [path for path in target.named if self._database.get(path) is None]
        for change in [*self._gone(missing, number, now), *self._changes(target, number, now)]:
            self._say(change)
        self._targets[number] = target
        self._tell(_Type.CURRENT, number, at=now)
        self._tell(_Type.NO_CHANGE, at=now)
        if message.once:
            self._remove(number)

    def _remove(self, number: int) -> None:
        if self._targets.pop(number, None):
            self._tell(_Type.REMOVE, number)

    def _committed(self, at: datetime, paths: Collection[Path]) -> None:
        changes = []
        for number, target in self._targets.items():
            if written := [path for path in paths if target.concerns(path)]:
                changes += self._changes(target, number, at, written if target.finds else None)
        for change in changes:
            self._say(change)
        if changes:
            self._tell(_Type.NO_CHANGE, at=at)

    def _changes(
        self, target: Target, number: int, at: datetime, written: Sequence[Path] | None = None
    ) -> list[Message]:
        """Compare what the target finds, among those that were `written` (None: among all), with
        what was told of it last."""
        found = {document.path: document for document in self._found(target, written)}
        paths = target.seen if written is None else written
        before = {path: target.seen.pop(path) for path in list(paths) if path in target.seen}
        target.seen |= {path: document.update_time for path, document in found.items()}
        gone = self._gone([path for path in before if path not in found], number, at)
        changed = [
            messages.ListenResponse(
                document_change={
                    "document": messages.document_message(self._name, document, target.mask),
                    "target_ids": [number],
                }
            )
            for path, document in found.items()
            if before.get(path) != document.update_time
        ]
        return [*gone, *changed]

    def _found(self, target: Target, written: Sequence[Path] | None) -> Iterable[Document]:
        if written is None or target.finds is None:
            return target.find(self._database.documents)
        return filter(target.finds, filter(None, map(self._database.get, written)))

    def _gone(self, paths: Iterable[Path], number: int, at: datetime) -> list[Message]:
        def gone(path: Path) -> Message:
            exists = self._database.get(path) is not None
            what = "document_remove" if exists else "document_delete"
            change = {
                "document": names.resource_name(self._name, path),
                "removed_target_ids": [number],
                "read_time": encode_time(at),
            }
            return messages.ListenResponse(**{what: change})

        return [gone(path) for path in paths]

    def _tell(self, change: int, *numbers: int, at: datetime | None = None, **more: Any) -> None:
        """Say a TargetChange: of all targets if it names none, of a snapshot if it has a time."""
        if at is not None:
            more |= {"read_time": encode_time(at), "resume_token": at.isoformat().encode()}
        told = {"target_change_type": change, "target_ids": numbers, **more}
        self._say(messages.ListenResponse(target_change=told))


def _parse_target(name: DatabaseName, message: Message) -> Target:
    match message.WhichOneof("target_type"):
        case "documents":
            named = message.documents.documents
            paths = tuple(names.document_path_in(name, document) for document in named)
            return Target(
                find=lambda view: filter(None, map(view.get, paths)),
                concerns=lambda path: path in paths,
                finds=lambda _: True,
                named=paths,
            )
        case "query" if message.query.HasField("structured_query"):
            database, parent = names.parse_parent(message.query.parent)
            if database != name:
                raise invalid(f"The query is to {database}, its stream to {name}.")
            query = queries.parse_query(name, parent, message.query.structured_query)
            return Target(
                find=lambda view: query.run(view).documents,
                concerns=lambda path: query.source.takes(path[:-1]),
                finds=None if query.is_bounded else query.finds,
                mask=query.projection,
            )
    raise invalid("A target is a query or a list of documents.")


async def _drained(queue: asyncio.Queue[Message]) -> AsyncIterator[Message]:
    while True:
        yield await queue.get()
