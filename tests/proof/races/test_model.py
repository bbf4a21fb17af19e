"""A quick slice of the state machine, on both Firestores, and what its model is made of."""

import pytest

from infra.local.stack import Stack
from tests.proof.races.machine import run_model
from tests.proof.races.model import Call, Signal, Verdict, explanations, judge

EXAMPLES, STEPS = 6, 12

CALL = Call("A", "B")
CANCEL = Signal("call:cancel", "CALL_1", "A", "reason 1")
ACCEPT = Signal("call:accept", "CALL_1", "B", "reason 2")
STRANGE = Signal("call:accept", "CALL_1", "C", "reason 3")
END = Signal("call:end", "CALL_1", "A", "reason 4")


TIME, LEAVING = (Signal.of_timer(name, "CALL_1", CALL) for name in ("ring:ended", "caller:gone"))


def ends(*said: tuple[Signal, Verdict | None]) -> set[tuple[str, str | None]]:
    """How the call may stand, and why, when these signals came of which order whatever to these
    verdicts."""
    signals, verdicts = zip(*said, strict=True)
    explained = explanations({"CALL_1": CALL}, signals, verdicts)
    calls = [steps[-1].call if steps else CALL for steps in explained]
    return {(call.status, call.cause) for call in calls}


@pytest.mark.thorough
async def test_whatever_calls_parties_and_devices_do_all_is_as_the_model_says(
    either_race: Stack,
) -> None:
    # The same examples every time: here a failure must be the change's that is tested. What no
    # example has tried yet, the whole proof looks for with others each time.
    row = await run_model(either_race, EXAMPLES, STEPS, derandomize=True)
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
    ((ended, _),) = ends(*zip([CANCEL, ACCEPT, STRANGE], verdicts, strict=True))
    assert ended == status


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
    assert not ends(*zip([CANCEL, ACCEPT], verdicts, strict=True))


def test_who_ends_a_call_may_have_done_so_before_it_was_accepted_or_after() -> None:
    both = ends((END, (True, "ended")), (ACCEPT, (True, "accepted")))
    assert both == {("ended", "ended")}
    before = ends((END, (True, "cancelled")), (ACCEPT, (False, "already_cancelled")))
    assert before == {("cancelled", "caller_cancelled")}
    assert not ends((END, (True, "cancelled")), (ACCEPT, (True, "accepted")))


@pytest.mark.parametrize(
    ("cancelled", "accepted", "ended"),
    [
        ((True, "cancelled"), (False, "already_cancelled"), ("cancelled", "caller_cancelled")),
        ((True, "already_cancelled"), (False, "already_cancelled"), ("cancelled", "caller_gone")),
        ((False, "already_missed"), (False, "already_missed"), ("missed", "timeout")),
        ((False, "already_accepted"), (True, "accepted"), ("accepted", None)),
        ((True, "already_cancelled"), (True, "accepted"), None),
        ((False, "already_missed"), (True, "accepted"), None),
        ((False, "already_missed"), (False, "already_cancelled"), None),
    ],
)
def test_the_verdicts_tell_what_a_timer_has_done(
    cancelled: Verdict, accepted: Verdict, ended: tuple[str, str | None] | None
) -> None:
    timers = ((TIME, None), (LEAVING, None))
    assert ends((CANCEL, cancelled), (ACCEPT, accepted), *timers) == ({ended} if ended else set())


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
