"""A connection that takes over the session of a client that polled, and which it was before."""

from dataclasses import fields, replace
from datetime import datetime, timedelta

import pytest

from functions.calls.call import ConnectionId
from functions.clients.connection import Connection, NotUpgraded
from tests.support.makers import RECEIVER, now
from tests.support.polls import SESSION, SOCKET, session_of, socket_for, with_everything

OTHER = ConnectionId("2=")
DUE = now() + timedelta(seconds=45)

# What becomes of each field of the session's, and of the socket's.
TAKEN_OVER = {
    *("user", "profile", "wire", "is_open", "namespace", "only_call", "calling"),
    *("shown_user", "shown_profile", "said_user", "refusal", "device", "registration"),
}
ITS_OWN = {"id", "connected_at", "expires_at", "version"}
FORGOTTEN = {
    *("former_owner", "former_left_at", "admitted_at", "closed_at", "left_at", "admit_by"),
    *("upgrades", "upgraded_to"),
}
SAID_ANEW = {"also_in", "owner", "upgraded_from", "upgrade_id", "told_since"}


def pair() -> tuple[Connection, Connection]:
    """A session with something in each field, as one of a client's that polls may have it, and the
    socket that bears its sid; both as they were read."""
    session = replace(with_everything(), upgrades=None, upgraded_to=None)
    socket = socket_for(session_of(RECEIVER))
    return replace(session, version=now()), replace(socket, version=now() + timedelta(seconds=1))


def test_of_each_field_it_is_known_what_becomes_of_it() -> None:
    known = [*TAKEN_OVER, *ITS_OWN, *FORGOTTEN, *SAID_ANEW]
    assert sorted(known) == sorted(field.name for field in fields(Connection))


def test_a_socket_that_takes_over_a_session_becomes_what_that_was() -> None:
    session, socket = pair()
    taken = socket.taking_over(session, "upgrade", DUE)
    for name in TAKEN_OVER:
        assert getattr(taken, name) == getattr(session, name), name
    for name in ITS_OWN:
        assert getattr(taken, name) == getattr(socket, name), name
    assert {name: getattr(taken, name) for name in FORGOTTEN} == dict.fromkeys(FORGOTTEN)
    assert (taken.upgraded_from, taken.upgrade_id) == (SESSION, "upgrade")
    assert (taken.owner, taken.told_since) == (session.user, session.version)


def test_when_its_client_entered_a_namespace_is_not_known_by_api_gateways_clock() -> None:
    session, socket = pair()
    taken = socket.taking_over(session, "upgrade", DUE)
    assert taken.also_in == {"/": None, "/agent": None}
    for namespace in ("/user", "/", "/agent"):
        assert taken.entered_at(namespace) is None


@pytest.mark.parametrize("received_at", [None, now() - timedelta(hours=1), now()])
def test_all_that_comes_by_the_socket_is_the_users(received_at: datetime | None) -> None:
    session, socket = pair()
    taken = socket.taking_over(session, "upgrade", DUE)
    assert taken.sender(received_at) == session.user


def test_whose_session_is_nobodys_must_be_admitted_by_the_socket() -> None:
    session, socket = pair()
    left = replace(session, user=None)  # it keeps its owner, who has said goodbye
    taken = socket.taking_over(left, "upgrade", DUE)
    assert (taken.user, taken.owner, taken.admit_by) == (None, None, DUE)
    assert taken.sender(now()) is None


def test_a_socket_that_has_not_taken_over_its_session_yet_is_told_from_all_others() -> None:
    session, socket = pair()
    with pytest.raises(NotUpgraded):
        socket.check_upgraded()
    session.check_upgraded()
    socket.taking_over(session, "upgrade", DUE).check_upgraded()


@pytest.mark.parametrize(
    ("upgraded_from", "ids", "is_among"),
    [
        (None, [SOCKET], True),
        (None, [OTHER, SOCKET], True),
        (None, [OTHER, SESSION], False),
        (None, [], False),
        (None, [None], False),
        (SESSION, [SOCKET], True),
        (SESSION, [OTHER, SESSION], True),
        (SESSION, [OTHER], False),
        (SESSION, [None], False),
    ],
)
def test_a_connection_is_itself_and_the_session_that_it_has_taken_over(
    upgraded_from: ConnectionId | None, ids: list[ConnectionId | None], is_among: bool
) -> None:
    connection = replace(socket_for(session_of(RECEIVER)), upgraded_from=upgraded_from)
    assert connection.is_among(ids) is is_among
    assert connection.is_among(frozenset(ids)) is is_among
