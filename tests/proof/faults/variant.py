"""A system with one safeguard taken out: its functions run from a changed copy of the source."""

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from infra.local.functions import ROOT
from infra.local.stack import Stack
from tests.proof.table import Row

_PART = "broken on purpose"


@dataclass(frozen=True)
class Change:
    """`old` replaced by `new` in one `file`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Variant:
    """`functions` with `changes`; `run` must find what is wrong."""

    name: str
    functions: tuple[str, ...]
    changes: tuple[Change, ...]
    run: Callable[[Stack], Awaitable[list[Row]]]
    seen: str  # what the proof must say of it


async def run(stack: Stack, variant: Variant, folder: Path) -> Row:
    """`wrong` unless the proof found fault with the variant. The stack is whole again after it."""
    row = Row(_PART, variant.name, tried=1)
    source = _source(variant, folder)
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


def _source(variant: Variant, folder: Path) -> Path:
    """A copy of what is deployed, with the variant's change."""
    copy = folder / variant.name.replace(" ", "-")
    shutil.copytree(ROOT / "functions", copy / "functions")
    shutil.copy(ROOT / "main.py", copy)
    for change in variant.changes:
        path = copy / change.file
        text = path.read_text()
        assert text.count(change.old) == 1, f"{variant.name}: {change.file} is not what it was"
        path.write_text(_with_imports(text.replace(change.old, change.new)))
    return copy


def _with_imports(text: str) -> str:
    return (
        text
        if "import asyncio\n" in text
        else text.replace('"""\n\n', '"""\n\nimport asyncio\n', 1)
    )


async def _replace(stack: Stack, variant: Variant, source: Path) -> None:
    for name in variant.functions:
        await stack.processes[name].replace(stack.values, source)
