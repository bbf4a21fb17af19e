"""`ring` as Pub/Sub and Cloud Tasks meet it: what it schedules, and what it does when it is due."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from functions.calls.call import (
    NOBODYS,
    Actor,
    Call,
    Cause,
    ConnectionId,
    SignalId,
    Status,
)
from functions.calls.event import CallEvent
from functions.calls.ring import Ring
from functions.clients.connection import Connection
from functions.inbound.http import Handler
from functions.published import ConnectionAdmitted, ConnectionClosed, Published, attributes
from functions.ring import handler
from functions.scheduled import CallerCheck, RingEnds, Scheduled, encode
from functions.settings import RingSettings
from functions.wire.push import push_data
from tests.memory.services import Services
from tests.support.asgi import call, envelope, get
from tests.support.loglines import logged
from tests.support.makers import CALL, CALLER, RECEIVER, SENDING, connect, event, now
from tests.support.processes import settings_of

RING = SignalId("5f0c")


def ring_of(services: Services, **settings: str) -> Handler:
    return handler(
        settings_of(RingSettings, **settings),
        services.store,
        services.sockets,
        services.publisher,
        services.scheduler,
        now,
    )


@pytest.fixture
def ring(services: Services) -> Handler:
    return ring_of(services)


def began(seconds: float | None = 30) -> CallEvent:
    """The event of a call that begins to ring, until it is `seconds` from now or for ever."""
    ends = None if seconds is None else now() + timedelta(seconds=seconds)
    rings = Call(CALL, CALLER, RECEIVER, Status.RINGING, rings_until=ends)
    return CallEvent.of_ring(rings, RING, now())


def ends(event: CallEvent) -> RingEnds:
    assert event.rings_until_ms
    return RingEnds(
        call_id=event.call_id, signal_id=event.signal_id, rings_until_ms=event.rings_until_ms
    )


async def delivered(ring: Handler, published: Published, attempt: int = 1) -> httpx.Response:
    return await call(ring, envelope(published, attempt=attempt))


async def due(
    ring: Handler, task: Scheduled, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    return await call(ring, encode(task), headers or {}, path="/tasks")


async def test_a_ring_that_begins_has_its_end_scheduled_for_one_remote_call(
    ring: Handler, services: Services
) -> None:
    made = began()
    assert (await delivered(ring, made)).status_code == 204
    assert services.queue == [(ends(made), made.rings_until)]
    assert services.journal.started == ["CreateTask"]


async def test_a_delivery_that_comes_again_schedules_again(
    ring: Handler, services: Services
) -> None:
    made = began()
    for attempt in (1, 2):
        assert (await delivered(ring, made, attempt)).status_code == 204
    assert services.queue == [(ends(made), made.rings_until)] * 2


async def test_the_end_of_a_ring_that_is_over_is_scheduled_all_the_same(
    ring: Handler, services: Services
) -> None:
    made = began(seconds=-5)  # Pub/Sub was late
    assert (await delivered(ring, made)).status_code == 204
    assert services.queue == [(ends(made), made.rings_until)]


@pytest.mark.parametrize(
    "published",
    [
        began(None),
        event("call:cancel"),
        event("call:accept"),
        msgspec.structs.replace(event("call:accept"), rings_until_ms=1),
        ConnectionAdmitted(connection_id=ConnectionId("1="), expires_at=now()),
    ],
    ids=["without an end", "cancelled", "accepted", "accepted, with an end", "connection"],
)
async def test_of_whatever_else_is_delivered_nothing_is_scheduled(
    published: Published, ring: Handler, services: Services
) -> None:
    assert (await delivered(ring, published)).status_code == 204
    assert services.queue == []
    assert services.journal.started == []


async def test_what_is_not_scheduled_is_delivered_again(ring: Handler, services: Services) -> None:
    services.faults.fail("cloudtasks.CreateTask")
    assert (await delivered(ring, began())).status_code == 503
    assert services.queue == []
    assert (await delivered(ring, began(), attempt=2)).status_code == 204
    assert len(services.queue) == 1


async def test_what_may_have_been_scheduled_is_delivered_again(
    ring: Handler, services: Services
) -> None:
    services.faults.lose_reply("cloudtasks.CreateTask")
    assert (await delivered(ring, began())).status_code == 503
    assert len(services.queue) == 1


async def test_a_task_whose_time_has_come_is_carried_out(ring: Handler) -> None:
    with logged() as lines:
        assert (await due(ring, ends(began()))).status_code == 204
    (line,) = [line for line in lines() if line["message"] == "ring timed out"]
    assert (line["callId"], line["signalId"], line["outcome"]) == (CALL, RING, "not_found")


async def test_a_task_comes_again_while_firestore_is_down(
    ring: Handler, services: Services
) -> None:
    services.faults.fail("firestore.BatchGetDocuments")
    assert (await due(ring, ends(began()))).status_code == 500
    assert (await due(ring, ends(began()))).status_code == 204


async def test_a_task_that_is_none_of_ours_is_done_with(ring: Handler, services: Services) -> None:
    with logged() as lines:
        assert (await call(ring, b"{}", path="/tasks")).status_code == 204
    assert [line["message"] for line in lines()] == ["malformed delivery"]
    assert services.journal.started == []


# What a time-out does


@dataclass
class Phones:
    """The sockets of both."""

    services: Services

    def told(self, id: str) -> list[tuple[str, dict[str, Any]]]:
        frames = [json.loads(frame) for frame in self.services.clients.posted_to(f"{id}=")]
        return [(frame["event"], frame["data"]) for frame in frames]


@pytest_asyncio.fixture(loop_scope="function")
async def phones(services: Services) -> Phones:
    await connect(services.store, "caller=", CALLER)
    await connect(services.store, "receiver=", RECEIVER)
    services.journal.clear()
    return Phones(services)


async def rung(
    services: Services, seconds_ago: float = 0, on: Connection | None = None
) -> CallEvent:
    """A ring whose time has been over for so long; it may have been initiated on a connection."""
    at = now() - timedelta(seconds=30 + seconds_ago)
    by = Actor(connection=on.id) if on else NOBODYS
    made = Ring(CALL, CALLER, RECEIVER, 30, '{"a":1}', is_told=True, by=by)
    begun = made.begun(RING, at, None)
    event = CallEvent.of_ring(begun, RING, at, by=by)
    expires = now() + timedelta(days=30)
    await services.store.calls.create(begun, event, now=now(), expires=expires, on=on)
    services.journal.clear()
    return event


async def test_a_ring_whose_time_is_over_is_missed_and_both_are_told(
    ring: Handler, services: Services, phones: Phones
) -> None:
    made = await rung(services)
    with logged() as lines:
        assert (await due(ring, ends(made))).status_code == 204
    said = [(line["message"], line["outcome"], line["cause"]) for line in lines()]
    assert said == [(each, "missed", "timeout") for each in ("told", "ring timed out")]
    stored = await services.world.call()
    assert stored
    assert (stored.status, stored.cause) == (Status.MISSED, Cause.TIMEOUT)
    assert (stored.rings_until, stored.data) == (None, None)
    (missed,) = services.published(CallEvent)
    more = {"callId": CALL, "cause": "timeout", "timestamp": missed.timestamp}
    assert phones.told("caller") == [("call:timeout", {**more, "reason": "No answer"})]
    assert phones.told("receiver") == [("call:cancelled", {**more, "reason": "Timeout"})]
    (pushed,) = missed.push_recipients
    assert push_data(missed, pushed, SENDING) == {
        "type": "call_cancelled",
        "callId": CALL,
        "callerId": CALLER,
        "cause": "timeout",
    }
    assert (missed.by, pushed.user_id) == (None, RECEIVER)
    assert sorted(services.journal.started) == [
        *("BatchGetDocuments", "Commit", "POST", "POST", "Publish", "RunQuery")
    ]


async def test_a_task_that_comes_twice_ends_the_ring_once(
    ring: Handler, services: Services, phones: Phones
) -> None:
    made = await rung(services)
    for _ in range(2):
        assert (await due(ring, ends(made))).status_code == 204
    assert len(phones.told("caller")) == 1


@pytest.mark.parametrize("status", ["accepted", "cancelled", "rejected", "ended"])
async def test_a_ring_that_has_been_answered_is_not_missed(
    ring: Handler, services: Services, phones: Phones, status: str
) -> None:
    made = await rung(services)
    await services.world.ring(status=status)
    assert (await due(ring, ends(made))).status_code == 204
    stored = await services.world.call()
    assert stored
    assert (stored.status, phones.told("caller")) == (status, [])


async def test_a_time_out_that_comes_late_tells_sockets_and_webhooks_and_pushes_nobody(
    ring: Handler, services: Services, phones: Phones
) -> None:
    made = await rung(services, seconds_ago=21)
    with logged() as lines:
        assert (await due(ring, ends(made))).status_code == 204
    (late,) = [line for line in lines() if line["message"] == "late time-out"]
    assert (late["callId"], late["cause"]) == (CALL, "timeout")
    (missed,) = services.published(CallEvent)
    assert attributes(missed) == {"webhook": "true"}
    assert [event for event, _ in phones.told("receiver")] == ["call:cancelled"]


async def test_a_time_out_that_sweep_has_published_is_carried_out(
    ring: Handler, services: Services, phones: Phones
) -> None:
    made = await rung(services, seconds_ago=6)
    assert (await delivered(ring, ends(made))).status_code == 204
    assert [event for event, _ in phones.told("caller")] == ["call:timeout"]


async def test_a_time_out_that_fails_comes_again(
    ring: Handler, services: Services, phones: Phones
) -> None:
    made = await rung(services)
    services.faults.fail("pubsub.Publish")
    assert (await due(ring, ends(made))).status_code == 500
    assert (await due(ring, ends(made))).status_code == 204
    (missed,) = services.published(CallEvent)
    assert missed.status is Status.MISSED


# A caller who is gone


def closed(id: str = "caller=") -> ConnectionClosed:
    return ConnectionClosed(connection_id=ConnectionId(id), expires_at=now() + timedelta(minutes=2))


def check(made: CallEvent) -> CallerCheck:
    assert made.rings_until_ms
    return CallerCheck(
        call_id=CALL,
        signal_id=made.signal_id,
        user_id=CALLER,
        rings_until_ms=made.rings_until_ms,
    )


async def initiated(services: Services) -> CallEvent:
    """A call that rings for 20 s more, by the caller's connection."""
    on = await services.store.connections.get(ConnectionId("caller="), now())
    return await rung(services, seconds_ago=-20, on=on)


