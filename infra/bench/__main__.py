"""The command line: `python -m infra.bench` measures, prints, and draws."""

import argparse
import asyncio
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

import psutil
from rich.console import Console

from functions.settings import FUNCTIONS
from infra import ROOT
from infra.bench import model, peer, plots, prices, report
from infra.bench.generator import Generator, Server, generator
from infra.bench.growth import Growth, Point, Sizes
from infra.bench.imports import import_ms
from infra.bench.people import People, Pushes
from infra.bench.rounds import Round, compare
from infra.bench.tables import Table, put_into_docs, show
from infra.local.functions import NotStarted
from infra.local.stack import Stack, passing_stack
from infra.loopback import spare_loopback
from infra.machine import machine
from infra.node import NodeUnavailable

_COUNTED = ("gateway", "deliver", "push")  # the functions that a cancel runs
_PAIRS = 20  # of callers and receivers
_SEED = 20251121  # of the moments at which cancels come
_FILES = 8_192  # that may be open
_PICTURES = ROOT / ".unring" / "bench"  # git ignores it
_DOCS = ROOT / "docs" / "performance"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    seconds: int = 20  # of each server in each round
    rate: float = 20.0  # cancels a second
    processes: int = 7  # that import a function
    functions: Sequence[str] = tuple(FUNCTIONS)
    sizes: Sizes = field(default_factory=Sizes)


_QUICK = Plan(
    rounds=2,
    seconds=4,
    processes=3,
    functions=("gateway",),
    sizes=Sizes(connections=(1, 20), sockets=(10, 100), calls=(1_000, 5_000), cancels=40),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of all."""

    imports: Mapping[str, float]  # milliseconds, by function
    played: Mapping[str, Sequence[Round]]  # by server
    points: Sequence[Point]

    @property
    def lost(self) -> int:
        """How many cancels somebody was never told of, or never pushed, or not answered."""
        lost = sum(each.lost for rounds in self.played.values() for each in rounds)
        return lost + sum(point.lost for point in self.points)

    def tables(self) -> list[Table]:
        return [
            report.imported(self.imports),
            report.compared(self.played),
            report.grown(self.points),
        ]


def main() -> int:
    # Read when gRPC is first imported; without it, every channel that closes says so.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    spare_loopback(os.environ)
    _open_more_files()
    parser = argparse.ArgumentParser(prog="python -m infra.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="in a minute, and less exactly")
    parser.add_argument("--google", action="store_true", help="on Google's emulators")
    parser.add_argument(
        "--update", action="store_true", help="put tables and pictures into docs/performance.md"
    )
    given = parser.parse_args()
    try:
        measured = asyncio.run(_measured(_QUICK if given.quick else Plan(), google=given.google))
    except KeyboardInterrupt:
        return 130
    except (NotStarted, NodeUnavailable) as error:
        print(error, file=sys.stderr)
        return 1
    except psutil.NoSuchProcess as error:
        print(f"One of the processes that are measured has ended: {error}", file=sys.stderr)
        return 1
    _put_out(measured, update=given.update)
    return 1 if measured.lost else 0


def _open_more_files() -> None:
    """Of each socket that is open, both ends are on this machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _FILES:
        most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _put_out(measured: Measured, *, update: bool) -> None:
    """Prints what the models make of it, and draws all; or puts everything into the docs."""
    cpu = report.cpu_of(measured.played)
    modelled = model.brackets(cpu)
    show([model.results(modelled), prices.compared(prices.offers(cpu))], markdown=False)
    if report.PEER not in measured.played:
        print(f"Of the Node server, {cpu.peer:g} ms of CPU were assumed.")
    folder = _DOCS if update else _PICTURES
    for file in plots.draw(folder, measured.played, measured.points, modelled):
        print(f"drawn: {file.relative_to(ROOT)}")
    if update:
        put_into_docs(measured.tables())
        for each in (model, prices):
            each.main([*cpu.as_options(), "--update"])


async def _measured(plan: Plan, *, google: bool) -> Measured:
    console = Console(highlight=False)
    console.print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}")
    with console.status("Importing the functions …"):
        imports = {
            name: await asyncio.to_thread(import_ms, name, plan.processes)
            for name in plan.functions
        }
    show([report.imported(imports)], markdown=False)
    random = Random(_SEED)  # noqa: S311 - nobody is to guess it
    with generator() as generated:
        async with _stack(google) as stack:
            played = await _compared(plan, stack, generated, random, console)
        # Another, as what is stored is to be known.
        async with _stack(google) as stack:
            points = await _grown(plan, stack, generated, random, console)
    return Measured(imports, played, points)


def _stack(google: bool) -> AbstractAsyncContextManager[Stack]:
    """One that lets a single phone cancel as fast as all together do."""
    return passing_stack(google, FRAMES_PER_SECOND="1000")


async def _compared(
    plan: Plan, stack: Stack, generated: Generator, random: Random, console: Console
) -> Mapping[str, Sequence[Round]]:
    async with AsyncExitStack() as parts:
        servers = {report.UNRING: Server(stack.socketio, _pids(stack))}
        try:
            servers[report.PEER] = await parts.enter_async_context(peer.running(stack))
        except NodeUnavailable as error:
            if os.environ.get("UNRING_REQUIRE_ALL"):
                raise
            console.print(f"Without the peer: {error}", style="yellow", markup=False)
        people = People(stack, _PAIRS, random)
        await people.register()
        with console.status("Cancelling, by turns …"):
            played = await compare(
                servers,
                people,
                Pushes(stack),
                generated,
                rounds=plan.rounds,
                rate=plan.rate,
                count=round(plan.seconds * plan.rate),
            )
    show([report.compared(played)], markdown=False)
    return played


async def _grown(
    plan: Plan, stack: Stack, generated: Generator, random: Random, console: Console
) -> list[Point]:
    server = Server(stack.websocket, _pids(stack), speaks_socketio=False)
    growth = Growth(stack, server, generated, plan.sizes, random)
    points = []
    with console.status("Growing …") as status:
        async for point in growth.points():
            points.append(point)
            status.update(f"Growing: {point.size:,} {point.of} …")
    show([report.grown(points)], markdown=False)
    return points


def _pids(stack: Stack) -> dict[str, int]:
    return {name: stack.processes[name].pid for name in _COUNTED}


if __name__ == "__main__":
    raise SystemExit(main())
