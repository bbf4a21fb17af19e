"""The opening of a Socket.IO session: what is posted in which order, what it costs and survives."""

import json
from datetime import timedelta

import pytest

from functions.attempt import NotDelivered
from functions.calls.call import ConnectionId, UserId
from functions.clients.connection import Connection, Wire
from functions.deliver import handler
from functions.ports.identity import Identified
from functions.published import ConnectionAccepted, ConnectionAdmitted, Published
from functions.sessions.open import Opener, Timers
from functions.settings import DeliverSettings
from tests.memory.clients import Clients
from tests.memory.services import Services
from tests.support.asgi import call, envelope, get
from tests.support.makers import CALL, CALLER, RECEIVER, connect, event, now
from tests.support.processes import settings_of
from tests.support.world import committed

ID = ConnectionId("c=")
TIMERS = {
    Wire.EIO3: Timers(timedelta(seconds=240), timedelta(seconds=60)),
    Wire.EIO4: Timers(timedelta(seconds=540), timedelta(seconds=30)),
}
OPEN = {
    Wire.EIO3: '0{"sid":"c=","upgrades":[],"pingInterval":240000,"pingTimeout":60000}',
    Wire.EIO4: '0{"sid":"c=","upgrades":[],"pingInterval":540000,"pingTimeout":30000,'
    '"maxPayload":32768}',
}
SOCKET_IO = pytest.mark.parametrize("wire", [Wire.EIO3, Wire.EIO4])


def opened(connection: Connection) -> ConnectionAccepted:
    """The event as the handshake publishes it."""
    return ConnectionAccepted(
        connection_id=connection.id,
        connected_at=connection.connected_at,
        expires_at=connection.connected_at + timedelta(seconds=20),
    )


async def shaken(
    services: Services, wire: Wire, user: UserId | None = CALLER, refusal: str | None = None
) -> ConnectionAccepted:
    """A client that has shaken hands just now, and what is published of it."""
    connection = await connect(
        services.store, ID, user, now(), wire=wire, is_open=False, refusal=refusal
    )
    services.journal.clear()
    return opened(connection)


async def is_open(services: Services) -> bool:
    connection = await services.store.connections.get(ID, now())
    assert connection is not None
    return connection.is_open


@pytest.fixture
def opener(services: Services) -> Opener:
    return Opener(services.store.connections, services.sockets, now, TIMERS)


async def test_version_4_costs_a_read_a_post_and_a_commit_and_the_client_asks_for_the_rest(
    services: Services, opener: Opener, clients: Clients
) -> None:
    await opener.open(await shaken(services, Wire.EIO4))
    assert services.journal.started == ["BatchGetDocuments", "POST", "Commit"]
    assert clients.posts == [(ID, OPEN[Wire.EIO4])]
    assert await is_open(services)


async def test_version_3_costs_a_post_more_by_which_the_server_lets_the_client_in(
    services: Services, opener: Opener, clients: Clients
) -> None:
    await opener.open(await shaken(services, Wire.EIO3))
    assert services.journal.started == ["BatchGetDocuments", "POST", "POST", "Commit"]
    assert clients.posts == [(ID, OPEN[Wire.EIO3]), (ID, "40")]
    assert await is_open(services)


@pytest.mark.parametrize("refusal", [None, "the token has expired"])
async def test_version_3_without_a_good_token_is_opened_and_then_refused(
    services: Services, opener: Opener, clients: Clients, refusal: str | None
) -> None:
    await opener.open(await shaken(services, Wire.EIO3, None, refusal))
    refused = f'44"{refusal or "the token is missing"}"'
    assert clients.posts == [(ID, OPEN[Wire.EIO3]), (ID, refused)]
    assert await is_open(services)


async def test_version_4_without_a_good_token_is_opened_and_told_when_it_asks(
    services: Services, opener: Opener, clients: Clients
) -> None:
    await opener.open(await shaken(services, Wire.EIO4, None, "the token has expired"))
    assert clients.posts == [(ID, OPEN[Wire.EIO4])]


@pytest.mark.parametrize("user", [CALLER, None])
@pytest.mark.parametrize("statuses", [[410, 200, 200], [200, 410, 200]], ids=str)
async def test_what_lets_a_client_in_or_keeps_it_out_comes_strictly_after_the_open_packet(
    services: Services,
    opener: Opener,
    clients: Clients,
    user: UserId | None,
    statuses: list[int],
) -> None:
    made = await shaken(services, Wire.EIO3, user)
    clients.answers[ID] = list(statuses)
    await opener.open(made)
    posts = [entry for entry in services.journal.entries if "POST" in entry]
    assert posts == ["> POST", "< POST"] * 3
    assert [text[:2] for _, text in clients.posts] == ["0{", "40" if user else "44"]


