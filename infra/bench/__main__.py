"""The command line: `python -m infra.bench` measures, prints, and draws."""

import argparse
import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from rich.console import Console

from functions.settings import FUNCTIONS
from infra import ROOT
from infra.bench import model, peer, plots, prices, report
from infra.bench.generator import Generator, Server, generator
from infra.bench.growth import Growth, Point, Sizes
from infra.bench.imports import import_ms
from infra.bench.people import People, Pushes
from infra.bench.rounds import Round, compare
from infra.bench.tables import show
from infra.local.stack import Stack, passing_stack
from infra.loopback import spare_loopback
from infra.machine import machine
from infra.node import NodeUnavailable

_COUNTED = ("gateway", "deliver", "push")  # the functions that a cancel runs
_PAIRS = 20  # of callers and receivers
_SEED = 20251121  # of the moments at which cancels come


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    seconds: int = 20  # of each server in each round
    rate: float = 20.0  # cancels a second
    processes: int = 7  # that import a function
    functions: Sequence[str] = tuple(FUNCTIONS)
    sizes: Sizes = field(default_factory=Sizes)


_IN_A_MINUTE = Plan(
    rounds=3,
    seconds=4,
    processes=3,
    functions=("gateway",),
    sizes=Sizes(connections=(1, 20), sockets=(10, 200), calls=(1_000, 5_000), cancels=60),
)


def main() -> int:
    # Read when gRPC is first imported; without it, every channel that closes says so.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    spare_loopback(os.environ)
    parser = argparse.ArgumentParser(prog="python -m infra.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="in a minute, and less exactly")
    parser.add_argument("--google", action="store_true", help="on Google's emulators")
    parser.add_argument(
        "--out", type=Path, default=ROOT / ".unring" / "bench", help="the pictures' folder"
    )
    arguments = parser.parse_args()
    plan = _IN_A_MINUTE if arguments.quick else Plan()
    try:
        return asyncio.run(_bench(plan, arguments.out, google=arguments.google))
    except KeyboardInterrupt:
        return 130


async def _bench(plan: Plan, out: Path, *, google: bool) -> int:
    console = Console(highlight=False)
    console.print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}")
    with console.status("Importing the functions …"):
        imports = {
            name: await asyncio.to_thread(import_ms, name, plan.processes)
            for name in plan.functions
        }
    show([report.imported(imports)], markdown=False)
    played, points = await _played(plan, console, google=google)
    cpu = report.cpu_of(played)
    modelled = model.brackets(cpu)
    show([model.results(modelled), prices.compared(prices.offers(cpu))], markdown=False)
    for file in await asyncio.to_thread(plots.draw, out, played, points, modelled):
        console.print(f"drawn: {file}", soft_wrap=True)
    lost = sum(each.lost for rounds in played.values() for each in rounds)
    return 1 if lost else 0


async def _played(
    plan: Plan, console: Console, *, google: bool
) -> tuple[Mapping[str, Sequence[Round]], Sequence[Point]]:
    random = Random(_SEED)  # noqa: S311 - nobody is to guess it
    with generator() as generated:
        async with passing_stack(google) as stack, AsyncExitStack() as parts:
            processes = {name: stack.processes[name].pid for name in _COUNTED}
            servers = {report.UNRING: Server(stack.socketio, processes)}
            try:
                servers[report.PEER] = await parts.enter_async_context(peer.running(stack))
            except NodeUnavailable as error:
                console.print(f"[yellow]Without the peer: {error}[/yellow]")
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
            points = await _grown(plan, stack, generated, random, console)
    return played, points


async def _grown(
    plan: Plan, stack: Stack, generated: Generator, random: Random, console: Console
) -> list[Point]:
    processes = {name: stack.processes[name].pid for name in _COUNTED}
    server = Server(stack.websocket, processes, speaks_socketio=False)
    growth = Growth(stack, server, generated, plan.sizes, random)
    points = []
    with console.status("Growing …") as status:
        async for point in growth.points():
            points.append(point)
            status.update(f"Growing: {point.size:,} {point.of} …")
    show([report.grown(points)], markdown=False)
    return points


if __name__ == "__main__":
    raise SystemExit(main())
