"""What one cancel costs in remote calls, over all functions."""

import uuid

from functions.calls.call import ConnectionId, SignalId
from functions.calls.event import CallEvent
from functions.delivery.commit import Received
from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
from functions.delivery.push import Pusher
from functions.delivery.signaling import Signaling
from tests.memory.services import Services
from tests.support.makers import (
    CALLER,
    CODECS,
    FIRST,
    RECEIVER,
    RING_TOKENS,
    connect,
    now,
    register,
    signal,
)


async def test_a_cancel_costs_every_function_as_little_as_it_can(
    services: Services, signaling: Signaling
) -> None:
    journal, store = services.journal, services.store
    await connect(store, "sender=", CALLER)
    for id in ("phone=", "tablet="):
        await connect(store, id, RECEIVER)
        await register(store, f"token of {id}", RECEIVER)
    await services.world.ring()

    journal.clear()
    sent = Received(SignalId(uuid.uuid4().hex), now(), received_at=now())
    assert (await signaling.handle(signal(), ConnectionId("sender="), sent)).outcome == "cancelled"
    gateway = ["BatchGetDocuments", "Commit", "POST", "POST", "Publish", "RunQuery"]
    assert sorted(journal.started) == gateway

    (made,) = services.published(CallEvent)
    journal.clear()
    await Deliverer(store, services.sockets, CODECS, Memory(), now).deliver(made, FIRST)
    assert journal.started == ["RunQuery", "Commit"]

    journal.clear()
    pusher = Pusher(
        store, services.sender, services.publisher, RING_TOKENS, now, devices_per_user=20
    )
    await pusher.push(made, FIRST)
    assert journal.started == ["RunQuery", "send", "send"]
    assert len(services.phones.messages) == 2
