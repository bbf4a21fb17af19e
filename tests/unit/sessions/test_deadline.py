"""Who is not admitted in time: his socket is closed, and he does not come back by himself."""

import asyncio
from datetime import datetime

import pytest

from functions.calls.call import ConnectionId
from functions.clients.connection import Connection, Wire
from functions.ports.store import StoreUnavailable
from functions.sessions.accept import Handshake
from functions.sessions.deadline import AdmissionDeadline
from functions.wire.frames import Goodbye
from tests.memory.services import Services
from tests.memory.store import MemoryConnections
from tests.support.makers import CALLER, connect, now
from tests.unit.sessions.door import ID, LET_IN, SOCKET_IO, Door, token_of

CLOSING = ["RunQuery", "Commit", "POST", "DELETE"]


async def enforce(services: Services) -> int:
    services.journal.clear()
    return await AdmissionDeadline(services.store.connections, services.sockets, now).enforce()


async def test_who_never_asks_to_be_admitted_is_turned_away_after_45_seconds(
    door: Door, services: Services
) -> None:
    await door.open(Wire.EIO4, token_of(CALLER))
    await asyncio.sleep(44.9)
    assert await enforce(services) == 0
    assert services.journal.started == ["RunQuery"]
    await asyncio.sleep(0.1)
    assert await enforce(services) == 1
    assert services.journal.started == CLOSING
    # Else a client would connect again as soon as its socket is closed.
    assert services.clients.posts == [(ID, "41")]
    assert services.clients.closed == [ID]
    assert await door.let_in() == "6"  # too late


@SOCKET_IO
async def test_who_was_refused_has_45_seconds_to_show_another_token(
    door: Door, services: Services, wire: Wire
) -> None:
    await door.open(wire, "garbage" if wire is Wire.EIO3 else None)
    for _ in range(4):  # however often it is refused
        await asyncio.sleep(11)
        assert (await door.let_in("garbage")).startswith("44")
        assert await enforce(services) == 0
    await asyncio.sleep(1)
    assert await enforce(services) == 1


async def test_who_was_admitted_and_is_refused_then_has_45_seconds_more(
    door: Door, services: Services
) -> None:
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    await asyncio.sleep(60)
    assert (await door.let_in("garbage")).startswith("44")
    await asyncio.sleep(44)
    assert await enforce(services) == 0
    await asyncio.sleep(1)
    assert await enforce(services) == 1


async def test_who_was_admitted_stays(door: Door, services: Services) -> None:
    await door.open(Wire.EIO4)
    await door.let_in("garbage")
    assert await door.let_in(token_of(CALLER)) == LET_IN
    await connect(services.store, "json=", CALLER)
    await asyncio.sleep(60)
    assert await enforce(services) == 0
    assert services.journal.started == ["RunQuery"]


async def test_an_eio3_client_with_a_good_token_stays(door: Door, services: Services) -> None:
    await door.open(Wire.EIO3, token_of(CALLER))
    await asyncio.sleep(60)
    assert await enforce(services) == 0


async def test_who_said_goodbye_may_keep_his_socket(door: Door, services: Services) -> None:
    # Swift's client would connect again if its socket were closed.
    await door.open(Wire.EIO4)
    await door.let_in(token_of(CALLER))
    await door.closing.leave(ID, Goodbye(), door.tick())
    await asyncio.sleep(60)
    assert await enforce(services) == 0


async def test_who_is_admitted_at_the_last_moment_stays(door: Door, services: Services) -> None:
    await door.open(Wire.EIO4)
    await asyncio.sleep(45)
    commit = services.faults.hold("firestore.Commit")
    closing = asyncio.create_task(enforce(services))
    await commit.reached.wait()
    assert await door.let_in(token_of(CALLER)) == LET_IN
    commit.release()
    assert await closing == 0
    assert services.clients.closed == []


async def test_a_socket_that_could_not_be_closed_is_due_again(
    door: Door, services: Services
) -> None:
    await door.open(Wire.EIO4)
    await asyncio.sleep(45)
    services.faults.fail("connections.DELETE")
    assert await enforce(services) == 0
    assert await enforce(services) == 0
    await asyncio.sleep(45)
    assert await enforce(services) == 1
    assert services.clients.closed == [ID]


@pytest.mark.timeout(600)  # of played time
@pytest.mark.parametrize("is_told", [True, False], ids=["by $disconnect", "by a 410"])
async def test_a_socket_that_is_known_to_be_closed_is_not_due_again(
    door: Door, services: Services, *, is_told: bool
) -> None:
    await door.open(Wire.EIO4)
    await asyncio.sleep(45)
    await enforce(services)
    if is_told:
        await door.closing.close(ID)
    else:
        await asyncio.sleep(45)
        assert await enforce(services) == 0
        assert services.journal.started == ["RunQuery", "Commit", "POST", "Commit"]
    await asyncio.sleep(45)
    assert await enforce(services) == 0
    assert services.journal.started == ["RunQuery"]


@pytest.mark.parametrize("error", [StoreUnavailable("down"), RuntimeError("nobody foresaw it")])
async def test_one_socket_keeps_back_no_other(
    door: Door, services: Services, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    await door.open(Wire.EIO4)
    await door.acceptance.accept(ConnectionId("2="), Handshake(Wire.EIO4, None, None))
    await asyncio.sleep(45)
    turn_away = MemoryConnections.turn_away

    async def broken(
        connections: MemoryConnections, found: Connection, at: datetime, admit_by: datetime
    ) -> bool:
        if found.id == ID:
            raise error
        return await turn_away(connections, found, at, admit_by)

    monkeypatch.setattr(MemoryConnections, "turn_away", broken)
    assert await enforce(services) == 1
    assert services.clients.closed == ["2="]


async def test_without_firestore_nobody_knows_who_is_due(services: Services) -> None:
    services.faults.fail("firestore.RunQuery")
    with pytest.raises(StoreUnavailable):
        await enforce(services)
