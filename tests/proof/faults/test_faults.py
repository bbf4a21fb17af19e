"""A quick slice of the matrix, and how events end that never get through."""

from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from infra.client.flows import CANCEL, REJECT, Flow
from infra.local.stack import Stack, running
from tests.proof.faults import ends, people
from tests.proof.faults.case import Case, killed, networked
from tests.proof.faults.logs import tracebacks
from tests.proof.faults.matrix import nothing_given_up, options, rows_of, run_killed, run_networked
from tests.proof.table import Row


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(options(tmp_path_factory.mktemp("logs"))) as made:
        yield made


def findings(rows: list[Row]) -> list[str]:
    return [finding for row in rows for finding in row.findings]


def halves(cases: Callable[[Flow], Iterable[Case]]) -> list[Case]:
    """All of them, every second one for a cancel and the others for a reject."""
    pairs = zip(cases(CANCEL), cases(REJECT), strict=True)
    return [pair[number % 2] for number, pair in enumerate(pairs)]


@pytest.mark.timeout(300)
async def test_whatever_fails_and_whatever_people_do_nothing_is_lost_and_nobody_told_wrong(
    stack: Stack,
) -> None:
    # Of what people do a third: it takes its time, and the whole proof does all of it.
    cases = [*halves(networked), *halves(people.networked)[::3]]
    rows = rows_of(await run_networked(stack, cases))
    assert findings(rows) == []


@pytest.mark.parametrize(
    ("function", "flow"),
    [("gateway", CANCEL), ("deliver", REJECT), ("push", CANCEL), ("sweep", REJECT)],
    ids=lambda value: str(getattr(value, "signal", value)),
)
async def test_whenever_a_function_is_killed_nothing_is_lost_and_nobody_told_wrong(
    stack: Stack, function: str, flow: Flow
) -> None:
    groups = [*killed(function, flow), *people.killed(function, flow)]
    rows = rows_of(await run_killed(stack, function, groups))
    assert findings(rows) == []


async def test_nothing_that_came_through_is_a_dead_letter(stack: Stack) -> None:
    # After all cases, and before those that end as dead letters.
    assert (await nothing_given_up(stack)).findings == []


async def test_what_never_gets_through_expires_or_is_a_dead_letter_and_is_recorded(
    stack: Stack,
) -> None:
    assert findings(await ends.run(stack)) == []


def test_no_function_ever_met_what_it_did_not_expect(stack: Stack) -> None:
    # The last of this module: the logs are those of all before.
    assert tracebacks(stack).findings == []
