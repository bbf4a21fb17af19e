"""Who shows a ring token in his handshake, or in his CONNECT, is let in for one call."""

from dataclasses import replace
from datetime import timedelta

import pytest

from functions.calls.call import Call, CallId, Status, UserId
from functions.clients.connection import Wire
from functions.clients.ringtoken import RingToken
from functions.ports.identity import NotAuthenticated
from functions.ports.store import StoredCall, StoreUnavailable
from functions.published import ConnectionAccepted, ConnectionAdmitted
from functions.sessions.accept import Handshake
from functions.wire.frames import Connect, Goodbye
from tests.support.api import make_unreadable
from tests.support.makers import CALL, CALLER, RECEIVER, RING_TOKENS, now
from tests.unit.sessions.door import ADMISSION, ID, LET_IN, Door, token_of

OVER = "the call of the ring token is over"
EVERY_WIRE = pytest.mark.parametrize("wire", list(Wire))


def ring(
    call: CallId = CALL,
    user: UserId = RECEIVER,
    device: str | None = "phone 1",
    registration: str | None = "registered 1",
) -> str:
    signed = RING_TOKENS.sign(RingToken(call, user, device, registration), now())
    assert signed is not None
    return signed


async def opened(
    door: Door, wire: Wire, token: str | None = None, user: str | None = None, **more: str
) -> None:
    shown = {"ring": ring(), **more}
    door.services.journal.clear()
    await door.acceptance.accept(ID, Handshake(wire, token, user, **shown))


async def let_in(door: Door, namespace: str = "/", **shown: str) -> str:
    door.services.journal.clear()
    return await door.admission.admit(ID, Connect(namespace, **shown), door.tick())


async def is_for(door: Door, user: UserId | None, call: CallId | None = CALL) -> None:
    found = await door.connection()
    assert found is not None
    assert (found.user, found.only_call) == (user, call)
    if call:
        assert (found.device, found.registration) == ("phone 1", "registered 1")


def has_ended(door: Door, ago: timedelta) -> None:
    over = Call(CALL, CALLER, RECEIVER, Status.CANCELLED, ended_at=now() - ago)
    door.services.database.calls[CALL] = StoredCall(over, now())


# The handshake


async def test_a_json_client_is_let_in_for_one_call(door: Door) -> None:
    await door.services.world.ring()
    await opened(door, Wire.JSON)
    assert door.costs == ["BatchGetDocuments", "Commit", "Publish"]
    assert door.services.identity.verified == []
    await is_for(door, RECEIVER)
    found = await door.connection()
    assert found is not None
    assert found.owner == RECEIVER
    (event,) = door.services.published(ConnectionAdmitted)
    assert event.connection_id == ID


async def test_a_client_of_version_2_is_let_in_by_its_handshake(door: Door) -> None:
    await door.services.world.ring()
    await opened(door, Wire.EIO3)
    await is_for(door, RECEIVER)
    kinds = [type(event) for event in door.services.published_of_any_kind()]
    assert kinds == [ConnectionAccepted, ConnectionAdmitted]


async def test_a_client_of_version_4_is_let_in_by_its_connect(door: Door) -> None:
    await door.services.world.ring()
    await opened(door, Wire.EIO4)
    await is_for(door, None)
    assert await let_in(door) == LET_IN
    assert door.costs == ADMISSION
    await is_for(door, RECEIVER)


@EVERY_WIRE
async def test_a_ring_token_counts_before_the_token_of_a_user(door: Door, wire: Wire) -> None:
    await door.services.world.ring()
    await opened(door, wire, token_of(RECEIVER))
    if wire is Wire.EIO4:
        assert await let_in(door, token=token_of(CALLER)) == LET_IN
    await is_for(door, RECEIVER)
    assert door.services.identity.verified == []


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ({"ring": "ring.x"}, "the ring token is not valid"),
        ({"ring": token_of(RECEIVER)}, "the ring token is not valid"),
        ({"ring": ring(user=UserId("USR_9"))}, OVER),
        ({"ring": ring(CallId("CALL_9"))}, OVER),
        ({"user": CALLER}, "userId is not the token's"),
    ],
)
@EVERY_WIRE
async def test_a_bad_ring_token_is_refused_like_a_bad_token(
    door: Door, wire: Wire, shown: dict[str, str], message: str
) -> None:
    await door.services.world.ring()
    if wire is Wire.JSON:
        with pytest.raises(NotAuthenticated, match=message):
            await opened(door, wire, **shown)
        return
    await opened(door, wire, **shown)
    found = await door.connection()
    assert found is not None
    assert (found.user, found.shown_user, found.only_call) == (None, None, None)
    assert found.refusal == message
    if wire is Wire.EIO4:
        assert await let_in(door) == f'44{{"message":"{message}"}}'


