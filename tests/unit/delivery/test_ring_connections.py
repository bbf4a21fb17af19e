"""A connection that a ring token has opened: it hears of its one call, and may only decline it."""

import json
from datetime import timedelta

import pytest
import pytest_asyncio

from functions.calls.call import Actor, CallId, ConnectionId, Status
from functions.calls.decision import Verdict
from functions.calls.event import CallEvent
from functions.calls.transitions import Signal
from functions.clients.connection import Wire
from functions.clients.device import FcmToken, Platform
from functions.delivery.catchup import CatchUp
from functions.delivery.commit import Received
from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
from functions.inbound.frames import new_signal_id
from functions.published import ConnectionAdmitted
from functions.sessions.registration import Registration
from functions.wire.frames import RegisterDevice, UnregisterDevice
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
    register,
    signal,
)
from tests.support.world import committed

OTHER = CallId("CALL_2")
RING, FULL = "ring=", "full="

REFUSED = Verdict(False, "forbidden", "connection", "a ring token may only reject its call")


@pytest_asyncio.fixture(autouse=True, loop_scope="function")
async def connected(services: Services) -> None:
    await connect(services.store, RING, RECEIVER, only_call=CALL, device="phone 1")
    await connect(services.store, FULL, RECEIVER)
    await connect(services.store, "caller=", CALLER)
    for call in (CALL, OTHER):
        await services.world.ring(call)


async def handled(services: Services, asked: Signal, connection: str) -> Verdict:
    received = Received(new_signal_id(), now(), now())
    return await services.signaling().handle(asked, ConnectionId(connection), received)


def told(services: Services, connection: str) -> list[tuple[str, str]]:
    frames = map(json.loads, services.clients.posted_to(connection))
    return [(frame["event"], frame["data"]["callId"]) for frame in frames]


async def test_it_hears_of_its_call_at_once_and_of_no_other(services: Services) -> None:
    for call in (OTHER, CALL):
        assert (await handled(services, signal(call=call), "caller=")).ok
    assert told(services, FULL) == [("call:cancelled", OTHER), ("call:cancelled", CALL)]
    assert told(services, RING) == [("call:cancelled", CALL)]
    of_other, of_its = services.published(CallEvent)
    assert (of_other.served, of_its.served) == ((FULL,), (FULL, RING))


async def test_what_is_delivered_again_is_told_it_only_of_its_call(services: Services) -> None:
    deliverer = Deliverer(services.store, services.sockets, CODECS, Memory(), now)
    for call in (OTHER, CALL):
        await deliverer.deliver(await committed(services.world, event(call=call)), FIRST)
    assert told(services, RING) == [("call:cancelled", CALL)]
    assert await services.world.pending_calls() == set()


async def test_it_is_told_what_its_call_came_to_before_it_was_opened(services: Services) -> None:
    for call in (OTHER, CALL):
        made = await committed(services.world, event(call=call))
        await services.store.outbox.note_served(made, (), now(), is_done=True)
    await connect(services.store, "late=", RECEIVER, now(), only_call=CALL, wire=Wire.EIO4)
    catch_up = CatchUp(services.store, services.sockets, CODECS, Memory(), now)
    expires = now() + timedelta(seconds=100)
    await catch_up.tell(ConnectionAdmitted(connection_id=ConnectionId("late="), expires_at=expires))
    (frame,) = services.clients.posted_to("late=")
    name, data = json.loads(frame.removeprefix("42"))
    assert (name, data["callId"]) == ("call:cancelled", CALL)


async def test_it_declines_and_the_device_of_its_token_is_the_one_that_does(
    services: Services,
) -> None:
    said = Signal("call:reject", CALL, None, Actor(device="phone 2"))
    assert (await handled(services, said, RING)).outcome == "rejected"
    (made,) = services.published(CallEvent)
    assert (made.by, made.on_device) == (RECEIVER, "phone 1")
    assert told(services, "caller=") == [("call:rejected", CALL)]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("call:accept", CALL),
        ("call:cancel", CALL),
        ("call:end", CALL),
        ("call:reject", OTHER),
        ("call:reject", CallId("CALL_3")),
        ("call:accept", OTHER),
    ],
)
async def test_whatever_else_it_asks_is_forbidden(
    services: Services, name: str, call: CallId
) -> None:
    assert await handled(services, signal(name, call), RING) == REFUSED
    assert services.topic == []
    for each in (CALL, OTHER):
        found = await services.world.call(each)
        assert found
        assert found.status is Status.RINGING


async def test_it_registers_and_forgets_no_device(services: Services) -> None:
    await register(services.store, "phone", RECEIVER)
    store = services.store
    registration = Registration(store.connections, store.devices, now, timedelta(days=1), 20)
    for asked in (
        RegisterDevice(FcmToken("mine"), Platform.IOS),
        UnregisterDevice(FcmToken("phone")),
    ):
        verdict = await registration.handle(asked, ConnectionId(RING), now())
        assert verdict == REFUSED
    assert [each.address for each in services.database.devices.values()] == ["phone"]


async def test_who_has_left_is_told_that_rather_than_what_is_forbidden(services: Services) -> None:
    found = await services.store.connections.get(ConnectionId(RING), now())
    assert found
    await services.store.connections.leave(found, now() - timedelta(seconds=1), now())
    verdict = await handled(services, signal("call:reject"), RING)
    assert (verdict.outcome, verdict.field) == ("forbidden", "connection")
