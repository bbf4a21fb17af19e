"""What everybody in a schedule has in common: the time, the dice and the trace."""

from asyncio import TimerHandle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from tests.memory.clock import PlayedTime


@dataclass(eq=False)
class Stage:
    seed: int
    loop: PlayedTime
    dice: Random
    trace: list[tuple[object, ...]] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)  # when `sweep` has looked for what waits
    _numbers: int = 0

    @property
    def now(self) -> float:
        return self.loop.time()

    def number(self) -> int:
        """Another one each time."""
        self._numbers += 1
        return self._numbers

    def later(self, seconds: float, do: Callable[[], object]) -> TimerHandle:
        return self.loop.call_later(seconds, do)

    def chance(self, probability: float) -> bool:
        return self.dice.random() < probability

    def hop(self) -> float:
        """Seconds of one way through a network that is well: milliseconds as a rule, and now and
        then so long that others overtake."""
        roll = self.dice.random()
        return 0.0005 + roll * 0.012 if roll < 0.93 else (roll - 0.93) * 2.6

    def say(self, *words: object) -> None:
        """A line of the trace."""
        self.trace.append((self.loop.time(), *words))

    def lines(self, *about: str) -> Iterator[str]:
        """The trace; or of it those lines that name something of what it is `about`."""
        for at, *words in self.trace:
            line = f"{at:9.4f}  {' '.join(map(str, words))}"
            if not about or any(name in line for name in about):
                yield line
