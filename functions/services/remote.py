"""Firestore's remote calls: limited in time, with the errors that our code knows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from google.api_core import exceptions
from google.cloud.firestore import (
    DELETE_FIELD,
    AsyncClient,
    AsyncDocumentReference,
    AsyncQuery,
)

from functions.services.documents import Snapshot
from functions.services.rpc import LIMITS

# A closed connection may still have frames on their way to us, which come within seconds.
_CLOSED_IS_KEPT = timedelta(seconds=60)


class StoreUnavailable(Exception):
    """Firestore gave no usable answer; a write may have happened all the same."""


class StoreConflict(Exception):
    """The document changed since it was read, and nothing was written."""


class Documents:
    """Documents by collection and id; each method is one remote call."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def at(self, collection: str, id: str) -> AsyncDocumentReference:
        return self._client.collection(collection).document(id)

    async def get(self, *references: AsyncDocumentReference) -> list[Snapshot]:
        """The documents in the order asked for; the service answers in any."""
        async with remote_call():
            snapshots = [found async for found in self._client.get_all(list(references), **LIMITS)]
        by_path = {snapshot.reference.path: snapshot for snapshot in snapshots}
        return [by_path[reference.path] for reference in references]

    async def run(self, query: AsyncQuery) -> list[Snapshot]:
        async with remote_call():
            return [snapshot async for snapshot in query.stream(**LIMITS)]

    async def update(self, collection: str, id: str, fields: dict[str, object]) -> bool:
        """Whether it was there: what is deleted must not come back with these fields alone."""
        try:
            async with remote_call(exceptions.NotFound):
                await self.at(collection, id).update(fields, **LIMITS)
        except exceptions.NotFound:
            return False
        return True

    async def update_unchanged(
        self, reference: AsyncDocumentReference, version: datetime, fields: dict[str, object]
    ) -> bool:
        """Whether it was updated; if not, it is not as it was read."""
        option = self._client.write_option(last_update_time=version)
        try:
            async with conditional_write():
                await reference.update(fields, option, **LIMITS)
        except StoreConflict:
            return False
        return True

    async def delete_unchanged(self, reference: AsyncDocumentReference, version: datetime) -> bool:
        """Whether it was deleted; if not, it is not as it was read."""
        option = self._client.write_option(last_update_time=version)
        try:
            async with conditional_write():
                await reference.delete(option, **LIMITS)
        except StoreConflict:
            return False
        return True


def closed(now: datetime) -> dict[str, object]:
    """What changes of a connection by which nobody is told any more.

    Merged blindly, it also leaves a document where there is none yet: a `$connect` that is handled
    later finds it.
    """
    return {"userId": DELETE_FIELD, "closedAt": now, "expiresAt": now + _CLOSED_IS_KEPT}


@asynccontextmanager
async def remote_call(*passed: type[Exception]) -> AsyncIterator[None]:
    """Turns the library's errors into ours, but for those `passed` on."""
    try:
        yield
    except passed:
        raise
    except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def conditional_write() -> AsyncIterator[None]:
    """A remote call that writes only if the document is as it was read."""
    async with remote_call():
        try:
            yield
        # Aborted: a transaction of somebody else's holds the document. Nothing is written either.
        except (
            exceptions.FailedPrecondition,
            exceptions.NotFound,
            exceptions.Conflict,  # Aborted, or AlreadyExists: what we would create is there
        ) as error:
            raise StoreConflict(str(error)) from error
