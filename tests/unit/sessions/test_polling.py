"""The session of a client that polls: its handshake, its CONNECT, and what a poll is told."""

import asyncio
import json
from datetime import timedelta

import pytest

from functions.clients.poll import Sid
from functions.clients.ringtoken import RingToken
from functions.published import ConnectionAdmitted
from functions.sessions.deadline import AdmissionDeadline
from tests.memory.services import Services
from tests.support.loglines import logged
from tests.support.makers import CALL, CALLER, RECEIVER, RING_TOKENS, now
from tests.support.polling import NOOP, UNKNOWN, PollingClient, connect_of, token_of
from tests.unit.sessions.door import EXPIRED, FOREIGN, INVALID, MISSING, repeated_commit

ADMISSION = ["BatchGetDocuments", "BatchGetDocuments", "Commit", "Publish", "Commit"]
TAKEN = ["BatchGetDocuments", "Commit"]
IDENTITIES = pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({}, MISSING),
        ({"token": "garbage"}, INVALID),
        ({"token": "expired"}, EXPIRED),
        ({"token": token_of(CALLER), "userId": RECEIVER}, FOREIGN),
        ({"ring": "ring.garbage"}, '44{"message":"the ring token is not valid"}'),
    ],
    ids=str,
)


@pytest.fixture
def client(services: Services) -> PollingClient:
    services.identity.refused["expired"] = "the token has expired"
    return PollingClient(services)


@pytest.fixture
def older(services: Services) -> PollingClient:
    """A client of version 2."""
    services.identity.refused["expired"] = "the token has expired"
    return PollingClient(services, "3")


# The handshake


async def test_a_handshake_costs_a_commit_and_offers_a_websocket(client: PollingClient) -> None:
    (packet,) = await client.begin()
    assert packet.startswith("0")
    assert json.loads(packet[1:]) == {
        "sid": client.sid,
        "upgrades": ["websocket"],
        "pingInterval": 540_000,
        "pingTimeout": 30_000,
        "maxPayload": 32 * 1024,
    }
    assert client.costs == ["Commit"]
    assert client.services.topic == []
    begun = client.session
    assert (begun.user, begun.owner, begun.is_open) == (None, None, True)
    assert begun.admit_by == begun.connected_at + timedelta(seconds=45)


async def test_a_handshake_of_version_3_admits_and_costs_a_publish_more(
    older: PollingClient,
) -> None:
    opening, admitted = await older.begin(token=token_of(CALLER))
    assert json.loads(opening[1:]) == {
        "sid": older.sid,
        "upgrades": ["websocket"],
        "pingInterval": 240_000,
        "pingTimeout": 60_000,
    }
    assert admitted == "40"
    assert older.costs == ["Commit", "Publish"]
    # Else `deliver` could find no connection to tell what was missed, and leave it at that.
    assert older.services.journal.before("< Commit", "> Publish")
    (event,) = older.services.published(ConnectionAdmitted)
    assert event.connection_id == older.id
    assert (older.session.user, older.session.admit_by) == (CALLER, None)


@IDENTITIES
async def test_who_shows_no_good_token_at_a_handshake_of_version_3_is_told_behind_it(
    older: PollingClient, said: dict[str, str], answer: str
) -> None:
    _, refused = await older.begin(**said)
    assert refused == "44" + json.dumps(json.loads(answer[2:])["message"])
    assert older.costs == ["Commit"]
    assert older.services.topic == []
    assert (older.session.user, older.session.admit_by is None) == (None, False)


@IDENTITIES
async def test_who_shows_no_good_token_at_a_handshake_is_told_once_he_connects(
    client: PollingClient, said: dict[str, str], answer: str
) -> None:
    await client.begin(**said)
    assert client.costs == ["Commit"]
    await client.emit("40")
    assert client.costs == ["BatchGetDocuments", "BatchGetDocuments", "Commit", "Commit"]
    assert await client.poll() == [answer]
    assert client.session.user is None


async def test_a_token_may_come_in_a_header_or_in_the_query_where_it_counts_less(
    client: PollingClient, services: Services
) -> None:
    for bearer, user in ((None, CALLER), (token_of(RECEIVER), RECEIVER)):
        answer = await client.ask("GET", bearer=bearer, token=token_of(CALLER))
        sid = Sid.read(json.loads(answer.text[1:])["sid"])
        assert sid
        assert services.database.connections[sid.id].shown_user == user


