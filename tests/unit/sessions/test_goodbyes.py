"""Goodbyes: who is told no more, and whose frames still count."""

import asyncio
from datetime import timedelta

import pytest

from functions.calls.call import UserId
from functions.clients.connection import Wire
from functions.ports.store import StoreUnavailable
from functions.wire.frames import Connect, Goodbye
from tests.support.makers import CALLER, RECEIVER, now
from tests.unit.sessions.door import (
    ADMISSION,
    ID,
    INVALID,
    LET_IN,
    NOOP,
    RECONNECT,
    Door,
    token_of,
)

LEAVE = Goodbye()
CLOSE = Goodbye(closes_socket=True)


async def told(door: Door, user: UserId = CALLER) -> bool:
    """Whether the user is told by the connection."""
    return bool(await door.services.store.connections.of([user], now()))


async def leave(door: Door, goodbye: Goodbye = LEAVE) -> str:
    door.services.journal.clear()
    return await door.closing.leave(ID, goodbye, door.tick())


@pytest.mark.parametrize("wire", [Wire.JSON, Wire.EIO3])
async def test_a_closed_socket_is_told_nothing_and_what_it_sent_still_counts(
    door: Door, wire: Wire
) -> None:
    await door.open(wire, token_of(CALLER))
    for _ in range(2):
        door.services.journal.clear()
        await door.closing.close(ID)
        assert door.costs == ["Commit"]
    assert not await told(door)
    closed = await door.connection()
    assert closed is not None
    # None can be sent any more, so whatever comes was sent before.
    assert closed.sender(now() + timedelta(seconds=5)) == CALLER
    assert closed.sender(None) == CALLER
    assert closed.user is None
    assert closed.expires_at == now() + timedelta(seconds=60)


async def test_a_goodbye_ends_the_telling_on_a_socket_that_stays_open(door: Door) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    sent_before = door.tick()
    await leave(door)
    assert door.costs == ["BatchGetDocuments", "Commit"]
    assert not await told(door)
    left = await door.connection()
    assert left is not None
    assert [left.sender(at) for at in (sent_before, door.time, None)] == [CALLER] * 3
    assert left.sender(door.tick()) is None


async def test_frames_after_a_goodbye_do_not_count_once_the_socket_is_closed(door: Door) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    await leave(door)
    await door.closing.close(ID)
    closed = await door.connection()
    assert closed is not None
    assert closed.sender(door.time) == CALLER
    assert closed.sender(door.tick()) is None


async def test_a_second_goodbye_moves_nothing(door: Door) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    await leave(door)
    first = await door.connection()
    await leave(door)
    assert door.costs == ["BatchGetDocuments"]
    assert await door.connection() == first


async def test_who_comes_back_on_the_same_socket_is_told_again(door: Door) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    before = await door.connection()
    await leave(door)
    assert await door.let_in(token_of(RECEIVER)) == LET_IN
    assert door.costs == ADMISSION
    assert await told(door, RECEIVER)
    back = await door.connection()
    assert before is not None
    assert back is not None
    assert back.sender(door.tick()) == RECEIVER
    assert (back.closed_at, back.left_at, back.expires_at) == (None, None, before.expires_at)


@pytest.mark.parametrize("wire", [Wire.EIO3, Wire.EIO4])
async def test_who_comes_back_need_not_show_again_the_token_of_the_handshake(
    door: Door, wire: Wire
) -> None:
    await door.open(wire, token_of(CALLER))
    if wire is Wire.EIO4:
        await door.let_in()
    await leave(door)
    assert await door.let_in() == (LET_IN if wire is Wire.EIO4 else "40")
    assert await told(door)


