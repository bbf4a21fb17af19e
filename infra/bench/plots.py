"""The benchmark's pictures, as PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from infra.bench.growth import CALLS, CONNECTIONS, SOCKETS, Point
from infra.bench.model import PROMISE_MS, Bracket, drawn
from infra.bench.report import PEER, UNRING
from infra.bench.rounds import PUSHED, TOLD, Round, Spread, in_all

_COLOURS = {UNRING: "#1f6feb", PEER: "#d98c00"}
_SHARES = ("#1f6feb", "#58a6ff", "#a5d0ff")  # of gateway, deliver and push
_DRAWS = 4_000  # of each curve of the model
_PERCENTILES = (0, 50, 90, 99, 99.9)
_STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.alpha": 0.3,
}


def draw(
    folder: Path,
    played: Mapping[str, Sequence[Round]],
    points: Sequence[Point],
    modelled: Sequence[Bracket],
) -> list[Path]:
    """Draws what was measured, and what the model makes of it, into `folder`; gives the files."""
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(_STYLE):
        pictures = {
            "latency": _latencies(played),
            "cpu": _cpu(played),
            "growth": _growth(points),
            "cloud": _cloud(modelled),
        }
        files = [folder / f"{name}.png" for name in pictures]
        for file, figure in zip(files, pictures.values(), strict=True):
            # Without the version that drew it, the same figures give the same file.
            figure.savefig(file, dpi=110, metadata={"Software": None})
    return files


def _latencies(played: Mapping[str, Sequence[Round]]) -> Figure:
    """By percentile, on a scale on which each nine has the same width."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    titles = {TOLD: "To the receiver's socket", PUSHED: "To FCM"}
    for axes, (what, title) in zip(figure.subplots(1, 2, sharey=True), titles.items(), strict=True):
        for name, rounds in played.items():
            histogram = in_all(rounds, what)
            percents = [each / 10 for each in range(1000)]
            nines = [1 / (1 - percent / 100) for percent in percents]
            times = [histogram.get_value_at_percentile(percent) / 1000 for percent in percents]
            axes.plot(nines, times, label=name, color=_COLOURS[name])
        axes.set_xscale("log")
        axes.set_xticks([1 / (1 - each / 100) for each in _PERCENTILES], _percents())
        axes.minorticks_off()
        axes.set_title(title)
        axes.set_xlabel("percentile")
    figure.axes[0].set_ylabel("ms from when it was due")
    figure.axes[0].set_ylim(bottom=0)
    figure.axes[0].legend(frameon=False)
    return figure


def _percents() -> list[str]:
    return [f"{each:g} %" for each in _PERCENTILES]


def _cpu(played: Mapping[str, Sequence[Round]]) -> Figure:
    """One bar for each server, of its processes' shares."""
    figure = Figure(figsize=(8, 0.6 + 0.6 * len(played)), layout="constrained")
    axes = figure.subplots()
    for name, rounds in reversed(list(played.items())):
        left = 0.0
        colours = _SHARES if name == UNRING else [_COLOURS[name]]
        for process, colour in zip(rounds[0].cpu, colours, strict=True):
            share = Spread.of(each.cpu[process] for each in rounds).median
            bar = axes.barh(name, share, left=left, color=colour)
            axes.bar_label(bar, [f"{process} {share:.1f}"], label_type="center")
            left += share
    axes.set_xlabel("ms of CPU a cancel")
    axes.grid(axis="y", visible=False)
    return figure


def _growth(points: Sequence[Point]) -> Figure:
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    whats = (CONNECTIONS, SOCKETS, CALLS)
    for axes, what in zip(figure.subplots(1, 3, sharey=True), whats, strict=True):
        of_it = [point for point in points if point.of == what]
        sizes = [point.size for point in of_it]
        axes.plot(sizes, [point.cpu for point in of_it], "o-", label="CPU of the functions")
        axes.plot(sizes, [point.told for point in of_it], "s--", label="to the receiver, p50")
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel(what)
    figure.axes[0].set_ylabel("ms a cancel")
    figure.axes[0].set_ylim(bottom=0)
    figure.axes[0].legend(frameon=False)
    return figure


def _cloud(modelled: Sequence[Bracket]) -> Figure:
    """Which share of the receivers is told by when."""
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    for axes, bracket in zip(figure.subplots(1, len(modelled), sharey=True), modelled, strict=True):
        for way in bracket.ways:
            times = sorted(drawn(way.told, _DRAWS))
            shares = [number / len(times) for number in range(1, len(times) + 1)]
            axes.plot(times, shares, label=way.name)
        axes.axvline(PROMISE_MS, color="black", linewidth=0.8, linestyle=":")
        axes.set_xlim(0, 500)
        axes.set_title(bracket.name)
        axes.set_xlabel("ms, by the model")
    figure.axes[0].set_ylabel("share that is told")
    figure.axes[0].yaxis.set_major_formatter(PercentFormatter(1))
    figure.axes[-1].legend(frameon=False)
    return figure
