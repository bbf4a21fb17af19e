"""Watches the services' calls, and has them become traces and pushes."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from infra.emulators.watching import Seen, WatchedFaults
from infra.local.console.arrivals import push_in
from infra.local.console.live import Change
from infra.local.console.observed import Observed
from infra.local.console.owners import Owners
from infra.local.console.trace import shown, shown_span
from infra.local.console.traces import Traces

_PUSHES_LIMIT = 200
_LATER_SECONDS = 0.1  # by then, most of what a signal leads to is done
_WAITING_LIMIT = 10_000  # calls that are not looked at yet; of more, the oldest are left out
_READ_CHARACTERS = 200_000  # of a text: none of ours is longer, and to read more takes long

_log = logging.getLogger(__name__)

Tell = Callable[[str, Any], None]
Blame = Callable[[Seen], str | None]  # which switch broke a call


class Recorder:
    """Watches for as long as its context lasts; `tell` hears of every change."""

    def __init__(
        self,
        faults: WatchedFaults,
        owners: Owners,
        traces: Traces,
        blame: Blame,
        tell: Tell,
        waiting_limit: int = _WAITING_LIMIT,
    ) -> None:
        self._faults = faults
        self._owners = owners
        self._traces = traces
        self._blame = blame
        self._tell = tell
        self._pushes: deque[dict[str, Any]] = deque(maxlen=_PUSHES_LIMIT)
        self._waiting: deque[Seen] = deque(maxlen=waiting_limit)
        self._left_out = 0
        self._taking: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._faults.watcher = self._watch

    def __exit__(self, *_: object) -> None:
        self._faults.watcher = None
        if self._taking:
            self._taking.cancel()

    def snapshot(self) -> Iterator[Change]:
        for trace in reversed(list(self._traces.all())):
            yield "trace", shown(trace)
            yield from (("span", shown_span(trace, span)) for span in trace.spans.values())
        yield from (("push", push) for push in self._pushes)

    def _watch(self, seen: Seen) -> None:
        """Where every call enters, twice. It only waits here: the services work in this process,
        too, and would seem to take the time that it takes to find out what belongs together."""
        self._left_out += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(seen)
        if self._taking is None:
            self._taking = asyncio.create_task(self._take_all())

    async def _take_all(self) -> None:
        """Takes the calls in their order: what is delivered belongs to the trace that has published
        it. Each is taken once it is known who made it, or that nobody knows."""
        try:
            await asyncio.sleep(_LATER_SECONDS)
            while self._waiting:
                await self._take_one(self._waiting.popleft())
                await asyncio.sleep(0)  # the services come first
        finally:
            self._taking = None
            if self._left_out:
                _log.warning("The console left out %d calls: too many at once.", self._left_out)
            self._left_out = 0

    async def _take_one(self, seen: Seen) -> None:
        try:
            port = _port(seen.peer)
            self._take(seen, await self._owners.find(port) if port else None)
        except Exception:
            # Whatever a client sends is read here, and one call that can't be must not be the last.
            _log.exception("The console can't show the call %s %d.", seen.call, seen.id)

    def _take(self, seen: Seen, function: str | None) -> None:
        observed = _observed(seen, function, self._blame(seen) if seen.answer else None)
        if taken := self._traces.take(observed):
            self._tell("trace", shown(taken[0]))
            self._tell("span", shown_span(*taken))
        if push := push_in(observed):
            self._pushes.append(push)
            self._tell("push", push)


def _port(peer: str | None) -> int | None:
    port = (peer or "").rpartition(":")[2]
    return int(port) if port.isdecimal() else None


def _observed(seen: Seen, function: str | None, fault: str | None) -> Observed:
    answer = seen.answer
    return Observed(
        id=seen.id,
        call=seen.call,
        function=function,
        request=seen.request[:_READ_CHARACTERS],
        began=seen.began,
        ended=seen.ended,
        status=answer.status if answer else "",
        response=answer.text[:_READ_CHARACTERS] if answer else "",
        is_failed=bool(answer and answer.is_error),
        fault=fault,
    )
