"""Namespaces that count as the root: who enters one is told there, and leaves it by its goodbye."""

from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio

from functions.clients.connection import Wire
from functions.sessions.dismiss import dismiss
from functions.wire.frames import Connect, Goodbye
from tests.support.makers import CALLER, RECEIVER, now
from tests.unit.sessions.door import (
    ADMISSION,
    ID,
    NOOP,
    RECONNECT,
    SOCKET_IO,
    Door,
    token_of,
)


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
    assert before is not None
    root = Connect("/", token_of(CALLER), CALLER)
    earlier = door.time - timedelta(milliseconds=1)
    assert await door.admission.admit(ID, root, earlier) == '40{"sid":"c="}'
    besides = replace(before, also_in={"/": earlier}, former_owner=CALLER)
    assert await door.connection() == besides
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


# Several namespaces on one socket


@pytest_asyncio.fixture(loop_scope="function")
async def both(door: Door) -> Door:
    """A client that has entered `/user` and then `/agent`, where it is told."""
    await door.open(Wire.EIO4)
    for namespace in ("/user", "/agent"):
        await door.let_in(token_of(CALLER), CALLER, namespace)
    return door


async def leave(door: Door, namespace: str) -> str:
    door.services.journal.clear()
    return await door.closing.leave(ID, Goodbye(namespace=namespace), door.tick())


@pytest.mark.parametrize("token", ["expired", token_of(RECEIVER)])
@pytest.mark.parametrize("home", ["/", "/user"])
async def test_who_is_refused_in_a_second_namespace_stays_told_in_the_first(
    door: Door, home: str, token: str
) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER), CALLER, home)
    before = await door.connection()
    assert (await door.let_in(token, None, "/agent")).startswith("44/agent,")
    assert door.costs == ["BatchGetDocuments"]
    assert await door.connection() == before
    assert await is_told(door)


async def test_who_leaves_a_second_namespace_stays_told_in_the_other(both: Door) -> None:
    assert await leave(both, "/agent") == NOOP
    assert both.costs == ["BatchGetDocuments", "Commit"]
    assert (await is_told(both), await namespace_of(both)) == (True, "/user")
    connection = await both.connection()
    assert connection is not None
    assert connection.sender(both.tick()) == CALLER
    assert await leave(both, "/user") == NOOP
    assert not await is_told(both)


async def test_who_leaves_the_first_namespace_stays_told_in_the_second(both: Door) -> None:
    assert await leave(both, "/user") == NOOP
    assert (await is_told(both), await namespace_of(both)) == (True, "/agent")
    assert await leave(both, "/agent") == NOOP
    assert not await is_told(both)


@SOCKET_IO
async def test_who_leaves_a_namespace_that_it_is_not_in_stays_told_in_the_root(
    door: Door, wire: Wire
) -> None:
    await door.open(wire, token_of(CALLER))
    await door.let_in()
    before = await door.connection()
    assert await leave(door, "/user") == NOOP
    assert door.costs == ["BatchGetDocuments"]
    assert await door.connection() == before


async def test_who_leaves_his_own_is_told_in_the_root_that_he_entered_besides(door: Door) -> None:
    await door.open(Wire.EIO3, token_of(CALLER))
    await door.let_in(namespace="/user")
    assert await leave(door, "/user") == NOOP
    assert (await is_told(door), await namespace_of(door)) == (True, "/")


async def test_who_is_refused_where_it_is_told_is_told_in_the_other(both: Door) -> None:
    assert (await both.let_in("expired", None, "/agent")).startswith("44/agent,")
    assert (await is_told(both), await namespace_of(both)) == (True, "/user")


async def test_two_connects_that_are_handled_in_reverse_are_both_answered(door: Door) -> None:
    await door.open(Wire.EIO4)
    sent = door.tick()
    assert await door.let_in(token_of(CALLER), CALLER, "/agent") == '40/agent,{"sid":"c="}'
    late = await door.admission.admit(ID, Connect("/user", token_of(CALLER), CALLER), sent)
    assert late == '40/user,{"sid":"c="}'
    assert await namespace_of(door) == "/agent"  # it was sent last
    assert await leave(door, "/agent") == NOOP
    assert (await is_told(door), await namespace_of(door)) == (True, "/user")


async def test_a_goodbye_that_a_new_connect_to_its_namespace_overtook_is_outdated(
    both: Door,
) -> None:
    sent = both.tick()
    await both.let_in(token_of(CALLER), CALLER, "/")
    await both.let_in(token_of(CALLER), CALLER, "/user")
    await both.let_in(token_of(CALLER), CALLER, "/agent")
    before = await both.connection()
    for namespace in ("/", "/user", "/agent"):
        assert await both.closing.leave(ID, Goodbye(namespace=namespace), sent) == NOOP
    assert await both.connection() == before


async def test_a_goodbye_is_not_outdated_by_a_later_connect_to_another_namespace(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER), CALLER, "/user")
    sent = door.tick()
    await door.let_in(token_of(CALLER), CALLER, "/agent")
    await door.closing.leave(ID, Goodbye(namespace="/user"), sent)
    assert await leave(door, "/agent") == NOOP
    assert not await is_told(door)


async def test_a_connect_that_a_refusal_elsewhere_overtook_is_answered(door: Door) -> None:
    await door.open(Wire.EIO4)
    sent = door.tick()
    assert (await door.let_in("expired", None, "/agent")).startswith("44/agent,")
    late = await door.admission.admit(ID, Connect("/user", token_of(CALLER), CALLER), sent)
    assert late == '40/user,{"sid":"c="}'
    assert await is_told(door)


async def test_a_connect_that_a_goodbye_elsewhere_overtook_makes_the_client_connect_anew(
    door: Door,
) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER), CALLER, "/user")
    sent = door.tick()
    await leave(door, "/user")
    late = await door.admission.admit(ID, Connect("/agent", token_of(CALLER), CALLER), sent)
    assert late == RECONNECT


async def test_another_user_in_the_same_namespace_is_in_that_alone(both: Door) -> None:
    await both.let_in(token_of(RECEIVER), RECEIVER, "/agent")
    assert await leave(both, "/agent") == NOOP
    assert await both.services.store.connections.of([CALLER, RECEIVER], now()) == []


async def test_who_closes_his_socket_has_left_both_namespaces(both: Door) -> None:
    await both.closing.leave(ID, Goodbye(closes_socket=True), both.tick())
    assert not await is_told(both)


async def test_who_is_sent_away_is_so_in_all_his_namespaces(both: Door) -> None:
    connection = await both.connection()
    assert connection is not None
    assert await dismiss(both.services.sockets, connection)
    assert both.services.clients.posts == [(ID, "41/user,"), (ID, "41/agent,")]
