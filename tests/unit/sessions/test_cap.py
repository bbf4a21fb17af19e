"""How many connections a user may have: who goes, what that costs, and what it never costs."""

import asyncio
from datetime import timedelta

import pytest

from functions.calls.call import ConnectionId, UserId
from functions.clients.connection import Wire
from functions.ports.store import StoreUnavailable
from functions.sessions.cap import ConnectionCap
from tests.memory.services import Services
from tests.memory.store import MemoryConnections
from tests.support.makers import CALL, CALLER, RECEIVER, connect, now

CAP = 3


async def enforce(services: Services, newcomer: str) -> None:
    services.journal.clear()
    cap = ConnectionCap(services.store.connections, services.sockets, now, CAP)
    await cap.enforce(RECEIVER, ConnectionId(newcomer))


async def connected(services: Services, count: int, wire: Wire = Wire.JSON) -> None:
    for number in range(count):
        at = now() + timedelta(seconds=number)
        await connect(services.store, f"{number}=", RECEIVER, at, wire=wire)


async def ids_of(services: Services, user: UserId = RECEIVER) -> set[str]:
    return {found.id for found in await services.store.connections.of([user], now())}


async def test_as_many_as_are_allowed_cost_one_query(services: Services) -> None:
    await connected(services, CAP)
    await connect(services.store, "theirs=", CALLER)
    await enforce(services, "2=")
    assert services.journal.started == ["RunQuery"]
    assert services.clients.closed == []


async def test_ring_tokens_send_no_other_connections_away_and_are_sent_away_by_none(
    services: Services,
) -> None:
    await connected(services, CAP)
    for number in range(CAP + 1):
        at = now() + timedelta(minutes=number)
        await connect(services.store, f"ring{number}=", RECEIVER, at, only_call=CALL)
    await enforce(services, f"ring{CAP}=")
    assert services.clients.closed == ["ring0="]
    await connect(services.store, "new=", RECEIVER, now() + timedelta(seconds=30))
    await enforce(services, "new=")
    assert services.clients.closed == ["ring0=", "0="]


@pytest.mark.parametrize("wire", Wire)
async def test_of_more_those_that_connected_first_are_closed(
    services: Services, wire: Wire
) -> None:
    await connected(services, CAP + 2, wire)
    await enforce(services, "4=")
    assert sorted(services.clients.closed) == ["0=", "1="]
    assert await ids_of(services) == {"2=", "3=", "4="}
    # Else a Socket.IO client would come back at once, and close another one.
    posts = [] if wire is Wire.JSON else [("0=", "41"), ("1=", "41")]
    assert sorted(services.clients.posts) == posts


async def test_a_socket_that_is_gone_already_is_forgotten(services: Services) -> None:
    await connected(services, CAP + 1)
    services.clients.closed.append("0=")
    await enforce(services, "3=")
    assert services.journal.started == ["RunQuery", "DELETE", "Commit"]
    assert len(await ids_of(services)) == CAP


async def test_what_can_not_be_closed_stays_and_is_told(services: Services) -> None:
    await connected(services, CAP + 2)
    services.faults.fail("connections.DELETE", "0=", times=2)
    await enforce(services, "4=")
    assert services.clients.closed == ["1="]
    assert "0=" in await ids_of(services)
    services.faults.heal()
    await enforce(services, "4=")
    assert sorted(services.clients.closed) == ["0=", "1="]


@pytest.mark.parametrize("error", [StoreUnavailable("down"), RuntimeError("nobody foresaw it")])
async def test_one_connection_keeps_back_no_other(
    services: Services, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    await connected(services, CAP + 2)
    close = MemoryConnections.close

    async def broken(connections: MemoryConnections, id: object, at: object) -> None:
        if id == "0=":
            raise error
        await close(connections, id, at)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryConnections, "close", broken)
    await enforce(services, "4=")
    assert "1=" not in await ids_of(services)


async def test_without_firestore_nobody_is_closed(services: Services) -> None:
    await connected(services, CAP + 1)
    services.faults.fail("firestore.RunQuery")
    await asyncio.wait_for(enforce(services, "3="), 10)
    assert services.clients.closed == []


async def test_however_many_come_at_once_each_sends_away_two_at_most(services: Services) -> None:
    await connected(services, 100)
    cap = ConnectionCap(services.store.connections, services.sockets, now, CAP)
    ids = [ConnectionId(f"{number}=") for number in range(100)]
    services.journal.clear()
    await asyncio.gather(*(cap.enforce(RECEIVER, id) for id in ids))
    assert services.journal.started.count("DELETE") <= 2 * 100
    assert await ids_of(services) == {"97=", "98=", "99="}


async def test_what_a_failure_has_left_goes_as_others_come(services: Services) -> None:
    await connected(services, CAP + 4)
    await enforce(services, "6=")
    assert sorted(services.clients.closed) == ["2=", "3="]
    at = now() + timedelta(seconds=7)
    await connect(services.store, "7=", RECEIVER, at)
    await enforce(services, "7=")
    assert await ids_of(services) == {"0=", "5=", "6=", "7="}


async def test_a_connection_that_is_gone_itself_displaces_nobody(services: Services) -> None:
    await connected(services, CAP + 2)
    await enforce(services, "gone=")
    assert services.journal.started == ["RunQuery"]