async def test_a_ring_token_is_good_for_its_call_and_costs_a_read(
    client: PollingClient, services: Services
) -> None:
    await services.world.ring()
    shown = RING_TOKENS.sign(RingToken(CALL, RECEIVER), now())
    assert shown
    await client.begin(ring=shown, userId=RECEIVER)
    assert client.costs == ["BatchGetDocuments", "Commit"]
    await client.emit("40")
    assert await client.poll() == [f'40{{"sid":"{client.id}"}}']
    assert (client.session.user, client.session.only_call) == (RECEIVER, CALL)


@pytest.mark.parametrize("version", ["3", "4"])
async def test_without_the_identitys_keys_no_session_begins(
    services: Services, version: str
) -> None:
    client = PollingClient(services, version)
    services.identity.is_down = True
    answer = await client.ask("GET", token=token_of(CALLER))
    assert (answer.status_code, answer.json()) == (503, {"code": 3, "message": "unavailable"})
    assert client.costs == []
    assert services.database.polls == {}


async def test_a_handshake_is_given_though_nobody_can_be_told_what_was_missed(
    older: PollingClient,
) -> None:
    older.services.faults.fail("pubsub.Publish")
    assert (await older.begin(token=token_of(CALLER)))[1] == "40"


async def test_the_key_of_a_session_is_neither_stored_nor_logged(
    client: PollingClient, services: Services
) -> None:
    with logged() as lines:
        await client.come(CALLER)
        await client.refusal(EIO="3")
        await client.upgrade()
    _, _, key = str(client.sid).partition(".")
    assert len(key) == 32
    assert key not in str(services.database)
    assert key not in str(lines())
    assert client.id in str(lines())


# CONNECT


async def test_a_connect_is_answered_by_the_next_poll(client: PollingClient) -> None:
    await client.begin()
    await client.emit(connect_of(CALLER))
    assert client.costs == ADMISSION
    (event,) = client.services.published(ConnectionAdmitted)
    assert event.connection_id == client.id
    assert await client.poll() == [f'40{{"sid":"{client.id}"}}']
    assert client.costs == TAKEN
    assert (client.session.user, client.session.admit_by) == (CALLER, None)


@IDENTITIES
async def test_who_shows_no_good_token_with_his_connect_may_show_another(
    client: PollingClient, said: dict[str, str], answer: str
) -> None:
    await client.begin()
    await client.emit(f"40{json.dumps(said)}")
    assert await client.poll() == [answer]
    assert client.session.user is None
    await client.emit(connect_of(CALLER))
    assert await client.poll() == [f'40{{"sid":"{client.id}"}}']
    assert client.session.user == CALLER


async def test_a_session_that_is_somebodys_is_nobody_elses_any_more(client: PollingClient) -> None:
    await client.come(CALLER)
    anothers = '44{"message":"the connection is another user\'s"}'
    for _ in range(2):
        await client.emit(connect_of(RECEIVER))
        assert await client.poll() == [anothers]
    assert (client.session.user, client.session.owner) == (None, CALLER)
    await client.emit(connect_of(CALLER))
    assert await client.poll() == [f'40{{"sid":"{client.id}"}}']
    await client.emit("41")
    await client.emit(connect_of(RECEIVER))  # nor once he has left it
    assert await client.poll() == [anothers]


async def test_who_has_left_may_come_back_on_the_same_session(client: PollingClient) -> None:
    await client.come(CALLER)
    await client.emit("41")
    assert client.session.user is None
    await client.emit(connect_of(CALLER))
    assert await client.poll() == [f'40{{"sid":"{client.id}"}}']
    assert client.session.user == CALLER


# A poll


async def test_a_poll_is_given_at_once_what_waits(client: PollingClient) -> None:
    await client.come(CALLER)
    await client.services.sockets.post(client.id, "42[1]")
    at = now()
    assert await client.poll() == ["42[1]"]
    assert now() - at == timedelta(milliseconds=1)  # the way
    assert client.costs == TAKEN


