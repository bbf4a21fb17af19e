"""What the parties of an accepted call have relayed: who hears it, what it costs, how it fails."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

from functions.calls.call import Call, CallId, ConnectionId, Status, UnreadableCall, UserId
from functions.calls.decision import NOT_AUTHENTICATED, UNKNOWN_CONNECTION, Verdict
from functions.clients.connection import Wire
from functions.delivery.relay import Relaying
from functions.ports.store import StoreUnavailable
from functions.wire.frames import Relay
from tests.memory.clients import Clients
from tests.memory.services import Services
from tests.support.makers import CALL, CALLER, CODECS, RECEIVER, connect, now

UPGRADE = Relay(CALL, "call:upgrade:request", '{"callId":"CALL_1","senderId":"USR_9"}')
HEARD = {"event": "call:upgrade:request", "data": {"callId": "CALL_1", "senderId": "USR_9"}}


@dataclass
class System:
    """All that is met on the way."""

    services: Services
    path: Relaying = field(init=False)

    def __post_init__(self) -> None:
        services, timeout = self.services, timedelta(seconds=0.5)
        self.path = Relaying(services.store, services.sockets, CODECS, now, timeout)

    async def relay(
        self, by: str = "his=", relay: Relay = UPGRADE, received_at: datetime | None = None
    ) -> Verdict:
        self.services.journal.clear()
        return await self.path.handle(relay, ConnectionId(by), received_at)

    @property
    def costs(self) -> list[str]:
        """The remote calls that the last relay took."""
        return self.services.journal.started

    @property
    def told(self) -> list[str]:
        """The connections that were told something."""
        return sorted(id for id, _ in self.services.clients.posts)


@pytest_asyncio.fixture(loop_scope="function")
async def system(services: Services) -> System:
    """A call that has been accepted; its caller has two sockets, its receiver two."""
    for id, user in (("his=", CALLER), ("his other=", CALLER), ("stranger=", UserId("USR_9"))):
        await connect(services.store, id, user)
    await connect(services.store, "hers=", RECEIVER)
    await connect(services.store, "her other=", RECEIVER, wire=Wire.EIO4)
    await services.world.ring(status="accepted")
    return System(services)


def said(verdict: Verdict) -> tuple[bool, str]:
    return verdict.ok, verdict.outcome


async def test_every_socket_of_the_other_party_hears_it_and_none_of_the_senders(
    system: System, clients: Clients
) -> None:
    assert said(await system.relay()) == (True, "relayed")
    assert system.costs == ["BatchGetDocuments", "RunQuery", "POST", "POST"]
    assert system.told == ["her other=", "hers="]
    (in_json,), (packet,) = clients.posted_to("hers="), clients.posted_to("her other=")
    assert json.loads(in_json) == HEARD
    assert json.loads(packet.removeprefix("42")) == [HEARD["event"], HEARD["data"]]


async def test_the_receiver_may_have_something_relayed_too(system: System) -> None:
    assert said(await system.relay("hers=")) == (True, "relayed")
    assert system.told == ["his other=", "his="]


async def test_nothing_is_stored_or_published(system: System) -> None:
    before = await system.services.world.call()
    await system.relay()
    assert await system.services.world.call() == before
    assert await system.services.world.ids_in("outbox") == set()
    assert system.services.topic == []


async def test_who_calls_himself_hears_himself(system: System) -> None:
    system.services.database.put_call(Call(CALL, CALLER, CALLER, Status.ACCEPTED))
    assert said(await system.relay()) == (True, "relayed")
    assert system.told == ["his other=", "his="]


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.ACCEPTED])
async def test_of_a_call_that_is_not_accepted_nothing_is_relayed(
    system: System, status: str
) -> None:
    await system.services.world.ring(status=status)
    assert said(await system.relay()) == (False, "not_accepted")
    assert system.costs == ["BatchGetDocuments"]
    assert system.told == []


async def test_a_stranger_is_told_the_same_of_every_call_at_the_same_cost(system: System) -> None:
    costs = []
    for status in Status:
        await system.services.world.ring(status=status)
        assert said(await system.relay("stranger=")) == (False, "not_found")
        costs.append(system.costs)
    other = Relay(CallId("CALL_2"), UPGRADE.event, "{}")
    assert said(await system.relay("stranger=", other)) == (False, "not_found")
    assert said(await system.relay("his=", other)) == (False, "not_found")
    assert {*map(tuple, costs), tuple(system.costs)} == {("BatchGetDocuments",)}
    assert system.told == []


async def test_a_frame_of_nobodys_is_not_relayed(system: System) -> None:
    assert await system.relay("unknown=") == UNKNOWN_CONNECTION
    await connect(system.services.store, "young=", None, wire=Wire.EIO4)
    assert await system.relay("young=") == NOT_AUTHENTICATED
    assert system.told == []


async def test_who_has_closed_every_socket_is_not_there(system: System) -> None:
    for id in ("hers=", "her other="):
        await system.services.store.connections.close(ConnectionId(id), now())
    assert said(await system.relay()) == (False, "not_there")
    assert system.costs == ["BatchGetDocuments", "RunQuery"]


@pytest.mark.parametrize("status", [410, 400, 413])
async def test_whose_sockets_take_nothing_is_not_there(
    system: System, clients: Clients, status: int
) -> None:
    clients.answers |= {"hers=": [status], "her other=": [410]}
    assert said(await system.relay()) == (False, "not_there")
    assert system.costs == ["BatchGetDocuments", "RunQuery", "POST", "POST"]


async def test_a_socket_that_is_not_open_yet_is_not_posted_to(system: System) -> None:
    for id in ("hers=", "her other="):
        await system.services.store.connections.close(ConnectionId(id), now())
    await connect(system.services.store, "new=", RECEIVER, wire=Wire.EIO3, is_open=False)
    assert said(await system.relay()) == (False, "not_there")
    assert system.costs == ["BatchGetDocuments", "RunQuery"]


@pytest.mark.parametrize("status", [410, 413, 429, 500])
async def test_one_socket_that_has_it_is_enough(
    system: System, clients: Clients, status: int
) -> None:
    clients.answers["hers="] = [status]
    assert said(await system.relay()) == (True, "relayed")
    assert system.told == ["her other="]


@pytest.mark.parametrize("status", [429, 500])
async def test_a_socket_that_may_be_open_and_was_not_reached_makes_it_unavailable(
    system: System, clients: Clients, status: int
) -> None:
    clients.answers |= {"hers=": [status], "her other=": [410]}
    assert said(await system.relay()) == (False, "unavailable")
    assert said(await system.relay()) == (True, "relayed")


async def test_a_socket_that_does_not_answer_keeps_nobody_waiting_for_long(system: System) -> None:
    began = now()
    system.services.faults.hold("connections.POST", "hers=")
    assert said(await system.relay()) == (True, "relayed")
    assert now() - began <= timedelta(seconds=0.6)


async def test_the_posts_are_made_at_once(system: System) -> None:
    holds = [system.services.faults.hold("connections.POST", id) for id in ("hers=", "her other=")]
    assert said(await system.relay()) == (False, "unavailable")
    assert all(hold.reached.is_set() for hold in holds)


async def test_without_the_store_nothing_is_relayed(system: System) -> None:
    for call in ("BatchGetDocuments", "RunQuery"):
        system.services.faults.fail(f"firestore.{call}")
        with pytest.raises(StoreUnavailable):
            await system.relay()
        system.services.faults.heal()
    assert system.told == []


async def test_a_frame_from_before_a_goodbye_counts_and_one_from_after_it_does_not(
    system: System,
) -> None:
    left = now()
    connection = await system.services.store.connections.get(ConnectionId("his="), now())
    assert connection is not None
    assert await system.services.store.connections.leave(connection, left, now())
    early, late = left - timedelta(seconds=1), left + timedelta(seconds=1)
    assert said(await system.relay(received_at=early)) == (True, "relayed")
    assert await system.relay(received_at=late) == NOT_AUTHENTICATED


async def test_a_call_that_nobody_can_read_is_unreadable_to_its_parties_alone(
    system: System,
) -> None:
    unreadable = UnreadableCall(CALL, frozenset({CALLER, RECEIVER}))
    await system.services.world.delete_call()
    system.services.database.unreadable_calls[CALL] = unreadable
    assert said(await system.relay()) == (False, "unreadable")
    assert said(await system.relay("stranger=")) == (False, "not_found")
    assert system.costs == ["BatchGetDocuments"]
