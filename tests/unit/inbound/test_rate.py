"""How many frames a second a connection may send, and how many requests a user."""

from datetime import UTC, datetime, timedelta

import pytest

from functions.calls.call import ConnectionId, UserId
from functions.inbound.rate import FrameRate, Rate, RateExceeded, RequestRate

ID, OTHER = ConnectionId("1="), ConnectionId("2=")
AT = datetime(2026, 1, 1, tzinfo=UTC)


def kept(rate: FrameRate, id: ConnectionId, at: datetime, frames: int) -> int:
    return [rate.of(id, at) for _ in range(frames)].count(Rate.KEPT)


def test_frames_of_two_seconds_may_come_at_once_and_then_as_many_as_are_allowed() -> None:
    rate = FrameRate(per_second=10)
    assert kept(rate, ID, AT, 20) == 20
    for second in range(1, 60):
        assert kept(rate, ID, AT + timedelta(seconds=second), 10) == 10
    assert rate.of(ID, AT + timedelta(seconds=59)) is Rate.EXCEEDED
    assert rate.of(ID, AT + timedelta(seconds=59)) is Rate.STILL_EXCEEDED


def test_a_connection_costs_no_other_anything() -> None:
    rate = FrameRate(per_second=10)
    assert kept(rate, ID, AT, 100) == 20
    assert kept(rate, OTHER, AT, 20) == 20


def test_what_was_not_used_is_not_saved_up() -> None:
    rate = FrameRate(per_second=10)
    kept(rate, ID, AT, 1)
    assert kept(rate, ID, AT + timedelta(hours=1), 100) == 20


def test_one_that_could_not_be_closed_is_to_be_closed_by_its_next_frame_that_is_too_many() -> None:
    rate = FrameRate(per_second=10)
    assert kept(rate, ID, AT, 20) == 20
    for _ in range(2):
        assert rate.of(ID, AT) is Rate.EXCEEDED
        assert rate.of(ID, AT) is Rate.STILL_EXCEEDED
        rate.not_closed(ID)
    rate.not_closed(OTHER)  # which is not known: nothing happens
    assert kept(rate, OTHER, AT, 20) == 20


def test_a_clock_that_goes_back_costs_nobody_his_frames() -> None:
    rate = FrameRate(per_second=10)
    assert kept(rate, ID, AT, 5) == 5
    assert kept(rate, ID, AT - timedelta(hours=1), 15) == 15


def test_of_too_many_connections_those_that_sent_nothing_for_longest_are_forgotten() -> None:
    rate = FrameRate(per_second=10)
    kept(rate, ID, AT, 20)
    for number in range(9_999):
        rate.of(ConnectionId(f"{number}"), AT)
    assert rate.of(ID, AT) is Rate.EXCEEDED
    for number in range(10_000):
        rate.of(ConnectionId(f"{number}"), AT)
    assert rate.of(ID, AT) is Rate.KEPT


def test_who_makes_too_many_requests_is_refused_until_there_is_room_again() -> None:
    at = AT
    rate = RequestRate(per_second=10, clock=lambda: at)
    users = UserId("USR_1"), UserId("USR_2")
    for _ in range(20):
        rate.count(users[0])
    for _ in range(3):
        with pytest.raises(RateExceeded):
            rate.count(users[0])
    rate.count(users[1])
    at += timedelta(seconds=0.1)
    rate.count(users[0])
    with pytest.raises(RateExceeded) as refusal:
        rate.count(users[0])
    assert users[0] not in refusal.value.user_hash
