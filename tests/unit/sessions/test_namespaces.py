"""Namespaces that count as the root: who enters one is told there, and leaves it by its goodbye."""

from datetime import timedelta

import pytest

from functions.clients.connection import Wire
from functions.sessions.dismiss import dismiss
from functions.wire.frames import Connect, Goodbye
from tests.support.makers import CALLER, RECEIVER, now
from tests.unit.sessions.door import ADMISSION, ID, NOOP, SOCKET_IO, Door, token_of


async def namespace_of(door: Door) -> str:
    connection = await door.connection()
    assert connection is not None
    return connection.namespace


async def is_told(door: Door) -> bool:
    return bool(await door.services.store.connections.of([CALLER], now()))


async def test_a_client_of_version_4_enters_its_namespace_and_is_told_there(door: Door) -> None:
    await door.open(Wire.EIO4)
    assert await door.let_in(token_of(CALLER), CALLER, "/user") == '40/user,{"sid":"c="}'
    assert door.costs == ADMISSION
    assert await namespace_of(door) == "/user"


async def test_a_client_of_version_2_is_in_the_root_and_then_in_its_namespace(door: Door) -> None:
    await door.open(Wire.EIO3, token_of(CALLER))
    assert await namespace_of(door) == "/"
    assert await door.let_in(namespace="/agent") == "40/agent,"
    assert door.costs == ADMISSION
    assert await namespace_of(door) == "/agent"


@SOCKET_IO
async def test_another_namespace_is_refused_and_changes_nothing(door: Door, wire: Wire) -> None:
    await door.open(wire, token_of(CALLER))
    before = await door.connection()
    assert (await door.let_in(token_of(CALLER), CALLER, "/admin")).startswith("44/admin,")
    assert door.costs == ["BatchGetDocuments"]
    assert await door.connection() == before


@SOCKET_IO
async def test_who_is_refused_is_told_so_in_his_namespace_and_sent_away_there(
    door: Door, wire: Wire
) -> None:
    await door.open(wire)
    assert (await door.let_in("expired", None, "/user")).startswith("44/user,")
    connection = await door.connection()
    assert connection is not None
    assert await dismiss(door.services.sockets, connection)
    assert door.services.clients.posts == [(ID, "41/user,")]


async def test_who_asks_for_the_root_besides_stays_told_in_his_namespace(door: Door) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER), CALLER, "/user")
    assert await door.let_in(token_of(CALLER), CALLER) == '40{"sid":"c="}'
    assert await namespace_of(door) == "/user"


async def test_a_connect_to_the_root_that_is_overtaken_by_one_elsewhere_is_answered(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER), CALLER, "/user")
    before = await door.connection()
    root = Connect("/", token_of(CALLER), CALLER)
    earlier = door.time - timedelta(milliseconds=1)
    assert await door.admission.admit(ID, root, earlier) == '40{"sid":"c="}'
    assert await door.connection() == before
    again = Connect("/user", token_of(CALLER), CALLER)
    assert await door.admission.admit(ID, again, earlier) == NOOP


async def test_a_goodbye_counts_in_the_namespace_where_the_client_is_told(door: Door) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER), CALLER, "/user")
    for other in (Goodbye(), Goodbye(namespace="/agent")):
        assert await door.closing.leave(ID, other, door.tick()) == NOOP
        assert await is_told(door)
    assert await door.closing.leave(ID, Goodbye(namespace="/user"), door.tick()) == NOOP
    assert not await is_told(door)


async def test_a_goodbye_that_is_handled_before_its_connect_keeps_the_client_out(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    sent = door.tick()
    await door.closing.leave(ID, Goodbye(namespace="/user"), door.tick())
    await door.admission.admit(ID, Connect("/user", token_of(CALLER), CALLER), sent)
    assert not await is_told(door)


async def test_who_closes_his_socket_has_left_every_namespace(door: Door) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER), CALLER, "/user")
    await door.closing.leave(ID, Goodbye(closes_socket=True), door.tick())
    assert not await is_told(door)


@pytest.mark.parametrize(("first", "then"), [("/user", "/agent"), ("/user", "/user")])
async def test_another_user_on_the_same_socket_is_told_in_his_own(
    door: Door, first: str, then: str
) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER), CALLER, first)
    await door.closing.leave(ID, Goodbye(namespace=first), door.tick())
    await door.let_in(token_of(RECEIVER), RECEIVER, then)
    connection = await door.connection()
    assert connection is not None
    assert (connection.user, connection.namespace) == (RECEIVER, then)
