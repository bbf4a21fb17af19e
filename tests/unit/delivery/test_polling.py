"""What clients are told that poll, and then upgrade: each event once, whichever way it goes."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from functions.attempt import Attempt
from functions.calls.call import Actor, Status
from functions.calls.event import LONGEST_LIFE, CallEvent, unix_ms
from functions.delivery.catchup import CatchUp
from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
from functions.inbound.http import Handler
from functions.published import ConnectionAdmitted, ConnectionClosed
from functions.ring import handler
from functions.scheduled import CallerCheck, encode
from functions.settings import RingSettings
from tests.memory.services import Services
from tests.support.api import status_of
from tests.support.asgi import call, envelope
from tests.support.makers import (
    AGAIN,
    CALL,
    CALLER,
    CODECS,
    FIRST,
    RECEIVER,
    connect,
    event,
    now,
)
from tests.support.polling import NOOP, SOCKET, UPGRADE, PollingClient, connect_of
from tests.support.processes import settings_of
from tests.support.world import committed

CANCEL = '{"event":"call:cancel","data":{"callId":"CALL_1"}}'
ACCEPT = '42["call:accept",{"callId":"CALL_1"}]'
INITIATE = f'42["call:initiate",{{"callId":"CALL_1","receiverId":"{RECEIVER}"}}]'


@pytest_asyncio.fixture(loop_scope="function")
async def client(services: Services) -> PollingClient:
    """The receiver's, whose call rings; the caller has a socket."""
    await connect(services.store, "caller=", CALLER)
    await services.world.ring()
    client = PollingClient(services)
    await client.come(RECEIVER)
    return client


def told(packets: list[str]) -> list[str]:
    """The events among the packets."""
    return [json.loads(packet[2:])[0] for packet in packets if packet.startswith("42")]


async def deliver(services: Services, made: CallEvent, attempt: Attempt = FIRST) -> list[str]:
    """What it costs an instance that remembers nothing."""
    services.journal.clear()
    deliverer = Deliverer(services.store, services.sockets, CODECS, Memory(), now)
    await deliverer.deliver(made, attempt)
    return services.journal.started


async def catch_up(services: Services, admitted: ConnectionAdmitted) -> list[str]:
    services.journal.clear()
    await CatchUp(services.store, services.sockets, CODECS, Memory(), now).tell(admitted)
    return services.journal.started


# Events


async def test_who_polls_is_told_at_once_at_the_cost_of_a_commit_instead_of_a_post(
    client: PollingClient, services: Services
) -> None:
    await client.send(CANCEL, "caller=")
    paid = ["BatchGetDocuments", "Commit", "Commit", "Publish", "RunQuery"]
    assert sorted(client.costs) == paid
    (made,) = services.published(CallEvent)
    assert made.served == (client.id,)
    assert await deliver(services, made) == ["RunQuery", "Commit"]
    assert told(await client.poll()) == ["call:cancelled"]
    assert await client.poll() == [NOOP]


async def test_what_was_not_told_at_once_is_delivered_and_counts_as_told(
    client: PollingClient, services: Services
) -> None:
    made = await committed(services.world, event())
    assert await deliver(services, made) == ["RunQuery", "Commit", "Commit"]
    assert services.database.entries[CALL, made.signal_id].served == {client.id}
    await deliver(services, made, AGAIN)
    assert told(await client.poll()) == ["call:cancelled"]
    assert await services.world.pending_calls() == set()


async def test_without_firestore_what_could_not_wait_is_delivered_later(
    client: PollingClient, services: Services
) -> None:
    services.faults.fail("firestore.Commit", client.id)
    await client.send(CANCEL, "caller=")
    (made,) = services.published(CallEvent)
    assert made.served == ()
    assert await deliver(services, made) == ["RunQuery", "Commit", "Commit"]
    assert told(await client.poll()) == ["call:cancelled"]


async def test_who_polled_and_was_told_is_not_told_again_by_his_socket(
    client: PollingClient, services: Services
) -> None:
    await client.send(CANCEL, "caller=")
    (made,) = services.published(CallEvent)
    assert told(await client.poll()) == ["call:cancelled"]
    await client.upgrade()
    assert await deliver(services, made) == ["RunQuery", "Commit"]
    assert client.posted == []


async def test_what_waited_for_him_is_not_delivered_again_once_he_has_upgraded(
    client: PollingClient, services: Services
) -> None:
    made = await committed(services.world, event())
    await deliver(services, made)
    await client.upgrade()
    assert told(client.posted) == ["call:cancelled"]
    services.database.put_entry(services.database.entries[CALL, made.signal_id])
    await deliver(services, made, AGAIN)  # its note is read
    await deliver(services, made.served_to([client.id]))
    assert told(client.posted) == ["call:cancelled"]


