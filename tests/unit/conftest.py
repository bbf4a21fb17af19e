"""The services in memory, and the parts of the functions on them; time is played."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functions.delivery.deliver import Deliverer
from functions.delivery.memory import Memory
from functions.delivery.signaling import Signaling
from tests.memory.clients import Clients, Phones
from tests.memory.clock import PlayedTime
from tests.memory.services import Services
from tests.memory.world import MemoryWorld
from tests.support.makers import CODECS, now

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE) and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="function"), append=False)


@pytest.fixture(scope="session")
def _asyncio_loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """pytest-asyncio's: its hook for it would make it begin the loops of all other tests anew."""
    return PlayedTime


@pytest.fixture(scope="session")
def _session_scoped_runner() -> None:
    """pytest-asyncio's: a loop that plays time would be left to all other tests of the process."""
    pytest.fail('an async fixture of a unit test needs loop_scope="function"')


_forbidden: set[str] = set()


def _forbid(event: str, _: tuple[object, ...]) -> None:
    if event in _forbidden:
        raise AssertionError(f"a unit test needs no {event}")


sys.addaudithook(_forbid)


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """No test here connects a socket, listens on one or starts a process."""
    _forbidden.update(("socket.connect", "socket.bind", "subprocess.Popen", "os.fork"))
    yield
    _forbidden.clear()


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
def world(services: Services) -> MemoryWorld:
    return services.world


@pytest.fixture
def clients(services: Services) -> Clients:
    return services.clients


@pytest.fixture
def phones(services: Services) -> Phones:
    return services.phones


@pytest.fixture
def signaling(services: Services) -> Signaling:
    return services.signaling()


@pytest.fixture
def deliverer(services: Services) -> Deliverer:
    """An instance that remembers nothing."""
    return Deliverer(services.store, services.sockets, CODECS, Memory(), now)
