"""Modules that a start does not wait for: they are loaded beside an instance's first request.

Whoever needs one imports it where he uses it, and has it then, whether or not that is earlier.
"""

import gc
import threading
from collections.abc import Awaitable, Callable
from functools import wraps
from importlib import import_module
from typing import TypeVar

from functions.telemetry import Log

THREAD = "loads later"

_modules: list[str] = []

log = Log(__name__)

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
            load = threading.Thread(target=_load, args=(waiting[:],), name=THREAD, daemon=True)
            load.start()
            waiting.clear()
        return await handler(request)

    return beginning


def _load(modules: list[str]) -> None:
    for module in modules:
        try:
            import_module(module)
        except Exception:  # whoever needs it is told so himself
            log.exception("module not loaded", module=module)
    gc.freeze()  # as of what was loaded before, there is no garbage to be looked for in it
