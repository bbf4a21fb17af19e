"""Cloud Scheduler: calls an HTTP target again and again, whatever it answers."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta

import httpx

from infra.emulators.faults import Broken, Faults

_ATTEMPT_SECONDS = 180


class Scheduler:
    """POSTs to `url` once `every` so often, for as long as its context lasts.

    `headers` is asked for what each request has to show. `faults` sees each as the call "job.J", of
    the `job` J.
    """

    def __init__(
        self,
        url: str,
        every: timedelta,
        headers: Callable[[], Mapping[str, str]],
        *,
        job: str = "job",
        faults: Faults | None = None,
    ) -> None:
        self._url = url
        self._every = every.total_seconds()
        self._headers = headers
        self._call = f"job.{job}"
        self._faults = faults or Faults()

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
                    await self._post(http)

    async def run_now(self) -> None:
        """One call more, as `gcloud scheduler jobs run` makes it. Raises httpx.HTTPError."""
        async with httpx.AsyncClient(timeout=_ATTEMPT_SECONDS, trust_env=False) as http:
            await self._post(http)

    async def _post(self, http: httpx.AsyncClient) -> None:
        async def post() -> httpx.Response:
            return await http.post(self._url, headers=self._headers())

        with suppress(Broken):
            await self._faults.around(self._call, lambda: f"POST {self._url}", post)
