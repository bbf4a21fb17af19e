"""The scheduler of tasks, and what Cloud Tasks makes of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import jwt
import pytest
from google.cloud.tasks_v2 import CloudTasksAsyncClient, types
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions import telemetry
from functions.attempt import NotDelivered
from functions.calls.call import CallId, SignalId
from functions.inbound.tasks import receive
from functions.ports.scheduler import NotScheduled
from functions.scheduled import RingEnds, Scheduled
from functions.services.cloudtasks import CloudTasksScheduler, connect
from functions.settings import TasksSettings
from infra.emulators.cloudtasks import CloudTasksServer
from infra.emulators.faults import Faults, FaultyRpcs
from infra.emulators.http import serving
from tests.support.pace import PATIENCE_SECONDS
from tests.support.processes import QUEUE, settings_of
from tests.support.relay import relay

ACCOUNT = "caller@unring-test.iam.gserviceaccount.com"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TASK = RingEnds(call_id=CallId("CALL_1"), signal_id=SignalId("s"), rings_until_ms=1_000)


@dataclass
class Function:
    """Takes tasks as `ring` does; the first `failures` are not carried out."""

    url: str = ""
    failures: int = 0
    taken: list[tuple[Scheduled, str | None]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        return await receive(request, "unring-test", self._handle)

    async def _handle(self, task: Scheduled) -> None:
        if len(self.headers) <= self.failures:
            raise NotDelivered("not this time")
        self.taken.append((task, telemetry.traceparent()))


@pytest.fixture
async def function() -> AsyncIterator[Function]:
    function = Function()
    app = Starlette(routes=[Route("/tasks", function.answer, methods=["POST"])])
    async with serving(app) as function.url:
        yield function


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def tasks(faults: Faults) -> AsyncIterator[CloudTasksServer]:
    interceptors = [FaultyRpcs(faults, "cloudtasks")]
    async with (
        CloudTasksServer(second=0.01, interceptors=interceptors) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        client = CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
        await client.create_queue(
            parent=QUEUE.partition("/queues/")[0], queue=types.Queue(name=QUEUE)
        )
        yield server


@pytest.fixture
def scheduler(tasks: CloudTasksServer, function: Function) -> CloudTasksScheduler:
    return connect(settings(tasks.address, function.url))


def settings(address: str, url: str) -> TasksSettings:
    return settings_of(TasksSettings, CLOUD_TASKS_EMULATOR_HOST=address, TASKS_URL=url)


def now() -> datetime:
    return datetime.now(UTC)


async def idle(tasks: CloudTasksServer) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await tasks.idle()


@pytest.mark.parametrize("failures", [0, 2])
async def test_a_task_comes_with_its_trace_until_it_is_carried_out(
    scheduler: CloudTasksScheduler, tasks: CloudTasksServer, function: Function, failures: int
) -> None:
    function.failures = failures
    with telemetry.request("unring-test", TRACEPARENT):
        await scheduler.schedule(TASK, now())
    await idle(tasks)
    assert function.taken == [(TASK, TRACEPARENT)]
    assert len(function.headers) == failures + 1
    assert {each["x-cloudtasks-queuename"] for each in function.headers} == {"rings"}


async def test_a_task_shows_whose_it_is_and_that_it_is_for_the_function(
    scheduler: CloudTasksScheduler, tasks: CloudTasksServer, function: Function
) -> None:
    await scheduler.schedule(TASK, now())
    await idle(tasks)
    _, _, token = function.headers[0]["authorization"].partition(" ")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["email"], claims["aud"]) == (ACCOUNT, function.url)


async def test_a_task_waits_for_its_time_and_is_waited_for_half_a_minute(
    scheduler: CloudTasksScheduler, tasks: CloudTasksServer
) -> None:
    at = now() + timedelta(seconds=3600)
    await scheduler.schedule(TASK, at)
    (task,) = tasks.pending(QUEUE)
    assert task.schedule_time == at
    assert task.dispatch_deadline == timedelta(seconds=30)
    assert task.name.rpartition("/")[2].isdecimal()  # Cloud Tasks has named it


async def test_the_same_may_be_scheduled_twice(
    scheduler: CloudTasksScheduler, tasks: CloudTasksServer, function: Function
) -> None:
    for _ in range(2):
        await scheduler.schedule(TASK, now())
    await idle(tasks)
    assert [task for task, _ in function.taken] == [TASK, TASK]


async def test_warming_up_connects_before_anything_is_scheduled(
    tasks: CloudTasksServer, function: Function
) -> None:
    async with relay(f"http://{tasks.address}") as relayed:
        scheduler = connect(settings(urlsplit(relayed.url).netloc, function.url))
        assert relayed.handshakes == []
        await scheduler.warm_up()
        assert "PRI * HTTP/2.0" in relayed.handshakes
        await scheduler.schedule(TASK, now())


async def test_a_service_that_is_away_for_a_moment_is_asked_again(
    scheduler: CloudTasksScheduler, tasks: CloudTasksServer, faults: Faults
) -> None:
    faults.fail("cloudtasks.CreateTask")
    await scheduler.schedule(TASK, now() + timedelta(seconds=3600))
    assert len(tasks.pending(QUEUE)) == 1


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
    ],
)
async def test_a_task_that_is_refused_for_good_is_not_scheduled(
    scheduler: CloudTasksScheduler, tasks: CloudTasksServer, faults: Faults, code: grpc.StatusCode
) -> None:
    faults.fail("cloudtasks.CreateTask", code=code, times=None)
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(NotScheduled):
            await scheduler.schedule(TASK, now())
    assert tasks.pending(QUEUE) == []


async def test_a_service_that_does_not_answer_is_not_waited_for(
    scheduler: CloudTasksScheduler, faults: Faults
) -> None:
    held = faults.hold("cloudtasks.CreateTask", times=None)
    began = asyncio.get_running_loop().time()
    with pytest.raises(NotScheduled):
        await scheduler.schedule(TASK, now())
    assert asyncio.get_running_loop().time() - began < 10  # Pub/Sub waits for twenty seconds
    held.release()


async def test_a_queue_that_is_not_there_takes_no_task(tasks: CloudTasksServer) -> None:
    other = settings_of(
        TasksSettings,
        CLOUD_TASKS_EMULATOR_HOST=tasks.address,
        TASKS_QUEUE="projects/unring-test/locations/us-east1/queues/others",
    )
    with pytest.raises(NotScheduled, match="NotFound"):
        await connect(other).schedule(TASK, now())


async def test_a_service_that_is_down_takes_no_task() -> None:
    with pytest.raises(NotScheduled):
        await connect(settings("127.0.0.1:9", "http://127.0.0.1:9")).schedule(TASK, now())


async def test_a_function_without_credentials_schedules_no_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(NotScheduled, match="DefaultCredentialsError"):
        await connect(settings_of(TasksSettings)).schedule(TASK, now())
