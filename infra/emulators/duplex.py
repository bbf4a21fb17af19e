"""RPCs in which both sides stream: what is heard and what is said go on side by side."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def until_heard(
    hearing: Coroutine[Any, Any, None], saying: AsyncIterator[_T]
) -> AsyncGenerator[_T, None]:
    """Yield what is said, which never ends by itself, until all is heard; raises what both raise.

    What was ready to be said when the last was heard, or was refused, is said before the end.
    """
    heard = asyncio.create_task(hearing)
    tasks: list[asyncio.Future[Any]] = [heard]
    try:
        while True:
            said = asyncio.ensure_future(anext(saying))
            tasks = [heard, said]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not said.done():
                break
            yield said.result()
        heard.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
