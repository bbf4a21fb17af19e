"""The comparison: cancels at random moments, to Unring and to its peer by turns."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from hdrh.histogram import HdrHistogram

from infra.bench.generator import Generator, Played, Server
from infra.bench.people import People, Pushes

TOLD, ANSWERED, PUSHED = "told", "answered", "pushed"
_LONGEST_US = 60_000_000
_DIGITS = 3  # of each latency, that count


@dataclass(frozen=True, slots=True)
class Round:
    """What one server made of the cancels of one round. Latencies are in microseconds from when a
    cancel was due, CPU in milliseconds a cancel."""

    latencies: Mapping[str, HdrHistogram]  # TOLD, ANSWERED and PUSHED
    cpu: Mapping[str, float]  # of each process
    cancels: int

    def latency(self, what: str, percentile: float) -> float:
        """In milliseconds; endless if nothing came."""
        if not self.latencies[what].get_total_count():
            return math.inf
        return float(self.latencies[what].get_value_at_percentile(percentile)) / 1000

    @property
    def cpu_in_all(self) -> float:
        return sum(self.cpu.values())

    @property
    def lost(self) -> int:
        """How many were not told, answered and pushed in time."""
        came = sum(int(each.get_total_count()) for each in self.latencies.values())
        return len(self.latencies) * self.cancels - came


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, and what it lies between."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Iterable[float]) -> "Spread":
        found = sorted(figures)
        return cls(median(found), found[0], found[-1])


async def compare(
    servers: Mapping[str, Server],
    people: People,
    pushes: Pushes,
    generator: Generator,
    *,
    rounds: int,
    rate: float,
    count: int,
) -> dict[str, list[Round]]:
    """Plays so many rounds, in each of them every server by turns with `count` cancels of its
    own. A round before them warms all up, and does not count."""
    played: dict[str, list[Round]] = {name: [] for name in servers}
    arriving = people.shown_by([*people.callers, *people.receivers])
    for number in range(1 + rounds):
        turns = list(servers)
        for name in turns if number % 2 == 0 else reversed(turns):
            cancels = await people.ring(rate, count)
            async with pushes.noted() as pushed_at:
                result = await generator.play(servers[name], arriving, cancels)
                await pushes.came(len(cancels))
            played[name].append(round_of(result, pushed_at))
    return {name: turned[1:] for name, turned in played.items()}


def round_of(result: Played, pushed_at: Mapping[str, float]) -> Round:
    timings = result.timings
    return Round(
        {
            TOLD: _histogram(each.told and each.told - each.due for each in timings),
            ANSWERED: _histogram(each.answered and each.answered - each.due for each in timings),
            PUSHED: _histogram(
                pushed_at[each.call] - each.due if each.call in pushed_at else None
                for each in timings
            ),
        },
        {name: seconds * 1000 / len(timings) for name, seconds in result.cpu.items()},
        len(timings),
    )


def _histogram(latencies: Iterable[float | None]) -> HdrHistogram:
    """Of latencies in seconds, in microseconds."""
    histogram = HdrHistogram(1, _LONGEST_US, _DIGITS)
    for latency in latencies:
        if latency is not None:
            histogram.record_value(max(1, round(latency * 1_000_000)))
    return histogram


def in_all(rounds: Sequence[Round], what: str) -> HdrHistogram:
    """The latencies of all rounds together."""
    histogram = HdrHistogram(1, _LONGEST_US, _DIGITS)
    for each in rounds:
        histogram.add(each.latencies[what])
    return histogram
