"""The benchmark: how long a cancel takes on this machine, and what a cold start loads."""

import asyncio
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping
from time import perf_counter

from rich import box
from rich.console import Console
from rich.table import Table

from functions.settings import FUNCTIONS
from infra import ROOT
from infra.client.calls import Calls
from infra.client.phone import phone
from infra.local.stack import Stack, passing_stack

_WARM_UP = 20  # calls that are not counted
_IMPORTS = 5  # processes for each function; the median counts


async def bench(count: int, google: bool = False) -> int:
    """Cancels `count` calls, one after the other, and prints the percentiles."""
    console = Console(highlight=False)
    imports = {function: await asyncio.to_thread(_import_ms, function) for function in FUNCTIONS}
    # One phone cancels them all, as fast as it is answered.
    async with passing_stack(google, FRAMES_PER_SECOND="100000") as stack:
        times = await _cancels(stack, count)
    emulators = "Google's emulators" if google else "the embedded services"
    console.print(f"\n{count} cancels on {emulators}, {machine()}\n")
    console.print(_latencies(times))
    console.print(_cold_starts(imports))
    return 0


async def _cancels(stack: Stack, count: int) -> Mapping[str, list[float]]:
    """Milliseconds from the send to the event on the socket, the verdict, and the FCM message."""
    times: dict[str, list[float]] = {"event": [], "verdict": [], "push": []}
    calls = Calls(stack.firestore, stack.project)
    async with (
        phone(stack.websocket, "USR_1", stack.project) as caller,
        phone(stack.websocket, "USR_2", stack.project) as receiver,
    ):
        await receiver.emit("device:register", token="fcm-token", platform="android")  # noqa: S106
        for number in range(_WARM_UP + count):
            call = f"CALL_{number}"
            await calls.ring(call, "USR_1", "USR_2")
            stack.fcm.clear()
            start = perf_counter()

            async def verdict(call: str = call) -> float:
                await caller.emit("call:cancel", callId=call)
                return perf_counter()

            async def push() -> float:
                await stack.fcm.wait_for(1)
                return perf_counter()

            answered, pushed, told = await asyncio.gather(
                verdict(), push(), receiver.told("call:cancelled")
            )
            if number >= _WARM_UP:
                times["event"].append((told["at"] - start) * 1000)
                times["verdict"].append((answered - start) * 1000)
                times["push"].append((pushed - start) * 1000)
    return times


def _import_ms(function: str) -> float:
    """The median time in which a fresh process imports what the function needs, in ms."""
    program = (
        "import time; start = time.perf_counter(); import functions_framework.aio; "
        f"import functions.{function}; print((time.perf_counter() - start) * 1000)"
    )
    runs = [
        subprocess.run(  # noqa: S603 - the program above
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
        for _ in range(_IMPORTS)
    ]
    return statistics.median(map(float, runs))


def _latencies(times: Mapping[str, list[float]]) -> Table:
    table = Table(box=box.ROUNDED, title="From the caller's send to …", title_style="bold")
    table.add_column("")
    for column in ("p50", "p90", "p99", "max"):
        table.add_column(column, justify="right")
    titles = {
        "event": "call:cancelled at the receiver",
        "verdict": "the verdict at the caller",
        "push": "call_cancelled at FCM",
    }
    for key, title in titles.items():
        cuts = statistics.quantiles(times[key], n=100, method="inclusive")
        figures = (cuts[49], cuts[89], cuts[98], max(times[key]))
        table.add_row(title, *(f"{figure:.1f} ms" for figure in figures))
    return table


def _cold_starts(imports: Mapping[str, float]) -> Table:
    table = Table(box=box.ROUNDED, title="Cold imports", title_style="bold")
    table.add_column("function")
    table.add_column("median", justify="right")
    for function, milliseconds in imports.items():
        table.add_row(function, f"{milliseconds:.0f} ms")
    return table


def machine() -> str:
    """What this ran on."""
    return f"{os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}"
