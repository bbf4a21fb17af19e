"""The reply to a GET: opens channels and fetches keys before an instance's first request."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.inbound.http import Handler
from functions.telemetry import Log

_LIMIT_SECONDS = 10.0

log = Log(__name__)

Step = Callable[[], Awaitable[None]]


class WarmUp:
    """Runs its steps once in the life of an instance.

    Anybody may send a GET, so however many come, one attempt is under way at most.
    """

    def __init__(self, *steps: Step) -> None:
        self._steps = steps
        self._is_warm = False
        self._attempt: asyncio.Task[None] | None = None

    def on_get(self, handler: Handler) -> Handler:
        """The same handler, but a GET warms the instance up."""

        @wraps(handler)
        async def warming(request: Request) -> Response:
            if request.method == "GET":
                return await self.reply()
            return await handler(request)

        return warming

    async def reply(self) -> Response:
        """Replies 200 once all steps are done; 503 if one failed, and the next GET tries again."""
        if not self._is_warm:
            self._attempt = self._attempt or asyncio.create_task(self._run())
            await asyncio.shield(self._attempt)
        if not self._is_warm:
            return JSONResponse({"message": "unavailable"}, status_code=503)
        return JSONResponse({"message": "warm"})

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(_LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
                for step in self._steps:
                    tasks.create_task(_as_coroutine(step))
            self._is_warm = True
        except Exception:  # whatever failed, the instance can work: each call tries again by itself
            log.exception("warm-up failed")
        finally:
            self._attempt = None


async def _as_coroutine(step: Step) -> None:
    """Makes a coroutine of a step, as a task group takes nothing else."""
    await step()