async def test_a_call_that_is_long_over_lets_nobody_in(door: Door) -> None:
    has_ended(door, timedelta(minutes=10, seconds=-2))
    await opened(door, Wire.JSON)
    await door.forget()
    has_ended(door, timedelta(minutes=10, seconds=2))
    with pytest.raises(NotAuthenticated, match=OVER):
        await opened(door, Wire.JSON)
    make_unreadable(door.services)
    with pytest.raises(NotAuthenticated, match=OVER):
        await opened(door, Wire.JSON)


async def test_a_store_that_is_down_refuses_nobody_for_good(door: Door) -> None:
    await door.services.world.ring()
    door.services.faults.fail("firestore.BatchGetDocuments", times=len(Wire))
    for wire in Wire:
        with pytest.raises(StoreUnavailable):
            await opened(door, wire)


@EVERY_WIRE
async def test_a_ring_token_where_a_users_belongs_is_shown_to_no_provider(
    door: Door, wire: Wire
) -> None:
    await door.services.world.ring()
    message = "a ring token is good for its call alone"
    if wire is Wire.JSON:
        with pytest.raises(NotAuthenticated, match=message):
            await door.open(wire, ring())
    else:
        await door.open(wire, f"Bearer {ring()}")
        found = await door.connection()
        assert found
        assert found.refusal == message
        assert await let_in(door, token=ring()) == f'44{{"message":"{message}"}}' or (
            wire is Wire.EIO3
        )
    assert door.services.identity.verified == []


# The CONNECT


async def test_a_connect_may_show_a_ring_token(door: Door) -> None:
    await door.services.world.ring()
    await door.open(Wire.EIO4)
    assert await let_in(door, ring=ring(), user=RECEIVER) == LET_IN
    assert door.costs == ["BatchGetDocuments", *ADMISSION]
    await is_for(door, RECEIVER)
    # The same again is safe.
    assert await let_in(door, ring=ring()) == LET_IN
    await is_for(door, RECEIVER)


async def test_a_ring_token_counts_before_what_the_handshake_has_shown(door: Door) -> None:
    await door.services.world.ring()
    await door.open(Wire.EIO4, token_of(CALLER))
    assert await let_in(door, ring=ring(), token=token_of(CALLER)) == LET_IN
    await is_for(door, RECEIVER)
    found = await door.connection()
    assert found
    assert found.shown_user is None


async def test_who_left_comes_back_by_his_ring_token_and_by_nothing_else(door: Door) -> None:
    await door.services.world.ring()
    await door.open(Wire.EIO4)
    await let_in(door, ring=ring())
    await door.closing.leave(ID, Goodbye(), door.tick())
    await is_for(door, None)
    assert (await let_in(door, token=token_of(RECEIVER))).startswith("44")
    await is_for(door, None)
    assert await let_in(door, ring=ring()) == LET_IN
    await is_for(door, RECEIVER)


@pytest.mark.parametrize(
    "other",
    [
        {"call": CallId("CALL_2")},
        {"user": CALLER},
        {"device": "phone 2"},
        {"registration": "registered 2"},
    ],
)
async def test_a_connection_stays_what_it_is_for(door: Door, other: dict[str, str]) -> None:
    await door.services.world.ring()
    stored = door.services.database.calls[CALL]
    for call, receiver in ((CallId("CALL_2"), RECEIVER), (CALL, RECEIVER)):
        made = replace(stored.call, id=call, receiver=receiver)
        door.services.database.put_call(made)
    await door.open(Wire.EIO4)
    await let_in(door, ring=ring())
    refused = await let_in(door, ring=ring(**other))  # type: ignore[arg-type]
    assert refused.startswith("44")
    found = await door.connection()
    assert found
    assert (found.owner, found.only_call) == (RECEIVER, CALL)
    assert (found.device, found.registration) == ("phone 1", "registered 1")


async def test_a_users_connection_is_not_made_one_of_a_ring_token(door: Door) -> None:
    await door.services.world.ring()
    await door.open(Wire.EIO4, token_of(RECEIVER))
    await let_in(door)
    message = "the connection is for something else: open another"
    assert await let_in(door, "/user", ring=ring()) == f'44/user,{{"message":"{message}"}}'
    await is_for(door, RECEIVER, None)


async def test_a_bad_ring_token_in_a_connect_is_refused(door: Door) -> None:
    await door.services.world.ring()
    await door.open(Wire.EIO4, token_of(RECEIVER))
    refused = await let_in(door, ring="ring.x")
    assert refused == '44{"message":"the ring token is not valid"}'
    await is_for(door, None, None)
