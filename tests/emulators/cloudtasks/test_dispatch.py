"""Tasks of the embedded Cloud Tasks, on their way to real HTTP endpoints."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import jwt
import pytest
from google.api_core import exceptions
from google.cloud.tasks_v2 import CloudTasksAsyncClient, types
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

from infra.emulators.cloudrun.invoker import Front, Issuer
from infra.emulators.cloudtasks import CloudTasksServer
from infra.emulators.cloudtasks.rules import backoff, is_given_up
from infra.emulators.faults import Fault, Faults, Kind
from tests.emulators.cloudtasks.support import HANG, QUEUE, Targets, parent
from tests.support.pace import PATIENCE_SECONDS

ACCOUNT = "caller@shop.iam.gserviceaccount.com"


class Scheduling:
    """The queue, by its client, and the targets."""

    def __init__(
        self, server: CloudTasksServer, client: CloudTasksAsyncClient, targets: Targets
    ) -> None:
        self.server, self.client, self.targets = server, client, targets

    async def create(self, *, seconds: float = 0, queue: str = QUEUE, **request: Any) -> types.Task:
        """A task that is due in so many seconds."""
        due = datetime.now(UTC) + timedelta(seconds=seconds)
        asked = {"url": f"{self.targets.url}/a", "body": b"{}", **request}
        task = types.Task(http_request=types.HttpRequest(asked), schedule_time=due)
        return await self.client.create_task(parent=queue, task=task)

    async def settled(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.server.idle()


@pytest.fixture
def scheduling(
    server: CloudTasksServer, client: CloudTasksAsyncClient, targets: Targets
) -> Scheduling:
    return Scheduling(server, client, targets)


async def test_a_task_comes_as_it_was_made_with_what_cloud_tasks_says_of_it(
    scheduling: Scheduling,
) -> None:
    headers = {"Content-Type": "application/json", "traceparent": "00-a-b-01"}
    made = await scheduling.create(body=b'{"a": "\xc3\xa9"}', headers=headers)
    (came,) = await scheduling.targets.wait_for(1)
    assert (came.method, came.name, came.body) == ("POST", "a", b'{"a": "\xc3\xa9"}')
    queue, _, name = made.name.rpartition("/tasks/")
    assert queue == QUEUE
    assert name.isdecimal()
    host = scheduling.targets.url.removeprefix("http://")
    assert came.headers == {
        "content-length": "11",
        "content-type": "application/json",
        "host": host,
        "traceparent": "00-a-b-01",
        "user-agent": "Google-Cloud-Tasks",
        "x-cloudtasks-queuename": "orders",
        "x-cloudtasks-taskname": name,
        "x-cloudtasks-taskretrycount": "0",
        "x-cloudtasks-taskexecutioncount": "0",
        "x-cloudtasks-tasketa": f"{made.schedule_time.timestamp():.6f}",
    }
    await scheduling.settled()


async def test_what_a_task_cannot_say_of_itself_it_does_not_say(scheduling: Scheduling) -> None:
    forged = {
        "Host": "elsewhere",
        "User-Agent": "me",
        "X-CloudTasks-QueueName": "another",
        "X-Google-Real-IP": "1.1.1.1",
        "X-AppEngine-User": "me",
    }
    await scheduling.create(headers=forged)
    (came,) = await scheduling.targets.wait_for(1)
    assert came.headers["x-cloudtasks-queuename"] == "orders"
    assert came.headers["user-agent"] == "Google-Cloud-Tasks"
    assert not {"elsewhere", "me", "another", "1.1.1.1"} & set(came.headers.values())


async def test_a_task_waits_until_it_is_due(scheduling: Scheduling) -> None:
    late = await scheduling.create(seconds=3600, url=f"{scheduling.targets.url}/late")
    soon = await scheduling.create(seconds=0.1, url=f"{scheduling.targets.url}/soon")
    (came,) = await scheduling.targets.wait_for(1)
    assert came.name == "soon"
    assert datetime.now(UTC) >= soon.schedule_time
    assert [each.name for each in scheduling.server.pending(QUEUE)][-1] == late.name


@pytest.mark.parametrize("seconds", [None, -3600.0])
async def test_a_task_that_says_no_time_or_one_that_is_past_is_due_at_once(
    scheduling: Scheduling, seconds: float | None
) -> None:
    before = datetime.now(UTC)
    task = types.Task(http_request=types.HttpRequest(url=f"{scheduling.targets.url}/a"))
    if seconds is not None:
        task.schedule_time = before + timedelta(seconds=seconds)
    made = await scheduling.client.create_task(parent=QUEUE, task=task)
    assert made.schedule_time >= before
    await scheduling.targets.wait_for(1)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_a_task_is_done_with_any_success(scheduling: Scheduling, status: int) -> None:
    scheduling.targets.plan = [status]
    await scheduling.create()
    await scheduling.settled()
    assert len(scheduling.targets.came) == 1


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
async def test_a_task_is_tried_again_after_anything_else(
    scheduling: Scheduling, status: int
) -> None:
    scheduling.targets.plan = [status]
    await scheduling.create()
    await scheduling.settled()
    first, second = (came.headers for came in scheduling.targets.came)
    assert first["x-cloudtasks-taskname"] == second["x-cloudtasks-taskname"]
    assert second["x-cloudtasks-taskretrycount"] == "1"
    assert second["x-cloudtasks-taskexecutioncount"] == ("1" if status < 500 else "0")
    assert second["x-cloudtasks-taskpreviousresponse"] == str(status)
    assert float(second["x-cloudtasks-tasketa"]) > float(first["x-cloudtasks-tasketa"])


async def test_a_task_without_an_answer_in_time_is_tried_again(scheduling: Scheduling) -> None:
    scheduling.targets.plan = [HANG]
    task = types.Task(
        http_request=types.HttpRequest(url=f"{scheduling.targets.url}/a"),
        dispatch_deadline=timedelta(seconds=15),
    )
    await scheduling.client.create_task(parent=QUEUE, task=task)
    await scheduling.settled()
    _, second = scheduling.targets.came
    assert second.headers["x-cloudtasks-taskretrycount"] == "1"
    assert "x-cloudtasks-taskpreviousresponse" not in second.headers


async def test_a_target_that_is_not_there_is_tried_again(scheduling: Scheduling) -> None:
    await scheduling.create(url="http://127.0.0.1:9/")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while scheduling.server.pending(QUEUE)[0].dispatch_count < 2:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_a_task_is_given_up_when_it_has_had_its_attempts(scheduling: Scheduling) -> None:
    queue = f"{QUEUE}-few"
    await scheduling.client.create_queue(
        parent=parent(queue),
        queue=types.Queue(name=queue, retry_config=types.RetryConfig(max_attempts=2)),
    )
    scheduling.targets.plan = [500, 500, 500]
    await scheduling.create(queue=queue)
    await scheduling.settled()
    assert len(scheduling.targets.came) == 2


@pytest.mark.parametrize(
    ("attempts", "duration", "done", "seconds", "is_over"),
    [
        (3, 0, 2, 9999, False),
        (3, 0, 3, 0, True),
        (3, 60, 3, 59, False),  # both limits must be reached
        (3, 60, 2, 60, False),
        (3, 60, 3, 60, True),
        (-1, 60, 1, 60, True),
        (-1, 60, 99, 59, False),
        (-1, 0, 9999, 9999, False),
    ],
)
def test_a_task_is_given_up_when_all_limits_are_reached_that_there_are(
    attempts: int, duration: int, done: int, seconds: int, is_over: bool
) -> None:
    retries = types.RetryConfig(
        max_attempts=attempts, max_retry_duration=timedelta(seconds=duration)
    )
    assert is_given_up(retries, done, timedelta(seconds=seconds)) == is_over


def test_back_off_grows_as_the_reference_has_it() -> None:
    retries = types.RetryConfig(
        min_backoff=timedelta(seconds=10), max_backoff=timedelta(seconds=300), max_doublings=3
    )
    waits = [backoff(retries, failures).total_seconds() for failures in range(1, 9)]
    assert waits == [10, 20, 40, 80, 160, 240, 300, 300]
    assert backoff(retries, 10**6).total_seconds() == 300


@pytest.mark.parametrize("audience", ["", "http://the-function"])
async def test_a_token_names_the_account_and_whom_it_is_for(
    scheduling: Scheduling, audience: str
) -> None:
    token = {"service_account_email": ACCOUNT, "audience": audience}
    await scheduling.create(oidc_token=token, headers={"Authorization": "Bearer mine"})
    (came,) = await scheduling.targets.wait_for(1)
    scheme, _, shown = came.headers["authorization"].partition(" ")
    assert scheme == "Bearer"
    claims = jwt.decode(shown, options={"verify_signature": False})
    assert claims["aud"] == (audience or f"{scheduling.targets.url}/a")
    assert claims["email"] == ACCOUNT


async def test_cloud_run_lets_a_signed_task_through(targets: Targets) -> None:
    issuer = Issuer()
    async with (
        CloudTasksServer(second=0.01, sign=issuer.sign) as server,
        Front(lambda: targets.url, issuer, {ACCOUNT}) as front,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        client = CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
        await client.create_queue(parent=parent(QUEUE), queue=types.Queue(name=QUEUE))
        token = types.OidcToken(service_account_email=ACCOUNT, audience=front.url)
        request = types.HttpRequest(url=f"{front.url}/a", oidc_token=token)
        await client.create_task(parent=QUEUE, task=types.Task(http_request=request))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.idle()
    assert [came.name for came in targets.came] == ["a"]


async def test_a_create_that_fails_makes_no_task_and_one_whose_reply_is_lost_does(
    scheduling: Scheduling, faults: Faults
) -> None:
    faults.fail("cloudtasks.CreateTask", "refused")
    faults.lose_reply("cloudtasks.CreateTask", "lost")
    for body in (b"refused", b"lost"):
        with pytest.raises(exceptions.ServiceUnavailable):
            await scheduling.create(body=body)
    await scheduling.settled()
    assert [came.body for came in scheduling.targets.came] == [b"lost"]


async def test_an_attempt_may_be_refused_lost_delayed_or_made_twice(
    scheduling: Scheduling, faults: Faults
) -> None:
    faults.fail("task.orders", "refused")
    faults.lose_reply("task.orders", "lost")
    faults.arm(Fault(Kind.REPEAT, "task.orders", ("twice",)))
    faults.arm(Fault(Kind.DELAY, "task.orders", ("late",), seconds=0.01))
    for body in (b"refused", b"lost", b"twice", b"late"):
        await scheduling.create(body=body)
    await scheduling.settled()
    came = [came.body for came in scheduling.targets.came]
    assert {body: came.count(body) for body in came} == {
        b"refused": 1,
        b"lost": 2,
        b"twice": 2,
        b"late": 1,
    }
