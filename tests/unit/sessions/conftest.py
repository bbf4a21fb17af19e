"""The door of each test."""

import pytest

from functions.sessions.accept import Acceptance
from functions.sessions.admit import Admission
from functions.sessions.close import Closing
from functions.sessions.ringaccess import RingAccess
from tests.memory.services import Services
from tests.support.makers import RING_TOKENS, now
from tests.unit.sessions.door import NAMESPACES, TTL, Door


@pytest.fixture
def door(services: Services) -> Door:
    connections, publisher, identity = (
        services.store.connections,
        services.publisher,
        services.identity,
    )
    identity.refused["expired"] = "the token has expired"
    ring_access = RingAccess(RING_TOKENS, services.store.calls, now)
    closing = Closing(connections, services.sockets, now)
    return Door(
        services,
        Acceptance(connections, publisher, identity, ring_access, now, TTL),
        Admission(connections, publisher, identity, ring_access, closing, now, TTL, NAMESPACES),
        closing,
    )
