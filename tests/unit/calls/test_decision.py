"""The rules of a call, case by case and then all cases at once."""

import itertools

import pytest

from functions.calls.call import Call, CallId, Status, UserId
from functions.calls.decision import FORBIDDEN, NOT_FOUND, Effect, decide
from functions.calls.signals import RULES, Signal

CALLER, RECEIVER, STRANGER = UserId("USR_1"), UserId("USR_2"), UserId("USR_3")


def call(status: Status) -> Call:
    return Call(CallId("CALL_1"), CALLER, RECEIVER, status)


def signal(name: str) -> Signal:
    return Signal(RULES[name], CallId("CALL_1"), "because")


@pytest.mark.parametrize(
    ("name", "sender", "outcome"),
    [
        ("call:cancel", CALLER, "cancelled"),
        ("call:reject", RECEIVER, "rejected"),
        ("call:accept", RECEIVER, "accepted"),
    ],
)
def test_a_ringing_call_takes_the_first_answer(name: str, sender: UserId, outcome: str) -> None:
    verdict = decide(call(Status.RINGING), signal(name), sender)
    assert (verdict.ok, verdict.outcome, verdict.effect) == (True, outcome, Effect.COMMIT)


@pytest.mark.parametrize(
    ("name", "sender", "status"),
    [
        ("call:cancel", CALLER, Status.CANCELLED),
        ("call:reject", RECEIVER, Status.REJECTED),
        ("call:accept", RECEIVER, Status.ACCEPTED),
    ],
)
def test_a_repeated_signal_succeeds_and_writes_nothing(
    name: str, sender: UserId, status: Status
) -> None:
    verdict = decide(call(status), signal(name), sender)
    assert (verdict.ok, verdict.outcome) == (True, f"already_{status}")
    assert verdict.effect is Effect.REPUBLISH


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.REJECTED, Status.MISSED, Status.ENDED])
def test_a_cancel_that_comes_too_late_learns_what_became_of_the_call(status: Status) -> None:
    verdict = decide(call(status), signal("call:cancel"), CALLER)
    assert (verdict.ok, verdict.outcome) == (False, f"already_{status}")
    assert verdict.effect is Effect.NONE


@pytest.mark.parametrize("status", Status)
def test_the_receiver_cannot_cancel(status: Status) -> None:
    assert decide(call(status), signal("call:cancel"), RECEIVER) is FORBIDDEN


@pytest.mark.parametrize("name", ["call:reject", "call:accept"])
def test_the_caller_cannot_answer_for_the_receiver(name: str) -> None:
    assert decide(call(Status.RINGING), signal(name), CALLER) is FORBIDDEN


@pytest.mark.parametrize("name", RULES)
def test_a_stranger_cannot_tell_a_call_from_none(name: str) -> None:
    assert decide(call(Status.RINGING), signal(name), STRANGER) is NOT_FOUND
    assert decide(None, signal(name), STRANGER) is NOT_FOUND


def test_only_a_ringing_call_is_ever_written() -> None:
    for name, status, sender in itertools.product(RULES, Status, (CALLER, RECEIVER, STRANGER)):
        verdict = decide(call(status), signal(name), sender)
        if verdict.effect is Effect.COMMIT:
            assert status is Status.RINGING
            assert verdict.ok
        if not verdict.ok:
            assert verdict.effect is Effect.NONE


def test_who_calls_themselves_can_still_cancel() -> None:
    alone = Call(CallId("CALL_1"), CALLER, CALLER, Status.RINGING)
    assert decide(alone, signal("call:cancel"), CALLER).outcome == "cancelled"
