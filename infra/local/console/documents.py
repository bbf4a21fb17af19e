"""The documents of the stack, as they change: what Firestore tells its listeners."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import Any, Self

from google.cloud.firestore import Client, DocumentReference, GeoPoint

from functions.collections import Collections
from infra.client.calls import listening_client_at
from infra.local.console.live import Change
from infra.local.console.recorder import Tell

SHOWN = ("calls", "connections", "devices", "outbox")
KEPT = 250  # documents of each collection; of more, those that changed last
_TEXT_CHARACTERS = 4000


class Documents:
    """Listens for as long as its context lasts; `tell` hears of every change."""

    def __init__(
        self, address: str, project: str, database: str, collections: Collections, tell: Tell
    ) -> None:
        self._client = listening_client_at(address, project, database)
        self._collections = collections
        self._tell = tell
        # Of each collection, by their ids; what changed last comes last.
        self._there: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in SHOWN}
        self._watches: list[Any] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for name in SHOWN:
            self._watches.append(self._listen(self._client, name, loop))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._stop)

    def snapshot(self) -> Iterator[Change]:
        there = chain.from_iterable(each.values() for each in self._there.values())
        return (("document", document) for document in sorted(there, key=itemgetter("at")))

    def take(self, documents: Iterable[dict[str, Any]]) -> None:
        """Documents that have changed, as the page has them."""
        for document in documents:
            there = self._there[document["collection"]]
            there.pop(document["id"], None)
            if document["fields"] is not None:
                there[document["id"]] = document
            if len(there) > KEPT:
                del there[next(iter(there))]
            self._tell("document", document)

    def _listen(self, client: Client, name: str, loop: asyncio.AbstractEventLoop) -> Any:
        def changed(_documents: Any, changes: Any, _time: Any) -> None:
            """Called in a thread of the library's."""
            read = [_shown(name, change) for change in changes]
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self.take, read)

        return client.collection(self._collections.named(name)).on_snapshot(changed)

    def _stop(self) -> None:
        for watch in self._watches:
            watch.unsubscribe()
        self._client.close()  # type: ignore[no-untyped-call]


def _shown(collection: str, change: Any) -> dict[str, Any]:
    """A change of a document, as the page has it."""
    document = change.document
    is_gone = change.type.name == "REMOVED"
    moment = document.read_time if is_gone else document.update_time
    return {
        "collection": collection,
        "id": document.id,
        "fields": None if is_gone else _json(document.to_dict()),
        "at": round(moment.timestamp() * 1000),
    }


def _json(value: Any) -> Any:
    """A value of a document as JSON has it: times as ISO 8601 says, references as paths."""
    match value:
        case datetime():
            return value.isoformat()
        case Mapping():
            return {key: _json(each) for key, each in value.items()}
        case list():
            return [_json(each) for each in value]
        case bytes():
            return value.decode(errors="replace")[:_TEXT_CHARACTERS]
        case str():
            return value[:_TEXT_CHARACTERS]
        case DocumentReference():
            return value.path
        case GeoPoint():
            return {"latitude": value.latitude, "longitude": value.longitude}
        case _:
            return value
