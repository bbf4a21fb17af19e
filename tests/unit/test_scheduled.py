"""What is scheduled survives its journey, and what is no task of ours is refused."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.calls.call import CallId, SignalId, UserId
from functions.calls.event import MalformedEvent
from functions.scheduled import CallerCheck, RingEnds, Scheduled, decode, encode

ENDS = RingEnds(
    call_id=CallId("CALL_1"), signal_id=SignalId("5f0c"), rings_until_ms=1_767_323_045_678
)
CHECK = CallerCheck(
    call_id=CallId("CALL_1"),
    signal_id=SignalId("5f0c"),
    rings_until_ms=1_767_323_045_678,
    user_id=UserId("USR_1"),
)
BOTH = pytest.mark.parametrize("task", [ENDS, CHECK], ids=["end", "caller"])


def changed(task: Scheduled, **changes: object) -> bytes:
    return json.dumps(json.loads(encode(task)) | changes).encode()


@BOTH
def test_a_task_is_read_as_it_was_scheduled(task: Scheduled) -> None:
    assert decode(encode(task)) == task
    assert task.rings_until == datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def test_the_end_of_a_ring_bears_the_ring_that_it_is_for() -> None:
    assert json.loads(encode(ENDS)) == {
        "name": "ring.ends",
        "callId": "CALL_1",
        "signalId": "5f0c",
        "ringsUntil": 1_767_323_045_678,
    }


def test_a_check_of_the_caller_names_him_too() -> None:
    assert json.loads(encode(CHECK)) == {
        "name": "caller.check",
        "callId": "CALL_1",
        "signalId": "5f0c",
        "ringsUntil": 1_767_323_045_678,
        "userId": "USR_1",
    }


@BOTH
def test_what_a_later_version_adds_does_not_matter(task: Scheduled) -> None:
    assert decode(changed(task, addedLater={"by": "a newer version"})) == task


@BOTH
@pytest.mark.parametrize(
    "change",
    [
        {"name": "exploded"},
        {"callId": None},
        {"callId": "a/b"},
        {"callId": ""},
        {"ringsUntil": -1},
        {"ringsUntil": 1e30},
        {"ringsUntil": "exploded"},
    ],
    ids=str,
)
def test_a_task_that_no_handler_could_finish_is_refused(
    task: Scheduled, change: dict[str, object]
) -> None:
    with pytest.raises(MalformedEvent) as refused:
        decode(changed(task, **change))
    assert "exploded" not in str(refused.value)  # which is logged


@pytest.mark.parametrize("signal", ["..", "a/b", 7])
def test_the_end_of_a_ring_that_no_event_began_is_refused(signal: object) -> None:
    with pytest.raises(MalformedEvent):
        decode(changed(ENDS, signalId=signal))


def test_the_end_of_a_call_of_which_nobody_was_told_names_no_ring() -> None:
    told_to_nobody = msgspec.structs.replace(ENDS, signal_id=None)
    assert decode(encode(told_to_nobody)) == told_to_nobody


def test_a_check_without_the_caller_is_refused() -> None:
    with pytest.raises(MalformedEvent):
        decode(changed(ENDS, name="caller.check"))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"null", b'{"name": "\xff"}', b'{"name": "ring.ends", "a":' + b"[" * 100_000],
    ids=lambda data: str(data[:30]),
)
def test_bytes_that_nobody_scheduled_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode(data)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise_anything_else(data: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode(data)
