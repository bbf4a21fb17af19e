"""Engine.IO over HTTPS: which requests make sense, what they are answered, and what that costs."""

import asyncio
import json
from typing import Any

import pytest

from functions.calls.call import Status
from functions.calls.event import CallEvent
from functions.published import ConnectionClosed
from functions.sessions.signout import SignOut
from tests.memory.services import Services
from tests.memory.store import MemoryConnections, MemoryPolls
from tests.support.api import ORIGIN, status_of
from tests.support.makers import CALL, CALLER, RECEIVER, connect, now
from tests.support.polling import NOOP, UNKNOWN, PollingClient, connect_of, token_of

CANCEL = '["call:cancel",{"callId":"CALL_1"}]'
METHODS = pytest.mark.parametrize("method", ["GET", "POST"])


@pytest.fixture
def client(services: Services) -> PollingClient:
    return PollingClient(services)


# What makes no sense


@METHODS
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"EIO": "2"}, 5),
        ({"EIO": "5"}, 5),
        ({"EIO": ""}, 5),
        ({"transport": None}, 0),
        ({"transport": "websocket"}, 0),
        ({"transport": "webtransport"}, 0),
        ({"j": "0"}, 3),
        ({"EIO": None, "transport": "websocket"}, 0),
        ({"EIO": ["4", "4"]}, 3),
        ({"sid": ["a", "b"]}, 3),
        ({"t": ["a", "b"]}, 3),
        ({"unknown": ["a", "a"]}, 3),
    ],
    ids=str,
)
async def test_a_request_that_makes_no_sense_is_told_why_and_costs_nothing(
    client: PollingClient, method: str, query: dict[str, Any], code: int
) -> None:
    await client.begin()
    status, content = await client.refusal(method, **query)
    assert (status, content["code"]) == (400, code)
    assert content["message"]
    assert client.costs == []


async def test_what_only_keeps_others_from_answering_is_passed_over(client: PollingClient) -> None:
    await client.begin(t="PQ1x", b64="1")
    await client.emit(connect_of(CALLER))
    assert await client.poll() == [f'40{{"sid":"{client.id}"}}']


@METHODS
async def test_a_path_may_end_with_a_slash_or_not(client: PollingClient, method: str) -> None:
    for path in ("/socket.io", "/socket.io/"):
        answer = await client.api.ask(method, path, None)
        assert (answer.status_code, answer.json()["code"]) == (400, 0)
    answer = await client.api.ask(method, "/socket.io/1/", None)
    assert (answer.status_code, answer.json()["outcome"]) == (404, "not_found")
    assert (await client.api.ask("PUT", "/socket.io/", None)).status_code == 405