@SOCKET_IO
async def test_opening_twice_posts_once(
    services: Services, opener: Opener, clients: Clients, wire: Wire
) -> None:
    made = await shaken(services, wire)
    await opener.open(made)
    posted = list(clients.posts)
    services.journal.clear()
    await opener.open(made)
    assert clients.posts == posted
    assert services.journal.started == ["BatchGetDocuments"]


@SOCKET_IO
@pytest.mark.parametrize("times", [1, 2])
async def test_a_handshake_that_api_gateway_is_still_answering_is_waited_out(
    services: Services,
    opener: Opener,
    clients: Clients,
    wire: Wire,
    times: int,
) -> None:
    made = await shaken(services, wire)
    clients.answers[ID] = [410] * times
    began = now()
    await opener.open(made)
    # Python's client waits for five.
    assert now() - began < timedelta(seconds=2)
    assert clients.posts[0] == (ID, OPEN[wire])
    assert await is_open(services)


@SOCKET_IO
async def test_a_handshake_that_takes_longer_is_tried_again_by_pubsub(
    services: Services, opener: Opener, clients: Clients, wire: Wire
) -> None:
    made = await shaken(services, wire)
    clients.answers[ID] = [410] * 100
    with pytest.raises(NotDelivered, match="Gone"):
        await opener.open(made)
    assert clients.posts == []
    assert not await is_open(services)
    del clients.answers[ID]
    await opener.open(made)
    assert clients.posts[0] == (ID, OPEN[wire])
    assert await is_open(services)


@pytest.mark.parametrize("status", [403, 429, 500, 503])
async def test_a_post_that_failed_is_left_to_pubsub(
    services: Services, opener: Opener, clients: Clients, status: int
) -> None:
    made = await shaken(services, Wire.EIO4)
    clients.answers[ID] = [status]
    with pytest.raises(NotDelivered, match=f"PostFailed: HTTP {status}"):
        await opener.open(made)
    assert services.journal.started == ["BatchGetDocuments", "POST"]
    assert not await is_open(services)


async def test_a_second_packet_that_failed_is_posted_again_after_the_first(
    services: Services, opener: Opener, clients: Clients
) -> None:
    made = await shaken(services, Wire.EIO3)
    clients.answers[ID] = [200, 500]
    with pytest.raises(NotDelivered):
        await opener.open(made)
    assert not await is_open(services)
    await opener.open(made)
    open_packet = OPEN[Wire.EIO3]
    assert clients.posted_to(ID) == [open_packet, open_packet, "40"]


@pytest.mark.parametrize("status", [400, 413])
async def test_what_api_gateway_will_never_take_is_final(
    services: Services, opener: Opener, clients: Clients, status: int
) -> None:
    made = await shaken(services, Wire.EIO3)
    clients.answers[ID] = [status]
    await opener.open(made)
    assert services.journal.started == ["BatchGetDocuments", "POST"]
    assert not await is_open(services)


async def shaken_too_long_ago(services: Services, wire: Wire = Wire.EIO4) -> ConnectionAccepted:
    """A client whose handshake is longer ago than clients wait for their open packet."""
    connected = now() - timedelta(seconds=21)
    connection = await connect(services.store, ID, CALLER, connected, wire=wire, is_open=False)
    services.journal.clear()
    return opened(connection)


@SOCKET_IO
async def test_a_client_that_should_have_given_up_is_told_to_reconnect_if_it_has_not(
    services: Services, opener: Opener, clients: Clients, wire: Wire
) -> None:
    await opener.open(await shaken_too_long_ago(services, wire))
    assert services.journal.started == ["BatchGetDocuments", "POST"]
    assert clients.posts == [(ID, '{"message":"reconnect"}')]
    assert not await is_open(services)


@pytest.mark.parametrize("status", [410, 400, 413])
async def test_a_client_that_has_given_up_is_left_alone(
    services: Services, opener: Opener, clients: Clients, status: int
) -> None:
    clients.answers[ID] = [status]
    await opener.open(await shaken_too_long_ago(services))
    assert services.journal.started == ["BatchGetDocuments", "POST"]
    assert not await is_open(services)


