"""Who is busy: in which other call of his, and for how long."""

from datetime import UTC, datetime, timedelta

import pytest

from functions.calls.busy import Busy, Occupancy, is_busy
from functions.calls.call import Call, CallId, Status, UserId

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANNA, BEN, CARL = UserId("ANNA"), UserId("BEN"), UserId("CARL")


def other(
    caller: UserId,
    receiver: UserId,
    status: Status = Status.ACCEPTED,
    since: datetime = NOW,
    answered_at: datetime | None = None,
    rings_until: datetime | None = None,
) -> Occupancy:
    call = Call(
        CallId("O"), caller, receiver, status, answered_at=answered_at, rings_until=rings_until
    )
    return Occupancy(call, since)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (other(BEN, CARL), True),
        (other(CARL, BEN), True),  # whichever party he is
        (other(ANNA, BEN), False),  # who calls is whom he talks with
        (other(BEN, ANNA), False),
        (other(BEN, CARL, answered_at=NOW - HOUR), False),  # nobody has said that it is over
        (other(BEN, CARL, since=NOW - HOUR), False),
        (other(BEN, CARL, since=NOW, answered_at=NOW - HOUR / 2), True),
        (other(BEN, CARL, Status.RINGING, rings_until=NOW + HOUR), True),
        (other(BEN, CARL, Status.RINGING, rings_until=NOW), False),
        (other(BEN, CARL, Status.RINGING), True),
        (other(BEN, CARL, Status.RINGING, since=NOW - HOUR), False),
    ],
)
def test_a_call_makes_its_parties_busy_to_others_while_it_goes_on(
    found: Occupancy, expected: bool
) -> None:
    assert is_busy([found], {ANNA, BEN}, NOW, HOUR) is expected


def test_one_of_his_calls_is_enough() -> None:
    assert is_busy([other(ANNA, BEN), other(CARL, BEN)], {ANNA, BEN}, NOW, HOUR)
    assert not is_busy([], {ANNA, BEN}, NOW, HOUR)


def test_from_which_state_on_a_call_counts_is_chosen() -> None:
    assert Busy.OFF.statuses == ()
    assert Busy.IN_CALL.statuses == (Status.ACCEPTED,)
    assert set(Busy.RINGING.statuses) == {Status.RINGING, Status.ACCEPTED}
