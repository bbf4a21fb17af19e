"""The handshake: what it costs, and who is refused."""

from datetime import timedelta

import pytest

from functions.clients.connection import Connection, Wire
from functions.clients.profile import NO_PROFILE, Profile
from functions.ports.identity import NotAuthenticated
from functions.ports.publisher import PublishFailed
from functions.ports.store import StoreUnavailable
from functions.published import ConnectionAccepted, ConnectionAdmitted
from functions.sessions.accept import ClientGone
from tests.support.makers import CALLER, RECEIVER, now
from tests.unit.sessions.door import (
    ID,
    SOCKET_IO,
    TTL,
    Door,
    repeated_commit,
    token_of,
)


async def test_a_json_client_costs_a_commit_and_a_publish_to_open(door: Door) -> None:
    before = now()
    await door.open(Wire.JSON, token_of(CALLER), CALLER)
    assert door.costs == ["Commit", "Publish"]
    # Else `deliver` could find no connection to tell what was missed, and leave it at that.
    assert door.services.journal.before("< Commit", "> Publish")
    opened = await door.connection()
    assert opened is not None
    assert before <= opened.connected_at <= now()
    expires = opened.connected_at + TTL
    expected = Connection(ID, CALLER, Wire.JSON, opened.connected_at, expires, owner=CALLER)
    assert opened == expected
    (event,) = door.services.published(ConnectionAdmitted)
    assert event.connection_id == ID
    # No event that was missed lives for longer.
    assert now() < event.expires_at <= now() + timedelta(seconds=120)


@SOCKET_IO
async def test_a_socketio_client_costs_a_commit_and_then_a_publish_to_open(
    door: Door, wire: Wire
) -> None:
    await door.open(wire, token_of(CALLER))
    assert door.costs == ["Commit", "Publish"]
    # Else `deliver` could find no connection to open, and leave it at that.
    assert door.services.journal.before("< Commit", "> Publish")
    opened = await door.connection()
    assert opened is not None
    # An EIO4 client has to ask to be let in; version 2 can't.
    user = CALLER if wire is Wire.EIO3 else None
    assert (opened.user, opened.owner, opened.shown_user) == (user, user, CALLER)
    assert (opened.wire, opened.is_open) == (wire, False)
    event, *more = door.services.published_of_any_kind()
    assert isinstance(event, ConnectionAccepted)
    assert (event.connection_id, event.connected_at) == (ID, opened.connected_at)
    assert event.expires_at - event.connected_at == timedelta(seconds=20)
    # Who is admitted by the handshake is caught up with what he missed; by one Publish with it.
    admitted = [made.connection_id for made in more if isinstance(made, ConnectionAdmitted)]
    assert admitted == ([ID] if wire is Wire.EIO3 else [])
    assert len(more) == len(admitted)


@pytest.mark.parametrize("wire", Wire)
async def test_the_profile_of_the_token_is_kept_and_is_the_owners_once_there_is_one(
    door: Door, wire: Wire
) -> None:
    door.services.identity.names[token_of(CALLER)] = "Ann"
    await door.open(wire, token_of(CALLER))
    assert door.costs == ["Commit", "Publish"]
    opened = await door.connection()
    assert opened is not None
    ann = Profile("Ann")
    assert (opened.profile, opened.shown_profile) == {
        Wire.JSON: (ann, NO_PROFILE),
        Wire.EIO3: (ann, ann),
        Wire.EIO4: (NO_PROFILE, ann),
    }[wire]
    assert door.services.identity.verified == [token_of(CALLER)]


async def test_a_handshake_is_not_refused_because_nobody_can_be_told_what_was_missed(
    door: Door,
) -> None:
    door.services.faults.fail("pubsub.Publish")
    await door.open(Wire.JSON, token_of(CALLER))
    assert await door.connection() is not None


@pytest.mark.parametrize("wire", Wire)
async def test_a_client_whose_disconnect_is_handled_first_is_gone(door: Door, wire: Wire) -> None:
    await door.closing.close(ID)
    with pytest.raises(ClientGone):
        await door.open(wire, token_of(CALLER))
    assert door.costs == ["Commit", "BatchGetDocuments"]
    assert door.services.published_of_any_kind() == []
    assert await door.services.store.connections.of([CALLER], now()) == []


@pytest.mark.parametrize("wire", Wire)
async def test_a_handshake_whose_commit_is_repeated_meets_itself_and_is_our_own(
    door: Door, wire: Wire
) -> None:
    door.services.faults.arm(repeated_commit())
    await door.open(wire, token_of(CALLER))
    assert door.costs == ["Commit", "BatchGetDocuments", "Publish"]


async def test_a_json_client_with_a_bad_token_is_refused_at_the_handshake(door: Door) -> None:
    for token in (None, "garbage", "expired"):
        with pytest.raises(NotAuthenticated, match="the token"):
            await door.open(Wire.JSON, token)
        assert door.costs == []
    with pytest.raises(NotAuthenticated, match="userId is not the token's"):
        await door.open(Wire.JSON, token_of(CALLER), RECEIVER)
    assert await door.services.world.ids_in("connections") == set()


@SOCKET_IO
async def test_a_socketio_client_with_a_bad_token_is_let_connect(door: Door, wire: Wire) -> None:
    cases = [
        (None, None, "the token is missing"),
        ("garbage", None, "the token is not valid"),
        ("expired", None, "the token has expired"),
        (token_of(CALLER), RECEIVER, "userId is not the token's"),
    ]
    for token, user, why in cases:
        await door.forget()
        await door.open(wire, token, user)
        assert door.costs == ["Commit", "Publish"]
        opened = await door.connection()
        assert opened is not None
        assert (opened.user, opened.shown_user, opened.refusal) == (None, None, why)


async def test_a_publish_that_fails_refuses_the_handshake(door: Door) -> None:
    door.services.faults.fail("pubsub.Publish")
    with pytest.raises(PublishFailed):
        await door.open(Wire.EIO4, token_of(CALLER))
    closed = await door.connection()
    assert closed is not None
    assert closed.closed_at is not None


@pytest.mark.parametrize("wire", Wire)
async def test_a_commit_that_fails_refuses_the_handshake_and_nothing_is_published(
    door: Door, wire: Wire
) -> None:
    door.services.faults.fail("firestore.Commit")
    with pytest.raises(StoreUnavailable):
        await door.open(wire, token_of(CALLER))
    assert door.costs == ["Commit"]