async def test_a_page_of_a_known_origin_may_poll(client: PollingClient) -> None:
    for method in ("GET", "OPTIONS"):
        answer = await client.api.ask(method, "/socket.io/", None, headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-allow-credentials"] == "true"


# Sessions that are not there, or not the client's


@METHODS
@pytest.mark.parametrize("sid", ["", "x", "poll-", "poll-" + "a" * 22, "../x", "a" * 5000, "é"])
async def test_a_sid_that_is_none_of_ours_is_unknown_and_costs_nothing(
    client: PollingClient, method: str, sid: str
) -> None:
    assert await client.refusal(method, sid=sid) == UNKNOWN
    assert client.costs == []


async def test_packets_without_a_sid_are_of_no_session(client: PollingClient) -> None:
    assert await client.refusal("POST") == UNKNOWN
    assert client.costs == []


@METHODS
@pytest.mark.parametrize(
    "what", ["unknown", "key", "expired", "closed", "token", "no token", "EIO"]
)
async def test_nobody_can_find_out_which_sessions_there_are(
    client: PollingClient, method: str, what: str
) -> None:
    await client.begin(token=token_of(CALLER))
    query: dict[str, Any] = {}
    match what:
        case "unknown":
            query = {"sid": f"poll-{'a' * 22}.{'b' * 32}"}
        case "key":
            query = {"sid": f"{client.id}.{'b' * 32}"}
        case "expired":
            await asyncio.sleep(60)
        case "closed":
            await client.emit("1")
            await client.poll()
        case "token":
            query = {"token": token_of(RECEIVER)}
        case "no token":
            query = {"token": None}
        case "EIO":
            query = {"EIO": "3"}
    assert await client.refusal(method, **query) == UNKNOWN
    assert client.costs == ["BatchGetDocuments"]


async def test_packets_for_a_session_that_is_not_the_clients_are_not_even_read(
    client: PollingClient,
) -> None:
    async def endless() -> Any:
        yield b"4"
        pytest.fail("it is read")

    assert (await client.ask("POST", endless(), sid="x")).status_code == 400


# Packets


async def test_an_event_costs_what_a_frame_costs_and_its_ack_two_calls_more(
    client: PollingClient, services: Services
) -> None:
    await connect(services.store, "phone=", RECEIVER)
    await services.world.ring()
    await client.come(CALLER)
    await client.emit(f"420{CANCEL}")
    frame = ["BatchGetDocuments", "Commit", "POST", "Publish", "RunQuery"]
    assert sorted(client.costs) == sorted([*frame, "BatchGetDocuments", "Commit"])
    assert await client.poll() == ['430[{"ok":true,"outcome":"cancelled","callId":"CALL_1"}]']
    (made,) = services.published(CallEvent)
    assert (made.by_connection, made.served) == (client.id, ("phone=",))
    await client.emit(f"42{CANCEL}")  # it needs no answer, so nothing waits
    assert client.costs == [*["BatchGetDocuments"] * 3, "Publish"]


async def test_packets_are_carried_out_in_their_order_and_their_replies_wait_in_it(
    client: PollingClient, services: Services
) -> None:
    await services.world.ring()
    await client.begin()
    register = '["device:register",{"token":"T","platform":"ios"}]'
    unregister = '["device:unregister",{"token":"T"}]'
    await client.emit(
        connect_of(CALLER), f"421{register}", f"422{unregister}", f"423{CANCEL}", f"424{CANCEL}"
    )
    assert await client.poll() == [
        f'40{{"sid":"{client.id}"}}',
        '431[{"ok":true,"outcome":"registered"}]',
        '432[{"ok":true,"outcome":"unregistered"}]',
        '433[{"ok":true,"outcome":"cancelled","callId":"CALL_1"}]',
        '434[{"ok":true,"outcome":"already_cancelled","callId":"CALL_1"}]',
    ]
    assert await services.world.ids_in("devices") == set()


@pytest.mark.parametrize("comes_back", [True, False])
async def test_a_goodbye_and_a_connect_in_one_request_are_carried_out_in_their_order_too(
    client: PollingClient, comes_back: bool
) -> None:
    await client.come(CALLER)
    packets = ["41", connect_of(CALLER)]
    await client.emit(*(packets if comes_back else reversed(packets)))
    assert await client.poll() == [f'40{{"sid":"{client.id}"}}']
    assert client.session.user == (CALLER if comes_back else None)


async def test_what_says_nothing_does_not_wait(client: PollingClient) -> None:
    await client.begin()
    await client.emit("3", "6", "43[]", '42["', "5")
    assert client.waiting.packets == ()
    assert client.costs == ["BatchGetDocuments"] * 2  # the session, and that of a packet 5


async def test_a_heartbeat_of_version_3_is_answered_by_the_next_poll(services: Services) -> None:
    client = PollingClient(services, "3")
    await client.begin(token=token_of(CALLER))
    await client.emit("2")
    assert client.costs == ["BatchGetDocuments", "Commit"]
    assert await client.poll() == ["3"]


async def test_binary_data_asks_for_nothing_and_keeps_nothing_else_back(
    client: PollingClient, services: Services
) -> None:
    await services.world.ring()
    await client.come(CALLER)
    placeholder = '451-["call:cancel",{"_placeholder":true,"num":0}]'
    await client.emit(placeholder, "bAQIDBA==", f"421{CANCEL}")
    (ack,) = await client.poll()
    assert ack.startswith("431[")
    await client.emit("bAQIDBA==")
    assert client.costs == ["BatchGetDocuments"]


@pytest.mark.parametrize(
    "body", [b"", b"\x1e", b"42[]\x1e", b"x", b"\xff", b"9", b"4\x1e" * 70, b"4" * 40_000]
)
async def test_of_a_payload_that_makes_no_sense_nothing_is_carried_out(
    client: PollingClient, services: Services, body: bytes
) -> None:
    await services.world.ring()
    await client.come(CALLER)
    answer = await client.ask("POST", f"42{CANCEL}\x1e".encode() + body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert answer.json()["message"].startswith("Bad request: ")
    assert client.costs == ["BatchGetDocuments"]
    assert await status_of(services) is Status.RINGING


async def test_a_body_that_is_too_large_is_refused(client: PollingClient) -> None:
    await client.begin()
    assert (await client.ask("POST", b"4" * (128 * 1024 + 1))).status_code == 413
    assert client.costs == ["BatchGetDocuments"]


# The end of a session


@pytest.mark.parametrize("goodbye", [("1",), ("41", "1")])
async def test_who_says_goodbye_is_gone_and_his_calls_are_looked_at(
    client: PollingClient, goodbye: tuple[str, ...]
) -> None:
    await client.come(CALLER)
    await client.emit(*goodbye)
    assert client.session.user is None
    (closed,) = client.services.published(ConnectionClosed)
    assert closed.connection_id == client.id
    assert await client.poll() == ["1"]
    assert await client.refusal() == UNKNOWN


async def test_a_goodbye_costs_what_it_costs_by_a_socket_and_the_end_of_what_waits(
    client: PollingClient,
) -> None:
    await client.come(CALLER)
    await client.emit("1")
    found, left, closed = ["BatchGetDocuments"], ["BatchGetDocuments", "Commit"], ["Commit"] * 2
    assert client.costs == [*found, *left, *closed, "Commit", "Publish"]


@pytest.mark.parametrize("packet", [connect_of(CALLER), f"421{CANCEL}", "1"], ids=str)
async def test_who_was_signed_out_sends_in_vain_before_he_has_heard_of_it(
    client: PollingClient, services: Services, packet: str
) -> None:
    await services.world.ring()
    await client.come(CALLER)
    signed_out = await SignOut(services.store.connections, services.sockets, now).everywhere(CALLER)
    assert (signed_out.closed, signed_out.unreached) == (1, 0)
    answer = await client.post(packet)
    assert (answer.status_code, answer.json()) == UNKNOWN
    assert client.costs == ["BatchGetDocuments"]
    assert await status_of(services) is Status.RINGING
    assert [await client.poll(), await client.poll()] == [["41"], ["1"]]
    assert await client.refusal() == UNKNOWN


async def test_where_no_caller_is_looked_after_nobody_is_told_that_he_has_gone(
    services: Services,
) -> None:
    client = PollingClient(services, CALLER_GRACE_SECONDS="0")
    await client.come(CALLER)
    await client.emit("1")
    assert services.published_of_any_kind() == []


async def test_who_must_connect_anew_is_told_that_his_session_is_unknown(
    client: PollingClient, services: Services
) -> None:
    await services.world.ring()
    await client.come(CALLER)
    await services.world.delete_connection(client.id)
    answer = await client.post(f"421{CANCEL}", f"422{CANCEL}")
    assert (answer.status_code, answer.json()) == UNKNOWN
    (closed,) = services.published(ConnectionClosed)
    assert closed.connection_id == client.id


# Too much


async def test_who_sends_too_many_packets_is_closed(
    client: PollingClient, services: Services
) -> None:
    await services.world.ring()
    await client.come(CALLER)
    await client.emit(*["3"] * 39)
    await client.emit("3", f"427{CANCEL}")
    assert client.costs == ["BatchGetDocuments", *["Commit"] * 2, "Commit"]  # closed, and replies
    assert client.waiting.packets[-1] == '437[{"ok":false,"outcome":"limited"}]'
    assert await client.poll() == ["1"]
    assert client.session.user is None
    assert await status_of(services) is Status.RINGING


async def test_who_polls_too_often_is_to_wait_and_keeps_nobody_else_from_polling(
    services: Services,
) -> None:
    client, other = (PollingClient(services, FRAMES_PER_SECOND="1") for _ in range(2))
    await client.begin()
    given = 0
    while (answer := await client.ask("GET")).status_code == 200:
        given += 1
        await services.sockets.post(client.id, "42[1]")  # so that the next is not held
    assert given >= 80
    assert answer.status_code == 429
    assert answer.json() == {"code": 3, "message": "too many requests"}
    assert client.costs == []
    other.api = client.api  # at the same instance
    await other.begin()
    assert await other.poll() == [NOOP]


async def test_who_has_polled_too_often_may_poll_again_once_he_has_waited(
    client: PollingClient, services: Services
) -> None:
    await client.begin()
    statuses = []
    for _ in range(100):
        await services.store.polls.add(client.id, [NOOP])  # which is given at once
        statuses.append((await client.ask("GET")).status_code)
    assert set(statuses) == {200, 429}
    await asyncio.sleep(1)
    assert (await client.ask("GET")).status_code == 200


async def test_an_instance_that_can_carry_out_no_more_begins_no_session(
    client: PollingClient, services: Services
) -> None:
    begins = [services.faults.hold("firestore.Commit") for _ in range(3)]
    under_way = [asyncio.create_task(client.ask("GET")) for _ in begins]
    for begin in begins:
        await begin.reached.wait()
    status, content = await client.refusal()
    assert (status, content) == (503, {"code": 3, "message": "unavailable"})
    assert client.costs == []
    for begin in begins:
        begin.release()
    assert {answer.status_code for answer in await asyncio.gather(*under_way)} == {200}


async def test_polls_that_are_held_keep_out_others_but_no_cancel(services: Services) -> None:
    client = PollingClient(services, POLL_HOLD_MS="1000")
    await services.world.ring()
    await client.come(CALLER)
    polls = [asyncio.create_task(client.ask("GET")) for _ in range(3)]  # of 4 requests at once
    await asyncio.sleep(0.1)
    for sid in (client.sid, None):
        unavailable = 503, {"code": 3, "message": "unavailable"}
        assert await client.refusal(sid=sid) == unavailable
        assert client.costs == []
    assert not any(poll.done() for poll in polls)
    await client.emit(f"42{CANCEL}")
    assert await status_of(services) is Status.CANCELLED
    assert {answer.status_code for answer in await asyncio.gather(*polls)} == {200}
    assert await client.poll() == [NOOP]


# When others fail


@METHODS
@pytest.mark.parametrize("rpc", ["BatchGetDocuments", "Commit"])
async def test_without_firestore_a_client_is_to_try_again(
    client: PollingClient, services: Services, method: str, rpc: str
) -> None:
    await client.come(CALLER)
    await services.sockets.post(client.id, "42[1]")
    services.faults.fail(f"firestore.{rpc}")
    body = b"40" if method == "POST" and rpc == "BatchGetDocuments" else b'421["x",{}]'
    answer = await client.ask(method, body if method == "POST" else None)
    assert (answer.status_code, answer.json()) == (503, {"code": 3, "message": "unavailable"})
    assert await client.poll() == ["42[1]"]


async def test_without_firestore_no_session_begins(
    client: PollingClient, services: Services
) -> None:
    services.faults.fail("firestore.Commit")
    assert await client.refusal() == (503, {"code": 3, "message": "unavailable"})


async def test_an_event_that_could_not_be_carried_out_is_told_in_its_ack(
    client: PollingClient, services: Services
) -> None:
    await services.world.ring()
    await client.come(CALLER)
    services.faults.fail("firestore.BatchGetDocuments", CALL)
    await client.emit(f"421{CANCEL}")
    unavailable = json.dumps({"ok": False, "outcome": "unavailable", "callId": CALL})
    assert await client.poll() == [f"431[{unavailable}]".replace(" ", "")]


@pytest.mark.parametrize("packet", ["40", "41"])
async def test_a_connect_or_a_goodbye_that_nobody_could_note_makes_the_client_come_again(
    client: PollingClient, services: Services, packet: str
) -> None:
    await client.come(CALLER)
    services.faults.fail("firestore.BatchGetDocuments", skip=1)
    answer = await client.post(packet)
    assert (answer.status_code, answer.json()) == UNKNOWN
    assert client.session.user is None


async def test_what_nobody_foresaw_is_answered_too(
    client: PollingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("nobody foresaw it")

    await client.come(CALLER)
    monkeypatch.setattr(MemoryConnections, "get", broken)
    await client.emit('421["device:unregister",{"token":"T"}]')
    assert await client.poll() == ['431[{"ok":false,"outcome":"unavailable"}]']
    monkeypatch.setattr(MemoryPolls, "get", broken)
    for method in ("GET", "POST"):
        assert await client.refusal(method) == (503, {"code": 3, "message": "unavailable"})
