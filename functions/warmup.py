"""A GET warms an instance up before its first frame: channels open, keys and credentials there."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import JSONResponse, Response

from functions.telemetry import Log

log = Log(__name__)


class WarmUp:
    """Runs its steps once in the life of an instance: anyone may ask, so asking must be cheap."""

    def __init__(self, *steps: Callable[[], Awaitable[None]]) -> None:
        self._steps = steps
        self._is_warm = False

    async def answer(self) -> Response:
        """200 once everything is open; 503 when something is not, and the next GET tries again."""
        if not self._is_warm:
            try:
                await asyncio.gather(*(step() for step in self._steps))
            except Exception:  # whichever service it was, the next event meets it again
                log.exception("warm-up failed")
                return JSONResponse({"message": "unavailable"}, status_code=503)
            self._is_warm = True
        return JSONResponse({"message": "warm"})
