"""The smoke test as a deployer runs it: a process, a URL and two tokens."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from google.cloud.firestore import AsyncClient

from infra.local.processes import free_port
from infra.local.stack import Stack
from infra.local.tokens import unsigned_token
from tests.e2e.conftest import Ids
from tests.support.makers import ids_in

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    status: int
    output: str
    errors: str


async def smoke(stack: Stack, *arguments: str, **environment: str) -> Ended:
    process = await asyncio.create_subprocess_exec(
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
        ((url, "--caller", caller, "--receiver", caller), "two users of one project"),
        ((url, "--caller", caller, "--receiver", foreign), "two users of one project"),
        (("https://x", "--caller", caller, "--receiver", receiver), "must begin with wss://"),
    ):
        ended = await smoke(stack, *arguments)
        assert ended.status == 2
        assert said in ended.errors
