"""Sessions: what opening and letting in costs, and who is kept out."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from functions.calls.call import ConnectionId
from functions.clients.connection import Connection, Wire
from functions.ports.identity import IdentityUnavailable, NotAuthenticated
from functions.ports.publisher import PublishFailed
from functions.ports.store import StoreUnavailable
from functions.published import ConnectionAccepted, ConnectionAdmitted
from functions.sessions.accept import Acceptance, ClientGone, Handshake
from functions.sessions.admit import Admission
from functions.sessions.close import Closing
from functions.wire.frames import Connect
from infra.emulators.faults import Fault, Kind
from tests.memory.others import TOKEN_PREFIX
from tests.memory.services import Services
from tests.support.makers import CALLER, RECEIVER, now

ID = ConnectionId("c=")
TTL = timedelta(minutes=125)
SOCKET_IO = pytest.mark.parametrize("wire", [Wire.EIO3, Wire.EIO4])

LET_IN = '40{"sid":"c="}'
RECONNECT = '{"message":"reconnect"}'
NOOP = "6"
ADMISSION = ["BatchGetDocuments", "Commit", "Publish"]
MISSING = '44{"message":"the token is missing"}'
INVALID = '44{"message":"the token is not valid"}'
EXPIRED = '44{"message":"the token has expired"}'
FOREIGN = '44{"message":"userId is not the token\'s"}'


def token_of(user: str) -> str:
    return f"{TOKEN_PREFIX}{user}"


def repeated_commit() -> Fault:
    """As Firestore's library repeats one whose reply was lost: the second meets the first."""
    return Fault(Kind.REPEAT, "firestore.Commit")


@dataclass
class Door:
    """The sessions, as one client meets them; `costs` are the calls of its last step."""

    services: Services
    acceptance: Acceptance
    admission: Admission
    closing: Closing
    time: datetime = field(default_factory=now)  # at which API Gateway gets the client's frames

    @property
    def costs(self) -> list[str]:
        return self.services.journal.started

    async def open(self, wire: Wire, token: str | None = None, user: str | None = None) -> None:
        self.services.journal.clear()
        await self.acceptance.accept(ID, Handshake(wire, token, user))

    async def let_in(
        self, token: str | None = None, user: str | None = None, namespace: str = "/"
    ) -> str:
        self.services.journal.clear()
        return await self.admission.admit(ID, Connect(namespace, token, user), self.tick())

    def tick(self) -> datetime:
        """API Gateway's time of the next frame."""
        self.time += timedelta(milliseconds=1)
        return self.time

    async def forget(self) -> None:
        """Makes the next client another one: ids are never used again."""
        await self.services.world.delete_connection(ID)

    async def connection(self) -> Connection | None:
        return await self.services.store.connections.get(ID, now())


@pytest.fixture
def door(services: Services) -> Door:
    connections, publisher, identity = (
        services.store.connections,
        services.publisher,
        services.identity,
    )
    identity.refused["expired"] = "the token has expired"
    closing = Closing(connections, now)
    return Door(
        services,
        Acceptance(connections, publisher, identity, now, TTL),
        Admission(connections, publisher, identity, closing, now, TTL),
        closing,
    )


# The handshake


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


async def test_a_handshake_is_not_refused_because_nobody_can_be_told_what_was_missed(
    door: Door,
) -> None:
    door.services.faults.fail("pubsub.Publish")
    await door.open(Wire.JSON, token_of(CALLER))
    assert await door.connection() is not None


async def test_a_client_is_admitted_although_nobody_can_tell_it_what_was_missed(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    door.services.faults.fail("pubsub.Publish")
    assert await door.let_in(token_of(CALLER)) == LET_IN


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


# CONNECT


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
