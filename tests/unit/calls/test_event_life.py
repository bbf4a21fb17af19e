"""How long an event may be told, and what proves that it is true no longer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.calls.call import Call, CallId, SignalId, Status, UserId
from functions.calls.event import CallEvent
from functions.calls.signals import RULES, Signal

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
RINGING = Call(CallId("CALL_1"), UserId("USR_1"), UserId("USR_2"), Status.RINGING)
OURS, ANOTHERS = SignalId("S1"), SignalId("S2")


def event_of(name: str, call: Call = RINGING) -> CallEvent:
    return CallEvent.of(call, Signal(RULES[name], call.id, "because"), OURS, NOW)


@pytest.mark.parametrize(
    ("rings_for", "seconds"),
    [(None, 30), (25, 25), (60, 60), (20, 20), (3, 20), (-10, 20), (120, 120), (86_400, 120)],
)
def test_an_event_lives_as_long_as_the_ring_would_have(
    rings_for: float | None, seconds: int
) -> None:
    ends = None if rings_for is None else NOW + timedelta(seconds=rings_for)
    event = event_of("call:cancel", replace(RINGING, rings_until=ends))
    assert event.expires == NOW + timedelta(seconds=seconds)


def test_an_event_expires_when_its_time_is_up() -> None:
    event = event_of("call:cancel")
    assert not event.expired(event.expires - timedelta(milliseconds=1))
    assert event.expired(event.expires)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("status", Status)
def test_an_event_is_true_while_the_call_stands_as_its_signal_left_it(
    name: str, status: Status
) -> None:
    call = replace(RINGING, status=status, signal_id=OURS)
    assert event_of(name).is_disproved_by(call) == (status is not RULES[name].to)


@pytest.mark.parametrize("name", RULES)
def test_an_event_of_an_earlier_ring_of_the_call_is_true_no_longer(name: str) -> None:
    ended_again = replace(RINGING, status=RULES[name].to, signal_id=ANOTHERS)
    assert event_of(name).is_disproved_by(ended_again)


@pytest.mark.parametrize("name", RULES)
def test_a_call_that_says_too_little_proves_nothing(name: str) -> None:
    assert not event_of(name).is_disproved_by(None)
    assert not event_of(name).is_disproved_by(replace(RINGING, status=RULES[name].to))
