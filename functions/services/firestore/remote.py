"""The store's reads and writes of documents, with the errors that the core knows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError

from functions.calls.call import CallId, SignalId
from functions.collections import Collections
from functions.ports.store import StoreConflict, StoreUnavailable
from functions.services.firestore import writes
from functions.services.firestore.database import Database
from functions.services.firestore.queries import Filter, Query
from functions.services.firestore.values import Reference, Snapshot
from functions.services.firestore.writes import Fields
from functions.services.rpc import Message

Written = tuple[Reference, Fields]

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

    reference: Reference
    version: datetime | None
    fields: Fields | None = None
    goes_along: Reference | None = None


class Documents:
    """Reads and writes documents; each method that is awaited is one remote call, unless it says
    more."""

    def __init__(self, database: Database, collections: Collections) -> None:
        self._database = database
        self._collections = collections

    # References and queries, which cost nothing

    def at(self, collection: str, id: str) -> Reference:
        """In `calls`, or in one of those that are ours alone, whatever it is called here."""
        return self._database.reference(self._collections.named(collection), id)

    def entry(self, call: CallId, signal: SignalId) -> Reference:
        """The outbox entry of a signal; no two signals share one."""
        return self.at("outbox", entry_name(call, signal))

    def query(
        self,
        collection: str,
        where: Filter,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
    ) -> Query:
        """The documents of a collection to which `where` applies."""
        return Query(self._collections.named(collection), where, order_by, descending, limit)

    # Reads

    async def get(self, *references: Reference) -> list[Snapshot | None]:
        """The documents in the order of `references`; None for one that is not there."""
        with remote_call():
            return await self._database.get(references)

    async def run(self, query: Query) -> list[Snapshot]:
        with remote_call():
            return await self._database.run(query.message())

    async def pages(self, query: Query) -> AsyncIterator[list[Snapshot]]:
        """What `query` finds, in its order and in that of the documents' names. 1 RunQuery for each
        page."""
        after: Snapshot | None = None
        while True:
            with remote_call():
                snapshots = await self._database.run(query.page(PAGE, after))
            yield snapshots
            if len(snapshots) < PAGE:
                return
            after = snapshots[-1]

    # Writes

    async def merge(self, reference: Reference, fields: Fields) -> None:
        """Writes these fields and keeps the others; makes the document if it is not there."""
        with remote_call():
            await self._database.commit([writes.merged(reference, fields)])

    async def replace(
        self, reference: Reference, fields: Fields, *, updated: Written | None = None
    ) -> None:
        """Writes the document anew, whatever is there, and updates another, or neither."""
        made = [writes.replaced(reference, fields)]
        if updated:
            made.append(writes.updated(*updated))
        with remote_call():
            await self._database.commit(made)

    async def create(self, reference: Reference, fields: Fields) -> bool:
        """Makes the document. False if it was there already."""
        made = writes.created(reference, fields)
        return await _is_done(self._database.commit([made]), exceptions.AlreadyExists)

    async def update(self, reference: Reference, fields: Fields) -> bool:
        """Writes these fields. False if the document is gone: it must not come back with them."""
        return await self.note([(reference, fields)])

    async def note(self, updated: Iterable[Written], merged: Iterable[Written] = ()) -> bool:
        """Writes these fields, as `update` and as `merge` do. False if one that is to be updated is
        gone; nothing is written then."""
        made = [
            *(writes.updated(*each) for each in updated),
            *(writes.merged(*each) for each in merged),
        ]
        return await _is_done(self._database.commit(made), exceptions.NotFound)

    async def update_unchanged(
        self, reference: Reference, version: datetime, fields: Fields
    ) -> bool:
        """Writes these fields. False if the document is not of `version` any more."""
        made = writes.updated(reference, fields, version)
        return await _is_done(self._database.commit([made]), *_CHANGED)

    async def delete_unchanged(self, reference: Reference, version: datetime) -> bool:
        """Deletes the document. False if it is not of `version` any more."""
        made = writes.deleted(reference, version)
        return await _is_done(self._database.commit([made]), *_CHANGED)

    async def change_unchanged(self, changes: Sequence[Change]) -> int:
        """Makes those of the changes whose documents are of their versions, at most 300. How many
        they were; fewer than were made if a reply was lost. 1 Commit, 0 for none; if a document has
        changed, 1 more for each."""
        if not changes:
            return 0
        if await _is_done(self._database.commit(_writes_of(changes)), *_CHANGED):
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
        made = _writes_of(changed)
        made += [writes.created(*each) for each in created]
        try:
            with remote_call(*_CHANGED):
                await self._database.commit(made)
        except _CHANGED as error:
            raise StoreConflict(str(error)) from error


def entry_name(call: CallId, signal: SignalId) -> str:
    """The id of an outbox entry's document."""
    return f"{call}:{signal}"


def _writes_of(changes: Iterable[Change]) -> list[Message]:
    made = []
    for each in changes:
        if each.fields is None:
            made.append(writes.deleted(each.reference, each.version))
        else:
            made.append(writes.updated(each.reference, each.fields, each.version))
        if each.goes_along:
            made.append(writes.deleted(each.goes_along))
    return made


@contextmanager
def remote_call(*passed: type[Exception]) -> Iterator[None]:
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
        with remote_call(*refusals):
            await write
    except refusals:
        return False
    return True
