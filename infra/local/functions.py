"""The deployed functions, unmodified, each in a functions-framework process of its own."""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Self

import httpx

from functions.settings import FUNCTIONS, variables_of
from infra import ROOT
from infra.emulators.processes import child, kill, reserved_port

_START_SECONDS = 60.0  # nine cold Python processes on two busy cores
_POLL_SECONDS = 0.05
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")  # of the environment that we were started with
_PORTS = 3  # tries, as another process may take the port where it can't be reserved


class NotStarted(Exception):
    """Some part of the stack did not come up; the message is for the person who started it."""


class Function:
    """The function `name` in a process of its own; an async context.

    Of `values` it gets the variables that it reads, as on Cloud Run. Unless they say it, its tasks
    go to itself.
    """

    def __init__(
        self, name: str, values: Mapping[str, str], logs: Path, *, source: Path = ROOT
    ) -> None:
        self._name = name
        self._values = values
        self._source = source
        self._log = logs / f"{name}.log"
        self._port = 0
        self._reserved = ExitStack()  # holds the port, also while the process is no more
        self._life = AsyncExitStack()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its base URL, the same after every start."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of its process, which runs."""
        assert self._process is not None  # noqa: S101 - it runs
        return self._process.pid

    async def start(self) -> None:
        """Returns once it answers. Raises NotStarted."""
        is_first = not self._port
        for tries_left in reversed(range(_PORTS)):
            if not self._port:
                self._port = self._reserved.enter_context(reserved_port())
            self._process = await self._life.enter_async_context(
                child(
                    self._command(),
                    self._environment(),
                    self._log,
                    self._source,
                    append=not is_first,
                )
            )
            reason = await _why_silent(self.url, self._process)
            if reason is None:
                return
            await self._end()
            if is_first:
                self._reserved.close()
                self._port = 0
            said = self._log.read_text(errors="replace")
            if not (tries_left and "already in use" in said.lower()):
                raise NotStarted(f"{self._name} did not start: {reason}.\n{said[-2000:]}".strip())

    async def stop(self) -> None:
        """Ends it in good order. Twice is no error."""
        await self._end()
        self._reserved.close()

    async def crash(self) -> None:
        """Ends it by SIGKILL, in the midst of whatever it is doing. The port stays its own."""
        if self._process is not None:
            kill(self._process)
        await self._end()

    async def replace(self, values: Mapping[str, str], source: Path = ROOT) -> None:
        """Goes on with other variables, or with other code, at the same URL."""
        await self._end()
        self._values, self._source = values, source
        await self.start()

    async def _end(self) -> None:
        self._process = None
        await self._life.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _command(self) -> list[str]:
        main = str(self._source / "main.py")
        framework = [sys.executable, "-m", "functions_framework", "--source", main]
        address = ["--host", "127.0.0.1", "--port", str(self._port)]
        return [*framework, "--target", self._name, *address]

    def _environment(self) -> dict[str, str]:
        values = {"TASKS_URL": self.url, **self._values}
        ours = {
            variable.name: values[variable.name]
            for variable in variables_of(FUNCTIONS[self._name]).values()
            if variable.name in values
        }
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        return {**kept, **ours, "PYTHONUNBUFFERED": "1"}


async def _why_silent(url: str, process: asyncio.subprocess.Process) -> str | None:
    """Waits until the function answers. If it never does, gives the reason."""
    failure = ""
    async with httpx.AsyncClient(trust_env=False) as http:
        for _ in range(int(_START_SECONDS / _POLL_SECONDS)):
            if process.returncode is not None:
                return f"its process ended with status {process.returncode}"
            try:
                # functions-framework answers this path itself, without calling the function.
                await http.get(f"{url}/robots.txt")
            except httpx.HTTPError as error:
                failure = repr(error)
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return None
    return f"it did not answer at {url} within {_START_SECONDS:.0f} seconds ({failure})"
