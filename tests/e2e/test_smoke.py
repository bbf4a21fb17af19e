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
from google.cloud.firestore import AsyncClient
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.asyncio.server import serve as server

from infra import ROOT
from infra.client.calls import Calls
from infra.emulators.auth.tokens import unsigned_token
from infra.emulators.faults import Fault, Kind
from infra.emulators.processes import free_port
from infra.local.stack import Stack
from infra.smoke import CannotStart, Smoke, User
from infra.smoke import smoke as infra_smoke
from tests.support.collections import OUTBOX
from tests.support.makers import ids_in
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
            "FIRESTORE_EMULATOR_HOST": stack.firestore,
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


async def test_a_running_unring_passes_and_nothing_of_the_test_stays(
    stack: Stack, ids: Ids, documents: AsyncClient
) -> None:
    before = await ids_in(documents, "calls")
    caller, receiver = token(stack, ids.caller), token(stack, ids.receiver)
    ended = await smoke(stack, stack.websocket, CALLER_TOKEN=caller, RECEIVER_TOKEN=receiver)
    assert (ended.status, ended.errors) == (0, "")
    assert "All of it holds." in ended.output
    for step in (
        "a client without a token is refused",
        "call:cancelled arrives, JSON",
        "call:cancelled arrives, Socket.IO",
        "call:rejected arrives, JSON",
        "Pub/Sub has delivered it to the end",
    ):
        assert step in ended.output
    assert await ids_in(documents, "calls") <= before


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
    ended = await smoke(stack, f"ws://127.0.0.1:{free_port()}/dev", *users)
    assert ended.status == 1
    assert "Connect call failed" in ended.output


async def test_what_the_test_lacks_is_said_before_anything_is_tried(stack: Stack, ids: Ids) -> None:
    caller, receiver = token(stack, ids.caller), token(stack, ids.receiver)
    foreign = unsigned_token(ids.receiver, "another-project")
    url = stack.websocket
    for arguments, said in (
        ((url, "--caller", caller), "two tokens are needed"),
        ((url, "--caller", caller, "--receiver", "x.y"), "no Firebase ID token"),
    ):
        ended = await smoke(stack, *arguments)
        assert ended.status == 2
        assert said in ended.errors
    for told, said in (
        ((url, caller, "x.y"), "no Firebase ID token"),  # as above
        ((url, caller, caller), "two users of one project"),
        ((url, caller, foreign), "two users of one project"),
        (("https://x", caller, receiver), "must begin with wss://"),
    ):
        with pytest.raises(CannotStart, match=said):
            await infra_smoke(*told)


async def test_the_path_of_socketio_clients_can_be_another(stack: Stack, ids: Ids) -> None:
    users = ("--caller", token(stack, ids.caller), "--receiver", token(stack, ids.receiver))
    ended = await smoke(stack, stack.websocket, *users, "--socketio-path", "/socket.io")
    assert ended.status == 0
    assert "Socket.IO at /socket.io" in ended.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_whoever_ends_it_leaves_no_call_that_rings(
    stack: Stack, ids: Ids, documents: AsyncClient, calls: Calls, number: signal.Signals
) -> None:
    async with misbehaving(silent=True) as url:
        process = await started(
            stack,
            url,
            CALLER_TOKEN=token(stack, ids.caller),
            RECEIVER_TOKEN=token(stack, ids.receiver),
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await smoke_calls(documents):  # noqa: ASYNC110 - Firestore tells nobody
                await asyncio.sleep(0.02)
        process.send_signal(number)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (128 + number, b"")
    assert not await smoke_calls(documents)


@pytest.mark.thorough
async def test_what_an_earlier_run_left_to_be_caught_up_with_does_not_fail_the_next(
    stack: Stack, ids: Ids, calls: Calls
) -> None:
    # So slow that who connects is caught up with the last run's call before this one's is told.
    slow = Fault(Kind.DELAY, "firestore.Commit", ("/calls/smoke-",), times=None, seconds=0.7)
    with stack.faults.during(slow):
        for _ in range(2):
            test = trial(stack, ids, calls, stack.websocket, patience=PATIENCE_SECONDS)
            await test.run()
            assert [result for result in test.results if result.wrong] == []


async def test_what_a_wrong_backend_does_is_told(stack: Stack, ids: Ids, calls: Calls) -> None:
    async with misbehaving() as url:
        test = trial(stack, ids, calls, url)
        await test.run()
    assert not test.holds
    wrong = {result.step: result.wrong for result in test.results}
    assert wrong["a client without a token is refused"] == "it was let in"
    assert wrong["call:cancel is answered"] == "the verdict is unavailable"
    assert wrong["call:cancelled arrives, JSON"] == "it came for CALL_OTHER"
    assert wrong["the receiver connects, Socket.IO at /dev"]
    assert "Pub/Sub has delivered it to the end" not in wrong


async def test_an_event_that_pubsub_does_not_deliver_is_told(
    stack: Stack, ids: Ids, calls: Calls, documents: AsyncClient
) -> None:
    async with misbehaving(obeys=documents) as url:
        test = trial(stack, ids, calls, url)
        await test.run()
    wrong = {result.step: result.wrong for result in test.results}
    assert wrong["call:cancel is answered"] is None
    assert wrong["Pub/Sub has delivered it to the end"] == "nothing came"
    assert not test.holds


async def test_a_fault_without_words_is_a_fault(stack: Stack, ids: Ids, calls: Calls) -> None:
    async with misbehaving(hangs_up=True) as url:
        test = trial(stack, ids, calls, url)
        await test.run()
    assert not test.holds
    assert all(result.wrong != "" for result in test.results)


def trial(stack: Stack, ids: Ids, calls: Calls, url: str, patience: float = 1) -> Smoke:
    caller, receiver = (User.of(token(stack, user)) for user in (ids.caller, ids.receiver))
    return Smoke(url, caller, receiver, calls, patience=patience)


async def smoke_calls(documents: AsyncClient) -> set[str]:
    return {id for id in await ids_in(documents, "calls") if id.startswith("smoke-")}


@asynccontextmanager
async def misbehaving(
    *, silent: bool = False, hangs_up: bool = False, obeys: AsyncClient | None = None
) -> AsyncIterator[str]:
    """A server that lets everybody in but Socket.IO clients, and gets everything wrong.

    `silent`, it answers nothing; with `hangs_up` it ends each connection without a word; where it
    `obeys`, its verdict is right, but the outbox entry that it leaves there is never delivered.
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
            call = frame["data"]["callId"]
            outcome = {"ok": False, "outcome": "unavailable"}
            if obeys is not None:
                outcome = {"ok": True, "outcome": "cancelled"}
                await obeys.collection(OUTBOX).document(f"{call}:1").set({"pendingSince": 0})
            told = {"event": "call:cancelled", "data": {"callId": "CALL_OTHER"}}
            broadcast(sockets - {socket}, json.dumps(told))
            answer = {"event": "ack", "id": frame["id"], "data": outcome}
            await socket.send(json.dumps(answer))

    async with server(serve, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        yield f"ws://{host}:{port}/dev"
