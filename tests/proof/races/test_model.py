"""A quick slice of the state machine, on both Firestores, and what its model is made of."""

import pytest

from infra.local.stack import Stack
from tests.proof.races.machine import run_model
from tests.proof.races.model import RULES, Call, Signal, Verdict, explain

EXAMPLES, STEPS = 6, 12

CALL = Call("A", "B")
CANCEL = Signal("call:cancel", "CALL_1", "A", "reason 1")
ACCEPT = Signal("call:accept", "CALL_1", "B", "reason 2")
STRANGE = Signal("call:accept", "CALL_1", "C", "reason 3")


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


@pytest.mark.parametrize("name", list(RULES))
def test_nobody_but_the_one_who_may_ends_a_ring(name: str) -> None:
    allowed = [
        sender
        for sender in ("A", "B", "C")
        if explain({"CALL_1": CALL}, [Signal(name, "CALL_1", sender, "")], [(True, RULES[name].to)])
    ]
    assert allowed == ["A" if name == "call:cancel" else "B"]
