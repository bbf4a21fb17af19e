"""The benchmark's tables."""

from collections.abc import Mapping, Sequence
from math import isfinite

from infra.bench.growth import Point
from infra.bench.model import CPU, Cpu
from infra.bench.rounds import ANSWERED, PUSHED, TOLD, Round, Spread
from infra.bench.tables import Table

PERCENTILES = (50, 99)
WHAT = {
    TOLD: "until told",
    ANSWERED: "until answered",
    PUSHED: "until FCM has it",
}
UNRING, PEER = "Unring", "Node"


def compared(played: Mapping[str, Sequence[Round]]) -> Table:
    """Each figure of each server, and where the peer ran the ratio of the two."""
    ratio = ["ratio"] if PEER in played else []
    return Table(
        "A cancel, in ms from when it was due: median of the rounds, and their spread",
        ("", *played, *ratio),
        (*_cpu_rows(played), *_latency_rows(played), _lost_row(played)),
    )


def _cpu_rows(played: Mapping[str, Sequence[Round]]) -> list[tuple[str, ...]]:
    ours = played[UNRING]
    blank = [""] * (len(played) - 1 + (PEER in played))
    shares = [
        (f"CPU of {name}", _cell([each.cpu[name] for each in ours]), *blank) for name in ours[0].cpu
    ]
    in_all = {name: [each.cpu_in_all for each in rounds] for name, rounds in played.items()}
    return [_row("CPU in all", in_all), *shares]


def _latency_rows(played: Mapping[str, Sequence[Round]]) -> list[tuple[str, ...]]:
    return [
        _row(
            f"{title}, p{percentile}",
            {
                name: [each.latency(what, percentile) for each in rounds]
                for name, rounds in played.items()
            },
        )
        for what, title in WHAT.items()
        for percentile in PERCENTILES
    ]


def _lost_row(played: Mapping[str, Sequence[Round]]) -> tuple[str, ...]:
    lost = [str(sum(each.lost for each in rounds)) for rounds in played.values()]
    return ("lost", *lost, *([""] if PEER in played else []))


def _row(title: str, figures: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    cells = [_cell(each) for each in figures.values()]
    if PEER not in figures:
        return (title, *cells)
    by_round = list(zip(figures[UNRING], figures[PEER], strict=True))
    if not all(theirs and isfinite(theirs) for _, theirs in by_round):
        return (title, *cells, "")
    ratio = Spread.of(ours / theirs for ours, theirs in by_round)
    return (title, *cells, f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})")


def _cell(milliseconds: Sequence[float]) -> str:
    spread = Spread.of(milliseconds)
    if not isfinite(spread.most):
        return "never"
    return f"{spread.median:.1f} ({spread.least:.1f} to {spread.most:.1f})"


def cpu_of(played: Mapping[str, Sequence[Round]]) -> Cpu:
    """What the models reckon with: medians, to a tenth of a millisecond; without the peer, what it
    took elsewhere."""

    def taken(server: str, process: str) -> float:
        return round(Spread.of(each.cpu[process] for each in played[server]).median, 1)

    ours = {name: taken(UNRING, name) for name in played[UNRING][0].cpu}
    return Cpu(**ours, peer=taken(PEER, "node") if PEER in played else CPU.peer)


def grown(points: Sequence[Point]) -> Table:
    return Table(
        "A cancel, in ms, among more and more of one thing",
        ("", "CPU of the functions", "until told, p50"),
        tuple(
            (f"{point.size:,} {point.of}", f"{point.cpu:.1f}", f"{point.told:.1f}")
            for point in points
        ),
    )


def imported(milliseconds: Mapping[str, float]) -> Table:
    return Table(
        "What a cold start imports, in ms: median",
        ("function", "median"),
        tuple((name, f"{each:.0f}") for name, each in milliseconds.items()),
    )
