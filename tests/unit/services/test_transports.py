"""The two ways to a client: by which of them it is reached, at what cost, and how that fails."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from functions.calls.call import ConnectionId
from functions.calls.event import LONGEST_LIFE
from functions.ports.sockets import Gone, PostFailed, Refused
from functions.services.transports import Transports
from infra.emulators.faults import Fault
from tests.memory.services import Services
from tests.support.makers import RECEIVER, connect, now
from tests.support.polls import SESSION, SOCKET, begin, claimed, found, moved, waiting
from tests.unit.sessions.door import repeated_commit

CLOSE = "1"
HIS_NEXT_SOCKET = ["Commit", "BatchGetDocuments"]  # what it costs to find it

Way = Callable[[Transports], Coroutine[Any, Any, None]]


async def post(sockets: Transports) -> None:
    await sockets.post(SESSION, "42[1]")


async def close(sockets: Transports) -> None:
    await sockets.close(SESSION)


BOTH = pytest.mark.parametrize("way", [post, close], ids=lambda way: way.__name__)


async def costs(services: Services, step: Awaitable[None]) -> list[str]:
    services.journal.clear()
    await step
    return services.journal.started


# Its WebSocket


async def test_a_post_to_a_websocket_goes_there_at_one_post(services: Services) -> None:
    await connect(services.store, SOCKET, RECEIVER)
    assert await costs(services, services.sockets.post(SOCKET, "42[1]")) == ["POST"]
    assert services.clients.posts == [(SOCKET, "42[1]")]


async def test_a_websocket_is_closed_at_one_delete(services: Services) -> None:
    await connect(services.store, SOCKET, RECEIVER)
    assert await costs(services, services.sockets.close(SOCKET)) == ["DELETE"]
    assert services.clients.closed == [SOCKET]
    # Its `$disconnect` says so.
    (connection,) = await services.store.connections.of([RECEIVER], now())
    assert connection.closed_at is None


@pytest.mark.parametrize(("status", "error"), [(410, Gone), (413, Refused), (500, PostFailed)])
async def test_how_a_websocket_fails_is_told(
    services: Services, status: int, error: type[Exception]
) -> None:
    services.clients.answers[SOCKET] = [status]
    with pytest.raises(error):
        await services.sockets.post(SOCKET, "42[1]")
    assert services.journal.started == ["POST"]


# Its poll


async def test_a_post_to_a_client_that_polls_waits_for_it_at_one_commit(services: Services) -> None:
    await begin(services.store, "a")
    assert await costs(services, services.sockets.post(SESSION, "42[1]")) == ["Commit"]
    assert await costs(services, services.sockets.post(SESSION, "42[1]")) == ["Commit"]
    assert await waiting(services.store) == ["a", "42[1]", "42[1]"]
    assert services.clients.posts == []


async def test_a_client_that_polls_is_told_of_its_end_and_by_it_no_more_at_two_commits(
    services: Services,
) -> None:
    before = await begin(services.store, "a")
    assert await costs(services, services.sockets.close(SESSION)) == ["Commit", "Commit"]
    after = await found(services.store)
    assert (list(after.poll.packets), after.poll.is_closed) == (["a", CLOSE], True)
    assert (after.connection.user, after.connection.owner) == (None, RECEIVER)
    assert after.connection.closed_at
    assert after.connection.closed_at >= before.connection.connected_at
    assert await services.store.connections.of([RECEIVER], now()) == []
    assert services.clients.closed == []


async def test_a_client_that_polls_and_has_a_socket_already_is_told_by_its_poll(
    services: Services,
) -> None:
    await claimed(services.store, await begin(services.store))
    await post(services.sockets)
    await close(services.sockets)
    assert await waiting(services.store) == ["42[1]", CLOSE]
    assert (services.clients.posts, services.clients.closed) == ([], [])
    assert await services.store.connections.get(SOCKET, now())


@BOTH
async def test_what_is_repeated_as_its_reply_was_lost_waits_once(
    services: Services, way: Way
) -> None:
    await begin(services.store)
    repeated = services.faults.arm(repeated_commit())
    await way(services.sockets)
    assert repeated.met
    assert len(await waiting(services.store)) == 1


# The WebSocket to which it has upgraded


async def test_a_post_to_a_client_that_has_upgraded_goes_to_its_websocket(
    services: Services,
) -> None:
    await moved(services.store, await begin(services.store))
    paid = await costs(services, services.sockets.post(SESSION, "42[1]"))
    assert paid == [*HIS_NEXT_SOCKET, "POST"]
    assert services.clients.posts == [(SOCKET, "42[1]")]


async def test_of_a_client_that_has_upgraded_the_websocket_is_closed(services: Services) -> None:
    await moved(services.store, await begin(services.store))
    paid = await costs(services, services.sockets.close(SESSION))
    assert paid == [*HIS_NEXT_SOCKET, "DELETE"]
    assert services.clients.closed == [SOCKET]
    session = await services.store.connections.get(SESSION, now())
    assert session
    assert (session.upgraded_to, session.user) == (SOCKET, None)


@BOTH
async def test_a_client_that_upgrades_meanwhile_is_reached_by_its_websocket(
    services: Services, way: Way
) -> None:
    session = await begin(services.store)
    late = services.faults.hold("firestore.Commit", SESSION)
    reaching = asyncio.create_task(way(services.sockets))
    await late.reached.wait()
    await moved(services.store, session)
    late.release()
    await reaching
    reached = services.clients.posts or services.clients.closed
    assert reached == [(SOCKET, "42[1]") if way is post else SOCKET]


@pytest.mark.parametrize(("status", "error"), [(410, Gone), (413, Refused), (500, PostFailed)])
async def test_how_the_websocket_to_which_a_client_has_upgraded_fails_is_told(
    services: Services, status: int, error: type[Exception]
) -> None:
    await moved(services.store, await begin(services.store))
    services.clients.answers[SOCKET] = [status]
    with pytest.raises(error):
        await post(services.sockets)


# Neither


@BOTH
@pytest.mark.timeout(600)  # in the time that is played
@pytest.mark.parametrize("what", ["never was", "is gone", "was moved long ago"])
async def test_who_has_neither_is_gone(services: Services, way: Way, what: str) -> None:
    match what:
        case "is gone":
            session = await begin(services.store)
            assert await services.store.connections.remove([session.connection]) == 1
        case "was moved long ago":
            await moved(services.store, await begin(services.store))
            await asyncio.sleep(LONGEST_LIFE.total_seconds() + 1)
    services.journal.clear()
    with pytest.raises(Gone, match=SESSION):
        await way(services.sockets)
    assert services.journal.started == HIS_NEXT_SOCKET
    assert (services.clients.posts, services.clients.closed) == ([], [])
    assert SESSION not in services.database.polls


@BOTH
async def test_whose_queue_alone_is_gone_is_gone(services: Services, way: Way) -> None:
    await begin(services.store)
    del services.database.polls[SESSION]
    with pytest.raises(Gone, match=SESSION):
        await way(services.sockets)


# The store fails


@pytest.mark.parametrize("is_lost", [False, True])
@BOTH
async def test_a_store_that_is_not_reachable_is_a_post_that_failed(
    services: Services, way: Way, is_lost: bool
) -> None:
    await begin(services.store)
    break_it = services.faults.lose_reply if is_lost else services.faults.fail
    broken: Fault = break_it("firestore.Commit")
    with pytest.raises(PostFailed):
        await way(services.sockets)
    assert broken.met
    # Whoever tries again reaches the client, which then has it twice.
    await way(services.sockets)
    assert len(await waiting(services.store)) == (2 if is_lost else 1)


async def test_an_end_of_which_only_the_client_could_be_told_has_failed(
    services: Services,
) -> None:
    await begin(services.store)
    services.faults.fail("firestore.Commit", skip=1)
    with pytest.raises(PostFailed):
        await close(services.sockets)
    assert (await found(services.store)).connection.user == RECEIVER
    await close(services.sockets)
    assert (await found(services.store)).connection.user is None


@BOTH
async def test_a_store_that_fails_to_say_where_a_client_has_gone_is_a_post_that_failed(
    services: Services, way: Way
) -> None:
    await moved(services.store, await begin(services.store))
    services.faults.fail("firestore.BatchGetDocuments")
    with pytest.raises(PostFailed):
        await way(services.sockets)
    assert (services.clients.posts, services.clients.closed) == ([], [])


async def test_which_id_is_whose_is_told_by_its_beginning_alone(services: Services) -> None:
    await services.sockets.post(ConnectionId("Lpoll-1="), "42[1]")
    assert services.journal.started == ["POST"]
