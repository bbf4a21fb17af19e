"""Looks at Firestore until it holds what it should: it tells nobody when something changes."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TypeVar

from google.cloud.firestore import AsyncClient, AsyncDocumentReference

from functions.collections import USUAL
from infra.client.phone import COLD_START_SECONDS
from tests.support.collections import OUTBOX

_POLL_SECONDS = 0.02

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


async def until_gone(documents: AsyncClient, collection: str, ids: Iterable[str]) -> None:
    """Waits until none of these documents is there. Raises TimeoutError."""
    references = [documents.collection(USUAL.named(collection)).document(id) for id in ids]
    none: frozenset[str] = frozenset()
    if left := await until(lambda: _existing(documents, references), none):
        raise TimeoutError(f"{', '.join(left)} stayed in {collection}")


async def _pending(documents: AsyncClient, calls: Collection[str]) -> frozenset[str]:
    """Those whose entries are pending: 1 RunQuery, of all that is pending, which is little."""
    pending = documents.collection(OUTBOX).order_by("pendingSince").select(["pendingSince"])
    # By their names, `{callId}:{signalId}`: other tests leave some there that hold no event.
    ids = [snapshot.id.rpartition(":")[0] async for snapshot in pending.stream()]
    return frozenset(ids).intersection(calls)


async def _existing(
    documents: AsyncClient, references: list[AsyncDocumentReference]
) -> frozenset[str]:
    """The ids of those that are there: 1 BatchGetDocuments."""
    found = documents.get_all(references, field_paths=["expiresAt"])
    return frozenset([snapshot.id async for snapshot in found if snapshot.exists])
