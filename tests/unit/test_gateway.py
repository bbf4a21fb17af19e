"""The function itself, in a process of its own: every frame is answered, and what it costs."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import pytest

from functions.calls.call import ConnectionId
from functions.calls.event import CallEvent
from functions.published import ConnectionAdmitted, ConnectionOpened
from infra.emulators.auth.tokens import unsigned_token
from infra.local.functions import Function
from tests.support.connections import ConnectionsServer, connections_server
from tests.support.frames import SENSELESS
from tests.support.makers import CALL, CALLER, RECEIVER, fields_of, ids_in, now, ring
from tests.support.processes import SECRET
from tests.support.services import Services, services_for

EIO3 = {"eio": "3", "transport": "websocket"}
EIO4 = {"eio": "4", "transport": "websocket"}
CANCEL = '["call:cancel",{"callId":"CALL_1","reason":"because"}]'
REGISTER = '["device:register",{"token":"T","platform":"ios"}]'
RECONNECT = '{"message":"reconnect"}'


@dataclass
class Api:
    """API Gateway, as the function meets it."""

    url: str
    http: httpx.AsyncClient
    services: Services
    project: str
    at: int = 1_700_000_000_000  # API Gateway's time of the last request, Unix ms

    @property
    def costs(self) -> list[str]:
        """The remote calls that the last request took."""
        return self.services.journal.started

    def token(self, user: str) -> str:
        return unsigned_token(user, self.project)

    async def connect(self, connection: str, **said: str) -> httpx.Response:
        return await self._forward("CONNECT", connection, b"", said)

    async def disconnect(self, connection: str) -> httpx.Response:
        return await self._forward("DISCONNECT", connection, b"", {})

    async def send(self, connection: str, frame: str | bytes) -> str:
        body = frame if isinstance(frame, bytes) else frame.encode()
        answer = await self._forward("MESSAGE", connection, body, {})
        assert answer.status_code == 200
        assert answer.text
        return answer.text

    async def forget(self, connection: str) -> None:
        """Makes the next client with this id another one: ids are never used again."""
        await self.services.client.collection("connections").document(connection).delete()

    async def _forward(
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
        return await self.http.post(self.url, headers=headers, content=body)


@pytest.fixture(scope="module")
async def sockets() -> AsyncIterator[ConnectionsServer]:
    async with connections_server() as server:
        yield server


@pytest.fixture(scope="module")
async def api(
    sockets: ConnectionsServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    project = f"unring-{uuid.uuid4().hex[:12]}"
    async with (
        services_for(sockets, project) as services,
        Function("gateway", services.variables, tmp_path_factory.mktemp("logs")) as gateway,
        httpx.AsyncClient(timeout=30) as http,
    ):
        yield Api(gateway.url, http, services, project)


@pytest.fixture
async def phones(api: Api, sockets: ConnectionsServer) -> AsyncIterator[Api]:
    """A ringing call; its caller has a Socket.IO client, its receiver one of each kind."""
    assert (await api.connect("caller=", **EIO4, token=api.token(CALLER))).status_code == 200
    assert (await api.connect("json=", token=api.token(RECEIVER))).status_code == 200
    assert (await api.connect("sio=", **EIO3, token=api.token(RECEIVER))).status_code == 200
    assert await api.send("caller=", "40") == '40{"sid":"caller="}'
    await api.services.published(ConnectionOpened, ConnectionAdmitted)
    await api.services.store.connections.open(ConnectionId("sio="))
    await ring(api.services.client)
    sockets.posts.clear()
    yield api
    for connection in ("caller=", "json=", "sio="):
        await api.disconnect(connection)
        await api.forget(connection)
    async for entry in api.services.client.collection("outbox").list_documents():
        await entry.delete()


# What a session costs, step by step


async def test_a_session_of_version_4_costs_as_little_as_it_can(api: Api) -> None:
    steps = [
        (await api.connect("c=", **EIO4), api.costs),
        (await api.send("c=", f'40{{"token":"{api.token(CALLER)}"}}'), api.costs),
        (await api.send("c=", "40"), api.costs),
        (await api.send("c=", "2"), api.costs),
        (await api.send("c=", "3"), api.costs),
        (await api.send("c=", "41"), api.costs),
        (await api.disconnect("c="), api.costs),
    ]
    await api.forget("c=")
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
        ["Commit"],
    ]
    made = await api.services.published(ConnectionOpened, ConnectionAdmitted)
    kinds = [type(event) for event in made]
    assert kinds[:2] == [ConnectionOpened, ConnectionAdmitted]


async def test_a_session_of_version_3_costs_as_little_as_it_can(api: Api) -> None:
    await api.connect("c=", **EIO3, token=api.token(CALLER))
    assert api.costs == ["Commit", "Publish"]
    assert [await api.send("c=", frame) for frame in ("2", "2probe")] == ["3", "3probe"]
    assert api.costs == []
    assert await api.send("c=", "41") == "6"
    assert api.costs == ["BatchGetDocuments", "Commit"]
    await api.disconnect("c=")
    assert api.costs == ["Commit"]
    await api.forget("c=")
    made = await api.services.published(ConnectionOpened, ConnectionAdmitted)
    kinds = [type(event) for event in made]
    assert kinds[:2] == [ConnectionOpened, ConnectionAdmitted]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (f"420{CANCEL}", '430[{"ok":true,"outcome":"cancelled","callId":"CALL_1"}]'),
        (f"42{CANCEL}", "6"),
        (f"42/,7{CANCEL}", '437[{"ok":true,"outcome":"cancelled","callId":"CALL_1"}]'),
    ],
)
async def test_an_emit_costs_what_a_json_frame_costs_and_tells_both_wires(
    phones: Api, sockets: ConnectionsServer, frame: str, answer: str
) -> None:
    assert await phones.send("caller=", frame) == answer
    paid = ["BatchGetDocuments", "Commit", "POST", "POST", "Publish", "RunQuery"]
    assert sorted(phones.costs) == paid
    (made,) = await phones.services.published(CallEvent)
    assert set(made.served or ()) == {"json=", "sio="}
    (in_json,), (in_packets,) = sockets.posted_to("json="), sockets.posted_to("sio=")
    told = {"callId": CALL, "reason": "because", "timestamp": made.timestamp}
    assert json.loads(in_json) == {"event": "call:cancelled", "data": told}
    assert in_packets.startswith("42[")
    assert json.loads(in_packets[2:]) == ["call:cancelled", told]


async def test_a_json_frame_tells_both_wires_too(phones: Api, sockets: ConnectionsServer) -> None:
    frame = '{"event":"call:reject","data":{"callId":"CALL_1"},"id":7}'
    answer = json.loads(await phones.send("json=", frame))
    assert (answer["id"], answer["data"]["outcome"]) == (7, "rejected")
    ((connection, packet),) = sockets.posts
    assert connection == "caller="
    assert packet.startswith('42["call:rejected",{"callId":"CALL_1","reason":"User declined",')
    await phones.services.published(CallEvent)


# Every frame is answered


async def test_an_emit_that_is_refused_is_told_in_its_ack_or_as_an_error(phones: Api) -> None:
    other = '["call:cancel",{"callId":"CALL_2"}]'
    verdict = '{"ok":false,"outcome":"not_found","callId":"CALL_2"}'
    assert await phones.send("caller=", f"420{other}") == f"430[{verdict}]"
    assert await phones.send("caller=", f"42{other}") == f'42["call:error",{verdict}]'
    assert phones.costs == ["BatchGetDocuments"]


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
    assert await ids_in(api.services.client, "devices") == set()
    await api.disconnect("c=")
    await api.forget("c=")
    await api.services.published(ConnectionOpened)


async def test_a_device_is_registered_by_an_emit(phones: Api) -> None:
    assert (
        await phones.send("caller=", f"421{REGISTER}") == '431[{"ok":true,"outcome":"registered"}]'
    )
    assert phones.costs == ["BatchGetDocuments", "Commit"]
    gone = '["device:unregister",{"token":"T"}]'
    assert await phones.send("caller=", f"42{gone}") == "6"
    assert await ids_in(phones.services.client, "devices") == set()


@pytest.mark.parametrize(
    "frame", ["40", "40/admin,", f"42{CANCEL}", f"420{CANCEL}", f"42{REGISTER}"]
)
async def test_a_client_on_an_unknown_connection_is_told_to_reconnect(api: Api, frame: str) -> None:
    assert await api.send("nobody=", frame) == RECONNECT
    assert api.costs == ["BatchGetDocuments"]


async def test_a_json_client_on_an_unknown_connection_is_told_so_in_json(api: Api) -> None:
    answer = await api.send("nobody=", '{"event":"call:cancel","data":{"callId":"CALL_1"}}')
    assert json.loads(answer)["data"]["message"] == "connection is not known; reconnect"


@pytest.mark.parametrize(
    ("frame", "answer"),
    [("2", "3"), ("2probe", "3probe"), *((frame, "6") for frame in ("3", "5", "6"))],
)
async def test_what_engine_io_asks_is_answered_without_a_remote_call(
    api: Api, frame: str, answer: str
) -> None:
    assert await api.send("nobody=", frame) == answer
    assert api.costs == []


@pytest.mark.parametrize("frame", ["1", "41", "41/,"])
async def test_a_goodbye_of_nobody_is_answered_too(api: Api, frame: str) -> None:
    assert await api.send("nobody=", frame) == "6"
    assert api.costs == ["BatchGetDocuments"]


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
    await phones.services.published(CallEvent)


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
    assert json.loads((await phones.send(connection, frame)).removeprefix("430"))
    call = await fields_of(phones.services.client, "calls", CALL)
    assert call is not None
    assert call["status"] in ("cancelled", "rejected")
    (made,) = await phones.services.published(CallEvent)
    assert connection not in (made.served or ())


async def test_a_device_registers_by_a_frame_that_is_handled_after_its_socket_closed(
    phones: Api,
) -> None:
    await phones.disconnect("json=")
    register = '{"event":"device:register","data":{"token":"T","platform":"ios"}}'
    assert '"outcome":"registered"' in await phones.send("json=", register)
    (device,) = await phones.services.store.devices.of([RECEIVER], now())
    assert device.token == "T"
    unregister = '{"event":"device:unregister","data":{"token":"T"}}'
    assert '"outcome":"unregistered"' in await phones.send("json=", unregister)


async def test_a_connect_after_the_disconnect_is_refused(api: Api) -> None:
    await api.disconnect("c=")
    assert (await api.connect("c=", token=api.token(CALLER))).status_code == 410
    await api.forget("c=")


async def test_a_packet_that_makes_no_sense_is_answered_with_a_noop_and_costs_nothing(
    api: Api,
) -> None:
    for frame in SENSELESS:
        assert (frame[:60], await api.send("nobody=", frame)) == (frame[:60], "6")
        assert api.costs == []


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
    answer = await api.connect("c=", **said, token=api.token(CALLER))
    assert answer.status_code == 400
    assert api.costs == []


async def test_a_bad_token_keeps_out_a_json_client_alone(api: Api) -> None:
    assert (await api.connect("c=", token="garbage")).status_code == 401
    assert api.costs == []
    assert (await api.connect("c=", **EIO4, token="garbage")).status_code == 200
    assert await api.send("c=", "40") == '44{"message":"the token is not valid"}'
    assert await api.send("c=", "40/admin,") == '44/admin,{"message":"Invalid namespace"}'
    await api.disconnect("c=")
    await api.forget("c=")
    await api.services.published(ConnectionOpened)


# When others fail


async def test_a_handshake_whose_session_nobody_would_open_is_refused(api: Api) -> None:
    api.services.faults.fail("pubsub.Publish", code=grpc.StatusCode.PERMISSION_DENIED, times=2)
    for said in (EIO3, EIO4):
        assert (await api.connect("c=", **said)).status_code == 503
        assert api.costs == ["Commit", "Publish", "Commit"]  # what was stored is closed again
        await api.forget("c=")


async def test_without_firestore_a_client_that_asks_to_be_let_in_is_to_come_again(api: Api) -> None:
    api.services.faults.fail("firestore.BatchGetDocuments", code=grpc.StatusCode.PERMISSION_DENIED)
    assert await api.send("c=", "40") == RECONNECT


async def test_without_googles_keys_a_client_with_a_token_is_to_come_again(
    api: Api, tmp_path: Path
) -> None:
    variables = api.services.variables | {"ID_TOKEN_KEYS_URL": "http://127.0.0.1:9/keys"}
    del variables["FIREBASE_AUTH_EMULATOR_HOST"]
    async with Function("gateway", variables, tmp_path) as gateway:
        alone = replace(api, url=gateway.url)
        token = _signed_by_nobody(api.token(CALLER))
        assert (await alone.connect("c=", **EIO4, token=token)).status_code == 503
        assert alone.costs == []
        assert (await alone.connect("c=", **EIO4)).status_code == 200
        assert await alone.send("c=", f'40{{"token":"{token}"}}') == RECONNECT
        await alone.disconnect("c=")
    await api.forget("c=")
    await api.services.published(ConnectionOpened)


@pytest.mark.parametrize("secret", [SECRET, "a guess"])
async def test_a_body_that_api_gateway_would_never_send_is_not_kept(api: Api, secret: str) -> None:
    api.services.journal.clear()
    answer = await api.http.post(
        api.url, headers={"unring-secret": secret}, content=b"x" * (1024 * 1024 + 1)
    )
    assert (answer.status_code, answer.json()) == (413, {"message": "the request is too large"})
    assert api.costs == []


async def test_a_body_that_does_not_come_is_not_waited_for(api: Api) -> None:
    url = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(b"POST / HTTP/1.1\r\nhost: gateway\r\ncontent-length: 100\r\n\r\n{")
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()


def _signed_by_nobody(unsigned: str) -> str:
    """The token with a header that makes a verifier look for the key."""
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"key-1"}').decode().rstrip("=")
    return f"{header}.{unsigned.split('.')[1]}.AA"
