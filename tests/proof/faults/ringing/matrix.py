"""The matrix of the whole ring, on the stack of the other one."""

from collections.abc import Iterable
from dataclasses import replace

from infra.client.flows import Flow
from infra.local.stack import Stack
from tests.proof.faults import matrix
from tests.proof.faults.played import Played
from tests.proof.faults.ringing.cases import killed, networked
from tests.proof.faults.ringing.flows import PARTS
from tests.proof.table import Row

# Cases: each ring leaves more connections and events than a cancel, which are all looked through.
_BATCH = 40


async def run(stack: Stack) -> list[Row]:
    """All of it. Raises the first of what went wrong with playing it."""
    try:
        played = await _run_all(stack)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return rows_of(played)


async def _run_all(stack: Stack) -> list[Played]:
    cases = [case for flow in PARTS for case in networked(flow)]
    played = await matrix.run_networked(stack, cases, batch=_BATCH)
    for function in stack.processes:
        played += await matrix.run_killed(stack, function, killed(function))
    return played


def rows_of(played: Iterable[Played]) -> list[Row]:
    """One row for each kind of fault, flow by flow."""
    by_flow: dict[Flow, list[Played]] = {flow: [] for flow in PARTS}
    for each in played:
        by_flow[each.case.flow].append(each)
    return [
        replace(row, part=f"faults, {PARTS[flow]}")
        for flow, of_flow in by_flow.items()
        for row in matrix.rows_of(of_flow)
    ]
