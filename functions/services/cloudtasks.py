"""Cloud Tasks: has `ring` called with a task when it is due."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import cached_property

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.tasks_v2 import types
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

from functions.ports.scheduler import NotScheduled
from functions.scheduled import Scheduled, encode
from functions.services import rpc
from functions.services.rpc import Message
from functions.settings import TasksSettings
from functions.telemetry import traceparent

_CREATE_TASK = "/google.cloud.tasks.v2.CloudTasks/CreateTask"
_Request = types.CreateTaskRequest.pb()
_Task = types.Task.pb()

_PATH = "/tasks"  # at `ring`
# What is not answered by then is tried again. As long as Cloud Run lets `ring` work at a request.
_DISPATCH_DEADLINE = timedelta(seconds=30)


class CloudTasksScheduler:
    """Schedules in one queue, which is named in full: `projects/…/locations/…/queues/…`.

    Tasks go to the function at `url`, with an OpenID Connect token of `service_account` for it.
    """

    def __init__(
        self,
        connect: Callable[[], grpc.aio.Channel],
        queue: str,
        url: str,
        service_account: str,
    ) -> None:
        """`connect` is called when something is first scheduled."""
        self._connect = connect
        self._queue = queue
        self._url = url
        self._service_account = service_account

    async def schedule(self, task: Scheduled, at: datetime) -> None:
        """1 CreateTask. One whose reply is lost is repeated, and then there are two tasks."""
        # It has no name: by a name Cloud Tasks would refuse a second one like it, at the price of a
        # look-up that makes each CreateTask slow. Whoever takes a task can take it twice.
        request = self._request(task, at)
        try:
            await self._create(request)
        except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
            raise NotScheduled(f"{type(error).__name__}: {error}") from error

    async def warm_up(self) -> None:
        """Opens the channel, so that the first task need not wait for it."""
        await self._channel.channel_ready()

    @cached_property
    def _create(self) -> Callable[[Message], Awaitable[Message]]:
        return rpc.unary(self._channel, _CREATE_TASK, _Task, rpc.headers(parent=self._queue))

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        return self._connect()

    def _request(self, task: Scheduled, at: datetime) -> Message:
        trace = traceparent()
        more = {"traceparent": trace} if trace else {}
        request = _Request(parent=self._queue)
        made = request.task
        made.schedule_time.FromDatetime(at)
        made.dispatch_deadline.FromTimedelta(_DISPATCH_DEADLINE)
        made.http_request.http_method = types.HttpMethod.POST
        made.http_request.url = f"{self._url}{_PATH}"
        made.http_request.headers.update({"Content-Type": "application/json", **more})
        made.http_request.body = encode(task)
        # The audience is the function, whatever the path.
        made.http_request.oidc_token.audience = self._url
        made.http_request.oidc_token.service_account_email = self._service_account
        return request


def connect(settings: TasksSettings) -> CloudTasksScheduler:
    """The scheduler of TASKS_QUEUE."""
    return CloudTasksScheduler(
        lambda: _connected(settings.tasks_emulator),
        settings.tasks_queue,
        settings.tasks_url,
        settings.tasks_service_account,
    )


def _connected(emulator: str | None) -> grpc.aio.Channel:
    if emulator is None:
        return CloudTasksGrpcAsyncIOTransport.create_channel(options=rpc.OPTIONS)
    return grpc.aio.insecure_channel(emulator, options=rpc.OPTIONS)
