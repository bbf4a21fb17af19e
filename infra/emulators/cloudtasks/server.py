"""The gRPC endpoint of the embedded Cloud Tasks.

Google has no emulator of it, and its libraries know no variable for one: who uses this makes the
channel himself.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Self

import grpc
from google.cloud.tasks_v2 import types

from infra.emulators.auth.tokens import Sign, unsigned
from infra.emulators.cloudtasks.dispatch import Dispatcher, History
from infra.emulators.cloudtasks.queues import Queues, Send
from infra.emulators.cloudtasks.rules import MAX_TASK_BYTES, Refused, check_deadline
from infra.emulators.faults import Broken, Faults
from infra.emulators.unplayed import UnplayedRpcs

_OPTIONS = [
    ("grpc.max_receive_message_length", 2 * MAX_TASK_BYTES),
    ("grpc.max_send_message_length", -1),  # a page of such tasks
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a port shared with a stranger
]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CloudTasksServer:
    """Cloud Tasks for unmodified clients, on one port: queues of HTTP tasks.

    Use it as an async context, or `start` and `stop` it. `second` is how many real seconds a second
    of back-off or of a dispatch deadline lasts; a task is due when its schedule_time has come by
    `now`. A task is delivered at least once: tried again, as the queue's RetryConfig has it, until
    its target answers 2xx. A name is never free again. Everything is kept in memory and gone with
    the server. What is not played (rate limits, throttling, App Engine, OAuth tokens, all other
    methods) is refused with UNIMPLEMENTED.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        second: float = 1.0,
        now: Callable[[], datetime] = _utc_now,
        interceptors: Sequence[Any] = (),
        faults: Faults | None = None,
        sign: Sign = unsigned,
    ) -> None:
        """`interceptors` (grpc.aio.ServerInterceptor) see every RPC before it is served, `faults`
        every attempt at a task of the queue Q as the call "task.Q".

        `sign` makes the tokens that tasks carry where an oidc_token is asked for.
        """
        self._host = host
        self._port = port
        self._second = second
        self._now = now
        self._interceptors = interceptors
        self._faults = faults or Faults()
        self._sign = sign
        self._stack = AsyncExitStack()
        self._queues: Queues | None = None
        self._bound: int | None = None

    @property
    def address(self) -> str:
        """Host and port, "127.0.0.1:1234"; only while it runs."""
        if self._bound is None:
            raise RuntimeError("the Cloud Tasks server is not running")
        return f"{self._host}:{self._bound}"

    def pending(self, queue: str) -> Sequence[types.Task]:
        """The tasks of projects/P/locations/L/queues/Q that are neither done nor given up, those
        that are due first in front."""
        return self._running().pending(queue)

    async def idle(self) -> None:
        """Returns once there is no task left, which those that are due late delay."""
        await self._running().idle()

    async def start(self) -> None:
        """Listens. Raises RuntimeError when the port is taken."""
        async with AsyncExitStack() as stack:
            dispatcher = await stack.enter_async_context(Dispatcher(self._now, self._sign))
            queues = Queues(_faulty(dispatcher.send, self._faults), self._now, self._second)
            stack.push_async_callback(queues.close)
            server = grpc.aio.server(options=_OPTIONS, interceptors=self._interceptors)
            unplayed = UnplayedRpcs("The embedded Cloud Tasks", instead="")
            server.add_generic_rpc_handlers((_handlers(queues), unplayed))
            # Requests end before the tasks that they could still add to.
            stack.push_async_callback(server.stop, None)
            bound = server.add_insecure_port(f"{self._host}:{self._port}")
            await server.start()
            self._queues, self._bound = queues, bound
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Ends every request and every attempt; leaves no task and no socket. Twice is no error."""
        self._queues = self._bound = None
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _running(self) -> Queues:
        if self._queues is None:
            raise RuntimeError("the Cloud Tasks server is not running")
        return self._queues


def _faulty(send: Send, faults: Faults) -> Send:
    """`send`, by way of the faults; an attempt that was broken on demand has no answer."""

    async def broken_or_sent(task: types.Task, history: History, deadline: float) -> int | None:
        call = f"task.{task.name.split('/')[-3]}"
        try:
            return await faults.around(
                call,
                lambda: task.http_request.body.decode(errors="replace"),
                lambda: send(task, history, deadline),
            )
        except Broken:
            return None

    return broken_or_sent


def _handlers(queues: Queues) -> Any:
    methods: dict[str, Any] = {
        "CreateQueue": _unary(types.CreateQueueRequest, queues.create_queue),
        "CreateTask": _unary(types.CreateTaskRequest, queues.create_task),
        "ListTasks": _unary(types.ListTasksRequest, queues.list_tasks),
    }
    return grpc.method_handlers_generic_handler("google.cloud.tasks.v2.CloudTasks", methods)


def _unary(request_type: Any, method: Callable[[Any], Awaitable[Any]]) -> Any:
    async def enter(request: Any, context: Any) -> Any:
        try:
            check_deadline(context.time_remaining())
            return await method(request)
        except Refused as refused:
            return await context.abort(refused.code, str(refused))

    return grpc.unary_unary_rpc_method_handler(
        enter,
        request_deserializer=request_type.deserialize,
        response_serializer=lambda response: bytes(type(response).serialize(response)),
    )
