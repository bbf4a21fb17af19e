"""What a cancel, a ring, its end by itself, a connect and a disconnect cost in remote calls, over
all functions."""

import json
import uuid
from collections.abc import Awaitable

import pytest_asyncio

from functions import deliver, gateway, push, ring
from functions.calls.call import ConnectionId, SignalId, Status
from functions.calls.event import CallEvent, unix_ms
from functions.delivery.commit import Received
from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
from functions.delivery.push import Pusher
from functions.delivery.signaling import Signaling
from functions.published import ConnectionAdmitted, Published
from functions.scheduled import CallerCheck, RingEnds, Scheduled, encode
from functions.settings import DeliverSettings, GatewaySettings, PushSettings, RingSettings
from tests.memory.services import Services
from tests.support.asgi import call, envelope
from tests.support.makers import (
    CALL,
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
from tests.support.polling import NOOP, UPGRADE, PollingClient, connect_of
from tests.support.processes import SECRET, settings_of


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
    in_gateway = ["BatchGetDocuments", "Commit", "POST", "POST", "Publish", "RunQuery"]
    assert sorted(journal.started) == in_gateway

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


class Functions:
    """All of them. Each method gives the remote calls that it has had a function make."""

    def __init__(self, services: Services) -> None:
        self._services = services
        store, sockets, publisher = services.store, services.sockets, services.publisher
        self._gateway = gateway.handler(
            settings_of(GatewaySettings), store, sockets, publisher, services.identity, now
        )
        self._deliver = deliver.handler(settings_of(DeliverSettings), store, sockets, now)
        self._push = push.handler(settings_of(PushSettings), store, services.sender, publisher, now)
        self._ring = ring.handler(
            settings_of(RingSettings), store, sockets, publisher, services.scheduler, now
        )

    async def gateway(self, type: str, connection: str, **frame: object) -> list[str]:
        headers = {
            "unring-secret": SECRET,
            "unring-connection-id": connection,
            "unring-event-type": type,
            "unring-request-time": str(unix_ms(now())),
        }
        content = json.dumps(frame).encode() if frame else b""
        return await self._made(call(self._gateway, content, headers))

    async def deliver(self, event: Published) -> list[str]:
        return await self._made(call(self._deliver, envelope(event)))

    async def push(self, event: Published) -> list[str]:
        return await self._made(call(self._push, envelope(event)))

    async def ring(self, event: Published) -> list[str]:
        return await self._made(call(self._ring, envelope(event)))

    async def task(self, task: Scheduled) -> list[str]:
        return await self._made(call(self._ring, encode(task), path="/tasks"))

    async def _made(self, request: Awaitable[object]) -> list[str]:
        self._services.journal.clear()
        await request
        return self._services.journal.started


@pytest_asyncio.fixture(loop_scope="function")
async def functions(services: Services) -> Functions:
    """With a caller on a socket, and a receiver on two, each of which is a phone."""
    await connect(services.store, "caller=", CALLER)
    for id in ("phone=", "tablet="):
        await connect(services.store, id, RECEIVER)
        await register(services.store, f"token of {id}", RECEIVER)
    return Functions(services)


async def initiate(functions: Functions) -> list[str]:
    asked = {"callId": CALL, "receiverId": RECEIVER, "channelName": "room"}
    return await functions.gateway("MESSAGE", "caller=", event="call:initiate", data=asked)


def published(services: Services) -> CallEvent:
    (made,) = services.published(CallEvent)
    return made


async def test_an_initiate_costs_the_caller_what_a_cancel_does_and_the_others_a_look_each(
    functions: Functions, services: Services
) -> None:
    made = await initiate(functions)
    assert made[0] == "BatchGetDocuments"
    assert sorted(made[1:3]) == ["Commit", "RunQuery"]  # beside each other
    assert made[3:] == ["POST", "POST", "Publish"]
    rings = published(services)
    assert rings.status is Status.RINGING
    # Whether its call still rings: before, as a ring may come late, and after, as it may be
    # overtaken while it is told.
    looked, looked_again = ["BatchGetDocuments"], ["BatchGetDocuments"]
    told = await functions.deliver(rings)
    assert told == [*looked, "RunQuery", *looked_again, "Commit"]
    pushed = await functions.push(rings)
    assert pushed == ["RunQuery", *looked, "send", "send", "Commit"]
    # Its end is scheduled, and the connection looked at by which it came.
    assert await functions.ring(rings) == ["CreateTask", "BatchGetDocuments"]
    ((task, at),) = services.queue
    assert isinstance(task, RingEnds)
    assert at == rings.rings_until


async def test_a_time_out_costs_what_a_cancel_does(
    functions: Functions, services: Services
) -> None:
    await initiate(functions)
    await functions.ring(published(services))
    ((task, _),) = services.queue
    made = await functions.task(task)
    assert made[0] == "BatchGetDocuments"
    assert sorted(made[1:3]) == ["Commit", "RunQuery"]
    assert made[3:] == ["POST", "POST", "POST", "Publish"]
    missed = published(services)
    assert missed.status is Status.MISSED
    assert await functions.deliver(missed) == ["RunQuery", "Commit"]
    assert await functions.push(missed) == ["RunQuery", "send", "send"]
    # It comes once more, and looks whether its event is still pending.
    assert await functions.task(task) == ["BatchGetDocuments", "BatchGetDocuments"]


async def test_the_end_of_a_ring_that_has_ended_before_costs_one_read(
    functions: Functions, services: Services
) -> None:
    await initiate(functions)
    await functions.ring(published(services))
    ((task, _),) = services.queue
    cancel = await functions.gateway(
        "MESSAGE", "caller=", event="call:cancel", data={"callId": CALL}
    )
    assert sorted(cancel) == ["BatchGetDocuments", "Commit", "POST", "POST", "Publish", "RunQuery"]
    assert await functions.task(task) == ["BatchGetDocuments"]


async def test_a_disconnect_costs_one_publish_and_one_read_more_than_the_goodbye(
    functions: Functions, services: Services
) -> None:
    assert await functions.gateway("DISCONNECT", "phone=") == ["Commit", "Publish"]
    (closed,) = services.published_of_any_kind()
    assert await functions.ring(closed) == ["BatchGetDocuments"]


async def test_a_caller_who_disconnects_costs_a_task_and_each_look_at_him_two_reads(
    functions: Functions, services: Services
) -> None:
    await initiate(functions)
    await functions.ring(published(services))
    await connect(services.store, "again=", CALLER)
    assert await functions.gateway("DISCONNECT", "caller=") == ["Commit", "Publish"]
    (closed,) = services.published_of_any_kind()
    assert await functions.ring(closed) == ["BatchGetDocuments", "CreateTask"]
    task, _ = services.queue[-1]
    assert isinstance(task, CallerCheck)
    # He is back, and is looked at again.
    assert await functions.task(task) == ["BatchGetDocuments", "RunQuery", "CreateTask"]
    await functions.gateway("DISCONNECT", "again=")
    services.published_of_any_kind()
    made = await functions.task(task)
    assert made[:2] == ["BatchGetDocuments", "RunQuery"]
    assert sorted(made[2:4]) == ["Commit", "RunQuery"]
    assert made[4:] == ["POST", "POST", "Publish"]
    gone = published(services)
    assert await functions.deliver(gone) == ["RunQuery", "Commit"]
    assert await functions.push(gone) == ["RunQuery", "send", "send"]


async def test_a_client_with_default_options_connects_by_six_requests_and_a_catch_up(
    functions: Functions, services: Services
) -> None:
    client = PollingClient(services)
    read, write, publish, query = "BatchGetDocuments", "Commit", "Publish", "RunQuery"
    await client.begin()
    assert client.costs == [write]  # two documents
    await client.emit(connect_of(CALLER))
    assert client.costs == [read, read, write, publish, write]
    await client.poll()
    assert client.costs == [read, write]
    assert await client.open_socket() == 200
    assert client.costs == [read, write]  # two documents
    assert await client.send("2probe") == "3probe"
    assert client.costs == []
    assert await client.send(UPGRADE) == NOOP
    assert client.costs == [read, read, write]  # the second of two documents; three are written
    (admitted,) = services.published(ConnectionAdmitted)
    assert await functions.deliver(admitted) == [read, read, query, query]
