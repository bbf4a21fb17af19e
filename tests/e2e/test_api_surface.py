"""The HTTPS interface held against its own description, by requests that Schemathesis makes up."""

import asyncio
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.local.stack import Stack

_COMMAND = Path(sys.executable).parent / "schemathesis"
# The path's server, which is not ours, answers a line break in a path by 404 in plain text.
_NOT_OURS = "content_type_conformance"
# Of many examples a slow machine asks fewer, rather than be ended in the middle.
_BUDGET = ("--max-time", "60")


@pytest.mark.parametrize(
    ("examples", "seed", "budget"),
    [
        pytest.param(2, 1, (), id="a few"),
        pytest.param(300, secrets.randbelow(2**32), _BUDGET, id="many", marks=pytest.mark.thorough),
    ],
)
@pytest.mark.parametrize("asks", ["an app", "a backend", "nobody"])
async def test_every_answer_is_one_that_is_described_and_none_is_a_fault(
    embedded_stack: Stack,
    tmp_path: Path,
    asks: str,
    examples: int,
    seed: int,
    budget: Sequence[str],
) -> None:
    token = {"an app": embedded_stack.token("USR_1"), "a backend": embedded_stack.values["API_KEY"]}
    shown = ["--header", f"Authorization: Bearer {token[asks]}"] if asks in token else []
    process = await asyncio.create_subprocess_exec(
        *(_COMMAND, "run", f"{embedded_stack.functions['api']}/v1/openapi.json"),
        *("--seed", str(seed), "--max-examples", str(examples), *budget),
        *("--exclude-checks", _NOT_OURS, "--no-color", "--warnings", "off", *shown),
        cwd=tmp_path,
        env={**os.environ, "NO_PROXY": "*"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
