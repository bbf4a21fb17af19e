"""The published event survives its journeys, and says what it says."""

from datetime import UTC, datetime

import pytest

from functions.calls import event as events
from functions.calls.call import Call, CallId, SignalId, Status, UserId
from functions.calls.event import CallEvent, MalformedEvent
from functions.calls.signals import RULES, Signal

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
CALL = Call(CallId("CALL_1"), UserId("USR_1"), UserId("USR_2"), Status.RINGING)


def event_of(name: str) -> CallEvent:
    signal = Signal(RULES[name], CALL.id, "because")
    return CallEvent.of(CALL, signal, SignalId("S1"), NOW)


def test_a_cancel_tells_the_receiver() -> None:
    assert (event_of("call:cancel").name, event_of("call:cancel").tells) == (
        "call:cancelled",
        "USR_2",
    )


@pytest.mark.parametrize("name", ["call:reject", "call:accept"])
def test_an_answer_tells_the_caller(name: str) -> None:
    assert event_of(name).tells == "USR_1"


def test_what_the_outbox_keeps_is_what_is_read() -> None:
    event = event_of("call:reject")
    assert events.from_fields(events.to_fields(event)) == event


def test_the_time_of_the_decision_is_told_in_unix_milliseconds() -> None:
    assert event_of("call:cancel").timestamp == 1767323045678
    assert event_of("call:cancel").decided_at == NOW


@pytest.mark.parametrize(
    "change",
    [
        {"name": "call:exploded"},
        {"callId": ""},
        {"callId": "a/b"},
        {"signalId": "a/b"},
        {"signalId": ""},
        {"timestamp": -1},
        {"expiresAt": 10**18},
        {"expiresAt": "soon"},
        {"served": [1]},
        {"tells": None},
    ],
    ids=str,
)
def test_an_event_that_no_handler_could_finish_is_refused(change: dict[str, object]) -> None:
    fields = events.to_fields(event_of("call:cancel"))
    assert events.from_fields(fields)
    with pytest.raises(MalformedEvent):
        events.from_fields(fields | change)


def test_an_outbox_entry_that_is_no_event_is_refused() -> None:
    with pytest.raises(MalformedEvent):
        events.from_fields(None)
