"""Registers and unregisters devices, as clients ask over their connections."""

from datetime import datetime, timedelta

from functions.calls.call import ConnectionId
from functions.calls.decision import Verdict
from functions.clients.sender import sender_of
from functions.ports.clock import Clock
from functions.ports.store import Connections, Devices
from functions.wire.frames import RegisterDevice, UnregisterDevice


class Registration:
    """Registers and unregisters devices."""

    def __init__(
        self, connections: Connections, devices: Devices, clock: Clock, device_ttl: timedelta
    ) -> None:
        self._connections = connections
        self._devices = devices
        self._clock = clock
        self._device_ttl = device_ttl

    async def handle(
        self,
        request: RegisterDevice | UnregisterDevice,
        id: ConnectionId,
        received_at: datetime | None,
    ) -> Verdict:
        """1 BatchGetDocuments, and what the call to `Devices` costs. Raises StoreUnavailable."""
        now = self._clock()
        sender = sender_of(await self._connections.get(id, now), received_at)
        if isinstance(sender, Verdict):
            return sender
        match request:
            case RegisterDevice(address, platform):
                expires = now + self._device_ttl
                await self._devices.register(sender, address, platform, now, expires)
                return Verdict(ok=True, outcome="registered")
            case UnregisterDevice(address):
                await self._devices.unregister(sender, address)
                return Verdict(ok=True, outcome="unregistered")
