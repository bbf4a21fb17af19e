"""How the cost of a cancel grows with what there is: connections of a user, calls in the store,
sockets that are open."""

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

from infra.bench.generator import Generator, Server
from infra.bench.people import People
from infra.local.stack import Stack

CONNECTIONS, CALLS, SOCKETS = "connections of the receiver", "calls stored", "sockets open"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is, from little to much, and how many cancels are played at each size."""

    connections: Sequence[int] = (1, 2, 5, 10, 20)
    calls: Sequence[int] = (1_000, 10_000, 100_000)
    sockets: Sequence[int] = (10, 100, 500, 2_000)
    cancels: int = 300
    rate: float = 20.0


@dataclass(frozen=True, slots=True)
class Point:
    """What a cancel costs where there is so much of something: CPU of the functions, and the median
    until all phones of the receiver are told. In milliseconds."""

    of: str
    size: int
    cpu: float
    told: float
    lost: int  # cancels of which some phone was never told


class Growth:
    """Plays cancels between two users, among more and more of one thing."""

    def __init__(
        self, stack: Stack, server: Server, generator: Generator, sizes: Sizes, random: Random
    ) -> None:
        self._people = People(stack, 1, random)
        self._server = server
        self._generator = generator
        self._sizes = sizes
        self._stored = 0

    async def points(self) -> AsyncIterator[Point]:
        await self._people.register()
        # First, as all others leave calls behind.
        for size in self._sizes.calls:
            await self._store(size)
            yield await self._point(CALLS, size, self._people.receivers)
        for size in self._sizes.connections:
            yield await self._point(CONNECTIONS, size, self._people.receivers * size)
        for size in self._sizes.sockets:
            others = [f"OTHER_{number}" for number in range(size - 2)]
            yield await self._point(SOCKETS, size, [*self._people.receivers, *others])

    async def _point(self, of: str, size: int, connected: Sequence[str]) -> Point:
        cancels = await self._people.ring(self._sizes.rate, self._sizes.cancels)
        arriving = self._people.shown_by([*self._people.callers, *connected])
        played = await self._generator.play(self._server, arriving, cancels)
        told = [each.told - each.due for each in played.timings if each.told is not None]
        cpu = sum(played.cpu.values()) / len(cancels)
        until_told = median(told) if told else math.inf
        return Point(of, size, cpu * 1000, until_told * 1000, len(cancels) - len(told))

    async def _store(self, size: int) -> None:
        """Has so many calls that are over be in the store, also of these two."""
        (caller,), (receiver,) = self._people.callers, self._people.receivers
        numbers = range(self._stored, size)
        over = {f"OVER_{number}": (caller, receiver) for number in numbers}
        await self._people.store(over, "ended")
        self._stored = size