async def test_a_connect_that_was_sent_before_the_goodbye_admits_nobody_after_it(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    connect_sent = door.time
    door.tick()
    await leave(door)
    door.time = connect_sent
    assert await door.let_in(token_of(CALLER)) == NOOP
    assert not await told(door)


async def test_of_a_connect_and_a_goodbye_in_one_millisecond_the_client_says_which_counts(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    await leave(door)
    door.time -= timedelta(milliseconds=1)
    assert await door.let_in(token_of(CALLER)) == RECONNECT
    assert not await told(door)


@pytest.mark.parametrize("was_in", [True, False])
async def test_a_goodbye_that_is_handled_after_the_client_came_back_ends_nothing(
    door: Door, was_in: bool
) -> None:
    await door.open(Wire.EIO4)
    if was_in:
        await door.let_in(token_of(CALLER))
    goodbye_sent = door.tick()
    await door.let_in(token_of(CALLER))
    await door.closing.leave(ID, LEAVE, goodbye_sent)
    assert await told(door)


async def test_a_good_connect_that_is_handled_after_a_later_bad_one_admits_nobody(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    good_sent = door.time
    door.tick()
    assert await door.let_in("garbage") == INVALID
    door.time = good_sent
    assert await door.let_in(token_of(CALLER)) == NOOP
    assert not await told(door)


async def test_a_goodbye_and_a_connect_behind_it_in_one_millisecond_let_the_client_say_which_counts(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    assert await door.closing.leave(ID, LEAVE, door.time) == RECONNECT


async def test_an_older_connect_that_is_handled_last_admits_nobody(door: Door) -> None:
    await door.open(Wire.EIO4)
    older = door.time
    door.tick()
    assert await door.let_in(token_of(RECEIVER)) == LET_IN
    for token in (token_of(CALLER), "garbage"):
        door.time = older
        assert await door.let_in(token) == NOOP
    assert await told(door, RECEIVER)
    assert not await told(door, CALLER)


async def test_what_the_former_user_sent_before_another_was_admitted_is_his(door: Door) -> None:
    await door.open(Wire.EIO4)
    before_all = door.time
    await door.let_in(token_of(CALLER))
    sent = door.tick()
    await leave(door)
    await door.let_in(token_of(RECEIVER))
    connection = await door.connection()
    assert connection is not None
    assert connection.sender(sent) == CALLER
    assert connection.sender(door.tick()) == RECEIVER
    await door.forget()
    await door.open(Wire.EIO4)
    await door.let_in(token_of(RECEIVER))
    fresh = await door.connection()
    assert fresh is not None
    assert fresh.sender(before_all) is None


async def test_between_a_goodbye_and_the_next_users_connect_nobody_sends(door: Door) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    await leave(door)
    between = door.tick()
    await door.let_in(token_of(RECEIVER))
    connection = await door.connection()
    assert connection is not None
    assert connection.sender(between) is None


async def test_what_came_in_the_millisecond_of_the_next_users_connect_is_the_former_users(
    door: Door,
) -> None:
    # A client that sends a frame and then a CONNECT sends nothing more before it has the reply.
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    same = door.tick()
    await door.admission.admit(ID, Connect("/", token_of(RECEIVER)), same)
    connection = await door.connection()
    assert connection is not None
    assert connection.sender(same) == CALLER
    assert connection.sender(door.tick()) == RECEIVER


async def test_what_comes_in_the_millisecond_of_ones_own_connect_is_ones_own(door: Door) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    first = await door.connection()
    assert first is not None
    assert first.sender(door.time) == CALLER
    await leave(door)
    await door.let_in(token_of(CALLER))
    back = await door.connection()
    assert back is not None
    assert back.sender(door.time) == CALLER


async def test_a_socket_that_is_closed_is_not_admitted_again_whenever_it_asked(door: Door) -> None:
    await door.open(Wire.EIO4)
    await door.closing.close(ID)
    assert await door.let_in(token_of(CALLER)) == NOOP
    assert await door.admission.admit(ID, Connect("/", token_of(CALLER)), None) == NOOP
    assert not await told(door)


async def test_who_was_refused_may_try_again_on_the_same_socket(door: Door) -> None:
    await door.open(Wire.EIO4)
    assert await door.let_in("garbage") == INVALID
    assert await door.let_in(token_of(CALLER)) == LET_IN
    assert await told(door)


async def test_a_goodbye_waits_for_a_connect_that_is_being_handled(door: Door) -> None:
    await door.open(Wire.EIO4)
    commit = door.services.faults.hold("firestore.Commit")
    letting_in = asyncio.create_task(door.let_in(token_of(CALLER)))
    await commit.reached.wait()
    # The first Commit is held, and the second is the goodbye's.
    await door.closing.leave(ID, LEAVE, door.tick())
    commit.release()
    assert await letting_in == NOOP
    assert not await told(door)


async def test_a_goodbye_on_a_connection_that_keeps_changing_is_given_up_after_four_tries(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    leaving = asyncio.create_task(leave(door))
    for _ in range(4):
        commit = door.services.faults.hold("firestore.Commit")
        await commit.reached.wait()
        door.services.database.put_connection(door.services.database.connections[ID])
        commit.release()
    with pytest.raises(StoreUnavailable):
        await leaving
    assert door.costs == ["BatchGetDocuments", "Commit"] * 4


async def test_a_connect_whose_time_is_not_known_is_not_outdated(door: Door) -> None:
    await door.open(Wire.EIO4)
    await leave(door)
    assert await door.admission.admit(ID, Connect("/", token_of(CALLER)), None) == LET_IN
    assert await told(door)


async def test_a_refusal_that_meets_a_change_is_tried_again(door: Door) -> None:
    await door.open(Wire.EIO4)
    commit = door.services.faults.hold("firestore.Commit")
    refusing = asyncio.create_task(door.let_in("garbage"))
    await commit.reached.wait()
    door.services.database.put_connection(door.services.database.connections[ID])
    commit.release()
    assert await refusing == INVALID
    assert door.costs == ["BatchGetDocuments", "Commit"] * 2


async def test_who_asks_for_the_close_of_the_socket_gets_it_and_is_told_no_more(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    sent_before = door.tick()
    assert await leave(door, CLOSE) == NOOP
    assert door.costs == ["BatchGetDocuments", "Commit", "DELETE"]
    assert door.services.clients.closed == [ID]
    assert not await told(door)
    left = await door.connection()
    assert left is not None
    assert left.sender(sent_before) == CALLER


async def test_who_has_said_goodbye_may_still_ask_for_the_close(door: Door) -> None:
    # Python's client says both, one after the other.
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    await leave(door)
    await leave(door, CLOSE)
    assert door.costs == ["BatchGetDocuments", "DELETE"]


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_socket_that_could_not_be_closed_is_told_no_more_either(
    door: Door, is_gone: bool
) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    if is_gone:
        door.services.clients.closed.append(ID)
    else:
        door.services.faults.fail("connections.DELETE")
    assert await leave(door, CLOSE) == NOOP
    assert not await told(door)


@pytest.mark.parametrize("goodbye", [LEAVE, CLOSE])
async def test_text_that_looks_like_a_goodbye_is_none_on_the_json_wire(
    door: Door, goodbye: Goodbye
) -> None:
    await door.open(Wire.JSON, token_of(CALLER))
    await leave(door, goodbye)
    assert door.costs == ["BatchGetDocuments"]
    assert await told(door)


@pytest.mark.parametrize("goodbye", [LEAVE, CLOSE])
async def test_a_goodbye_of_an_unknown_connection_leaves_nothing_behind(
    door: Door, goodbye: Goodbye
) -> None:
    await leave(door, goodbye)
    assert door.costs == ["BatchGetDocuments", *(["DELETE"] if goodbye == CLOSE else [])]
    assert await door.services.world.ids_in("connections") == set()