async def test_who_upgrades_while_he_is_told_is_told_by_his_socket(
    client: PollingClient, services: Services
) -> None:
    assert await client.open_socket() == 200
    adding = services.faults.hold("firestore.Commit", client.id)
    sent = asyncio.create_task(client.send(CANCEL, "caller="))
    await adding.reached.wait()
    assert await client.send(UPGRADE) == NOOP
    adding.release()
    await sent
    assert told(client.posted) == ["call:cancelled"]
    (made,) = services.published(CallEvent)
    assert await deliver(services, made) == ["RunQuery", "Commit"]
    assert told(client.posted) == ["call:cancelled"]


async def test_whose_session_is_gone_is_not_told(client: PollingClient, services: Services) -> None:
    await client.emit("1")
    await client.send(CANCEL, "caller=")
    *_, made = services.published_of_any_kind()
    assert isinstance(made, CallEvent)
    assert made.served == ()
    assert await deliver(services, made) == ["RunQuery", "Commit"]
    assert await client.poll() == ["1"]


# Catch-up


@pytest_asyncio.fixture(loop_scope="function")
async def late(services: Services) -> PollingClient:
    """The receiver's, who missed a cancel, and whose handshake was before his CONNECT."""
    made = await committed(services.world, event())
    await services.store.outbox.note_served(made, (), now(), is_done=True)
    client = PollingClient(services)
    await client.begin()
    return client


async def test_who_connects_by_polling_is_told_once_what_he_has_missed(
    late: PollingClient, services: Services
) -> None:
    await late.emit(connect_of(RECEIVER))
    (admitted,) = services.published(ConnectionAdmitted)
    await late.poll()
    found = ["BatchGetDocuments", "RunQuery", "BatchGetDocuments"]
    assert await catch_up(services, admitted) == [*found, "Commit", "Commit"]
    assert await catch_up(services, admitted) == found[:2]
    assert told(await late.poll()) == ["call:cancelled"]
    await late.upgrade()
    assert await catch_up(services, admitted) == ["BatchGetDocuments", *found[:2]]
    assert told(late.posted) == []


async def test_who_has_upgraded_before_he_is_told_what_he_has_missed_is_told_by_his_socket(
    late: PollingClient, services: Services
) -> None:
    await late.emit(connect_of(RECEIVER))
    (admitted,) = services.published(ConnectionAdmitted)
    telling = asyncio.create_task(catch_up(services, admitted))
    await late.upgrade()
    costs = await telling
    assert late.posted == [f'40{{"sid":"{late.id}"}}', *late.posted[1:]]
    assert told(late.posted) == ["call:cancelled"]
    found = [*["BatchGetDocuments"] * 2, "RunQuery", "BatchGetDocuments"]
    assert costs[-6:] == [*found, "POST", "Commit"]
    await catch_up(services, admitted)
    assert told(late.posted) == ["call:cancelled"]


async def test_who_has_upgraded_long_before_he_is_told_what_he_has_missed_is_found(
    services: Services,
) -> None:
    lasting = unix_ms(now() + LONGEST_LIFE)
    made = msgspec.structs.replace(event(), expires_at_ms=lasting)
    await services.store.outbox.note_served(
        await committed(services.world, made), (), now(), is_done=True
    )
    client = PollingClient(services)
    await client.begin()
    await client.emit(connect_of(RECEIVER))
    (admitted,) = services.published(ConnectionAdmitted)
    await client.upgrade()
    await asyncio.sleep(LONGEST_LIFE.total_seconds() - 1)
    assert not admitted.expired(now())
    await catch_up(services, admitted)
    assert told(client.posted) == ["call:cancelled"]


async def test_who_upgrades_while_he_is_told_what_he_has_missed_is_told_by_his_socket(
    late: PollingClient, services: Services
) -> None:
    await late.emit(connect_of(RECEIVER))
    (admitted,) = services.published(ConnectionAdmitted)
    assert await late.open_socket() == 200
    adding = services.faults.hold("firestore.Commit", late.id)
    telling = asyncio.create_task(catch_up(services, admitted))
    await adding.reached.wait()
    assert await late.send(UPGRADE) == NOOP
    adding.release()
    await telling
    assert told(late.posted) == ["call:cancelled"]
    await catch_up(services, admitted)
    assert told(late.posted) == ["call:cancelled"]


@pytest.mark.parametrize("is_back", [True, False])
async def test_who_is_admitted_by_his_socket_is_told_what_happened_since_his_session_began(
    services: Services, is_back: bool
) -> None:
    client = PollingClient(services)
    await client.begin()
    if is_back:  # he was admitted before, and had left
        await client.emit(connect_of(RECEIVER))
        await client.upgrade()
        await client.send("41")
    else:
        await client.upgrade()
    services.topic.clear()
    made = await committed(services.world, event())
    assert await deliver(services, made) == ["RunQuery", "Commit"]
    await client.send(connect_of(RECEIVER))
    (admitted,) = services.published(ConnectionAdmitted)
    await catch_up(services, admitted)
    assert told(client.posted) == ["call:cancelled"]


async def test_what_happens_once_he_is_admitted_is_left_to_its_own_delivery_also_after_an_upgrade(
    client: PollingClient, services: Services
) -> None:
    made = await committed(services.world, event())
    await client.upgrade()
    await catch_up(
        services, ConnectionAdmitted(connection_id=client.id, expires_at=made.expires_at)
    )
    assert client.posted == []
    await deliver(services, made)
    assert told(client.posted) == ["call:cancelled"]


