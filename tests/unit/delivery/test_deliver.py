"""`deliver`: who is told, who is skipped, and what is tried again."""

import asyncio
import json
from datetime import timedelta

import pytest

from functions.attempt import Attempt, MessageId, NotDelivered
from functions.calls.call import CallId, ConnectionId
from functions.calls.event import CallEvent
from functions.clients.connection import Wire
from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
from functions.ports.store import StoreUnavailable
from infra.emulators.faults import Fault, Kind
from tests.memory.clients import Clients
from tests.memory.services import Services
from tests.memory.world import MemoryWorld
from tests.support.makers import AGAIN, CALL, CODECS, FIRST, OTHER, RECEIVER, connect, event, now
from tests.support.world import committed

A_WHILE = timedelta(seconds=10)


async def left(world: MemoryWorld, served: tuple[str, ...] | None = None) -> CallEvent:
    """An event that is in the outbox for so long that its own handler must be done."""
    made = await committed(world, event(decided=now() - A_WHILE, served=served))
    await world.pend(made, now() - A_WHILE)
    return made


async def test_every_connection_that_was_not_served_is_told_once(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    for id in ("1=", "2=", "3="):
        await connect(world.store, id, RECEIVER)
    made = await committed(world, event(served=("2=",)))
    await deliverer.deliver(made, FIRST)
    assert {id for id, _ in clients.posts} == {"1=", "3="}
    frame = json.loads(clients.posts[0][1])
    assert (frame["event"], frame["data"]["callId"]) == ("call:cancelled", CALL)
    assert await world.pending_calls() == set()


async def test_a_user_without_connections_is_done_with(
    deliverer: Deliverer, world: MemoryWorld
) -> None:
    await deliverer.deliver(await committed(world, event()), FIRST)
    assert await world.pending_calls() == set()


async def test_a_dead_connection_is_closed_and_the_others_are_told(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "dead=", RECEIVER)
    await connect(world.store, "alive=", RECEIVER)
    clients.answers["dead="] = [410]
    await deliverer.deliver(await committed(world, event()), FIRST)
    assert [found.id for found in await world.store.connections.of([RECEIVER], now())] == ["alive="]
    # What it sent before it died is still its user's.
    dead = await world.store.connections.get(ConnectionId("dead="), now())
    assert dead is not None
    assert dead.sender(now()) == RECEIVER
    assert await world.pending_calls() == set()


async def test_a_connection_that_is_still_opening_is_not_taken_for_dead(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "young=", RECEIVER, connected=now())
    clients.answers["young="] = [410]
    made = await committed(world, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made, FIRST)
    await deliverer.deliver(made, FIRST)
    assert len(clients.posted_to("young=")) == 1
    assert await world.pending_calls() == set()


async def test_a_session_that_is_not_open_yet_is_told_once_it_is(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    young = await connect(world.store, "young=", RECEIVER, now(), wire=Wire.EIO4, is_open=False)
    await connect(world.store, "1=", RECEIVER)
    made = await committed(world, event())
    for _ in range(2):
        with pytest.raises(NotDelivered):
            await deliverer.deliver(made, FIRST)
    assert [id for id, _ in clients.posts] == ["1="]
    assert await world.pending_calls() == {CALL}
    await world.store.connections.note_opened(young.id)
    await deliverer.deliver(made, FIRST)
    assert [id for id, _ in clients.posts] == ["1=", "young="]
    assert clients.posts[1][1].startswith('42["call:cancelled",')
    assert await world.pending_calls() == set()


async def test_a_session_that_never_opened_is_taken_for_dead_after_thirty_seconds(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    for id, seconds in (("young=", 20), ("old=", 31)):
        connected = now() - timedelta(seconds=seconds)
        await connect(world.store, id, RECEIVER, connected, wire=Wire.EIO3, is_open=False)
    made = await committed(world, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made, FIRST)
    assert clients.posts == []
    assert [found.id for found in await world.store.connections.of([RECEIVER], now())] == ["young="]


async def test_connections_of_all_wires_are_told_each_in_its_own(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    for wire in Wire:
        await connect(world.store, f"{wire}=", RECEIVER, wire=wire)
    await deliverer.deliver(await committed(world, event()), FIRST)
    (in_json,) = clients.posted_to("json=")
    (in_eio3,), (in_eio4,) = clients.posted_to("eio3="), clients.posted_to("eio4=")
    assert in_eio3 == in_eio4
    frame = json.loads(in_json)
    assert json.loads(in_eio3.removeprefix("42")) == [frame["event"], frame["data"]]


@pytest.mark.parametrize("status", [403, 429, 500, 503])
async def test_what_failed_is_retried_and_what_was_served_is_not(
    deliverer: Deliverer,
    world: MemoryWorld,
    clients: Clients,
    status: int,
) -> None:
    await connect(world.store, "good=", RECEIVER)
    await connect(world.store, "bad=", RECEIVER)
    clients.answers["bad="] = [status]
    made = await committed(world, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made, FIRST)
    assert await world.pending_calls() == {CALL}
    await deliverer.deliver(made, FIRST)
    assert len(clients.posted_to("good=")) == 1
    assert len(clients.posted_to("bad=")) == 1
    assert await world.pending_calls() == set()


async def test_a_socket_that_does_not_answer_keeps_the_event_from_no_other(
    services: Services, deliverer: Deliverer, clients: Clients
) -> None:
    for id in ("good=", "silent="):
        await connect(services.store, id, RECEIVER)
    services.faults.hold("connections.POST", "silent=")
    made = await committed(services.world, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made, FIRST)
    assert [id for id, _ in clients.posts] == ["good="]
    assert await services.world.pending_calls() == {CALL}
    services.faults.heal()
    await deliverer.deliver(made, FIRST)
    assert [id for id, _ in clients.posts] == ["good=", "silent="]


@pytest.mark.parametrize("status", [400, 413])
async def test_what_api_gateway_will_never_take_is_not_tried_again(
    deliverer: Deliverer,
    world: MemoryWorld,
    clients: Clients,
    status: int,
) -> None:
    await connect(world.store, "good=", RECEIVER)
    await connect(world.store, "odd=", RECEIVER)
    clients.answers["odd="] = [status]
    await deliverer.deliver(await committed(world, event()), FIRST)
    assert [id for id, _ in clients.posts] == ["good="]
    assert await world.pending_calls() == set()
    assert await world.ids_in("connections") == {"good=", "odd="}


async def test_an_event_delivered_twice_does_no_harm(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "1=", RECEIVER)
    made = await committed(world, event(served=("1=",)))
    await deliverer.deliver(made, FIRST)
    await deliverer.deliver(made, FIRST)
    assert clients.posts == []
    assert await world.pending_calls() == set()


async def test_an_expired_event_is_dropped_and_done_with(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "1=", RECEIVER)
    late = event(decided=now() - timedelta(seconds=31))
    await deliverer.deliver(await committed(world, late), FIRST)
    assert clients.posts == []
    assert await world.pending_calls() == set()


async def test_an_event_that_expires_while_its_sockets_are_looked_up_is_dropped(
    deliverer: Deliverer, services: Services, clients: Clients
) -> None:
    await connect(services.store, "1=", RECEIVER)
    made = await committed(services.world, event(decided=now() - timedelta(seconds=29)))
    services.faults.arm(Fault(Kind.DELAY, "firestore.RunQuery", seconds=2))
    await deliverer.deliver(made, FIRST)
    assert clients.posts == []
    assert await services.world.pending_calls() == set()


async def test_an_expired_event_whose_entry_is_gone_is_dropped(
    deliverer: Deliverer, clients: Clients
) -> None:
    await deliverer.deliver(event(decided=now() - timedelta(seconds=31)), FIRST)
    assert clients.posts == []


async def test_each_attempt_costs_one_commit_however_many_sockets_there_are(
    services: Services, clients: Clients
) -> None:
    for number in range(30):
        await connect(services.store, f"{number}=", RECEIVER)
    await connect(services.store, "bad=", RECEIVER)
    clients.answers["bad="] = [500, 500]
    made = await committed(services.world, event())
    deliverer = Deliverer(services.store, services.sockets, CODECS, Memory(), now)
    services.journal.clear()
    for delivery in (FIRST, AGAIN):
        with pytest.raises(NotDelivered):
            await deliverer.deliver(made, delivery)
    assert services.journal.started.count("Commit") == 2
    await Deliverer(services.store, services.sockets, CODECS, Memory(), now).deliver(made, AGAIN)
    assert services.journal.started.count("Commit") == 3
    assert services.journal.started.count("BatchGetDocuments") == 2
    assert sorted(id for id, _ in clients.posts) == sorted(
        ["bad=", *(f"{number}=" for number in range(30))]
    )


async def test_who_has_which_of_two_events_is_known_by_each_of_them(
    services: Services, clients: Clients
) -> None:
    await connect(services.store, "good=", RECEIVER)
    await connect(services.store, "bad=", RECEIVER)
    clients.answers["bad="] = [500] * 6
    calls = [CallId("CALL_1"), CallId("CALL_2")]
    events = [await committed(services.world, event(call=id)) for id in calls]
    for _ in range(3):
        for made in events:
            # Another instance each time, that remembers nothing.
            deliverer = Deliverer(services.store, services.sockets, CODECS, Memory(), now)
            with pytest.raises(NotDelivered):
                await deliverer.deliver(made, AGAIN)
    assert len(clients.posted_to("good=")) == 2


async def test_a_copy_of_what_was_partly_delivered_reaches_only_the_others(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    for id in ("by gateway=", "by deliver=", "bad="):
        await connect(world.store, id, RECEIVER)
    clients.answers["bad="] = [500]
    partly = await left(world, served=("by gateway=",))
    with pytest.raises(NotDelivered):
        await deliverer.deliver(partly, FIRST)
    await deliverer.deliver(partly.served_to(None), OTHER)
    assert sorted(id for id, _ in clients.posts) == ["bad=", "by deliver="]


@pytest.mark.parametrize("is_copy", [True, False])
async def test_what_comes_late_is_not_told_once_the_call_rings_again(
    deliverer: Deliverer,
    world: MemoryWorld,
    clients: Clients,
    is_copy: bool,
) -> None:
    await connect(world.store, "1=", RECEIVER)
    old = await left(world, None if is_copy else ())
    await world.ring()
    await deliverer.deliver(old, FIRST)
    assert clients.posts == []
    assert await world.pending_calls() == set()


async def test_the_event_of_an_earlier_ring_leaves_that_of_a_later_one_alone(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "1=", RECEIVER)
    expired = await committed(world, event(decided=now() - timedelta(seconds=31)))
    old = await left(world, ())
    new = await committed(world, event())
    for made in (expired, old):
        await deliverer.deliver(made, FIRST)
    assert clients.posts == []
    assert await world.pending_calls() == {CALL}
    await deliverer.deliver(new, FIRST)
    assert len(clients.posts) == 1
    assert await world.pending_calls() == set()


async def test_a_call_that_is_gone_or_can_not_be_read_proves_nothing(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "1=", RECEIVER)
    made = await left(world, ())
    await world.delete_call()
    await deliverer.deliver(made, AGAIN)
    assert len(clients.posts) == 1


async def test_a_retry_of_what_a_copy_has_delivered_meanwhile_has_nothing_left_to_do(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    made = await left(world, ())
    await deliverer.deliver(made.served_to(None), OTHER)
    await connect(world.store, "1=", RECEIVER)  # which is told by its own catch-up
    await deliverer.deliver(made, AGAIN)
    assert clients.posts == []


async def test_a_republished_copy_of_what_was_delivered_is_dropped(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "1=", RECEIVER)
    await deliverer.deliver(event(served=None), FIRST)
    assert clients.posts == []


async def test_a_republished_copy_waits_until_the_frames_own_handler_must_be_done(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "1=", RECEIVER)
    made = await committed(world, event())
    with pytest.raises(NotDelivered):
        await deliverer.deliver(made.served_to(None), FIRST)
    assert clients.posts == []


async def test_a_republished_copy_of_what_a_crash_left_is_delivered(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "1=", RECEIVER)
    await deliverer.deliver(await left(world), FIRST)
    assert len(clients.posted_to("1=")) == 1
    assert await world.pending_calls() == set()


async def test_of_two_copies_one_is_delivered_and_the_other_has_nothing_left_to_do(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "1=", RECEIVER)
    copy = await left(world)
    clients.answers["1="] = [500]
    with pytest.raises(NotDelivered):
        await deliverer.deliver(copy, FIRST)
    await deliverer.deliver(copy, OTHER)
    assert clients.posts == []
    await deliverer.deliver(copy, AGAIN)
    assert len(clients.posted_to("1=")) == 1
    assert await world.pending_calls() == set()


async def test_copies_that_come_at_the_same_time_tell_a_phone_once(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "1=", RECEIVER)
    copy = await left(world)
    deliveries = [Attempt(MessageId(str(number)), number=1) for number in range(5)]
    copies = [deliverer.deliver(copy, delivery) for delivery in deliveries]
    ends = await asyncio.gather(*copies, return_exceptions=True)
    assert {type(end) for end in ends} <= {type(None), NotDelivered}
    assert len(clients.posted_to("1=")) == 1
    assert await world.pending_calls() == set()


async def test_a_copy_that_was_given_up_leaves_the_event_to_a_later_one(
    deliverer: Deliverer, world: MemoryWorld, clients: Clients
) -> None:
    await connect(world.store, "1=", RECEIVER)
    copy = await left(world)
    entry = await world.store.outbox.entry(CALL, copy.signal_id)
    assert entry is not None
    assert await world.store.outbox.claim(entry, FIRST.message, now() - timedelta(seconds=21))
    await deliverer.deliver(copy, OTHER)
    assert len(clients.posted_to("1=")) == 1
    assert await world.pending_calls() == set()


async def test_who_was_told_is_not_told_again_while_firestore_can_not_be_written(
    services: Services, clients: Clients
) -> None:
    await connect(services.store, "1=", RECEIVER)
    made = await committed(services.world, event())
    services.faults.fail("firestore.Commit", times=3)
    deliverer = Deliverer(services.store, services.sockets, CODECS, Memory(), now)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await deliverer.deliver(made, AGAIN)
    await deliverer.deliver(made, AGAIN)
    assert len(clients.posted_to("1=")) == 1
    assert await services.world.pending_calls() == set()
