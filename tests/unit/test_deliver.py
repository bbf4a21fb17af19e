"""`deliver` on a real Firestore and a real @connections endpoint: who is told, skipped, retried."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import httpx
import pytest
from google.cloud.firestore import AsyncClient

from functions.calls.event import CallEvent
from functions.deliver import Deliverer
from functions.delivery import NotDelivered
from functions.services.apigateway import Sockets
from functions.services.documents import MessageId
from functions.services.firestore import Store
from functions.services.remote import StoreUnavailable
from functions.wire.frames import Wire
from tests.support.connections import ConnectionsServer
from tests.support.makers import (
    CALL,
    RECEIVER,
    connect,
    event,
    ids_in,
    now,
    ring,
    signal,
)
from tests.support.services import Services

MESSAGE, OTHER = MessageId("1"), MessageId("2")


def a_while_ago(served: tuple[str, ...] = ()) -> CallEvent:
    """An event whose own handler must be done."""
    return event(decided=now() - timedelta(seconds=15), served=served)


@pytest.fixture
async def deliverer(store: Store, connections: ConnectionsServer) -> AsyncIterator[Deliverer]:
    async with httpx.AsyncClient(timeout=2) as http:
        yield Deliverer(store, Sockets(http, connections.url))


async def committed(store: Store, client: AsyncClient, made: CallEvent) -> CallEvent:
    """Puts the event into the outbox, as the signal's own commit does."""
    await ring(client)
    loaded = await store.load(RECEIVER, CALL, now())
    assert loaded.call
    await store.commit(loaded.call, signal(), made)
    return made


