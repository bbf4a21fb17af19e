"""The upgrade from polling to a WebSocket: whose it is, what it costs, and that nothing is lost."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from functions.calls.call import CallId, ConnectionId, Status
from functions.calls.event import CallEvent
from functions.published import ConnectionAdmitted
from functions.sessions.deadline import AdmissionDeadline
from functions.sessions.signout import SignOut
from infra import ROOT
from infra.emulators.faults import Fault, Kind
from tests.memory.services import Services
from tests.support.api import status_of
from tests.support.makers import CALL, CALLER, RECEIVER, connect, now
from tests.support.polling import (
    CLOSE,
    NOOP,
    RECONNECT,
    SOCKET,
    UNKNOWN,
    UPGRADE,
    PollingClient,
    connect_of,
    token_of,
)
from tests.unit.sessions.door import INVALID, MISSING, repeated_commit

CANCEL = '["call:cancel",{"callId":"CALL_1"}]'
CANCELLED = '431[{"ok":true,"outcome":"cancelled","callId":"CALL_1"}]'
LET_IN = f'40{{"sid":"{SOCKET}"}}'
MOVE = ["BatchGetDocuments", "BatchGetDocuments", "Commit"]
VERSIONS = pytest.mark.parametrize("version", ["3", "4"])


@pytest.fixture
def client(services: Services) -> PollingClient:
    return PollingClient(services)


async def waits(client: PollingClient, *packets: str) -> None:
    for packet in packets:
        await client.services.sockets.post(client.id, packet)


# `$connect`


async def test_a_socket_that_bears_a_sid_is_nobodys_and_costs_a_read_and_a_commit(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    assert await client.open_socket() == 200
    assert client.costs == ["BatchGetDocuments", "Commit"]
    assert client.services.topic == []
    assert (client.socket.user, client.socket.owner) == (None, None)
    assert client.socket.upgrades == client.id
    assert client.session.user == CALLER  # it goes on by polling
    await waits(client, "42[1]")
    assert await client.poll() == ["42[1]"]


@pytest.mark.parametrize(
    "what", ["unknown", "malformed", "key", "token", "no token", "expired", "EIO", "closed", "gone"]
)
async def test_a_socket_that_bears_no_session_of_its_clients_is_refused(
    client: PollingClient, what: str
) -> None:
    await client.begin(token=token_of(CALLER))
    said: dict[str, str] = {}
    match what:
        case "unknown":
            said = {"sid": f"poll-{'a' * 22}.{'b' * 32}"}
        case "malformed":
            said = {"sid": "x"}
        case "key":
            said = {"sid": f"{client.id}.{'b' * 32}"}
        case "token":
            said = {"token": token_of(RECEIVER)}
        case "no token":
            said = {"token": ""}
        case "expired":
            await asyncio.sleep(60)
        case "EIO":
            said = {"EIO": "3"}
        case "closed":
            await client.emit("1")
            await client.poll()
        case "gone":
            await client.upgrade()
    assert await client.open_socket("other=", **said) == 400
    assert client.costs == ([] if what == "malformed" else ["BatchGetDocuments"])
    assert "other=" not in await client.services.world.ids_in("connections")


BROWSERS = pytest.mark.parametrize(
    ("shown", "forwarded"),
    [
        ("a|b", "a%7Cb"),
        ("a|b", "a|b"),
        ("a b", "a+b"),
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("a+b", "a+b"),
    ],
)


@BROWSERS
@pytest.mark.parametrize("name", ["token", "ring"])
async def test_a_token_in_the_query_is_the_same_whether_api_gateway_has_decoded_it_or_not(
    client: PollingClient, name: str, shown: str, forwarded: str
) -> None:
    await client.begin(**{name: shown})
    assert await client.open_socket("other=", **{name: f"{forwarded}c"}) == 400
    assert await client.open_socket(**{name: forwarded}) == 200


async def test_a_token_that_only_requests_can_show_in_a_header_need_not_be_shown_by_the_socket(
    client: PollingClient,
) -> None:
    handshake = await client.ask("GET", bearer=token_of(CALLER))
    client.sid = json.loads(handshake.text[1:])["sid"]
    assert (await client.ask("POST", b"40", bearer=token_of(CALLER))).text == "ok"
    # But no session goes on with a token in its query that did not begin with it.
    assert await client.open_socket("other=", token=token_of(CALLER)) == 400
    await client.upgrade()  # browsers send no header of an app's with a WebSocket
    assert client.socket.user == CALLER


async def test_a_session_has_one_socket(client: PollingClient) -> None:
    await client.come(CALLER)
    assert await client.open_socket() == 200
    assert await client.open_socket("other=") == 400
    assert client.costs == ["BatchGetDocuments"]
    assert "other=" not in await client.services.world.ids_in("connections")
    assert await client.send(UPGRADE, "other=") == RECONNECT
    assert await client.send(UPGRADE) == NOOP
    assert client.socket.user == CALLER


async def test_a_connect_may_come_twice_and_its_commit_be_repeated(client: PollingClient) -> None:
    await client.come(CALLER)
    client.services.faults.arm(repeated_commit())
    assert await client.open_socket() == 200
    assert client.costs == ["BatchGetDocuments", "Commit", "BatchGetDocuments"]
    assert await client.open_socket() == 200
    assert client.costs == ["BatchGetDocuments"]
    assert await client.send(UPGRADE) == NOOP


async def test_what_comes_for_the_client_meanwhile_keeps_no_socket_out(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    claiming = client.services.faults.hold("firestore.Commit")
    opening = asyncio.create_task(client.open_socket())
    await claiming.reached.wait()
    await waits(client, "42[1]")
    claiming.release()
    assert await opening == 200
    assert await client.poll() == ["42[1]"]


async def test_a_socket_that_has_closed_before_its_connect_is_refused(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    await client.disconnect()
    assert await client.open_socket() == 503
    assert client.waiting.upgraded_by is None


async def test_without_firestore_a_socket_is_to_come_again(client: PollingClient) -> None:
    await client.come(CALLER)
    client.services.faults.fail("firestore.Commit")
    assert await client.open_socket() == 503
    assert await client.open_socket() == 200


# The probe


async def test_a_probe_is_answered_without_a_remote_call(client: PollingClient) -> None:
    await client.come(CALLER)
    assert await client.open_socket() == 200
    assert await client.send("2probe") == "3probe"
    assert client.costs == []


@pytest.mark.parametrize("age", [0, 6])
async def test_a_poll_that_is_held_returns_once_there_is_a_socket(
    services: Services, age: int
) -> None:
    client = PollingClient(services, POLL_HOLD_MS="5000")
    await client.come(CALLER)
    await asyncio.sleep(age)
    polling = asyncio.create_task(client.poll())
    await asyncio.sleep(0.1)
    assert await client.another_instance().open_socket() == 200
    at = now()
    assert await polling == [NOOP]
    assert now() - at <= timedelta(milliseconds=300)


@pytest.mark.parametrize(("age", "hold"), [(0, 50), (6, 5000)])
async def test_a_poll_of_a_client_that_has_a_socket_is_held_shortly_if_the_session_is_young(
    services: Services, age: int, hold: int
) -> None:
    client = PollingClient(services, POLL_HOLD_MS="5000")
    await client.come(CALLER)
    await asyncio.sleep(age)
    assert await client.open_socket() == 200
    at = now()
    assert await client.poll() == [NOOP]
    # Its socket may never get through, and the client goes on polling.
    assert now() - at == timedelta(milliseconds=hold + 1)


async def test_a_socket_that_never_takes_over_its_session_is_closed(client: PollingClient) -> None:
    await client.come(CALLER)
    assert await client.open_socket() == 200
    deadline = AdmissionDeadline(client.services.store.connections, client.services.sockets, now)
    await asyncio.sleep(44)
    assert await deadline.enforce() == 0
    await asyncio.sleep(1)
    assert await deadline.enforce() == 1
    assert client.services.clients.closed == [SOCKET]
    assert client.session.user == CALLER
    # It may come back: a `41` would be the last that it hears.
    assert client.services.clients.posts == []


# The client goes on by its socket


@VERSIONS
async def test_the_socket_becomes_what_the_session_was_and_is_told_what_waited_in_its_order(
    services: Services, version: str
) -> None:
    client = PollingClient(services, version)
    services.identity.names[token_of(CALLER)] = "Ann"
    await client.begin(token=token_of(CALLER), deviceId="phone")
    if version == "4":
        await client.emit("40")
    await client.poll()
    await waits(client, "42[2]", "42[1]", "42[1]")
    session = client.session
    assert await client.open_socket() == 200
    connected = client.socket
    assert await client.send(UPGRADE) == NOOP
    assert client.costs == [*MOVE, "POST", "POST", "POST"]
    assert client.posted == ["42[2]", "42[1]", "42[1]"]
    assert await client.refusal() == UNKNOWN
    socket = client.socket
    assert (socket.user, socket.owner, socket.device) == (CALLER, CALLER, "phone")
    assert (socket.profile, socket.wire, socket.is_open) == (session.profile, session.wire, True)
    assert (socket.expires_at, socket.admit_by) == (connected.expires_at, None)
    assert (client.session.user, client.session.upgraded_to) == (None, SOCKET)
    assert await services.store.connections.of([CALLER], now()) == [socket]
    assert services.database.polls == {}


async def test_a_frame_by_the_socket_costs_from_then_on_what_it_always_costs(
    client: PollingClient, services: Services
) -> None:
    await connect(services.store, "phone=", RECEIVER)
    await services.world.ring()
    await client.come(CALLER)
    await client.upgrade()
    assert client.costs == MOVE
    assert await client.send(f"421{CANCEL}") == CANCELLED
    paid = ["BatchGetDocuments", "Commit", "POST", "Publish", "RunQuery"]
    assert sorted(client.costs) == paid
    (made,) = services.published(CallEvent)
    assert made.by_connection == SOCKET


async def test_who_says_twice_that_he_upgrades_is_told_once_what_waited(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    await waits(client, "42[1]")
    await client.upgrade()
    assert await client.send(UPGRADE) == NOOP
    assert client.costs == ["BatchGetDocuments"]
    assert client.posted == ["42[1]"]


async def test_an_upgrade_whose_commit_is_repeated_knows_its_own(client: PollingClient) -> None:
    await client.come(CALLER)
    await waits(client, "42[1]")
    assert await client.open_socket() == 200
    client.services.faults.arm(repeated_commit())
    assert await client.send(UPGRADE) == NOOP
    assert client.costs == [*MOVE, "BatchGetDocuments", "POST"]
    assert client.posted == ["42[1]"]


async def test_what_comes_for_the_client_while_it_upgrades_is_not_lost(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    assert await client.open_socket() == 200
    moving = client.services.faults.hold("firestore.Commit")
    upgrading = asyncio.create_task(client.send(UPGRADE))
    await moving.reached.wait()
    await waits(client, "42[1]")
    moving.release()
    assert await upgrading == NOOP
    await waits(client, "42[2]")
    assert client.posted == ["42[1]", "42[2]"]


async def test_an_event_that_comes_by_polling_is_carried_out_though_its_session_is_moved_meanwhile(
    client: PollingClient, services: Services
) -> None:
    await services.world.ring()
    await client.come(CALLER)
    committing = services.faults.hold("firestore.Commit", CALL)
    posting = asyncio.create_task(client.post(f"421{CANCEL}"))
    await committing.reached.wait()
    await client.upgrade()
    committing.release()
    answer = await posting
    assert (answer.status_code, answer.json()) == UNKNOWN  # there is nobody who could hear the ack
    assert await status_of(services) is Status.CANCELLED


async def test_who_is_in_several_namespaces_stays_in_them(services: Services) -> None:
    client = PollingClient(services, DIALECT=str(ROOT / "docs/dialects/roles.toml"))
    await client.begin(token=token_of(CALLER))
    await client.emit("40/user,", "40/agent,")
    await client.upgrade()
    assert client.socket.namespace == "/agent"
    assert await client.send("41/agent,") == NOOP
    assert (client.socket.user, client.socket.namespace) == (CALLER, "/user")
    assert await client.send("41/user,") == NOOP
    assert client.socket.user is None


@VERSIONS
async def test_a_socket_that_has_no_session_to_take_over_takes_over_none(
    services: Services, version: str
) -> None:
    client = PollingClient(services, version)
    assert await client.open_socket() == 200
    assert await client.send(UPGRADE) == NOOP
    assert client.costs == ["BatchGetDocuments"]


# Frames that overtake the one by which the client upgrades


async def upgrading(services: Services, **settings: str) -> PollingClient:
    """A client of the caller's that has a socket, and for which something waits; its call rings."""
    client = PollingClient(services, **settings)
    await connect(services.store, "hers=", RECEIVER)
    await services.world.ring()
    await client.come(CALLER)
    await waits(client, "42[1]")
    assert await client.open_socket() == 200
    return client


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        ("40", LET_IN),
        (connect_of(CALLER), LET_IN),
        (f"42{CANCEL}", NOOP),
        (f"421{CANCEL}", CANCELLED),
        (
            '421["device:register",{"token":"T","platform":"ios"}]',
            '431[{"ok":true,"outcome":"registered"}]',
        ),
        ("41", NOOP),
        ("1", NOOP),
    ],
    ids=str,
)
async def test_a_frame_that_overtakes_the_upgrade_is_carried_out_as_the_users(
    services: Services, frame: str, answer: str
) -> None:
    client = await upgrading(services)
    assert await client.send(frame) == answer
    assert client.costs[:4] == ["BatchGetDocuments", *MOVE]
    assert client.posted == ["42[1]"]
    assert client.socket.upgraded_from == client.id
    is_over = frame in ("41", "1")
    assert client.socket.user == (None if is_over else CALLER)
    assert services.clients.closed == ([SOCKET] if frame == "1" else [])
    assert await status_of(services) is (Status.CANCELLED if CANCEL in frame else Status.RINGING)
    devices = await services.store.devices.of([CALLER], now())
    assert len(devices) == ("device:register" in frame)
    assert await client.send(UPGRADE) == NOOP
    assert client.posted == ["42[1]"]


