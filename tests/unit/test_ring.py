"""`ring` as Pub/Sub and Cloud Tasks meet it: what it schedules, and what it does when it is due."""

from collections.abc import Mapping
from datetime import timedelta

import httpx
import pytest

from functions.calls.call import Call, CallId, ConnectionId, SignalId, Status, UserId
from functions.calls.event import CallEvent
from functions.inbound.http import Handler
from functions.published import ConnectionAdmitted, Published
from functions.ring import handler
from functions.scheduled import CallerCheck, RingEnds, Scheduled, encode
from functions.settings import RingSettings
from tests.memory.services import Services
from tests.support.asgi import call, envelope, get
from tests.support.loglines import logged
from tests.support.makers import CALL, CALLER, RECEIVER, event, now
from tests.support.processes import settings_of

RING = SignalId("5f0c")


@pytest.fixture
def ring(services: Services) -> Handler:
    settings = settings_of(RingSettings)
    return handler(
        settings, services.store, services.sockets, services.publisher, services.scheduler, now
    )


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
        ConnectionAdmitted(connection_id=ConnectionId("1="), expires_at=now()),
    ],
    ids=["without an end", "cancelled", "accepted", "connection"],
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


async def test_a_check_of_a_caller_is_done_with(ring: Handler) -> None:
    check = CallerCheck(
        call_id=CallId("1"), signal_id=RING, rings_until_ms=1, user_id=UserId("USR_1")
    )
    assert (await due(ring, check)).status_code == 204


async def test_a_get_warms_it_up_wherever_it_goes(ring: Handler) -> None:
    assert (await get(ring)).json() == {"message": "warm"}
