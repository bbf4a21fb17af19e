"""CONNECT: what letting a client in costs, and who is kept out."""

import asyncio
from datetime import timedelta

import pytest

from functions.clients.connection import Wire
from functions.clients.profile import NO_PROFILE, Profile
from functions.ports.identity import IdentityUnavailable
from functions.ports.store import StoreUnavailable
from functions.published import ConnectionAccepted, ConnectionAdmitted
from functions.wire.frames import Connect, Goodbye
from tests.support.makers import CALLER, RECEIVER, now
from tests.unit.sessions.door import (
    ADMISSION,
    EXPIRED,
    FOREIGN,
    ID,
    INVALID,
    LET_IN,
    MISSING,
    NOOP,
    RECONNECT,
    SOCKET_IO,
    Door,
    repeated_commit,
    token_of,
)


async def test_a_token_that_comes_with_the_connect_costs_a_read_a_commit_and_a_publish(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    door.services.published(ConnectionAccepted)
    assert await door.let_in(token_of(CALLER), CALLER) == LET_IN
    assert door.costs == ADMISSION
    let_in = await door.connection()
    assert let_in is not None
    # Who asks to be let in has read the open packet, even if `deliver` has not written so yet.
    assert (let_in.user, let_in.owner, let_in.is_open) == (CALLER, CALLER, True)
    assert let_in.admitted_at == door.time
    (event,) = door.services.published(ConnectionAdmitted)
    assert event.connection_id == ID


async def test_who_is_admitted_by_a_commit_that_meets_itself_is_caught_up_too(door: Door) -> None:
    await door.open(Wire.EIO4)
    door.services.faults.arm(repeated_commit())
    assert await door.let_in(token_of(CALLER)) == LET_IN
    assert door.costs == ["BatchGetDocuments", "Commit", "BatchGetDocuments", "Publish"]


async def test_who_is_admitted_again_at_a_time_that_nobody_knows_is_caught_up_too(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    request = Connect("/", token_of(CALLER))
    for _ in range(2):  # the reply to the first commit may have been lost
        assert await door.admission.admit(ID, request, None) == LET_IN
        *_, event = door.services.published_of_any_kind()
        assert isinstance(event, ConnectionAdmitted)


async def test_a_connection_that_keeps_changing_is_given_up_after_four_tries(door: Door) -> None:
    await door.open(Wire.EIO4)
    letting_in = asyncio.create_task(door.let_in(token_of(CALLER)))
    for _ in range(4):
        commit = door.services.faults.hold("firestore.Commit")
        await commit.reached.wait()
        connection = door.services.database.connections[ID]
        door.services.database.put_connection(connection)
        commit.release()
    with pytest.raises(StoreUnavailable):
        await letting_in
    assert door.costs == ["BatchGetDocuments", "Commit"] * 4


async def test_a_catch_up_that_hangs_is_not_waited_for(door: Door) -> None:
    await door.open(Wire.EIO4)
    door.services.faults.hold("pubsub.Publish")
    began = now()
    assert await door.let_in(token_of(CALLER)) == LET_IN
    assert now() - began == timedelta(seconds=1)


async def test_without_the_identitys_keys_nobody_is_let_in_or_refused(door: Door) -> None:
    await door.open(Wire.EIO4)
    door.services.identity.is_down = True
    with pytest.raises(IdentityUnavailable):
        await door.let_in(token_of(CALLER))
    assert door.costs == ["BatchGetDocuments"]
    with pytest.raises(IdentityUnavailable):
        await door.open(Wire.JSON, token_of(CALLER))
    assert door.costs == []


async def test_a_token_that_came_with_the_query_costs_the_same(door: Door) -> None:
    await door.open(Wire.EIO4, token_of(CALLER))
    assert await door.let_in() == LET_IN
    assert door.costs == ADMISSION
    assert await door.let_in(user=CALLER) == LET_IN
    assert await door.let_in(token_of(CALLER)) == LET_IN
    assert door.costs == ADMISSION


async def test_who_was_let_in_may_ask_again(door: Door) -> None:
    await door.open(Wire.EIO4)
    token = token_of(CALLER)
    assert [await door.let_in(token), await door.let_in(token)] == [LET_IN, LET_IN]
    # It may have left between the two, by a goodbye that is handled last.
    assert door.costs == ADMISSION
    assert await door.let_in() == LET_IN


async def test_a_socketio_client_with_a_bad_token_is_told_when_it_is_connected(door: Door) -> None:
    for token, answer in ((None, MISSING), ("garbage", INVALID), ("expired", EXPIRED)):
        await door.forget()
        await door.open(Wire.EIO4, token)
        assert await door.let_in() == answer  # as shown in the query
        assert door.costs == ["BatchGetDocuments", "Commit"]
        await door.forget()
        await door.open(Wire.EIO4)
        assert await door.let_in(token) == answer  # as shown in the CONNECT
        assert door.costs == ["BatchGetDocuments", "Commit"]
        assert await door.let_in(token) == answer
        assert door.costs == ["BatchGetDocuments"]  # there is nothing left to end
        refused = await door.connection()
        assert refused is not None
        assert refused.user is None


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer  ", "BEARER "])
async def test_a_token_may_be_written_as_in_a_header_wherever_it_stands(
    door: Door, scheme: str
) -> None:
    token = scheme + token_of(CALLER)
    await door.open(Wire.JSON, token)
    accepted = await door.connection()
    assert accepted is not None
    assert accepted.owner == CALLER
    await door.forget()
    await door.open(Wire.EIO4)
    assert await door.let_in(token) == LET_IN


@pytest.mark.parametrize("token", ["Bearer", "Bearer ", "bearer   "])
async def test_a_scheme_without_a_token_is_none(door: Door, token: str) -> None:
    await door.open(Wire.EIO4)
    assert await door.let_in(token) == MISSING


async def test_the_connects_token_wins_over_a_bad_one_in_the_query(door: Door) -> None:
    await door.open(Wire.EIO4, "garbage")
    assert await door.let_in(token_of(CALLER)) == LET_IN
    assert await door.let_in() == LET_IN


async def test_the_connects_bad_token_wins_over_a_good_one_in_the_query(door: Door) -> None:
    await door.open(Wire.EIO4, token_of(CALLER))
    assert await door.let_in("garbage") == INVALID
    refused = await door.connection()
    assert refused is not None
    assert refused.user is None


async def test_who_is_refused_after_having_been_let_in_is_out_again(door: Door) -> None:
    await door.open(Wire.EIO4)
    assert await door.let_in(token_of(CALLER)) == LET_IN
    assert await door.let_in("garbage") == INVALID
    assert door.costs == ["BatchGetDocuments", "Commit"]
    refused = await door.connection()
    assert refused is not None
    assert (refused.user, refused.is_open) == (None, True)
    # What was sent before is still the user's, and nothing that was sent after.
    assert refused.sender(door.time) == CALLER
    assert refused.sender(door.tick()) is None


async def test_who_shows_another_users_token_is_that_user_from_then_on(door: Door) -> None:
    await door.open(Wire.EIO4, token_of(CALLER))
    assert await door.let_in() == LET_IN
    assert await door.let_in(token_of(RECEIVER)) == LET_IN
    assert await door.let_in() == LET_IN
    let_in = await door.connection()
    assert let_in is not None
    assert let_in.user == RECEIVER


async def test_the_profile_of_the_token_that_admits_is_kept(door: Door) -> None:
    names, handset = door.services.identity.names, token_of(CALLER)
    names.update({handset: "Ann", token_of(RECEIVER): "Bob"})

    async def profile() -> Profile:
        found = await door.connection()
        assert found is not None
        return found.profile

    await door.open(Wire.EIO4, handset)
    assert await door.let_in() == LET_IN  # by the handshake's
    assert door.costs == ADMISSION
    assert door.services.identity.verified == [handset]
    assert await profile() == Profile("Ann")
    assert await door.let_in(token_of(RECEIVER)) == LET_IN
    assert await profile() == Profile("Bob")
    assert await door.let_in() == LET_IN  # as whom he is
    assert await profile() == Profile("Bob")
    assert await door.let_in(token_of("USR_3")) == LET_IN
    assert await profile() == NO_PROFILE


async def test_who_leaves_may_come_back_by_the_token_of_the_handshake(door: Door) -> None:
    door.services.identity.names[token_of(CALLER)] = "Ann"
    await door.open(Wire.EIO4, token_of(CALLER))
    for token in (None, token_of(CALLER), None):  # his own again is nobody else's
        assert await door.let_in(token) == LET_IN
        assert await door.closing.leave(ID, Goodbye(), door.tick()) == NOOP
    assert await door.let_in() == LET_IN
    found = await door.connection()
    assert found is not None
    assert (found.user, found.profile) == (CALLER, Profile("Ann"))


@SOCKET_IO
async def test_nobody_comes_back_by_a_handshake_after_somebody_else_was_admitted(
    door: Door, wire: Wire
) -> None:
    door.services.identity.names[token_of(CALLER)] = "Ann"
    await door.open(wire, token_of(CALLER))
    assert await door.let_in(token_of(RECEIVER)) != MISSING
    named = [page async for page in door.services.store.connections.naming(CALLER)]
    assert named == [[]]  # who is signed out now has no socket here
    assert await door.closing.leave(ID, Goodbye(), door.tick()) == NOOP
    assert "the token is missing" in await door.let_in()
    found = await door.connection()
    assert found is not None
    assert (found.user, found.shown_user, found.shown_profile) == (None, None, NO_PROFILE)


async def test_a_user_who_is_called_otherwise_now_is_so_on_his_connection(door: Door) -> None:
    names, token = door.services.identity.names, token_of(CALLER)
    await door.open(Wire.EIO4)
    for name, commits in (("Ann", 1), ("Ann", 0), ("Anna", 1)):
        names[token] = name
        door.services.journal.clear()
        # When API Gateway got it is not known: what it says tells whether it is new.
        assert await door.admission.admit(ID, Connect("/", token), None) == LET_IN
        assert door.costs.count("Commit") == commits
        found = await door.connection()
        assert found is not None
        assert found.profile == Profile(name)


async def test_a_json_client_can_not_be_let_in_as_somebody_else(door: Door) -> None:
    await door.open(Wire.JSON, token_of(CALLER))
    assert await door.let_in(token_of(RECEIVER)) == "6"
    unchanged = await door.connection()
    assert unchanged is not None
    assert unchanged.user == CALLER


@pytest.mark.parametrize("token_in_query", [True, False])
@pytest.mark.parametrize("user_in_query", [True, False])
async def test_a_foreign_user_id_is_refused_wherever_it_stands(
    door: Door, token_in_query: bool, user_in_query: bool
) -> None:
    token = token_of(CALLER)
    for user, answer in ((RECEIVER, FOREIGN), (CALLER, LET_IN)):
        in_query = (token if token_in_query else None, user if user_in_query else None)
        in_connect = (None if token_in_query else token, None if user_in_query else user)
        await door.forget()
        await door.open(Wire.EIO4, *in_query)
        assert await door.let_in(*in_connect) == answer


async def test_who_said_who_it_is_can_be_let_in_as_nobody_else(door: Door) -> None:
    await door.open(Wire.EIO4, user=CALLER)
    assert await door.let_in(token_of(RECEIVER), RECEIVER) == FOREIGN
    assert await door.let_in(token_of(CALLER)) == LET_IN
    assert await door.let_in(token_of(RECEIVER)) == FOREIGN
    refused = await door.connection()
    assert refused is not None
    assert refused.user is None


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        (Wire.EIO3, '44/admin,"Invalid namespace"'),
        (Wire.EIO4, '44/admin,{"message":"Invalid namespace"}'),
    ],
)
async def test_another_namespace_is_refused_in_the_wires_own_form(
    door: Door, wire: Wire, answer: str
) -> None:
    await door.open(wire, token_of(CALLER))
    assert await door.let_in(token_of(CALLER), namespace="/admin") == answer
    assert door.costs == ["BatchGetDocuments"]


