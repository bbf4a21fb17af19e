"""How tests are run: what must be there, for how long they may take, and which share a process."""

import asyncio
import functools
import inspect
import os
import shutil
from collections.abc import Awaitable, Callable

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from infra.emulators import google
from infra.loopback import spare_loopback
from tests.support import debian, node

pytest_plugins = ["tests.support.services", "tests.support.stacks"]

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
        "nginx": debian.unavailable("nginx"),
        "Chromium": debian.unavailable("chromium"),
        "Terraform": None if shutil.which(terraform) else f"{terraform} not found",
    }
    reasons = "; ".join(f"{what}: {reason}" for what, reason in missing.items() if reason)
    if reasons:
        raise pytest.UsageError(f"nothing may be skipped, but {reasons}")


# `tests/covered.py` asks what these cover. To measure others as well would only cost time.
_MEASURED = ("tests/unit/", "tests/simulation/", "tests/contract/")

# What takes longest begins first, or one process would be left with it at the end.
_LONGEST = ("/e2e/", "/test_cloud", "/simulation/", "/local/", "/console/", "/proof/", "[google")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _limited(item.obj, _LIMIT * _timeout_of(item))
        if not item.nodeid.startswith(_MEASURED):
            item.add_marker("no_cover")
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
        if "/console/" in path:
            return "the stack with the console"
        if "/faults/" in path:
            return "the stack that is broken"
        return "Terraform" if "/test_cloud" in path else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByService:
    return _ByService(config, log)
