"""What it costs to ask about what is not one's own: the same, whatever there is to find."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio

from functions.calls.call import CallId, ConnectionId, SignalId, Status, UserId
from functions.calls.decision import FORBIDDEN, NOT_FOUND, Verdict
from functions.calls.transitions import CANCELS, SIGNALS, Signal
from functions.clients.device import FcmToken, Platform
from functions.delivery.commit import Received
from functions.delivery.signaling import Signaling
from functions.sessions.registration import Registration
from functions.wire.frames import RegisterDevice, UnregisterDevice
from tests.memory.services import Services
from tests.support.makers import CALLER, RECEIVER, connect, event, now, register, signal
from tests.support.world import committed

STRANGER = UserId("USR_3")
SOCKET = ConnectionId("stranger=")


@dataclass(frozen=True)
class Requests:
    """Has requests carried out, a stranger's by default."""

    signaling: Signaling
    registration: Registration

    async def verdict(
        self,
        request: Signal | RegisterDevice | UnregisterDevice,
        socket: ConnectionId = SOCKET,
    ) -> Verdict:
        if isinstance(request, Signal):
            received = Received(SignalId(uuid.uuid4().hex), now(), received_at=None)
            return await self.signaling.handle(request, socket, received)
        return await self.registration.handle(request, socket, None)


@pytest_asyncio.fixture(loop_scope="function")
async def requests(services: Services, signaling: Signaling) -> Requests:
    await connect(services.store, SOCKET, STRANGER)
    store = services.store
    registration = Registration(store.connections, store.devices, now, timedelta(days=1), 20)
    return Requests(signaling, registration)


STATES = [None, *Status, "undelivered"]


@pytest.mark.parametrize("name", SIGNALS)
async def test_a_strangers_signal_costs_the_same_whatever_the_call(
    services: Services, requests: Requests, name: str
) -> None:
    noted = ["Commit"] if name in CANCELS else []  # a cancel may overtake its ring
    for state in STATES:
        call = CallId(f"CALL_{state}")
        if state == "undelivered":
            await committed(services.world, event(name, call=call))
        elif state is not None:
            await services.world.ring(call, str(state))
        services.journal.clear()
        assert await requests.verdict(signal(name, call)) == NOT_FOUND
        assert services.journal.started == ["BatchGetDocuments", *noted], state


async def test_the_wrong_party_costs_one_read(services: Services, requests: Requests) -> None:
    await connect(services.store, "caller=", CALLER)
    await services.world.ring()
    services.journal.clear()
    caller = ConnectionId("caller=")
    assert await requests.verdict(signal("call:reject"), caller) == FORBIDDEN
    assert services.journal.started == ["BatchGetDocuments"]


async def test_unregistering_costs_the_same_whether_another_has_the_token_or_nobody(
    services: Services, requests: Requests
) -> None:
    await register(services.store, "theirs", RECEIVER)
    for token in ("theirs", "nobodys"):
        services.journal.clear()
        verdict = await requests.verdict(UnregisterDevice(FcmToken(token)))
        assert (verdict.ok, verdict.outcome) == (True, "unregistered")
        assert services.journal.started == ["BatchGetDocuments", "BatchGetDocuments"]
    (device,) = await services.store.devices.of([RECEIVER], now())
    assert device.address == "theirs"


async def test_registering_costs_the_same_whether_another_has_the_token_or_nobody(
    services: Services, requests: Requests
) -> None:
    await register(services.store, "theirs", RECEIVER)
    for token in ("theirs", "nobodys"):
        services.journal.clear()
        request = RegisterDevice(FcmToken(token), Platform.IOS)
        verdict = await requests.verdict(request)
        assert (verdict.ok, verdict.outcome) == (True, "registered")
        assert services.journal.started == ["BatchGetDocuments", "Commit", "RunQuery"]
