"""Devices: whose they are, and how many a user may have."""

from datetime import timedelta

import pytest

from functions.calls.call import ConnectionId, UserId
from functions.clients.device import FcmToken, Platform, device_id
from functions.sessions.registration import Registration
from functions.wire.frames import RegisterDevice
from tests.memory.services import Services
from tests.support.makers import CALLER, RECEIVER, connect, now

CAP = 3
TTL = timedelta(days=1)


def registration_of(services: Services) -> Registration:
    store = services.store
    return Registration(store.connections, store.devices, now, TTL, devices_per_user=CAP)


async def register(services: Services, token: str, user: UserId = RECEIVER) -> None:
    request = RegisterDevice(FcmToken(token), Platform.IOS)
    services.journal.clear()
    verdict = await registration_of(services).handle(request, ConnectionId(f"{user}="), None)
    assert (verdict.ok, verdict.outcome) == (True, "registered")


async def tokens_of(services: Services, user: UserId = RECEIVER) -> list[str]:
    return sorted(device.address for device in await services.store.devices.of([user], now()))


async def test_of_too_many_devices_the_one_that_registered_longest_ago_goes(
    services: Services,
) -> None:
    for user in (CALLER, RECEIVER):
        await connect(services.store, f"{user}=", user)
    await register(services, "theirs", CALLER)
    for token in ("1", "2", "3", "1"):  # the first registers again, as apps do when they start
        await register(services, token)
    assert services.journal.started == ["BatchGetDocuments", "Commit", "RunQuery"]
    await register(services, "4")
    assert services.journal.started == ["BatchGetDocuments", "Commit", "RunQuery", "Commit"]
    assert await tokens_of(services) == ["1", "3", "4"]
    assert await tokens_of(services, CALLER) == ["theirs"]


@pytest.mark.parametrize("call", ["RunQuery", "Commit"])
async def test_a_device_is_registered_also_if_those_too_many_can_not_go(
    services: Services, call: str
) -> None:
    await connect(services.store, f"{RECEIVER}=", RECEIVER)
    for token in ("1", "2", "3"):
        await register(services, token)
    oldest = device_id(FcmToken("1"))  # of the commits, it is this one's that fails
    services.faults.fail(f"firestore.{call}", *([oldest] if call == "Commit" else []))
    await register(services, "4")
    assert "4" in await tokens_of(services)
    services.faults.heal()
    await register(services, "5")
    assert await tokens_of(services) == ["3", "4", "5"]
