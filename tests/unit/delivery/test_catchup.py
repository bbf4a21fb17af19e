"""Catch-up: who is told what he has missed, once, and what that costs."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from functions.attempt import NotDelivered
from functions.calls.call import CallId, ConnectionId, UserId
from functions.calls.event import CallEvent
from functions.clients.connection import Wire
from functions.delivery.catchup import CatchUp
from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
from functions.ports.identity import Identified
from functions.ports.store import StoredCall, StoreUnavailable
from functions.published import ConnectionAdmitted
from infra.emulators.faults import Fault, Kind
from tests.memory.clients import Clients
from tests.memory.services import Services
from tests.support.makers import (
    CALL,
    CALLER,
    CODECS,
    FIRST,
    RECEIVER,
    connect,
    event,
    now,
    ring_of_ours,
)
from tests.support.world import committed

ID = ConnectionId("late=")


def admitted(left: timedelta = timedelta(seconds=100)) -> ConnectionAdmitted:
    return ConnectionAdmitted(connection_id=ID, expires_at=now() + left)


def catch_up_of(services: Services) -> CatchUp:
    """An instance that remembers nothing."""
    return CatchUp(services.store, services.sockets, CODECS, Memory(), now)


@pytest.fixture
def catch_up(services: Services) -> CatchUp:
    return catch_up_of(services)


async def missed(services: Services, made: CallEvent | None = None) -> CallEvent:
    """An event that was delivered when its user had no connection."""
    made = await committed(services.world, made or event())
    await services.store.outbox.note_served(made, (), now(), is_done=True)
    return made


async def come(services: Services, user: UserId = RECEIVER, wire: Wire = Wire.JSON) -> None:
    await connect(services.store, ID, user, now(), wire=wire)
    services.journal.clear()


async def test_who_comes_after_the_cancel_is_told_once(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    made = await missed(services)
    await come(services)
    await catch_up.tell(admitted())
    ((id, frame),) = clients.posts
    told = {
        "callId": CALL,
        "reason": made.reason,
        "cause": "caller_cancelled",
        "timestamp": made.timestamp,
    }
    assert (id, json.loads(frame)) == (ID, {"event": "call:cancelled", "data": told})
    paid = ["BatchGetDocuments", "RunQuery", "BatchGetDocuments", "POST", "Commit"]
    assert services.journal.started == paid
    await catch_up_of(services).tell(admitted())
    assert len(clients.posts) == 1


async def test_who_has_missed_nothing_costs_two_calls(
    services: Services, catch_up: CatchUp
) -> None:
    await missed(services, event("call:reject"))
    await come(services)
    await catch_up.tell(admitted())
    assert services.journal.started == ["BatchGetDocuments", "RunQuery"]


async def test_several_events_come_in_the_order_in_which_they_happened(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    calls = [CallId(f"CALL_{number}") for number in range(3)]
    for id in calls:
        await missed(services, event(call=id))
    await come(services, wire=Wire.EIO4)
    await catch_up.tell(admitted())
    frames = [json.loads(frame.removeprefix("42")) for frame in clients.posted_to(ID)]
    assert [data["callId"] for _, data in frames] == calls
    assert services.journal.started.count("Commit") == 1


async def test_nobody_is_told_before_his_own_answer_is_there(
    services: Services, catch_up: CatchUp
) -> None:
    await missed(services)
    await come(services)
    at = now()
    post = services.faults.hold("connections.POST")
    telling = asyncio.create_task(catch_up.tell(admitted()))
    await post.reached.wait()
    assert now() - at == timedelta(milliseconds=300)
    post.release()
    await telling


@pytest.mark.parametrize("status", ["ringing", "ended", "accepted"])
async def test_nobody_is_told_of_a_call_that_has_gone_on_since(
    services: Services, catch_up: CatchUp, clients: Clients, status: str
) -> None:
    await missed(services)
    await services.world.ring(status=status)
    await come(services)
    await catch_up.tell(admitted())
    assert clients.posts == []


async def test_nobody_is_told_of_a_ring_that_was_followed_by_another(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    await missed(services)
    newer = await missed(services)
    await come(services)
    await catch_up.tell(admitted())
    (frame,) = clients.posted_to(ID)
    assert json.loads(frame)["data"]["timestamp"] == newer.timestamp


async def test_nobody_is_told_what_has_expired(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    await missed(services, event(decided=now() - timedelta(seconds=31)))
    await come(services)
    await catch_up.tell(admitted())
    assert clients.posts == []


async def test_nobody_is_told_what_expires_while_he_is_told_of_others(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    first = await missed(
        services, event(call=CallId("CALL_1"), decided=now() - timedelta(seconds=9))
    )
    await missed(services, event(call=CallId("CALL_2"), decided=now() - timedelta(seconds=28)))
    await come(services)
    services.faults.arm(Fault(Kind.DELAY, "connections.POST", seconds=4))
    await catch_up.tell(admitted())
    assert [json.loads(frame)["data"]["callId"] for _, frame in clients.posts] == [first.call_id]


async def test_what_was_committed_after_the_admission_is_left_to_its_own_delivery(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    await come(services)
    made = await committed(services.world, event())
    await catch_up.tell(admitted())
    assert clients.posts == []
    deliverer = Deliverer(services.store, services.sockets, CODECS, Memory(), now)
    await deliverer.deliver(made, FIRST)
    assert len(clients.posted_to(ID)) == 1
    assert await services.world.pending_calls() == set()


@pytest.mark.parametrize("is_left", [True, False])
async def test_who_has_gone_again_is_told_nothing(
    services: Services, catch_up: CatchUp, clients: Clients, is_left: bool
) -> None:
    await missed(services)
    await come(services)
    if is_left:
        await services.store.connections.close(ID, now())
    else:
        await services.world.delete_connection(ID)
    await catch_up.tell(admitted())
    assert clients.posts == []


async def test_a_session_that_is_not_open_yet_is_told_once_it_is(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    await missed(services)
    await connect(services.store, ID, RECEIVER, now(), wire=Wire.EIO3, is_open=False)
    with pytest.raises(NotDelivered):
        await catch_up.tell(admitted())
    assert clients.posts == []
    await services.store.connections.note_opened(ID)
    await catch_up.tell(admitted())
    assert len(clients.posts) == 1


@pytest.mark.parametrize("status", [410, 429, 500])
async def test_what_did_not_arrive_is_told_again_and_what_did_is_not(
    services: Services, catch_up: CatchUp, clients: Clients, status: int
) -> None:
    for number in range(3):
        await missed(services, event(call=CallId(f"CALL_{number}")))
    await come(services)
    clients.answers[ID] = [200, status]
    with pytest.raises(NotDelivered):
        await catch_up.tell(admitted())
    await catch_up_of(services).tell(admitted())
    told = [json.loads(frame)["data"]["callId"] for frame in clients.posted_to(ID)]
    assert told == ["CALL_0", "CALL_1", "CALL_2"]


async def test_who_comes_by_the_socket_on_which_the_other_party_was_told_is_told_too(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    await connect(services.store, ID, CALLER, wire=Wire.EIO4)
    made = await committed(services.world, event("call:reject"))
    await services.store.outbox.note_served(made, [ID], now(), is_done=True)
    found = await services.store.connections.get(ID, now())
    assert found
    await services.store.connections.admit(found, Identified(RECEIVER), now(), found.expires_at)
    await catch_up.tell(admitted())
    assert ["call:cancelled" in frame for _, frame in clients.posts] == [True]


@pytest.mark.parametrize("before", [None, CALLER], ids=["nobody", "the other party"])
async def test_who_is_admitted_after_the_upgrade_is_told_what_he_has_missed_before(
    services: Services, catch_up: CatchUp, clients: Clients, before: UserId | None
) -> None:
    connections = services.store.connections
    await connect(services.store, "poll-late", before, now(), wire=Wire.EIO4)
    session = await connections.get(ConnectionId("poll-late"), now())
    assert session
    socket = await connect(services.store, "socket=", None, now(), wire=Wire.EIO4)
    await connections.add(replace(socket.taking_over(session, "an upgrade", now()), id=ID))
    await missed(services)
    upgraded = await connections.get(ID, now())
    assert upgraded
    await connections.admit(upgraded, Identified(RECEIVER), now(), upgraded.expires_at)
    await catch_up.tell(admitted())
    assert len(clients.posted_to(ID)) == 1


async def test_a_socket_that_must_be_dead_is_closed_and_not_tried_again(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    await missed(services)
    await connect(services.store, ID, RECEIVER)
    clients.answers[ID] = [410]
    await catch_up.tell(admitted())
    assert await services.store.connections.of([RECEIVER], now()) == []


async def test_who_was_told_is_not_told_again_while_firestore_can_not_be_written(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    await missed(services)
    await come(services)
    services.faults.fail("firestore.Commit")
    with pytest.raises(StoreUnavailable):
        await catch_up.tell(admitted())
    await catch_up.tell(admitted())
    assert len(clients.posts) == 1


async def test_a_ring_that_overtook_its_end_is_looked_at_again_if_the_look_failed(
    services: Services, catch_up: CatchUp, deliverer: Deliverer, clients: Clients
) -> None:
    call = await ring_of_ours(services.store, now())
    await come(services)
    # It is told while its end, which is told at once, is on its way.
    late = services.faults.hold("connections.POST", "call:incoming")
    telling = asyncio.create_task(catch_up.tell(admitted()))
    await late.reached.wait()
    stored = await services.store.calls.get(CALL)
    assert isinstance(stored, StoredCall)
    end = event()
    await services.store.calls.commit(stored, end)
    await deliverer.deliver(end, FIRST)
    services.faults.fail("firestore.BatchGetDocuments", f"{CALL}:{call.signal_id}")
    late.release()
    with pytest.raises(StoreUnavailable):
        await telling
    await catch_up.tell(admitted())
    heard = [json.loads(text)["event"] for text in clients.posted_to(ID)]
    assert heard == ["call:cancelled", "call:incoming", "call:cancelled"]


async def test_a_catch_up_that_comes_too_late_is_given_up(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    await missed(services)
    await come(services)
    await catch_up.tell(admitted(timedelta(seconds=-1)))
    assert services.journal.started == []
    assert clients.posts == []


async def test_the_other_party_has_missed_nothing(
    services: Services, catch_up: CatchUp, clients: Clients
) -> None:
    await missed(services)
    await come(services, CALLER)
    await catch_up.tell(admitted())
    assert clients.posts == []