async def test_a_poll_is_given_sixteen_packets_at_most_and_the_next_the_rest(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    packets = [f"42[{number}]" for number in range(20)]
    for packet in packets:
        await client.services.sockets.post(client.id, packet)
    assert await client.poll() == packets[:16]
    assert client.costs == TAKEN
    assert await client.poll() == packets[16:]
    assert client.costs == TAKEN


@pytest.mark.parametrize(
    ("age", "hold", "looks"), [(1, 300, 7), (6, 300, 2), (6, 1000, 5), (6, 100, 2)]
)
async def test_a_poll_that_nothing_waits_for_is_held_and_looks_more_often_at_first(
    services: Services, age: int, hold: int, looks: int
) -> None:
    client = PollingClient(services, POLL_HOLD_MS=str(hold))
    await client.come(CALLER)
    await asyncio.sleep(age)
    at = now()
    assert await client.poll() == [NOOP]
    assert now() - at == timedelta(milliseconds=hold + 1)
    assert client.costs == ["BatchGetDocuments"] * looks


async def held(client: PollingClient) -> asyncio.Task[list[str]]:
    """A poll of an older session that has looked once."""
    await asyncio.sleep(6)
    polling = asyncio.create_task(client.poll())
    await asyncio.sleep(0.1)
    assert not polling.done()
    return polling


@pytest.fixture
def patient(services: Services) -> PollingClient:
    """Its polls are held for long."""
    return PollingClient(services, POLL_HOLD_MS="20000")


async def test_a_poll_is_woken_at_once_by_what_comes_by_the_same_instance(
    patient: PollingClient,
) -> None:
    await patient.come(CALLER)
    polling = await held(patient)
    await patient.emit(connect_of(CALLER))
    at = now()
    assert await polling == [f'40{{"sid":"{patient.id}"}}']
    assert now() == at


async def test_a_poll_finds_at_its_next_look_what_comes_by_another_instance(
    patient: PollingClient,
) -> None:
    await patient.come(CALLER)
    polling = await held(patient)
    await patient.another_instance().emit(connect_of(CALLER))
    assert await polling == [f'40{{"sid":"{patient.id}"}}']
    assert now() - patient.session.connected_at < timedelta(seconds=6.5)


async def test_of_two_polls_at_once_one_is_given_what_waits(client: PollingClient) -> None:
    await client.come(CALLER)
    await client.services.sockets.post(client.id, "42[1]")
    first, second = (client.services.faults.hold("firestore.Commit") for _ in range(2))
    polls = [asyncio.create_task(each.poll()) for each in (client, client.another_instance())]
    await asyncio.gather(first.reached.wait(), second.reached.wait())
    second.release()
    first.release()
    assert sorted(await asyncio.gather(*polls)) == [["42[1]"], [NOOP]]
    assert client.waiting.packets == []


async def test_what_comes_while_it_is_given_what_waits_is_given_too(client: PollingClient) -> None:
    await client.come(CALLER)
    await client.services.sockets.post(client.id, "42[1]")
    taking = client.services.faults.hold("firestore.Commit")
    polling = asyncio.create_task(client.poll())
    await taking.reached.wait()
    await client.services.sockets.post(client.id, "42[2]")
    taking.release()
    assert await polling == ["42[1]", "42[2]"]


async def test_what_a_client_says_in_each_of_its_requests_makes_no_poll_the_same_as_another(
    client: PollingClient, services: Services
) -> None:
    await client.begin(t="of the app's own")
    for packet in ("42[1]", "42[2]"):
        await services.sockets.post(client.id, packet)
        assert await client.poll() == [packet]


async def test_a_poll_whose_commit_is_repeated_knows_its_own(client: PollingClient) -> None:
    await client.come(CALLER)
    await client.services.sockets.post(client.id, "42[1]")
    client.services.faults.arm(repeated_commit())
    assert await client.poll() == ["42[1]"]
    assert client.costs == [*TAKEN, "BatchGetDocuments"]
    assert await client.poll() == [NOOP]


async def test_a_poll_that_comes_again_is_given_the_same_whatever_has_come_meanwhile(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    await client.services.sockets.post(client.id, "42[1]")
    assert (await client.ask("GET", t="first")).text == "42[1]"  # and is lost on its way
    for packet in ("42[2]", "42[3]"):
        assert (await client.ask("GET", t="first")).text == "42[1]"
        assert client.costs == ["BatchGetDocuments"]
        await client.services.sockets.post(client.id, packet)
    assert (await client.ask("GET", t="second")).text == "42[2]\x1e42[3]"
    assert (await client.ask("GET", t="third")).text == NOOP


async def test_a_poll_that_nobody_can_tell_from_another_is_another(client: PollingClient) -> None:
    await client.come(CALLER)
    await client.services.sockets.post(client.id, "42[1]")
    assert await client.poll() == ["42[1]"]
    assert await client.poll() == [NOOP]
    await client.services.sockets.post(client.id, "42[2]")
    assert await client.poll() == ["42[2]"]


async def test_a_session_that_keeps_changing_gives_what_waits_to_a_later_poll(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    await client.services.sockets.post(client.id, "42[1]")
    polling = asyncio.create_task(client.poll())
    for _ in range(5):
        taking = client.services.faults.hold("firestore.Commit")
        await taking.reached.wait()
        client.services.database.put_poll(client.waiting)
        taking.release()
    assert await polling == [NOOP]
    assert client.costs == TAKEN * 5 + ["BatchGetDocuments"]
    assert await client.poll() == ["42[1]"]


# How long it lasts


async def test_a_poll_renews_the_session_once_in_twenty_seconds(client: PollingClient) -> None:
    await client.come(CALLER)
    expires = client.waiting.expires_at
    await asyncio.sleep(19)
    await client.poll()
    assert "Commit" not in client.costs
    assert client.waiting.expires_at == expires
    await asyncio.sleep(2)
    await client.poll()
    assert client.costs.count("Commit") == 1
    assert client.waiting.expires_at == client.session.expires_at == now() + timedelta(seconds=60)
    await client.poll()
    assert "Commit" not in client.costs


async def test_a_session_that_is_polled_lasts_as_long_as_a_connection_may(
    services: Services,
) -> None:
    client = PollingClient(services, CONNECTION_TTL_SECONDS="90")
    await client.come(CALLER)
    is_there = True
    while is_there:
        await asyncio.sleep(1)
        is_there = (await client.ask("GET")).status_code == 200
    age = now() - client.session.connected_at
    assert timedelta(seconds=70) < age < timedelta(seconds=92)
    assert await client.refusal() == UNKNOWN
    assert await services.store.connections.of([CALLER], now()) == []


async def test_a_session_that_nobody_polls_is_over_after_a_minute(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    await asyncio.sleep(59)
    assert await client.services.store.connections.of([CALLER], now()) == [client.session]
    await asyncio.sleep(2)
    assert await client.refusal() == UNKNOWN
    assert await client.services.store.connections.of([CALLER], now()) == []


async def test_a_session_whose_connection_is_gone_is_not_renewed(client: PollingClient) -> None:
    await client.come(CALLER)
    await client.services.world.delete_connection(client.id)
    await asyncio.sleep(30)
    assert await client.poll() == [NOOP]
    await asyncio.sleep(31)
    assert await client.refusal() == UNKNOWN


async def test_a_session_that_is_closed_is_over_once_its_client_has_heard_of_it(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    await client.services.sockets.post(client.id, "41")
    await client.services.sockets.close(client.id)
    assert client.session.user is None
    expires = client.session.expires_at, client.waiting.expires_at
    await asyncio.sleep(30)
    # JavaScript's client would say twice that it is disconnected, were it told so at once.
    assert await client.poll() == ["41"]
    assert (client.session.expires_at, client.waiting.expires_at) == expires
    assert await client.poll() == ["1"]
    assert await client.refusal() == UNKNOWN


async def test_who_never_connects_is_turned_away_after_45_seconds(client: PollingClient) -> None:
    await client.begin(token=token_of(CALLER))
    await asyncio.sleep(45)
    services = client.services
    assert await AdmissionDeadline(services.store.connections, services.sockets, now).enforce() == 1
    assert [await client.poll(), await client.poll()] == [["41"], ["1"]]
    assert await client.refusal() == UNKNOWN
