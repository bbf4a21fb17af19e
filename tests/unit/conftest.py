"""The services that the parts of the functions are tested on."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import firebase_admin
import pytest

from functions.services import fcm
from functions.services import identity as identities
from functions.services.fcm import Messenger
from functions.services.identity import Identity
from functions.signaling import Signaling
from infra.emulators.fcm import FcmServer
from tests.support.connections import ConnectionsServer
from tests.support.processes import settings_of
from tests.support.services import Services, services_for


@pytest.fixture
async def services(connections: ConnectionsServer, project: str) -> AsyncIterator[Services]:
    async with services_for(connections, project) as services:
        yield services


@pytest.fixture
def identity(project: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Identity]:
    """Takes unsigned tokens of the project, as the SDK does in its emulator mode."""
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9")  # nobody asks it anything
    yield identities.connect(settings_of("gateway", GOOGLE_CLOUD_PROJECT=project))
    firebase_admin.delete_app(firebase_admin.get_app("identity"))


@pytest.fixture(scope="session")
async def fcm_server() -> AsyncIterator[FcmServer]:
    async with FcmServer() as server:
        yield server


@pytest.fixture(scope="session")
def messenger(fcm_server: FcmServer) -> Messenger:
    # One for all tests, as a Firebase app can't be made twice.
    return fcm.connect(settings_of("push", FCM_URL=fcm_server.url))


@pytest.fixture
def inbox(fcm_server: FcmServer) -> FcmServer:
    fcm_server.clear()
    fcm_server.heal()
    return fcm_server


@pytest.fixture
def signaling(services: Services) -> Signaling:
    return Signaling(
        services.store,
        services.sockets,
        services.publisher,
        direct_post_timeout=timedelta(seconds=2),  # on a busy machine, a post takes its time
    )
