"""The demo: cases of a signal and of a ring on the real stack, and a table of what came of them."""

import asyncio
import os
import sys

from rich import box
from rich.console import Console
from rich.table import Table

from infra.local.cases import CASES, play
from infra.local.played import Played
from infra.local.rings import GRACE_SECONDS, RINGS
from infra.local.stack import Stack, passing_stack


async def demo(google: bool = False) -> int:
    """Plays all cases and prints the table; 0 only if all of them hold."""
    console = Console(highlight=False)
    console.print("\nStarting seven functions and the clouds' services around them …")
    async with passing_stack(
        google,
        webhook_paths=("/unring",),
        IDENTITY="firebase,introspection",
        CALLER_GRACE_SECONDS=str(GRACE_SECONDS),  # no other case has a caller who vanishes
    ) as stack:
        played = await _all(stack)
    console.print(_table(played))
    failures = [result for result in played if result.wrong]
    for result in failures:
        title = " ".join(result.title.split())
        console.print(f"[red]{title}: {result.wrong}[/]")
    if not failures:
        console.print("[green]All cases hold.[/] Times run from the send to the arrival.\n")
        _say_where_to_look(console)
    return 1 if failures else 0


def _say_where_to_look(console: Console) -> None:
    python = os.path.relpath(sys.executable)
    console.print("Play it yourself, see each remote call, and break what you like: start this,")
    console.print("and open in your browser the first address that it prints.\n")
    console.print(f"   [cyan]{python} -m infra.local[/]\n")


async def _all(stack: Stack) -> list[Played]:
    """Plays one case after the other, while the long ones wait."""
    numbered = list(enumerate(RINGS, len(CASES) + 1))
    async with asyncio.TaskGroup() as beside:
        rings: dict[int, asyncio.Task[Played]] = {}
        for number, ring in numbered:
            if ring.is_long:
                has_begun = asyncio.Event()
                rings[number] = beside.create_task(ring.play(stack, number, has_begun))
                await has_begun.wait()
        played = [await play(case, stack, number) for number, case in enumerate(CASES, 1)]
        for number, ring in numbered:
            if not ring.is_long:
                rings[number] = beside.create_task(ring.play(stack, number, asyncio.Event()))
                await asyncio.wait([rings[number]])
    return played + [rings[number].result() for number, _ in numbered]


def _table(played: list[Played]) -> Table:
    table = Table(box=box.ROUNDED, title="What the other phone got", title_style="bold")
    for column in ("case", "got", "by"):
        table.add_column(column, no_wrap=True)
    table.add_column("after", justify="right")
    table.add_column("call")
    table.add_column()
    for result in played:
        arrivals = result.arrivals
        table.add_row(
            result.title,
            "\n".join(arrival.what for arrival in arrivals),
            "\n".join(arrival.channel for arrival in arrivals),
            "\n".join(_after(arrival.milliseconds) for arrival in arrivals),
            result.status,
            "[red]✗[/]" if result.wrong else "[green]✓[/]",
            end_section=True,
        )
    return table


def _after(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"