async def test_every_connection_that_was_not_served_is_told_once(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    for id in ("1=", "2=", "3="):
        await connect(store, id, RECEIVER)
    made = await committed(store, client, event(served=("2=",)))
    await deliverer.deliver(made, MESSAGE)
    assert {id for id, _ in connections.posts} == {"1=", "3="}
    frame = json.loads(connections.posts[0][1])
    assert (frame["event"], frame["data"]["callId"]) == ("call:cancelled", CALL)
    assert await ids_in(client, "outbox") == set()


async def test_a_user_without_connections_is_done_with(
    deliverer: Deliverer, store: Store, client: AsyncClient
) -> None:
    await deliverer.deliver(await committed(store, client, event()), MESSAGE)
    assert await ids_in(client, "outbox") == set()


async def test_a_dead_connection_is_deleted_and_the_others_are_told(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "dead=", RECEIVER)
    await connect(store, "alive=", RECEIVER)
    connections.answers["dead="] = [410]
    await deliverer.deliver(await committed(store, client, event()), MESSAGE)
    assert await ids_in(client, "connections") == {"alive="}
    assert await ids_in(client, "outbox") == set()


async def test_a_connection_that_is_still_opening_is_not_taken_for_dead(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "young=", RECEIVER, connected=now())
    connections.answers["young="] = [410]
    made = await committed(store, client, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made, MESSAGE)
    await deliverer.deliver(made, MESSAGE)
    assert len(connections.posted_to("young=")) == 1
    assert await ids_in(client, "outbox") == set()


async def test_a_session_that_is_not_open_yet_is_told_once_it_is(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    young = await connect(store, "young=", RECEIVER, now(), wire=Wire.EIO4, is_open=False)
    await connect(store, "1=", RECEIVER)
    made = await committed(store, client, event())
    for _ in range(2):
        with pytest.raises(NotDelivered):
            await deliverer.deliver(made, MESSAGE)
    assert [id for id, _ in connections.posts] == ["1="]
    assert await ids_in(client, "outbox") == {CALL}
    await store.opened(young.id)
    await deliverer.deliver(made, MESSAGE)
    assert [id for id, _ in connections.posts] == ["1=", "young="]
    assert connections.posts[1][1].startswith('42["call:cancelled",')
    assert await ids_in(client, "outbox") == set()


async def test_a_session_that_never_opened_is_taken_for_dead_after_thirty_seconds(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    for id, seconds in (("young=", 20), ("old=", 31)):
        connected = now() - timedelta(seconds=seconds)
        await connect(store, id, RECEIVER, connected, wire=Wire.EIO3, is_open=False)
    made = await committed(store, client, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made, MESSAGE)
    assert connections.posts == []
    assert await ids_in(client, "connections") == {"young="}


async def test_connections_of_all_wires_are_told_each_in_its_own(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    for wire in Wire:
        await connect(store, f"{wire}=", RECEIVER, wire=wire)
    await deliverer.deliver(await committed(store, client, event()), MESSAGE)
    (in_json,) = connections.posted_to("json=")
    (in_eio3,), (in_eio4,) = connections.posted_to("eio3="), connections.posted_to("eio4=")
    assert in_eio3 == in_eio4
    frame = json.loads(in_json)
    assert json.loads(in_eio3.removeprefix("42")) == [frame["event"], frame["data"]]


@pytest.mark.parametrize("status", [403, 429, 500, 503, 0])
async def test_what_failed_is_retried_and_what_was_served_is_not(
    deliverer: Deliverer,
    store: Store,
    client: AsyncClient,
    connections: ConnectionsServer,
    status: int,
) -> None:
    await connect(store, "good=", RECEIVER)
    await connect(store, "bad=", RECEIVER)
    connections.answers["bad="] = [status]
    made = await committed(store, client, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made, MESSAGE)
    assert await ids_in(client, "outbox") == {CALL}
    await deliverer.deliver(made, MESSAGE)
    assert len(connections.posted_to("good=")) == 1
    assert len(connections.posted_to("bad=")) == 1
    assert await ids_in(client, "outbox") == set()


@pytest.mark.parametrize("status", [400, 413])
async def test_what_api_gateway_will_never_take_is_not_tried_again(
    deliverer: Deliverer,
    store: Store,
    client: AsyncClient,
    connections: ConnectionsServer,
    status: int,
) -> None:
    await connect(store, "good=", RECEIVER)
    await connect(store, "odd=", RECEIVER)
    connections.answers["odd="] = [status]
    await deliverer.deliver(await committed(store, client, event()), MESSAGE)
    assert [id for id, _ in connections.posts] == ["good="]
    assert await ids_in(client, "outbox") == set()
    assert await ids_in(client, "connections") == {"good=", "odd="}


async def test_an_event_delivered_twice_does_no_harm(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    made = await committed(store, client, event(served=("1=",)))
    await deliverer.deliver(made, MESSAGE)
    await deliverer.deliver(made, MESSAGE)
    assert connections.posts == []
    assert await ids_in(client, "outbox") == set()


async def test_an_expired_event_is_dropped_and_forgotten(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    late = event(decided=now() - timedelta(seconds=61))
    await deliverer.deliver(await committed(store, client, late), MESSAGE)
    assert connections.posts == []
    assert await ids_in(client, "outbox") == set()


async def test_a_copy_of_what_was_partly_delivered_reaches_only_the_others(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    for id in ("by gateway=", "by deliver=", "bad="):
        await connect(store, id, RECEIVER)
    connections.answers["bad="] = [500]
    partly = a_while_ago(served=("by gateway=",))
    made = await committed(store, client, partly)
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made, MESSAGE)
    await deliverer.deliver(made.served_to(None), MESSAGE)
    assert sorted(id for id, _ in connections.posts) == ["bad=", "by deliver="]


async def test_an_expired_copy_leaves_the_entry_of_a_later_ring_alone(
    deliverer: Deliverer, store: Store, client: AsyncClient
) -> None:
    old = event(decided=now() - timedelta(seconds=61))
    await committed(store, client, event())
    await deliverer.deliver(old, MESSAGE)
    assert await ids_in(client, "outbox") == {CALL}


async def test_a_republished_copy_of_what_was_delivered_is_dropped(
    deliverer: Deliverer, store: Store, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    await deliverer.deliver(event(served=None), MESSAGE)
    assert connections.posts == []


async def test_a_republished_copy_waits_until_the_frames_own_handler_must_be_done(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    made = await committed(store, client, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made.served_to(None), MESSAGE)
    assert connections.posts == []


async def test_a_republished_copy_of_what_a_crash_left_is_delivered(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    made = await committed(store, client, a_while_ago())
    await deliverer.deliver(made.served_to(None), MESSAGE)
    assert len(connections.posted_to("1=")) == 1
    assert await ids_in(client, "outbox") == set()


async def test_of_two_copies_one_is_delivered_and_the_other_has_nothing_left_to_do(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    copy = (await committed(store, client, a_while_ago())).served_to(None)
    connections.answers["1="] = [500]
    with pytest.raises(NotDelivered):
        await deliverer.deliver(copy, MESSAGE)
    await deliverer.deliver(copy, OTHER)
    assert connections.posts == []
    await deliverer.deliver(copy, MESSAGE)
    assert len(connections.posted_to("1=")) == 1
    assert await ids_in(client, "outbox") == set()


async def test_copies_that_come_at_the_same_time_tell_a_phone_once(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    copy = (await committed(store, client, a_while_ago())).served_to(None)
    copies = [deliverer.deliver(copy, MessageId(str(number))) for number in range(5)]
    ends = await asyncio.gather(*copies, return_exceptions=True)
    assert {type(end) for end in ends} <= {type(None), NotDelivered}
    assert len(connections.posted_to("1=")) == 1
    assert await ids_in(client, "outbox") == set()


async def test_a_copy_that_was_given_up_leaves_the_event_to_a_later_one(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    copy = (await committed(store, client, a_while_ago())).served_to(None)
    pending = await store.pending(CALL)
    assert pending is not None
    assert await store.claim(pending, MESSAGE, now() - timedelta(seconds=21))
    await deliverer.deliver(copy, OTHER)
    assert len(connections.posted_to("1=")) == 1
    assert await ids_in(client, "outbox") == set()


async def test_who_was_told_is_not_told_again_while_firestore_can_not_be_written(
    services: Services, connections: ConnectionsServer
) -> None:
    await connect(services.store, "1=", RECEIVER)
    made = await committed(services.store, services.client, event())
    refused = grpc.StatusCode.RESOURCE_EXHAUSTED
    services.faults.fail("firestore.Commit", code=refused, times=3)
    deliverer = Deliverer(services.store, services.sockets)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await deliverer.deliver(made, MESSAGE)
    await deliverer.deliver(made, MESSAGE)
    assert len(connections.posted_to("1=")) == 1
    assert await ids_in(services.client, "outbox") == set()
