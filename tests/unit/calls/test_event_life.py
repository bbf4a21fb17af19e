"""How long an event may be told, and what proves that it is true no longer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.calls.call import Call, CallId, SignalId, Status, UserId
from functions.calls.event import CallEvent
from functions.calls.transitions import TRANSITIONS, Notice, Signal, Transition, Whom

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
RINGING = Call(CallId("CALL_1"), UserId("USR_1"), UserId("USR_2"), Status.RINGING)
OURS, ANOTHERS = SignalId("S1"), SignalId("S2")


CANCEL = TRANSITIONS[0]
every_transition = pytest.mark.parametrize(
    "transition", TRANSITIONS, ids=lambda row: f"{row.signal} {row.to_status}"
)


def event_of(transition: Transition, call: Call = RINGING) -> CallEvent:
    signal = Signal(transition.signal, call.id, "because")
    return CallEvent.of(call, transition, signal, call.caller, OURS, NOW)


@pytest.mark.parametrize(
    ("rings_for", "seconds"),
    [(None, 30), (25, 25), (60, 60), (20, 20), (3, 20), (-10, 20), (120, 120), (86_400, 120)],
)
def test_an_event_lives_as_long_as_the_ring_would_have(
    rings_for: float | None, seconds: int
) -> None:
    ends = None if rings_for is None else NOW + timedelta(seconds=rings_for)
    event = event_of(CANCEL, replace(RINGING, rings_until=ends))
    assert event.expires_at == NOW + timedelta(seconds=seconds)


def test_of_a_call_that_rings_no_more_the_ring_says_nothing() -> None:
    answered = replace(RINGING, status=Status.ACCEPTED, rings_until=NOW - timedelta(seconds=9))
    assert event_of(CANCEL, answered).expires_at == NOW + timedelta(seconds=30)


def test_an_event_expires_when_its_time_is_up() -> None:
    event = event_of(CANCEL)
    assert not event.expired(event.expires_at - timedelta(milliseconds=1))
    assert event.expired(event.expires_at)


@every_transition
@pytest.mark.parametrize("status", Status)
def test_an_event_is_true_for_a_recipient_in_the_statuses_that_its_row_names(
    transition: Transition, status: Status
) -> None:
    event = event_of(transition)
    call = replace(RINGING, status=status, signal_id=OURS)
    expected = [notice.event for notice in transition.notices if status in notice.true_while]
    assert [recipient.event for recipient in event.still_true(call)] == expected


@every_transition
def test_an_event_of_an_earlier_ring_of_the_call_is_true_no_longer(
    transition: Transition,
) -> None:
    same_again = replace(RINGING, status=transition.to_status, signal_id=ANOTHERS)
    assert event_of(transition).still_true(same_again) == ()


@every_transition
def test_a_call_that_says_too_little_proves_nothing(transition: Transition) -> None:
    event = event_of(transition)
    assert event.still_true(None) == event.recipients
    assert event.still_true(replace(RINGING, status=transition.to_status)) == event.recipients


def test_what_is_true_for_one_recipient_may_be_true_no_longer_for_another() -> None:
    notices = (
        Notice(Whom.OTHER_PARTY, "one", true_while=(Status.ACCEPTED,)),
        Notice(Whom.CALLER, "other", true_while=(Status.ACCEPTED, Status.ENDED)),
    )
    event = event_of(replace(CANCEL, to_status=Status.ACCEPTED, notices=notices))
    ended = replace(RINGING, status=Status.ENDED, signal_id=ANOTHERS)
    assert [recipient.event for recipient in event.still_true(ended)] == ["other"]
