"""Modules that a start does not wait for: they are loaded beside an instance's first request.

Whoever needs one imports it where he uses it, and has it then, whether or not that is earlier.
"""

import threading
from collections.abc import Awaitable, Callable
from functools import wraps
from importlib import import_module
from typing import TypeVar

_modules: list[str] = []

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


def load_later(module: str) -> None:
    """Has `module` loaded beside the first request, after those that were asked for earlier."""
    _modules.append(module)


def beside_the_first(
    handler: Callable[[_Request], Awaitable[_Response]],
) -> Callable[[_Request], Awaitable[_Response]]:
    """The same handler, which with its first request begins to load the modules in a thread.

    While that request waits for Firestore there is time for it. Earlier there is none: what starts
    is the process that forks the worker, and a thread would not come along.
    """
    waiting = list(_modules)

    @wraps(handler)
    async def beginning(request: _Request) -> _Response:
        if waiting:
            threading.Thread(target=_load, args=(waiting[:],), daemon=True).start()
            waiting.clear()
        return await handler(request)

    return beginning


def _load(modules: list[str]) -> None:
    for module in modules:
        import_module(module)
