"""The services that the parts of the functions are tested on."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from functions.delivery.signaling import Signaling
from functions.services import fcm
from functions.services import identity as identities
from functions.services.fcm import FcmPushSender
from functions.services.identity import FirebaseIdentity
from functions.settings import GatewaySettings, PushSettings
from infra.emulators.fcm import FcmServer
from tests.support.connections import ConnectionsServer
from tests.support.makers import now
from tests.support.processes import settings_of
from tests.support.services import Services, services_for


@pytest.fixture
async def services(connections: ConnectionsServer, project: str) -> AsyncIterator[Services]:
    async with services_for(connections, project) as services:
        yield services


@pytest.fixture
def identity(project: str, monkeypatch: pytest.MonkeyPatch) -> FirebaseIdentity:
    """Takes unsigned tokens of the project, as the SDK does in its emulator mode."""
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9")  # nobody asks it anything
    return identities.connect(settings_of(GatewaySettings, GOOGLE_CLOUD_PROJECT=project))


@pytest.fixture(scope="session")
async def fcm_server() -> AsyncIterator[FcmServer]:
    async with FcmServer() as server:
        yield server


@pytest.fixture(scope="session")
def messenger(fcm_server: FcmServer) -> FcmPushSender:
    # One for all tests, as a Firebase app can't be made twice.
    return fcm.connect(settings_of(PushSettings, FCM_URL=fcm_server.url))


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
        now,
        direct_post_timeout=timedelta(seconds=2),  # on a busy machine, a post takes its time
    )
