"""The tasks by which a ring ends by itself, carried out before they are due."""

import asyncio

import httpx
from google.cloud.tasks_v2 import types

from functions.scheduled import CallerCheck, RingEnds, decode
from infra.client.phone import COLD_START_SECONDS
from infra.local.stack import Stack
from infra.local.topology import queue

_POLL_SECONDS = 0.02
_KINDS = {"ring:ended": RingEnds, "caller:gone": CallerCheck}


class Tasks:
    """Those that wait on a stack where anybody may call `ring`.

    Cloud Tasks itself carries out each once more when it is due, which must do nothing.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    async def carry_out(self, timer: str, call: str, after: float = 0) -> None:
        """Carries out the task of this timer for a call `after` so many seconds, or as soon as
        there is one, until it is done. Raises TimeoutError."""
        await asyncio.sleep(after)
        async with asyncio.timeout(COLD_START_SECONDS), httpx.AsyncClient(trust_env=False) as http:
            while (task := self._of(timer, call)) is None:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(_POLL_SECONDS)
            request = task.http_request
            while not await _is_done(http, request):  # noqa: ASYNC110 - a retry waits
                await asyncio.sleep(_POLL_SECONDS)

    def _of(self, timer: str, call: str) -> types.Task | None:
        pending = self._stack.tasks.pending(queue(self._stack.project))
        return next((task for task in pending if _is_for(task, timer, call)), None)


async def _is_done(http: httpx.AsyncClient, request: types.HttpRequest) -> bool:
    answer = await http.post(request.url, content=request.body)
    return answer.is_success


def _is_for(task: types.Task, timer: str, call: str) -> bool:
    scheduled = decode(task.http_request.body)
    return isinstance(scheduled, _KINDS[timer]) and scheduled.call_id == call
