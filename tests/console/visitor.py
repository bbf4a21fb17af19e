"""Who asks the console as its page does, and hears what is told live."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.pace import PATIENCE_SECONDS

Heard = tuple[str, Any]


class Visitor:
    """Asks the console at a URL."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    async def switch(self, name: str, *, on: bool, **more: str) -> Any:
        answer = await self.http.post(f"/api/faults/{name}", json={"on": on, **more})
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    @asynccontextmanager
    async def broken(self, name: str, **more: str) -> AsyncIterator[Any]:
        """By a switch, for as long as the block lasts."""
        try:
            yield await self.switch(name, on=True, **more)
        finally:
            await self.switch(name, on=False)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Live"]:
        async with self.http.stream("GET", "/api/live") as answer:
            live = Live(answer)
            try:
                yield live
            finally:
                await live.stop()

    async def trace(self, about: str, event: str) -> dict[str, Any]:
        """The newest trace of an event that is about a call, with its spans."""
        found = await self.get(f"/api/traces?about={about}")
        id = next(each["id"] for each in found["traces"] if each["event"] == event)
        trace: dict[str, Any] = await self.get(f"/api/traces/{id}")
        return trace


class Live:
    """What was told live so far."""

    def __init__(self, answer: httpx.Response) -> None:
        self.heard: list[Heard] = []
        self._answer = answer
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def until(self, event: str, holds: Callable[[Any], bool] = lambda _: True) -> Any:
        """The data of the first such event that `holds`."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                self._changed.clear()
                for name, data in self.heard:
                    if name == event and holds(data):
                        return data
                await self._changed.wait()

    def all(self, event: str) -> list[Any]:
        return [data for name, data in self.heard if name == event]

    async def stop(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        name = ""
        async for line in self._answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                self.heard.append((name, json.loads(line.removeprefix("data: "))))
                self._changed.set()


@asynccontextmanager
async def visitor(url: str) -> AsyncIterator[Visitor]:
    async with httpx.AsyncClient(base_url=url, timeout=60.0, trust_env=False) as http:
        yield Visitor(http)
