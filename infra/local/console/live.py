"""What changes, told to every page that listens, as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

Change = tuple[str, Any]  # the event's name, and its data, which becomes JSON

_BEGIN = "begin"
_KEEP_ALIVE_SECONDS = 15.0
# A page that leaves so many changes unread is sent away. It comes back by itself, to a snapshot.
_WAITING_LIMIT = 5000
# A browser has six connections to one address, so this is enough for the pages of two, and for
# some programs. Each is told everything, which takes time of the process that the services share.
LISTENERS_LIMIT = 16


class Live:
    """The pages that listen. Each is first told all there is, and then what changes."""

    def __init__(self, snapshot: Callable[[], Iterable[Change]]) -> None:
        """`snapshot` is all there is, as changes."""
        self._snapshot = snapshot
        self._listening: set[asyncio.Queue[Change | None]] = set()
        self._is_closed = False

    @property
    def is_full(self) -> bool:
        return self._is_closed or len(self._listening) >= LISTENERS_LIMIT

    def tell(self, event: str, data: Any) -> None:
        for queue in tuple(self._listening):
            if queue.qsize() < _WAITING_LIMIT:
                queue.put_nowait((event, data))
            else:
                self._end(queue)

    def close(self) -> None:
        """Ends every stream."""
        self._is_closed = True
        for queue in tuple(self._listening):
            self._end(queue)

    async def stream(self) -> AsyncIterator[str]:
        """The stream of one page, until it is closed."""
        queue: asyncio.Queue[Change | None] = asyncio.Queue()
        first = [(_BEGIN, {}), *self._snapshot()]
        self._listening.add(queue)
        try:
            for event, data in first:
                yield _written(event, data)
            while True:
                try:
                    async with asyncio.timeout(_KEEP_ALIVE_SECONDS):
                        change = await queue.get()
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if change is None:
                    return
                yield _written(*change)
        finally:
            self._listening.discard(queue)

    def _end(self, queue: asyncio.Queue[Change | None]) -> None:
        self._listening.discard(queue)
        while not queue.empty():  # nobody may ever read it
            queue.get_nowait()
        queue.put_nowait(None)


def _written(event: str, data: Any) -> str:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n"
