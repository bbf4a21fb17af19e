"""What Cloud Tasks accepts, and when it tries a task again. Pure.

Limits are those of https://cloud.google.com/tasks/docs/quotas and of the API reference. Every
refusal is a Refused with the status code of the real service.
"""

import re
from datetime import datetime, timedelta

import grpc
from google.cloud.tasks_v2 import types

# Room above it is needed in the server, so that a task just over it is answered as the service
# would.
MAX_TASK_BYTES = 1_000_000
_MAX_URL = 2083
_MAX_HEADER_BYTES = 80_000
_MAX_FUTURE = timedelta(hours=720)
_DEADLINES = (timedelta(seconds=15), timedelta(minutes=30))
_DEFAULT_DEADLINE = timedelta(minutes=10)
# An RPC whose own deadline is later is refused, whatever it asks for.
_MAX_RPC_SECONDS = 30.0

_QUEUE_NAME = r"projects/[A-Za-z0-9:.-]+/locations/[A-Za-z0-9-]+/queues/[A-Za-z0-9-]{1,100}"
_QUEUE = re.compile(_QUEUE_NAME)
_TASK = re.compile(rf"({_QUEUE_NAME})/tasks/[A-Za-z0-9_-]{{1,500}}")
_WITH_BODY = (types.HttpMethod.POST, types.HttpMethod.PUT, types.HttpMethod.PATCH)

# What this server does not play it refuses, rather than accept it without effect.
_UNPLAYED_OF_QUEUES = (
    "app_engine_routing_override",
    "http_target",
    "rate_limits",
    "stackdriver_logging_config",
)
_UNPLAYED_OF_TASKS = ("app_engine_http_request", "retry_config")

# https://cloud.google.com/tasks/docs/configuring-queues#retry
_DEFAULT_RETRIES = types.RetryConfig(
    max_attempts=100,
    min_backoff=timedelta(milliseconds=100),
    max_backoff=timedelta(hours=1),
    max_doublings=16,
)


class Refused(Exception):
    """The request is answered with `code`, a grpc.StatusCode, instead of a result."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def invalid(reason: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, reason)


def unplayed(what: str) -> Refused:
    return Refused(grpc.StatusCode.UNIMPLEMENTED, f"The embedded Cloud Tasks does not play {what}")


def check_deadline(seconds: float | None) -> None:
    """Raises Refused if the RPC may take more than that; `seconds` are what it has left."""
    if seconds is not None and seconds > _MAX_RPC_SECONDS:
        raise invalid("The deadline cannot be more than 30s in the future.")


def complete_queue(request: types.CreateQueueRequest) -> types.Queue:
    """The queue with what it has by default. Raises Refused unless it can be created."""
    queue = types.Queue(request.queue)
    if not _QUEUE.fullmatch(queue.name) or not queue.name.startswith(f"{request.parent}/queues/"):
        raise invalid(f"Invalid queue name: {queue.name!r}")
    for field in _UNPLAYED_OF_QUEUES:
        if field in queue:
            raise unplayed(field)
    retries = types.RetryConfig(_DEFAULT_RETRIES)
    types.RetryConfig.pb(retries).MergeFrom(types.RetryConfig.pb(queue.retry_config))
    if retries.max_attempts < -1:
        raise invalid("RetryConfig.max_attempts must be greater than or equal to -1")
    if retries.min_backoff > retries.max_backoff:
        raise invalid("RetryConfig.min_backoff must be less than or equal to max_backoff")
    queue.retry_config = retries
    queue.state = types.Queue.State(types.Queue.State.RUNNING)
    return queue


def complete_task(request: types.CreateTaskRequest, name: str, now: datetime) -> types.Task:
    """The task as the queue keeps it, `name` if it has none. Raises Refused unless it can be
    created."""
    task = types.Task(request.task)
    if types.Task.pb(task).ByteSize() > MAX_TASK_BYTES:
        raise invalid(f"The task is larger than {MAX_TASK_BYTES} bytes")
    named = _TASK.fullmatch(task.name)
    if task.name and (named is None or named[1] != request.parent):
        raise invalid(f"Invalid task name: {task.name!r}")
    for field in _UNPLAYED_OF_TASKS:
        if field in task:
            raise unplayed(field)
    if "http_request" not in task:
        raise invalid("The task has no request")
    _check_request(task.http_request)
    task.name = task.name or name
    task.http_request.http_method = _method(task.http_request)
    task.create_time = now.replace(microsecond=0)
    task.schedule_time = _scheduled(task, now)
    task.dispatch_deadline = _deadline(task)
    return task


def _check_request(request: types.HttpRequest) -> None:
    if not request.url.startswith(("http://", "https://")):
        raise invalid("HttpRequest.url must start with 'http://' or 'https://'")
    if len(request.url) > _MAX_URL:
        raise invalid(f"HttpRequest.url has more than {_MAX_URL} characters")
    if sum(len(name) + len(value) for name, value in request.headers.items()) >= _MAX_HEADER_BYTES:
        raise invalid("HttpRequest.headers must be less than 80KB")
    method = _method(request)
    if request.body and method not in _WITH_BODY:
        raise invalid(f"HttpRequest.body is not allowed with {method.name}")
    if "oauth_token" in request:
        raise unplayed("oauth_token")
    if "oidc_token" in request and not request.oidc_token.service_account_email:
        raise invalid("OidcToken.service_account_email is missing")


def _method(request: types.HttpRequest) -> types.HttpMethod:
    return types.HttpMethod(request.http_method or types.HttpMethod.POST)


def _scheduled(task: types.Task, now: datetime) -> datetime:
    """When the task is due: now, if that is not said or past."""
    if "schedule_time" not in task:
        return now
    due: datetime = task.schedule_time
    if due - now > _MAX_FUTURE:
        raise invalid(
            f"The Task.scheduleTime, {due.isoformat()}, is too far in the future. "
            "Schedule time must be no more than 720h in the future."
        )
    return max(due, now)


def _deadline(task: types.Task) -> timedelta:
    if "dispatch_deadline" not in task:
        return _DEFAULT_DEADLINE
    deadline: timedelta = task.dispatch_deadline
    if not _DEADLINES[0] <= deadline <= _DEADLINES[1]:
        raise invalid("Task.dispatchDeadline must be between [15s, 30m]")
    return deadline


def backoff(retries: types.RetryConfig, failures: int) -> timedelta:
    """How long after the last of that many failures the task is tried again.

    It doubles `max_doublings` times, then grows by as much each time: of 10 s, 300 s and 3
    doublings, 10, 20, 40, 80, 160, 240, 300, 300 … Real back-off is longer after 429 and 503, and
    for a queue of which many tasks fail; how long is not documented.
    """
    doublings = min(failures - 1, retries.max_doublings, 64)
    steps = failures - doublings  # 1 while it doubles
    wait = float(retries.min_backoff.total_seconds()) * 2.0**doublings * steps
    return timedelta(seconds=min(wait, float(retries.max_backoff.total_seconds())))


def is_given_up(retries: types.RetryConfig, attempts: int, since_first: timedelta) -> bool:
    """Whether a task that failed `attempts` times, the first of them so long ago, is deleted. If
    both limits are set, both must be reached."""
    limits = []
    if retries.max_attempts > 0:
        limits.append(attempts >= retries.max_attempts)
    if retries.max_retry_duration:
        limits.append(since_first >= retries.max_retry_duration)
    return bool(limits) and all(limits)
