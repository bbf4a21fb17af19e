"""One host for sockets and HTTPS: by the local stack itself, by our recipe of nginx, and by the
app's own nginx, behind which a stack takes the place of the old Socket.IO server."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from infra.client.phone import json_phone
from infra.local.stack import Stack, passing_stack
from tests.support.nginx import nginx, recipe
from tests.support.pace import PATIENCE_SECONDS
from tests.support.pages import section
from tests.support.socketio import socketio_client
from tests.support.stacks import Ids

SECRET = "the secret of the old socket server's paths"


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    """As docs/one-host.md starts it in the old server's place."""
    async with passing_stack(IDENTITY="introspection", INTERNAL_SECRET=SECRET) as stack:
        yield stack


def token_of(stack: Stack, user: str) -> str:
    assert stack.identities.opaque
    return stack.identities.opaque.issue(user)


@pytest.fixture(params=["the local stack", "our recipe", "the app's own nginx"])
async def host(request: pytest.FixtureRequest, stack: Stack, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of one host for both; a test that uses it runs with each front."""
    if request.param == "the local stack":
        yield stack.socketio
        return
    websocket = stack.websocket.replace("ws:", "http:")

    def conf(address: str) -> str:
        if request.param == "our recipe":
            return recipe(address, stack.functions["api"], websocket)
        return the_apps_own(address, urlsplit(stack.websocket).netloc)

    async with nginx(tmp_path, conf) as url:
        yield url


def the_apps_own(address: str, server: str) -> str:
    """The nginx of docs/one-host.md, listening at `address`, in front of `server`."""
    page = section("docs/one-host.md", "In the old server's place")
    (conf,) = re.findall(r"```nginx\n(.*?)```", page, re.DOTALL)
    for written, instead in (("listen 80;", f"listen {address};"), ("127.0.0.1:3000", server)):
        assert conf.count(written) == 1
        conf = conf.replace(written, instead)
    return str(conf)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["js-2", "js-4"], indirect=True)  # EIO3 and EIO4
async def test_phones_and_their_backend_need_one_host(
    host: str, stack: Stack, kind: str, ids: Ids
) -> None:
    token, told_of = token_of(stack, ids.caller), ("call:incoming", "call:cancelled")
    hers = token_of(stack, ids.receiver)
    async with (
        socketio_client(kind, host, token=hers, events=told_of, by_default=True) as receiver,
        json_phone(f"{host.replace('http:', 'ws:')}/dev", token) as caller,
        client(host) as http,
    ):
        await receiver.connected()
        await receiver.upgraded()
        assert (await http.get("/health")).json() == {"status": "ok"}
        # A call that only the old server's caller, the backend, knows.
        asked = {"receiverId": ids.receiver, "callId": ids.call, "reason": "No answer"}
        shown = {"X-Internal-Secret": SECRET}
        answer = await http.post("/api/emit/call-cancelled", json=asked, headers=shown)
        assert (answer.status_code, answer.json()) == (200, {"success": True, "emitted": True})
        told = await receiver.told("call:cancelled")
        assert (told["callId"], told["reason"]) == (ids.call, "No answer")

        await caller.emit("call:initiate", receiverId=ids.receiver, callId=f"{ids.call}_2")
        assert (await receiver.told("call:incoming"))["callId"] == f"{ids.call}_2"
        path, user = f"/v1/calls/{ids.call}_2", {"Authorization": f"Bearer {token}"}
        assert (await http.get(path, headers=user)).json()["status"] == "ringing"


async def test_nobody_knows_the_key_of_a_stack_that_checks_who_comes(stack: Stack) -> None:
    async with client(stack.socketio) as http:
        for key, status in (("local", 401), (stack.values["API_KEY"], 200)):
            shown = {"Authorization": f"Bearer {key}"}
            answer = await http.get("/v1/users/USR_1/connections", headers=shown)
            assert answer.status_code == status