async def test_a_ring_may_overtake_the_upgrade_too(services: Services) -> None:
    client = await upgrading(services)
    initiate = json.dumps(["call:initiate", {"callId": "CALL_2", "receiverId": RECEIVER}])
    reply = await client.send(f"421{initiate}")
    assert json.loads(reply[3:])[0]["outcome"] == "ringing"
    rung = await services.world.call(CallId("CALL_2"))
    assert rung
    assert (rung.caller, rung.status) == (CALLER, Status.RINGING)
    assert list(client.socket.calling) == ["CALL_2"]


async def test_what_is_relayed_may_overtake_the_upgrade_too(services: Services) -> None:
    client = await upgrading(services, DIALECT=str(ROOT / "docs/dialects/agora-app.toml"))
    await services.world.ring(status="accepted")
    reply = await client.send('421["call:upgrade",{"callId":"CALL_1"}]')
    assert json.loads(reply[3:])[0]["outcome"] == "relayed"
    assert len(services.clients.posted_to("hers=")) == 1


@pytest.mark.parametrize("is_first", [True, False])
async def test_the_upgrade_and_an_event_at_once_are_both_carried_out_once(
    services: Services, is_first: bool
) -> None:
    client = await upgrading(services)
    frames = [UPGRADE, f"421{CANCEL}"]
    replies = await asyncio.gather(*map(client.send, frames if is_first else reversed(frames)))
    assert sorted(replies) == sorted([NOOP, CANCELLED])
    assert client.posted == ["42[1]"]
    (made,) = services.published(CallEvent)
    assert (made.by_connection, made.served) == (SOCKET, ("hers=",))


