"""Removes what cases leave in Firestore, as the TTL of its documents does some time.

The embedded one looks through all there is for each query; what many cases left would slow it down
so much that calls of the functions ran out of time.
"""

import asyncio
from collections.abc import Iterable

from google.cloud.firestore import AsyncClient, AsyncDocumentReference

from functions.collections import USUAL
from tests.proof.faults.cast import Cast
from tests.support.collections import DEVICES

_PATIENCE_SECONDS = 15.0
_POLL_SECONDS = 0.2
_BATCH = 400  # writes: Firestore takes 500


async def tidy(documents: AsyncClient, casts: Iterable[Cast]) -> None:
    """Of cases whose phones have hung up: what knows of those is closed before it is removed, or it
    would come back."""
    casts = list(casts)
    users = {user for cast in casts for user in (cast.sender, cast.told)}
    now = asyncio.get_running_loop().time
    deadline = now() + _PATIENCE_SECONDS
    while await _holding(documents, "connections", "userId", users) and now() < deadline:  # noqa: ASYNC110 - Firestore tells nobody
        await asyncio.sleep(_POLL_SECONDS)
    left = [documents.collection(DEVICES).document(id) for cast in casts for id in cast.devices]
    left += [documents.collection("calls").document(call) for cast in casts for call in cast.calls]
    left += await _holding(documents, "connections", "owner", users)
    left += await _holding(documents, "outbox", "recipients", users)
    await _delete(documents, left)


async def _holding(
    documents: AsyncClient, collection: str, field: str, users: set[str]
) -> list[AsyncDocumentReference]:
    """The documents in which one of the users stands, alone or in a list. 1 RunQuery for all."""
    query = documents.collection(USUAL.named(collection)).select([field])
    found = [each async for each in query.stream()]
    values = {each.reference: (each.to_dict() or {}).get(field) or () for each in found}
    return [
        reference
        for reference, value in values.items()
        if users.intersection([value] if isinstance(value, str) else value)
    ]


async def _delete(documents: AsyncClient, left: list[AsyncDocumentReference]) -> None:
    for first in range(0, len(left), _BATCH):
        batch = documents.batch()
        for reference in left[first : first + _BATCH]:
            batch.delete(reference)
        await batch.commit()
