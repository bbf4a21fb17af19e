"""The documents of the stack, as they change: what Firestore tells its listeners."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Self

from google.cloud.firestore import Client, DocumentReference, GeoPoint

from functions.collections import Collections
from infra.client.calls import listening_client_at
from infra.local.console.live import Change
from infra.local.console.recorder import Tell

SHOWN = ("calls", "connections", "devices", "outbox")
_KEPT = 1000  # documents; of more, those that changed last
_TEXT_CHARACTERS = 4000


class Documents:
    """Listens for as long as its context lasts; `tell` hears of every change."""

    def __init__(
        self, address: str, project: str, database: str, collections: Collections, tell: Tell
    ) -> None:
        self._client = listening_client_at(address, project, database)
        self._collections = collections
        self._tell = tell
        self._there: dict[tuple[str, str], dict[str, Any]] = {}  # what changed last comes last
        self._watches: list[Any] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for name in SHOWN:
            self._watches.append(self._listen(self._client, name, loop))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._stop)

    def snapshot(self) -> Iterator[Change]:
        return (("document", document) for document in self._there.values())

    def _listen(self, client: Client, name: str, loop: asyncio.AbstractEventLoop) -> Any:
        def changed(_documents: Any, changes: Any, _time: Any) -> None:
            """Called in a thread of the library's."""
            read = [_shown(name, change) for change in changes]
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._take, read)

        return client.collection(self._collections.named(name)).on_snapshot(changed)

    def _take(self, documents: list[dict[str, Any]]) -> None:
        for document in documents:
            key = (document["collection"], document["id"])
            self._there.pop(key, None)
            if document["fields"] is not None:
                self._there[key] = document
            self._tell("document", document)
        while len(self._there) > _KEPT:
            del self._there[next(iter(self._there))]

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
