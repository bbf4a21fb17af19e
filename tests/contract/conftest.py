"""The store, on the embedded Firestore and on Google's emulator."""

import pytest
from google.cloud.firestore import AsyncClient

from functions.services.firestore import Store
from infra.client.calls import client_at


@pytest.fixture
async def client(firestore: str, project: str) -> AsyncClient:
    return client_at(firestore, project)


@pytest.fixture
async def store(client: AsyncClient) -> Store:
    return Store(client)
