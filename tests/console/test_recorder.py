"""The recorder alone: what it takes, in which order, and what it survives."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from infra.emulators.watching import Answer, Seen, WatchedFaults
from infra.local.console import recorder
from infra.local.console.owners import Owners
from infra.local.console.reading import Words
from infra.local.console.recorder import Recorder
from infra.local.console.traces import Traces
from tests.console.makers import FRAME, frame

WAITING_LIMIT = 5


class Watching(logging.Handler):
    """A recorder of a stack without functions, what it tells, and what it logs."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = WatchedFaults()
        self.told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.ids = iter(range(1, 1_000_000))
        owners = Owners(dict[str, int], lambda: 0.0)
        traces = Traces(Words())
        self.recorder = Recorder(
            self.faults, owners, traces, lambda _: None, self._tell, WAITING_LIMIT
        )

    def see(self, text: str) -> None:
        """A frame that has been answered."""
        assert self.faults.watcher
        id = next(self.ids)
        answered = Answer("200")
        self.faults.watcher(
            Seen(id, FRAME, lambda: text, None, float(id), float(id), lambda: answered)
        )

    def see_unreadable(self) -> None:
        assert self.faults.watcher
        self.faults.watcher(Seen(next(self.ids), FRAME, _unreadable, None, 0.0))

    async def next(self, event: str) -> Any:
        while True:
            told, data = await self.told.get()
            if told == event:
                return data

    async def next_call(self) -> Any:
        return (await self.next("trace"))["call"]

    def emit(self, record: logging.LogRecord) -> None:
        self._tell("log", record.args)

    def _tell(self, event: str, data: Any) -> None:
        self.told.put_nowait((event, data))


def _unreadable() -> str:
    raise UnicodeError


@pytest.fixture
def watching() -> Iterator[Watching]:
    made = Watching()
    log = logging.getLogger(recorder.__name__)
    log.addHandler(made)
    with made.recorder:
        yield made
    log.removeHandler(made)


def cancel(call: str) -> str:
    return frame("call:cancel", callId=call)


async def test_calls_are_taken_in_their_order(watching: Watching) -> None:
    for number in range(WAITING_LIMIT):
        watching.see(cancel(f"C{number}"))
    assert [await watching.next_call() for _ in range(5)] == ["C0", "C1", "C2", "C3", "C4"]


async def test_a_call_that_can_not_be_read_is_logged_and_not_the_last(watching: Watching) -> None:
    watching.see_unreadable()
    watching.see(cancel("C1"))
    assert await watching.next("log") == (FRAME, 1)
    assert await watching.next_call() == "C1"
    watching.see(cancel("C2"))
    assert await watching.next_call() == "C2"


async def test_of_too_many_that_wait_the_oldest_are_left_out(watching: Watching) -> None:
    for number in range(WAITING_LIMIT + 3):
        watching.see(cancel(f"C{number}"))
    assert await watching.next_call() == "C3"
    assert await watching.next("log") == (3,)
