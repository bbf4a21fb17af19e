"""Queues and their tasks, and the API's methods on them. Knows no gRPC but its status codes."""

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import grpc
from google.cloud.tasks_v2 import types

from infra.emulators.cloudtasks.dispatch import History
from infra.emulators.cloudtasks.rules import (
    Refused,
    backoff,
    complete_queue,
    complete_task,
    invalid,
    is_given_up,
)

_log = logging.getLogger(__name__)

_PAGE = 1000
_NO_ANSWER = "no answer"

# Sends a task: the status that its target answers in so many seconds, None without an answer.
Send = Callable[[types.Task, History, float], Awaitable[int | None]]


@dataclass(slots=True)
class _Pending:
    """A task that is not done with."""

    task: types.Task
    history: History = field(default_factory=History)
    first_at: datetime | None = None  # when it was first attempted


class Queues:
    """The state of one Cloud Tasks and the methods that clients call; each may raise Refused."""

    def __init__(self, send: Send, now: Callable[[], datetime], second: float) -> None:
        """`second` is how many real seconds a second of back-off or deadline lasts."""
        self._send = send
        self._now = now
        self._second = second
        self._queues: dict[str, types.Queue] = {}
        self._pending: dict[str, _Pending] = {}
        self._names: set[str] = set()  # of all tasks that there ever were
        self._running: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        # Ids of real tasks are numbers that say nothing.
        self._ids = itertools.count(random.randrange(10**18, 9 * 10**18))  # noqa: S311

    def pending(self, queue: str) -> Sequence[types.Task]:
        """The tasks of that queue that are not done with, those that are due first in front."""
        self._queue(queue)
        of_it = [each.task for each in self._pending.values() if _queue_of(each.task) == queue]
        return sorted(of_it, key=lambda task: task.schedule_time)

    async def idle(self) -> None:
        """Returns once there is no task."""
        while self._pending:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        running = list(self._running)
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def create_queue(self, request: types.CreateQueueRequest) -> types.Queue:
        queue = complete_queue(request)
        if queue.name in self._queues:
            raise Refused(grpc.StatusCode.ALREADY_EXISTS, "Queue already exists")
        self._queues[queue.name] = queue
        return queue

    async def create_task(self, request: types.CreateTaskRequest) -> types.Task:
        queue = self._queue(request.parent)
        task = complete_task(request, f"{queue.name}/tasks/{next(self._ids)}", self._now())
        if task.name in self._names:
            raise Refused(
                grpc.StatusCode.ALREADY_EXISTS,
                "The task cannot be created because a task with this name existed too recently.",
            )
        self._names.add(task.name)
        pending = self._pending[task.name] = _Pending(task)
        run = asyncio.create_task(self._run(queue.retry_config, pending))
        self._running.add(run)
        run.add_done_callback(self._running.discard)
        return _seen(task, request.response_view)

    async def list_tasks(self, request: types.ListTasksRequest) -> types.ListTasksResponse:
        """All on one page: of a queue with more tasks than a page has, the first."""
        if not 0 <= request.page_size <= _PAGE or request.page_token:
            raise invalid("page_size must be between 0 and 1000, and there is no second page")
        found = self.pending(request.parent)[: request.page_size or _PAGE]
        return types.ListTasksResponse(tasks=[_seen(each, request.response_view) for each in found])

    async def _run(self, retries: types.RetryConfig, pending: _Pending) -> None:
        """Attempts a task when it is due, until it is done or given up."""
        task = pending.task
        wait = (task.schedule_time - self._now()).total_seconds()
        while True:
            await asyncio.sleep(max(wait, 0))
            if await self._succeeds(pending):
                break
            failures, first_at = pending.history.attempts, pending.first_at or self._now()
            since_first = (self._now() - first_at) / self._second
            if is_given_up(retries, failures, since_first):
                _log.info("given up: %s, after %d attempts", task.name, failures)
                break
            wait = backoff(retries, failures).total_seconds() * self._second
            task.schedule_time = self._now() + timedelta(seconds=wait)
        del self._pending[task.name]
        self._changed.set()

    async def _succeeds(self, pending: _Pending) -> bool:
        """Makes one attempt."""
        task, history = pending.task, pending.history
        pending.first_at = pending.first_at or self._now()
        task.dispatch_count += 1
        deadline = task.dispatch_deadline.total_seconds() * self._second
        status = await self._send(task, history, deadline)
        task.response_count += status is not None
        if status is not None and 200 <= status < 300:
            return True
        _log.info("attempt %d at %s: %s", history.attempts + 1, task.name, status or _NO_ANSWER)
        pending.history = History(
            attempts=history.attempts + 1,
            answers=history.answers + (status is not None and status < 500),
            last_status=status,
            reason=_NO_ANSWER if status is None else f"HTTP {status}",
        )
        return False

    def _queue(self, name: str) -> types.Queue:
        with suppress(KeyError):
            return self._queues[name]
        raise Refused(
            grpc.StatusCode.NOT_FOUND,
            "Queue does not exist. If you just created the queue, wait at least a minute for the "
            "queue to initialize.",
        )


def _queue_of(task: types.Task) -> str:
    return str(task.name.partition("/tasks/")[0])


def _seen(task: types.Task, view: types.Task.View) -> types.Task:
    """The task as clients see it: by default without its body."""
    seen = types.Task(task)
    seen.view = types.Task.View(view or types.Task.View.BASIC)
    if seen.view is types.Task.View.BASIC:
        seen.http_request.body = b""
    return seen
