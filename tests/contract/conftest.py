"""The store, on the embedded Firestore and on Google's emulator."""

import pytest
from google.cloud.firestore import AsyncClient

from functions.ports.store import Store
from functions.services.firestore import store_of
from infra.client.calls import client_at


@pytest.fixture
async def client(firestore: str, project: str) -> AsyncClient:
    return client_at(firestore, project)


@pytest.fixture
async def store(client: AsyncClient) -> Store:
    return store_of(lambda: client)
