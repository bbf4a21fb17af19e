"""The ways to clients: which is taken, and what it costs."""

import pytest
import pytest_asyncio

from functions.calls.call import ConnectionId
from functions.ports.sockets import Gone, PostFailed
from tests.memory.services import Services
from tests.support.makers import CALLER, now
from tests.support.polling import SOCKET, PollingClient

QUEUED, MOVED = ["Commit"], ["Commit", "BatchGetDocuments"]
NOBODYS = ConnectionId(f"poll-{'a' * 22}")


@pytest_asyncio.fixture(loop_scope="function")
async def client(services: Services) -> PollingClient:
    client = PollingClient(services)
    await client.come(CALLER)
    services.journal.clear()
    return client


async def test_a_socket_costs_one_request(client: PollingClient, services: Services) -> None:
    await services.sockets.post(ConnectionId(SOCKET), "42[1]")
    await services.sockets.close(ConnectionId(SOCKET))
    assert client.costs == ["POST", "DELETE"]


async def test_what_is_for_a_client_that_polls_waits_and_costs_a_commit(
    client: PollingClient, services: Services
) -> None:
    await services.sockets.post(client.id, "42[1]")
    assert client.costs == QUEUED
    assert (client.waiting.packets, services.clients.posts) == (["42[1]"], [])


async def test_a_client_that_polls_is_closed_by_a_packet_and_costs_two_commits(
    client: PollingClient, services: Services
) -> None:
    await services.sockets.close(client.id)
    assert client.costs == QUEUED * 2
    assert client.waiting.packets == ["1"]
    assert client.session.user is None
    assert await services.store.connections.of([CALLER], now()) == []


async def test_a_client_that_has_upgraded_is_reached_by_its_socket_and_costs_a_read_more(
    client: PollingClient, services: Services
) -> None:
    await client.upgrade()
    services.journal.clear()
    await services.sockets.post(client.id, "42[1]")
    assert client.costs == [*MOVED, "POST"]
    assert client.posted == ["42[1]"]
    services.journal.clear()
    await services.sockets.close(client.id)
    assert client.costs == [*MOVED, "DELETE"]
    assert services.clients.closed == [SOCKET]


async def test_what_is_for_nobody_any_more_is_told_so(services: Services) -> None:
    for reached in (services.sockets.post(NOBODYS, "42[1]"), services.sockets.close(NOBODYS)):
        services.journal.clear()
        with pytest.raises(Gone):
            await reached
        assert services.journal.started == MOVED


@pytest.mark.parametrize("rpc", ["Commit", "BatchGetDocuments"])
async def test_without_firestore_it_is_not_known_to_be_done(services: Services, rpc: str) -> None:
    services.faults.fail(f"firestore.{rpc}", times=2)
    for reached in (services.sockets.post(NOBODYS, "42[1]"), services.sockets.close(NOBODYS)):
        with pytest.raises(PostFailed):
            await reached