@pytest.mark.parametrize("is_first", [True, False])
async def test_of_the_upgrade_and_an_event_that_both_have_found_the_session_one_moves_it(
    services: Services, is_first: bool
) -> None:
    client = await upgrading(services)
    first, second = (services.faults.hold("firestore.Commit", client.id) for _ in range(2))
    sent = [asyncio.create_task(client.send(frame)) for frame in (UPGRADE, f"421{CANCEL}")]
    await asyncio.gather(first.reached.wait(), second.reached.wait())
    (first if is_first else second).release()
    await asyncio.sleep(0.1)
    services.faults.heal()
    assert await asyncio.gather(*sent) == [NOOP, CANCELLED]
    assert client.posted == ["42[1]"]
    assert len(services.published(CallEvent)) == 1


async def test_an_event_that_finds_the_session_moved_looks_again(services: Services) -> None:
    client = await upgrading(services)
    # It has read its socket before the move, and looks for the session after it.
    read = services.faults.hold("firestore.BatchGetDocuments", client.id)
    sent = asyncio.create_task(client.send(f"421{CANCEL}"))
    await read.reached.wait()
    assert await client.send(UPGRADE) == NOOP
    read.release()
    assert await sent == CANCELLED
    assert client.posted == ["42[1]"]


async def test_a_frame_that_is_handled_after_its_socket_closed_still_counts(
    services: Services,
) -> None:
    client = await upgrading(services)
    await client.disconnect()
    await client.send(f"42{CANCEL}")
    assert await status_of(services) is Status.CANCELLED
    # But nobody is told by it any more, or comes back by it.
    assert await services.store.connections.of([CALLER], now()) == []
    assert await client.send(UPGRADE) == await client.send("40") == NOOP
    assert client.socket.user is None


