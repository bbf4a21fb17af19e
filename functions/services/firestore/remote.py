"""Firestore's remote calls: limited in time, with the errors that the core knows."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore import (
    AsyncClient,
    AsyncCollectionReference,
    AsyncDocumentReference,
    AsyncQuery,
    AsyncWriteBatch,
    DocumentSnapshot,
    FieldFilter,
    Or,
)
from google.cloud.firestore_v1._helpers import WriteOption
from google.cloud.firestore_v1.base_query import BaseFilter

from functions.calls.call import CallId, SignalId, UserId
from functions.collections import Collections
from functions.ports.store import StoreConflict, StoreUnavailable
from functions.services.rpc import LIMITS

Snapshot = DocumentSnapshot[Any]
Written = tuple[AsyncDocumentReference, Mapping[str, object]]

PAGE = 300  # documents that are read, or written, at once; a Commit takes 500
_COMMITS_AT_ONCE = 20

# What a write ends in whose precondition on the document is not met; nothing is written then.
_CHANGED = (
    exceptions.FailedPrecondition,
    exceptions.NotFound,
    exceptions.Conflict,  # AlreadyExists, or Aborted: another transaction holds the document
)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a document that is of `version`, or that is there (None). Without
    `fields` it is deleted. If another document `goes_along`, that is deleted with this change, or
    neither is done."""

    reference: AsyncDocumentReference
    version: datetime | None
    fields: Mapping[str, object] | None = None
    goes_along: AsyncDocumentReference | None = None


