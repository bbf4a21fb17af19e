"""Google's own Firestore clients, sync and async, behind one way to call them."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore as library
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.base_document import DocumentSnapshot

Fields = dict[str, Any]


class Db:
    """A client of one project that no other test uses."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def __call__(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a method of the library: awaited, or in a thread if it blocks.

        The server under test runs on this event loop, so that blocking it would wait for ever.
        """
        if isinstance(self.client, library.Client):
            return await asyncio.to_thread(method, *args, **options)
        answer = method(*args, **options)
        return await answer if inspect.isawaitable(answer) else answer

    async def listed(self, stream: Any) -> list[Any]:
        """Read to its end what the library gives as an iterator, async or not."""
        if hasattr(stream, "__aiter__"):
            return [item async for item in stream]
        return await asyncio.to_thread(list, stream)

    def doc(self, path: str) -> Any:
        return self.client.document(path)

    async def set(self, path: str, fields: Fields) -> Any:
        return await self(self.doc(path).set, fields)

    async def get(self, path: str) -> DocumentSnapshot[Any]:
        snapshot: DocumentSnapshot[Any] = await self(self.doc(path).get)
        return snapshot

    async def fields(self, path: str) -> Fields | None:
        fields: Fields | None = (await self.get(path)).to_dict()
        return fields

    async def ids(self, query: Any) -> list[str]:
        """Run a query once: an invalid one is not to be repeated by the library."""
        return [snapshot.id for snapshot in await self(query.get, retry=None)]

    async def rpc(self, method: str, **request: Any) -> Any:
        """Call an RPC as it is, below the library's documents and queries."""
        api = self.client._firestore_api
        answer = await self(getattr(api, method), request=request, metadata=_OWNER, retry=None)
        return await self.listed(answer) if hasattr(answer, "cancel") else answer

    async def write(self, **write: Any) -> Any:
        """Commit one `google.firestore.v1.Write`."""
        return await self.rpc("commit", database=self.database, writes=[types.Write(**write)])

    @property
    def database(self) -> str:
        name: str = self.client._database_string
        return name

    def name(self, path: str) -> str:
        """The full name of a document; of the root for an empty path."""
        return "/".join((self.database, "documents", *filter(None, path.split("/"))))

    async def close(self) -> None:
        await self(self.client._firestore_api.transport.close)


# What the library sends to an emulator of its own accord, only not with a bare RPC.
_OWNER = (("authorization", "Bearer owner"),)


def make_client(kind: str, address: str, project: str, database: str = "(default)") -> Any:
    """Build an unmodified client; it asks for the emulator's address just once, here."""
    makers = {"sync": library.Client, "async": library.AsyncClient}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FIRESTORE_EMULATOR_HOST", address)
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call] # google-auth's
        return makers[kind](project=project, database=database, credentials=credentials)
