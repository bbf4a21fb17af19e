"""What is refused: at the handshake, at the function's door, and frame by frame."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from google.cloud.firestore import AsyncClient
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from infra.client.calls import Calls
from infra.client.phone import JsonPhone, phone
from infra.emulators.auth.tokens import unsigned_token
from infra.local.functions import Function
from infra.local.stack import Stack
from tests.support.collections import CONNECTIONS
from tests.support.makers import fields_of, ids_in
from tests.support.pace import PATIENCE_SECONDS
from tests.support.processes import SECRET, environment
from tests.support.stacks import Ids

HEADERS = {
    "unring-secret": SECRET,
    "unring-connection-id": "abcdefghijkl=",
    "unring-event-type": "CONNECT",
    "unring-request-time": "1700000000000",
}


async def handshake(url: str, **headers: str) -> int:
    """The HTTP status of a handshake; 101 when it is accepted."""
    try:
        async with connect(url, additional_headers=headers):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


async def test_a_handshake_without_a_good_token_is_refused(stack: Stack, ids: Ids) -> None:
    good = unsigned_token(ids.caller, stack.project)
    expired = unsigned_token(ids.caller, stack.project, lifetime_seconds=-1)
    foreign = unsigned_token(ids.caller, "another-project")
    url = stack.websocket
    assert await handshake(url) == 401
    assert await handshake(url, Authorization="Bearer ") == 401
    assert await handshake(url, Authorization="Basic dXNlcjpwYXNz") == 401
    for bad in (expired, foreign, "garbage", good[:-20]):
        assert await handshake(f"{url}?token={bad}") == 401
        assert await handshake(url, Authorization=f"Bearer {bad}") == 401
    assert await handshake(f"{url}?token={good}&userId={ids.receiver}") == 401
    assert await handshake(f"{url}?token={good}&userId={ids.caller}") == 101
    assert await handshake(url, Authorization=f"bearer {good}") == 101


async def test_a_browser_shows_its_token_among_the_subprotocols(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    token = unsigned_token(ids.caller, stack.project)
    await calls.ring(ids.call, ids.caller, ids.receiver)
    offered = [Subprotocol("unring"), Subprotocol(f"bearer.{token}")]
    async with connect(stack.websocket, subprotocols=offered) as socket:
        assert socket.subprotocol == "unring"
        verdict = await JsonPhone(socket).emit("call:cancel", callId=ids.call)
        assert verdict["outcome"] == "cancelled"


async def test_a_refused_handshake_leaves_no_connection(
    stack: Stack, documents: AsyncClient
) -> None:
    before = await ids_in(documents, "connections")
    await handshake(stack.websocket)
    # Fewer there may be: those of earlier tests are still closing.
    assert await ids_in(documents, "connections") <= before


@pytest.fixture(scope="module")
def values() -> dict[str, str]:
    """The environment of a gateway that runs alone: its Firestore is down."""
    return {
        **environment(),
        "GATEWAY_SECRET_PREVIOUS": "the one before this",
        "FIRESTORE_EMULATOR_HOST": "127.0.0.1:9",
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:9",
        "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9",
    }


async def test_a_gateway_whose_services_are_down_says_so(
    values: dict[str, str], tmp_path: Path
) -> None:
    token = unsigned_token("USR_1", "unring-test")
    async with (
        Function("gateway", values, tmp_path) as gateway,
        httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http,
    ):

        async def post(body: str = "", **changes: str) -> httpx.Response:
            return await http.post(gateway.url, headers={**HEADERS, **changes}, content=body)

        frame = '{"event": "call:cancel", "data": {"callId": "CALL_1"}, "id": 1}'
        connect, disconnect, message, warm_up = await asyncio.gather(
            post(**{"unring-token": token}),
            post(**{"unring-event-type": "DISCONNECT"}),
            post(frame, **{"unring-event-type": "MESSAGE"}),
            http.get(gateway.url),
        )
        assert [connect.status_code, disconnect.status_code, warm_up.status_code] == [503] * 3
        assert (message.status_code, message.json()["data"]["outcome"]) == (200, "unavailable")

        previous = await post(**{"unring-secret": "the one before this"})
        assert previous.status_code == 401
        assert (await post(**{"unring-event-type": "EXPLODE"})).status_code == 400
        for bad in ("a=,b=", "a/b=", "."):
            assert (await post(**{"unring-connection-id": bad})).status_code == 400
        twice = [*HEADERS.items(), ("unring-connection-id", "b=")]
        assert (await http.post(gateway.url, headers=twice)).status_code == 400
        both = [*HEADERS.items(), ("unring-secret", SECRET)]
        assert (await http.post(gateway.url, headers=both)).status_code == 403
        headers = {key: HEADERS[key] for key in HEADERS if key != "unring-connection-id"}
        assert (await http.post(gateway.url, headers=headers)).status_code == 400


async def test_a_gateway_that_can_not_even_build_its_clients_still_answers_frames(
    tmp_path: Path,
) -> None:
    # Neither emulators nor credentials: as on an instance that the metadata server fails.
    values = {**environment(), "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9"}
    async with (
        Function("gateway", values, tmp_path) as gateway,
        httpx.AsyncClient(timeout=60) as http,
    ):
        message = {**HEADERS, "unring-event-type": "MESSAGE"}
        malformed = await http.post(gateway.url, headers=message, content="not json")
        assert (malformed.status_code, malformed.json()["data"]["field"]) == (200, "frame")
        frame = '{"event": "call:cancel", "data": {"callId": "CALL_1"}, "id": 7}'
        answer = await http.post(gateway.url, headers=message, content=frame)
        assert answer.status_code == 200
        assert (answer.json()["id"], answer.json()["data"]["outcome"]) == (7, "unavailable")
        good = unsigned_token("USR_1", values["GOOGLE_CLOUD_PROJECT"])
        signed_in = {**HEADERS, "unring-token": good}
        assert (await http.post(gateway.url, headers=signed_in)).status_code == 503
        assert (await http.post(gateway.url, headers=HEADERS)).status_code == 401
        assert (await http.get(gateway.url)).status_code == 503


BAD_FRAMES = [
    ("not json", "frame"),
    ("", "frame"),
    ("[]", "frame"),
    ("[" * 30_000, "frame"),
    ('{"a":' * 6_000, "frame"),
    ("\x00\x01\x02", "frame"),
    ('{"event": "call:explode", "data": {}}', "event"),
    ('{"event": "$connect", "data": {}}', "event"),
    ('{"event": "$disconnect", "data": {}}', "event"),
    ('{"event": "call:cancel"}', "data"),
    ('{"event": "call:cancel", "data": {}}', "callId"),
    ('{"event": "call:cancel", "data": {"callId": 7}}', "callId"),
    ('{"event": "call:cancel", "data": {"callId": ""}}', "callId"),
    (json.dumps({"event": "call:cancel", "data": {"callId": "x" * 129}}), "callId"),
    ('{"event": "call:cancel", "data": {"callId": "a/b"}}', "callId"),
    ('{"event": "call:cancel", "data": {"callId": "CALL\\u0000"}}', "callId"),
    ('{"event": "device:register", "data": {"token": "T", "platform": "fridge"}}', "platform"),
]


async def test_a_bad_frame_is_told_what_is_wrong_and_changes_nothing(
    stack: Stack, ids: Ids, calls: Calls, documents: AsyncClient
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    before = await fields_of(documents, "calls", ids.call)
    async with phone(stack.websocket, ids.caller, stack.project) as caller:
        for text, field in BAD_FRAMES:
            await caller.socket.send(text)
            answer = await caller.told("ack")
            assert (answer["outcome"], answer["field"]) == ("invalid", field), text
            assert answer["message"].startswith(field)
    assert await fields_of(documents, "calls", ids.call) == before


async def test_128_kilobytes_of_garbage_are_answered_and_more_is_not_taken(
    stack: Stack, ids: Ids
) -> None:
    def pieces(size: int) -> list[str]:
        return ["x" * 32_768] * (size // 32_768) + ["x" * (size % 32_768)]

    async with phone(stack.websocket, ids.caller, stack.project) as caller:
        await caller.socket.send(pieces(131_072))
        assert (await caller.told("ack"))["field"] == "frame"
        await caller.socket.send(pieces(131_073))
        await caller.socket.wait_closed()
        assert caller.socket.close_code == 1009


async def test_a_frame_of_a_connection_that_is_not_known_is_told_to_reconnect(
    stack: Stack, ids: Ids, calls: Calls, documents: AsyncClient
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    async with phone(stack.websocket, ids.caller, stack.project) as caller:
        async for snapshot in documents.collection(CONNECTIONS).stream():
            if (snapshot.to_dict() or {}).get("userId") == ids.caller:
                await snapshot.reference.delete()
        for event, data in (
            ("call:cancel", {"callId": ids.call}),
            ("device:register", {"token": ids.token, "platform": "web"}),
        ):
            verdict = await caller.emit(event, **data)
            assert (verdict["outcome"], verdict["field"]) == ("invalid", "connection")
            assert "reconnect" in verdict["message"]
    assert await calls.status(ids.call) == "ringing"


async def test_a_closed_connection_is_forgotten(stack: Stack, ids: Ids, calls: Calls) -> None:
    async with phone(stack.websocket, ids.caller, stack.project):
        assert await calls.is_connected(ids.caller)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await calls.is_connected(ids.caller):  # noqa: ASYNC110 - Firestore tells nobody
            await asyncio.sleep(0.02)
