"""Firestore and Pub/Sub for tests: the embedded ones, and Google's emulators where they are; and
Node and a browser, whose clients speak to them.

What a fixture starts is imported when it starts, as the unit tests alone need nothing of it.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from infra.emulators import google
from tests.support import debian, node
from tests.support.chosen import GOOGLES, chosen

if TYPE_CHECKING:
    from tests.support.browser import Browser


@pytest.fixture(scope="session")
async def embedded_firestore() -> AsyncIterator[str]:
    from infra.emulators.firestore import FirestoreServer

    async with FirestoreServer() as server:
        yield server.address


@pytest.fixture(scope="session")
async def google_firestore() -> AsyncIterator[str]:
    from infra.client.calls import client_at

    if reason := google.unavailable():
        pytest.skip(f"Google's Firestore emulator can't run: {reason}")
    async with google.firestore_emulator() as address:
        # The first request to it takes longer than a function would wait.
        await client_at(address, "unring-test").collection("calls").document("warm-up").get()
        yield address


@pytest.fixture(scope="session")
async def embedded_pubsub() -> AsyncIterator[str]:
    from infra.emulators.pubsub import PubSubServer

    async with PubSubServer() as server:
        yield server.address


@pytest.fixture(scope="session")
async def google_pubsub() -> AsyncIterator[str]:
    if reason := google.unavailable():
        pytest.skip(f"Google's Pub/Sub emulator can't run: {reason}")
    async with google.pubsub_emulator("unring-test") as address:
        yield address


@pytest.fixture(params=["embedded", GOOGLES])
def firestore(request: pytest.FixtureRequest) -> str:
    """The address of a Firestore: a test that uses it runs on both."""
    address: str = chosen(request, "firestore")
    return address


@pytest.fixture(params=["embedded", GOOGLES])
def pubsub(request: pytest.FixtureRequest) -> str:
    """The address of a Pub/Sub: a test that uses it runs on both."""
    address: str = chosen(request, "pubsub")
    return address


@pytest.fixture(scope="session")
async def node_missing() -> str | None:
    """Why Node's clients can't run; None once they are installed."""
    try:
        await asyncio.to_thread(node.install)
    except node.NodeUnavailable as reason:
        if os.environ.get("UNRING_REQUIRE_ALL"):
            pytest.fail(f"Node's clients are required, and can't run: {reason}")
        return str(reason)
    return None


@pytest.fixture(scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["Browser"]:
    """One for all tests, which are skipped where it can't be had."""
    from tests.support.browser import browser

    program = await asyncio.to_thread(debian.installed, "chromium")
    async with browser(program, tmp_path_factory.mktemp("browser") / "chromium.log") as running:
        yield running


@pytest.fixture
def project() -> str:
    """A project of the test's own, in which nobody else leaves documents or topics."""
    return f"unring-{uuid.uuid4().hex[:12]}"
