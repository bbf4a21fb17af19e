"""What it costs to ask about what is not one's own: the same, whatever there is to find."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from functions.calls.call import CallId, ConnectionId, Status, UserId
from functions.calls.decision import FORBIDDEN, NOT_FOUND
from functions.calls.transitions import SIGNALS
from functions.forwarded import Forwarded
from functions.gateway import Gateway
from functions.services.firestore import Store
from functions.signaling import Signaling
from functions.wire.frames import FcmToken, Platform, RegisterDevice, UnregisterDevice
from infra.client.calls import client_at
from infra.emulators.firestore import FirestoreServer
from tests.support.makers import CALLER, RECEIVER, connect, event, now, register, ring, signal
from tests.support.services import Services

STRANGER = UserId("USR_3")
SOCKET = ConnectionId("stranger=")
FRAME = Forwarded(SOCKET, "MESSAGE", requested=datetime.now(UTC))


@pytest.fixture
async def gateway(services: Services, signaling: Signaling) -> Gateway:
    await connect(services.store, SOCKET, STRANGER)
    return Gateway(services.store, signaling, timedelta(days=1))


class Requests(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Keeps every request, as text."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)

        async def stream(request: Any, context: Any) -> Any:
            self.seen.append(f"{details.method} {request}")
            async for response in handler.unary_stream(request, context):
                yield response

        return handler._replace(unary_stream=stream) if handler.response_streaming else handler


STATES = [None, *Status, "undelivered"]


@pytest.mark.parametrize("name", SIGNALS)
async def test_a_strangers_signal_costs_one_read_whatever_the_call(
    services: Services, gateway: Gateway, name: str
) -> None:
    for state in STATES:
        call = CallId(f"CALL_{state}")
        if state == "undelivered":
            await undelivered(services, name, call)
        elif state is not None:
            await ring(services.client, call, str(state))
        services.journal.clear()
        assert await gateway.verdict(FRAME, signal(name, call)) == NOT_FOUND
        assert services.journal.started == ["BatchGetDocuments"], state


async def undelivered(services: Services, name: str, call: CallId) -> None:
    await ring(services.client, call)
    loaded = await services.store.load(SOCKET, call, now())
    assert loaded.call
    await services.store.commit(loaded.call, event(name, call=call), by=CALLER)


async def test_what_is_read_for_a_strangers_signal_is_the_same_whatever_the_call() -> None:
    requests = Requests()
    async with FirestoreServer(interceptors=[requests]) as server:
        client = client_at(server.address, "unring-test")
        store = Store(client)
        asked = set()
        for state in (None, *Status):
            call = CallId(uuid.uuid4().hex)
            if state is not None:
                await ring(client, call, state)
            requests.seen.clear()
            await store.load(SOCKET, call, now())
            (request,) = requests.seen
            asked.add(request.replace(call, "CALL"))
        assert len(asked) == 1


async def test_the_wrong_party_costs_one_read(services: Services, gateway: Gateway) -> None:
    await connect(services.store, "caller=", CALLER)
    await ring(services.client)
    services.journal.clear()
    frame = Forwarded(ConnectionId("caller="), "MESSAGE", requested=None)
    assert await gateway.verdict(frame, signal("call:reject")) == FORBIDDEN
    assert services.journal.started == ["BatchGetDocuments"]


async def test_unregistering_costs_the_same_whether_another_has_the_token_or_nobody(
    services: Services, gateway: Gateway
) -> None:
    await register(services.store, "theirs", RECEIVER)
    for token in ("theirs", "nobodys"):
        services.journal.clear()
        verdict = await gateway.verdict(FRAME, UnregisterDevice(FcmToken(token)))
        assert (verdict.ok, verdict.outcome) == (True, "unregistered")
        assert services.journal.started == ["BatchGetDocuments", "BatchGetDocuments"]
    (device,) = await services.store.devices_of([RECEIVER], now())
    assert device.token == "theirs"


async def test_registering_costs_the_same_whether_another_has_the_token_or_nobody(
    services: Services, gateway: Gateway
) -> None:
    await register(services.store, "theirs", RECEIVER)
    for token in ("theirs", "nobodys"):
        services.journal.clear()
        request = RegisterDevice(FcmToken(token), Platform.IOS)
        verdict = await gateway.verdict(FRAME, request)
        assert (verdict.ok, verdict.outcome) == (True, "registered")
        assert services.journal.started == ["BatchGetDocuments", "Commit"]
