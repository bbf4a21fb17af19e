"""One delivery of Cloud Tasks: a task in, done or to be tried again.

https://cloud.google.com/tasks/docs/creating-http-target-tasks#handler
"""

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from functions import telemetry
from functions.calls.event import MalformedEvent
from functions.inbound.retries import is_done
from functions.scheduled import RingEnds, Scheduled, decode
from functions.telemetry import Log

_DONE = 204
# Not 503, to which Cloud Tasks responds by slowing down the whole queue: one call that can't be
# ended just now is no reason for others to ring longer.
_RETRY = 500

log = Log(__name__)

Handle = Callable[[Scheduled], Awaitable[None]]


async def receive(request: Request, project: str, handle: Handle) -> Response:
    """Hands the task to `handle`, and has it tried again if `handle` raises.

    A task that can't be read is logged and done with, as no retry would help. What is to be tried
    again comes with the queue's back-off, until the queue gives it up.
    """
    try:
        body = await request.body()
    except ClientDisconnect:
        return Response(status_code=_RETRY)  # nobody gets this reply; it is tried again anyway
    try:
        task = decode(body)
    except MalformedEvent as error:
        log.error("malformed delivery", error=f"{type(error).__name__}: {error}")
        return Response(status_code=_DONE)
    fields: dict[str, object] = {"event": task.name, "callId": task.call_id}
    if isinstance(task, RingEnds):
        fields["signalId"] = task.signal_id
    attempt = _attempt(request.headers.get("x-cloudtasks-taskretrycount", ""))
    trace = request.headers.get("traceparent")
    with telemetry.request(project, trace, **fields, deliveryAttempt=attempt):
        is_over = await is_done(handle(task))
    return Response(status_code=_DONE if is_over else _RETRY)


def _attempt(retries: str) -> int | None:
    """The attempt's number, from 1; None if nobody has counted."""
    is_number = retries.isdecimal() and len(retries) < 10
    return int(retries) + 1 if is_number else None
