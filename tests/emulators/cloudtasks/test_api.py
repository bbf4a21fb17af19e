"""What the embedded Cloud Tasks accepts, from the unmodified client, and what it refuses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.tasks_v2 import CloudTasksAsyncClient, types

from infra.emulators.cloudtasks import CloudTasksServer
from tests.emulators.cloudtasks.support import QUEUE, parent

URL = "http://127.0.0.1:9/"


def task(name: str = "", *, seconds: float = 3600, **changes: Any) -> types.Task:
    """One that is not due while a test runs."""
    due = datetime.now(UTC) + timedelta(seconds=seconds)
    return types.Task({"name": name, "http_request": {"url": URL}, "schedule_time": due, **changes})


async def created(client: CloudTasksAsyncClient, made: types.Task) -> types.Task:
    return await client.create_task(parent=QUEUE, task=made)


async def test_a_task_is_answered_with_its_name_its_times_and_without_its_body(
    client: CloudTasksAsyncClient,
) -> None:
    made = task(http_request={"url": URL, "body": b"x", "headers": {"a": "b"}})
    answered = await created(client, made)
    assert answered.name.startswith(f"{QUEUE}/tasks/")
    assert answered.schedule_time == made.schedule_time
    assert answered.dispatch_deadline == timedelta(minutes=10)
    assert answered.http_request.http_method is types.HttpMethod.POST
    assert answered.http_request.headers == {"a": "b"}
    assert answered.http_request.body == b""
    assert answered.view is types.Task.View.BASIC


async def test_two_tasks_without_a_name_are_two(
    client: CloudTasksAsyncClient, server: CloudTasksServer
) -> None:
    one, other = await created(client, task()), await created(client, task())
    assert one.name != other.name
    assert len(server.pending(QUEUE)) == 2


async def test_a_name_is_taken_once(client: CloudTasksAsyncClient) -> None:
    name = f"{QUEUE}/tasks/order_1-a"
    assert (await created(client, task(name))).name == name
    with pytest.raises(exceptions.AlreadyExists, match="existed too recently"):
        await created(client, task(name))


async def test_tasks_are_listed_as_they_are_due_in_the_view_that_is_asked_for(
    client: CloudTasksAsyncClient,
) -> None:
    for seconds, body in ((7200, b"later"), (3600, b"sooner")):
        request = {"url": URL, "body": body}
        await created(client, task(seconds=seconds, http_request=request))
    asked = types.ListTasksRequest(parent=QUEUE, response_view=types.Task.View.FULL)
    full = [each.http_request.body async for each in await client.list_tasks(asked)]
    assert full == [b"sooner", b"later"]
    basic = [each.http_request.body async for each in await client.list_tasks(parent=QUEUE)]
    assert basic == [b"", b""]


@pytest.mark.parametrize(
    "wrong",
    [
        types.Task(),
        task("order"),
        task("projects/shop/locations/us-east1/queues/others/tasks/1"),
        task(f"{QUEUE}/tasks/a b"),
        task(f"{QUEUE}/tasks/{'a' * 501}"),
        task(http_request={}),
        task(http_request={"url": "ftp://a"}),
        task(http_request={"url": f"http://{'a' * 2083}"}),
        task(http_request={"url": URL, "http_method": "GET", "body": b"x"}),
        task(http_request={"url": URL, "headers": {"a": "b" * 80_000}}),
        task(http_request={"url": URL, "body": b"x" * 1_000_001}),
        task(http_request={"url": URL, "oidc_token": {"audience": URL}}),
        task(seconds=721 * 3600),
        task(dispatch_deadline=timedelta(seconds=14)),
        task(dispatch_deadline=timedelta(minutes=31)),
    ],
    ids=map(str, range(100)),  # some of them have the time in their text
)
async def test_a_task_that_cannot_be_is_refused(
    client: CloudTasksAsyncClient, server: CloudTasksServer, wrong: types.Task
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await created(client, wrong)
    assert server.pending(QUEUE) == []


async def test_a_queue_that_is_not_there_takes_no_task(client: CloudTasksAsyncClient) -> None:
    with pytest.raises(exceptions.NotFound, match="Queue does not exist"):
        await client.create_task(parent=f"{QUEUE}-2", task=task())


async def test_a_client_that_would_wait_for_more_than_thirty_seconds_is_refused(
    client: CloudTasksAsyncClient,
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="more than 30s in the future"):
        await client.create_task(parent=QUEUE, task=task(), timeout=60)


@pytest.mark.parametrize(
    "wrong",
    [
        types.Queue(name="orders"),
        types.Queue(name="projects/other/locations/us-east1/queues/orders"),
        types.Queue(name=f"{QUEUE}_2"),
        types.Queue(name=f"{QUEUE}-2", retry_config={"max_attempts": -2}),
        types.Queue(
            name=f"{QUEUE}-2",
            retry_config={"min_backoff": {"seconds": 2}, "max_backoff": {"seconds": 1}},
        ),
    ],
    ids=str,
)
async def test_a_queue_that_cannot_be_is_refused(
    client: CloudTasksAsyncClient, wrong: types.Queue
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await client.create_queue(parent=parent(QUEUE), queue=wrong)


async def test_a_queue_is_created_once(client: CloudTasksAsyncClient) -> None:
    with pytest.raises(exceptions.AlreadyExists):
        await client.create_queue(parent=parent(QUEUE), queue=types.Queue(name=QUEUE))


async def test_a_queue_has_what_it_does_not_say_by_default(client: CloudTasksAsyncClient) -> None:
    said = types.Queue(name=f"{QUEUE}-2", retry_config={"max_attempts": 7})
    queue = await client.create_queue(parent=parent(QUEUE), queue=said)
    assert queue.retry_config.max_attempts == 7
    assert queue.retry_config.min_backoff == timedelta(milliseconds=100)
    assert queue.retry_config.max_backoff == timedelta(hours=1)
    assert queue.retry_config.max_doublings == 16
    assert queue.state is types.Queue.State.RUNNING


@pytest.mark.parametrize(
    "wrong",
    [
        types.Task(app_engine_http_request={"relative_uri": "/"}),
        task(retry_config={"max_attempts": 1}),
        task(http_request={"url": URL, "oauth_token": {"service_account_email": "a@b"}}),
    ],
    ids=["App Engine", "own retries", "OAuth"],
)
async def test_what_is_not_played_of_a_task_is_refused(
    client: CloudTasksAsyncClient, wrong: types.Task
) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="does not play"):
        await created(client, wrong)


async def test_what_is_not_played_of_a_queue_is_refused(client: CloudTasksAsyncClient) -> None:
    limited = types.Queue(name=f"{QUEUE}-2", rate_limits={"max_dispatches_per_second": 1})
    with pytest.raises(exceptions.MethodNotImplemented, match="does not play rate_limits"):
        await client.create_queue(parent=parent(QUEUE), queue=limited)


async def test_a_method_that_is_not_played_is_refused_at_once(
    client: CloudTasksAsyncClient,
) -> None:
    with pytest.raises(exceptions.MethodNotImplemented) as refused:
        await client.run_task(name=f"{QUEUE}/tasks/1", timeout=5)
    message = "The embedded Cloud Tasks does not play google.cloud.tasks.v2.CloudTasks/RunTask"
    assert refused.value.message == message


async def test_a_server_that_stops_lets_go_of_its_port_and_of_its_tasks() -> None:
    server = CloudTasksServer()
    async with server, grpc.aio.insecure_channel(server.address) as channel:
        port = int(server.address.rpartition(":")[2])
        await channel.channel_ready()
        with pytest.raises(RuntimeError):
            await CloudTasksServer(port=port).start()
    async with CloudTasksServer(port=port) as again:
        assert again.address.endswith(f":{port}")
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.address
