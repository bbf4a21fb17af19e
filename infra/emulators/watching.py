"""Every call that the services see, told to who watches: as it begins, and as it has ended.

To write down what was asked and answered takes longer than to serve it. So a call keeps it as it
is, and it becomes a text when somebody asks for it.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, TypeVar

import httpx
from starlette import responses

from infra.emulators.apigateway import http1
from infra.emulators.apigateway.integration import Reply
from infra.emulators.faults import Aborted, Broken, Fault, Faults, Peer

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: a gRPC status by its name ("OK") or an HTTP status ("200"), the response
    as text, and whether it is an error."""

    status: str
    text: str = ""
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A call, which `id` tells from all others; times are seconds since 1970."""

    id: int
    call: str
    text: Callable[[], str]  # of the request
    peer: str | None  # the address of who makes it, None if the service itself does
    began: float
    ended: float | None = None  # None: it has no answer yet
    answered: Callable[[], Answer] | None = None
    fault: Fault | None = None  # by which it was broken on demand

    @property
    def request(self) -> str:
        return self.text()

    @property
    def answer(self) -> Answer | None:
        return self.answered() if self.answered else None


class WatchedFaults(Faults):
    """Faults that tell a `watcher`, once there is one, of every call."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.watcher: Callable[[Seen], None] | None = None
        self._now = now
        self._ids = itertools.count(1)

    async def around(
        self,
        call: str,
        text: Callable[[], str],
        serve: Callable[[], Awaitable[_T]],
        peer: Peer | None = None,
    ) -> _T:
        if self.watcher is None:
            return await super().around(call, text, serve, peer)
        text = cache(text)
        seen = Seen(next(self._ids), call, text, peer() if peer else None, self._now())
        self._tell(seen)
        _broken_by.set(None)
        answered = partial(Answer, "CANCELLED", is_error=True)
        try:
            served = await super().around(call, text, serve, peer)
            answered = partial(_answer, served)
            return served
        except (Broken, Aborted) as error:
            answered = partial(Answer, error.code.name, str(error), is_error=True)
            raise
        except asyncio.CancelledError:
            raise
        except Exception as error:
            answered = partial(Answer, "no answer", str(error) or repr(error), is_error=True)
            raise
        finally:
            fault = _broken_by.get()
            self._tell(replace(seen, ended=self._now(), answered=cache(answered), fault=fault))

    async def _break(self, fault: Fault, serve: Callable[[], Awaitable[_T]]) -> _T:
        _broken_by.set(fault)
        return await super()._break(fault, serve)

    def _tell(self, seen: Seen) -> None:
        if self.watcher is not None:
            self.watcher(seen)


# Of the call that this task serves: the fault that it met.
_broken_by: ContextVar[Fault | None] = ContextVar("broken_by", default=None)


def _answer(served: Any) -> Answer:
    """What a service gave for a call, in whichever form it has answers."""
    match served:
        case None:
            return Answer("no answer", is_error=True)
        case int():
            return _of_http(served, "")
        case http1.Response(status=status, body=body) | Reply(status=status, body=body):
            return _of_http(status, body.decode(errors="replace"))
        case responses.Response(status_code=status, body=body):
            return _of_http(status, bytes(body).decode(errors="replace"))
        case httpx.Response(status_code=status):
            return _of_http(status, served.text)
        case list():
            return Answer("OK", "\n".join(map(str, served)))
        case _:
            return Answer("OK", str(served))


def _of_http(status: int, text: str) -> Answer:
    return Answer(str(int(status)), text, is_error=status >= httpx.codes.BAD_REQUEST)
