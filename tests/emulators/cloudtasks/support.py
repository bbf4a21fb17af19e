"""What the tests of the embedded Cloud Tasks share: names, and targets that note what comes."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tests.support.pace import PATIENCE_SECONDS

QUEUE = "projects/shop/locations/us-east1/queues/orders"
HANG = 0  # as an answer: none


def parent(queue: str) -> str:
    """Where a queue is created."""
    return queue.partition("/queues/")[0]


@dataclass(frozen=True)
class Came:
    """A request, as its target has it."""

    method: str
    name: str
    headers: dict[str, str]
    body: bytes


class Targets:
    """Targets at `url`/NAME; they give the planned answers in turn, then 200s."""

    def __init__(self) -> None:
        self.url = ""
        self.plan: list[int] = []
        self.came: list[Came] = []
        self._changed = asyncio.Event()

    def clear(self) -> None:
        self.plan.clear()
        self.came.clear()

    async def answer(self, request: Request) -> Response:
        name, headers = request.path_params["name"], dict(request.headers)
        self.came.append(Came(request.method, name, headers, await request.body()))
        self._changed.set()
        planned = self.plan.pop(0) if self.plan else 200
        if planned == HANG:
            await asyncio.Event().wait()
        return Response(status_code=planned)

    async def wait_for(self, count: int) -> list[Came]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.came) < count:
                self._changed.clear()
                await self._changed.wait()
        return list(self.came)
