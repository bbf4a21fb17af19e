"""What is published survives its journey, and what is none of ours is refused."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.calls.call import Call, ConnectionId, SignalId, Status, UserId
from functions.calls.event import CallEvent, MalformedEvent
from functions.calls.transitions import PushedBy, PushPolicy
from functions.published import (
    ConnectionAccepted,
    ConnectionAdmitted,
    DeviceGone,
    Published,
    attributes,
    decode,
    encode,
)
from tests.support.makers import CALL, CALLER, RECEIVER, event

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
OPENED = ConnectionAccepted(
    connection_id=ConnectionId("Dxe94t_sVUdIB2Q="),
    connected_at=NOW,
    expires_at=NOW + timedelta(seconds=20),
)
ADMITTED = ConnectionAdmitted(
    connection_id=OPENED.connection_id, expires_at=NOW + timedelta(seconds=30)
)


def changed(made: Published, **changes: object) -> bytes:
    return json.dumps(json.loads(encode(made)) | changes).encode()


@pytest.mark.parametrize("name", ["call:cancel", "call:reject", "call:accept"])
@pytest.mark.parametrize("served", [None, (), ("a=", "b=")], ids=str)
def test_an_event_of_a_call_is_read_as_it_was_published(
    name: str, served: tuple[str, ...] | None
) -> None:
    made = event(name, served=served)
    assert decode(encode(made)) == made


def test_an_opened_connection_is_read_as_it_was_published() -> None:
    assert decode(encode(OPENED)) == OPENED
    assert json.loads(encode(OPENED)) == {
        "name": "connection.accepted",
        "connectionId": "Dxe94t_sVUdIB2Q=",
        "connectedAt": "2026-01-02T03:04:05.678901Z",
        "expiresAt": "2026-01-02T03:04:25.678901Z",
    }


def test_an_admitted_connection_is_read_as_it_was_published() -> None:
    assert decode(encode(ADMITTED)) == ADMITTED
    assert json.loads(encode(ADMITTED)) == {
        "name": "connection.admitted",
        "connectionId": "Dxe94t_sVUdIB2Q=",
        "expiresAt": "2026-01-02T03:04:35.678901Z",
    }


def test_an_opened_connection_expires_when_its_time_is_up() -> None:
    assert not OPENED.expired(OPENED.expires_at - timedelta(microseconds=1))
    assert OPENED.expired(OPENED.expires_at)


@pytest.mark.parametrize(
    "made", [event(), OPENED, ADMITTED], ids=["call", "opened connection", "admitted connection"]
)
def test_what_a_later_version_adds_does_not_matter(made: Published) -> None:
    assert decode(changed(made, addedLater={"by": ["a", "newer", "version"]})) == made


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9))).isoformat()
    assert decode(changed(OPENED, connectedAt=there)) == OPENED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"name": 1}',
        b'{"name": "connection.closed"}',
        b'{"name": "connection.accepted"}',
        b'{"name": "connection.admitted"}',
        b"\xff\xfe",
        b'{"name": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"name": "connection.accepted", "a":' + b"[" * 100_000,
    ],
    ids=lambda data: str(data[:40]),
)
def test_bytes_that_nobody_published_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode(data)


@pytest.mark.parametrize(
    "change",
    [
        {"connectionId": None},
        {"connectionId": 7},
        {"connectionId": ""},
        {"connectionId": "."},
        {"connectionId": "a/b"},
        {"connectionId": "__x__"},
        {"connectedAt": 1_700_000_000_000},
        {"connectedAt": "2026-01-02T03:04:05"},
        {"expiresAt": "soon"},
        {"expiresAt": None},
    ],
    ids=str,
)
def test_an_opened_connection_needs_an_id_that_can_be_one_and_moments_with_a_zone(
    change: dict[str, object],
) -> None:
    with pytest.raises(MalformedEvent):
        decode(changed(OPENED, **change))
    if "connectedAt" not in change:
        with pytest.raises(MalformedEvent):
            decode(changed(ADMITTED, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "exploded"},
        {"status": "exploded"},
        {"callId": "a/b"},
        {"timestamp": -1},
        {"served": [1]},
    ],
    ids=str,
)
def test_an_event_of_a_call_that_no_handler_could_finish_is_refused(
    change: dict[str, object],
) -> None:
    with pytest.raises(MalformedEvent) as refused:
        decode(changed(event(), **change))
    assert "exploded" not in str(refused.value)  # which is logged


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise_anything_else(data: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode(data)


GONE = DeviceGone(
    user_id=UserId("USR_2"), token="dead", platform="android", registered_at=1, found_at=2
)


def test_a_device_that_is_gone_is_read_as_it_was_published() -> None:
    assert decode(encode(GONE)) == GONE
    assert json.loads(encode(GONE)) == {
        "name": "device.gone",
        "userId": "USR_2",
        "token": "dead",
        "platform": "android",
        "registeredAt": 1,
        "foundAt": 2,
    }


@pytest.mark.parametrize(
    ("by", "kinds"),
    [(PushedBy.UNRING, {"push"}), (PushedBy.BACKEND, {"wanted"}), (None, set())],
)
def test_an_event_says_who_has_something_to_do_with_it(
    by: PushedBy | None, kinds: set[str]
) -> None:
    made = event("call:cancel", pushes=PushPolicy(by, by, by))
    assert attributes(made) == dict.fromkeys({"webhook", *kinds}, "true")
    assert attributes(event("call:accept")) == {"webhook": "true"}
    assert attributes(GONE) == {"webhook": "true", "only": "webhook"}
    assert attributes(ADMITTED) == attributes(OPENED) == {}


@pytest.mark.parametrize("rings_until", [None, NOW], ids=["for ever", "for a time"])
def test_a_ring_that_ends_by_itself_says_so(rings_until: datetime | None) -> None:
    call = Call(CALL, CALLER, RECEIVER, Status.RINGING, rings_until=rings_until)
    made = CallEvent.of_ring(call, SignalId("s"), NOW)
    ring = {"ring": "true"} if rings_until else {}
    assert attributes(made) == {"webhook": "true", "push": "true", **ring}
