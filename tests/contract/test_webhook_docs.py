"""The controllers of docs/webhooks.md take webhooks as the page says, as they stand there."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from standardwebhooks import Webhook

from functions.calls.call import Status
from functions.calls.event import CallEvent, unix_ms
from functions.calls.transitions import PushedBy, PushPolicy
from functions.published import DeviceGone
from functions.wire.push import Sending
from functions.wire.webhooks import Webhook as Made
from functions.wire.webhooks import call_webhook, device_webhook, push_webhook
from infra import ROOT
from infra.emulators.processes import child, reserved_port
from tests.support.makers import CALL, RECEIVER, SENDING, event, now
from tests.support.pace import PATIENCE_SECONDS
from tests.support.processes import WEBHOOK_SECRET

PAGE = (ROOT / "docs" / "webhooks.md").read_text()
OTHER = f"whsec_{'b' * 32}"
STATUSES = {
    Status.RINGING: "CONNECTING",
    Status.ACCEPTED: "ONGOING",
    Status.REJECTED: "REJECTED",
    Status.CANCELLED: "CANCELLED",
    Status.MISSED: "MISSED",
    Status.ENDED: "ENDED",
}

# What the page takes for granted: its database and its pushes are only told of, and the server.
NODE = """
import { createServer } from "node:http";
const told = (fields) => console.log(JSON.stringify(fields));
const db = { query: async (sql, values) => told({ sql, values }) };
const push = async (...push) => told({ push });
createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  response.writeHead(await webhook(request.headers, Buffer.concat(parts))).end();
}).listen(process.env.PORT, "127.0.0.1");
"""

Take = Callable[[dict[str, str], bytes], Awaitable[int]]


def snippet(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


class App:
    """The app's own database, and what it pushed."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:")
        self.pushed: list[Sequence[Any]] = []
        self.database.execute("CREATE TABLE calls (id, status, changed_at)")
        self.database.execute("CREATE TABLE devices (token, registered_at)")
        self.database.execute("INSERT INTO calls VALUES (?, 'RINGING', 0)", (CALL,))

    @property
    def status(self) -> str:
        ((status,),) = self.database.execute("SELECT status FROM calls WHERE id = ?", (CALL,))
        return str(status)

    @property
    def tokens(self) -> set[str]:
        return {token for (token,) in self.database.execute("SELECT token FROM devices")}

    def register(self, token: str, at: int) -> None:
        self.database.execute("INSERT INTO devices VALUES (?, ?)", (token, at))


def signed(made: Made, secret: str = WEBHOOK_SECRET, at: datetime | None = None) -> dict[str, str]:
    at = at or now()
    return {
        "webhook-id": made.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(made.id, at, made.body),
    }


def saying(made: Made, **other: Any) -> Made:
    return replace(made, body=json.dumps({**json.loads(made.body), **other}))


def with_no_key(made: Made) -> str:
    """What anybody can sign."""
    text = f"{made.id}.{int(now().timestamp())}.{made.body}"
    signature = hmac.new(b"", text.encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signature).decode()}"


async def follows(take: Take, app: App) -> None:
    """What the page promises of each of its controllers."""
    start = now() - timedelta(hours=1)
    accepted = event("call:accept", decided=start)
    ended: CallEvent = event("call:end", decided=start + timedelta(seconds=9))

    async def post(made: Made) -> int:
        return await take(signed(made), made.body.encode())

    for at, (status, word) in enumerate(STATUSES.items(), 1):
        told = msgspec.structs.replace(ended, status=status, timestamp=at)
        assert await post(call_webhook(told, SENDING)) == 204
        assert app.status == word
    assert await post(saying(call_webhook(ended, SENDING), type="call.forwarded")) == 204
    assert app.status == word

    # In the wrong order, each twice.
    for each in (ended, accepted, ended, accepted):
        assert await post(call_webhook(each, SENDING)) == 204
    assert app.status == STATUSES[ended.status]

    app.register("dead", 5)
    app.register("alive", 5)
    registered_again = unix_ms(now())
    app.register("again", registered_again)
    for token in ("dead", "again"):
        gone = DeviceGone(
            user_id=RECEIVER, token=token, platform="android", registered_at=5, found_at=1_000
        )
        assert await post(device_webhook(gone)) == 204
    assert app.tokens == {"alive", "again"}

    wanted = event(pushes=PushPolicy(cancelled=PushedBy.BACKEND))
    late = event(decided=start, pushes=PushPolicy(cancelled=PushedBy.BACKEND))
    for each in (wanted, late):
        (recipient,) = each.backend_recipients
        made = push_webhook(each, recipient, Sending(now(), None))
        of_a_device = {**json.loads(made.body)["data"], "passedOver": ["DEVICE_1"]}
        assert await post(saying(made, data=of_a_device)) == 204
    ((user, passed_over, data, ttl),) = app.pushed
    assert (user, passed_over, data["type"]) == (RECEIVER, ["DEVICE_1"], "call_cancelled")
    assert 0 < ttl <= 30

    # What nobody signed, with what it knows, over this, now.
    made = call_webhook(event("call:cancel", decided=now()), SENDING)
    body = made.body.encode()
    good = signed(made)
    assert await take(good, body.replace(b"cancelled", b"accepted.")) == 401
    assert await take({**good, "webhook-id": "CALL_2:s"}, body) == 401
    assert await take(signed(made, OTHER), body) == 401
    assert await take({**good, "webhook-signature": with_no_key(made)}, body) == 401
    for minutes in (-6, 6):
        assert await take(signed(made, at=now() + timedelta(minutes=minutes)), body) == 401
    for name in good:
        assert await take({key: good[key] for key in good if key != name}, body) == 401
    assert await take({**good, "webhook-signature": "v1,"}, body) == 401
    assert app.status == STATUSES[ended.status]
    both = f"{signed(made, OTHER)['webhook-signature']} {good['webhook-signature']}"
    assert await take({**good, "webhook-signature": both}, body) == 204
    assert app.status == "CANCELLED"