async def test_an_ordinary_disconnect_costs_one_read(
    ring: Handler, services: Services, phones: Phones
) -> None:
    await services.store.connections.close(ConnectionId("receiver="), now())
    services.journal.clear()
    assert (await delivered(ring, closed("receiver="))).status_code == 204
    assert (services.journal.started, services.queue) == (["BatchGetDocuments"], [])


async def test_who_loses_the_connection_by_which_he_calls_is_looked_at_after_the_grace(
    ring: Handler, services: Services, phones: Phones
) -> None:
    made = await initiated(services)
    await services.store.connections.close(ConnectionId("caller="), now())
    assert (await delivered(ring, closed())).status_code == 204
    ((task, at),) = services.queue
    assert task == check(made)
    assert timedelta(seconds=9) < at - now() <= timedelta(seconds=10)


async def test_a_caller_without_a_connection_has_cancelled(
    ring: Handler, services: Services, phones: Phones
) -> None:
    made = await initiated(services)
    await services.store.connections.close(ConnectionId("caller="), now())
    services.journal.clear()
    with logged() as lines:
        assert (await due(ring, check(made))).status_code == 204
    said = [(line["message"], line["outcome"], line["cause"]) for line in lines()]
    assert said == [(each, "cancelled", "caller_gone") for each in ("told", "caller gone")]
    ((event, data),) = phones.told("receiver")
    assert (event, data["cause"], data["reason"]) == (
        "call:cancelled",
        "caller_gone",
        "Caller disconnected",
    )
    stored = await services.world.call()
    assert stored
    assert (stored.status, stored.cause) == (Status.CANCELLED, Cause.CALLER_GONE)
    assert services.journal.started[:2] == ["BatchGetDocuments", "RunQuery"]
    assert sorted(services.journal.started[2:]) == ["Commit", "POST", "Publish", "RunQuery"]


