"""The services that tests run on: the embedded ones, and Google's emulators where they are."""

import asyncio
import functools
import inspect
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from infra.client.calls import client_at
from infra.emulators import google
from infra.emulators.firestore import FirestoreServer
from infra.emulators.pubsub import PubSubServer
from infra.loopback import spare_loopback
from tests.support import node
from tests.support.chosen import chosen

pytest_plugins = ["tests.support.stacks"]

# How long an example takes says how busy the machine is, and nothing of what is tested.
hypothesis.settings.register_profile("unring", deadline=None)
hypothesis.settings.load_profile("unring")


def pytest_configure() -> None:
    """Where all that the tests can use must be there, a run without it would prove too little."""
    spare_loopback(os.environ)
    if not os.environ.get("UNRING_REQUIRE_ALL"):
        return
    terraform = os.environ.get("TERRAFORM", "terraform")
    missing = {
        "Google's emulators": google.unavailable(),
        "Node": node.unavailable(),
        "Terraform": None if shutil.which(terraform) else f"{terraform} not found",
    }
    reasons = "; ".join(f"{what}: {reason}" for what, reason in missing.items() if reason)
    if reasons:
        raise pytest.UsageError(f"nothing may be skipped, but {reasons}")


# What takes longest begins first, or one process would be left with it at the end.
_LONGEST = ("/e2e/", "/test_cloud", "/simulation/", "/local/", "/proof/", "[google")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _limited(item.obj, _LIMIT * _timeout_of(item))
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: [part not in item.nodeid for part in _LONGEST])


# pytest-timeout raises in whatever runs when its time is over. In one process with a test's servers
# that may be one of them, which answers with an error or not at all, and the test goes on waiting.
# So a test that awaits is ended in its own task, when half of its time is over.
_LIMIT = 0.5


def _timeout_of(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0] if marker else item.config.getini("timeout"))


def _limited(
    test: Callable[..., Awaitable[None]], seconds: float
) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def limited(*arguments: object, **fixtures: object) -> None:
        async with asyncio.timeout(seconds):
            await test(*arguments, **fixtures)

    return limited


class _ByService(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Gives all tests of one slow service to one xdist process."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if "[google" in nodeid:
            return "Google's emulators"
        if "[signed" in nodeid or "/hostile/" in path:
            return "the signed stack"
        if "/e2e/" in path or "/races/" in path:
            return "the stack"
        if "/faults/" in path:
            return "the stack that is broken"
        return "Terraform" if "/test_cloud" in path else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByService:
    return _ByService(config, log)


@pytest.fixture(scope="session")
async def embedded_firestore() -> AsyncIterator[str]:
    async with FirestoreServer() as server:
        yield server.address


@pytest.fixture(scope="session")
async def google_firestore() -> AsyncIterator[str]:
    if reason := google.unavailable():
        pytest.skip(f"Google's Firestore emulator can't run: {reason}")
    async with google.firestore_emulator() as address:
        # The first request to it takes longer than a function would wait.
        await client_at(address, "unring-test").collection("calls").document("warm-up").get()
        yield address


@pytest.fixture(scope="session")
async def embedded_pubsub() -> AsyncIterator[str]:
    async with PubSubServer() as server:
        yield server.address


@pytest.fixture(scope="session")
async def google_pubsub() -> AsyncIterator[str]:
    if reason := google.unavailable():
        pytest.skip(f"Google's Pub/Sub emulator can't run: {reason}")
    async with google.pubsub_emulator("unring-test") as address:
        yield address


@pytest.fixture(params=["embedded", "google"])
def firestore(request: pytest.FixtureRequest) -> str:
    """The address of a Firestore: a test that uses it runs on both."""
    address: str = chosen(request, "firestore")
    return address


@pytest.fixture(params=["embedded", "google"])
def pubsub(request: pytest.FixtureRequest) -> str:
    """The address of a Pub/Sub: a test that uses it runs on both."""
    address: str = chosen(request, "pubsub")
    return address


@pytest.fixture
def project() -> str:
    """A project of the test's own, in which nobody else leaves documents or topics."""
    return f"unring-{uuid.uuid4().hex[:12]}"
