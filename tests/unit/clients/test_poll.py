"""What a client that polls shows of its session, and until when that lasts."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.calls.call import ConnectionId
from functions.clients.connection import Wire
from functions.clients.poll import SESSION_LASTS, Poll, Sid, new_taker, polls

BEGUN = datetime(2026, 1, 2, tzinfo=UTC)
LASTS = timedelta(hours=2)
SID = Sid(ConnectionId(f"poll-{'a' * 22}"), "B" * 32)


def after(seconds: float) -> datetime:
    return BEGUN + timedelta(seconds=seconds)


def poll_of(*packets: str, expires_at: datetime | None = None, is_closed: bool = False) -> Poll:
    expires = expires_at or BEGUN + SESSION_LASTS
    ends, id = BEGUN + LASTS, ConnectionId("poll-1")
    return Poll(id, Wire.EIO4, packets, expires, ends, "proof", is_closed=is_closed)


# Its sid


def test_no_two_sids_have_anything_in_common() -> None:
    sids = [Sid.new() for _ in range(1000)]
    assert len({sid.id for sid in sids}) == len({sid.key for sid in sids}) == 1000
    assert not {sid.id.removeprefix("poll-") for sid in sids} & {sid.key for sid in sids}


def test_a_sid_is_read_as_it_was_written_and_needs_no_quoting_in_a_url() -> None:
    for sid in (Sid.new() for _ in range(1000)):
        assert Sid.read(str(sid)) == sid
        assert re.fullmatch(r"[A-Za-z0-9._-]{60}", str(sid))
        assert polls(sid.id)


def test_what_is_stored_of_a_key_is_always_the_same_and_not_that_of_another() -> None:
    sids = [Sid.new() for _ in range(1000)]
    assert len({sid.proof for sid in sids}) == 1000
    assert SID.proof == Sid(ConnectionId("poll-other"), SID.key).proof
    assert SID.key not in SID.proof


@pytest.mark.parametrize(
    "text",
    [
        "",
        "poll-",
        ".",
        SID.id,
        SID.key,
        f"{SID.id}.",
        f"{SID.id}{SID.key}",
        f"{SID.id}.{SID.key}.",
        f"{SID.id}.{SID.key}\n",
        f" {SID}",
        f"{SID}A",
        f"{SID}"[:-1],
        f"{SID}".removeprefix("poll-"),
        f"{SID}".replace("poll-", "POLL-"),
        f"{SID}".replace("poll-", "poll/"),
        f"{SID}".replace("a.", "."),
        f"{SID}".replace("a.", "aa."),
        f"{SID}".replace("a.", "=."),
        f"{SID}".replace("a.", "/."),
        f"{SID}".replace("B", "Ä"),
        f"{SID}".replace(".", ":"),
        f"{SID}".replace(".B", ".٣"),
        "L0SM9cOFvHcCIhw=",
    ],
    ids=repr,
)
def test_what_is_no_sid_of_ours_is_not_read(text: str) -> None:
    assert Sid.read(str(SID)) == SID
    assert Sid.read(text) is None


@given(st.integers(0, len(str(SID)) - 1), st.characters() | st.sampled_from("aZ0-_.=/+"))
def test_no_sid_is_read_but_from_its_very_text(at: int, other: str) -> None:
    text = f"{str(SID)[:at]}{other}{str(SID)[at + 1 :]}"
    is_of_its_kind = at not in (*range(5), 27) and re.fullmatch("[A-Za-z0-9_-]", other)
    sid = Sid.read(text)
    assert str(sid) == text if is_of_its_kind or text == str(SID) else sid is None


@pytest.mark.parametrize(("id", "is_so"), [(SID.id, True), ("Lpoll-1=", False), ("", False)])
def test_who_polls_is_told_by_his_id(id: str, is_so: bool) -> None:
    assert polls(ConnectionId(id)) is is_so


def test_no_two_takers_are_the_same() -> None:
    assert len({new_taker() for _ in range(1000)}) == 1000


# How long it lasts


@pytest.mark.parametrize(
    ("lasts_until", "polled_at", "renewed_until"),
    [
        (60, 0, None),
        (60, 20, None),
        (60, 20.001, 80.001),
        (60, 59, 119),
        (7179, 7146, 7200),  # no longer than it may last
        (7185, 7146, None),
        (7200, 7199, None),
    ],
)
def test_a_poll_makes_a_session_last_a_minute_more_which_is_noted_every_20_seconds(
    lasts_until: float, polled_at: float, renewed_until: float | None
) -> None:
    poll = poll_of(expires_at=after(lasts_until))
    renewed = None if renewed_until is None else after(renewed_until)
    assert poll.renewed_until(after(polled_at)) == renewed


def test_a_session_that_was_ended_is_renewed_no_more() -> None:
    late = after(59)
    assert poll_of("1").renewed_until(late)
    assert poll_of("1", is_closed=True).renewed_until(late) is None


@pytest.mark.parametrize("packets", [(), ("a",)])
@pytest.mark.parametrize("is_closed", [False, True])
def test_a_session_is_over_when_its_time_is_or_when_its_end_has_been_told(
    packets: tuple[str, ...], is_closed: bool
) -> None:
    poll = poll_of(*packets, is_closed=is_closed)
    just_before = poll.expires_at - timedelta(microseconds=1)
    assert poll.is_over(just_before) is (is_closed and not packets)
    assert poll.is_over(poll.expires_at)
