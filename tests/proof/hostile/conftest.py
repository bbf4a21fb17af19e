"""Who is beside an attack on clients that poll: honest ones, who must not notice it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from google.cloud.firestore import AsyncClient

from infra.client.calls import Calls, client_at
from infra.client.phone import phone
from infra.local.stack import Options, Stack, running
from tests.support.browser import ORIGIN
from tests.support.collections import CONNECTIONS, OUTBOX, POLLS
from tests.support.pace import BACKOFF, ONE_LOOK, PATIENCE_SECONDS
from tests.support.pollers import Poller, let_in, packets_in
from tests.support.stacks import Ids

Stored = tuple[dict[str, Any], object]  # a document's fields, and when it was last written
_ALL = ("calls", OUTBOX, CONNECTIONS, POLLS)


@pytest.fixture(scope="package")
async def polling_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """With the limits of a deployment."""
    options = Options(
        port=0,
        backoff=BACKOFF,
        settings={**ONE_LOOK, "CORS_ORIGINS": ORIGIN},
        logs=tmp_path_factory.mktemp("logs"),
    )
    async with running(options) as stack:
        yield stack


@pytest.fixture
async def http(polling_stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """At the one host."""
    # An idle connection is dropped before the server would do so under a request.
    limits = httpx.Limits(max_connections=None, keepalive_expiry=1.0)
    url = polling_stack.socketio
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits, trust_env=False) as http:
        yield http


@pytest.fixture
async def secrets(polling_stack: Stack) -> AsyncIterator[list[str]]:
    """Whatever is added must not be in the log of any function in the end."""
    logs = [polling_stack.logs / f"{name}.log" for name in polling_stack.functions]
    before = {log: log.stat().st_size for log in logs}
    secrets: list[str] = []
    yield secrets
    for log in logs:
        said = log.read_bytes()[before[log] :].decode(errors="replace")
        assert [secret for secret in secrets if secret in said] == [], log.name
        assert "Traceback" not in said, log.name
        assert '"exception"' not in said, log.name


@dataclass(frozen=True)
class Victim:
    """Whose session is attacked: the caller of a call that rings."""

    poller: Poller
    documents: AsyncClient
    ids: Ids

    async def state(self) -> dict[str, Stored]:
        """All that is stored of him and his call."""
        queue = self.poller.stack.queue
        assert queue
        await queue.idle()
        words = (self.ids.call, self.ids.caller, self.poller.id)
        found: dict[str, Stored] = {}
        for collection in _ALL:
            async for snapshot in self.documents.collection(collection).stream():
                # What waits for somebody else may well name the call.
                said = "" if collection == POLLS else snapshot.to_dict()
                if any(word in f"{snapshot.id} {said}" for word in words):
                    found[snapshot.reference.path] = snapshot.to_dict() or {}, snapshot.update_time
        return found

    async def is_well(self) -> None:
        """He cancels by his session, which rings on until then."""
        verdict = await self.poller.verdict("call:cancel", callId=self.ids.call)
        assert verdict["outcome"] == "cancelled"


@pytest.fixture
async def victim(
    polling_stack: Stack, http: httpx.AsyncClient, secrets: list[str], ids: Ids
) -> Victim:
    stack = polling_stack
    await Calls(stack.firestore, stack.project).ring(ids.call, ids.caller, ids.receiver)
    poller = await let_in(stack, http, ids.caller, secrets=secrets)
    return Victim(poller, client_at(stack.firestore, stack.project), ids)


@pytest.fixture
async def beside(
    polling_stack: Stack, http: httpx.AsyncClient, secrets: list[str]
) -> AsyncIterator[str]:
    """Two honest clients, of which one polls all the time, end each other's calls after the attack
    as before. Gives the id of its session."""
    stack, it = polling_stack, Ids(f"beside_{uuid.uuid4().hex[:8]}")
    calls = Calls(stack.firestore, stack.project)
    poller = await let_in(stack, http, it.caller, secrets=secrets)
    back = f"{it.call}_back"
    async with (
        phone(stack.websocket, it.receiver, stack.project) as other,
        _polling(poller) as heard,
    ):
        yield poller.id
        await calls.ring(it.call, it.caller, it.receiver)
        await calls.ring(back, it.receiver, it.caller)
        await poller.post(f'42["call:cancel",{{"callId":"{it.call}"}}]')
        assert (await other.told("call:cancelled"))["callId"] == it.call
        assert (await other.emit("call:cancel", callId=back))["ok"]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while back not in await heard.get():
                continue


@asynccontextmanager
async def _polling(poller: Poller) -> AsyncIterator[asyncio.Queue[str]]:
    """Has a client poll, as clients do; gives the packets that it hears."""
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def poll() -> None:
        while True:
            answer = await poller.get()
            if answer.status_code == 503:  # a busy machine says so; a client would connect anew
                continue
            for packet in packets_in(answer):
                heard.put_nowait(packet)

    async with asyncio.TaskGroup() as tasks:
        polling = tasks.create_task(poll())
        yield heard
        polling.cancel()
