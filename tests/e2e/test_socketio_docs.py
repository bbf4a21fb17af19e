"""The snippets of docs/socketio.md do what the page says, as they stand there."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra import ROOT
from infra.client.calls import Calls
from infra.client.phone import phone
from infra.emulators.auth.tokens import unsigned_token
from infra.emulators.processes import child
from infra.local.stack import Stack
from tests.support import node
from tests.support.httprelay import http_relay
from tests.support.pace import PATIENCE_SECONDS
from tests.support.stacks import Ids

PAGE = (ROOT / "docs" / "socketio.md").read_text()
URL = "https://ws.example.com"

# What a snippet takes for granted of the app around it.
APP = """
const told = (fields) => console.log(JSON.stringify(fields));
const { token, expired, userId, callId } = process.env;
const newestToken = () => token;
const stopRinging = (callId) => told({ stopped: callId });
let refreshed = false;
const user = {
  uid: userId,
  getIdToken: async (force) => ((refreshed ||= Boolean(force)), refreshed ? token : expired),
};
"""
CANCEL_ONCE_CONNECTED = """
socket.on("connect", async () => told({ verdict: await cancel(callId) }));
"""


EMIT_ONCE_CONNECTED = """
socket.on("connect", () => socket.emit("call:cancel", { callId }, (verdict) => told({ verdict })));
"""
REFUSED = """
socket.on("connect_error", (error) => told({ refused: error.message }));
"""


def snippets(language: str, origin: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return [snippet.replace(URL, origin) for snippet in found]


def app_environment(stack: Stack, user: str, call: str) -> dict[str, str]:
    return {
        "token": unsigned_token(user, stack.project),
        "expired": unsigned_token(user, stack.project, lifetime_seconds=-1),
        "userId": user,
        "callId": call,
    }


@asynccontextmanager
async def node_app(
    folder: Path, file: str, source: str, version: int, **environment: str
) -> AsyncIterator[Path]:
    """Runs an app that depends on socket.io-client of this version; gives the file it writes."""
    modules = folder / "node_modules"
    modules.mkdir()
    (modules / "socket.io-client").symlink_to(
        node.MODULES / "node_modules" / f"socket.io-client-{version}"
    )
    (folder / file).write_text(source)
    said = folder / "said.log"
    environment["PATH"] = os.environ["PATH"]
    async with child(["node", file], environment, said, folder):
        yield said


async def said(file: Path, word: str) -> Any:
    """What the app said of `word`, as soon as it has."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := lines_with(file, word)):  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.02)
    return found[0][word]


def lines_with(file: Path, word: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if word in line]


@pytest.mark.parametrize(
    ("version", "file", "end"),
    [
        (4, "app.mjs", CANCEL_ONCE_CONNECTED),
        (3, "app.mjs", EMIT_ONCE_CONNECTED),
        (2, "app.cjs", ""),
    ],
    ids=["version 4", "version 3", "version 2"],
)
async def test_the_javascript_of_the_page_cancels_and_stops_ringing(
    stack: Stack,
    calls: Calls,
    ids: Ids,
    tmp_path: Path,
    node_missing: str | None,
    version: int,
    file: str,
    end: str,
) -> None:
    if node_missing:
        pytest.skip(f"Node's Socket.IO clients can't run: {node_missing}")
    first, second = f"{ids.call}_1", f"{ids.call}_2"
    await calls.ring(first, ids.caller, ids.receiver)
    await calls.ring(second, ids.receiver, ids.caller)
    snippet = snippets("js", stack.socketio)[1 if version == 2 else 0]
    environment = app_environment(stack, ids.caller, first)
    async with (
        phone(stack.websocket, ids.receiver, stack.project) as receiver,
        node_app(tmp_path, file, APP + snippet + end, version, **environment) as log,
    ):
        assert (await receiver.told("call:cancelled"))["callId"] == first
        if version > 2:
            assert (await said(log, "verdict"))["outcome"] == "cancelled"
            assert "the token has expired" in log.read_text()  # and then another was shown
        await receiver.emit("call:cancel", callId=second)
        assert await said(log, "stopped") == second


async def test_the_javascript_of_the_page_does_not_insist_when_it_is_refused(
    stack: Stack, ids: Ids, tmp_path: Path, node_missing: str | None
) -> None:
    if node_missing:
        pytest.skip(f"Node's Socket.IO clients can't run: {node_missing}")
    environment = {
        **app_environment(stack, ids.caller, ids.call),
        "expired": unsigned_token(ids.caller, stack.project),
        "userId": ids.receiver,
    }
    async with http_relay(stack.websocket) as way:
        origin = f"http://{urlsplit(way.url).netloc}"
        source = APP + snippets("js", origin)[0] + REFUSED
        async with node_app(tmp_path, "app.mjs", source, 4, **environment) as log:
            assert await said(log, "refused") == "userId is not the token's"
            await asyncio.sleep(1.5)  # it is nothing that should come, after the page's one second
            assert way.sessions() == 1


async def test_the_python_of_the_page_cancels_and_stops_ringing(
    stack: Stack, calls: Calls, ids: Ids
) -> None:
    first, second = f"{ids.call}_1", f"{ids.call}_2"
    await calls.ring(first, ids.caller, ids.receiver)
    await calls.ring(second, ids.receiver, ids.caller)
    stopped: asyncio.Queue[str] = asyncio.Queue()

    async def credentials() -> dict[str, str]:
        return {"token": unsigned_token(ids.caller, stack.project), "userId": ids.caller}

    app: dict[str, Any] = {
        "credentials": credentials,
        "stop_ringing": stopped.put,
    }
    (snippet,) = snippets("python", stack.socketio)
    exec(snippet, app)  # noqa: S102 - our own page
    async with phone(stack.websocket, ids.receiver, stack.project) as receiver:
        await app["connect"]()
        try:
            assert (await app["cancel"](first))["outcome"] == "cancelled"
            assert (await receiver.told("call:cancelled"))["callId"] == first
            await receiver.emit("call:cancel", callId=second)
            assert await asyncio.wait_for(stopped.get(), PATIENCE_SECONDS) == second
        finally:
            await app["client"].disconnect()
