"""Cloud Scheduler: calls a function again and again, whatever it answers."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta

import httpx

_ATTEMPT_SECONDS = 180


class Scheduler:
    """POSTs to `url` once `every` so often, for as long as its context lasts.

    `headers` is asked for what each request has to show.
    """

    def __init__(
        self, url: str, every: timedelta, headers: Callable[[], Mapping[str, str]]
    ) -> None:
        self._url = url
        self._every = every.total_seconds()
        self._headers = headers

    def __enter__(self) -> None:
        self._task = asyncio.create_task(self._run())

    def __exit__(self, *_: object) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        async with httpx.AsyncClient(timeout=_ATTEMPT_SECONDS, trust_env=False) as http:
            began = now()
            while True:
                # What came due during a long call is not caught up with.
                await asyncio.sleep(self._every - (now() - began) % self._every)
                with suppress(httpx.HTTPError):  # the function's log has it; the next call is due
                    await http.post(self._url, headers=self._headers())
