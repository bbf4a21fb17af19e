"""The published event survives its journeys, and says what it says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.calls import event as events
from functions.calls.call import Call, CallId, SignalId, Status, UserId
from functions.calls.event import CallEvent, MalformedEvent
from functions.calls.transitions import (
    TRANSITIONS,
    Notice,
    Push,
    Signal,
    Transition,
    Whom,
    transitions_of,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
CALL = Call(CallId("CALL_1"), UserId("USR_1"), UserId("USR_2"), Status.RINGING)


def event_of(
    of: str | Transition,
    reason: str | None = "because",
    call: Call = CALL,
    notices: tuple[Notice, ...] | None = None,
    sender: UserId = CALL.caller,
) -> CallEvent:
    row = next(transitions_of(of)) if isinstance(of, str) else of
    row = row if notices is None else replace(row, notices=notices)
    return CallEvent.of(call, row, Signal(row.signal, call.id, reason), sender, SignalId("S1"), NOW)


def told(event: CallEvent) -> list[tuple[str, str]]:
    return [(recipient.user_id, recipient.event) for recipient in event.recipients]


def test_a_cancel_tells_the_receiver() -> None:
    assert told(event_of("call:cancel")) == [("USR_2", "call:cancelled")]


@pytest.mark.parametrize(
    ("name", "event"), [("call:reject", "call:rejected"), ("call:accept", "call:accepted")]
)
def test_an_answer_tells_the_caller_and_the_receiver_elsewhere(name: str, event: str) -> None:
    assert told(event_of(name)) == [("USR_1", event), ("USR_2", "call:cancelled")]


@pytest.mark.parametrize(("sender", "other"), [("USR_1", "USR_2"), ("USR_2", "USR_1")])
def test_the_other_party_is_the_one_that_did_not_send(sender: str, other: str) -> None:
    notices = (Notice(Whom.OTHER_PARTY, "e", ()),)
    assert told(event_of("call:cancel", notices=notices, sender=UserId(sender))) == [(other, "e")]


def test_an_event_has_all_recipients_of_its_transition() -> None:
    notices = (
        Notice(Whom.CALLER, "for the caller", (), Push("t")),
        Notice(Whom.RECEIVER, "for the receiver", ()),
    )
    event = event_of("call:cancel", notices=notices)
    assert told(event) == [("USR_1", "for the caller"), ("USR_2", "for the receiver")]
    assert event.users == ("USR_1", "USR_2")
    assert [recipient.user_id for recipient in event.push_recipients] == ["USR_1"]
    assert event.recipient(UserId("USR_2")) == event.recipients[1]
    assert event.recipient(UserId("USR_3")) is None


@pytest.mark.parametrize(
    "call",
    [
        replace(CALL, rings_until=NOW + timedelta(seconds=30), ring_seconds=30),
        replace(CALL, status=Status.ACCEPTED, answered_at=NOW),
    ],
)
def test_an_event_is_later_than_what_its_call_was_before_even_by_a_clock_that_is_behind(
    call: Call,
) -> None:
    row = next(row for row in transitions_of("call:end") if row.from_status is call.status)
    signal = Signal("call:end", call.id, None)
    behind = NOW - timedelta(milliseconds=50)
    event = CallEvent.of(call, row, signal, call.caller, SignalId("S"), behind)
    assert event.decided_at == NOW + timedelta(milliseconds=1)


def test_who_calls_himself_is_told_once() -> None:
    notices = (Notice(Whom.CALLER, "first", ()), Notice(Whom.RECEIVER, "second", ()))
    alone = replace(CALL, receiver=CALL.caller)
    assert told(event_of("call:cancel", call=alone, notices=notices)) == [("USR_1", "first")]


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: row.signal)
def test_a_signal_without_a_reason_has_the_reason_of_its_transition(row: Transition) -> None:
    assert event_of(row, reason=None).reason == row.default_reason
    assert event_of(row).reason == "because"


def test_what_the_outbox_keeps_is_what_is_read() -> None:
    event = event_of("call:reject")
    assert events.from_fields(events.to_fields(event)) == event


def test_the_time_of_the_decision_is_told_in_unix_milliseconds() -> None:
    assert event_of("call:cancel").timestamp == 1767323045678
    assert event_of("call:cancel").decided_at == NOW


@pytest.mark.parametrize(
    "change",
    [
        {"name": "call.exploded"},
        {"status": "exploded"},
        {"recipients": []},
        {"recipients": [{"userId": "USR_1"}]},
        {"callId": ""},
        {"callId": "a/b"},
        {"signalId": "a/b"},
        {"signalId": ""},
        {"timestamp": -1},
        {"expiresAt": 10**18},
        {"expiresAt": "soon"},
        {"served": [1]},
        {"recipients": None},
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
