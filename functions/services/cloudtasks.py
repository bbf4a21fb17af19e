"""Cloud Tasks: has `ring` called with a task when it is due."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.tasks_v2 import CloudTasksAsyncClient, HttpMethod, HttpRequest, OidcToken, Task
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

from functions.ports.scheduler import NotScheduled
from functions.scheduled import Scheduled, encode
from functions.services.rpc import LIMITS
from functions.settings import TasksSettings
from functions.telemetry import traceparent

_PATH = "/tasks"  # at `ring`
# What is not answered by then is tried again. As long as Cloud Run lets `ring` work at a request.
_DISPATCH_DEADLINE = timedelta(seconds=30)


class CloudTasksScheduler:
    """Schedules in one queue, which is named in full: `projects/…/locations/…/queues/…`.

    Tasks go to the function at `url`, with an OpenID Connect token of `service_account` for it.
    """

    def __init__(
        self,
        connect: Callable[[], CloudTasksGrpcAsyncIOTransport],
        queue: str,
        url: str,
        service_account: str,
    ) -> None:
        """`connect` is called when something is first scheduled."""
        self._connect = connect
        self._queue = queue
        self._url = url
        self._service_account = service_account

    @cached_property
    def _transport(self) -> CloudTasksGrpcAsyncIOTransport:
        return self._connect()

    @cached_property
    def _client(self) -> CloudTasksAsyncClient:
        return CloudTasksAsyncClient(transport=self._transport)

    async def schedule(self, task: Scheduled, at: datetime) -> None:
        """1 CreateTask. One whose reply is lost is repeated, and then there are two tasks."""
        # It has no name: by a name Cloud Tasks would refuse a second one like it, at the price of a
        # look-up that makes each CreateTask slow. Whoever takes a task can take it twice.
        made = Task(
            http_request=self._request(task),
            schedule_time=at,
            dispatch_deadline=_DISPATCH_DEADLINE,
        )
        try:
            await self._client.create_task(parent=self._queue, task=made, **LIMITS)
        except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
            raise NotScheduled(f"{type(error).__name__}: {error}") from error

    async def warm_up(self) -> None:
        """Opens the channel, so that the first task need not wait for it."""
        await self._transport.grpc_channel.channel_ready()

    def _request(self, task: Scheduled) -> HttpRequest:
        trace = traceparent()
        more = {"traceparent": trace} if trace else {}
        return HttpRequest(
            http_method=HttpMethod.POST,
            url=f"{self._url}{_PATH}",
            headers={"Content-Type": "application/json", **more},
            body=encode(task),
            # The audience is the function, whatever the path.
            oidc_token=OidcToken(service_account_email=self._service_account, audience=self._url),
        )


def connect(settings: TasksSettings) -> CloudTasksScheduler:
    """The scheduler of TASKS_QUEUE."""
    return CloudTasksScheduler(
        lambda: _transport(settings.tasks_emulator),
        settings.tasks_queue,
        settings.tasks_url,
        settings.tasks_service_account,
    )


def _transport(emulator: str | None) -> CloudTasksGrpcAsyncIOTransport:
    if emulator is None:
        return CloudTasksGrpcAsyncIOTransport()
    return CloudTasksGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(emulator))