@pytest.mark.parametrize("status", [429, 500])
async def test_a_client_that_could_not_be_told_to_reconnect_is_told_by_the_next_delivery(
    services: Services, opener: Opener, clients: Clients, status: int
) -> None:
    made = await shaken_too_long_ago(services)
    clients.answers[ID] = [status]
    with pytest.raises(NotDelivered, match=f"HTTP {status}"):
        await opener.open(made)
    await opener.open(made)
    assert clients.posts == [(ID, '{"message":"reconnect"}')]


async def test_a_late_copy_of_an_opening_disturbs_no_session_that_is_open(
    services: Services, opener: Opener, clients: Clients
) -> None:
    made = await shaken_too_long_ago(services)
    await services.store.connections.note_opened(ID)
    await opener.open(made)
    assert clients.posts == []


async def test_a_connection_that_is_gone_meanwhile_is_left_alone(
    services: Services, opener: Opener
) -> None:
    made = await shaken(services, Wire.EIO4)
    await services.store.connections.close(ID, now())
    services.journal.clear()
    await opener.open(made)
    await services.world.delete_connection(ID)
    await opener.open(made)
    assert services.journal.started == ["BatchGetDocuments", "BatchGetDocuments"]
    assert await services.world.ids_in("connections") == set()


async def test_a_client_whose_connection_was_taken_for_dead_is_told_to_reconnect(
    services: Services, opener: Opener, clients: Clients
) -> None:
    """It may have had all packets, if only that could not be written: it takes itself for
    connected, and would be told nothing any more."""
    made = await shaken_too_long_ago(services, Wire.EIO3)
    await services.store.connections.close(ID, now())
    await opener.open(made)
    assert clients.posts == [(ID, '{"message":"reconnect"}')]


async def test_a_client_that_has_said_goodbye_is_not_told_to_reconnect(
    services: Services, opener: Opener, clients: Clients
) -> None:
    made = await shaken_too_long_ago(services, Wire.EIO3)
    connection = await services.store.connections.get(ID, now())
    assert connection is not None
    assert await services.store.connections.leave(connection, now(), now())
    await opener.open(made)
    assert clients.posts == []


async def test_a_client_that_is_let_in_before_its_opening_is_written_down_stays_in(
    services: Services, opener: Opener, clients: Clients
) -> None:
    made = await shaken(services, Wire.EIO4, user=None)
    young = await services.store.connections.get(ID, now())
    assert young is not None
    assert await services.store.connections.admit(
        young, Identified(RECEIVER), now(), young.expires_at
    )
    await opener.open(made)
    connection = await services.store.connections.get(ID, now())
    assert connection is not None
    assert (connection.user, connection.is_open) == (RECEIVER, True)
    assert clients.posts == []


# `deliver`, which Pub/Sub pushes all events to


async def test_deliver_opens_sessions_and_tells_of_calls(
    services: Services, clients: Clients
) -> None:
    settings = settings_of(DeliverSettings, EIO4_PING_INTERVAL_SECONDS="7")
    deliver = handler(settings, services.store, services.sockets, now)

    async def push(made: Published) -> int:
        return (await call(deliver, envelope(made))).status_code

    clients.answers[ID] = [500]
    made = await shaken(services, Wire.EIO4, RECEIVER)
    assert [await push(made), await push(made), await push(made)] == [503, 204, 204]
    told = event()
    assert await push(told) == 204
    open_packet, event_packet = clients.posted_to(ID)
    timers = json.loads(open_packet[1:])
    assert (timers["pingInterval"], timers["pingTimeout"]) == (7_000, 30_000)
    assert event_packet.startswith(f'42["call:cancelled",{{"callId":"{CALL}"')


async def test_deliver_tells_whoever_is_admitted_what_he_has_missed(
    services: Services, clients: Clients
) -> None:
    deliver = handler(settings_of(DeliverSettings), services.store, services.sockets, now)
    made = await committed(services.world, event())
    await connect(services.store, ID, RECEIVER, now())
    late = ConnectionAdmitted(connection_id=ID, expires_at=now() + timedelta(seconds=30))
    assert (await call(deliver, envelope(late))).status_code == 204
    (frame,) = clients.posted_to(ID)
    assert json.loads(frame)["data"]["callId"] == made.call_id


async def test_a_get_warms_deliver_up(services: Services) -> None:
    deliver = handler(settings_of(DeliverSettings), services.store, services.sockets, now)
    assert (await get(deliver)).status_code == 200
    assert services.journal.started == ["BatchGetDocuments"]