class Documents:
    """Reads and writes documents; each method that is awaited is one remote call, unless it says
    more."""

    def __init__(self, connect: Callable[[], AsyncClient], collections: Collections) -> None:
        """`connect` is called when a document is first asked for."""
        self._connect = connect
        self._collections = collections

    @cached_property
    def _client(self) -> AsyncClient:
        try:
            return self._connect()
        except GoogleAuthError as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    # References, which cost nothing

    def collection(self, name: str) -> AsyncCollectionReference:
        """`calls`, or one of those that are ours alone, whatever it is called here."""
        return self._client.collection(self._collections.named(name))

    def at(self, collection: str, id: str) -> AsyncDocumentReference:
        return self.collection(collection).document(id)

    def entry(self, call: CallId, signal: SignalId) -> AsyncDocumentReference:
        """The outbox entry of a signal; no two signals share one."""
        return self.at("outbox", entry_name(call, signal))

    def of_users(self, collection: str, users: Collection[UserId]) -> AsyncQuery:
        return self.collection(collection).where(filter=FieldFilter("userId", "in", list(users)))

    def naming(self, collection: str, ids: Collection[str | int], *fields: str) -> AsyncQuery:
        """The documents that have one of a user's `ids` in one of `fields`."""
        filters: list[BaseFilter] = [FieldFilter(field, "==", id) for field in fields for id in ids]
        return self.collection(collection).where(filter=Or(filters))

    # Reads

    async def get(self, *references: AsyncDocumentReference) -> list[Snapshot]:
        """The documents in the order of `references`; the service gives them in any order."""
        async with remote_call():
            snapshots = [found async for found in self._client.get_all(list(references), **LIMITS)]
        by_path = {snapshot.reference.path: snapshot for snapshot in snapshots}
        return [by_path[reference.path] for reference in references]

    async def run(self, query: AsyncQuery) -> list[Snapshot]:
        async with remote_call():
            return [snapshot async for snapshot in query.stream(**LIMITS)]

    async def pages(self, query: AsyncQuery) -> AsyncIterator[list[Snapshot]]:
        """What `query` finds, in the order of the documents' names. 1 RunQuery for each page."""
        async for page in self.ordered_pages(query.order_by("__name__")):
            yield page

    async def ordered_pages(self, query: AsyncQuery) -> AsyncIterator[list[Snapshot]]:
        """What `query` finds, in its own order. 1 RunQuery for each page."""
        query = query.limit(PAGE)
        after: Snapshot | None = None
        while True:
            snapshots = await self.run(query.start_after(after) if after else query)
            yield snapshots
            if len(snapshots) < PAGE:
                return
            after = snapshots[-1]

    # Writes

    def _option(self, change: Change) -> WriteOption | None:
        version = change.version
        return self._client.write_option(last_update_time=version) if version else None

    def batch(self) -> AsyncWriteBatch:
        return self._client.batch()

    def _add_to(self, batch: AsyncWriteBatch, changes: Iterable[Change]) -> None:
        for change in changes:
            option = self._option(change)
            if change.fields is None:
                batch.delete(change.reference, option)
            else:
                batch.update(change.reference, dict(change.fields), option)
            if change.goes_along:
                batch.delete(change.goes_along)

    async def merge(self, reference: AsyncDocumentReference, fields: Mapping[str, object]) -> None:
        """Writes these fields and keeps the others; makes the document if it is not there."""
        async with remote_call():
            await reference.set(dict(fields), merge=True, **LIMITS)

    async def replace(
        self,
        reference: AsyncDocumentReference,
        fields: Mapping[str, object],
        *,
        updated: Written | None = None,
    ) -> None:
        """Writes the document anew, whatever is there, and updates another, or neither."""
        batch = self.batch()
        batch.set(reference, dict(fields))
        if updated:
            batch.update(updated[0], dict(updated[1]))
        async with remote_call():
            await batch.commit(**LIMITS)

    async def create(self, reference: AsyncDocumentReference, fields: Mapping[str, object]) -> bool:
        """Makes the document. False if it was there already."""
        return await _is_done(reference.create(dict(fields), **LIMITS), exceptions.AlreadyExists)

    async def update(self, reference: AsyncDocumentReference, fields: Mapping[str, object]) -> bool:
        """Writes these fields. False if the document is gone: it must not come back with them."""
        return await _is_done(reference.update(dict(fields), **LIMITS), exceptions.NotFound)

    async def update_unchanged(
        self, reference: AsyncDocumentReference, version: datetime, fields: Mapping[str, object]
    ) -> bool:
        """Writes these fields. False if the document is not of `version` any more."""
        option = self._client.write_option(last_update_time=version)
        return await _is_done(reference.update(dict(fields), option, **LIMITS), *_CHANGED)

    async def delete_unchanged(self, reference: AsyncDocumentReference, version: datetime) -> bool:
        """Deletes the document. False if it is not of `version` any more."""
        option = self._client.write_option(last_update_time=version)
        return await _is_done(reference.delete(option, **LIMITS), *_CHANGED)

    async def change_unchanged(self, changes: Sequence[Change]) -> int:
        """Makes those of the changes whose documents are of their versions, at most 300. How many
        they were; fewer than were made if a reply was lost. 1 Commit, 0 for none; if a document has
        changed, 1 more for each."""
        if not changes:
            return 0
        batch = self.batch()
        self._add_to(batch, changes)
        if await _is_done(batch.commit(**LIMITS), *_CHANGED):
            return len(changes)
        return await self._change_each(changes) if len(changes) > 1 else 0

    async def _change_each(self, changes: Sequence[Change]) -> int:
        done = 0
        for first in range(0, len(changes), _COMMITS_AT_ONCE):
            some = changes[first : first + _COMMITS_AT_ONCE]
            done += sum(await asyncio.gather(*(self.change_unchanged([each]) for each in some)))
        return done

    async def commit_all(self, changed: Iterable[Change], created: Iterable[Written]) -> None:
        """Makes all of the changes and creates all of the documents, or nothing. Raises
        StoreConflict if one of the changed is not of its version, or one of the created is there.
        """
        batch = self.batch()
        self._add_to(batch, changed)
        for reference, fields in created:
            batch.create(reference, dict(fields))
        try:
            async with remote_call(*_CHANGED):
                await batch.commit(**LIMITS)
        except _CHANGED as error:
            raise StoreConflict(str(error)) from error


def entry_name(call: CallId, signal: SignalId) -> str:
    """The id of an outbox entry's document."""
    return f"{call}:{signal}"


@asynccontextmanager
async def remote_call(*passed: type[Exception]) -> AsyncIterator[None]:
    """Turns the library's errors into StoreUnavailable, but for those that are `passed` on."""
    try:
        yield
    except passed:
        raise
    except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


async def _is_done(write: Awaitable[object], *refusals: type[Exception]) -> bool:
    """Whether `write` was done; False if it ended in one of `refusals`."""
    try:
        async with remote_call(*refusals):
            await write
    except refusals:
        return False
    return True
