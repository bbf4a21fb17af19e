"""A ring has its end scheduled from the published event, and `ring` is called when it is due."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.cloud.tasks_v2 import types

from functions.scheduled import RingEnds, decode
from infra.client import https
from infra.emulators.faults import Fault, Kind
from infra.local.stack import Options, Stack, running
from infra.local.topology import queue
from tests.support.pace import ANY_RATE, BACKOFF, ONE_LOOK, PATIENCE_SECONDS
from tests.support.stacks import Ids

SECONDS = 5  # the shortest ring that there is


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
        settings={**ONE_LOOK, **ANY_RATE},
        logs=tmp_path_factory.mktemp("logs"),
    )
    async with running(options) as stack:
        yield stack


async def ring(stack: Stack, ids: Ids) -> int:
    """Has a call ring; gives until when it does, in Unix milliseconds."""
    async with https.client(stack.functions["api"]) as http:
        backend = https.Backend(http, "local")
        verdict = await backend.ring(ids.call, ids.caller, ids.receiver, ringSeconds=SECONDS)
    assert verdict["outcome"] == "ringing"
    until: int = verdict["ringsUntil"]
    return until


async def scheduled(stack: Stack) -> list[types.Task]:
    """The tasks that wait once all is delivered that was published."""
    assert stack.queue
    async with asyncio.timeout(PATIENCE_SECONDS):
        await stack.queue.idle()
    return list(stack.tasks.pending(queue(stack.project)))


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
    (task,) = await scheduled(stack)
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
    assert len(await scheduled(stack)) == 1
    await done(stack)


async def test_an_end_that_comes_to_nobody_or_twice_is_carried_out(stack: Stack, ids: Ids) -> None:
    twice = Fault(Kind.REPEAT, "task.rings", (ids.call,))
    lost = Fault(Kind.LOSE_REPLY, "task.rings", (ids.call,))
    with stack.faults.during(lost, twice):
        await ring(stack, ids)
        assert len(await scheduled(stack)) == 1
        await stack.processes["ring"].crash()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await lost.reached.wait()
        await stack.processes["ring"].start()
        await done(stack)
    assert twice.met == 1
    assert timed_out(stack.logs, ids)
