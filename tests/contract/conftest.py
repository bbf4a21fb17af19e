"""The stores that keep the same promises: in memory, on the embedded Firestore, on Google's."""

from collections.abc import AsyncIterator

import pytest

from functions.ports.store import Store
from tests.contract.world import FirestoreWorld, firestore_world_at
from tests.memory.services import Services
from tests.support.chosen import GOOGLES, chosen
from tests.support.connections import ConnectionsServer, connections_server
from tests.support.world import World


@pytest.fixture(params=["memory", "embedded", GOOGLES])
def address(request: pytest.FixtureRequest) -> str | None:
    """Of a Firestore; None: there is none."""
    if request.param == "memory":
        return None
    address: str = chosen(request, "firestore")
    return address


@pytest.fixture
async def world(address: str | None, project: str) -> World:
    """A test that uses it runs on all three."""
    return Services().world if address is None else firestore_world_at(address, project)


@pytest.fixture
async def store(world: World) -> Store:
    return world.store


@pytest.fixture
async def documents(firestore: str, project: str) -> FirestoreWorld:
    """For what only a Firestore has: documents with fields, which others may write as well."""
    return firestore_world_at(firestore, project)


@pytest.fixture
async def connections() -> AsyncIterator[ConnectionsServer]:
    async with connections_server() as server:
        yield server
