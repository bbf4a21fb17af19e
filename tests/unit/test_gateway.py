"""`gateway`, as API Gateway meets it: every frame is answered, and what it costs."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256

import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request

from functions.calls.call import Call, ConnectionId, Status
from functions.calls.event import CallEvent
from functions.gateway import handler
from functions.inbound.http import Handler
from functions.published import (
    ConnectionAccepted,
    ConnectionAdmitted,
    ConnectionClosed,
    attributes,
)
from functions.settings import GatewaySettings
from functions.wire import socketio as packets
from infra import ROOT
from tests.memory.clients import Clients
from tests.memory.others import TOKEN_PREFIX
from tests.memory.services import Services
from tests.memory.store import MemoryCalls, MemoryConnections
from tests.support.asgi import call, get
from tests.support.frames import SENSELESS, UNREADABLE_CONNECTS
from tests.support.makers import CALL, CALLER, RECEIVER, now
from tests.support.processes import SECRET, settings_of

EIO3 = {"eio": "3", "transport": "websocket"}
EIO4 = {"eio": "4", "transport": "websocket"}
CANCEL = '["call:cancel",{"callId":"CALL_1","reason":"because"}]'
REGISTER = '["device:register",{"token":"T","platform":"ios"}]'
RECONNECT = '{"message":"reconnect"}'


def token_of(user: str) -> str:
    return f"{TOKEN_PREFIX}{user}"


@dataclass
class Api:
    """API Gateway, as the function meets it."""

    function: Handler
    services: Services
    at: int = 1_700_000_000_000  # API Gateway's time of the last request, Unix ms

    @property
    def costs(self) -> list[str]:
        """The remote calls that the last request took."""
        return self.services.journal.started

    async def connect(self, connection: str, **said: str) -> httpx.Response:
        return await self.forward("CONNECT", connection, b"", said)

    async def disconnect(self, connection: str) -> httpx.Response:
        return await self.forward("DISCONNECT", connection, b"", {})

    async def send(self, connection: str, frame: str | bytes) -> str:
        body = frame if isinstance(frame, bytes) else frame.encode()
        answer = await self.forward("MESSAGE", connection, body, {})
        assert answer.status_code == 200
        assert answer.text
        return answer.text

    async def forget(self, connection: str) -> None:
        """Makes the next client with this id another one: ids are never used again."""
        await self.services.world.delete_connection(connection)

    async def forward(
        self, event_type: str, connection: str, body: bytes, said: dict[str, str]
    ) -> httpx.Response:
        self.services.journal.clear()
        self.at += 1
        headers = {
            "unring-secret": SECRET,
            "unring-connection-id": connection,
            "unring-event-type": event_type,
            "unring-request-time": str(self.at),
            **{f"unring-{name}": value for name, value in said.items()},
        }
        return await call(self.function, body, headers)


@pytest.fixture
def api(services: Services) -> Api:
    function = handler(
        settings_of(GatewaySettings, REQUESTS_AT_ONCE="8"),
        services.store,
        services.sockets,
        services.publisher,
        services.identity,
        now,
    )
    return Api(function, services)


@pytest_asyncio.fixture(loop_scope="function")
async def phones(api: Api) -> Api:
    """A ringing call; its caller has a Socket.IO client, its receiver one of each kind."""
    assert (await api.connect("caller=", **EIO4, token=token_of(CALLER))).status_code == 200
    assert (await api.connect("json=", token=token_of(RECEIVER))).status_code == 200
    assert (await api.connect("sio=", **EIO3, token=token_of(RECEIVER))).status_code == 200
    assert await api.send("caller=", "40") == '40{"sid":"caller="}'
    await api.services.store.connections.note_opened(ConnectionId("sio="))
    await api.services.world.ring()
    api.services.topic.clear()
    return api


# What a session costs, step by step


async def test_a_session_of_version_4_costs_as_little_as_it_can(api: Api) -> None:
    steps = [
        (await api.connect("c=", **EIO4), api.costs),
        (await api.send("c=", f'40{{"token":"{token_of(CALLER)}"}}'), api.costs),
        (await api.send("c=", "40"), api.costs),
        (await api.send("c=", "2"), api.costs),
        (await api.send("c=", "3"), api.costs),
        (await api.send("c=", "41"), api.costs),
        (await api.disconnect("c="), api.costs),
    ]
    assert [answer for answer, _ in steps[1:6]] == [
        '40{"sid":"c="}',
        '40{"sid":"c="}',
        "3",
        "6",
        "6",
    ]
    assert [costs for _, costs in steps] == [
        ["Commit", "Publish"],
        ["BatchGetDocuments", "Commit", "Publish"],
        ["BatchGetDocuments", "Commit", "Publish"],
        [],
        [],
        ["BatchGetDocuments", "Commit"],
        ["Commit", "Publish"],
    ]
    kinds = [type(event) for event in api.services.topic]
    assert kinds[:2] == [ConnectionAccepted, ConnectionAdmitted]


async def test_a_session_of_version_3_costs_as_little_as_it_can(api: Api) -> None:
    await api.connect("c=", **EIO3, token=token_of(CALLER))
    assert api.costs == ["Commit", "Publish"]
    assert [await api.send("c=", frame) for frame in ("2", "2probe")] == ["3", "3probe"]
    assert api.costs == []
    assert await api.send("c=", "41") == "6"
    assert api.costs == ["BatchGetDocuments", "Commit"]
    await api.disconnect("c=")
    assert api.costs == ["Commit", "Publish"]
    kinds = [type(event) for event in api.services.topic]
    assert kinds[:2] == [ConnectionAccepted, ConnectionAdmitted]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (f"420{CANCEL}", '430[{"ok":true,"outcome":"cancelled","callId":"CALL_1"}]'),
        (f"42{CANCEL}", "6"),
        (f"42/,7{CANCEL}", '437[{"ok":true,"outcome":"cancelled","callId":"CALL_1"}]'),
    ],
)
async def test_an_emit_costs_what_a_json_frame_costs_and_tells_both_wires(
    phones: Api, clients: Clients, frame: str, answer: str
) -> None:
    assert await phones.send("caller=", frame) == answer
    paid = ["BatchGetDocuments", "Commit", "POST", "POST", "Publish", "RunQuery"]
    assert sorted(phones.costs) == paid
    (made,) = phones.services.published(CallEvent)
    assert set(made.served or ()) == {"json=", "sio="}
    (in_json,), (in_packets,) = clients.posted_to("json="), clients.posted_to("sio=")
    told = {
        "callId": CALL,
        "reason": "because",
        "cause": "caller_cancelled",
        "timestamp": made.timestamp,
    }
    assert json.loads(in_json) == {"event": "call:cancelled", "data": told}
    assert in_packets.startswith("42[")
    assert json.loads(in_packets[2:]) == ["call:cancelled", told]


async def test_a_json_frame_tells_both_wires_too(phones: Api, clients: Clients) -> None:
    frame = '{"event":"call:reject","data":{"callId":"CALL_1"},"id":7}'
    answer = json.loads(await phones.send("json=", frame))
    assert (answer["id"], answer["data"]["outcome"]) == (7, "rejected")
    ((connection, packet),) = clients.posts
    assert connection == "caller="
    assert packet.startswith('42["call:rejected",{"callId":"CALL_1","reason":"User declined",')


# Every frame is answered


async def test_an_emit_that_is_refused_is_told_in_its_ack_or_as_an_error(phones: Api) -> None:
    other = '["call:cancel",{"callId":"CALL_2"}]'
    verdict = '{"ok":false,"outcome":"not_found","callId":"CALL_2"}'
    assert await phones.send("caller=", f"420{other}") == f"430[{verdict}]"
    assert phones.costs == ["BatchGetDocuments", "Commit"]
    assert await phones.send("caller=", f"42{other}") == f'42["call:error",{verdict}]'
    # A cancel of a call that is not there is noted once: the ring may come after it.
    assert phones.costs == ["BatchGetDocuments", "Commit", "BatchGetDocuments"]


async def test_an_emit_that_asks_for_nothing_we_know_is_told_so_and_costs_nothing(api: Api) -> None:
    for frame in ('42["call:explode",{}]', '42["call:cancel"]', '42["call:cancel",{}]'):
        answer = await api.send("c=", frame)
        assert answer.startswith('42["call:error",{"ok":false,"outcome":"invalid","field":"')
        assert (await api.send("c=", f"425{frame[2:]}")).startswith('435[{"ok":false,')
        assert api.costs == []


async def test_a_client_that_has_not_authenticated_may_ask_for_nothing(api: Api) -> None:
    await api.connect("c=", **EIO4)
    for emit in (CANCEL, REGISTER):
        answer = json.loads((await api.send("c=", f"421{emit}")).removeprefix("431"))[0]
        found = (answer["ok"], answer["outcome"], answer["field"], answer["message"])
        assert found == (False, "forbidden", "connection", "connection is not authenticated")
        assert api.costs == ["BatchGetDocuments"]
    assert await api.services.world.ids_in("devices") == set()


async def test_a_device_is_registered_by_an_emit(phones: Api) -> None:
    assert (
        await phones.send("caller=", f"421{REGISTER}") == '431[{"ok":true,"outcome":"registered"}]'
    )
    assert phones.costs == ["BatchGetDocuments", "Commit", "RunQuery"]
    gone = '["device:unregister",{"token":"T"}]'
    assert await phones.send("caller=", f"42{gone}") == "6"
    assert await phones.services.world.ids_in("devices") == set()


@pytest.mark.parametrize(
    "frame", ["40", "5", "40/admin,", f"42{CANCEL}", f"420{CANCEL}", f"42{REGISTER}"]
)
async def test_a_client_on_an_unknown_connection_is_told_to_reconnect(api: Api, frame: str) -> None:
    assert await api.send("nobody=", frame) == RECONNECT
    assert api.costs == ["BatchGetDocuments"]


async def test_a_json_client_on_an_unknown_connection_is_told_so_in_json(api: Api) -> None:
    answer = await api.send("nobody=", '{"event":"call:cancel","data":{"callId":"CALL_1"}}')
    assert json.loads(answer)["data"]["message"] == "connection is not known; reconnect"


@pytest.mark.parametrize(
    ("frame", "answer"),
    [("2", "3"), ("2probe", "3probe"), *((frame, "6") for frame in ("3", "6"))],
)
async def test_what_engine_io_asks_is_answered_without_a_remote_call(
    api: Api, frame: str, answer: str
) -> None:
    assert await api.send("nobody=", frame) == answer
    assert api.costs == []


@pytest.mark.parametrize("frame", ["1", "41", "41/,"])
async def test_a_goodbye_of_nobody_is_answered_too(api: Api, frame: str) -> None:
    assert await api.send("nobody=", frame) == "6"
    assert api.costs == ["BatchGetDocuments", *(["DELETE"] if frame == "1" else [])]


@pytest.mark.parametrize("goodbye", ["1", "41", "41/,"])
async def test_a_frame_that_is_handled_after_the_goodbye_behind_it_still_counts(
    phones: Api, goodbye: str
) -> None:
    phones.at += 100
    assert await phones.send("caller=", goodbye) == "6"
    late = await phones.send("caller=", f"420{CANCEL}")
    assert '"outcome":"forbidden"' in late
    assert '"field":"connection"' in late
    phones.at -= 10
    assert '"outcome":"cancelled"' in await phones.send("caller=", f"420{CANCEL}")


@pytest.mark.parametrize(
    ("connection", "frame"),
    [
        ("json=", '{"event":"call:reject","data":{"callId":"CALL_1"},"id":7}'),
        ("sio=", '420["call:reject",{"callId":"CALL_1"}]'),
        ("caller=", f"420{CANCEL}"),
    ],
)
async def test_a_frame_that_is_handled_after_its_socket_closed_still_counts(
    phones: Api, connection: str, frame: str
) -> None:
    await phones.disconnect(connection)
    assert len(phones.services.published(ConnectionClosed)) == 1
    assert json.loads((await phones.send(connection, frame)).removeprefix("430"))
    call = await phones.services.world.call()
    assert call is not None
    assert call.status in (Status.CANCELLED, Status.REJECTED)
    (made,) = phones.services.published(CallEvent)
    assert connection not in (made.served or ())


async def test_a_device_registers_by_a_frame_that_is_handled_after_its_socket_closed(
    phones: Api,
) -> None:
    await phones.disconnect("json=")
    register = '{"event":"device:register","data":{"token":"T","platform":"ios"}}'
    assert '"outcome":"registered"' in await phones.send("json=", register)
    (device,) = await phones.services.store.devices.of([RECEIVER], now())
    assert device.address == "T"
    unregister = '{"event":"device:unregister","data":{"token":"T"}}'
    assert '"outcome":"unregistered"' in await phones.send("json=", unregister)


async def test_a_connect_after_the_disconnect_is_refused(api: Api) -> None:
    await api.disconnect("c=")
    assert (await api.connect("c=", token=token_of(CALLER))).status_code == 410


async def test_a_packet_that_makes_no_sense_is_answered_with_a_noop_and_costs_nothing(
    api: Api,
) -> None:
    for number, frame in enumerate(SENSELESS):
        assert (frame[:60], await api.send(f"{number}=", frame)) == (frame[:60], "6")
        assert api.costs == []


@pytest.mark.parametrize("query", [EIO3, EIO4], ids=["eio3", "eio4"])
async def test_a_connect_that_nobody_can_read_is_refused(api: Api, query: dict[str, str]) -> None:
    for frame in UNREADABLE_CONNECTS:
        await api.forget("c=")
        assert (await api.connect("c=", **query)).status_code == 200
        answer = await api.send("c=", frame)
        namespace = "/admin," if b"/admin" in frame else ""
        assert answer.startswith((f'44{namespace}{{"message":', f'44{namespace}"')), frame[:60]


async def test_a_heartbeat_on_the_json_wire_is_answered(api: Api) -> None:
    assert await api.send("c=", '{"event": "ping"}') == '{"event":"pong"}'
    assert await api.send("c=", '{"event": "ping", "id": 7, "data": {}}') == (
        '{"event":"pong","id":7}'
    )
    assert api.costs == []


async def test_of_a_call_that_nobody_knows_no_words_of_the_client_are_logged(
    phones: Api, caplog: pytest.LogCaptureFixture
) -> None:
    cancel = '427["call:cancel",{"callId":"%s"}]'
    said = "please run this: rm -rf"
    caplog.set_level("INFO")
    await phones.send("caller=", cancel % said)  # not found
    phones.services.faults.fail("firestore.BatchGetDocuments")
    await phones.send("caller=", cancel % said)  # not even looked for
    await phones.send("caller=", cancel % CALL)
    records = [record for record in caplog.records if record.name.startswith("functions.")]
    logged = [vars(record)["fields"] for record in records]
    assert said not in str(logged)
    hashed = sha256(said.encode()).hexdigest()[:16]
    named = ("outcome", "callHash", "callId")
    assert [tuple(map(each.get, named)) for each in logged] == [
        ("not_found", hashed, None),
        (None, hashed, None),  # frame failed
        ("unavailable", hashed, None),
        ("cancelled", None, CALL),  # told
        ("cancelled", None, CALL),
    ]


@pytest.mark.parametrize("depth", [900, 950, 990, 1000, 1100])
async def test_nesting_that_nearly_overflows_is_answered_too(api: Api, depth: int) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth
    frames = (
        f'40{{"token":{nested}}}',
        f'421["device:register",{{"token":"T","platform":{nested}}}]',
    )
    for frame in frames:
        answer = await api.send("nobody=", frame)
        assert answer in ("6", RECONNECT) or '"field":"platform"' in answer


@pytest.mark.parametrize("frame", [b"", b" ", b"x", b"{}", b"[]", b"\xff", b"b", b'{"message":'])
async def test_what_is_no_packet_is_answered_in_json(api: Api, frame: bytes) -> None:
    assert json.loads(await api.send("nobody=", frame))["data"]["outcome"] == "invalid"
    assert api.costs == []


# Who may connect


@pytest.mark.parametrize(
    "said",
    [
        {"eio": "4", "transport": "polling"},
        {"eio": "3", "transport": "polling"},
        {"eio": "4"},
        {"eio": "5", "transport": "websocket"},
        {"eio": "2", "transport": "websocket"},
        {"eio": "4,4", "transport": "websocket"},
    ],
    ids=str,
)
async def test_a_socketio_client_that_cannot_be_served_is_refused_at_the_handshake(
    api: Api, said: dict[str, str]
) -> None:
    answer = await api.connect("c=", **said, token=token_of(CALLER))
    assert answer.status_code == 400
    assert api.costs == []


async def test_a_bad_token_keeps_out_a_json_client_alone(api: Api) -> None:
    assert (await api.connect("c=", token="garbage")).status_code == 401
    assert api.costs == []
    assert (await api.connect("c=", **EIO4, token="garbage")).status_code == 200
    assert await api.send("c=", "40") == '44{"message":"the token is not valid"}'
    assert await api.send("c=", "40/admin,") == '44/admin,{"message":"Invalid namespace"}'


# When others fail


async def test_a_handshake_whose_session_nobody_would_open_is_refused(api: Api) -> None:
    api.services.faults.fail("pubsub.Publish", times=2)
    for said in (EIO3, EIO4):
        assert (await api.connect("c=", **said)).status_code == 503
        assert api.costs == ["Commit", "Publish", "Commit"]  # what was stored is closed again
        await api.forget("c=")


async def test_without_firestore_a_client_that_asks_to_be_let_in_is_to_come_again(api: Api) -> None:
    api.services.faults.fail("firestore.BatchGetDocuments")
    assert await api.send("c=", "40") == RECONNECT


async def test_without_the_identitys_keys_a_client_with_a_token_is_to_come_again(api: Api) -> None:
    api.services.identity.is_down = True
    token = token_of(CALLER)
    assert (await api.connect("c=", **EIO4, token=token)).status_code == 503
    assert api.costs == []
    assert (await api.connect("c=", **EIO4)).status_code == 200
    assert await api.send("c=", f'40{{"token":"{token}"}}') == RECONNECT


async def test_a_goodbye_that_nobody_could_note_makes_the_client_close_its_socket(
    api: Api,
) -> None:
    api.services.faults.fail("firestore.BatchGetDocuments")
    assert await api.send("c=", "41") == RECONNECT


async def test_without_firestore_a_disconnect_is_not_done(api: Api) -> None:
    api.services.faults.fail("firestore.Commit")
    assert (await api.disconnect("c=")).status_code == 503


async def test_a_reply_that_can_not_be_made_is_made_of_less(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(packets.SocketIoCodec, "encode_pong", broken)
    answer = await api.send("c=", "2")
    assert answer == '42["call:error",{"ok":false,"outcome":"unavailable"}]'


async def test_without_firestore_an_emit_is_unavailable(phones: Api) -> None:
    phones.services.faults.fail("firestore.BatchGetDocuments", times=2)
    verdict = '{"ok":false,"outcome":"unavailable","callId":"CALL_1"}'
    assert await phones.send("caller=", f"420{CANCEL}") == f"430[{verdict}]"
    assert await phones.send("caller=", f"42{CANCEL}") == f'42["call:error",{verdict}]'


async def test_what_nobody_foresaw_is_answered_too(
    phones: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(MemoryCalls, "load", broken)
    for method in ("get", "add", "close"):
        monkeypatch.setattr(MemoryConnections, method, broken)
    assert '"outcome":"unavailable"' in await phones.send("caller=", f"420{CANCEL}")
    assert await phones.send("caller=", "40") == RECONNECT
    assert (await phones.connect("c=", token=token_of(CALLER))).status_code == 503
    assert (await phones.disconnect("c=")).status_code == 503


async def test_a_client_that_sends_a_header_of_api_gateways_twice_is_told_so(api: Api) -> None:
    said = ("secret", SECRET), ("connection-id", "c="), ("event-type", "CONNECT")
    for name in ("token", "user-id", "authorization", "eio", "transport"):
        twice = [(f"unring-{header}", value) for header, value in (*said, (name, "1"), (name, "2"))]
        answer = await call(api.function, headers=twice)
        assert (answer.status_code, answer.json()) == (
            400,
            {"message": f"unring-{name} was given more than once"},
        )
    assert api.costs == []


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        ('{"event":"ping"}', '{"event":"ack","data":{"ok":false,"outcome":"limited"}}'),
        ("2", '42["call:error",{"ok":false,"outcome":"limited"}]'),
        (f"427{CANCEL}", '437[{"ok":false,"outcome":"limited"}]'),
        (f"42{CANCEL}", '42["call:error",{"ok":false,"outcome":"limited"}]'),
        ("42", '42["call:error",{"ok":false,"outcome":"limited"}]'),
        ("427", '437[{"ok":false,"outcome":"limited"}]'),
        (b'427["\xff"]', '437[{"ok":false,"outcome":"limited"}]'),
    ],
)
async def test_a_connection_that_sends_too_many_frames_is_closed(
    api: Api, frame: str | bytes, reply: str
) -> None:
    for _ in range(40):  # twenty a second, and what two seconds allow at once
        assert await api.send("c=", frame) != reply
    assert await api.send("c=", frame) == reply
    assert api.costs == ["DELETE"]
    assert await api.send("c=", frame) == reply
    assert api.costs == []
    assert api.services.clients.closed == ["c="]
    assert await api.send("another=", frame) != reply


async def test_a_socket_that_can_not_be_closed_now_is_closed_when_it_is_too_fast_again(
    api: Api,
) -> None:
    api.services.faults.fail("connections.DELETE")
    for _ in range(82):
        assert await api.send("c=", "2")
    assert api.services.clients.closed == ["c="]


@pytest_asyncio.fixture(loop_scope="function")
async def busy(phones: Api) -> AsyncIterator[Api]:
    """An instance that can carry out no more, as Firestore holds all that it has taken on."""
    reads = [phones.services.faults.hold("firestore.BatchGetDocuments") for _ in range(8)]
    cancels = [
        asyncio.create_task(phones.send(f"c{number}=", f"420{CANCEL}")) for number in range(8)
    ]
    for read in reads:
        await read.reached.wait()
    yield phones
    for read in reads:
        read.release()
    assert all(await asyncio.gather(*cancels))
    # Then it can again.
    assert '"outcome":"cancelled"' in await phones.send("caller=", f"420{CANCEL}")


async def test_an_instance_that_can_carry_out_no_more_refuses_at_once(
    busy: Api, caplog: pytest.LogCaptureFixture
) -> None:
    refused = '430[{"ok":false,"outcome":"unavailable"'
    assert (await busy.send("caller=", f"420{CANCEL}")).startswith(refused)
    assert (await busy.send("caller=", f"420{REGISTER}")).startswith(refused)
    assert await busy.send("caller=", "40") == RECONNECT
    answer = await busy.connect("new=", token=token_of(CALLER))
    assert (answer.status_code, answer.json()) == (503, {"message": "unavailable"})
    assert busy.costs == []
    assert caplog.messages.count("overloaded") == 4


async def test_an_instance_that_can_carry_out_no_more_hears_who_leaves(busy: Api) -> None:
    assert (await busy.disconnect("json=")).status_code == 200
    assert busy.costs == ["Commit", "Publish"]
    assert await busy.send("nobody=", "2") == "3"
    assert await busy.send("sio=", "41") == "6"


# What is relayed in the dialect of the app that asked

UPGRADE = '["call:upgrade",{"callId":"CALL_1","receiverId":"USR_2","note":"secret words"}]'


@pytest.fixture
def agora(phones: Api) -> Api:
    """The same phones, with a call that has been accepted."""
    services = phones.services
    function = handler(
        settings_of(GatewaySettings, DIALECT=str(ROOT / "docs/dialects/agora-app.toml")),
        services.store,
        services.sockets,
        services.publisher,
        services.identity,
        now,
    )
    services.database.put_call(Call(CALL, CALLER, RECEIVER, Status.ACCEPTED))
    return replace(phones, function=function)


async def test_a_relayed_emit_is_heard_on_both_wires_and_its_ack_says_so(
    agora: Api, clients: Clients
) -> None:
    answer = '430[{"success":true,"outcome":"relayed","callId":"CALL_1"}]'
    assert await agora.send("caller=", f"420{UPGRADE}") == answer
    assert agora.costs == ["BatchGetDocuments", "RunQuery", "POST", "POST"]
    (in_json,), (in_packets,) = clients.posted_to("json="), clients.posted_to("sio=")
    data = {"callId": "CALL_1", "receiverId": "USR_2", "note": "secret words"}
    assert json.loads(in_json) == {"event": "call:upgrade:request", "data": data}
    assert json.loads(in_packets.removeprefix("42")) == ["call:upgrade:request", data]
    assert agora.services.topic == []
    frame = '{"event":"call:upgrade:response","data":{"callId":"1","accepted":true},"id":7}'
    assert json.loads(await agora.send("json=", frame)) == {
        "event": "ack",
        "id": 7,
        "data": {"success": True, "outcome": "relayed", "callId": "1"},
    }
    (packet,) = clients.posted_to("caller=")
    assert packet == '42["call:upgrade:response",{"callId":"1","accepted":true}]'


async def test_who_asks_for_no_ack_hears_only_that_nothing_was_relayed(
    agora: Api, clients: Clients
) -> None:
    assert await agora.send("caller=", f"42{UPGRADE}") == "6"
    clients.answers |= {"json=": [410], "sio=": [410]}
    verdict = '{"success":false,"outcome":"not_there","callId":"CALL_1"}'
    assert await agora.send("caller=", f"42{UPGRADE}") == f'42["call:error",{verdict}]'


@pytest.mark.parametrize(
    "frame",
    [
        '421["call:upgrade",{"callId":"CALL_1","x":"%s"}]' % ("x" * 2980),
        '421["call:upgrade",{"callId":""}]',
        '421["call:upgrade"]',
        '421["call:upgrade:request",{"callId":"CALL_1"}]',
        '421["call:cancelled",{"callId":"CALL_1"}]',
        '421["call:incoming",{"callId":"CALL_1"}]',
    ],
    ids=lambda frame: str(frame)[:40],
)
async def test_what_can_not_be_relayed_is_told_so_and_costs_nothing(
    agora: Api, clients: Clients, frame: str
) -> None:
    assert (await agora.send("caller=", frame)).startswith('431[{"success":false,"outcome":"inv')
    assert agora.costs == []
    assert clients.posts == []


async def test_of_what_is_relayed_the_log_has_the_event_and_the_call_and_no_more(
    agora: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await agora.send("caller=", f"420{UPGRADE}")
    await agora.send("caller=", f"420{UPGRADE}".replace("CALL_1", "secret id"))
    agora.services.faults.fail("firestore.BatchGetDocuments")
    verdict = '{"success":false,"outcome":"unavailable","callId":"CALL_1"}'
    assert await agora.send("caller=", f"420{UPGRADE}") == f"430[{verdict}]"
    records = [record for record in caplog.records if record.name.startswith("functions.")]
    logged = [vars(record)["fields"] for record in records]
    assert "secret" not in str(logged)
    named = [(each["request"], each["heard"], each.get("outcome")) for each in logged]
    assert named == [
        ("relay", "call:upgrade:request", outcome)
        for outcome in ("relayed", "not_found", None, "unavailable")
    ]
    assert [each.get("callId") for each in logged] == [CALL, None, None, None]


async def test_without_a_dialect_nothing_is_relayed(phones: Api, clients: Clients) -> None:
    await phones.services.world.ring(status="accepted")
    assert '"field":"event"' in await phones.send("caller=", f"420{UPGRADE}")
    assert clients.posts == []


# What API Gateway would never send


async def test_a_body_that_api_gateway_would_never_send_is_not_kept(api: Api) -> None:
    answer = await call(api.function, b"x" * (1024 * 1024 + 1), {"unring-secret": SECRET})
    assert (answer.status_code, answer.json()) == (413, {"message": "the request is too large"})
    assert api.costs == []


async def test_a_body_that_does_not_come_is_not_waited_for(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    began = now()
    answer = await call(api.function, body(), {"unring-secret": SECRET})
    assert (answer.status_code, answer.json()) == (408, {"message": "the request is too slow"})
    assert now() - began == timedelta(seconds=20)
    assert caplog.messages == ["body refused"]


async def test_a_body_that_is_cut_off_is_not_taken_for_a_frame(api: Api) -> None:
    async def cut_off() -> dict[str, object]:
        return {"type": "http.disconnect"}

    headers = [(b"unring-secret", SECRET.encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, cut_off)
    assert (await api.function(request)).status_code == 400
    assert api.costs == []


async def test_whoever_does_not_know_the_secret_is_forbidden_everything(api: Api) -> None:
    for secret in ("", "a guess", f"{SECRET} "):
        answer = await api.forward("MESSAGE", "c=", b"2", {"secret": secret})
        assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert api.costs == []


async def test_no_body_of_whoever_does_not_know_the_secret_is_read(api: Api) -> None:
    async def never() -> dict[str, object]:
        raise AssertionError("the body was asked for")

    headers = [(b"unring-secret", b"a guess")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, never)
    assert (await api.function(request)).status_code == 403


async def test_an_event_of_unknown_type_is_refused(api: Api) -> None:
    assert (await api.forward("EXPLODE", "c=", b"", {})).status_code == 400
    assert (await api.forward("", "c=", b"", {})).status_code == 400
    assert (await api.forward("MESSAGE", "a/b", b"", {})).status_code == 400
    assert api.costs == []


async def test_a_get_warms_the_instance_up(api: Api) -> None:
    answer = await get(api.function)
    assert (answer.status_code, answer.json()) == (200, {"message": "warm"})
    assert api.costs == ["BatchGetDocuments"]


async def test_a_push_that_the_backend_sends_is_not_ours(services: Services) -> None:
    function = handler(
        settings_of(GatewaySettings, PUSH_CANCELLED="backend", PUSH_REJECTED="off"),
        services.store,
        services.sockets,
        services.publisher,
        services.identity,
        now,
    )
    api = Api(function, services)
    for user in (CALLER, RECEIVER):
        await api.connect(f"{user}=", token=token_of(user))
    for signal, sender, by in (
        ("call:cancel", CALLER, {"wanted"}),
        ("call:reject", RECEIVER, set[str]()),
    ):
        await services.world.ring()
        services.topic.clear()
        await api.send(f"{sender}=", json.dumps({"event": signal, "data": {"callId": CALL}}))
        (made,) = services.published(CallEvent)
        assert set(attributes(made)) == {"webhook", *by}
