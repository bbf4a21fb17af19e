"""Calls, as the app's own backend makes them: documents that say who rings whom."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from google.api_core.exceptions import InvalidArgument
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient, AsyncCollectionReference, Client, FieldFilter

from functions.collections import USUAL, Collections

_EMULATOR = "FIRESTORE_EMULATOR_HOST"


class Calls:
    """The calls in the Firestore at `address` ("127.0.0.1:1234"), or in Google's own."""

    def __init__(
        self,
        address: str | None,
        project: str,
        database: str = "(default)",
        collections: Collections = USUAL,
    ) -> None:
        """Raises GoogleAuthError where Google's own is asked and there are no credentials."""
        self._client = (
            client_at(address, project, database)
            if address
            else AsyncClient(project=project, database=database)
        )
        self._collections = collections

    async def ring(self, call: str, caller: str, receiver: str) -> None:
        """Makes a call ring, also one that has ended before. Raises ValueError for a bad id."""
        if not call or "/" in call:
            raise ValueError("a call id must not be empty or contain a slash")
        fields = {
            "callerId": caller,
            "receiverId": receiver,
            "status": "ringing",
            "createdAt": datetime.now(UTC),
        }
        try:
            await self._collection("calls").document(call).set(fields)
        except InvalidArgument as error:
            raise ValueError(f"{call!r} can't be a call id: {error.message}") from error

    async def remove(self, call: str) -> None:
        await self._collection("calls").document(call).delete()

    async def status(self, call: str) -> str:
        snapshot = await self._collection("calls").document(call).get()
        return str(snapshot.get("status"))

    async def is_delivered(self, call: str) -> bool:
        """Whether the call's events, if it had any, have reached all they could."""
        outbox = self._collection("outbox")
        # The entries of a call are named `{call}:{signal}`, and `;` comes after `:`.
        named = (
            outbox.order_by("__name__")
            .start_at({"__name__": outbox.document(f"{call}:")})
            .end_before({"__name__": outbox.document(f"{call};")})
        )
        return not any("pendingSince" in (entry.to_dict() or {}) for entry in await named.get())

    async def until_delivered(self, call: str, every: float = 0.01) -> None:
        """Waits until `is_delivered`, and asks again `every` so many seconds."""
        while not await self.is_delivered(call):  # noqa: ASYNC110 - Firestore tells nobody
            await asyncio.sleep(every)

    async def is_connected(self, user: str) -> bool:
        """Whether any socket of `user` is known."""
        query = self._collection("connections")
        found = await query.where(filter=FieldFilter("userId", "==", user)).limit(1).get()
        return bool(found)

    def _collection(self, name: str) -> AsyncCollectionReference:
        return self._client.collection(self._collections.named(name))


def client_at(address: str, project: str, database: str = "(default)") -> AsyncClient:
    """An unmodified client of the emulator at `address`, whatever the environment says."""
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    with _emulator_at(address):
        return AsyncClient(project=project, credentials=credentials, database=database)


def listening_client_at(address: str, project: str, database: str = "(default)") -> Client:
    """The same, of the library that listens: it has threads of its own."""
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    with _emulator_at(address):
        return Client(project=project, credentials=credentials, database=database)


@contextmanager
def _emulator_at(address: str) -> Iterator[None]:
    """The library asks for the emulator once, when a client is made, and asks only here."""
    before = os.environ.get(_EMULATOR)
    os.environ[_EMULATOR] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ[_EMULATOR]
        else:
            os.environ[_EMULATOR] = before
