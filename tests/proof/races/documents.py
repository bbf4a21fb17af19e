"""Looks at Firestore until it holds what it should: it tells nobody when something changes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TypeVar

from google.cloud.firestore import AsyncClient, AsyncDocumentReference, FieldFilter

from functions.collections import USUAL
from infra.client.phone import COLD_START_SECONDS
from tests.support.collections import CONNECTIONS, OUTBOX

_POLL_SECONDS = 0.02
_POLL_OF_ALL_SECONDS = 0.1  # where somebody always waits
_TTL_SECONDS = 5.0  # between two looks for what has expired
_BATCH = 500  # writes of one commit

_Seen = TypeVar("_Seen")


async def until(look: Callable[[], Awaitable[_Seen]], expected: _Seen) -> _Seen:
    """What `look` sees, as soon as that is `expected`; or what it sees when patience runs out."""
    now = asyncio.get_running_loop().time
    deadline = now() + COLD_START_SECONDS
    while (seen := await look()) != expected and now() < deadline:  # noqa: ASYNC110 - as said above
        await asyncio.sleep(_POLL_SECONDS)
    return seen


async def until_delivered(documents: AsyncClient, calls: Collection[str]) -> None:
    """Waits until no event of these calls is pending in the outbox. Raises TimeoutError."""
    none: frozenset[str] = frozenset()
    if left := await until(lambda: _pending(documents, calls), none):
        raise TimeoutError(f"the events of {', '.join(left)} stayed pending")


class Deliveries:
    """Looks for whoever waits until something is delivered, for all of them at once."""

    def __init__(self, documents: AsyncClient) -> None:
        self._documents = documents
        self._look: asyncio.Task[frozenset[str]] | None = None
        self._next: asyncio.Task[frozenset[str]] | None = None

    async def until_delivered(self, call: str) -> None:
        """Waits until no event of the call is pending in the outbox. Raises TimeoutError."""
        async with asyncio.timeout(COLD_START_SECONDS):
            while call in await self._pending():
                pass

    async def _pending(self) -> frozenset[str]:
        """By a look that begins only now."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._look))
        return await asyncio.shield(self._next)

    async def _after(self, look: asyncio.Task[frozenset[str]] | None) -> frozenset[str]:
        if look:
            await asyncio.wait([look])
        await asyncio.sleep(_POLL_OF_ALL_SECONDS)
        self._look, self._next = self._next, None
        return frozenset(await _all_pending(self._documents))


@asynccontextmanager
async def expiring(documents: AsyncClient) -> AsyncIterator[None]:
    """Deletes what has expired, as a TTL policy does, for as long as the block lasts: emulators
    keep it, and look through more with each query."""

    async def go_on() -> None:
        while True:
            await asyncio.sleep(_TTL_SECONDS)
            for collection in (OUTBOX, CONNECTIONS):
                await _delete_expired(documents, collection)

    deleting = asyncio.create_task(go_on())
    try:
        yield
    finally:
        deleting.cancel()
        with suppress(asyncio.CancelledError):
            await deleting


async def _delete_expired(documents: AsyncClient, collection: str) -> None:
    found = (
        documents.collection(collection)
        .where(filter=FieldFilter("expiresAt", "<=", datetime.now(UTC)))
        .select(["expiresAt"])
        .limit(_BATCH)
    )
    batch = documents.batch()
    for snapshot in await found.get():
        batch.delete(snapshot.reference)
    await batch.commit()


async def until_gone(documents: AsyncClient, collection: str, ids: Iterable[str]) -> None:
    """Waits until none of these documents is there. Raises TimeoutError."""
    references = [documents.collection(USUAL.named(collection)).document(id) for id in ids]
    none: frozenset[str] = frozenset()
    if left := await until(lambda: _existing(documents, references), none):
        raise TimeoutError(f"{', '.join(left)} stayed in {collection}")


async def _pending(documents: AsyncClient, calls: Collection[str]) -> frozenset[str]:
    """Those whose entries are pending: 1 RunQuery."""
    return frozenset(await _all_pending(documents)).intersection(calls)


async def _all_pending(documents: AsyncClient) -> list[str]:
    """The calls that have a pending entry, of which there are few: 1 RunQuery."""
    pending = documents.collection(OUTBOX).order_by("pendingSince").select(["pendingSince"])
    # By their names, `{callId}:{signalId}`: other tests leave some there that hold no event.
    return [snapshot.id.rpartition(":")[0] async for snapshot in pending.stream()]


async def _existing(
    documents: AsyncClient, references: list[AsyncDocumentReference]
) -> frozenset[str]:
    """The ids of those that are there: 1 BatchGetDocuments."""
    found = documents.get_all(references, field_paths=["expiresAt"])
    return frozenset([snapshot.id async for snapshot in found if snapshot.exists])
