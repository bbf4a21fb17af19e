"""Real clients that are not admitted in time have their sockets closed, and do not come back."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK

from functions.services import apigateway
from functions.services.firestore import store_of
from functions.services.firestore.database import Database
from functions.sessions.deadline import ADMIT_WITHIN, AdmissionDeadline
from functions.settings import SocketsSettings
from infra.local.stack import Stack
from tests.e2e.socketio_support import DELAY_SECONDS, close_by_gateway
from tests.support.makers import now
from tests.support.processes import settings_of
from tests.support.relay import relay
from tests.support.socketio import KINDS, signed_in, socketio_client
from tests.support.stacks import Ids


@pytest.fixture
def deadline(stack: Stack) -> Callable[[], AdmissionDeadline]:
    """As `sweep` enforces it, when all time is over."""

    def later() -> datetime:
        return now() + ADMIT_WITHIN + timedelta(seconds=1)

    settings = settings_of(SocketsSettings, CONNECTIONS_URL=stack.connections)
    store = store_of(Database(stack.project, emulator=stack.firestore))
    return lambda: AdmissionDeadline(store.connections, apigateway.connect(settings), later)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_is_refused_is_gone_after_a_while_and_does_not_come_back(
    kind: str, stack: Stack, ids: Ids, deadline: Callable[[], AdmissionDeadline]
) -> None:
    async with (
        relay(stack.websocket) as way,
        socketio_client(kind, way.url, token="nonsense", delay_seconds=DELAY_SECONDS) as client,
    ):
        assert await client.refused() == "the token is not valid"
        await deadline().enforce()
        if kind in ("js-2", "js-3"):  # the others have closed their sockets by themselves
            assert await client.disconnected() == "io server disconnect"
        # In the time that a client takes to come back twice, it has not tried to.
        async with signed_in(kind, stack, ids.caller, delay_seconds=DELAY_SECONDS) as other:
            await other.connected()
            for _ in range(2):
                await close_by_gateway(stack, ids.caller)
                await other.connected()
        assert len(way.handshakes) == 1


async def test_who_never_asks_to_be_admitted_is_sent_away(
    stack: Stack, deadline: Callable[[], AdmissionDeadline]
) -> None:
    url = stack.websocket.replace("/dev", "/socket.io/?EIO=4&transport=websocket")
    async with connect(url) as socket:
        assert str(await socket.recv()).startswith("0")
        await deadline().enforce()
        assert await socket.recv() == "41"
        with pytest.raises(ConnectionClosedOK):
            await socket.recv()
