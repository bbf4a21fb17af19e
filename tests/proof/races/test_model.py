"""A quick slice of the state machine, on both Firestores, and what its model is made of."""

import pytest

from infra.local.stack import Stack
from tests.proof.races.machine import run_model
from tests.proof.races.model import Call, Signal, Verdict, explain, judge

EXAMPLES, STEPS = 6, 12

CALL = Call("A", "B")
CANCEL = Signal("call:cancel", "CALL_1", "A", "reason 1")
ACCEPT = Signal("call:accept", "CALL_1", "B", "reason 2")
STRANGE = Signal("call:accept", "CALL_1", "C", "reason 3")
END = Signal("call:end", "CALL_1", "A", "reason 4")


@pytest.mark.thorough
async def test_whatever_calls_parties_and_devices_do_all_is_as_the_model_says(
    either_stack: Stack,
) -> None:
    # The same examples every time: here a failure must be the change's that is tested. What no
    # example has tried yet, the whole proof looks for with others each time.
    row = await run_model(either_stack, EXAMPLES, STEPS, derandomize=True)
    assert row.findings == []
    assert row.holds
    assert row.tried > EXAMPLES


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([(True, "cancelled"), (False, "already_cancelled"), (False, "not_found")], "cancelled"),
        ([(False, "already_accepted"), (True, "accepted"), (False, "not_found")], "accepted"),
    ],
)
def test_verdicts_that_come_of_some_order_are_explained(
    verdicts: list[Verdict], status: str
) -> None:
    after = explain({"CALL_1": CALL}, [CANCEL, ACCEPT, STRANGE], verdicts)
    assert after is not None
    assert after["CALL_1"].status == status


@pytest.mark.parametrize(
    "verdicts",
    [
        [(True, "cancelled"), (True, "accepted")],
        [(False, "already_accepted"), (False, "already_cancelled")],
        [(True, "cancelled"), (False, "already_accepted")],
        [(True, "cancelled"), (True, "already_cancelled")],
        [(False, "unavailable"), (True, "accepted")],
    ],
)
def test_verdicts_that_come_of_no_order_are_not_explained(verdicts: list[Verdict]) -> None:
    assert explain({"CALL_1": CALL}, [CANCEL, ACCEPT], verdicts) is None


def test_who_ends_a_call_may_have_done_so_before_it_was_accepted_or_after() -> None:
    for ended, accepted, status in (
        ((True, "ended"), (True, "accepted"), "ended"),
        ((True, "cancelled"), (False, "already_cancelled"), "cancelled"),
    ):
        after = explain({"CALL_1": CALL}, [END, ACCEPT], [ended, accepted])
        assert after is not None
        assert after["CALL_1"].status == status
    assert (
        explain({"CALL_1": CALL}, [END, ACCEPT], [(True, "cancelled"), (True, "accepted")]) is None
    )


@pytest.mark.parametrize(
    ("status", "name", "made"),
    [
        ("ringing", "call:cancel", {"A": "cancelled"}),
        ("ringing", "call:reject", {"B": "rejected"}),
        ("ringing", "call:accept", {"B": "accepted"}),
        ("ringing", "call:end", {"A": "cancelled", "B": "rejected"}),
        ("accepted", "call:cancel", {}),
        ("accepted", "call:reject", {}),
        ("accepted", "call:accept", {}),
        ("accepted", "call:end", {"A": "ended", "B": "ended"}),
        ("missed", "call:end", {}),
        ("ended", "call:end", {}),
    ],
)
def test_nobody_but_those_who_may_change_a_call(
    status: str, name: str, made: dict[str, str]
) -> None:
    call = Call("A", "B", status)
    after = {sender: judge(call, Signal(name, "CALL_1", sender, "new"))[1] for sender in "ABC"}
    assert {
        who: became.status for who, became in after.items() if became and became != call
    } == made
