"""An embedded Pub/Sub with one topic, and its clients."""

from collections.abc import AsyncIterator

import pytest
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient

from infra.emulators.pubsub import PubSubServer
from tests.emulators.pubsub.support import TOPIC, Clients, clients_at


@pytest.fixture
async def server() -> AsyncIterator[PubSubServer]:
    # A 10 s ack deadline, the shortest there is, passes in 0.1 s.
    async with PubSubServer(second=0.01) as server:
        yield server


@pytest.fixture
async def clients(server: PubSubServer) -> AsyncIterator[Clients]:
    async with clients_at(server.address) as clients:
        yield clients


@pytest.fixture
async def publisher(clients: Clients) -> PublisherAsyncClient:
    await clients[0].create_topic(name=TOPIC)
    return clients[0]


@pytest.fixture
def subscriber(clients: Clients) -> SubscriberAsyncClient:
    return clients[1]
