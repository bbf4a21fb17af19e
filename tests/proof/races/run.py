"""All rounds of one race: those that are to be played, and what came of those that were."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from infra.client.https import Unreachable
from tests.proof.handset import Answer, Sender, say
from tests.proof.inbox import Push
from tests.proof.races.excuses import is_excused
from tests.proof.table import Row

PATIENCE, PAUSE_SECONDS = 20, 0.5  # where the gateway has more to do than it can just now
_ENOUGH = 20  # findings: more would say the same, and most wait out their patience


class Message(Protocol):
    """What somebody was told of a call, in any way."""

    @property
    def call(self) -> str: ...

    def __hash__(self) -> int: ...


_Message = TypeVar("_Message", bound=Message)
_NONE: Mapping[Any, int] = {}


async def answered(sender: Sender, signal: str, call: str, reason: str) -> Answer:
    """What `say` hears of a signal on `call`, said again while a busy machine can't see to it.
    Raises TimeoutError and Unreachable."""
    answer = await say(sender, signal, callId=call, reason=reason)
    for _ in range(PATIENCE):
        if answer[0]["outcome"] != "unavailable":
            break
        await asyncio.sleep(PAUSE_SECONDS)
        answer = (await say(sender, signal, callId=call, reason=reason))[0], True
    return answer


class WrongEnd(Exception):
    """A round ended in a way that it may not."""


@dataclass(slots=True)
class Run:
    """The rounds that are left, by their numbers, and what all the others came to."""

    row: Row
    logs: Path  # of the functions
    numbers: Iterator[int]
    wins: Counter[str] = field(default_factory=Counter)  # by how the round ended
    pushes: Counter[Push] = field(default_factory=Counter)  # that must be sent
    repeats: Counter[Push] = field(default_factory=Counter)  # how much oftener they may come
    late: int = 0  # rounds in which not all of them met, as one was late
    overtaken: int = 0  # phones that were told of the later event first
    not_caught_up: int = 0  # phones that missed something, for which there is an excuse
    not_left: int = 0  # rounds in which the caller seemed to stay, for which there is an excuse
    failed: set[str] = field(default_factory=set)  # calls of rounds without a proper end

    @property
    def is_over(self) -> bool:
        return len(self.row.findings) >= _ENOUGH

    @contextmanager
    def round(self, call: str) -> Iterator[None]:
        """Counts a round on `call`, and notes how it failed if it does."""
        self.row.tried += 1
        with self.part(call):
            yield

    @contextmanager
    def part(self, call: str) -> Iterator[None]:
        """Notes how a part of a round on `call` failed if it does."""
        try:
            yield
        except (TimeoutError, Unreachable) as error:
            self.row.lost += 1
            self._note(call, error)
        except WrongEnd as error:
            self.row.wrong += 1
            self._note(call, error)

    def compare(
        self,
        expected: Mapping[_Message, int],
        came: Mapping[_Message, int],
        repeats: Mapping[_Message, int] = _NONE,
    ) -> None:
        """Notes what was lost, came more than once, or was told to who should not have it. What may
        be repeated counts as duplicated, and is not wrong."""
        for message in expected.keys() - came.keys():
            if message.call not in self.failed:
                self.row.lost += 1
                self.row.findings.append(f"lost: {message}")
        self.allow(expected, came, repeats)

    def allow(
        self,
        allowed: Mapping[_Message, int],
        came: Mapping[_Message, int],
        repeats: Mapping[_Message, int] = _NONE,
    ) -> None:
        """The same of what need not have come."""
        for message in came.keys() - allowed.keys():
            if message.call not in self.failed:
                self.row.wrong += 1
                self.row.findings.append(f"told to who should not have it: {message}")
        for message, times in (Counter(came) - Counter(allowed)).items():
            if message in allowed:
                self.row.duplicated += times
                is_repeat = times <= repeats.get(message, 0)
                if not is_repeat and not is_excused(self.logs, message.call):
                    self.row.wrong += 1
                    self.row.findings.append(f"told again without need: {message}")

    def _note(self, call: str, error: Exception) -> None:
        self.failed.add(call)
        self.row.findings.append(f"{call}: {error}")
