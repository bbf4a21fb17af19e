"""Registers and unregisters devices, as clients ask over their connections, or their backends."""

import asyncio
from datetime import datetime, timedelta

from functions.calls.call import ConnectionId, UserId
from functions.calls.decision import Verdict
from functions.clients.caps import displaced
from functions.clients.device import DeviceId, device_id
from functions.clients.sender import sender_of
from functions.ports.clock import Clock
from functions.ports.store import Connections, Devices, StoreUnavailable
from functions.telemetry import Log
from functions.wire.frames import RegisterDevice, UnregisterDevice

log = Log(__name__)


class Registration:
    """Registers and unregisters devices."""

    def __init__(
        self,
        connections: Connections,
        devices: Devices,
        clock: Clock,
        device_ttl: timedelta,
        devices_per_user: int,
    ) -> None:
        self._connections = connections
        self._devices = devices
        self._clock = clock
        self._device_ttl = device_ttl
        self._devices_per_user = devices_per_user

    async def handle(
        self,
        request: RegisterDevice | UnregisterDevice,
        id: ConnectionId,
        received_at: datetime | None,
    ) -> Verdict:
        """1 BatchGetDocuments, and what the call to `Devices` costs. To register costs 1 RunQuery
        more, and 1 Commit for each device that it displaces, two at most. Raises StoreUnavailable.
        """
        now = self._clock()
        sender = sender_of(await self._connections.get(id, now), received_at)
        if isinstance(sender, Verdict):
            return sender
        match request:
            case RegisterDevice():
                await self.register(sender, request, id)
                return Verdict(ok=True, outcome="registered")
            case UnregisterDevice(address):
                await self._devices.unregister(sender, device_id(address))
                return Verdict(ok=True, outcome="unregistered")

    async def register(
        self, user: UserId, device: RegisterDevice, by: ConnectionId | None = None
    ) -> DeviceId:
        """Makes the device `user`'s, and gives its id. It has registered `by` a connection, or its
        backend has registered it. Costs 1 Commit and 1 RunQuery, and 1 Commit
        for each device that it displaces, two at most. Raises StoreUnavailable."""
        now, id = self._clock(), device_id(device.address)
        expires = now + self._device_ttl
        address, platform = device.address, device.platform
        await self._devices.register(user, address, platform, now, expires, device.app_id, by)
        await self._forget_displaced(user, id, now)
        return id

    async def _forget_displaced(self, user: UserId, newcomer: DeviceId, now: datetime) -> None:
        """A failure is only logged: the device itself is registered."""
        try:
            devices = await self._devices.of([user], now)
            cap = self._devices_per_user
            gone = displaced(devices, cap, lambda each: each.version, newcomer)
            await asyncio.gather(*map(self._devices.forget, gone))
        except StoreUnavailable as error:
            log.warning("too many devices stay", error=str(error))
