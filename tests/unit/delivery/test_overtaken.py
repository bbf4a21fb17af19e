"""A ring that comes after its own end must not ring on."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from functions.attempt import NotDelivered
from functions.calls.call import Actor, ConnectionId, SignalId, UserId
from functions.calls.event import CallEvent
from functions.calls.transitions import transitions_of
from functions.delivery.deliver import Deliverer
from functions.delivery.push import Pusher
from functions.ports.store import StoredCall
from infra.emulators.faults import Fault, Kind
from tests.memory.clients import Clients
from tests.memory.services import Services
from tests.support.makers import (
    CALL,
    CALLER,
    FIRST,
    RECEIVER,
    RING_TOKENS,
    connect,
    event,
    now,
    register,
    ring_of_ours,
    signal,
)

ID = ConnectionId("phone=")


def pusher_of(services: Services) -> Pusher:
    return Pusher(
        services.store, services.sender, services.publisher, RING_TOKENS, now, devices_per_user=20
    )


async def ringing(services: Services) -> CallEvent:
    """The event of a ring, as it is published."""
    await connect(services.store, ID, RECEIVER)
    call = await ring_of_ours(services.store, now())
    assert call.signal_id is not None
    entry = await services.store.outbox.entry(CALL, call.signal_id)
    assert entry is not None
    return entry.event.served_to(())


async def answered_and_ended(services: Services, by: UserId) -> CallEvent:
    """By the receiver on his tablet, and by either of them. Gives the event of the answer."""
    made: list[CallEvent] = []
    for name in ("call:accept", "call:end"):
        stored = await services.store.calls.get(CALL)
        assert isinstance(stored, StoredCall)
        *_, row = transitions_of(name)
        asked = replace(signal(name), by=Actor(ConnectionId("tablet=")))
        sender = RECEIVER if name == "call:accept" else by
        made.append(CallEvent.of(stored.call, row, asked, sender, SignalId(name[5:]), now()))
        await services.store.calls.commit(stored, made[-1])
    return made[0]


async def cancelled(services: Services) -> CallEvent:
    stored = await services.store.calls.get(CALL)
    assert isinstance(stored, StoredCall)
    made = event()
    await services.store.calls.commit(stored, made)
    return made


def heard(clients: Clients) -> list[str]:
    return [json.loads(text)["event"] for text in clients.posted_to(ID)]


async def test_a_ring_that_holds_is_told_and_looked_after(
    services: Services, deliverer: Deliverer, clients: Clients
) -> None:
    ring = await ringing(services)
    services.journal.clear()
    await deliverer.deliver(ring, FIRST)
    assert heard(clients) == ["call:incoming"]
    assert services.journal.started == [
        "BatchGetDocuments",
        "RunQuery",
        "POST",
        "BatchGetDocuments",
        "Commit",
    ]


async def test_a_ring_that_has_ended_is_told_to_nobody_and_its_end_to_all(
    services: Services, deliverer: Deliverer, clients: Clients
) -> None:
    ring = await ringing(services)
    await cancelled(services)
    # It may have arrived, after its end, by a post that was not confirmed.
    await deliverer.deliver(ring, FIRST)
    assert heard(clients) == ["call:cancelled"]


@pytest.mark.parametrize("by", [CALLER, RECEIVER])
async def test_whose_ring_was_answered_elsewhere_is_told_so_though_the_talk_is_over_as_well(
    services: Services, deliverer: Deliverer, clients: Clients, by: UserId
) -> None:
    ring = await ringing(services)
    await connect(services.store, "tablet=", RECEIVER)
    answer = await answered_and_ended(services, by)
    await deliverer.deliver(ring.served_to([ID]), FIRST)
    frame, *more = map(json.loads, clients.posted_to(ID))
    assert [each["event"] for each in more] == (["call:ended"] if by == CALLER else [])
    assert frame == {
        "event": "call:cancelled",
        "data": {
            "callId": CALL,
            "reason": "Answered elsewhere",
            "cause": "answered_elsewhere",
            "timestamp": answer.timestamp,
        },
    }
    on_tablet = [json.loads(text)["event"] for text in clients.posted_to("tablet=")]
    assert "call:cancelled" not in on_tablet


async def test_a_ring_whose_end_only_the_app_knows_is_not_told_again(
    services: Services, deliverer: Deliverer, clients: Clients
) -> None:
    ring = await ringing(services)
    await services.world.ring(status="cancelled", signal_id=ring.signal_id)
    await deliverer.deliver(ring.served_to([ConnectionId("phone=")]), FIRST)
    assert clients.posts == []


async def test_the_end_of_a_ring_is_not_told_when_the_app_has_it_ring_again(
    services: Services, deliverer: Deliverer, clients: Clients
) -> None:
    ring = await ringing(services)
    end = await cancelled(services)
    await services.world.ring(signal_id=end.signal_id)
    await deliverer.deliver(ring, FIRST)
    assert clients.posts == []


async def test_who_was_told_of_a_ring_that_has_ended_is_told_its_end_after_it(
    services: Services, deliverer: Deliverer, clients: Clients
) -> None:
    ring = await ringing(services)
    await cancelled(services)
    # Whoever made it ring has posted it himself, it may be after the end.
    await deliverer.deliver(ring.served_to([ID]), FIRST)
    assert heard(clients) == ["call:cancelled"]


def during_the_post(services: Services, do: Callable[[], Awaitable[object]]) -> None:
    """Has something happen while the first frame is posted."""
    take = services.sockets.post

    async def post(to: ConnectionId, text: str) -> None:
        object.__setattr__(services.sockets, "post", take)
        await do()
        await take(to, text)

    object.__setattr__(services.sockets, "post", post)


async def test_a_ring_that_ends_while_it_is_told_is_told_its_end_after_it(
    services: Services, deliverer: Deliverer, clients: Clients
) -> None:
    ring = await ringing(services)
    during_the_post(services, lambda: cancelled(services))
    await deliverer.deliver(ring, FIRST)
    assert heard(clients) == ["call:incoming", "call:cancelled"]


async def test_an_end_that_could_not_be_told_after_its_ring_comes_again(
    services: Services, deliverer: Deliverer, clients: Clients
) -> None:
    ring = await ringing(services)
    during_the_post(services, lambda: cancelled(services))
    services.faults.arm(Fault(Kind.FAIL, "connections.POST", ("call:cancelled",)))
    with pytest.raises(NotDelivered):
        await deliverer.deliver(ring, FIRST)
    await deliverer.deliver(ring, FIRST)
    assert heard(clients) == ["call:incoming", "call:cancelled"]


async def test_a_ring_that_has_ended_is_not_pushed(services: Services) -> None:
    await register(services.store, "phone", RECEIVER)
    ring = await ringing(services)
    await cancelled(services)
    await pusher_of(services).push(ring, FIRST)
    assert services.phones.tokens == []


async def test_a_ring_is_pushed_once_however_many_copies_come(
    services: Services,
) -> None:
    await register(services.store, "phone", RECEIVER)
    ring = await ringing(services)
    await pusher_of(services).push(ring, FIRST)
    # Another instance, which remembers nothing.
    await pusher_of(services).push(ring.served_to(None), FIRST)
    assert services.phones.tokens == ["phone"]


async def test_a_ring_of_which_nobody_knows_the_call_is_told(
    services: Services, deliverer: Deliverer, clients: Clients
) -> None:
    ring = await ringing(services)
    del services.database.calls[CALL]
    await deliverer.deliver(ring, FIRST)
    assert heard(clients) == ["call:incoming"]
