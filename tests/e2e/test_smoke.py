"""The smoke test as a deployer runs it: a process, a URL and two tokens."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from google.cloud.firestore import AsyncClient, FieldFilter
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.asyncio.server import serve as server

from infra import ROOT
from infra.client import https
from infra.emulators.auth.tokens import unsigned_token
from infra.emulators.faults import Fault, Kind
from infra.emulators.processes import reserved_port
from infra.local.stack import Stack
from infra.smoke import Smoke, User
from tests.support.pace import PATIENCE_SECONDS
from tests.support.stacks import Ids


@dataclass(frozen=True)
class Ended:
    status: int
    output: str
    errors: str


async def started(stack: Stack, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.smoke", *arguments),
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "API_URL": stack.functions["api"],
            "API_KEY": stack.values["API_KEY"],
            "COLUMNS": "200",
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def smoke(stack: Stack, *arguments: str, **environment: str) -> Ended:
    process = await started(stack, *arguments, **environment)
    output, errors = await process.communicate()
    return Ended(process.returncode or 0, output.decode(), errors.decode())


def token(stack: Stack, user: str, **how: int) -> str:
    return unsigned_token(user, stack.project, **how)


async def test_a_running_unring_passes_and_no_call_rings_on(
    stack: Stack, ids: Ids, documents: AsyncClient
) -> None:
    caller, receiver = token(stack, ids.caller), token(stack, ids.receiver)
    ended = await smoke(stack, stack.websocket, CALLER_TOKEN=caller, RECEIVER_TOKEN=receiver)
    assert (ended.status, ended.errors) == (0, "")
    assert "All of it holds." in ended.output
    for step in (
        "a client without a token is refused",
        "call:cancelled arrives, JSON",
        "call:cancelled arrives, Socket.IO",
        "call:rejected arrives, JSON",
        "who connects later is told, by Pub/Sub",
    ):
        assert step in ended.output
    assert await ringing_calls(documents) == set()


async def test_tokens_of_any_kind_do_if_the_users_are_named(
    stack: Stack, ids: Ids, documents: AsyncClient
) -> None:
    caller, receiver = (f"opaque-{user}" for user in (ids.caller, ids.receiver))
    named = ("--caller-id", ids.caller, "--receiver-id", ids.receiver)
    ended = await smoke(stack, stack.websocket, "--caller", caller, "--receiver", receiver, *named)
    assert ended.status == 1  # this stack takes no such tokens, which is the gateway's to say
    assert "the caller connects, JSON: server rejected WebSocket connection: HTTP 401" in (
        ended.output
    )


async def test_a_token_that_the_gateway_refuses_fails_the_test(stack: Stack, ids: Ids) -> None:
    caller = token(stack, ids.caller, lifetime_seconds=-1)
    receiver = token(stack, ids.receiver)
    ended = await smoke(stack, stack.websocket, "--caller", caller, "--receiver", receiver)
    assert ended.status == 1
    assert "the caller connects, JSON: server rejected WebSocket connection: HTTP 401" in (
        ended.output
    )


async def test_an_endpoint_that_is_not_there_fails_the_test(stack: Stack, ids: Ids) -> None:
    users = ("--caller", token(stack, ids.caller), "--receiver", token(stack, ids.receiver))
    with reserved_port() as nobodys:
        ended = await smoke(stack, f"ws://127.0.0.1:{nobodys}/dev", *users)
    assert ended.status == 1
    assert "Connect call failed" in ended.output


async def test_what_the_test_lacks_is_said_before_anything_is_tried(stack: Stack, ids: Ids) -> None:
    caller, receiver = token(stack, ids.caller), token(stack, ids.receiver)
    url = stack.websocket
    for arguments, said in (
        ((url, "--caller", caller), "needed: --receiver"),
        ((url, "--caller", caller, "--receiver", "x.y"), "does not say whose it is"),
        ((url, "--caller", caller, "--receiver", caller), "must be of two users"),
        (("https://x", "--caller", caller, "--receiver", receiver), "must begin with wss://"),
        ((url, "--caller", caller, "--receiver", receiver, "--api", "wss://x"), "https://"),
    ):
        ended = await smoke(stack, *arguments)
        assert ended.status == 2
        assert said in ended.errors


async def test_a_wrong_key_fails_the_test(stack: Stack, ids: Ids) -> None:
    users = ("--caller", token(stack, ids.caller), "--receiver", token(stack, ids.receiver))
    ended = await smoke(stack, stack.websocket, *users, "--api-key", "another")
    assert ended.status == 1
    assert "the verdict is unauthenticated: the API key is not valid" in ended.output


async def test_the_path_of_socketio_clients_can_be_another(stack: Stack, ids: Ids) -> None:
    users = ("--caller", token(stack, ids.caller), "--receiver", token(stack, ids.receiver))
    ended = await smoke(stack, stack.websocket, *users, "--socketio-path", "/socket.io")
    assert ended.status == 0
    assert "Socket.IO at /socket.io" in ended.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_whoever_ends_it_leaves_no_call_that_rings(
    stack: Stack, ids: Ids, documents: AsyncClient, number: signal.Signals
) -> None:
    async with misbehaving(silent=True) as url:
        process = await started(
            stack,
            url,
            CALLER_TOKEN=token(stack, ids.caller),
            RECEIVER_TOKEN=token(stack, ids.receiver),
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await ringing_calls(documents):  # noqa: ASYNC110 - Firestore tells nobody
                await asyncio.sleep(0.02)
        process.send_signal(number)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (128 + number, b"")
    assert not await ringing_calls(documents)


@pytest.mark.thorough
async def test_what_an_earlier_run_left_to_be_caught_up_with_does_not_fail_the_next(
    stack: Stack, ids: Ids
) -> None:
    # So slow that who connects is caught up with the last run's call before this one's is told.
    slow = Fault(Kind.DELAY, "firestore.Commit", ("/calls/smoke-",), times=None, seconds=0.7)
    with stack.faults.during(slow):
        for _ in range(2):
            test = await tried(stack, ids, stack.websocket, patience=PATIENCE_SECONDS)
            assert [result for result in test.results if result.wrong] == []


async def test_what_a_wrong_backend_does_is_told(stack: Stack, ids: Ids) -> None:
    async with misbehaving() as url:
        test = await tried(stack, ids, url)
    assert not test.holds
    wrong = {result.step: result.wrong for result in test.results}
    assert wrong["a client without a token is refused"] == "it was let in"
    assert wrong["call:cancel is answered"] == "the verdict is unavailable"
    assert wrong["call:cancelled arrives, JSON"] == "it came for CALL_OTHER"
    assert wrong["the receiver connects, Socket.IO at /dev"]
    assert "who connects later is told, by Pub/Sub" not in wrong


async def test_an_event_that_pubsub_does_not_deliver_is_told(stack: Stack, ids: Ids) -> None:
    async with misbehaving(obeys=True) as url:
        test = await tried(stack, ids, url)
    wrong = {result.step: result.wrong for result in test.results}
    assert wrong["call:cancel is answered"] is None
    assert wrong["who connects later is told, by Pub/Sub"] == "nothing came"
    assert not test.holds


async def test_a_fault_without_words_is_a_fault(stack: Stack, ids: Ids) -> None:
    async with misbehaving(hangs_up=True) as url:
        test = await tried(stack, ids, url)
    assert not test.holds
    assert all(result.wrong != "" for result in test.results)


async def tried(stack: Stack, ids: Ids, url: str, patience: float = 1) -> Smoke:
    caller, receiver = (User.of(token(stack, user)) for user in (ids.caller, ids.receiver))
    async with https.client(stack.functions["api"]) as http:
        backend = https.Backend(http, stack.values["API_KEY"])
        test = Smoke(url, caller, receiver, backend, patience=patience)
        await test.run()
    return test


async def ringing_calls(documents: AsyncClient) -> set[str]:
    """Those that the smoke test made."""
    ringing = documents.collection("calls").where(filter=FieldFilter("status", "==", "ringing"))
    return {call.id async for call in ringing.stream() if call.id.startswith("smoke-")}


@asynccontextmanager
async def misbehaving(
    *, silent: bool = False, hangs_up: bool = False, obeys: bool = False
) -> AsyncIterator[str]:
    """A server that lets everybody in but Socket.IO clients, and gets everything wrong.

    `silent`, it answers nothing; with `hangs_up` it ends each connection without a word; where it
    `obeys`, its verdict is right, and who connects later is told nothing.
    """
    sockets: set[ServerConnection] = set()

    async def serve(socket: ServerConnection) -> None:
        assert socket.request
        if hangs_up or "EIO=" in socket.request.path:
            socket.transport.abort()
            return
        sockets.add(socket)
        async for text in socket:
            if silent:
                continue
            frame = json.loads(text)
            outcome = {"ok": False, "outcome": "unavailable"}
            if obeys:
                outcome = {"ok": True, "outcome": "cancelled"}
            told = {"event": "call:cancelled", "data": {"callId": "CALL_OTHER"}}
            broadcast(sockets - {socket}, json.dumps(told))
            answer = {"event": "ack", "id": frame["id"], "data": outcome}
            await socket.send(json.dumps(answer))

    async with server(serve, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        yield f"ws://{host}:{port}/dev"
