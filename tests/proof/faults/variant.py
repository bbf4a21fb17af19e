"""A system with one safeguard taken out: its functions run from a changed copy of the source."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from infra import ROOT
from infra.local.stack import Stack
from tests.proof.table import Row
from tests.proof.variants import patched

_PART = "broken on purpose"


@dataclass(frozen=True)
class Variant:
    """`functions` with the patch `name`; `run` must find what is wrong."""

    name: str
    functions: tuple[str, ...]
    run: Callable[[Stack], Awaitable[list[Row]]]
    seen: str  # what the proof must say of it


async def run(stack: Stack, variant: Variant, folder: Path) -> Row:
    """`wrong` unless the proof found fault with the variant. The stack is whole again after it."""
    row = Row(_PART, variant.name.replace("-", " "), tried=1)
    source = patched(variant.name, folder)
    try:
        await _replace(stack, variant, source)
        found = await variant.run(stack)
    finally:
        await _replace(stack, variant, ROOT)
    said = [finding for each in found for finding in each.findings]
    if not any(variant.seen in finding for finding in said):
        row.wrong = 1
        row.findings.append(f"the proof did not see it, but said {said}")
    return row


async def _replace(stack: Stack, variant: Variant, source: Path) -> None:
    for name in variant.functions:
        await stack.processes[name].replace(stack.values, source)
