"""Removes what a case leaves in Firestore, as the TTL of its documents does some time.

The embedded one looks through all there is for each query; what many cases left would slow it down
so much that calls of the functions ran out of time.
"""

import asyncio
from contextlib import suppress

from google.cloud.firestore import AsyncClient, FieldFilter

from tests.proof.faults.cast import Cast

_PATIENCE_SECONDS = 15.0
_POLL_SECONDS = 0.05


async def tidy(documents: AsyncClient, cast: Cast) -> None:
    """Of a case whose phones have hung up."""
    connections, outbox = documents.collection("connections"), documents.collection("outbox")
    batch = documents.batch()
    for user in (cast.sender, cast.told):
        of_user = connections.where(filter=FieldFilter("userId", "==", user)).limit(1)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                # Closed after they were deleted, they would come back.
                while await of_user.get():  # noqa: ASYNC110 - Firestore tells nobody
                    await asyncio.sleep(_POLL_SECONDS)
        for left in await connections.where(filter=FieldFilter("owner", "==", user)).get():
            batch.delete(left.reference)
        for left in await outbox.where(
            filter=FieldFilter("recipients", "array_contains", user)
        ).get():
            batch.delete(left.reference)
    for id in cast.devices:
        batch.delete(documents.collection("devices").document(id))
    await batch.commit()
