"""The services that the parts of the functions are tested on."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import firebase_admin
import pytest

from functions.services import identity as identities
from functions.services.identity import Identity
from functions.signaling import Signaling
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


@pytest.fixture
def signaling(services: Services) -> Signaling:
    return Signaling(
        services.store,
        services.sockets,
        services.publisher,
        event_ttl=timedelta(seconds=60),
        direct_post_timeout=timedelta(milliseconds=500),
    )
