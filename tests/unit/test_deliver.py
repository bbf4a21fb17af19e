"""`deliver` on a real Firestore and a real @connections endpoint: who is told, skipped, retried."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import httpx
import pytest
from google.cloud.firestore import AsyncClient

from functions.attempt import Attempt, MessageId, NotDelivered
from functions.calls.call import CallId, ConnectionId
from functions.calls.event import CallEvent
from functions.clients.connection import Wire
from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
from functions.ports.store import Store, StoreUnavailable
from functions.services.apigateway import ApiGatewaySockets
from tests.support.connections import ConnectionsServer
from tests.support.makers import (
    AGAIN,
    CALL,
    FIRST,
    OTHER,
    RECEIVER,
    committed,
    connect,
    event,
    ids_in,
    now,
    pend,
    pending_calls,
    ring,
)
from tests.support.services import Services

A_WHILE = timedelta(seconds=10)


async def left(
    store: Store, client: AsyncClient, served: tuple[str, ...] | None = None
) -> CallEvent:
    """An event that is in the outbox for so long that its own handler must be done."""
    made = await committed(store, client, event(decided=now() - A_WHILE, served=served))
    await pend(client, made, now() - A_WHILE)
    return made


@pytest.fixture
async def deliverer(store: Store, connections: ConnectionsServer) -> AsyncIterator[Deliverer]:
    async with httpx.AsyncClient(timeout=2) as http:
        yield Deliverer(store, ApiGatewaySockets(http, connections.url), Memory(), now)


async def test_every_connection_that_was_not_served_is_told_once(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    for id in ("1=", "2=", "3="):
        await connect(store, id, RECEIVER)
    made = await committed(store, client, event(served=("2=",)))
    await deliverer.deliver(made, FIRST)
    assert {id for id, _ in connections.posts} == {"1=", "3="}
    frame = json.loads(connections.posts[0][1])
    assert (frame["event"], frame["data"]["callId"]) == ("call:cancelled", CALL)
    assert await pending_calls(client) == set()


async def test_a_user_without_connections_is_done_with(
    deliverer: Deliverer, store: Store, client: AsyncClient
) -> None:
    await deliverer.deliver(await committed(store, client, event()), FIRST)
    assert await pending_calls(client) == set()


async def test_a_dead_connection_is_closed_and_the_others_are_told(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "dead=", RECEIVER)
    await connect(store, "alive=", RECEIVER)
    connections.answers["dead="] = [410]
    await deliverer.deliver(await committed(store, client, event()), FIRST)
    assert [found.id for found in await store.connections.of([RECEIVER], now())] == ["alive="]
    # What it sent before it died is still its user's.
    dead = await store.connections.get(ConnectionId("dead="), now())
    assert dead is not None
    assert dead.sender(now()) == RECEIVER
    assert await pending_calls(client) == set()


async def test_a_connection_that_is_still_opening_is_not_taken_for_dead(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "young=", RECEIVER, connected=now())
    connections.answers["young="] = [410]
    made = await committed(store, client, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made, FIRST)
    await deliverer.deliver(made, FIRST)
    assert len(connections.posted_to("young=")) == 1
    assert await pending_calls(client) == set()


async def test_a_session_that_is_not_open_yet_is_told_once_it_is(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    young = await connect(store, "young=", RECEIVER, now(), wire=Wire.EIO4, is_open=False)
    await connect(store, "1=", RECEIVER)
    made = await committed(store, client, event())
    for _ in range(2):
        with pytest.raises(NotDelivered):
            await deliverer.deliver(made, FIRST)
    assert [id for id, _ in connections.posts] == ["1="]
    assert await pending_calls(client) == {CALL}
    await store.connections.open(young.id)
    await deliverer.deliver(made, FIRST)
    assert [id for id, _ in connections.posts] == ["1=", "young="]
    assert connections.posts[1][1].startswith('42["call:cancelled",')
    assert await pending_calls(client) == set()


async def test_a_session_that_never_opened_is_taken_for_dead_after_thirty_seconds(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    for id, seconds in (("young=", 20), ("old=", 31)):
        connected = now() - timedelta(seconds=seconds)
        await connect(store, id, RECEIVER, connected, wire=Wire.EIO3, is_open=False)
    made = await committed(store, client, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made, FIRST)
    assert connections.posts == []
    assert [found.id for found in await store.connections.of([RECEIVER], now())] == ["young="]


async def test_connections_of_all_wires_are_told_each_in_its_own(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    for wire in Wire:
        await connect(store, f"{wire}=", RECEIVER, wire=wire)
    await deliverer.deliver(await committed(store, client, event()), FIRST)
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
        await deliverer.deliver(made, FIRST)
    assert await pending_calls(client) == {CALL}
    await deliverer.deliver(made, FIRST)
    assert len(connections.posted_to("good=")) == 1
    assert len(connections.posted_to("bad=")) == 1
    assert await pending_calls(client) == set()


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
    await deliverer.deliver(await committed(store, client, event()), FIRST)
    assert [id for id, _ in connections.posts] == ["good="]
    assert await pending_calls(client) == set()
    assert await ids_in(client, "connections") == {"good=", "odd="}


async def test_an_event_delivered_twice_does_no_harm(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    made = await committed(store, client, event(served=("1=",)))
    await deliverer.deliver(made, FIRST)
    await deliverer.deliver(made, FIRST)
    assert connections.posts == []
    assert await pending_calls(client) == set()


async def test_an_expired_event_is_dropped_and_done_with(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    late = event(decided=now() - timedelta(seconds=31))
    await deliverer.deliver(await committed(store, client, late), FIRST)
    assert connections.posts == []
    assert await pending_calls(client) == set()


async def test_an_expired_event_whose_entry_is_gone_is_dropped(
    deliverer: Deliverer, connections: ConnectionsServer
) -> None:
    await deliverer.deliver(event(decided=now() - timedelta(seconds=31)), FIRST)
    assert connections.posts == []


async def test_each_attempt_costs_one_commit_however_many_sockets_there_are(
    services: Services, connections: ConnectionsServer
) -> None:
    for number in range(30):
        await connect(services.store, f"{number}=", RECEIVER)
    await connect(services.store, "bad=", RECEIVER)
    connections.answers["bad="] = [500, 500]
    made = await committed(services.store, services.client, event())
    deliverer = Deliverer(services.store, services.sockets, Memory(), now)
    services.journal.clear()
    for delivery in (FIRST, AGAIN):
        with pytest.raises(NotDelivered):
            await deliverer.deliver(made, delivery)
    assert services.journal.started.count("Commit") == 2
    await Deliverer(services.store, services.sockets, Memory(), now).deliver(made, AGAIN)
    assert services.journal.started.count("Commit") == 3
    assert services.journal.started.count("BatchGetDocuments") == 2
    assert sorted(id for id, _ in connections.posts) == sorted(
        ["bad=", *(f"{number}=" for number in range(30))]
    )


async def test_who_has_which_of_two_events_is_known_by_each_of_them(
    services: Services, connections: ConnectionsServer
) -> None:
    await connect(services.store, "good=", RECEIVER)
    await connect(services.store, "bad=", RECEIVER)
    connections.answers["bad="] = [500] * 6
    calls = [CallId("CALL_1"), CallId("CALL_2")]
    events = [await committed(services.store, services.client, event(call=id)) for id in calls]
    for _ in range(3):
        for made in events:
            # Another instance each time, that remembers nothing.
            deliverer = Deliverer(services.store, services.sockets, Memory(), now)
            with pytest.raises(NotDelivered):
                await deliverer.deliver(made, AGAIN)
    assert len(connections.posted_to("good=")) == 2


async def test_a_copy_of_what_was_partly_delivered_reaches_only_the_others(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    for id in ("by gateway=", "by deliver=", "bad="):
        await connect(store, id, RECEIVER)
    connections.answers["bad="] = [500]
    partly = await left(store, client, served=("by gateway=",))
    with pytest.raises(NotDelivered):
        await deliverer.deliver(partly, FIRST)
    await deliverer.deliver(partly.served_to(None), OTHER)
    assert sorted(id for id, _ in connections.posts) == ["bad=", "by deliver="]


@pytest.mark.parametrize("is_copy", [True, False])
async def test_what_comes_late_is_not_told_once_the_call_rings_again(
    deliverer: Deliverer,
    store: Store,
    client: AsyncClient,
    connections: ConnectionsServer,
    is_copy: bool,
) -> None:
    await connect(store, "1=", RECEIVER)
    old = await left(store, client, None if is_copy else ())
    await ring(client)
    await deliverer.deliver(old, FIRST)
    assert connections.posts == []
    assert await pending_calls(client) == set()


async def test_the_event_of_an_earlier_ring_leaves_that_of_a_later_one_alone(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    expired = await committed(store, client, event(decided=now() - timedelta(seconds=31)))
    old = await left(store, client, ())
    new = await committed(store, client, event())
    for made in (expired, old):
        await deliverer.deliver(made, FIRST)
    assert connections.posts == []
    assert await pending_calls(client) == {CALL}
    await deliverer.deliver(new, FIRST)
    assert len(connections.posts) == 1
    assert await pending_calls(client) == set()


@pytest.mark.parametrize("call", [None, {"callerId": 7}])
async def test_a_call_that_is_gone_or_can_not_be_read_proves_nothing(
    deliverer: Deliverer,
    store: Store,
    client: AsyncClient,
    connections: ConnectionsServer,
    call: dict[str, object] | None,
) -> None:
    await connect(store, "1=", RECEIVER)
    made = await left(store, client, ())
    document = client.collection("calls").document(CALL)
    await (document.delete() if call is None else document.set(call))
    await deliverer.deliver(made, AGAIN)
    assert len(connections.posts) == 1


async def test_a_retry_of_what_a_copy_has_delivered_meanwhile_has_nothing_left_to_do(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    made = await left(store, client, ())
    await deliverer.deliver(made.served_to(None), OTHER)
    await connect(store, "1=", RECEIVER)  # which is told by its own catch-up
    await deliverer.deliver(made, AGAIN)
    assert connections.posts == []


async def test_a_republished_copy_of_what_was_delivered_is_dropped(
    deliverer: Deliverer, store: Store, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    await deliverer.deliver(event(served=None), FIRST)
    assert connections.posts == []


async def test_a_republished_copy_waits_until_the_frames_own_handler_must_be_done(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    made = await committed(store, client, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made.served_to(None), FIRST)
    assert connections.posts == []


async def test_a_republished_copy_of_what_a_crash_left_is_delivered(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    await deliverer.deliver(await left(store, client), FIRST)
    assert len(connections.posted_to("1=")) == 1
    assert await pending_calls(client) == set()


async def test_of_two_copies_one_is_delivered_and_the_other_has_nothing_left_to_do(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    copy = await left(store, client)
    connections.answers["1="] = [500]
    with pytest.raises(NotDelivered):
        await deliverer.deliver(copy, FIRST)
    await deliverer.deliver(copy, OTHER)
    assert connections.posts == []
    await deliverer.deliver(copy, AGAIN)
    assert len(connections.posted_to("1=")) == 1
    assert await pending_calls(client) == set()


async def test_copies_that_come_at_the_same_time_tell_a_phone_once(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    copy = await left(store, client)
    deliveries = [Attempt(MessageId(str(number)), number=1) for number in range(5)]
    copies = [deliverer.deliver(copy, delivery) for delivery in deliveries]
    ends = await asyncio.gather(*copies, return_exceptions=True)
    assert {type(end) for end in ends} <= {type(None), NotDelivered}
    assert len(connections.posted_to("1=")) == 1
    assert await pending_calls(client) == set()


async def test_a_copy_that_was_given_up_leaves_the_event_to_a_later_one(
    deliverer: Deliverer, store: Store, client: AsyncClient, connections: ConnectionsServer
) -> None:
    await connect(store, "1=", RECEIVER)
    copy = await left(store, client)
    entry = await store.outbox.entry(CALL, copy.signal_id)
    assert entry is not None
    assert await store.outbox.claim(entry, FIRST.message, now() - timedelta(seconds=21))
    await deliverer.deliver(copy, OTHER)
    assert len(connections.posted_to("1=")) == 1
    assert await pending_calls(client) == set()


async def test_who_was_told_is_not_told_again_while_firestore_can_not_be_written(
    services: Services, connections: ConnectionsServer
) -> None:
    await connect(services.store, "1=", RECEIVER)
    made = await committed(services.store, services.client, event())
    refused = grpc.StatusCode.RESOURCE_EXHAUSTED
    services.faults.fail("firestore.Commit", code=refused, times=3)
    deliverer = Deliverer(services.store, services.sockets, Memory(), now)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await deliverer.deliver(made, AGAIN)
    await deliverer.deliver(made, AGAIN)
    assert len(connections.posted_to("1=")) == 1
    assert await pending_calls(services.client) == set()