async def test_whose_upgrade_fails_is_told_on_his_next_session_what_waited_for_him(
    client: PollingClient, services: Services
) -> None:
    await client.send(CANCEL, "caller=")
    (made,) = services.published(CallEvent)
    await deliver(services, made)
    assert await client.open_socket() == 200
    services.faults.lose_reply("firestore.Commit")
    assert await client.send(UPGRADE) != NOOP
    assert client.posted == []
    again = PollingClient(services)
    await again.begin()
    await again.emit(connect_of(RECEIVER))
    (admitted,) = services.published(ConnectionAdmitted)
    await catch_up(services, admitted)
    assert told(await again.poll()) == ["call:cancelled"]


# Elsewhere


async def test_who_answers_by_polling_is_not_told_by_his_socket_that_he_has_answered_elsewhere(
    client: PollingClient, services: Services
) -> None:
    await connect(services.store, "tablet=", RECEIVER)
    assert await client.open_socket() == 200
    services.faults.fail("connections.POST", times=None)
    await client.emit(ACCEPT)
    services.faults.heal()
    (made,) = services.published(CallEvent)
    assert (made.by_connection, made.served) == (client.id, ())
    assert await client.send(UPGRADE) == NOOP
    await deliver(services, made)
    assert sorted(id for id, _ in services.clients.posts) == ["caller=", "tablet="]


async def test_who_answers_by_his_socket_is_passed_over_there(
    client: PollingClient, services: Services
) -> None:
    await client.upgrade()
    assert await client.send(ACCEPT) == NOOP
    (made,) = services.published(CallEvent)
    assert (made.by_connection, made.served) == (SOCKET, ("caller=",))
    assert await deliver(services, made) == ["RunQuery", "Commit"]
    assert client.posted == []


async def test_who_answers_over_https_silences_the_session_that_was_there(
    client: PollingClient, services: Services
) -> None:
    made = await committed(services.world, event("call:accept", by=Actor()))
    await deliver(services, made)
    await client.upgrade()
    assert told(client.posted) == ["call:cancelled"]


# A caller who polls


@pytest.fixture
def ring(services: Services) -> Handler:
    settings = settings_of(RingSettings)
    store, sockets, publisher = services.store, services.sockets, services.publisher
    return handler(settings, store, sockets, publisher, services.scheduler, now)


async def calling(services: Services) -> PollingClient:
    """A caller who polls, and whose call rings."""
    client = PollingClient(services)
    await client.come(CALLER)
    await client.emit(INITIATE)
    (rings,) = services.published(CallEvent)
    assert (rings.status, rings.by_connection) == (Status.RINGING, client.id)
    return client


async def closed(ring: Handler, services: Services) -> list[Any]:
    """The tasks that come of a connection that is closed."""
    (published,) = services.published(ConnectionClosed)
    await call(ring, envelope(published))
    return [task for task, _ in services.queue]


async def test_a_caller_who_polls_is_looked_after_when_he_has_said_goodbye(
    ring: Handler, services: Services
) -> None:
    client = await calling(services)
    assert list(client.session.calling) == [CALL]
    await client.emit("1")
    (task,) = await closed(ring, services)
    assert isinstance(task, CallerCheck)
    assert (task.call_id, task.user_id) == (CALL, CALLER)


async def test_a_caller_who_has_upgraded_is_looked_after_when_his_socket_is_closed(
    ring: Handler, services: Services
) -> None:
    client = await calling(services)
    noted = client.session.calling
    await client.upgrade()
    assert client.socket.calling == noted
    await client.disconnect()
    (task,) = await closed(ring, services)
    assert isinstance(task, CallerCheck)
    assert (task.call_id, task.user_id) == (CALL, CALLER)
    await call(ring, encode(task), path="/tasks")
    assert await status_of(services) is Status.CANCELLED


async def test_a_caller_whose_socket_is_closed_before_he_has_upgraded_is_looked_after(
    ring: Handler, services: Services
) -> None:
    client = await calling(services)
    assert await client.open_socket() == 200
    await client.disconnect()
    assert await closed(ring, services) == []  # of this socket nobody knows a call yet
    services.topic.clear()
    assert await client.send(UPGRADE) == NOOP
    (task,) = await closed(ring, services)
    assert isinstance(task, CallerCheck)
    assert (task.call_id, task.user_id) == (CALL, CALLER)
    await call(ring, encode(task), path="/tasks")
    assert await status_of(services) is Status.CANCELLED


async def test_a_caller_who_upgrades_is_not_gone(ring: Handler, services: Services) -> None:
    client = await calling(services)
    await client.upgrade()
    assert services.published_of_any_kind() == []
    await client.disconnect()
    (task,) = await closed(ring, services)
    services.queue.clear()
    again = PollingClient(services)
    await again.come(CALLER)
    await call(ring, encode(task), path="/tasks")
    assert await status_of(services) is Status.RINGING
    assert len(services.queue) == 1  # he is looked at again