@pytest.mark.parametrize(
    "lost",
    [("connections.POST", Kind.FAIL), ("firestore.Commit", Kind.LOSE_REPLY)],
    ids=["what waited", "the reply to the commit"],
)
async def test_a_frame_that_overtakes_the_upgrade_counts_though_its_client_must_connect_anew(
    services: Services, lost: tuple[str, Kind]
) -> None:
    client = await upgrading(services)
    call, kind = lost
    services.faults.arm(Fault(kind, call))
    assert await client.send(f"421{CANCEL}") == RECONNECT
    assert await status_of(services) is Status.CANCELLED


async def test_a_frame_that_can_not_be_carried_out_is_told_so_and_leaves_the_session_be(
    services: Services,
) -> None:
    client = await upgrading(services)
    for skip in (0, 1, 2):
        services.faults.fail("firestore.BatchGetDocuments", skip=skip)
        assert '"unavailable"' in await client.send(f"421{CANCEL}")
    assert await client.send(UPGRADE) == NOOP
    assert client.posted == ["42[1]"]


# Whoever is not admitted yet, or is signed out


@pytest.mark.parametrize(
    ("query", "connect", "answer"),
    [
        ({}, connect_of(CALLER), LET_IN),
        ({"token": token_of(CALLER)}, "40", LET_IN),
        ({}, "40", MISSING),
        ({"token": "garbage"}, "40", INVALID),
        ({"token": token_of(CALLER)}, '40{"token":"garbage"}', INVALID),
    ],
    ids=str,
)
async def test_who_has_not_connected_yet_connects_by_his_socket(
    client: PollingClient, query: dict[str, str], connect: str, answer: str
) -> None:
    await client.begin(**query)
    await client.upgrade()
    assert client.socket.user is None
    assert client.socket.admit_by == now() + timedelta(seconds=45)
    assert await client.send(connect) == answer
    assert client.socket.user == (CALLER if answer == LET_IN else None)
    assert len(client.services.published(ConnectionAdmitted)) == (answer == LET_IN)


