"""What a ring makes of the call that is found under its id."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.calls.call import Call, CallId, SignalId, Status, UnreadableCall, UserId
from functions.calls.ring import Ring, decide_ring

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RING = Ring(CallId("CALL_1"), UserId("USR_1"), UserId("USR_2"), 30, '{"a":1}', is_told=True)
CALL = RING.begun(SignalId("S"), NOW, None)


def test_a_call_begins_to_ring_if_there_is_none_of_its_id() -> None:
    decision = decide_ring(None, RING)
    assert decision.is_to_begin
    assert (decision.verdict.ok, decision.verdict.outcome) == (True, "ringing")


def test_a_call_rings_from_now_on_for_as_long_as_asked() -> None:
    assert CALL.rings_until == NOW + timedelta(seconds=30)
    assert (CALL.signal_id, CALL.is_ours, CALL.status) == ("S", True, Status.RINGING)


def test_a_call_that_is_only_to_be_known_has_no_signal() -> None:
    assert replace(RING, is_told=False).begun(SignalId("S"), NOW, None).signal_id is None


@pytest.mark.parametrize("is_told", [True, False])
def test_the_same_again_is_a_repeat_only_if_it_is_to_be_told(is_told: bool) -> None:
    decision = decide_ring(CALL, replace(RING, is_told=is_told))
    assert (decision.is_to_begin, decision.is_repeat) == (False, is_told)
    assert (decision.verdict.ok, decision.verdict.outcome) == (True, "already_ringing")
    assert decision.verdict.rings_until == CALL.rings_until


def test_a_call_that_nobody_was_told_of_begins_to_ring() -> None:
    assert decide_ring(replace(CALL, signal_id=None), RING).is_to_begin


@pytest.mark.parametrize(
    ("ring", "field"),
    [
        (replace(RING, caller=UserId("USR_9")), "callerId"),
        (replace(RING, receiver=UserId("USR_9")), "receiverId"),
        (replace(RING, seconds=10), "ringSeconds"),
        (replace(RING, data=None), "data"),
    ],
)
def test_another_ring_under_the_same_id_is_told_in_what_it_differs(ring: Ring, field: str) -> None:
    verdict = decide_ring(CALL, ring).verdict
    assert (verdict.ok, verdict.outcome, verdict.field) == (False, "differs", field)
    assert verdict.message == f"the call is known with another {field}"


def test_of_a_call_that_the_app_wrote_only_its_parties_are_compared() -> None:
    theirs = Call(RING.call_id, RING.caller, RING.receiver, Status.RINGING)
    assert decide_ring(theirs, RING).is_to_begin


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.RINGING])
def test_a_call_that_rings_no_more_does_not_begin_again(status: Status) -> None:
    # What was asked for beside the parties has gone with the ring.
    over = replace(CALL, status=status, data=None, ring_seconds=None)
    decision = decide_ring(over, RING)
    assert not decision.is_to_begin
    assert (decision.verdict.ok, decision.verdict.outcome) == (False, f"already_{status}")


def test_a_call_that_can_not_be_read_is_left_alone() -> None:
    decision = decide_ring(UnreadableCall(RING.call_id, frozenset()), RING)
    assert (decision.is_to_begin, decision.verdict.outcome) == (False, "unreadable")