TWO_SECRETS = f"whsec_{'c' * 32} {WEBHOOK_SECRET}"
ONE_AND_A_SPACE = f"{WEBHOOK_SECRET} "  # by which an empty key could be meant
NO_SECRETS = (None, "", " ", "whsec_", f"{WEBHOOK_SECRET} whsec_", WEBHOOK_SECRET[len("whsec_") :])


@pytest.mark.parametrize("secrets", [TWO_SECRETS, ONE_AND_A_SPACE])
async def test_the_python_of_the_page_follows(
    monkeypatch: pytest.MonkeyPatch, secrets: str
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS", secrets)
    app = App()

    def push(*what: Any) -> None:
        app.pushed.append(what)

    names: dict[str, Any] = {"db": app.database, "push": push}
    exec(snippet("python"), names)  # noqa: S102 - our own page

    async def take(headers: dict[str, str], body: bytes) -> int:
        return int(names["webhook"](headers, body))

    await follows(take, app)


@pytest.mark.parametrize("secrets", NO_SECRETS)
def test_the_python_of_the_page_does_not_start_without_a_secret(
    monkeypatch: pytest.MonkeyPatch, secrets: str | None
) -> None:
    monkeypatch.delenv("WEBHOOK_SECRETS", raising=False)
    if secrets is not None:
        monkeypatch.setenv("WEBHOOK_SECRETS", secrets)
    with pytest.raises(ValueError, match="WEBHOOK_SECRETS must be"):
        exec(snippet("python"), {})  # noqa: S102 - our own page


@pytest.mark.parametrize("secrets", [TWO_SECRETS, ONE_AND_A_SPACE])
async def test_the_node_of_the_page_follows(tmp_path: Path, secrets: str) -> None:
    if shutil.which("node") is None:
        pytest.skip("node not found")
    (tmp_path / "app.mjs").write_text(NODE + snippet("js"))
    app, said, path = App(), tmp_path / "said.log", os.environ["PATH"]
    read = 0
    async with AsyncExitStack() as life:
        port = life.enter_context(reserved_port())
        environment = {"PATH": path, "PORT": str(port), "WEBHOOK_SECRETS": secrets}
        await life.enter_async_context(child(["node", "app.mjs"], environment, said, tmp_path))
        http = await life.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        )
        await listening(http)

        async def take(headers: dict[str, str], body: bytes) -> int:
            nonlocal read
            answer = await http.post("/", headers=headers, content=body)
            lines = said.read_text().splitlines()
            for line in lines[read:]:
                done = json.loads(line)
                if "sql" in done:
                    app.database.execute(done["sql"], done["values"])
                else:
                    app.pushed.append(done["push"])
            read = len(lines)
            return answer.status_code

        await follows(take, app)


@pytest.mark.parametrize("secrets", NO_SECRETS)
def test_the_node_of_the_page_does_not_start_without_a_secret(
    tmp_path: Path, secrets: str | None
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node not found")
    file = tmp_path / "app.mjs"
    file.write_text(snippet("js"))
    environment = {} if secrets is None else {"WEBHOOK_SECRETS": secrets}
    run = subprocess.run(  # noqa: S603 - our own page
        [node, str(file)], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "WEBHOOK_SECRETS must be" in run.stderr


async def listening(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await http.post("/")
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return


def test_the_php_of_the_page_can_be_read(tmp_path: Path) -> None:
    php = shutil.which("php")
    if php is None:
        pytest.skip("php not found")
    file = tmp_path / "controller.php"
    file.write_text(snippet("php"))
    subprocess.run([php, "-l", str(file)], check=True)  # noqa: S603 - it only reads our own page