async def test_who_was_refused_is_told_so_by_his_socket_and_may_try_again(
    client: PollingClient,
) -> None:
    await client.begin()
    await client.emit("40")
    await client.upgrade()
    assert client.posted == [MISSING]
    assert await client.send(connect_of(CALLER)) == LET_IN
    assert client.socket.user == CALLER


async def test_who_has_left_may_come_back_by_his_socket(client: PollingClient) -> None:
    await client.begin(token=token_of(CALLER))
    await client.emit("40", "42[1]")
    await client.emit("41")
    await client.upgrade()
    answer = json.loads((await client.send(f"421{CANCEL}"))[3:])[0]
    assert (answer["outcome"], answer["field"]) == ("forbidden", "connection")
    assert await client.send("40") == LET_IN
    assert client.socket.user == CALLER


async def test_nobody_is_kept_out_because_the_clock_of_api_gateway_is_behind(
    client: PollingClient, services: Services
) -> None:
    client.behind = timedelta(seconds=5)
    await services.world.ring()
    await client.come(CALLER)
    await client.upgrade()
    assert await client.send(f"421{CANCEL}") == CANCELLED
    again = PollingClient(services)
    again.behind = client.behind
    await again.come(RECEIVER)
    await again.emit("41")
    assert await again.open_socket("again=") == 200
    assert await again.send(UPGRADE, "again=") == NOOP
    assert await again.send(connect_of(RECEIVER), "again=") == '40{"sid":"again="}'


