"""The deployed functions, unmodified, each in a functions-framework process of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from functions.settings import variables_of
from infra.local.processes import child, free_port

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0  # eight cold Python processes on two busy cores
_POLL_SECONDS = 0.05
_PORTS = 3  # tries, as another process may take a free port before ours does


class NotStarted(Exception):
    """Some part of the stack did not come up; the message is for the person who started it."""


@asynccontextmanager
async def function(
    name: str, values: Mapping[str, str], logs: Path, port: int = 0
) -> AsyncIterator[str]:
    """Runs the function `name`; gives its base URL once it answers.

    Of `values` it gets the variables that it reads, as on Cloud Run. Raises NotStarted.
    """
    log = logs / f"{name}.log"
    for tries_left in reversed(range(1 if port else _PORTS)):
        listening = port or free_port()
        url = f"http://127.0.0.1:{listening}"
        async with child(
            _command(name, listening), _environment(name, values), log, ROOT
        ) as process:
            if await _answers(url, process):
                yield url
                return
        if not (tries_left and "already in use" in log.read_text(errors="replace").lower()):
            raise NotStarted(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _command(name: str, port: int) -> list[str]:
    framework = [sys.executable, "-m", "functions_framework", "--source", str(ROOT / "main.py")]
    return [*framework, "--target", name, "--host", "127.0.0.1", "--port", str(port)]


def _environment(name: str, values: Mapping[str, str]) -> dict[str, str]:
    ours = {
        variable.name: values[variable.name]
        for variable in variables_of(name)
        if variable.name in values
    }
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    return {**kept, **ours, "PYTHONUNBUFFERED": "1"}


async def _answers(url: str, process: asyncio.subprocess.Process) -> bool:
    """Waits until the function answers; False when its process ended first, or time ran out."""
    async with httpx.AsyncClient() as http:
        for _ in range(int(_START_SECONDS / _POLL_SECONDS)):
            if process.returncode is not None:
                return False
            try:
                # functions-framework answers this path itself, without calling the function.
                await http.get(f"{url}/robots.txt")
            except httpx.HTTPError:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return True
    return False
