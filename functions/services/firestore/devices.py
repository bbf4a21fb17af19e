"""Devices in Firestore: one document for each address that FCM knows, under its hash."""

from collections.abc import Collection
from datetime import datetime

from functions.calls.call import UserId
from functions.clients.device import Device, FcmAddress, InstallationId, Platform, device_id
from functions.ports.store import StoreUnavailable
from functions.services.firestore.documents import device_in
from functions.services.firestore.remote import Documents
from functions.telemetry import Log

_UNREGISTER_TRIES = 3  # the device may register again at this moment

log = Log(__name__)


class FirestoreDevices:
    """The collection `devices`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def of(self, users: Collection[UserId], now: datetime) -> list[Device]:
        """1 RunQuery."""
        snapshots = await self._documents.run(self._documents.of_users("devices", users))
        return [found for snapshot in snapshots if (found := device_in(snapshot, now))]

    async def register(
        self,
        user: UserId,
        address: FcmAddress,
        platform: Platform,
        now: datetime,
        expires: datetime,
    ) -> None:
        """1 Commit."""
        await self._documents.replace(
            self._documents.at("devices", device_id(address)),
            {
                "userId": user,
                "fid" if isinstance(address, InstallationId) else "token": str(address),
                "platform": platform.value,
                "registeredAt": now,
                "expiresAt": expires,
            },
        )

    async def unregister(self, user: UserId, address: FcmAddress) -> None:
        """1 BatchGetDocuments and, if the device is this user's, 1 Commit; again on a conflict."""
        for _ in range(_UNREGISTER_TRIES):
            (snapshot,) = await self._documents.get(
                self._documents.at("devices", device_id(address))
            )
            if (snapshot.to_dict() or {}).get("userId") != user:
                return
            if await self._documents.delete_unchanged(snapshot.reference, snapshot.update_time):
                return
        raise StoreUnavailable("the device keeps changing")

    async def forget(self, device: Device) -> None:
        """1 Commit."""
        if not await self._documents.delete_unchanged(
            self._documents.at("devices", device.id), device.version
        ):
            log.info("a dead device changed, and stays")