async def test_who_is_signed_out_while_he_upgrades_is_told_so_and_stays_out(
    client: PollingClient, services: Services
) -> None:
    await client.begin(token=token_of(CALLER))
    await client.emit("40")
    await client.poll()
    assert await client.open_socket() == 200
    signed_out = await SignOut(services.store.connections, services.sockets, now).everywhere(CALLER)
    assert (signed_out.closed, signed_out.unreached) == (1, 0)
    assert await client.send(UPGRADE) == NOOP
    assert client.posted == ["41", "1"]
    assert await services.store.connections.of([CALLER], now()) == []
    # Nor does he come back by the token that he showed before.
    assert await client.send("40") == NOOP
    assert "forbidden" in await client.send(f"421{CANCEL}")


async def test_the_socket_of_a_session_that_was_ended_is_nobodys_and_is_closed(
    services: Services,
) -> None:
    client = await upgrading(services)
    # As a sign-out begins; whose the connection is, it has not noted yet.
    await services.store.polls.close(client.id, now(), CLOSE)
    assert client.session.user == CALLER
    assert await client.send(UPGRADE) == NOOP
    assert client.costs == [*MOVE, "Publish", "POST", "POST", "DELETE"]
    assert client.posted == ["42[1]", CLOSE]
    assert services.clients.closed == [SOCKET]
    assert (client.socket.user, client.socket.owner) == (None, None)
    assert client.socket.closed_at
    assert "forbidden" in await client.send(f"421{CANCEL}")
    assert await status_of(services) is Status.RINGING
    assert await client.send(connect_of(CALLER)) == NOOP
    assert client.socket.user is None


# When something fails


@pytest.mark.parametrize("what", ["expired", "gone"])
async def test_whose_session_is_gone_must_connect_anew(client: PollingClient, what: str) -> None:
    await client.come(CALLER)
    assert await client.open_socket() == 200
    if what == "expired":
        await asyncio.sleep(60)
    else:
        await client.services.world.delete_connection(client.id)
    assert await client.send(UPGRADE) == RECONNECT
    assert client.costs == ["BatchGetDocuments"] * 8
    assert await client.send(f"421{CANCEL}") == RECONNECT
    assert client.socket.user is None


FAILURES: list[dict[str, Any]] = [
    {"kind": Kind.FAIL, "call": "firestore.BatchGetDocuments"},
    {"kind": Kind.FAIL, "call": "firestore.BatchGetDocuments", "skip": 1},
    {"kind": Kind.FAIL, "call": "firestore.Commit"},
    {"kind": Kind.LOSE_REPLY, "call": "firestore.Commit"},
    {"kind": Kind.FAIL, "call": "connections.POST"},
    {"kind": Kind.LOSE_REPLY, "call": "connections.POST"},
    {"kind": Kind.FAIL, "call": "connections.POST", "skip": 1},
]


@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_whose_upgrade_fails_connects_anew(
    client: PollingClient, failure: dict[str, Any]
) -> None:
    await client.come(CALLER)
    await waits(client, "42[1]", "42[2]")
    assert await client.open_socket() == 200
    client.services.faults.arm(Fault(**failure))
    assert await client.send(UPGRADE) == RECONNECT
    # Whatever was done of it: all that waited for him is told, or none of it is the socket's.
    is_moved = failure["call"] == "connections.POST" or failure["kind"] is Kind.LOSE_REPLY
    assert client.socket.user == (CALLER if is_moved else None)
    assert (ConnectionId(client.id) in client.services.database.polls) is not is_moved
