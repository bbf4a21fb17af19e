"""A quick slice of the faults, on a stack of their own; `python -m tests.proof` plays all."""

import pytest

from functions.settings import FUNCTIONS
from infra.local.stack import Stack
from tests.proof.faults.logs import tracebacks
from tests.proof.faults.matrix import nothing_given_up, rows_of, run_killed, run_networked
from tests.proof.faults.slices import killed_slice, networked_slice
from tests.proof.table import Row

_OTHERS = sorted(FUNCTIONS.keys() - {"gateway"})


def findings(rows: list[Row]) -> list[str]:
    return [finding for row in rows for finding in row.findings]


@pytest.mark.thorough
async def test_whatever_fails_and_whatever_people_do_nothing_is_lost_and_nobody_told_wrong(
    stack: Stack,
) -> None:
    rows = rows_of(await run_networked(stack, networked_slice()))
    assert findings(rows) == []


@pytest.mark.parametrize(
    "function", ["gateway", *(pytest.param(name, marks=pytest.mark.thorough) for name in _OTHERS)]
)
async def test_when_a_function_is_killed_nothing_is_lost_and_nobody_told_wrong(
    stack: Stack, function: str
) -> None:
    rows = rows_of(await run_killed(stack, function, [killed_slice(function)]))
    assert findings(rows) == []


async def test_nothing_that_came_through_is_a_dead_letter(stack: Stack) -> None:
    # After all cases.
    assert (await nothing_given_up(stack)).findings == []


def test_no_function_ever_met_what_it_did_not_expect(stack: Stack) -> None:
    # The last of this module: the logs are those of all before.
    assert tracebacks(stack).findings == []
