"""A ring ends by itself: when its time is over, for which a task is scheduled, or when its caller
is gone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from google.cloud.tasks_v2 import types

from functions.scheduled import RingEnds, decode
from infra.client import https
from infra.client.calls import Calls
from infra.client.phone import JsonPhone, json_phone
from infra.emulators.faults import Fault, Kind
from infra.local.stack import Options, Stack, running
from infra.local.topology import queue
from tests.e2e.socketio_support import has_no_more, is_delivered, is_forgotten
from tests.support.pace import ANY_RATE, BACKOFF, ONE_LOOK, PATIENCE_SECONDS
from tests.support.stacks import Ids, pushes_to

SECONDS = 5  # the shortest ring that there is
LONG = 20  # of a ring that something else ends
GRACE = {"CALLER_GRACE_SECONDS": "1"}


@pytest.fixture(
    scope="module", params=["embedded", pytest.param("signed", marks=pytest.mark.thorough)]
)
async def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    options = Options(
        port=0,
        signed=request.param == "signed",
        backoff=BACKOFF,
        settings={**ONE_LOOK, **ANY_RATE, **GRACE},
        logs=tmp_path_factory.mktemp("logs"),
    )
    async with running(options) as stack:
        yield stack


async def ring(stack: Stack, ids: Ids) -> int:
    """Has a call ring; gives until when it does, in Unix milliseconds."""
    async with https.client(stack.functions["api"]) as http:
        backend = https.Backend(http, stack.values["API_KEY"])
        verdict = await backend.ring(ids.call, ids.caller, ids.receiver, ringSeconds=SECONDS)
    assert verdict["outcome"] == "ringing"
    until: int = verdict["ringsUntil"]
    return until


async def scheduled(stack: Stack, ids: Ids) -> list[types.Task]:
    """The tasks of the call that wait once all is delivered that was published."""
    assert stack.queue
    async with asyncio.timeout(PATIENCE_SECONDS):
        await stack.queue.idle()
    pending = stack.tasks.pending(queue(stack.project))
    return [task for task in pending if ids.call in task.http_request.body.decode()]


async def done(stack: Stack) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await stack.tasks.idle()


def timed_out(logs: Path, ids: Ids) -> list[datetime]:
    """When `ring` has carried out a task of the call."""
    lines = [json.loads(line) for line in (logs / "ring.log").read_text().splitlines()]
    return [
        datetime.fromisoformat(line["time"])
        for line in lines
        if line["message"] == "ring timed out" and line["callId"] == ids.call
    ]


async def test_the_end_of_a_ring_comes_when_its_time_is_over(stack: Stack, ids: Ids) -> None:
    until = await ring(stack, ids)
    (task,) = await scheduled(stack, ids)
    bears = decode(task.http_request.body)
    assert isinstance(bears, RingEnds)
    assert (bears.call_id, bears.rings_until_ms) == (ids.call, until)
    assert task.schedule_time == bears.rings_until
    await done(stack)
    (at,) = timed_out(stack.logs, ids)
    assert at >= datetime.fromtimestamp(until / 1000, UTC)


async def test_a_ring_whose_end_cannot_be_scheduled_has_it_scheduled_later(
    stack: Stack, ids: Ids
) -> None:
    fault = Fault(Kind.FAIL, "cloudtasks.CreateTask", (ids.call,), times=None)
    with stack.faults.during(fault):
        await ring(stack, ids)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await fault.reached.wait()
    assert len(await scheduled(stack, ids)) == 1
    await done(stack)


async def test_an_end_that_comes_to_nobody_or_twice_is_carried_out(stack: Stack, ids: Ids) -> None:
    twice = Fault(Kind.REPEAT, "task.rings", (ids.call,))
    lost = Fault(Kind.LOSE_REPLY, "task.rings", (ids.call,))
    with stack.faults.during(lost, twice):
        await ring(stack, ids)
        assert len(await scheduled(stack, ids)) == 1
        await stack.processes["ring"].crash()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await lost.reached.wait()
        await stack.processes["ring"].start()
        await done(stack)
    assert twice.met == 1
    assert timed_out(stack.logs, ids)


# What the phones hear of it


@asynccontextmanager
async def rung(
    stack: Stack, ids: Ids, seconds: int = SECONDS
) -> AsyncIterator[tuple[JsonPhone, JsonPhone]]:
    """A caller who has initiated a call, and the receiver whose phone rings."""
    async with (
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
        json_phone(stack.websocket, stack.token(ids.receiver)) as receiver,
    ):
        await receiver.emit("device:register", token=ids.token, platform="android")
        whom = {"receiverId": ids.receiver, "ringSeconds": seconds}
        verdict = await caller.emit("call:initiate", callId=ids.call, **whom)
        assert verdict["outcome"] == "ringing"
        await receiver.told("call:incoming")
        # Waited for, as the push of a ring that has ended is not sent any more.
        await pushes_to(stack, ids.token, 1)
        # What ends before that is told once more, in case that the ring came after it.
        await is_delivered(Calls(stack.firestore, stack.project), ids.call)
        yield caller, receiver


async def is_silenced(stack: Stack, ids: Ids, receiver: JsonPhone, cause: str) -> None:
    """Waits until the receiver is told by his socket and by FCM that the ring is over."""
    told = await receiver.told("call:cancelled")
    assert (told["callId"], told["cause"]) == (ids.call, cause)
    _, push = await pushes_to(stack, ids.token, 2)
    said = {"type": "call_cancelled", "callId": ids.call, "callerId": ids.caller, "cause": cause}
    assert push["data"] == said


async def test_a_ring_that_nobody_answers_times_out_and_both_hear_of_it_once(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    async with rung(stack, ids) as (caller, receiver):
        said = await caller.told("call:timeout")
        assert (said["callId"], said["reason"]) == (ids.call, "No answer")
        await is_silenced(stack, ids, receiver, "timeout")
        await is_delivered(calls, ids.call)
        assert await calls.status(ids.call) == "missed"
        assert await has_no_more(caller)
        assert await has_no_more(receiver)


@pytest.mark.thorough
async def test_a_ring_times_out_though_ring_is_killed_as_it_sees_to_that(
    stack: Stack, ids: Ids
) -> None:
    held = Fault(Kind.HOLD, "firestore.Commit", (ids.call, "missed"))
    async with rung(stack, ids) as (caller, receiver):
        with stack.faults.during(held):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await held.reached.wait()
            await stack.processes["ring"].crash()
            held.drop()
        await stack.processes["ring"].start()
        await is_silenced(stack, ids, receiver, "timeout")
        await caller.told("call:timeout")


@pytest.mark.thorough
async def test_sweep_ends_a_ring_whose_task_is_never_made(stack: Stack, ids: Ids) -> None:
    never = Fault(Kind.FAIL, "cloudtasks.CreateTask", (ids.call,), times=None)
    with stack.faults.during(never):
        async with rung(stack, ids) as (caller, receiver), httpx.AsyncClient() as http:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not caller.untold():
                    # It finds the ring some seconds after its end.
                    await http.post(stack.functions["sweep"], headers=stack.headers("sweep"))
                    await asyncio.sleep(0.2)
            assert (await caller.told("call:timeout"))["callId"] == ids.call
            await is_silenced(stack, ids, receiver, "timeout")


async def test_a_caller_who_is_gone_for_good_has_cancelled(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    async with rung(stack, ids, LONG) as (caller, receiver):
        await caller.die()
        await is_silenced(stack, ids, receiver, "caller_gone")
        await is_delivered(calls, ids.call)
        assert await calls.status(ids.call) == "cancelled"
        assert await has_no_more(receiver)


async def test_a_caller_who_comes_back_within_the_grace_is_heard_ringing_on(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    about = (ids.call, "caller.check")
    first = Fault(Kind.HOLD, "task.rings", about)
    second = Fault(Kind.HOLD, "task.rings", about)
    async with rung(stack, ids, LONG) as (caller, receiver):
        with stack.faults.during(first, second):
            await caller.die()
            await is_forgotten(stack, ids.caller)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await first.reached.wait()
            async with json_phone(stack.websocket, stack.token(ids.caller)) as back:
                first.release()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await second.reached.wait()  # he was found, and is looked for once more
                second.release()
                assert await calls.status(ids.call) == "ringing"
                assert await has_no_more(receiver)
                verdict = await back.emit("call:cancel", callId=ids.call)
                assert verdict["outcome"] == "cancelled"
                told = await receiver.told("call:cancelled")
                assert (told["callId"], told["cause"]) == (ids.call, "caller_cancelled")
