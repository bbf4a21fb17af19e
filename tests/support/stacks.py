"""The local stack for tests, as a user starts it: real processes on real sockets, one a session.

What a fixture starts is imported when it starts, as the unit tests alone need nothing of it.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions.calls.call import CallId, UserId
from functions.clients.device import FcmToken
from infra.emulators import google
from tests.support.chosen import GOOGLES, chosen
from tests.support.pace import ANY_RATE, BACKOFF, ONE_LOOK, PATIENCE_SECONDS, WEBHOOK_BACKOFF

if TYPE_CHECKING:
    from google.cloud.firestore import AsyncClient

    from infra.client.calls import Calls
    from infra.local.stack import Stack


@pytest.fixture(scope="session")
async def embedded_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["Stack"]:
    async with _running(tmp_path_factory) as stack:
        yield stack


@pytest.fixture(scope="session")
async def google_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["Stack"]:
    if reason := google.unavailable():
        pytest.skip(f"Google's emulators can't run: {reason}")
    async with _running(tmp_path_factory, google=True) as stack:
        yield stack


@pytest.fixture(scope="session")
async def signed_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["Stack"]:
    async with _running(tmp_path_factory, signed=True) as stack:
        yield stack


@dataclass(frozen=True)
class Watched:
    """A stack, and the URL of its console."""

    stack: "Stack"
    url: str


@pytest.fixture(scope="session")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    from infra.emulators.watching import WatchedFaults
    from infra.local.console.console import console
    from infra.local.stack import Options, running

    faults = WatchedFaults()
    options = Options(
        port=0,
        backoff=BACKOFF,
        webhook_backoff=WEBHOOK_BACKOFF,
        webhook_paths=("/unring",),
        settings={**ONE_LOOK, **ANY_RATE},
        faults=faults,
        logs=tmp_path_factory.mktemp("logs"),
    )
    async with running(options) as stack, console(stack, faults) as url:
        yield Watched(stack, url)


# A stack takes seconds to start, and on the second a test says little more than on the first.
_SIGNED = pytest.param("signed", marks=pytest.mark.thorough)


@pytest.fixture(params=["embedded", GOOGLES, _SIGNED])
def any_stack(request: pytest.FixtureRequest) -> "Stack":
    """A test that uses it runs on each kind of stack."""
    stack: Stack = chosen(request, "stack")
    return stack


@pytest.fixture(params=["embedded", GOOGLES])
def either_stack(request: pytest.FixtureRequest) -> "Stack":
    """A test that uses it runs on the embedded Firestore and Pub/Sub and on Google's."""
    stack: Stack = chosen(request, "stack")
    return stack


@pytest.fixture
def stack(embedded_stack: "Stack") -> "Stack":
    return embedded_stack


@pytest.fixture
def ids() -> "Ids":
    return Ids(uuid.uuid4().hex[:8])


@pytest.fixture
def calls(stack: "Stack") -> "Calls":
    from infra.client.calls import Calls

    return Calls(stack.firestore, stack.project)


@pytest.fixture
def documents(stack: "Stack") -> "AsyncClient":
    from infra.client.calls import client_at

    return client_at(stack.firestore, stack.project)


class Ids:
    """A call and its parties that no other test knows."""

    def __init__(self, unique: str) -> None:
        self.call = CallId(f"CALL_{unique}")
        self.caller = UserId(f"USR_{unique}_CALLER")
        self.receiver = UserId(f"USR_{unique}_RECEIVER")
        self.token = FcmToken(f"fcm-token-{unique}")


@asynccontextmanager
async def _running(
    paths: pytest.TempPathFactory, *, google: bool = False, signed: bool = False
) -> AsyncIterator["Stack"]:
    from infra.local.stack import Options, running
    from tests.support.browser import ORIGIN

    logs: Path = paths.mktemp("logs")
    options = Options(
        port=0,
        google=google,
        signed=signed,
        backoff=BACKOFF,
        settings={
            "API_KEY": "local",  # a signed stack's is known to nobody
            "CORS_ORIGINS": ORIGIN,
            **ONE_LOOK,
            **ANY_RATE,
        },
        logs=logs,
    )
    async with running(options) as stack:
        yield stack


async def pushes_to(stack: "Stack", token: str, count: int = 1) -> list[Mapping[str, Any]]:
    """Waits until at least `count` messages have been pushed to a device; gives them all."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            sent = [message for message in stack.fcm.messages if message.get("token") == token]
            if len(sent) >= count:
                return sent
            await stack.fcm.wait_for(len(stack.fcm.messages) + 1, PATIENCE_SECONDS)
