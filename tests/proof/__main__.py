"""Runs the whole proof and prints its table: `python -m tests.proof`, or `make proof`."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from infra.client.flows import CANCEL, REJECT
from infra.emulators import google
from infra.local.functions import NotStarted
from infra.local.signals import run
from infra.local.stack import Options, Stack, running
from infra.loopback import spare_loopback
from tests.proof import table
from tests.proof.bad_input import run as bad_input
from tests.proof.faults import ends, matrix, variant, variants, wanted
from tests.proof.faults.logs import tracebacks
from tests.proof.faults.ringing import matrix as rings
from tests.proof.faults.variant import Variant
from tests.proof.handshake import run as handshake
from tests.proof.handshake.case import PYTHON
from tests.proof.handshake.case import cases as every_handshake
from tests.proof.handshake.variants import VARIANTS as HANDSHAKE_VARIANTS
from tests.proof.hostile.run import run as hostile
from tests.proof.races import meeting
from tests.proof.races.machine import run_model
from tests.proof.races.rounds import Against, run_rounds
from tests.proof.table import Row
from tests.support import node

_PARTS = ("faults", "rings", "handshake", "races", "bad-input", "hostile-input")
_BAD_INPUTS = 100_000
_ROUNDS = {Against.CANCEL: 2_000, Against.BACKEND: 500, Against.TIME: 500, Against.ALL: 5_000}
_ROUNDS_ON_GOOGLES = {**_ROUNDS, Against.ALL: 1_000}  # whose emulator takes longer for all
# Rounds of which most is waiting for the ring's end are played more at a time.
_AT_ONCE = {**dict.fromkeys(Against, 8), Against.ALL: 28}
_EXAMPLES, _STEPS = 100, 30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    seed = int(time.time())
    parser.add_argument("--seed", type=int, default=seed, help="of bad input; else the time")
    parser.add_argument("--only", choices=_PARTS, help="one part of it")
    parser.add_argument("--markdown", action="store_true", help="print the table for the docs")
    arguments = parser.parse_args()
    spare_loopback(os.environ)
    parts = [arguments.only] if arguments.only else _PARTS
    return run(_prove(parts, arguments.seed, markdown=arguments.markdown))


async def _prove(parts: Sequence[str], seed: int, *, markdown: bool) -> int:
    console = Console(stderr=markdown)
    proof = _Proof(console)
    try:
        for part in parts:
            match part:
                case "faults":
                    await _faults(proof)
                case "rings":
                    await _rings(proof)
                case "handshake":
                    await _handshake(proof)
                case "races":
                    await _races(proof, on_google=False)
                    await _races(proof, on_google=True)
                case "bad-input":
                    await _bad_input(proof, seed)
                case _:
                    await proof.part("hostile input", hostile())
    except NotStarted as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 1
    if markdown:
        print(table.markdown(proof.rows))
        table.show_findings(proof.rows, console)
    else:
        table.show(proof.rows, console)
    if not all(row.holds for row in proof.rows):
        return 1
    console.print(f"Nothing lost and nothing wrong, in {proof.seconds / 60:.0f} minutes.")
    return 0


class _Proof:
    """The rows so far, and what is said meanwhile."""

    def __init__(self, console: Console) -> None:
        self.rows: list[Row] = []
        self._console = console
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False)

    async def part(self, title: str, work: Awaitable[list[Row]]) -> None:
        began = time.monotonic()
        try:
            rows = await work
        except TimeoutError as error:  # one slow frame must not cost all that was found before
            rows = [Row(title, "did not end", tried=1, wrong=1, findings=[str(error)])]
        self.rows += rows
        verdict = "holds" if all(row.holds for row in rows) else "[red]does not hold[/red]"
        seconds = time.monotonic() - began
        self.say(f"{title}: {verdict} ({seconds:.0f} s)")


async def _rings(proof: _Proof) -> None:
    async with _stack(matrix.options(Path())) as stack:
        await proof.part("faults of a ring", rings.run(stack))
        given_up = await matrix.nothing_given_up(stack)
        proof.rows.append(replace(given_up, part="all faults of a ring"))
        proof.rows.append(replace(tracebacks(stack), part="faults of a ring"))


async def _faults(proof: _Proof) -> None:
    async with _stack(matrix.options(Path())) as stack:
        await proof.part("faults", matrix.run(stack, (CANCEL, REJECT)))
        proof.rows.append(replace(await matrix.nothing_given_up(stack), part="all of these faults"))
        for each in variants.VARIANTS:
            await _variant(proof, stack, each)
        await proof.part("ends", ends.run(stack))
        proof.rows.append(replace(tracebacks(stack), part="faults and ends"))
    async with _stack(wanted.options(Path())) as stack:
        await proof.part(wanted.PART, wanted.run(stack))


async def _handshake(proof: _Proof) -> None:
    try:
        await asyncio.to_thread(node.install)
    except node.NodeUnavailable as reason:
        proof.say(f"{handshake.PART}: without clients in JavaScript, as they can't run: {reason}")
        cases = [case for case in every_handshake() if case.kind == PYTHON]
        broken: list[Variant] = []
    else:
        cases, broken = list(every_handshake()), list(HANDSHAKE_VARIANTS)
    async with _stack(handshake.options(Path())) as stack:
        await proof.part(handshake.PART, handshake.run(stack, cases))
        proof.rows.append(replace(tracebacks(stack), part=handshake.PART))
        for each in broken:
            await _variant(proof, stack, each)


async def _variant(proof: _Proof, stack: Stack, each: Variant) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = variant.run(stack, each, Path(folder))
        await proof.part(f"broken on purpose: {each.name}", _alone(work))


async def _races(proof: _Proof, *, on_google: bool) -> None:
    where = "Google's Firestore" if on_google else "the embedded Firestore"
    if on_google and (reason := google.unavailable()):
        proof.say(f"races, {where}: skipped, as it can't run: {reason}")
        return
    async with _stack(meeting.options(Path(), google=on_google)) as stack:
        for against, count in (_ROUNDS_ON_GOOGLES if on_google else _ROUNDS).items():
            rounds = run_rounds(stack, count, _AT_ONCE[against], against)
            await proof.part(f"{against.value}, {where}", _alone(rounds, where))
        model = run_model(stack, _EXAMPLES, _STEPS)
        await proof.part(f"the state machine, {where}", _alone(model, where))


async def _bad_input(proof: _Proof, seed: int) -> None:
    async with _stack(bad_input.options(Path())) as stack:
        await proof.part(f"bad input, seed {seed}", bad_input.run(stack, _BAD_INPUTS, seed))


async def _alone(work: Awaitable[Row], where: str = "") -> list[Row]:
    row = await work
    return [replace(row, fault=f"{row.fault}, {where}") if where else row]


@asynccontextmanager
async def _stack(options: Options) -> AsyncIterator[Stack]:
    """A stack whose logs go with it. Raises NotStarted."""
    with tempfile.TemporaryDirectory(prefix="unring-") as folder:
        async with running(replace(options, logs=Path(folder))) as stack:
            yield stack


if __name__ == "__main__":
    sys.exit(main())
