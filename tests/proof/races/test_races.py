"""A quick slice of the rounds, on both Firestores."""

import json
from pathlib import Path

import pytest

from infra.local.stack import Stack
from tests.proof.races.excuses import is_excused, is_leaving_excused, was_over_before_it_rang
from tests.proof.races.rounds import Against, run_rounds

ROUNDS, AT_ONCE = 40, 8
MEETINGS, MEETING_AT_ONCE = 24, 12


@pytest.mark.thorough
async def test_of_all_that_can_end_a_ring_one_wins_and_everybody_is_told_of_that_alone(
    either_race: Stack,
) -> None:
    row = await run_rounds(either_race, MEETINGS, MEETING_AT_ONCE, Against.ALL)
    assert row.findings == []
    assert row.holds
    assert row.tried == MEETINGS


@pytest.mark.thorough
@pytest.mark.parametrize(
    "against", [each for each in Against if each is not Against.ALL], ids=lambda each: each.value
)
async def test_exactly_one_of_those_who_race_wins_and_all_who_are_to_know_are_told_the_same(
    either_stack: Stack, against: Against
) -> None:
    row = await run_rounds(either_stack, ROUNDS, AT_ONCE, against)
    assert row.findings == []
    assert row.holds
    assert row.tried == ROUNDS


@pytest.mark.parametrize(
    ("line", "excused"),
    [
        ({"message": "will be retried", "error": "StoreUnavailable: 504 Deadline Exceeded"}, True),
        ({"message": "told", "served": 1, "unserved": 1}, True),
        ({"message": "ring overtook its end", "served": 2}, True),
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


@pytest.mark.parametrize(
    ("log", "status", "spared"),
    [
        ("push.log", "ringing", True),
        ("push.log", "missed", False),
        ("deliver.log", "ringing", False),
    ],
)
def test_only_push_itself_spares_a_phone_a_ring_that_is_over(
    tmp_path: Path, log: str, status: str, spared: bool
) -> None:
    line = {"message": "no longer true", "status": status, "callId": "CALL_1"}
    (tmp_path / log).write_text(json.dumps(line))
    assert was_over_before_it_rang(tmp_path, "CALL_1") is spared


def test_a_round_is_not_judged_for_each_socket_whose_end_was_not_noted(tmp_path: Path) -> None:
    noted, failed = ({"message": "disconnect", "severity": each} for each in ("INFO", "ERROR"))
    (tmp_path / "gateway.log").write_text("\n".join(map(json.dumps, (noted, failed, noted))))
    assert is_leaving_excused(tmp_path, 1)
    assert not is_leaving_excused(tmp_path, 2)