async def test_a_caller_who_is_back_is_looked_at_again_until_the_ring_ends(
    ring: Handler, services: Services, phones: Phones
) -> None:
    made = await initiated(services)
    assert (await due(ring, check(made))).status_code == 204  # his connection is open
    ((task, _),) = services.queue
    assert task == check(made)
    assert phones.told("receiver") == []


async def test_nobody_is_looked_at_once_the_ring_is_over_by_then(
    ring: Handler, services: Services, phones: Phones
) -> None:
    on = await services.store.connections.get(ConnectionId("caller="), now())
    made = await rung(services, seconds_ago=-9, on=on)
    assert (await due(ring, check(made))).status_code == 204
    await services.store.connections.close(ConnectionId("caller="), now())
    assert (await delivered(ring, closed())).status_code == 204
    assert services.queue == []


async def test_a_connection_that_was_closed_before_its_call_rang_is_found_when_it_rings(
    ring: Handler, services: Services, phones: Phones
) -> None:
    made = await initiated(services)
    await services.store.connections.close(ConnectionId("caller="), now())
    assert (await delivered(ring, made)).status_code == 204
    assert [task for task, _ in services.queue] == [ends(made), check(made)]


async def test_a_call_that_rings_again_or_is_over_is_left_alone(
    ring: Handler, services: Services, phones: Phones
) -> None:
    made = await initiated(services)
    await services.store.connections.close(ConnectionId("caller="), now())
    # Also of a call that the app's backend has ring, which ends when only the backend knows.
    again = replace(services.database.calls[CALL].call, signal_id=SignalId("AGAIN"))
    for ours in (True, False):
        services.database.put_call(replace(again, is_ours=ours))
        assert (await due(ring, check(made))).status_code == 204
    await services.world.ring(status="accepted")
    assert (await due(ring, check(made))).status_code == 204
    assert phones.told("receiver") == []


async def test_without_a_grace_nobody_is_looked_after(services: Services, phones: Phones) -> None:
    function = ring_of(services, CALLER_GRACE_SECONDS="0")
    made = await initiated(services)
    await services.store.connections.close(ConnectionId("caller="), now())
    services.journal.clear()
    for published in (made, closed()):
        assert (await delivered(function, published)).status_code == 204
    assert services.journal.started == ["CreateTask"]


async def test_a_get_warms_it_up_wherever_it_goes(ring: Handler) -> None:
    assert (await get(ring)).json() == {"message": "warm"}