async def test_a_client_on_an_unknown_connection_is_told_to_reconnect(door: Door) -> None:
    assert await door.let_in(token_of(CALLER)) == RECONNECT
    assert await door.let_in(namespace="/admin") == RECONNECT
    assert door.costs == ["BatchGetDocuments"]
    assert await door.services.world.ids_in("connections") == set()


async def test_a_connection_that_closes_while_it_is_let_in_does_not_come_back(door: Door) -> None:
    await door.open(Wire.EIO4)
    commit = door.services.faults.hold("firestore.Commit")
    letting_in = asyncio.create_task(door.let_in(token_of(CALLER)))
    await commit.reached.wait()
    door.services.database.close(ID, now())
    commit.release()
    assert await letting_in == NOOP
    assert await door.services.store.connections.of([CALLER], now()) == []


async def test_a_connection_that_is_opened_while_it_is_let_in_is_let_in_all_the_same(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    commit = door.services.faults.hold("firestore.Commit")
    letting_in = asyncio.create_task(door.let_in(token_of(CALLER)))
    await commit.reached.wait()
    await door.services.store.connections.note_opened(ID)
    commit.release()
    assert await letting_in == LET_IN
    opening = ["Commit"]
    assert door.costs == ["BatchGetDocuments", "Commit", *opening, *ADMISSION]


async def test_without_firestore_nobody_can_say_who_may_come_in(door: Door) -> None:
    await door.open(Wire.EIO4)
    door.services.faults.fail("firestore.BatchGetDocuments")
    with pytest.raises(StoreUnavailable):
        await door.let_in(token_of(CALLER))


async def test_a_client_is_admitted_although_nobody_can_tell_it_what_was_missed(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    door.services.faults.fail("pubsub.Publish")
    assert await door.let_in(token_of(CALLER)) == LET_IN
