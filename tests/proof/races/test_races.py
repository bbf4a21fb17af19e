"""A quick slice of the rounds of accept against cancel, on both Firestores."""

import json
from pathlib import Path

import pytest

from infra.local.stack import Stack
from tests.proof.races.excuses import is_excused
from tests.proof.races.rounds import run_rounds

ROUNDS, AT_ONCE = 40, 8


@pytest.mark.thorough
@pytest.mark.parametrize("by_backend", [False, True], ids=["by the caller", "by the backend"])
async def test_of_an_accept_and_a_cancel_exactly_one_wins_and_only_the_other_side_is_told(
    either_stack: Stack, by_backend: bool
) -> None:
    row = await run_rounds(either_stack, ROUNDS, AT_ONCE, by_backend=by_backend)
    assert row.findings == []
    assert row.holds
    assert row.tried == ROUNDS


@pytest.mark.parametrize(
    ("line", "excused"),
    [
        ({"message": "will be retried", "error": "StoreUnavailable: 504 Deadline Exceeded"}, True),
        ({"message": "told", "served": 1, "unserved": 1}, True),
        ({"message": "frame failed", "error": "DeadlineExceeded: 504 Deadline Exceeded"}, True),
        ({"message": "will be retried", "error": "NotDelivered: 1 device was not reached"}, False),
        ({"message": "told", "served": 2, "unserved": 0}, False),
        ({"message": "delivered", "served": 2}, False),
    ],
)
def test_only_a_fault_in_the_logs_excuses_that_an_event_came_twice(
    tmp_path: Path, line: dict[str, object], excused: bool
) -> None:
    lines = ["Started", json.dumps({**line, "callId": "CALL_1"})]
    (tmp_path / "deliver.log").write_text("\n".join(lines))
    assert is_excused(tmp_path, "CALL_1") is excused
    assert not is_excused(tmp_path, "CALL_2")
